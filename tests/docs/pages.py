"""The pages of the documentation, and the code blocks in them, verbatim.

A block whose first line is a comment that names a file (`# shop.py`) is that file, or what is added to it (`# shop.py,
at its end`). Everything else is run where it stands.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"
TUTORIAL: Final = DOCS / "tutorial-fastapi.md"
FLASK_TUTORIAL: Final = DOCS / "tutorial-flask.md"
DJANGO_TUTORIAL: Final = DOCS / "tutorial-django.md"

FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED: Final = re.compile(r"# ([\w/]+\.\w+)(, at its end)?\n")


def pages() -> list[Path]:
    """Every page, the README first."""
    return [README, *sorted(DOCS.rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """The page and the line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that this block is, if it says so."""
        named = NAMED.match(self.text)
        return None if named is None else named[1]

    def save(self, folder: Path) -> None:
        """Save the file that this block is, or add the block to it, as a reader would."""
        if (named := NAMED.match(self.text)) is not None:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if named[2] else "w") as file:
                file.write(self.text)

    def compile(self) -> Any:
        """Compile it, so that an error points into the page."""
        return compile("\n" * self.line + self.text, str(self.page), "exec")


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Give the blocks of a page in their order."""
    text = page.read_text()
    found = (Block(page, text.count("\n", 0, each.start()) + 1, each[1], each[2]) for each in FENCED.finditer(text))
    return [each for each in found if language in (None, each.language)]


def write_files(page: Path, folder: Path) -> None:
    """Save each block that is a file, as a reader would."""
    for block in blocks(page, "python"):
        block.save(folder)


@contextmanager
def imports_from(folder: Path) -> Iterator[None]:
    """Let the files of a folder be imported, and forget them afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]
