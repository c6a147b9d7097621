"""The documented constructors: what a merchant writes becomes accounts and a gateway, checked once per configuration.

A handler is made for each request, so whatever takes time is cached; what cannot work is a `ConfigurationError` that
names the setting and the fix.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from paytechuz_core.click import Click
from paytechuz_core.decision import Gateway, Hook
from paytechuz_core.engine import Clock, epoch_millis
from paytechuz_core.hooks import Hooks
from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.payme import Payme
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql.accounts import Accounts, accounts_of
from paytechuz_core.sql.handler import AsyncSqlHandler, SqlHandler
from paytechuz_core.sql.model import PaymentMixin, PaymentTransaction, table_of

Keys: TypeAlias = str | Sequence[str] | Callable[[], str | Sequence[str]]
Som: TypeAlias = Decimal | int | str


class Settings:
    """What every provider's handler is told about the shop."""

    gateway: Gateway[Any, Any]

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
        handler: type = type(self)
        payments: type = payment_model
        check_hooks(handler)
        if not isinstance(threads, int) or threads < 1:
            message = f"threads must be a whole number from 1, not {threads!r}"
            raise ConfigurationError(message)
        self.db = own_session(db, handler)
        self.table = table_of(payments)
        self.clock = clock
        self.threads = threads
        self.accounts = accounts_of(
            account_model, several(account_field), several(account_column) if account_column else None, amount_field,
            one_time_payment, account_key_type, finds_otherwise(handler),
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
        self._set_up(
            db, account_model, account_field, amount_field, one_time_payment=one_time_payment,
            account_column=account_column, account_key_type=account_key_type, payment_model=payment_model,
            clock=clock, threads=threads,
        )  # fmt: skip
        self.payme_id = payme_id
        changes = type(self).change_password is not Hooks.change_password
        self.gateway = payme_of(
            self.accounts, several(account_field), payme_id,
            payme_key if callable(payme_key) else several(payme_key), login,
            minimum, maximum, held_code, changes, frozen(messages or {}),
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
        `threads` is as in PaymeSettings.
        """
        self._set_up(
            db, account_model, account_field, amount_field, one_time_payment=one_time_payment,
            account_column=account_column, account_key_type=account_key_type, payment_model=payment_model,
            clock=clock, threads=threads,
        )  # fmt: skip
        self.gateway = click_of(
            self.accounts, several(account_field), service_id,
            secret_key if callable(secret_key) else several(secret_key), commission_percent,
            minimum, maximum, action, lifetime,
        )  # fmt: skip


@lru_cache
def payme_of(
    accounts: Accounts,
    fields: tuple[str, ...],
    payme_id: str,
    keys: tuple[Any, ...] | Callable[[], str | Sequence[str]],
    login: str,
    minimum: Som | None,
    maximum: Som | None,
    held_code: int,
    changes_password: bool,  # noqa: FBT001 - a key of the cache
    messages: tuple[tuple[int, tuple[tuple[str, str], ...]], ...],
) -> Payme:
    """Build and check Payme's gateway of a configuration, once."""
    if not payme_id:
        message = "payme_id is empty: set it to the cash register's id from Payme's cabinet"
        raise ConfigurationError(message)
    least, most = bounds_of(minimum, maximum)
    return Payme(
        keys=keys_of("payme_key", "the cash register's key from Payme's cabinet", keys),
        login=login,
        fields=fields,
        hold_for=accounts.hold_for,
        minimum=least,
        maximum=most,
        held_code=held_code,
        changes_password=changes_password,
        messages={code: dict(texts) for code, texts in messages},
    )


@lru_cache
def click_of(
    accounts: Accounts,
    fields: tuple[str, ...],
    service_id: int | str,
    secrets: tuple[Any, ...] | Callable[[], str | Sequence[str]],
    commission_percent: Decimal | int | str,
    minimum: Som | None,
    maximum: Som | None,
    action: int | None,
    lifetime: timedelta,
) -> Click:
    """Build and check Click's gateway of a configuration, once."""
    if not str(service_id).isascii() or not str(service_id).isdigit():
        message = f"service_id must be the service's number from Click's cabinet, not {service_id!r}"
        raise ConfigurationError(message)
    if len(fields) != 1:
        message = "account_field must be one field: Click sends only merchant_trans_id"
        raise ConfigurationError(message)
    try:
        commission = Decimal(commission_percent) if type(commission_percent) in (Decimal, int, str) else None
    except InvalidOperation:
        commission = None
    if commission is None:
        message = f"commission_percent must be a Decimal, an int or their text, not {commission_percent!r}"
        raise ConfigurationError(message)
    if not isinstance(lifetime, timedelta) or lifetime < timedelta(0):
        message = f"lifetime must be a timedelta that is not negative, such as timedelta(hours=12), not {lifetime!r}"
        raise ConfigurationError(message)
    least, most = bounds_of(minimum, maximum)
    return Click(
        secrets=keys_of("secret_key", "the service's secret key from Click's cabinet", secrets),
        service_id=int(service_id),
        field=fields[0],
        hold_for=accounts.hold_for,
        minimum=least,
        maximum=most,
        commission_percent=commission,
        lifetime=lifetime // timedelta(milliseconds=1),
        action=action,
    )


def keys_of(
    setting: str, what: str, keys: tuple[Any, ...] | Callable[[], str | Sequence[str]]
) -> Callable[[], tuple[str, ...]]:
    """Give the keys that are valid now; those that are known at start must not be empty."""
    if inspect.iscoroutinefunction(keys):
        message = f"{setting} is an async function: give a plain one that reads the keys from memory"
        raise ConfigurationError(message)
    if callable(keys):
        return lambda: several(keys())
    if not keys or not all(isinstance(key, str) and key.strip() for key in keys):
        message = f"{setting} is empty or no text: set it to {what} (is its variable set?)"
        raise ConfigurationError(message)
    return lambda: keys


def bounds_of(minimum: Som | None, maximum: Som | None) -> tuple[Tiyin, Tiyin | None]:
    """Turn the limits of top-ups into tiyin."""
    least, most = bound("minimum", minimum or 0), None if maximum is None else bound("maximum", maximum)
    if most is not None and most < max(least, 1):
        message = f"maximum {maximum!r} is less than minimum: nothing could be paid"
        raise ConfigurationError(message)
    return least, most


@lru_cache
def check_hooks(handler: type[Any]) -> None:
    """Refuse `async def` where nothing awaits it: it would silently never run."""
    if not issubclass(handler, AsyncSqlHandler):
        for name in ("find_account", "is_payable", *Hook):
            if inspect.iscoroutinefunction(getattr(handler, name)):
                message = f"{handler.__name__}.{name} is async: make it a plain def, or use the Async… handler"
                raise ConfigurationError(message)


def finds_otherwise(handler: type[Any]) -> bool:
    """Tell whether the merchant finds the account."""
    found = handler.find_account
    return found not in (SqlHandler.find_account, AsyncSqlHandler.find_account)


def own_session(db: Any, handler: type[Any]) -> Any:
    """Give the session itself: a scoped session is another one in another thread."""
    session = db() if isinstance(db, (scoped_session, async_scoped_session)) else db
    wanted, other = (AsyncSession, "plain") if issubclass(handler, AsyncSqlHandler) else (Session, "Async…")
    if not isinstance(session, wanted):
        got = type(session).__name__
        message = (
            f"db must be a SQLAlchemy {wanted.__name__}, not {got}: for the other kind there is the {other} handler"
        )
        raise ConfigurationError(message)
    return session


def several(values: str | Sequence[str]) -> tuple[str, ...]:
    """Let one be several."""
    if values is None:
        return ()
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else (values,)


def bound(name: str, som: Som) -> Tiyin:
    """Read `minimum` or `maximum`."""
    try:
        if (tiyin := som_to_tiyin(som)) >= 0:
            return tiyin
        problem = "it is negative"
    except ValueError as error:
        problem = str(error)
    message = f"{name} must be an amount in som, not {som!r}: {problem}"
    raise ConfigurationError(message)


def frozen(messages: Mapping[int, Mapping[str, str]]) -> tuple[tuple[int, tuple[tuple[str, str], ...]], ...]:
    """Make the texts a key of the cache."""
    if not isinstance(messages, Mapping) or not all(
        isinstance(texts, Mapping) and all(isinstance(text, str) for text in texts.values())
        for texts in messages.values()
    ):
        message = "messages must be {code: {'ru': …, 'uz': …, 'en': …}}, with texts in it"
        raise ConfigurationError(message)
    return tuple((code, tuple(texts.items())) for code, texts in messages.items())
