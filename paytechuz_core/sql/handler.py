"""What every handler with a SQLAlchemy session shares, whatever its framework: hooks, accounts, one unit of work.

`SqlHandler` serves a `Session`, `AsyncSqlHandler` an `AsyncSession`; they stand side by side and differ by what is
awaited. `PaymeSettings` is the documented constructor, for both.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, TypeAlias

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from paytechuz_core.decision import Event, Gateway, Hook
from paytechuz_core.engine import Clock, arespond, epoch_millis, respond
from paytechuz_core.hooks import Drafts, Hooks, call_hook, overrides
from paytechuz_core.inbound import Inbound
from paytechuz_core.money import som_to_tiyin
from paytechuz_core.payme import Payme
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql.accounts import Accounts, accounts_of
from paytechuz_core.sql.model import PaymentMixin, PaymentTransaction, table_of
from paytechuz_core.sql.repository import AsyncSqlRepository, SqlRepository
from paytechuz_core.sql.statements import statements_for
from paytechuz_core.sql.unit import Unit, async_unit_of_work, in_greenlet, unit_of_work
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction

Keys: TypeAlias = str | Sequence[str] | Callable[[], str | Sequence[str]]
Som: TypeAlias = Decimal | int | str


class Handler(Hooks):
    """What both kinds have: set by the constructor, and while a call runs its unit of work and its hooks' drafts."""

    accounts: Accounts
    gateway: Gateway[Any, Any]
    table: Table
    clock: Clock

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
            return call_hook(self, event, drafts)
        self.unit.enter(savepoint=True)
        answer = call_hook(self, event, drafts)
        self.unit.settle()
        return answer

    def find_account(self, account: Fields) -> Any | None:
        """Give the merchant's object that the provider's account fields name, or None. May be overridden."""
        return self.accounts.find(self.db, account)

    def reopen(self, transaction: Transaction | PaymentMixin) -> None:
        """Let a refunded order be paid again. In a hook it is saved with the call, elsewhere at once."""
        if self._drafts is not None:
            self._drafts.reopen(transaction.gateway, transaction.transaction_id)
            return
        with self.begin() as repository:
            found = repository.find_transactions(transaction.gateway, transaction.transaction_id, None, for_update=True)
            for change in reopened(found, self.clock()):
                repository.save(change)

    def _account(self, fields: Fields) -> Account | None:
        self.unit.enter(
            savepoint=overrides(self, "is_payable") or type(self).find_account is not SqlHandler.find_account
        )
        found = self.find_account(fields)
        account = None if found is None else self.accounts.account(found, payable=bool(self.is_payable(found)))
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
        if self._drafts is not None:
            self._drafts.reopen(transaction.gateway, transaction.transaction_id)
            return
        async with self.begin() as repository:
            found = await repository.find_transactions(
                transaction.gateway, transaction.transaction_id, None, for_update=True
            )
            for change in reopened(found, self.clock()):
                await repository.save(change)

    async def _account(self, fields: Fields) -> Account | None:
        own = overrides(self, "is_payable") or type(self).find_account is not AsyncSqlHandler.find_account
        self.unit.enter(savepoint=own)
        found = await self.find_account(fields)
        if found is None:
            account = None
        else:
            payable = bool(await awaited(self.is_payable(found)))
            account = await in_greenlet(self.db, partial(self.accounts.account, found, payable=payable))
        await in_greenlet(self.db, self.unit.settle)
        return account


class PaymeSettings:
    """The constructor of Payme's handlers."""

    gateway: Gateway[Any, Any]

    def __init__(
        self: Any,
        db: Any,
        payme_id: str,
        payme_key: Keys,
        account_model: type,
        account_field: str | Sequence[str] = "id",
        amount_field: str | None = "amount",
        one_time_payment: bool = True,  # noqa: FBT001, FBT002 - the documented signature
        *,
        account_column: str | Sequence[str] | None = None,
        account_key_type: type | None = None,
        login: str = "Paycom",
        minimum: Som | None = None,
        maximum: Som | None = None,
        held_code: int = -31051,
        messages: Mapping[int, Mapping[str, str]] | None = None,
        payment_model: type[PaymentMixin] = PaymentTransaction,
        clock: Clock = epoch_millis,
        threads: int = 10,
    ) -> None:
        """Set the handler up; `ConfigurationError` names a setting that cannot work, and its fix.

        `payme_key` is the cash register's key; several, or a callable that gives them, while keys rotate.
        `account_field` is the account field set up for the cash register (or several), `account_column` the model's
        where it is called otherwise, `amount_field` the price in som. `one_time_payment=False` takes any number of
        payments from `minimum` to `maximum` som. `account_key_type` is for primary keys whose column hides their type.
        `messages` replaces texts: `{-31050: {"ru": …, "uz": …, "en": …}}`. Of an order that another transaction holds
        Create says `held_code`. `threads` is how many calls may be in the database at once where the adapter runs them
        in threads (FastAPI with a `Session`): keep it below the connections that your pool may open (15 by default).
        Fewer hooks than that may sleep without delaying any other call.
        """
        handler: type = type(self)
        self.payme_id = payme_id
        self.db = own_session(db, asynchronous=isinstance(self, AsyncSqlHandler))
        self.table = table_of(payment_model)
        self.clock = clock
        self.threads = threads
        self.accounts = accounts_of(
            account_model, several(account_field), several(account_column) if account_column else None, amount_field,
            one_time_payment, account_key_type,
        )  # fmt: skip
        self.gateway = payme_of(
            handler, self.accounts, payme_id, payme_key if callable(payme_key) else several(payme_key), login,
            minimum, maximum, held_code, frozen(messages or {}),
        )  # fmt: skip


@lru_cache
def payme_of(
    handler: type[Any],
    accounts: Accounts,
    payme_id: str,
    keys: tuple[Any, ...] | Callable[[], str | Sequence[str]],
    login: str,
    minimum: Som | None,
    maximum: Som | None,
    held_code: int,
    messages: tuple[tuple[int, tuple[tuple[str, str], ...]], ...],
) -> Payme:
    """Build and check the gateway of a configuration, once."""
    if not payme_id:
        message = "payme_id is empty: set it to the cash register's id from Payme's cabinet"
        raise ConfigurationError(message)
    if not callable(keys) and not (keys and all(isinstance(key, str) and key.strip() for key in keys)):
        message = "payme_key is empty: set it to the cash register's key from Payme's cabinet (is its variable set?)"
        raise ConfigurationError(message)
    if not issubclass(handler, AsyncSqlHandler):
        for name in ("find_account", "is_payable", *Hook):
            if inspect.iscoroutinefunction(getattr(handler, name)):
                message = f"{handler.__name__}.{name} is async: make it a plain def, or use AsyncPaymeWebhookHandler"
                raise ConfigurationError(message)
    return Payme(
        keys=lambda: several(keys() if callable(keys) else keys),
        login=login,
        fields=tuple(accounts.columns),
        hold_for=accounts.hold_for,
        minimum=1 if minimum is None else som_to_tiyin(minimum),
        maximum=None if maximum is None else som_to_tiyin(maximum),
        held_code=held_code,
        changes_password=handler.change_password is not Hooks.change_password,
        messages={code: dict(texts) for code, texts in messages},
    )


def own_session(db: Any, *, asynchronous: bool) -> Any:
    """Give the session itself: a scoped session is another one in another thread."""
    session = db() if isinstance(db, (scoped_session, async_scoped_session)) else db
    wanted, other = (AsyncSession, "PaymeWebhookHandler") if asynchronous else (Session, "AsyncPaymeWebhookHandler")
    if not isinstance(session, wanted):
        message = (
            f"db must be a SQLAlchemy {wanted.__name__}, not {type(session).__name__} (for the other kind see {other})"
        )
        raise ConfigurationError(message)
    return session


def several(values: str | Sequence[str]) -> tuple[str, ...]:
    """Let one be several."""
    return (values,) if isinstance(values, str) else tuple(values or ())


def frozen(messages: Mapping[int, Mapping[str, str]]) -> tuple[tuple[int, tuple[tuple[str, str], ...]], ...]:
    """Make the texts a key of the cache."""
    return tuple((code, tuple(texts.items())) for code, texts in messages.items())


def reopened(found: Sequence[Transaction], now: Millis) -> list[Change]:
    """Release the holds of refunded orders."""
    return [transaction.reopen(now) for transaction in found if transaction.hold is not None]


async def awaited(answer: Any) -> Any:
    """Await what a hook returned, if it was `async def`."""
    return await answer if inspect.isawaitable(answer) else answer


def nobody(fields: Fields) -> None:
    """Stand in where the async repository asks the merchant itself."""
    del fields
