"""Storages as they are found in the wild, each broken in one way: what the laws and the machines must catch.

A check that has never failed has proved nothing. So each of these is tried on every release, and its docstring says
what its author did. They are in memory; the mistakes are those of tables.

    RepositoryLaws().test_an_account_has_one_holder(Trial(Storage(NoUniqueKey(find_account).begin, accounts)))
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, TypeAlias

from paytechuz_core.memory import Memory, MemorySession
from paytechuz_core.repository import Conflict, Repository
from paytechuz_core.transaction import Change, Millis, Reason, State, Transaction

Name: TypeAlias = tuple[str, str]


class Careless(Memory):
    """A memory that writes at once and takes care of what its methods say; each storage below leaves one of them out.

    With none left out it keeps the laws, as long as one request comes after the other.
    """

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        """Open one database transaction."""
        before = dict(self.transactions)
        try:
            yield CarelessSession(self)
        except BaseException:
            self.roll_back(before)
            raise

    def roll_back(self, before: dict[Name, Transaction]) -> None:
        """Undo what was written."""
        self.transactions = before

    def check(self, change: Change) -> None:
        """Refuse what may not be written."""
        self.check_keys(change)
        self.check_swap(change)

    def check_keys(self, change: Change) -> None:
        """Keep ids and holds unique."""
        after = change.after
        if (change.before is None and self.key(after) in self.transactions) or any(
            each.hold == after.hold for each in self.others(after) if after.hold is not None
        ):
            raise Conflict(self.key(after))

    def others(self, after: Transaction) -> list[Transaction]:
        """Give every stored transaction but this one."""
        return [each for key, each in self.transactions.items() if key != self.key(after)]

    def check_swap(self, change: Change) -> None:
        """Update only what is still as it was read."""
        if change.before is not None:
            stored = self.transactions.get(self.key(change.before))
            if stored is None or (stored.state, stored.version) != (change.before.state, change.before.version):
                raise Conflict(self.key(change.before))

    def key(self, transaction: Transaction) -> Name:
        """Say what a transaction is found by."""
        return transaction.gateway, transaction.transaction_id

    def written(self, after: Transaction) -> Transaction:
        """Give what the columns keep of a transaction."""
        return after

    def listed(self, transaction: Transaction) -> bool:
        """Tell whether a statement has this transaction."""
        del transaction
        return True


class CarelessSession(MemorySession):
    """One database transaction on a `Careless`."""

    memory: Careless

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        return [each for each in super().list_transactions(gateway, start, end) if self.memory.listed(each)]

    def save(self, change: Change) -> Transaction:
        """Write at once."""
        memory = self.memory
        memory.check(change)
        after = memory.written(change.after)
        stored = after if after.id is not None else replace(after, id=next(memory.ids))
        memory.transactions[memory.key(after)] = stored
        return stored


class NoUniqueKey(Careless):
    """No unique key: whoever comes is stored."""

    def check_keys(self, change: Change) -> None:
        """Check nothing."""


class HeldAtEachProvider(Careless):
    """The hold is unique together with the gateway: Payme and Click may both be paying for one order."""

    def others(self, after: Transaction) -> list[Transaction]:
        """Give those of the same gateway."""
        return [each for each in super().others(after) if each.gateway == after.gateway]


class LooksBeforeItLeaps(Careless):
    """No unique key, but a SELECT before the INSERT: right until two requests come at once."""

    def check(self, change: Change) -> None:
        """Look, and take a moment until the write."""
        super().check(change)
        time.sleep(0.01)


class NoCompareAndSwap(Careless):
    """An update by id alone: the last one wins."""

    def check_swap(self, change: Change) -> None:
        """Check nothing."""


class LostUpdate(Careless):
    """An update that compares the state and not the version: a write that left the state alone is undone."""

    def check_swap(self, change: Change) -> None:
        """Compare the state only."""
        if change.before is not None:
            stored = self.transactions.get(self.key(change.before))
            if stored is None or stored.state != change.before.state:
                raise Conflict(self.key(change.before))


class DirtyRollback(Careless):
    """Every write its own commit, as under autocommit."""

    def roll_back(self, before: dict[Name, Transaction]) -> None:
        """Keep what was written."""


class RollsBackExceptionsOnly(Careless):
    """`except Exception: rollback()`, which a cancelled task goes past."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        """Open one database transaction."""
        before = dict(self.transactions)
        try:
            yield CarelessSession(self)
        except Exception:
            self.roll_back(before)
            raise


class TruncatedTimes(Careless):
    """A DATETIME column without fractions."""

    def written(self, after: Transaction) -> Transaction:
        """Keep whole seconds."""
        return replace(
            after,
            create_time=after.create_time // 1000 * 1000,
            perform_time=after.perform_time and after.perform_time // 1000 * 1000,
            cancel_time=after.cancel_time and after.cancel_time // 1000 * 1000,
        )


class FloatMoney(Careless):
    """A float column in som."""

    def written(self, after: Transaction) -> Transaction:
        """Go through a float."""
        return replace(after, amount_tiyin=int(after.amount_tiyin / 100 * 100))


class TextAccounts(Careless):
    """Account ids given back as they are stored: as text."""

    def written(self, after: Transaction) -> Transaction:
        """Keep the text."""
        return replace(after, account_id=str(after.account_id))


class GuessesReasons(Careless):
    """A table without a column for the reason, because the state seems to say it all."""

    def written(self, after: Transaction) -> Transaction:
        """Guess it."""
        guessed = Reason.REFUND if after.state is State.CANCELLED else Reason.DEBIT_FAILED
        return replace(after, reason=None if after.reason is None else guessed)


class CaseInsensitiveKeys(Careless):
    """A database's default collation."""

    def key(self, transaction: Transaction) -> Name:
        """Find by what looks alike."""
        return transaction.gateway, transaction.transaction_id.casefold().strip()


class PaidOnlyStatement(Careless):
    """A statement of what was paid, as several published packages give."""

    def listed(self, transaction: Transaction) -> bool:
        """List what is paid."""
        return transaction.state is State.SUCCESSFULLY


BROKEN: Final[tuple[type[Careless], ...]] = (
    NoUniqueKey, HeldAtEachProvider, LooksBeforeItLeaps, NoCompareAndSwap, LostUpdate, DirtyRollback,
    RollsBackExceptionsOnly, TruncatedTimes, FloatMoney, TextAccounts, GuessesReasons, CaseInsensitiveKeys,
    PaidOnlyStatement,
)  # fmt: skip
"""All of them."""
