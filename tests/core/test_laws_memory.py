"""The laws of a repository hold for `Memory`, sync and async, and catch each broken repository by the law it breaks."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest

from paytechuz_core import Account, Memory
from paytechuz_core.repository import AsyncBegin, AsyncRepository, Begin, Conflict, Repository
from paytechuz_core.testing import AsyncRepositoryLaws, Known, RepositoryLaws, Storage
from paytechuz_core.testing.broken import (
    BROKEN,
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
from paytechuz_core.testing.laws import Trial
from paytechuz_core.transaction import Change, Fields, Millis, Transaction

ACCOUNTS = (
    Known({"id": "7"}, 7),
    Known({"id": "an-order"}, "an-order"),
    Known({"id": "seven"}, UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")),
)
STRANGERS: tuple[Fields, ...] = ({"id": "8"}, {"id": "AN-ORDER"}, {})


def find_account(fields: Fields) -> Account | None:
    return next((Account(id=known.id, amount_tiyin=500_000) for known in ACCOUNTS if known.fields == fields), None)


def storage_of(memory: Memory) -> Storage[Begin]:
    return Storage(memory.begin, ACCOUNTS, STRANGERS)


class TestMemory(RepositoryLaws):
    @pytest.fixture
    def storage(self) -> Storage[Begin]:
        return storage_of(Memory(find_account))


@dataclass
class AwaitedRepository:
    """A repository whose every answer must be awaited."""

    repository: Repository

    async def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        return self.repository.find_transactions(gateway, transaction_id, hold, for_update=for_update)

    async def find_account(self, fields: Fields) -> Account | None:
        return self.repository.find_account(fields)

    async def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        return self.repository.list_transactions(gateway, start, end)

    async def save(self, change: Change) -> Transaction:
        return self.repository.save(change)


class TestAwaitedMemory(AsyncRepositoryLaws):
    @pytest.fixture
    def storage(self) -> Storage[AsyncBegin]:
        memory = Memory(find_account)

        @asynccontextmanager
        async def begin() -> AsyncIterator[AsyncRepository]:
            with memory.begin() as repository:
                yield AwaitedRepository(repository)

        return Storage(begin, ACCOUNTS, STRANGERS)


# Negative controls


BREAKS: dict[type[Careless], set[str]] = {
    NoUniqueKey: {"test_an_id_is_stored_once", "test_an_account_has_one_holder"},
    HeldAtEachProvider: {"test_an_account_has_one_holder"},
    LooksBeforeItLeaps: {"test_rivals_for_one_account_leave_one_holder"},
    NoCompareAndSwap: {
        "test_a_move_from_a_state_that_passed_is_a_conflict",
        "test_a_write_to_a_version_that_passed_is_a_conflict",
        "test_an_update_of_nothing_is_a_conflict",
    },
    LostUpdate: {"test_a_write_to_a_version_that_passed_is_a_conflict"},
    TruncatedTimes: {"test_times_are_kept_to_the_millisecond"},
    FloatMoney: {"test_amounts_are_exact"},
    TextAccounts: {"test_account_id_keeps_its_type"},
    GuessesReasons: {"test_a_life_is_read_as_it_was_saved"},
    CaseInsensitiveKeys: {"test_ids_compare_byte_for_byte"},
    DirtyRollback: {"test_a_failure_leaves_nothing", "test_a_conflict_leaves_nothing"},
    RollsBackExceptionsOnly: {"test_a_failure_leaves_nothing"},
    PaidOnlyStatement: {"test_a_statement_lists_every_state_by_the_providers_time"},
}


def broken_laws(make: Callable[[], Storage[Begin]]) -> set[str]:
    """Try every law on a new storage and name those that fail."""
    laws = RepositoryLaws()
    broken = set()
    for name in [each for each in dir(laws) if each.startswith("test_")]:
        try:
            getattr(laws, name)(Trial(make()))
        except (AssertionError, Conflict):
            broken.add(name)
    return broken


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: each.__name__)
def test_a_broken_repository_is_caught_by_the_law_it_breaks(broken: type[Careless]) -> None:
    assert broken_laws(lambda: storage_of(broken(find_account))) >= BREAKS[broken]


def test_a_careless_repository_that_leaves_nothing_out_breaks_no_law_but_for_rivals() -> None:
    assert all(name.startswith("test_rivals") for name in broken_laws(lambda: storage_of(Careless(find_account))))


def test_a_repository_that_only_looks_before_it_leaps_breaks_no_other_law() -> None:
    # Every sequential law passes: without threads in the laws, the commonest mistake of all would go unseen.
    broken = broken_laws(lambda: storage_of(LooksBeforeItLeaps(find_account)))
    assert all(name.startswith("test_rivals") for name in broken)


def test_the_laws_tell_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="override the fixture `storage`"):
        RepositoryLaws.storage.__wrapped__(RepositoryLaws())  # type: ignore[attr-defined]
