"""The documented constructors: what a merchant writes becomes accounts and a gateway, checked once per configuration.

A handler is made for each request, so whatever takes time is cached; what cannot work is a `ConfigurationError` that
names the setting and the fix.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from paytechuz_core.decision import Gateway, Hook
from paytechuz_core.engine import Clock, epoch_millis
from paytechuz_core.hooks import Hooks
from paytechuz_core.money import som_to_tiyin
from paytechuz_core.payme import Payme
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql.accounts import Accounts, accounts_of
from paytechuz_core.sql.handler import AsyncSqlHandler
from paytechuz_core.sql.model import PaymentMixin, PaymentTransaction, table_of

Keys: TypeAlias = str | Sequence[str] | Callable[[], str | Sequence[str]]
Som: TypeAlias = Decimal | int | str


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
