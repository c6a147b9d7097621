"""Who may call: an optional list of addresses, and whose word counts about where a call comes from.

The client is the *peer*, the other end of the connection. Where that is a proxy that the shop has named as trusted, the
client is whom the proxy names in X-Forwarded-For, and so on through every trusted proxy: the right-most address that is
none. What stands left of it was written by the client itself, who may write anything. Without trusted proxies the
header is not looked at.

A list of addresses stands beside the key, never in its place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from paytechuz_core.inbound import Inbound
from paytechuz_core.repository import ConfigurationError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PAYME_ADDRESSES: Final = tuple(f"185.234.113.{last}" for last in range(1, 16))
"""From where Payme says that it calls: `allowed_addresses=PAYME_ADDRESSES`."""

UNIX: Final = "unix"
"""Among trusted proxies: whoever is connected by a Unix socket, which has no address."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Which callers are let in. Without `allowed` everybody is; the key decides."""

    allowed: tuple[Network, ...] | None = None
    proxies: tuple[Network, ...] = ()
    unix: bool = False

    def admit(self, inbound: Inbound) -> bool:
        """Tell whether a request comes from where it may come from."""
        if self.allowed is None:
            return True
        client = self.client(inbound)
        return client is not None and within(client, self.allowed)

    def client(self, inbound: Inbound) -> Address | None:
        """Find who calls, or None where nobody can tell."""
        client = None
        for hop in self._hops(inbound):
            client = address_in(hop)
            if client is None or not within(client, self.proxies):
                return client
        return client  # every hop is a trusted proxy: the farthest calls for itself

    def _hops(self, inbound: Inbound) -> Iterator[str]:
        """Give the way that the request came, from its end, as far as somebody trusted tells it."""
        if inbound.peer:
            yield inbound.peer
        elif not self.unix:
            return
        header = inbound.headers.get("x-forwarded-for")
        if header is not None:
            yield from reversed(header.split(","))


EVERYBODY: Final = Callers()
"""No list."""


def address_in(hop: str) -> Address | None:
    """Read `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`; None for anything else.

    An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is that IPv4 address.
    """
    text = hop.strip()
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        good = closed and (not port or is_port(port))
    elif text.count(":") == 1:
        text, colon, port = text.partition(":")
        good = is_port(colon + port)
    else:
        good = True
    try:
        return unmapped(ip_address(text)) if good else None
    except ValueError:
        return None


def is_port(text: str) -> bool:
    """Tell whether a port follows."""
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= len(":65535")


def unmapped(address: Address) -> Address:
    """Give an IPv4 address that IPv6 carries."""
    return getattr(address, "ipv4_mapped", None) or address


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


# The settings


@lru_cache
def callers_of(allowed: tuple[str, ...] | None, proxies: tuple[str, ...]) -> Callers:
    """Build and check what the settings `allowed_addresses` and `trusted_proxies` say, once."""
    if allowed is None:
        if proxies:
            message = (
                "trusted_proxies is of use only beside allowed_addresses: give both, or neither; without a list of "
                "addresses nobody asks where a call comes from"
            )
            raise ConfigurationError(message, "trusted_proxies")
        return EVERYBODY
    if not allowed:
        message = "allowed_addresses is empty, so every call would be refused: leave it out to let the key alone decide"
        raise ConfigurationError(message, "allowed_addresses")
    addressed = tuple(each for each in proxies if each != UNIX)
    networks = tuple(network_of("trusted_proxies", each) for each in addressed)
    if any(network.prefixlen == 0 for network in networks):
        message = "trusted_proxies trusts everybody, so anybody could name any address: name your own proxies only"
        raise ConfigurationError(message, "trusted_proxies")
    return Callers(
        allowed=tuple(network_of("allowed_addresses", each) for each in allowed),
        proxies=networks,
        unix=UNIX in proxies,
    )


def network_of(setting: str, given: str) -> Network:
    """Read one address, or a network such as `192.0.2.0/24`."""
    try:
        network = ip_network(given)
    except ValueError as error:
        unix = f', or "{UNIX}" for a Unix socket' if setting == "trusted_proxies" else ""
        message = f'{setting} must be addresses such as "192.0.2.1", or networks such as "192.0.2.0/24"{unix}: {error}'
        raise ConfigurationError(message, setting) from None
    first = unmapped(network.network_address)
    if first.version != network.version:
        message = f'{setting}: write {given} as IPv4, such as "{first}": so is every caller read'
        raise ConfigurationError(message, setting)
    return network
