"""The reference says what the code says: whoever changes one of them is told here to run `make docs`."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from docs.generate import MEANINGS, REASONS, REFERENCE, REGION, REGIONS, SETTINGS, click_answered_to, filled
from paytechuz_core.click.codes import Code
from paytechuz_core.payme.errors import ERRORS
from paytechuz_core.transaction import TRANSITIONS, Reason, State
from paytechuz_django.settings import KNOWN

PAGES = sorted(REFERENCE.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_generated_page_is_what_the_code_says(page: Path) -> None:
    assert page.read_text() == filled(page.read_text()), f"{page.name} is out of date: run `make docs`"


def test_everything_that_can_be_generated_stands_on_a_page() -> None:
    assert {name for page in PAGES for name in regions(page.read_text())} == set(REGIONS)


def test_every_error_has_an_entry_of_its_own() -> None:
    text = (REFERENCE / "errors.md").read_text()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == [str(error.code) for error in ERRORS]
    assert list(regions(text))[1:] == [f"error {code}" for code in headings]
    assert text.count("**When:**") == text.count("**What Payme does then:**") == len(ERRORS)


def test_every_code_of_click_has_an_entry_of_its_own() -> None:
    text = (REFERENCE / "click-codes.md").read_text()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == [str(code.number) for code in Code]
    assert list(regions(text))[1:] == [f"code {number} of Click" for number in headings]
    assert text.count("**When:**") == text.count("**The customer's money:**") == len(Code)


def test_every_code_of_click_is_met_by_the_generator() -> None:
    assert all(click_answered_to().values())


def test_every_state_and_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(State)
    assert set(REASONS) == set(Reason)


def test_every_setting_of_django_has_a_meaning() -> None:
    assert set(SETTINGS) == {name for names in KNOWN.values() for name in names}


def test_the_diagram_has_every_transition_and_no_other() -> None:
    lines = (REFERENCE / "states.md").read_text().splitlines()
    drawn = {tuple(line.split(":")[0].split(" --> ")) for line in map(str.strip, lines) if " --> " in line}
    ends = {(state.name, "[*]") for state, afters in TRANSITIONS.items() if not afters}
    moves = {(before.name, after.name) for before, afters in TRANSITIONS.items() for after in afters}
    assert drawn == {("[*]" if before == "CREATED" else before, after) for before, after in moves} | ends


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_was_edited_by_hand_is_noticed(page: Path) -> None:
    text = page.read_text()
    for region in REGION.finditer(text):
        spoilt = text.replace(region[0], f"{region[1]}-31008 is fine\n{region[3]}")
        assert spoilt != text
        assert filled(spoilt) == text


def regions(text: str) -> Iterable[str]:
    """Name what is generated on a page."""
    return (each[2] for each in REGION.finditer(text))
