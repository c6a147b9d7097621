"""The laws of a repository hold for `Memory`, sync and async, and catch each broken repository by the law it breaks."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from paytechuz_core import Account, Memory
from paytechuz_core.memory import MemorySession
from paytechuz_core.repository import AsyncBegin, AsyncRepository, Begin, Conflict, Repository
from paytechuz_core.testing import AsyncRepositoryLaws, Known, RepositoryLaws, Storage
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


# Negative controls: repositories as they are found in the wild


class Careless(Memory):
    """A memory that stores whatever it is given, one write at a time; the broken ones below say what they check."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        before = dict(self.transactions)
        try:
            yield CarelessSession(self)
        except BaseException:
            self.roll_back(before)
            raise

    def roll_back(self, before: dict[tuple[str, str], Transaction]) -> None:
        self.transactions = before

    def check(self, change: Change) -> None:
        self.check_keys(change)
        self.check_swap(change)

    def check_keys(self, change: Change) -> None:
        after, before = change.after, change.before
        others = [each for key, each in self.transactions.items() if key != self.key(after)]
        if (before is None and self.key(after) in self.transactions) or (
            after.hold is not None and any(each.hold == after.hold for each in others)
        ):
            raise Conflict

    def check_swap(self, change: Change) -> None:
        if change.before is not None:
            stored = self.transactions.get(self.key(change.before))
            if stored is None or (stored.state, stored.version) != (change.before.state, change.before.version):
                raise Conflict

    def key(self, transaction: Transaction) -> tuple[str, str]:
        return transaction.gateway, transaction.transaction_id

    def written(self, after: Transaction) -> Transaction:
        return after


class CarelessSession(MemorySession):
    memory: Careless

    def save(self, change: Change) -> Transaction:
        memory = self.memory
        memory.check(change)
        after = memory.written(change.after)
        stored = after if after.id is not None else replace(after, id=len(memory.transactions) + 1)
        memory.transactions[memory.key(after)] = stored
        return stored


class NoUniqueKey(Careless):
    """No unique key: whoever comes is stored."""

    def check_keys(self, change: Change) -> None:
        pass


class LooksBeforeItLeaps(Careless):
    """No unique key, but a SELECT before the INSERT: right until two requests come at once."""

    def check(self, change: Change) -> None:
        super().check(change)
        time.sleep(0.01)


class NoSwap(Careless):
    """An update by id alone: the last one wins."""

    def check_swap(self, change: Change) -> None:
        pass


class SwapsByStateOnly(Careless):
    """An update that looks at the state and not at the version."""

    def check_swap(self, change: Change) -> None:
        if change.before is not None and (
            self.key(change.before) not in self.transactions
            or self.transactions[self.key(change.before)].state != change.before.state
        ):
            raise Conflict


class WholeSeconds(Careless):
    """A DATETIME column without fractions."""

    def written(self, after: Transaction) -> Transaction:
        return replace(
            after,
            create_time=after.create_time // 1000 * 1000,
            perform_time=after.perform_time and after.perform_time // 1000 * 1000,
            cancel_time=after.cancel_time and after.cancel_time // 1000 * 1000,
        )


class FloatMoney(Careless):
    """A float column in som."""

    def written(self, after: Transaction) -> Transaction:
        return replace(after, amount_tiyin=int(after.amount_tiyin / 100 * 100))


class TextAccounts(Careless):
    """Account ids given back as they are stored: as text."""

    def written(self, after: Transaction) -> Transaction:
        return replace(after, account_id=str(after.account_id))


class CaseInsensitive(Careless):
    """A database's default collation."""

    def key(self, transaction: Transaction) -> tuple[str, str]:
        return transaction.gateway, transaction.transaction_id.casefold().strip()


class DirtyRollback(Careless):
    """Every write its own commit, as under autocommit."""

    def roll_back(self, before: dict[tuple[str, str], Transaction]) -> None:
        pass


class RollsBackExceptionsOnly(Careless):
    """`except Exception: rollback()`, which a cancelled task goes past."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        before = dict(self.transactions)
        try:
            yield CarelessSession(self)
        except Exception:
            self.roll_back(before)
            raise


class PaidOnly(Careless):
    """A statement of what was paid, as several published packages give."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        with super().begin() as repository:
            list_transactions = repository.list_transactions
            vars(repository)["list_transactions"] = lambda *window: [
                each for each in list_transactions(*window) if each.state == 2
            ]
            yield repository


BROKEN: dict[type[Careless], set[str]] = {
    NoUniqueKey: {"test_an_id_is_stored_once", "test_an_account_has_one_holder"},
    LooksBeforeItLeaps: {"test_rivals_for_one_account_leave_one_holder"},
    NoSwap: {
        "test_a_move_from_a_state_that_passed_is_a_conflict",
        "test_a_write_to_a_version_that_passed_is_a_conflict",
        "test_an_update_of_nothing_is_a_conflict",
    },
    SwapsByStateOnly: {"test_a_write_to_a_version_that_passed_is_a_conflict"},
    WholeSeconds: {"test_times_are_kept_to_the_millisecond"},
    FloatMoney: {"test_amounts_are_exact"},
    TextAccounts: {"test_account_id_keeps_its_type"},
    CaseInsensitive: {"test_ids_compare_byte_for_byte"},
    DirtyRollback: {"test_a_failure_leaves_nothing", "test_a_conflict_leaves_nothing"},
    RollsBackExceptionsOnly: {"test_a_failure_leaves_nothing"},
    PaidOnly: {"test_a_statement_lists_every_state_by_the_providers_time"},
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
    assert broken_laws(lambda: storage_of(broken(find_account))) >= BROKEN[broken]


def test_a_repository_that_only_looks_before_it_leaps_breaks_no_other_law() -> None:
    # Every sequential law passes: without threads in the laws, the commonest mistake of all would go unseen.
    broken = broken_laws(lambda: storage_of(LooksBeforeItLeaps(find_account)))
    assert all(name.startswith("test_rivals") for name in broken)


def test_the_laws_tell_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="override the fixture `storage`"):
        RepositoryLaws.storage.__wrapped__(RepositoryLaws())  # type: ignore[attr-defined]
