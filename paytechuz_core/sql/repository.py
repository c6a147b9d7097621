"""The SQL repository: the laws of `paytechuz_core.repository`, kept by two unique keys and compare-and-swap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from paytechuz_core.drivers import is_duplicate
from paytechuz_core.repository import Conflict
from paytechuz_core.rows import transaction_of, values_of
from paytechuz_core.sql.statements import Statements, update_of
from paytechuz_core.sql.unit import in_greenlet
from paytechuz_core.transaction import Account, Change, Fields, Key, Millis, Transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True)
class SqlRepository:
    """One database transaction on `connection`.

    `accounts` finds the merchant's account; `key` turns a stored account id back into the type of the account's own
    key.
    """

    connection: Connection
    statements: Statements
    accounts: Callable[[Fields], Account | None]
    key: Callable[[str], Key] = str

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find by id, by hold, or by both in one read."""
        named = {"gateway": gateway, "transaction_id": transaction_id}
        match transaction_id, hold:
            case None, _:
                return self._read(self.statements.by_hold, {"hold": hold})
            case _, None:
                return self._read(self.statements.by_id_locked if for_update else self.statements.by_id, named)
            case _:
                return self._read(self.statements.by_id_or_hold, {**named, "hold": hold})

    def find_account(self, fields: Fields) -> Account | None:
        """Ask the merchant."""
        return self.accounts(fields)

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        return self._read(self.statements.in_window, {"gateway": gateway, "start": start, "end": end})

    def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """Give a page of the transactions that nobody has paid or cancelled."""
        return self._read(self.statements.unpaid, {"gateway": gateway, "after": after, "limit": limit})

    def save(self, change: Change) -> Transaction:
        """Insert or update; `Conflict` where another request wrote first."""
        if change.before is None:
            try:
                result = self.connection.execute(self.statements.insert, values_of(change))
            except IntegrityError as error:
                if not is_duplicate(error.orig):
                    raise
                raise Conflict(str(error.orig)) from error
            row: Any = result.inserted_primary_key
            return replace(change.after, id=row.id)
        values = values_of(change)
        seen = {"row": change.before.id, "seen_state": int(change.before.state), "seen_version": change.before.version}
        if (
            self.connection.execute(update_of(self.statements.table, frozenset(values)), {**values, **seen}).rowcount
            != 1
        ):
            message = "another request wrote first"
            raise Conflict(message)
        return change.after

    def _read(self, statement: Any, values: dict[str, Any]) -> Sequence[Transaction]:
        return [transaction_of(row, self.key) for row in self.connection.execute(statement, values)]


@dataclass(frozen=True)
class AsyncSqlRepository:
    """The same, awaited: each call runs the lines above in the session's greenlet; `accounts` is awaited itself."""

    session: AsyncSession
    repository: SqlRepository
    accounts: Callable[[Fields], Awaitable[Account | None]]

    async def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """See `SqlRepository.find_transactions`."""
        find = self.repository.find_transactions
        return await in_greenlet(self.session, lambda: find(gateway, transaction_id, hold, for_update=for_update))

    async def find_account(self, fields: Fields) -> Account | None:
        """See `SqlRepository.find_account`."""
        return await self.accounts(fields)

    async def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """See `SqlRepository.list_transactions`."""
        return await in_greenlet(self.session, lambda: self.repository.list_transactions(gateway, start, end))

    async def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """See `SqlRepository.list_unpaid`."""
        return await in_greenlet(self.session, lambda: self.repository.list_unpaid(gateway, after, limit))

    async def save(self, change: Change) -> Transaction:
        """See `SqlRepository.save`."""
        return await in_greenlet(self.session, lambda: self.repository.save(change))
