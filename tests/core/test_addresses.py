"""Who calls: the peer, or whom a trusted proxy names; and who of them is let in."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import PAYME_ADDRESSES, ConfigurationError, Inbound
from paytechuz_core.addresses import EVERYBODY, Callers, address_in
from paytechuz_core.settings import callers
from tests.core import click_wire, wire

PAYME = "185.234.113.7"
STRANGER = "203.0.113.9"
PROXY, CDN = "10.0.0.1", "198.51.100.4"
DIRECT = callers(PAYME_ADDRESSES, None)
BEHIND = callers(PAYME_ADDRESSES, [PROXY, "198.51.100.0/24", "unix"])


def inbound(peer: str | None, forwarded: str | None = None) -> Inbound:
    return Inbound("POST", {} if forwarded is None else {"x-forwarded-for": forwarded}, b"", peer)


def test_payme_calls_from_fifteen_addresses() -> None:
    assert list(PAYME_ADDRESSES) == [f"185.234.113.{last}" for last in range(1, 16)]


def test_without_a_list_everybody_may_call() -> None:
    assert all(EVERYBODY.admit(inbound(peer)) for peer in (PAYME, STRANGER, None, "", "garbage"))
    assert callers(None, None) is EVERYBODY


@pytest.mark.parametrize("peer", ["185.234.113.1", "185.234.113.15", "::ffff:185.234.113.7", " 185.234.113.7 "])
def test_who_is_on_the_list_is_let_in(peer: str) -> None:
    assert DIRECT.admit(inbound(peer))


@pytest.mark.parametrize(
    "peer",
    [
        "185.234.113.0",
        "185.234.113.16",
        STRANGER,
        "::1",
        "::ffff:203.0.113.9",
        "::185.234.113.7",
        "",
        None,
        "testclient",
    ],
)
def test_who_is_not_on_the_list_is_not(peer: str | None) -> None:
    assert not DIRECT.admit(inbound(peer))


@pytest.mark.parametrize("forwarded", [PAYME, f"{PAYME}, {PAYME}", "", "garbage"])
def test_without_trusted_proxies_the_header_is_not_looked_at(forwarded: str) -> None:
    assert not DIRECT.admit(inbound(STRANGER, forwarded))
    assert DIRECT.admit(inbound(PAYME, forwarded))


HOPS: list[tuple[str | None, str | None, str | None]] = [
    # the peer, what X-Forwarded-For says, and who calls
    (PROXY, PAYME, PAYME),
    (PROXY, f"{PAYME}, {CDN}", PAYME),
    (PROXY, f"{PAYME},{CDN},{PROXY}", PAYME),
    (PROXY, f"  {PAYME}  ", PAYME),
    # what stands left of the first who is not trusted was written by him
    (PROXY, f"{PAYME}, {STRANGER}", STRANGER),
    (PROXY, f"{PAYME}, {STRANGER}, {CDN}", STRANGER),
    (PROXY, f"{PAYME}, {PROXY}, {STRANGER}", STRANGER),
    (PROXY, f"nonsense, {PAYME}", PAYME),
    (PROXY, f", {PAYME}", PAYME),
    # a peer who is no trusted proxy may say what he likes
    (STRANGER, PAYME, STRANGER),
    (PAYME, STRANGER, PAYME),
    ("10.0.0.2", PAYME, "10.0.0.2"),
    # nobody can tell
    (PROXY, "", None),
    (PROXY, "unknown", None),
    (PROXY, f"{PAYME}, ", None),
    (PROXY, f"{PAYME}, _hidden", None),
    (PROXY, f"{PAYME}; {PAYME}", None),
    (PROXY, f"for={PAYME}", None),
    # the proxy calls for itself
    (PROXY, None, PROXY),
    (PROXY, CDN, CDN),
    # a Unix socket
    (None, PAYME, PAYME),
    ("", PAYME, PAYME),
    ("", f"{PAYME}, {STRANGER}", STRANGER),
    (None, None, None),
    # as some proxies write it
    (PROXY, f"{PAYME}:50123", PAYME),
    (PROXY, f"[::ffff:{PAYME}]:50123", PAYME),
    (PROXY, "[2001:db8::1]", "2001:db8::1"),
    (f"::ffff:{PROXY}", PAYME, PAYME),
    (f"[{PROXY}]", PAYME, PAYME),
]


@pytest.mark.parametrize(("peer", "forwarded", "client"), HOPS)
def test_the_caller_is_the_right_most_who_is_no_trusted_proxy(
    peer: str | None, forwarded: str | None, client: str | None
) -> None:
    assert BEHIND.client(inbound(peer, forwarded)) == (None if client is None else ip_address(client))
    assert BEHIND.admit(inbound(peer, forwarded)) == (client == PAYME)


@pytest.mark.parametrize("peer", [None, ""])
def test_a_unix_socket_is_believed_only_where_that_is_said(peer: str | None) -> None:
    assert not callers(PAYME_ADDRESSES, [PROXY]).admit(inbound(peer, PAYME))
    assert callers(PAYME_ADDRESSES, "unix").admit(inbound(peer, PAYME))


@pytest.mark.parametrize(
    "hop",
    [
        "", " ", ":", "[", "]", "[]", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4:", "1.2.3.4:x",
        "1.2.3.4:٣", "1.2.3.4:123456", "[::1]x", "[::1]:", "[::1", "::1]:5", ":::", "1.2.3.4/32", "localhost", "0x7f.1",
        "１.2.3.4", "1;2",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(hop: str) -> None:
    assert address_in(hop) is None


LETTERS = st.text("0123456789abcdef.:[]%/, x\t", max_size=60)


@given(st.none() | LETTERS | st.text(max_size=20), st.none() | LETTERS | st.text(max_size=40))
def test_whatever_stands_there_somebody_calls_or_nobody_knows(peer: str | None, forwarded: str | None) -> None:
    BEHIND.admit(inbound(peer, forwarded))


@given(st.lists(st.sampled_from((PAYME, PROXY, CDN, "junk", "")), max_size=4))
def test_nothing_a_stranger_writes_lets_him_in(written: list[str]) -> None:
    assert not BEHIND.admit(inbound(PROXY, ", ".join([*written, STRANGER])))
    assert not BEHIND.admit(inbound(STRANGER, ", ".join(written)))


# The answers


def test_a_stranger_is_answered_as_one_with_a_wrong_key() -> None:
    payme = replace(wire.PAYME, callers=DIRECT)
    body = wire.encoded(wire.check())
    right, wrong = {"authorization": wire.basic()}, {"authorization": wire.basic(password="wrong")}
    refused = wire.rejection(Inbound("POST", right, body, STRANGER), payme)
    assert refused == wire.rejection(Inbound("POST", wrong, body, PAYME), payme)
    assert (refused["code"], refused["id"]) == (-32504, 1)
    assert payme.parse(Inbound("POST", right, body, PAYME)).id == 1
    click = replace(click_wire.CLICK, callers=DIRECT)
    form = click_wire.encoded(click_wire.prepare())
    assert click_wire.rejected(Inbound("POST", {}, form, STRANGER), click)["error"] == -1
    assert click.parse(Inbound("POST", {}, form, PAYME)).order == "42"


# The settings


@pytest.mark.parametrize(
    "allowed", ["192.0.2.0/24", ["192.0.2.7"], (ip_address("192.0.2.7"),), {ip_network("192.0.2.0/28")}]
)
def test_a_list_is_addresses_and_networks(allowed: Any) -> None:
    made = callers(allowed, None)
    assert made.admit(inbound("192.0.2.7"))
    assert not made.admit(inbound("192.0.3.7"))
    assert isinstance(made, Callers)


WRONG: list[tuple[Any, Any, str, str]] = [
    ([], None, "allowed_addresses", "leave it out"),
    ("", None, "allowed_addresses", 'such as "192.0.2.1"'),
    (5, None, "allowed_addresses", 'such as "192.0.2.1"'),
    (["185.234.113.5/28"], None, "allowed_addresses", "host bits"),
    (["185.234.113.1-15"], None, "allowed_addresses", 'networks such as "192.0.2.0/24"'),
    ([["192.0.2.1"]], None, "allowed_addresses", "addresses"),
    (["payme.uz"], None, "allowed_addresses", "addresses"),
    (["unix"], None, "allowed_addresses", "addresses"),
    (["::ffff:192.0.2.1"], None, "allowed_addresses", "as IPv4"),
    (None, [PROXY], "trusted_proxies", "allowed_addresses"),
    (PAYME_ADDRESSES, ["*"], "trusted_proxies", 'or "unix"'),
    (PAYME_ADDRESSES, ["0.0.0.0/0"], "trusted_proxies", "everybody"),
    (PAYME_ADDRESSES, ["::/0"], "trusted_proxies", "everybody"),
]


@pytest.mark.parametrize(("allowed", "proxies", "setting", "fix"), WRONG)
def test_what_cannot_work_is_said_with_its_fix(allowed: Any, proxies: Any, setting: str, fix: str) -> None:
    with pytest.raises(ConfigurationError, match=setting) as raised:
        callers(allowed, proxies)
    assert raised.value.setting == setting
    assert fix in str(raised.value)
