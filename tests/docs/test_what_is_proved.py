"""The page that says what is proved says it with the numbers that the proof comes to."""

from paytechuz_core.testing.oracle import RULES
from tests.docs.pages import DOCS
from tests.fuzz.test_fuzz import BROKEN
from tests.proof.test_negative_controls import FOUND_OUT
from tests.proof.verify import EVENTS, PINNED

PAGE = (DOCS / "explanation/what-is-proved.md").read_text()


def test_its_numbers_are_those_that_verify_insists_on() -> None:
    for name, number in {**PINNED, "events": EVENTS}.items():
        assert f"{number:,}".replace(",", " ") in PAGE, name
    assert f"one table of {len(RULES)} rows" in PAGE
    assert f"on purpose: {len(FOUND_OUT)} gateways, engines and storages" in PAGE
    assert f"{len(BROKEN)} readers and gateways that are broken on" in PAGE
