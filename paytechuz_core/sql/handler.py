"""What every handler with a SQLAlchemy session shares, whatever its framework: hooks, accounts, one unit of work.

`SqlHandler` serves a `Session`, `AsyncSqlHandler` an `AsyncSession`; they stand side by side and differ by what is
awaited. Which provider they serve is their gateway's affair; the constructors are in `settings`.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from paytechuz_core.decision import Event, Gateway
from paytechuz_core.engine import Clock, arespond, respond
from paytechuz_core.hooks import Drafts, Hooks, call_hook, overrides
from paytechuz_core.inbound import Inbound
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql.accounts import Accounts
from paytechuz_core.sql.model import PaymentMixin
from paytechuz_core.sql.repository import AsyncSqlRepository, SqlRepository
from paytechuz_core.sql.statements import statements_for
from paytechuz_core.sql.unit import Unit, async_unit_of_work, give_back, in_greenlet, unit_of_work
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction


class Handler(Hooks):
    """What both kinds have: set by the constructor, and while a call runs its unit of work and its hooks' drafts."""

    accounts: Accounts
    gateway: Gateway[Any, Any]
    table: Table
    clock: Clock
    threads: int

    _unit: Unit | None = None
    _drafts: Drafts | None = None

    @property
    def unit(self) -> Unit:
        """The unit of work that is open."""
        if self._unit is None:
            message = "no call is being answered"
            raise RuntimeError(message)
        return self._unit

    def _inside(self, event: Event, drafts: Drafts) -> bool:
        """Tell whether a hook needs the savepoint: one that the merchant wrote, before COMMIT."""
        self._drafts = None if self._unit is None else drafts
        return self._unit is not None and overrides(self, event.hook)

    def _repository(self, unit: Unit, accounts: Callable[[Fields], Account | None]) -> SqlRepository:
        self._unit = unit
        return SqlRepository(unit.connection, statements_for(self.table), accounts, self.accounts.restore)

    def _forget(self) -> None:
        self._unit = self._drafts = None


class SqlHandler(Handler):
    """A handler with a `Session`."""

    db: Session

    def respond(self, inbound: Inbound) -> bytes:
        """Answer one request of the provider."""
        return respond(self.gateway, inbound, self.begin, self.fire, self.clock)

    def release(self) -> None:
        """Give back the connection of a session that was used before; what may not be lost is refused by `respond`."""
        give_back(self.db)

    @contextmanager
    def begin(self) -> Iterator[SqlRepository]:
        """Open one database transaction with the session joined to it."""
        try:
            with unit_of_work(self.db, self.accounts.model, self.table) as unit:
                yield self._repository(unit, self._account)
        finally:
            self._forget()

    def fire(self, event: Event, drafts: Drafts) -> Any:
        """Call a hook, and settle what it did to the database."""
        if not self._inside(event, drafts):
            return plain(call_hook(self, event, drafts))
        self.unit.enter(savepoint=True)
        answer = plain(call_hook(self, event, drafts))
        self.unit.settle()
        return answer

    def find_account(self, account: Fields) -> Any | None:
        """Give the merchant's object that the provider's account fields name, or None. May be overridden."""
        return self.accounts.find(self.db, account)

    def reopen(self, transaction: Transaction | PaymentMixin) -> None:
        """Let a refunded order be paid again. In a hook it is saved with the call, elsewhere at once."""
        named = transaction.gateway, transaction.transaction_id
        if self._drafts is not None:
            self._drafts.reopen(*named)
            return
        with self.begin() as repository:
            found = repository.find_transactions(*named, None, for_update=True)
            for change in reopened(found, self.clock()):
                repository.save(change)

    def _account(self, fields: Fields) -> Account | None:
        self.unit.enter(
            savepoint=overrides(self, "is_payable") or type(self).find_account is not SqlHandler.find_account
        )
        found = plain(self.find_account(fields))
        payable = found is not None and bool(plain(self.is_payable(found)))
        # Settled before it is read: reading what a hook's rollback expired begins anew, and would hide the rollback.
        self.unit.settle()
        account = None
        if found is not None:
            account = self.accounts.account(found, payable=payable)
            self.unit.settle()
        return account


class AsyncSqlHandler(Handler):
    """A handler with an `AsyncSession`; hooks may be `async def`."""

    db: AsyncSession

    async def respond(self, inbound: Inbound) -> bytes:
        """Answer one request of the provider."""
        return await arespond(self.gateway, inbound, self.begin, self.fire, self.clock)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSqlRepository]:
        """Open one database transaction with the session joined to it."""
        try:
            async with async_unit_of_work(self.db, self.accounts.model, self.table) as unit:
                yield AsyncSqlRepository(self.db, self._repository(unit, nobody), self._account)
        finally:
            self._forget()

    async def fire(self, event: Event, drafts: Drafts) -> Any:
        """Call a hook, and settle what it did to the database."""
        if not self._inside(event, drafts):
            return await awaited(call_hook(self, event, drafts))
        self.unit.enter(savepoint=True)
        answer = await awaited(call_hook(self, event, drafts))
        await in_greenlet(self.db, self.unit.settle)
        return answer

    async def find_account(self, account: Fields) -> Any | None:
        """Give the merchant's object that the provider's account fields name, or None. May be overridden."""
        return await self.db.run_sync(lambda session: self.accounts.find(session, account))

    async def reopen(self, transaction: Transaction | PaymentMixin) -> None:
        """Let a refunded order be paid again. In a hook it is saved with the call, elsewhere at once."""
        named = transaction.gateway, transaction.transaction_id
        if self._drafts is not None:
            self._drafts.reopen(*named)
            return
        async with self.begin() as repository:
            found = await repository.find_transactions(*named, None, for_update=True)
            for change in reopened(found, self.clock()):
                await repository.save(change)

    async def _account(self, fields: Fields) -> Account | None:
        own = overrides(self, "is_payable") or type(self).find_account is not AsyncSqlHandler.find_account
        self.unit.enter(savepoint=own)
        found = await self.find_account(fields)
        payable = found is not None and bool(await awaited(self.is_payable(found)))
        await in_greenlet(self.db, self.unit.settle)
        account = None
        if found is not None:
            account = await in_greenlet(self.db, partial(self.accounts.account, found, payable=payable))
            await in_greenlet(self.db, self.unit.settle)
        return account


def reopened(found: Sequence[Transaction], now: Millis) -> list[Change]:
    """Release the holds of refunded orders."""
    return [transaction.reopen(now) for transaction in found if transaction.hold is not None]


def plain(answer: Any) -> Any:
    """Refuse what nobody would await: a hook that is `async def` under a decorator would silently never run."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        message = "a hook of a handler with a Session is async: make it a plain def, or use the Async… handler"
        raise ConfigurationError(message)
    return answer


async def awaited(answer: Any) -> Any:
    """Await what a hook returned, if it was `async def`."""
    return await answer if inspect.isawaitable(answer) else answer


def nobody(fields: Fields) -> None:
    """Stand in where the async repository asks the merchant itself."""
    del fields
