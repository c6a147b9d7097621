"""Handlers with a SQLAlchemy session, whatever their framework.

`SqlHandler` serves a `Session`, `AsyncSqlHandler` an `AsyncSession`; they stand side by side and differ by what is
awaited. Which provider they serve is their gateway's affair; the constructors are in `settings`. No module of this room
imports `sqlalchemy.ext.asyncio`, but for a type checker: that fails without greenlet, which only `AsyncSession` needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.orm import Session

from paytechuz_core.handler import AsyncHandler, SyncHandler
from paytechuz_core.sql.accounts import SqlAccounts
from paytechuz_core.sql.repository import AsyncSqlRepository, SqlRepository
from paytechuz_core.sql.statements import statements_for
from paytechuz_core.sql.unit import AsyncUnit, async_unit_of_work, give_back, in_greenlet, unit_of_work
from paytechuz_core.transaction import Fields

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")


class SqlHandler(SyncHandler):
    """A handler with a `Session`."""

    db: Session
    accounts: SqlAccounts
    table: Table
    threads: int

    @contextmanager
    def begin(self) -> Iterator[SqlRepository]:
        """Open one database transaction with the session joined to it."""
        try:
            with unit_of_work(self.db, self.accounts.model, self.table) as self._unit:
                statements = statements_for(self.table)
                yield SqlRepository(self._unit.connection, statements, self._account, self.accounts.restore)
        finally:
            self._forget()

    def release(self) -> None:
        """Give back the connection of a session that was used before; what may not be lost is refused by `respond`."""
        give_back(self.db)

    def _find(self, account: Fields) -> Any | None:
        return self.accounts.find(self.db, account)


class AsyncSqlHandler(AsyncHandler):
    """A handler with an `AsyncSession`; hooks may be `async def`."""

    db: AsyncSession
    accounts: SqlAccounts
    table: Table
    threads: int

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSqlRepository]:
        """Open one database transaction with the session joined to it."""
        try:
            async with async_unit_of_work(self.db, self.accounts.model, self.table) as unit:
                self._unit = AsyncUnit(self.db, unit)
                statements = statements_for(self.table)
                repository = SqlRepository(unit.connection, statements, nobody, self.accounts.restore)
                yield AsyncSqlRepository(self.db, repository, self._account)
        finally:
            self._forget()

    async def _find(self, account: Fields) -> Any | None:
        return await self._read(lambda: self.accounts.find(self.db.sync_session, account))

    async def _read(self, step: Callable[[], T]) -> T:
        return await in_greenlet(self.db, step)


def nobody(fields: Fields) -> None:
    """Stand in where the async repository asks the merchant itself."""
    del fields
