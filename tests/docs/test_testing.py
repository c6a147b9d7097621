"""The pages about tests of one's own: their tests pass, and fail as the pages show where the shop is wrong."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings

from paytechuz_core import Memory
from paytechuz_core.repository import AsyncRepository
from paytechuz_core.testing import BROKEN
from paytechuz_core.testing.broken import LooksBeforeItLeaps, NoUniqueKey
from tests.core.test_laws_memory import AwaitedRepository
from tests.core.test_machines import STORIES
from tests.docs.pages import DOCS, ROOT, TUTORIAL, Block, blocks, write_files

STORE: Final = DOCS / "how-to/your-own-repository.md"
STORY: Final = DOCS / "how-to/property-test-your-repository.md"
ACCEPTANCE: Final = DOCS / "how-to/acceptance-in-your-ci.md"
PLUGIN: Final = "paytechuz_core.testing.plugin"

Pytest = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pytest:
    """Runs pytest among the pages' files, with no plugin but ours, and gives what it says."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*options: str) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


# Stories


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The files of the page about the repository and of the page about its stories."""
    write_files(STORE, tmp_path)
    write_files(STORY, tmp_path)
    return tmp_path / "store.py"


@pytest.mark.slow
def test_the_store_agrees_with_the_model(store: Path, run: Pytest) -> None:
    assert store.exists()
    assert "2 passed" in run("test_stories.py")


@pytest.mark.slow
def test_a_store_without_a_unique_hold_is_told_as_a_story(store: Path, run: Pytest) -> None:
    change(store, "    hold TEXT UNIQUE,", "    hold TEXT,")
    output = run("test_stories.py", "-k", "Payme")
    assert "the storage is not as it should be after this story:" in output
    assert re.search(r"Here `save` must raise Conflict: orders:\d is held by another transaction\.", output), output


def test_the_story_on_the_page_is_the_one_that_is_told() -> None:
    (shown,) = blocks(STORY, "text")
    assert shown.text.strip() == STORIES[NoUniqueKey].strip()


def test_an_async_storage_is_held_against_the_model_as_the_page_says() -> None:
    (block,) = [each for each in blocks(STORY, "python") if each.file is None]
    memory = Memory(lambda _: None)

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncRepository]:
        with memory.begin() as repository:
            yield AwaitedRepository(repository)

    async def reset() -> None:
        memory.transactions = {}

    names: dict[str, Any] = {"begin": begin, "reset": reset}
    exec(block.compile(), names)  # noqa: S102 - which is what this test is about
    names["TestPayme"].settings = settings(max_examples=5, stateful_step_count=10)
    names["TestPayme"]("runTest").debug()
    names["bridge"].close()


def test_the_page_lists_every_broken_storage_in_its_own_words() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+) \| (yes|no) \| (yes|no) \|$", STORY.read_text(), re.MULTILINE)
    assert listed == [
        (each.__name__, (each.__doc__ or "").rstrip("."), "yes", "no" if each is LooksBeforeItLeaps else "yes")
        for each in BROKEN
    ]


# Acceptance


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The tutorial's shop with the page's tests."""
    write_files(TUTORIAL, tmp_path)
    write_files(ACCEPTANCE, tmp_path)
    return tmp_path / "payments.py"


@pytest.mark.slow
def test_the_tutorials_shop_passes_the_tests_of_the_page(shop: Path, run: Pytest) -> None:
    assert shop.exists()
    assert "4 passed" in run()


@pytest.mark.slow
def test_a_shop_that_forgets_to_mark_the_order_is_told_as_on_the_page(shop: Path, run: Pytest) -> None:
    change(shop, 'order.status = "paid"', "pass")
    (shown,) = blocks(ACCEPTANCE, "text")
    assert shown.text in run("-k", "accepts")


@pytest.mark.parametrize("title", ["Flask", "Django"])
def test_the_page_shows_the_example_shops_own_files(title: str) -> None:
    section = ACCEPTANCE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    found = re.search(r"\]\((.+?conftest\.py)\)", section)
    assert found is not None
    (shown,) = [each for each in blocks(ACCEPTANCE, "python") if each.text in section]
    assert (ACCEPTANCE.parent / found[1]).read_text() == shown.text


def test_every_method_on_the_page_is_there() -> None:
    plugin = __import__(PLUGIN, fromlist=["PaymePlayer"])
    page = ACCEPTANCE.read_text()
    for player, name in ((plugin.PaymePlayer, "payme"), (plugin.ClickPlayer, "click")):
        for method in re.findall(rf"\b{name}\.(\w+)", page):
            assert hasattr(player, method), f"{name}.{method}"


def test_no_block_of_the_pages_is_left_out() -> None:
    left: list[Block] = [each for page in (STORY, ACCEPTANCE) for each in blocks(page, "python") if each.file is None]
    assert len(left) == 3  # asyncio, Flask, Django
