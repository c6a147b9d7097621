"""What is wrong with the project, told by `manage.py check`: the setting by name, and its fix.

Nothing is judged here that the views do not judge themselves: a check makes each view that the project routes, as a
request would, and tells what it said. Connections are opened by `check --database` alone, and no message shows a key.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from traceback import extract_tb
from typing import Any, Final

import django
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name
from django.db import connections, router
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_protect

from paytechuz_core.doctor import REAL_KEY, is_placeholder
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import several
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.routes import Webhook, handler_of, unwrapped, webhooks
from paytechuz_django.settings import KNOWN, section
from paytechuz_django.store import check_commits

PROBLEMS: Final = {
    "E001": '`PAYTECHUZ` has a name that nobody knows, or another shape than `{"PAYME": {…}, "CLICK": {…}}`',
    "E002": "`HANDLER` cannot be imported, or is no view of that provider",
    "E003": "a key or an id is missing, empty or of a wrong form",
    "E004": "`ACCOUNT_MODEL` is missing, or no model",
    "E005": "the account's field is not in the model, or nothing that accounts can be found by",
    "E006": "the amount's field is not in the model, or a float",
    "E007": "payments and orders are in different databases",
    "E008": "another setting has a value that cannot work",
    "E009": "the view class itself cannot work: a hook is `async def`, or making the view raises",
    "E010": "the view is behind CSRF protection, so every call is answered with 403",
    "E011": "the view is inside `ATOMIC_REQUESTS`, so every call fails",
    "E012": "`AUTOCOMMIT` is off, so nothing would be committed",
    "E013": "the database has no database transactions (only with `check --database`)",
    "W001": "`TEST_KEY` is set while `DEBUG` is off: whoever knows it can mark orders paid",
    "W002": "a key looks like an example, not like a key",
    "W003": "MariaDB or MySQL is spoken to without `utf8mb4`, as Django before 5.2 does: an emoji in an account fails",
}
"""Every check by its number; what Django shows and silences is `paytechuz.E001`."""

SETTINGS: Final[Mapping[str | None, str]] = {
    **dict.fromkeys(("payme_id", "payme_key", "service_id", "secret_key"), "E003"),
    "account_model": "E004",
    **dict.fromkeys(("account_field", "account_column", "account_key_type"), "E005"),
    "amount_field": "E006",
    "DATABASE_ROUTERS": "E007",
    None: "E009",
}
"""Which check tells of a setting at fault; E008 tells of all others."""

KEYS: Final = {"PAYME": ("payme_key", "test_key"), "CLICK": ("secret_key",)}
WRAPS: Final = "Let what decorates the view use functools.wraps, or put csrf_exempt and non_atomic_requests around it."
UNDECORATED: Final = "Decorate neither the view class nor its dispatch with csrf_protect."

Apps = Sequence[AppConfig] | None


@register("paytechuz")
def check_webhooks(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings, and every webhook that is routed or named."""
    del app_configs, kwargs
    try:
        for provider in KNOWN:
            section(provider)
    except ConfigurationError as error:
        return [problem("E001", str(error), "See the settings' names in the reference.", "PAYTECHUZ")]
    routed = list(webhooks())
    as_routed = {each.view_class for each in routed if not each.settings}
    return unique((*problems_of_handlers(as_routed), *(each for webhook in routed for each in problems_of(webhook))))


@register("paytechuz", Tags.database)
def check_database(app_configs: Apps, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the payments' database has transactions."""
    del app_configs, kwargs
    using = router.db_for_write(PaymentTransaction)
    if using not in (databases or ()) or connections[using].features.supports_transactions:
        return []
    seen = f"the database {using!r} has no database transactions: a payment and what your hook writes need one"
    return [problem("E013", seen, "On MySQL let the storage engine be InnoDB.", f"DATABASES[{using!r}]")]


def problems_of_handlers(as_routed: Container[type]) -> Iterator[CheckMessage]:
    """Say what is wrong with the views that HANDLER names, unless the very same are routed."""
    for provider in KNOWN:
        where = f'PAYTECHUZ["{provider}"]["HANDLER"]'
        try:
            found = handler_of(provider)
        except ConfigurationError as error:
            yield problem("E002", str(error), None, where)
        except Exception as error:  # noqa: BLE001 - whatever a module raises when it is imported
            yield problem("E002", f"importing it raised {type(error).__name__}{place_of(error)}", None, where)
        else:
            if found is not None and found not in as_routed:
                yield from problems_of(Webhook(found))


def problems_of(webhook: Webhook) -> Iterator[CheckMessage]:
    """Say what is wrong with a webhook, if anything is."""
    try:
        view = webhook.view()
    except ConfigurationError as error:
        known = error.setting in KNOWN[webhook.view_class.provider]
        hint = webhook.source(str(error.setting)) if known else None
        yield problem(SETTINGS.get(error.setting, "E008"), str(error), hint, webhook)
    except Exception as error:  # noqa: BLE001 - the shop's own code; its text could quote a key
        yield problem("E009", f"making the view raises {type(error).__name__}{place_of(error)}", None, webhook)
    else:
        yield from problems_of_keys(webhook, view)
        yield from problems_of_connection(webhook, view.using)
    if webhook.callback is not None and is_protected(webhook):
        yield problem("E010", "CSRF protection answers 403 before the view", csrf_fix(webhook), webhook)


def problems_of_keys(webhook: Webhook, view: Any) -> Iterator[CheckMessage]:
    """Say what is dangerous about keys that work; a callable is not called, because it may need a database."""
    for name in KEYS[webhook.view_class.provider]:
        keys = webhook.given(view, name)
        if keys and name == "test_key" and not settings.DEBUG:
            seen = "test_key is valid while DEBUG is off: whoever knows the sandbox's key can mark orders paid"
            yield problem("W001", seen, f"Remove it once the cash register is live. {webhook.source(name)}", webhook)
        if not callable(keys) and any(map(is_placeholder, filter(None, several(keys)))):
            seen = f"{name} looks like an example, not like a key: {REAL_KEY}"
            yield problem("W002", seen, webhook.source(name), webhook)


def problems_of_connection(webhook: Webhook, using: str) -> Iterator[CheckMessage]:
    """Say what keeps a payment from being committed."""
    connection = connections[using]
    try:
        check_commits(connection)
    except ConfigurationError as error:
        yield problem("E012", str(error), None, f"DATABASES[{using!r}]")
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "mysql" and django.VERSION < (5, 2) and options.get("charset") != "utf8mb4":
        seen = f"DATABASES[{using!r}] speaks a character set without emoji, so an account with one is a system error"
        yield problem("W003", seen, 'Let its OPTIONS have "charset": "utf8mb4".', f"DATABASES[{using!r}]")
    spared = getattr(webhook.callback, "_non_atomic_requests", ())
    if webhook.callback is not None and connection.settings_dict.get("ATOMIC_REQUESTS") and using not in spared:
        yield problem("E011", f"ATOMIC_REQUESTS of {using!r} begins a database transaction around it", WRAPS, webhook)


def is_protected(webhook: Webhook) -> bool:
    """Tell whether CSRF protection answers in place of the view."""
    exempt = getattr(webhook.callback, "csrf_exempt", False)
    return protects(webhook.view_class.dispatch) or (not exempt and any(map(is_csrf_middleware, settings.MIDDLEWARE)))


def csrf_fix(webhook: Webhook) -> str:
    """Say how it would answer."""
    return UNDECORATED if protects(webhook.view_class.dispatch) else WRAPS


def protects(dispatch: Any) -> bool:
    """Tell whether `csrf_protect` is among what decorates a method."""
    return any(each is csrf_protect for each in unwrapped(dispatch))


def is_csrf_middleware(path: str) -> bool:
    """Tell whether a middleware is Django's CSRF protection, or built on it."""
    with suppress(ImportError):
        found = import_string(path)
        return isinstance(found, type) and issubclass(found, CsrfViewMiddleware)
    return False


def place_of(error: Exception) -> str:
    """Say where an error came from, without its text."""
    last = extract_tb(error.__traceback__)[-1]
    return f", {last.filename}:{last.lineno}"


def problem(number: str, seen: str, hint: str | None, obj: object) -> CheckMessage:
    """Make Django's message."""
    kind = Error if number.startswith("E") else Warning
    return kind(seen, hint=hint, obj=str(obj), id=f"paytechuz.{number}")


def unique(messages: Iterable[CheckMessage]) -> list[CheckMessage]:
    """Say each thing once."""
    seen: list[CheckMessage] = []
    for message in messages:
        if message not in seen:
            seen.append(message)
    return seen
