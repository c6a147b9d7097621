"""The machines agree with `Memory`, and tell of each broken storage in a story of payments."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from paytechuz_core import Memory
from paytechuz_core.repository import AsyncRepository, Repository
from paytechuz_core.testing import BROKEN, Bridge, click_machine, payme_machine
from paytechuz_core.testing.broken import (
    Careless,
    CaseInsensitiveKeys,
    DirtyRollback,
    FloatMoney,
    GuessesReasons,
    HeldAtEachProvider,
    LooksBeforeItLeaps,
    LostUpdate,
    NoCompareAndSwap,
    NoUniqueKey,
    PaidOnlyStatement,
    RollsBackExceptionsOnly,
    TextAccounts,
    TruncatedTimes,
)
from tests import SIZE
from tests.core.test_laws_memory import AwaitedRepository

Make: TypeAlias = Callable[..., type[RuleBasedStateMachine]]
MACHINES: Final[tuple[Make, ...]] = payme_machine, click_machine
QUICK: Final = settings(max_examples=40 * SIZE, stateful_step_count=15, suppress_health_check=list(HealthCheck))
PATIENT: Final = settings(QUICK, max_examples=1000, stateful_step_count=10)
"""What is broken ends the search as soon as it is found."""

UNCUT: Final = settings(PATIENT, phases=[Phase.generate])
"""To cut a story down takes longer than to find it: where only a long one shows the fault, it is left as found."""


class Place:
    """A storage that can be emptied."""

    def __init__(self, kind: type[Memory]) -> None:
        self.kind = kind
        self.reset()

    def reset(self) -> None:
        self.memory = self.kind(lambda _: None)

    def begin(self) -> AbstractContextManager[Repository]:
        return self.memory.begin()


@pytest.mark.sized
@pytest.mark.parametrize("make", MACHINES)
@pytest.mark.parametrize("kind", [Memory, Careless, LooksBeforeItLeaps])
def test_a_storage_that_keeps_the_laws_call_by_call_agrees_with_the_model(make: Make, kind: type[Memory]) -> None:
    place = Place(kind)
    size = settings(QUICK, max_examples=5) if kind is LooksBeforeItLeaps else QUICK  # it waits at every write
    run_state_machine_as_test(make(place.begin, place.reset), settings=size)


@pytest.mark.parametrize("make", MACHINES)
def test_an_async_storage_is_driven_through_its_loop(make: Make) -> None:
    place, bridge = Place(Memory), Bridge()

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncRepository]:
        with place.begin() as repository:
            yield AwaitedRepository(repository)

    async def reset() -> None:
        place.reset()

    try:
        size = settings(QUICK, max_examples=20 * SIZE)
        run_state_machine_as_test(make(begin, reset, bridge=bridge), settings=size)
    finally:
        bridge.close()


def story_of(kind: type[Memory], make: Make = payme_machine, size: settings = PATIENT) -> str:
    """Give the story by which a broken storage is found out."""
    place = Place(kind)
    with pytest.raises(Exception, match=r".") as caught:
        run_state_machine_as_test(make(place.begin, place.reset), settings=size)
    notes: list[str] = getattr(caught.value, "__notes__", [])
    return next(text for text in (str(caught.value), *notes) if "after this story" in text)


STORIES: Final[dict[type[Memory], str]] = {
    NoUniqueKey: """
  1. Payme creates A for order 1; but before the shop writes:
  2. Payme creates B for order 1 → state 1
  3. The first one goes on: Payme creates A for order 1 → state 1

  the answer is state 1, and should be -31051
  Payme's A is stored, and should not be
  orders:1 is held by A and B, and should be by B
  a statement lists A and B, and should list B
  Here `save` must raise Conflict: orders:1 is held by another transaction.""",
    DirtyRollback: """
  1. Payme creates A for order 1; the shop's hook raises an error → -32400

  Payme's A is stored, and should not be
  orders:1 is held by A, and should be by none
  a statement lists A, and should list none
  Of a call that failed nothing may be stored: roll back whatever is raised, a BaseException too.""",
    TruncatedTimes: """
  1. Payme creates A for order 1 → state 1

  Payme's A: create_time is 1763900123000, and should be 1763900123458""",
    FloatMoney: """
  1. Payme creates A for order 1 → state 1

  Payme's A: amount_tiyin is 434, and should be 435""",
    TextAccounts: """
  1. Payme creates A for order 1 → state 1

  Payme's A: account_id is '1', and should be 1""",
    PaidOnlyStatement: """
  1. Payme creates A for order 1 → state 1

  a statement lists none, and should list A""",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORIES, ids=lambda each: each.__name__)
def test_a_broken_storage_is_told_as_a_short_story_of_payments(kind: type[Memory]) -> None:
    title, story = story_of(kind).split("\n", 1)
    assert title == "the storage is not as it should be after this story:"
    # Which of several equally short stories comes out, another release of Hypothesis may see otherwise.
    assert len(story.splitlines()) <= len(STORIES[kind].splitlines()) + 2, story
    assert nameless(story) == nameless(STORIES[kind]), story


def nameless(story: str) -> str:
    """Give a story's last line, whoever it is about."""
    return re.sub(r"(Payme's|Click's) \w", "it", story.splitlines()[-1])


CONFLICT: Final = "Here `save` must raise Conflict: "
TOLD: Final[dict[type[Memory], tuple[str, ...]]] = {
    HeldAtEachProvider: (r"orders:\d is held by \w and \w, and should be by \w$", CONFLICT),
    NoCompareAndSwap: ("but before the shop writes:", r"'s [12ABa]: \w+ is ", CONFLICT),
    LostUpdate: ("but before the shop writes:", "'s [12ABa]: version is ", CONFLICT),
    RollsBackExceptionsOnly: ("the task is cancelled while the shop's hook runs", "nothing may be stored"),
    GuessesReasons: (r"reason is \d+, and should be -?\d+",),
    CaseInsensitiveKeys: (" creates a for ", " creates A for ", "the storage raises Conflict"),
}


@pytest.mark.parametrize("kind", TOLD, ids=lambda each: each.__name__)
def test_what_takes_a_longer_story_is_told_too(kind: type[Memory]) -> None:
    story = story_of(kind, size=UNCUT)
    for words in TOLD[kind]:
        assert re.search(words, story, re.MULTILINE), story


@pytest.mark.parametrize(
    "kind",
    [each for each in BROKEN if each not in (LooksBeforeItLeaps, CaseInsensitiveKeys)],
    ids=lambda each: each.__name__,
)
def test_clicks_stories_catch_them_too(kind: type[Memory]) -> None:
    assert re.search(r"^  \d+\. (Payme|Click) ", story_of(kind, click_machine, UNCUT), re.MULTILINE)


def test_every_broken_storage_is_told_but_for_the_one_that_only_threads_find() -> None:
    assert {*STORIES, *TOLD, LooksBeforeItLeaps} == {*BROKEN}


def test_an_error_of_the_storages_own_is_told_with_the_story() -> None:
    class Raises(Memory):
        def begin(self) -> Any:
            message = "no such table"
            raise LookupError(message)

    assert "the storage raises LookupError" in story_of(Raises, size=UNCUT)


@pytest.mark.parametrize("missing", ["hypothesis", "pytest"])
def test_the_scenarios_are_played_without_pytest_and_without_hypothesis(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from paytechuz_core.testing import ONE_TIME, BROKEN, over_http"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
