"""`paytechuz init`: a small shop that works, to begin with.

The shops are real files, in `shops/` beside this one, and are copied as they stand. Only what no file may hold is made
here: keys, at random and for this folder alone, so that no example's key ever goes live.
"""

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from secrets import randbelow, token_hex, token_urlsafe
from typing import Annotated, Final

import typer

from paytechuz.cli.config import Wrong
from paytechuz.cli.shown import told

SHOPS: Final = Path(__file__).parent / "shops"
EXAMPLE: Final = """Example:

paytechuz init fastapi shop
"""
KEYS: Final = ".env"
IGNORED: Final = f"{KEYS}\n.venv/\n__pycache__/\n.pytest_cache/\n*.db\n"


class Framework(StrEnum):
    """What the shop is written with."""

    FASTAPI = "fastapi"
    DJANGO = "django"
    FLASK = "flask"


START: Final[Mapping[Framework, tuple[str, ...]]] = {
    Framework.FASTAPI: ("uvicorn main:app --port 8000",),
    Framework.DJANGO: ("python manage.py migrate", "python manage.py runserver 8000"),
    Framework.FLASK: ("flask --app main init-db", "flask --app main run --port 8000"),
}
"""How it is started, once its libraries are there."""


def init(
    framework: Annotated[Framework, typer.Argument(help="What the shop is written with.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where it goes; nothing that is there is overwritten.")] = Path("shop"),
) -> None:
    """Begin a small shop that takes Payme and Click, with a page to order, hooks and tests.

    It works as it is: start it, and `paytechuz check` in its folder plays both providers against it. Its keys are
    random, in its file .env.
    """
    with told():
        made = create(framework, folder)
    typer.echo(f"{folder} has a shop of {made} files. No provider knows its keys, which are in {folder / KEYS}.\n")
    typer.echo(f"    cd {folder}\n    pip install -r requirements.txt")
    for line in START[framework]:
        typer.echo(f"    {line}")
    typer.echo("\nOpen http://127.0.0.1:8000. In a second terminal, while it runs:\n")
    typer.echo(f"    cd {folder}\n    paytechuz check\n")
    typer.echo("README.md says what is where, and what to do before it goes live.")


def create(framework: Framework, folder: Path) -> int:
    """Write the shop, where none of its files is; give how many there are."""
    contents = {
        **dict(files_of(SHOPS / framework.value)),
        Path(".gitignore"): IGNORED.encode(),
        Path(KEYS): keys(framework).encode(),
    }
    # A link that leads nowhere is there too, and a file where a folder must be.
    if taken := sorted(str(each) for each in contents if os.path.lexists(folder / each)):
        message = f"{folder} has {', '.join(taken)} already: choose another folder. Nothing was written"
        raise Wrong(message)
    try:
        for path, content in contents.items():
            write(folder / path, content, mode=0o600 if path.name == KEYS else 0o666)
    except OSError as error:
        message = f"the shop cannot be written: {error}"
        raise Wrong(message) from error
    return len(contents)


def files_of(shop: Path) -> Iterator[tuple[Path, bytes]]:
    """Give the files of a shop, but for what Python and its tests may have left beside them."""
    for path in sorted(shop.rglob("*")):
        inside = path.relative_to(shop)
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in inside.parts):
            yield inside, path.read_bytes()


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123 - with a mode
        file.write(content)


def keys(framework: Framework) -> str:
    """Give the settings that differ from one machine to the next, each key a new one."""
    settings = {
        "PAYME_ID": token_hex(12),
        "PAYME_KEY": token_urlsafe(27),
        "PAYME_SANDBOX": "1",
        "CLICK_SERVICE_ID": f"{10_000 + randbelow(90_000)}",
        "CLICK_MERCHANT_ID": f"{10_000 + randbelow(90_000)}",
        "CLICK_SECRET_KEY": token_urlsafe(18),
    }
    if framework is Framework.DJANGO:
        settings |= {"SHOP_SECRET_KEY": token_urlsafe(48), "SHOP_DEBUG": "1"}
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    return f"# Made at random for this folder: put in what the providers' cabinets say before you go live.\n{lines}"
