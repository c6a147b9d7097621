"""A shop that others wrote, served on loopback; and time, which passes at once where the command waits."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from paytechuz.cli import orders
from paytechuz.cli.app import app
from tests.cli.other_shop import FORWARD, KEY, OtherShop, Server, now, served

SERVED: list[Server] = []
"""The shop that is being checked, for the functions that `--new-order` and `--status` name."""


def new_order() -> dict[str, Any]:
    return SERVED[0].shop.new_order()


def status(order: Any) -> dict[str, str]:
    return SERVED[0].shop.status(order.account["order"])


@pytest.fixture(autouse=True)
def time_passes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for the shop, which is in this process."""
    put_clocks_forward(monkeypatch)


def put_clocks_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the clock forward, the shop's and the command's, where the command waits."""

    def sleep(seconds: float) -> None:
        FORWARD[0] += round(seconds * 1000)

    monkeypatch.setattr(orders, "time", SimpleNamespace(sleep=sleep, time_ns=lambda: now() * 1_000_000))


@pytest.fixture(autouse=True)
def nothing_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stand where no pyproject.toml says anything, and no key is in the environment."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "pyproject.toml").touch()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PAYTECHUZ_KEY", raising=False)


Serve = Callable[[OtherShop], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a shop until the test is over."""
    with ExitStack() as stack:

        def start(shop: OtherShop) -> Server:
            SERVED[:] = [stack.enter_context(served(shop))]
            return SERVED[0]

        yield start


def run(*command: str) -> Result:
    """Run the command, as one types it."""
    return CliRunner().invoke(app, list(command))


def at(server: Server, *, seen: bool = True) -> list[str]:
    """Give the options that name a shop, whose orders are `seen` from inside."""
    looking = ["--new-order", f"{__name__}:new_order", "--status", f"{__name__}:status"] if seen else []
    return [f"{server.url}/payme", "--gateway", "payme", "--key", KEY, *looking]
