"""What the settings reference calls a default is what a view does without the setting."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import override_settings

from docs.generate import REQUIRED, SETTINGS
from paytechuz_core.repository import ConfigurationError
from paytechuz_django.settings import ENVIRONMENT, KNOWN
from paytechuz_django.views import ClickWebhookView, PaymeWebhookView

VIEWS: Final = {"PAYME": PaymeWebhookView, "CLICK": ClickWebhookView}
BARE: Final[dict[str, dict[str, Any]]] = {
    "PAYME": {"PAYME_ID": "id", "PAYME_KEY": "key", "ACCOUNT_MODEL": "shop.Order"},
    "CLICK": {"SERVICE_ID": 1, "SECRET_KEY": "key", "ACCOUNT_MODEL": "shop.Order"},
}
OTHERS: Final[dict[str, Any]] = {
    "test_key": "sandbox", "account_field": "number", "account_column": "status", "account_key_type": str,
    "amount_field": "paid", "one_time_payment": False, "minimum": 1, "maximum": 5, "login": "Another",
    "held_code": -31008, "messages": {-31050: {"en": "no"}}, "commission_percent": 1, "action": 1,
    "lifetime": timedelta(hours=1), "allowed_addresses": "192.0.2.1", "trusted_proxies": "10.0.0.1",
}  # fmt: skip
OPTIONAL: Final = [
    (provider, name)
    for provider, names in KNOWN.items()
    for name in names
    if SETTINGS[name][0] != REQUIRED and name != "handler"
]


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with override_settings(PAYTECHUZ=BARE):
        yield


def made(provider: str, **settings: Any) -> tuple[Any, Any]:
    """Make a view, and give what it has read; both are made once of the same settings."""
    view: Any = VIEWS[provider](**settings)
    return view.gateway, view.accounts


@pytest.mark.parametrize(("provider", "name"), OPTIONAL)
def test_a_default_is_what_happens_without_the_setting(provider: str, name: str, alias: str) -> None:
    del alias
    default = eval(SETTINGS[name][0], {"timedelta": timedelta})  # noqa: S307 - a page of our own says it
    gateway, accounts = made(provider)
    same_gateway, same_accounts = made(provider, **{name: default})
    assert same_gateway is gateway
    assert same_accounts is accounts


@pytest.mark.parametrize(("provider", "name"), OPTIONAL)
def test_another_value_makes_a_difference(provider: str, name: str, alias: str) -> None:
    # The negative control: a wrong default would be noticed above.
    del alias
    settings = {name: OTHERS[name]}
    if name == "account_field":
        settings["account_column"] = "id"
    if name == "trusted_proxies":
        settings["allowed_addresses"] = "192.0.2.1"
    bare, other = made(provider), made(provider, **settings)
    assert other[0] is not bare[0] or other[1] is not bare[1]


@pytest.mark.parametrize("name", [name for name, (default, _) in SETTINGS.items() if default == REQUIRED])
def test_what_is_required_is_missed(name: str, alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del alias
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    (provider,) = [each for each, names in KNOWN.items() if name in names][:1]
    left = {key: value for key, value in BARE[provider].items() if key != name.upper()}
    with (
        override_settings(PAYTECHUZ={provider: left}),
        pytest.raises(ConfigurationError, match=rf"(?i){name}"),
    ):
        made(provider)


@pytest.mark.parametrize(("name", "variable"), ENVIRONMENT.items())
def test_what_may_come_from_the_environment_does(
    name: str, variable: str, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del alias
    (provider,) = [each for each, names in KNOWN.items() if name in names]
    left = {key: value for key, value in BARE[provider].items() if key != name.upper()}
    monkeypatch.setenv(variable, "1")
    with override_settings(PAYTECHUZ={provider: left}):
        made(provider)
