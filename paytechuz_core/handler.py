"""What every handler shares, whatever its framework and its storage: a gateway, the hooks, one unit of work at a time.

`SyncHandler` and `AsyncHandler` stand side by side and differ by what is awaited. A storage's room gives them `begin`,
which opens one database transaction, and `_find`, which looks an account up; an adapter gives them the request.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from paytechuz_core.decision import Event, Gateway
from paytechuz_core.engine import Clock, ainsist, arespond, aundertake, epoch_millis, insist, respond, undertake
from paytechuz_core.hooks import Drafts, Hooks, call_hook, overrides, plain
from paytechuz_core.inbound import Inbound
from paytechuz_core.repository import AsyncRepository, Repository
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction

JSON: Final = "application/json; charset=UTF-8"
"""The content type of every answer."""

OTHER_METHODS: Final = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""What a route answers besides POST, because the providers want an error of theirs with HTTP 200."""

CONSUMED: Final = (
    "the request's body was read before the webhook handler: let no dependency or middleware read it, "
    "nor a `before_request` function read it as a form"
)
"""What is logged where something of the merchant's left no body to read."""

PAGE = 500
"""How many transactions are looked through at a time where there may be any number."""

T = TypeVar("T")


class Expiry(NamedTuple):
    """What `expire` did: how many transactions it cancelled, and how many it could not (the log says why)."""

    expired: int
    failed: int

    def __str__(self) -> str:
        """Say it."""
        return f"{self.expired} expired, {self.failed} failed"


AGAIN: Final = "what failed is as it was, and the next run tries it again; the log `paytechuz` says why it failed"


class Named(Protocol):
    """Anything that says which transaction it is: a `Transaction`, or a row of the table."""

    @property
    def gateway(self) -> str:
        """The provider."""

    @property
    def transaction_id(self) -> str:
        """The provider's id."""


class Unit(Protocol):
    """One database transaction that is open, as a handler sees it."""

    def hook(self, *, savepoint: bool) -> AbstractContextManager[None]:
        """Surround the merchant's code: what it did to the database is there afterwards, or this raises."""


class AsyncUnit(Protocol):
    """The same, awaited."""

    def hook(self, *, savepoint: bool) -> AbstractAsyncContextManager[None]:
        """See `Unit.hook`."""


class Store(Repository, Protocol):
    """A repository that can be looked through besides."""

    def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """Give the first `limit` transactions in INITIATING whose row's number is above `after`, by that number."""


class AsyncStore(AsyncRepository, Protocol):
    """The same, awaited."""

    async def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """See `Store.list_unpaid`."""


class Handler(Hooks):
    """What both kinds have: the configuration, and while a call runs its unit of work and its hooks' drafts."""

    accounts: Any
    gateway: Gateway[Any, Any]
    clock: Clock = staticmethod(epoch_millis)

    _unit: Any = None
    _drafts: Drafts | None = None

    @classmethod
    def finds_otherwise(cls) -> bool:
        """Tell whether the merchant finds the account."""
        found = getattr(cls, "find_account", None)
        return found not in (SyncHandler.find_account, AsyncHandler.find_account)

    def _inside(self, event: Event, drafts: Drafts) -> bool:
        """Tell whether a hook needs the savepoint: one that the merchant wrote, before COMMIT."""
        self._drafts = None if self._unit is None else drafts
        return self._unit is not None and overrides(self, event.hook)

    def _asks_the_merchant(self) -> bool:
        """Tell whether the merchant's code takes part in finding an account."""
        return self.finds_otherwise() or overrides(self, "is_payable")

    def _forget(self) -> None:
        self._unit = self._drafts = None


class SyncHandler(Handler):
    """A handler whose storage and hooks are plain functions."""

    def respond(self, inbound: Inbound) -> bytes:
        """Answer one request of the provider."""
        return respond(self.gateway, inbound, self.begin, self.fire, self.clock)

    def begin(self) -> AbstractContextManager[Store]:
        """Open one database transaction: commit on exit, roll back on error."""
        raise NotImplementedError

    def fire(self, event: Event, drafts: Drafts) -> Any:
        """Call a hook, and settle what it did to the database."""
        if not self._inside(event, drafts):
            return plain(call_hook(self, event, drafts))
        with self._unit.hook(savepoint=True):
            return plain(call_hook(self, event, drafts))

    def find_account(self, account: Fields) -> Any | None:
        """Give the merchant's object that the provider's account fields name, or None. May be overridden."""
        return self._find(account)

    def _find(self, account: Fields) -> Any | None:
        raise NotImplementedError

    def reopen(self, transaction: Named) -> None:
        """Let a refunded order be paid again. In a hook it is saved with the call, elsewhere at once."""
        named = transaction.gateway, transaction.transaction_id
        if self._drafts is not None:
            self._drafts.reopen(*named)
            return

        def at_once() -> None:
            with self.begin() as repository:
                found = repository.find_transactions(*named, None, for_update=True)
                for change in reopened(found, self.clock()):
                    repository.save(change)

        insist(at_once)

    def expire(self) -> Expiry:
        """Cancel every unpaid transaction that is past its time, with the hooks, each in a database transaction.

        Payme's only: an attempt of Click is honoured whenever its Complete comes. Without it such a transaction is
        cancelled when Payme next asks, or when another wants its order. Safe to run anywhere, any number of times.
        """
        expired = failed = 0
        for transaction in self._unpaid():
            if (call := self.gateway.expiry(transaction, self.clock())) is not None:
                reply = undertake(self.gateway, call, self.begin, self.fire, self.clock)
                expired, failed = expired + bool(reply), failed + (reply is None)
        return Expiry(expired, failed)

    def _unpaid(self) -> Iterator[Transaction]:
        last = 0
        while page := insist(partial(self._unpaid_after, last)):
            yield from page
            last = page[-1].id or 0

    def _unpaid_after(self, last: int) -> Sequence[Transaction]:
        with self.begin() as repository:
            return repository.list_unpaid(self.gateway.name, last, PAGE)

    def _account(self, fields: Fields) -> Account | None:
        with self._unit.hook(savepoint=self._asks_the_merchant()):
            found = plain(self.find_account(fields))
            payable = found is not None and bool(plain(self.is_payable(found)))
        # Settled before it is read: reading what a hook's rollback expired begins anew, and would hide the rollback.
        if found is None:
            return None
        with self._unit.hook(savepoint=False):
            account: Account = self.accounts.account(found, payable=payable)
            return account


class AsyncHandler(Handler):
    """A handler whose storage is awaited; hooks may be `async def`."""

    async def respond(self, inbound: Inbound) -> bytes:
        """Answer one request of the provider."""
        return await arespond(self.gateway, inbound, self.begin, self.fire, self.clock)

    def begin(self) -> AbstractAsyncContextManager[AsyncStore]:
        """Open one database transaction: commit on exit, roll back on error."""
        raise NotImplementedError

    async def fire(self, event: Event, drafts: Drafts) -> Any:
        """Call a hook, and settle what it did to the database."""
        if not self._inside(event, drafts):
            return await awaited(call_hook(self, event, drafts))
        async with self._unit.hook(savepoint=True):
            return await awaited(call_hook(self, event, drafts))

    async def find_account(self, account: Fields) -> Any | None:
        """Give the merchant's object that the provider's account fields name, or None. May be overridden."""
        return await self._find(account)

    async def _find(self, account: Fields) -> Any | None:
        raise NotImplementedError

    async def reopen(self, transaction: Named) -> None:
        """Let a refunded order be paid again. In a hook it is saved with the call, elsewhere at once."""
        named = transaction.gateway, transaction.transaction_id
        if self._drafts is not None:
            self._drafts.reopen(*named)
            return

        async def at_once() -> None:
            async with self.begin() as repository:
                found = await repository.find_transactions(*named, None, for_update=True)
                for change in reopened(found, self.clock()):
                    await repository.save(change)

        await ainsist(at_once)

    async def expire(self) -> Expiry:
        """Cancel every unpaid transaction that is past its time: see `SyncHandler.expire`."""
        expired = failed = 0
        async for transaction in self._unpaid():
            if (call := self.gateway.expiry(transaction, self.clock())) is not None:
                reply = await aundertake(self.gateway, call, self.begin, self.fire, self.clock)
                expired, failed = expired + bool(reply), failed + (reply is None)
        return Expiry(expired, failed)

    async def _unpaid(self) -> AsyncIterator[Transaction]:
        last = 0
        while page := await ainsist(partial(self._unpaid_after, last)):
            for transaction in page:
                yield transaction
            last = page[-1].id or 0

    async def _unpaid_after(self, last: int) -> Sequence[Transaction]:
        async with self.begin() as repository:
            return await repository.list_unpaid(self.gateway.name, last, PAGE)

    async def _account(self, fields: Fields) -> Account | None:
        async with self._unit.hook(savepoint=self._asks_the_merchant()):
            found = await self.find_account(fields)
            payable = found is not None and bool(await awaited(self.is_payable(found)))
        if found is None:
            return None
        async with self._unit.hook(savepoint=False):
            return await self._read(lambda: self.accounts.account(found, payable=payable))

    async def _read(self, step: Callable[[], T]) -> T:
        """Read the merchant's object, which may ask the database for more of it."""
        raise NotImplementedError


async def awaited(answer: Any) -> Any:
    """Await what a hook returned, if it was `async def`."""
    return await answer if inspect.isawaitable(answer) else answer


def reopened(found: Sequence[Transaction], now: Millis) -> list[Change]:
    """Release the holds of refunded orders."""
    return [transaction.reopen(now) for transaction in found if transaction.hold is not None]
