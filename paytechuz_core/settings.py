"""What a merchant writes becomes a gateway, checked once per configuration.

A handler is made for each request, so whatever takes time is cached; what cannot work is a `ConfigurationError` that
names the setting and the fix.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pkgutil import resolve_name
from typing import Any, Final, TypeAlias

from paytechuz_core.accounts import Accounts
from paytechuz_core.addresses import EVERYBODY, Callers, callers_of
from paytechuz_core.click import Click
from paytechuz_core.decision import Hook
from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.payme import Payme
from paytechuz_core.repository import ConfigurationError

Keys: TypeAlias = str | Sequence[str] | Callable[[], str | Sequence[str]]
Som: TypeAlias = Decimal | int | str
Addresses: TypeAlias = str | Iterable[str]

PROVIDERS: Final = frozenset({"PAYME", "CLICK"})
"""What a configuration calls them."""


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
    callers: Callers = EVERYBODY,
) -> Payme:
    """Build and check Payme's gateway of a configuration, once."""
    if not payme_id:
        message = "payme_id is empty: set it to the cash register's id from Payme's cabinet"
        raise ConfigurationError(message, "payme_id")
    if not isinstance(login, str) or not login:
        message = f'login must be a text, "Paycom" for every cash register, not {login!r}'
        raise ConfigurationError(message, "login")
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
        callers=callers,
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
    callers: Callers = EVERYBODY,
) -> Click:
    """Build and check Click's gateway of a configuration, once."""
    if not str(service_id).isascii() or not str(service_id).isdigit():
        # Not quoted: it may be the secret key, in the wrong place.
        message = "service_id must be the service's number from Click's cabinet: digits, nothing else"
        raise ConfigurationError(message, "service_id")
    if len(fields) != 1:
        message = "account_field must be one field: Click sends only merchant_trans_id"
        raise ConfigurationError(message, "account_field")
    try:
        commission = Decimal(commission_percent) if type(commission_percent) in (Decimal, int, str) else None
    except InvalidOperation:
        commission = None
    if commission is None:
        message = f"commission_percent must be a Decimal, an int or their text, not {commission_percent!r}"
        raise ConfigurationError(message, "commission_percent")
    if not isinstance(lifetime, timedelta) or lifetime < timedelta(0):
        message = f"lifetime must be a timedelta that is not negative, such as timedelta(hours=12), not {lifetime!r}"
        raise ConfigurationError(message, "lifetime")
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
        callers=callers,
    )


def keys_of(
    setting: str, what: str, keys: tuple[Any, ...] | Callable[[], str | Sequence[str]]
) -> Callable[[], tuple[str, ...]]:
    """Give the keys that are valid now; those that are known at start must not be empty."""
    if inspect.iscoroutinefunction(keys):
        message = f"{setting} is an async function: give a plain one that reads the keys from memory"
        raise ConfigurationError(message, setting)
    if callable(keys):
        return lambda: several(keys())
    if not keys or not all(isinstance(key, str) and key.strip() for key in keys):
        message = f"{setting} is empty or no text: set it to {what} (is its variable set?)"
        raise ConfigurationError(message, setting)
    return lambda: keys


def bounds_of(minimum: Som | None, maximum: Som | None) -> tuple[Tiyin, Tiyin | None]:
    """Turn the limits of top-ups into tiyin."""
    least, most = bound("minimum", minimum or 0), None if maximum is None else bound("maximum", maximum)
    if most is not None and most < max(least, 1):
        message = f"maximum {maximum!r} is less than minimum: nothing could be paid"
        raise ConfigurationError(message, "maximum")
    return least, most


def callers(allowed: Addresses | None, proxies: Addresses | None) -> Callers:
    """Give what `allowed_addresses` and `trusted_proxies` say."""
    texts = None if allowed is None else tuple(map(str, several(allowed)))
    return callers_of(texts, tuple(map(str, several(proxies))))


def check_kinds(fields: tuple[Any, ...], columns: tuple[Any, ...] | None, *, one_time_payment: Any, clock: Any) -> None:
    """Refuse settings of a wrong kind, which would be taken for something else: the text "False" is true."""
    if not isinstance(one_time_payment, bool):
        message = f"one_time_payment must be True or False, not {one_time_payment!r}"
        raise ConfigurationError(message, "one_time_payment")
    for setting, names in (("account_field", fields), ("account_column", columns or ())):
        if not all(isinstance(name, str) for name in names):
            message = f"{setting} must be a name, or a list of names, not {list(names)!r}"
            raise ConfigurationError(message, setting)
    if not callable(clock):
        message = f"clock must be a function that gives milliseconds since 1970, not {clock!r}"
        raise ConfigurationError(message, "clock")


@lru_cache
def check_hooks(handler: type[Any]) -> None:
    """Refuse `async def` where nothing awaits it: it would silently never run."""
    for name in ("find_account", "is_payable", *Hook):
        if inspect.iscoroutinefunction(getattr(handler, name)):
            message = f"{handler.__name__}.{name} is async: make it a plain def, or use the Async… handler"
            raise ConfigurationError(message)


def several(values: str | Iterable[str] | None) -> tuple[str, ...]:
    """Let one be several."""
    if values is None:
        return ()
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else (values,)


def several_or_callable(keys: Keys) -> tuple[Any, ...] | Callable[[], str | Sequence[str]]:
    """Let one key be several; a callable is asked at each call."""
    return keys if callable(keys) else several(keys)


def bound(name: str, som: Som) -> Tiyin:
    """Read `minimum` or `maximum`."""
    try:
        if (tiyin := som_to_tiyin(som)) >= 0:
            return tiyin
        problem = "it is negative"
    except ValueError as error:
        problem = str(error)
    message = f"{name} must be an amount in som, not {som!r}: {problem}"
    raise ConfigurationError(message, name)


def frozen(messages: Mapping[int, Mapping[str, str]]) -> tuple[tuple[int, tuple[tuple[str, str], ...]], ...]:
    """Make the texts a key of the cache."""
    if not isinstance(messages, Mapping) or not all(
        isinstance(texts, Mapping) and all(isinstance(text, str) for text in texts.values())
        for texts in messages.values()
    ):
        message = "messages must be {code: {'ru': …, 'uz': …, 'en': …}}, with texts in it"
        raise ConfigurationError(message, "messages")
    return tuple((code, tuple(texts.items())) for code, texts in messages.items())


def sections(where: str, config: Any) -> Mapping[str, Mapping[str, Any]]:
    """Give each provider's settings of a configuration: `{"PAYME": {…}, "CLICK": {…}}`, or one of them."""
    if not isinstance(config, Mapping) or not all(isinstance(each, Mapping) for each in config.values()):
        message = f'{where} must be {{"PAYME": {{…}}, "CLICK": {{…}}}}, or one of them, not a {type(config).__name__}'
        raise ConfigurationError(message)
    if unknown := sorted(map(str, config.keys() - PROVIDERS)):
        message = f"{where} has {unknown}, which no provider is called: there are {sorted(PROVIDERS)}"
        raise ConfigurationError(message)
    return config


def keywords_of(handler: type[Any], given: Mapping[str, Any], where: str, also: tuple[str, ...] = ()) -> dict[str, Any]:
    """Turn settings in capitals, as configurations have them, into the keywords of a handler's constructor.

    `also` are names that the adapter takes besides; all of them must be there. `where` is the configuration's name.
    """
    parameters = [each for name, each in inspect.signature(handler).parameters.items() if name != "db"]
    known = {name.upper(): name for name in (*(each.name for each in parameters), *also)}
    if unknown := sorted(map(str, given.keys() - known.keys())):
        message = f"{where} has {unknown}, which is no setting: there are {sorted(known)}"
        raise ConfigurationError(message)
    wanted = {*(each.name for each in parameters if each.default is each.empty), *also}
    if missing := sorted(name.upper() for name in wanted if name.upper() not in given):
        message = f"{where} must have {' and '.join(missing)}"
        raise ConfigurationError(message)
    return {known[name]: value for name, value in given.items()}


def named(setting: str, value: Any) -> Any:
    """Give the class that a setting is, or that its path names: `shop.models:Order` or `shop.models.Order`."""
    if not isinstance(value, str):
        return value
    try:
        return resolve_name(value)
    except (ValueError, ImportError, AttributeError) as error:
        message = f"{setting} must be a class or the path of one, such as 'shop.models:Order', not {value!r}: {error}"
        raise ConfigurationError(message) from error
