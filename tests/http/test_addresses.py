"""The list of addresses, over HTTP: the peer as each framework knows it, and the header as each joins it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from paytechuz import PAYME_ADDRESSES, ConfigurationError
from tests.http.click import Click
from tests.http.clients import KEY, Client, basic

Open = Callable[..., Client]

PAYME, STRANGER, PROXY = "185.234.113.7", "203.0.113.9", "10.0.0.1"
LIST: Mapping[str, Any] = {"allowed_addresses": PAYME_ADDRESSES}
BEHIND = {**LIST, "trusted_proxies": [PROXY, "unix"]}
ASK = b'{"id": 9, "method": "CheckTransaction", "params": {"id": "unknown"}}'


def code(shop: Client, peer: str | None, **forwarded: str) -> int | None:
    """Ask with the right key."""
    shop.peer = peer
    headers = {name.replace("_", "-"): value for name, value in forwarded.items()}
    answer = shop.send(ASK, {"Authorization": basic(KEY), **headers})
    assert answer.json["id"] == 9
    return answer.code


def test_only_who_is_on_the_list_may_call(open_shop: Open) -> None:
    shop = open_shop(settings=LIST)
    assert code(shop, PAYME) == -31003
    assert code(shop, f"::ffff:{PAYME}") == -31003
    for stranger in (STRANGER, "127.0.0.1", "::1", None, "testclient"):
        assert code(shop, stranger) == -32504
        assert code(shop, stranger, X_Forwarded_For=PAYME) == -32504
    shop.peer = STRANGER
    with shop.database.watch() as traffic:
        shop.send(ASK)
    assert (traffic.statements, traffic.commits) == ([], 0)


def test_behind_proxies_the_caller_is_whom_they_name(open_shop: Open) -> None:
    shop = open_shop(settings=BEHIND)
    for peer in (PROXY, f"::ffff:{PROXY}", None):
        assert code(shop, peer, X_Forwarded_For=PAYME) == -31003
        assert code(shop, peer, X_Forwarded_For=f"spoofed, {PAYME}, {PROXY}") == -31003
        assert code(shop, peer, X_Forwarded_For=f"{PAYME}, {STRANGER}") == -32504
        assert code(shop, peer, X_Forwarded_For="unknown") == -32504
        assert code(shop, peer) == -32504
    assert code(shop, STRANGER, X_Forwarded_For=PAYME) == -32504
    assert code(shop, PAYME) == -31003


def test_a_header_that_comes_twice_is_read_to_its_end(open_shop: Open) -> None:
    """A proxy may leave the client's own header and write another below it."""
    shop = open_shop(settings=BEHIND)
    assert code(shop, PROXY, X_Forwarded_For=PAYME, x_forwarded_for=STRANGER) == -32504
    assert code(shop, PROXY, X_Forwarded_For=STRANGER, x_forwarded_for=PAYME) == -31003


def test_clicks_calls_from_elsewhere_are_not_signed_well_enough(open_shop: Open) -> None:
    shop = open_shop(click_settings={"allowed_addresses": [PAYME], "trusted_proxies": PROXY})
    order = shop.database.order()
    for peer, expected in ((STRANGER, -1), (PROXY, -1), (PAYME, 0)):
        shop.peer = peer
        assert Click(shop).prepare(7, order).error == expected
        assert len(shop.database.payments()) == (expected == 0)


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"allowed_addresses": ()}, "leave it out"),
        ({"allowed_addresses": "payme"}, "192.0.2.1"),
        ({"trusted_proxies": PROXY}, "allowed_addresses"),
        ({**LIST, "trusted_proxies": "0.0.0.0/0"}, "everybody"),
    ],
)
def test_a_list_that_cannot_work_is_said_with_its_fix(open_shop: Open, settings: Mapping[str, Any], fix: str) -> None:
    for which in ("settings", "click_settings"):
        shop = open_shop(**{which: settings})
        getattr(shop.app, "config", {})["PROPAGATE_EXCEPTIONS"] = True  # Flask would answer 500
        with pytest.raises(ConfigurationError, match=fix):
            shop.send(ASK) if which == "settings" else Click(shop).prepare(7, 1)
