"""The endpoint under test, and a provider that calls it: where it is, by which key, and who may be called at all."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from paytechuz.cli.config import GATEWAYS, Config, Wrong
from paytechuz.cli.orders import Customer
from paytechuz_core.outbound import over_http
from paytechuz_core.testing import (
    AT_ONCE,
    CLICK,
    CLICK_AT_ONCE,
    CLICK_EXTRA,
    CLICK_TOP_UP,
    ONE_TIME,
    TOP_UP,
    ClickTill,
    Exchange,
    Order,
    Recorder,
    Scenario,
    Step,
    Till,
)
from paytechuz_core.testing.click import NOT_DEBITED

NOT_LOOPBACK: Final = (
    "{} is not on this machine. The scenarios place orders, pay and refund them, so they are for a shop on your own "
    "machine; for a test server elsewhere say --remote. Never aim at a shop that serves customers."
)


@dataclass(frozen=True)
class Endpoint:
    """One provider's endpoint: all that is needed to call it. Made by `endpoints`, which checks it."""

    gateway: str
    url: str
    key: str = field(repr=False)
    login: str = "Paycom"
    service_id: int = 0
    timeout: float = 20

    def till(self) -> "Playing":
        """Open a till that calls it, with a record of what was said."""
        send = Recorder(over_http(self.url, self.timeout), urlsplit(self.url).path or "/")
        if self.gateway == "payme":
            return Playing(self, send, Till(send, self.key, login=self.login))
        return Playing(self, send, ClickTill(send, self.key, self.service_id))

    def scenarios(self, *, top_up: bool) -> tuple[Scenario[Any], ...]:
        """Give the provider's acceptance suite, and what it leaves out."""
        if self.gateway == "payme":
            return TOP_UP if top_up else (*ONE_TIME, *AT_ONCE)
        return CLICK_TOP_UP if top_up else (*CLICK, *CLICK_EXTRA, *CLICK_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Played:
    """A step of a scenario, and what was said for it."""

    step: Step
    exchanges: Sequence[Exchange]


@dataclass(frozen=True, slots=True)
class Playing:
    """A provider at work. `till` is a `Till` or a `ClickTill`."""

    endpoint: Endpoint
    record: Recorder
    till: Any

    def play(self, scenario: Scenario[Any], customer: Customer) -> Iterator[Played]:
        """Play a scenario, step by step as it happens."""
        said = len(self.record.exchanges)
        for step in scenario(self.till, customer):
            now = len(self.record.exchanges)
            yield Played(step, self.record.exchanges[said:now])
            said = now
        customer.settle(self.payable)

    def payable(self, order: Order) -> bool:
        """Tell whether an order still awaits payment: Payme can ask, Click must begin to pay and give it up."""
        try:
            if isinstance(self.till, Till):
                return self.till.check_perform(order).result.get("allow") is True
            attempt = self.till.attempt(order)
            if attempt.prepare().error != 0:
                return False
            attempt.complete(NOT_DEBITED)
        except OSError:
            return False
        return True


def endpoints(config: Config, gateway: str | None, url: str | None, *, remote: bool, **given: Any) -> list[Endpoint]:
    """Give the endpoints that were asked for: one by the command line, or all that the file has. Raises `Wrong`.

    `given` are a `key`, a `login`, a `service_id` and a `timeout`, None where they were not given.
    """
    if gateway is not None and gateway not in GATEWAYS:
        message = f"--gateway {gateway} is not known: payme or click"
        raise Wrong(message)
    wanted = [gateway] if gateway is not None else [name for name in GATEWAYS if name in config.gateways]
    if url is not None and len(wanted) != 1:
        message = "say which provider is to call there: --gateway payme or --gateway click"
        raise Wrong(message)
    if not wanted:
        message = (
            "say whom to call: paytechuz check http://127.0.0.1:8000/payments/payme/webhook --gateway payme --key …\n"
            "or write it down once, as [tool.paytechuz.payme] in pyproject.toml"
        )
        raise Wrong(message)
    return [endpoint(config, name, url, remote=remote, **given) for name in wanted]


def endpoint(
    config: Config, gateway: str, url: str | None, *, remote: bool, key: str | None = None, login: str | None = None,
    service_id: int | None = None, timeout: float | None = None,
) -> Endpoint:  # fmt: skip
    """Put an endpoint together, and see whether it may be called."""
    where = url or config.of(gateway, "url")
    if not where:
        message = f"say where the shop listens to {gateway}: its URL, or url in [tool.paytechuz.{gateway}]"
        raise Wrong(message)
    name = "key" if gateway == "payme" else "secret-key"
    secret = key or config.of(gateway, name)
    if not secret:
        message = f"say by which key {gateway} is known: --key, or {name}-env in [tool.paytechuz.{gateway}]"
        raise Wrong(message)
    service = service_id if service_id is not None else config.of(gateway, "service-id") if gateway == "click" else 0
    if service is None:
        message = "say for which service Click calls: --service-id, or service-id in [tool.paytechuz.click]"
        raise Wrong(message)
    try:
        over_http(where)
    except ValueError as error:
        raise Wrong(str(error)) from error
    if not (remote or config.common.get("remote") or is_loopback(where)):
        raise Wrong(NOT_LOOPBACK.format(where))
    return Endpoint(
        gateway, where, str(secret),
        login=login or config.of(gateway, "login") or "Paycom",
        service_id=int(service),
        timeout=timeout or config.common.get("timeout", 20),
    )  # fmt: skip


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine, by every address that it has."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"{parts.hostname} has no address: {error.strerror}"
        raise Wrong(message) from error
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)
