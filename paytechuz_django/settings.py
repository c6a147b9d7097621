"""`settings.PAYTECHUZ`: what it may say, and where else a view's settings come from.

    PAYTECHUZ = {
        "PAYME": {"PAYME_ID": "…", "PAYME_KEY": os.environ["PAYME_KEY"], "ACCOUNT_MODEL": "orders.Order"},
        "CLICK": {"SERVICE_ID": 12345, "SECRET_KEY": …, "ACCOUNT_MODEL": "orders.Order"},
    }

A setting is taken from `as_view(...)`, else from an attribute of the view class, else from here, else, for the keys and
ids, from the environment (`PAYME_ID`, `PAYME_KEY`, `CLICK_SERVICE_ID`, `CLICK_SECRET_KEY`).
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import sections

COMMON: Final = (
    "account_model",
    "account_field",
    "account_column",
    "account_key_type",
    "amount_field",
    "one_time_payment",
    "minimum",
    "maximum",
    "allowed_addresses",
    "trusted_proxies",
)
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "PAYME": ("payme_id", "payme_key", "test_key", *COMMON, "login", "held_code", "messages", "handler"),
    "CLICK": ("service_id", "secret_key", *COMMON, "commission_percent", "action", "lifetime", "handler"),
}
"""The settings of each provider, as a view class names them; `PAYTECHUZ` has them in capitals."""

CAPITALS: Final = {provider: frozenset(map(str.upper, names)) for provider, names in KNOWN.items()}

ENVIRONMENT: Final = {
    "payme_id": "PAYME_ID",
    "payme_key": "PAYME_KEY",
    "service_id": "CLICK_SERVICE_ID",
    "secret_key": "CLICK_SECRET_KEY",
}
"""What may come from the environment, so that no file needs to hold it."""


def told(provider: str, name: str) -> Any:
    """Give what the project says of a setting, or None."""
    given = section(provider).get(name.upper())
    if given is None and name in ENVIRONMENT:
        return os.environ.get(ENVIRONMENT[name])
    return given


def section(provider: str) -> Mapping[str, Any]:
    """Give `PAYTECHUZ[provider]`; a name that nobody knows is a mistake, and told at once."""
    given = sections("PAYTECHUZ", getattr(settings, "PAYTECHUZ", {})).get(provider, {})
    if unknown := sorted(map(str, given.keys() - CAPITALS[provider])):
        message = f"PAYTECHUZ[{provider!r}] has {unknown}, which is no setting: there are {sorted(CAPITALS[provider])}"
        raise ConfigurationError(message)
    return given
