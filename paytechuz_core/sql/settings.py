"""The documented constructors: what a merchant passes to a handler with a SQLAlchemy session."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session, scoped_session

from paytechuz_core.decision import Gateway
from paytechuz_core.engine import Clock, epoch_millis
from paytechuz_core.hooks import Hooks
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import (
    Addresses,
    Keys,
    Som,
    callers,
    check_hooks,
    check_kinds,
    click_of,
    frozen,
    payme_of,
    several,
    several_or_callable,
)
from paytechuz_core.sql.accounts import SqlAccounts, accounts_of
from paytechuz_core.sql.handler import AsyncSqlHandler
from paytechuz_core.sql.model import PaymentMixin, PaymentTransaction, table_of


class Settings:
    """What every provider's handler is told about the shop."""

    gateway: Gateway[Any, Any]
    accounts: SqlAccounts

    def _set_up(
        self: Any,
        db: Any,
        account_model: type,
        account_field: str | Sequence[str],
        amount_field: str | None,
        *,
        one_time_payment: bool,
        account_column: str | Sequence[str] | None,
        account_key_type: type | None,
        payment_model: type[PaymentMixin],
        clock: Clock,
        threads: int,
    ) -> None:
        handler: Any = type(self)
        payments: type = payment_model
        if not issubclass(handler, AsyncSqlHandler):
            check_hooks(handler)
        fields, columns = several(account_field), several(account_column) if account_column else None
        check_kinds(fields, columns, one_time_payment=one_time_payment, clock=clock)
        if not isinstance(threads, int) or threads < 1:
            message = f"threads must be a whole number from 1, not {threads!r}"
            raise ConfigurationError(message)
        self.db = own_session(db, handler)
        self.table = table_of(payments)
        self.clock = clock
        self.threads = threads
        self.accounts = accounts_of(
            account_model, fields, columns, amount_field, one_time_payment, account_key_type, handler.finds_otherwise(),
        )  # fmt: skip


class PaymeSettings(Settings):
    """The constructor of Payme's handlers."""

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
        allowed_addresses: Addresses | None = None,
        trusted_proxies: Addresses | None = None,
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
        Create says `held_code`. Calls from elsewhere than `allowed_addresses` (say, PAYME_ADDRESSES) are refused; your
        own proxies are `trusted_proxies`. `threads` is how many calls may be in the database at once where the adapter
        runs them in threads (FastAPI with a `Session`): keep it below the connections that your pool may open (15 by
        default).
        Fewer hooks than that may sleep without delaying any other call.
        """
        self._set_up(
            db, account_model, account_field, amount_field, one_time_payment=one_time_payment,
            account_column=account_column, account_key_type=account_key_type, payment_model=payment_model,
            clock=clock, threads=threads,
        )  # fmt: skip
        self.payme_id = payme_id
        changes = type(self).change_password is not Hooks.change_password
        self.gateway = payme_of(
            self.accounts, several(account_field), payme_id,
            several_or_callable(payme_key), login,
            minimum, maximum, held_code, changes, frozen(messages or {}), callers(allowed_addresses, trusted_proxies),
        )  # fmt: skip


class ClickSettings(Settings):
    """The constructor of Click's handlers."""

    def __init__(
        self: Any,
        db: Any,
        service_id: int | str,
        secret_key: Keys,
        account_model: type,
        account_field: str = "id",
        amount_field: str | None = "amount",
        commission_percent: Decimal | int | str = 0,
        one_time_payment: bool = True,  # noqa: FBT001, FBT002 - the documented signature
        *,
        account_column: str | None = None,
        account_key_type: type | None = None,
        minimum: Som | None = None,
        maximum: Som | None = None,
        action: int | None = None,
        lifetime: timedelta = timedelta(hours=12),
        allowed_addresses: Addresses | None = None,
        trusted_proxies: Addresses | None = None,
        payment_model: type[PaymentMixin] = PaymentTransaction,
        clock: Clock = epoch_millis,
        threads: int = 10,
    ) -> None:
        """Set the handler up; `ConfigurationError` names a setting that cannot work, and its fix.

        `secret_key` is the service's key; several, or a callable that gives them, while keys rotate. `account_field`
        names what `merchant_trans_id` is, `account_column` the model's column where it is called otherwise,
        `amount_field` the price in som, `commission_percent` what the customer pays on top of it.
        `one_time_payment=False` takes any number of payments from `minimum` to `maximum` som. `action` is 0 or 1 for a
        URL of only Prepare or only Complete. For `lifetime` a prepared attempt keeps another provider away.
        `allowed_addresses`, `trusted_proxies` and `threads` are as in PaymeSettings; Click publishes no addresses.
        """
        self._set_up(
            db, account_model, account_field, amount_field, one_time_payment=one_time_payment,
            account_column=account_column, account_key_type=account_key_type, payment_model=payment_model,
            clock=clock, threads=threads,
        )  # fmt: skip
        self.gateway = click_of(
            self.accounts, several(account_field), service_id,
            several_or_callable(secret_key), commission_percent,
            minimum, maximum, action, lifetime, callers(allowed_addresses, trusted_proxies),
        )  # fmt: skip


def own_session(db: Any, handler: type[Any]) -> Any:
    """Give the session itself: a scoped session is another one in another thread."""
    wanted: type
    scoped: type
    if issubclass(handler, AsyncSqlHandler):
        from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session  # noqa: PLC0415 - fails without greenlet

        wanted, scoped, other = AsyncSession, async_scoped_session, "plain"
    else:
        wanted, scoped, other = Session, scoped_session, "Async…"
    session = db() if isinstance(db, scoped) else db
    if not isinstance(session, wanted):
        got = type(session).__name__
        message = (
            f"db must be a SQLAlchemy {wanted.__name__}, not {got}: for the other kind there is the {other} handler"
        )
        raise ConfigurationError(message)
    return session
