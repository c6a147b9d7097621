"""`paytechuz check` finds a right shop right, and names what is wrong with each wrong one."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from paytechuz.cli import orders
from paytechuz.cli.app import app
from tests.cli.other_shop import DEFECTS, FORWARD, KEY, OtherShop, Server, now, served


@pytest.fixture(autouse=True)
def time_passes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the clock forward, the shop's and the command's, where the command waits."""

    def sleep(seconds: float) -> None:
        FORWARD[0] += round(seconds * 1000)

    monkeypatch.setattr(orders, "time", SimpleNamespace(sleep=sleep, time_ns=lambda: now() * 1_000_000))


def check(server: Server, *options: str, orders: bool = True) -> Any:
    """Check a shop, whose orders are placed and looked at by functions of its own."""
    placing = (
        ["--new-order", "tests.cli.test_check:new_order", "--status", "tests.cli.test_check:status"] if orders else []
    )
    command = ["check", f"{server.url}/payme", "--gateway", "payme", "--key", KEY, *placing, *options]
    SERVED[:] = [server]
    return CliRunner().invoke(app, command)


SERVED: list[Server] = []


def new_order() -> dict[str, Any]:
    return SERVED[0].shop.new_order()


def status(order: Any) -> dict[str, str]:
    return SERVED[0].shop.status(order.account["order"])


@pytest.fixture(scope="module")
def right() -> Iterator[Server]:
    with served(OtherShop()) as server:
        yield server


def test_a_right_shop_is_right(right: Server) -> None:
    done = check(right)
    assert done.exit_code == 0, done.output
    assert "right in 15 scenarios." in done.output
    assert "WRONG" not in done.output


@pytest.mark.parametrize(("name", "shop"), DEFECTS.items(), ids=[shop.__name__ for shop in DEFECTS.values()])
def test_each_defect_is_named_and_why_it_costs_money_and_how_to_mend_it(
    name: str, shop: type[OtherShop], tmp_path: Path
) -> None:
    with served(shop()) as server:
        done = check(server, "--json", str(tmp_path / "report.json"))
    assert done.exit_code == 1, done.output
    assert f"\n{name}\n  Why it costs money " in done.output
    found = {each["name"]: each for each in json.loads((tmp_path / "report.json").read_text())["defects"]}
    assert found[name]["costs"]
    assert found[name]["mend"]
