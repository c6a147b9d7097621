"""`paytechuz check` finds a right shop right, and names what is wrong with each wrong one."""

import json
import shlex
import socket
import sys
from base64 import b64encode
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from paytechuz.cli import endpoint, results
from paytechuz_core.testing import click, click_till, payme, suite, till
from paytechuz_core.testing.defects import RULES
from tests.cli import other_click_shop
from tests.cli.conftest import Serve, at, run
from tests.cli.other_click_shop import OtherClickShop
from tests.cli.other_shop import DEFECTS, KEY, WALLET_DEFECTS, OtherShop, OtherWallets, Server, Unauthorized


def test_a_right_shop_is_right(serve: Serve) -> None:
    done = run("check", *at(serve(OtherShop())))
    assert done.exit_code == 0, done.output
    assert " answers right in 15 scenarios.\n" in done.output
    assert "WRONG" not in done.output
    assert "skipped" not in done.output


@pytest.mark.parametrize(("name", "shop"), DEFECTS.items(), ids=[shop.__name__ for shop in DEFECTS.values()])
def test_each_defect_is_named_with_what_it_costs_and_how_to_mend_it(
    name: str, shop: type[OtherShop], serve: Serve, tmp_path: Path
) -> None:
    done = run("check", *at(serve(shop())), "--json", str(tmp_path / "report.json"))
    assert done.exit_code == 1, done.output
    assert f"\n{name}\n  Why it costs money " in done.output
    found = {each["name"]: each for each in json.loads((tmp_path / "report.json").read_text())["defects"]}
    assert found[name]["costs"]
    assert found[name]["mend"]


def test_right_wallets_are_right(serve: Serve) -> None:
    done = run("check", *at(serve(OtherWallets())), "--top-up")
    assert done.exit_code == 0, done.output
    assert " answers right in 8 scenarios.\n" in done.output


@pytest.mark.parametrize(
    ("name", "shop"), WALLET_DEFECTS.items(), ids=[shop.__name__ for shop in WALLET_DEFECTS.values()]
)
def test_each_defect_of_a_wallet_is_named(name: str, shop: type[OtherWallets], serve: Serve) -> None:
    done = run("check", *at(serve(shop())), "--top-up")
    assert done.exit_code == 1, done.output
    assert f"\n{name}\n  Why it costs money " in done.output


def test_a_right_shop_is_right_for_click(serve: Serve) -> None:
    done = run("check", *for_click(serve(OtherClickShop())))
    assert done.exit_code == 0, done.output
    assert " answers right in 34 scenarios.\n" in done.output


@pytest.mark.parametrize(
    ("name", "shop"),
    other_click_shop.DEFECTS.items(),
    ids=[shop.__name__ for shop in other_click_shop.DEFECTS.values()],
)
def test_each_defect_at_click_is_named(name: str, shop: type[OtherClickShop], serve: Serve) -> None:
    done = run("check", *for_click(serve(shop())))
    assert done.exit_code == 1, done.output
    assert f"\n{name}\n  Why it costs money " in done.output


def for_click(server: Server) -> list[str]:
    """Give the options that name a shop that Click calls."""
    provider = ["--gateway", "click", "--key", other_click_shop.SECRET, "--service-id", str(other_click_shop.SERVICE)]
    return [f"{server.url}/click", *provider, *at(server)[5:]]


def test_every_rule_of_the_suites_has_a_name_for_its_breach() -> None:
    rules = {
        value
        for module in (suite, payme, till, click, click_till)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and ": " in value and value.endswith(".")
    }
    assert len(rules) > 40
    assert rules == set(RULES)


# What is not on this machine


@pytest.mark.parametrize("url", ["https://checkout.example/payme", "http://192.0.2.1/payme", "http://8.8.8.8:8000/"])
def test_it_aims_at_nothing_but_loopback_unless_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.7", 80))])
    done = run("check", url, "--gateway", "payme", "--key", KEY, "--account", "order=1", "--amount", "500000")
    assert done.exit_code == 2
    assert "is not on this machine" in done.output
    assert "--remote" in done.output


def test_a_name_with_one_address_elsewhere_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (address, 80)) for address in ("127.0.0.1", "192.0.2.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert not endpoint.is_loopback("http://localhost/payme")


# Where orders come from


def test_one_order_is_used_as_long_as_it_awaits_payment_and_what_needs_more_is_left_out(serve: Serve) -> None:
    server = serve(OtherShop())
    server.shop.new_order()
    done = run("check", *at(server, seen=False), "--account", "order=1", "--amount", "500000")
    assert done.exit_code == 0, done.output
    assert "9 scenarios not played to their end, for lack of orders: give --new-order" in done.output
    assert "  skipped rivals for one order\n" in done.output
    lines = [line for line in done.output.splitlines() if line.startswith("  ok")]
    assert len(lines) >= 5, done.output


def test_listed_orders_are_enough_for_the_whole_suite_and_nobody_looks_at_them(serve: Serve) -> None:
    server = serve(OtherShop())
    for _ in range(40):
        server.shop.new_order()
    done = run("check", *at(server, seen=False), "--account", "order=1..40", "--amount", "5000 som")
    assert done.exit_code == 0, done.output
    assert "nobody looked" in done.output
    assert "give --status" in done.output


def test_orders_come_from_a_command_and_another_one_looks_at_them(serve: Serve) -> None:
    server = serve(OtherShop())
    fetch = (
        "import sys, urllib.request; _, url, *new = sys.argv; "
        "print(urllib.request.urlopen(url, b'' if new else None).read().decode())"
    )
    python = f"{shlex.quote(sys.executable)} -c {shlex.quote(fetch)}"
    placing = [
        "--new-order",
        f"{python} {server.url}/orders new",
        "--status",
        f"{python} {server.url}/orders/{{order}}",
    ]
    done = run("check", *at(server, seen=False), *placing, "--only", "perform and refund")
    assert done.exit_code == 0, done.output
    assert "15 of 15 answers right in 1 scenarios." in done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say where orders come from"),
        (["--account", "order=1"], "say what the orders cost"),
        (["--account", "order=1", "--amount", "12.5"], "is no amount"),
        (["--account", "order=1", "--amount", "-1"], "is no price"),
        (["--account", "=1", "--amount", "1"], "names no field"),
        (["--new-order", "no_such_module:new_order"], "cannot be imported"),
        (["--new-order", "tests.cli.conftest:no_such"], "cannot be imported"),
        (["--new-order", "/no/such/command"], "No such file"),
        (["--new-order", f"{shlex.quote(sys.executable)} -c 'raise SystemExit(3)'"], "exit status 3"),
        (["--account", "a=1,2", "--account", "b=1,2,3", "--amount", "1"], "give as many, or one"),
    ],
    ids=range(10),
)
def test_what_cannot_be_done_is_told_with_its_fix(options: list[str], told: str, serve: Serve) -> None:
    done = run("check", *at(serve(OtherShop()), seen=False), *options)
    assert done.exit_code == 2, done.output
    assert told in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert KEY not in done.output


def test_a_key_that_the_shop_does_not_know_is_told_first(serve: Serve) -> None:
    server = serve(OtherShop())
    done = run("check", *at(server), "--key", "another key", "--only", "unknown transaction")
    assert "The shop refuses this key" in done.output
    assert "another key" not in done.output


def test_where_nobody_listens_nothing_is_played() -> None:
    done = run(
        "check", "http://127.0.0.1:9/payme", "--gateway", "payme", "--key", KEY, "--account", "a=1", "--amount", "1"
    )
    assert done.exit_code == 2
    assert "start the shop first" in done.output


# pyproject.toml


def test_pyproject_says_it_all(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = serve(OtherShop())
    (tmp_path / "pyproject.toml").write_text(f"""
[tool.paytechuz]
new-order = "tests.cli.conftest:new_order"
status = "tests.cli.conftest:status"
env-file = ".env"
[tool.paytechuz.payme]
url = "{server.url}/payme"
key-env = "SHOP_KEY"
""")
    (tmp_path / ".env").write_text(f"# keys\nexport SHOP_KEY='{KEY}'\n")
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    done = run("check", "--only", "perform and refund")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ("[tool.paytechuz]\nneworder = 'x'", "[tool.paytechuz] knows no neworder"),
        ("[tool.paytechuz.payme]\nsecret = 'x'", "[tool.paytechuz.payme] knows no secret"),
        ("[tool.paytechuz.payme]\nurl = 'http://127.0.0.1:1'\nkey-env = 'NOT_SET'", "export NOT_SET=…"),
        ("[tool.paytechuz.payme]\nurl = 'http://127.0.0.1:1'", "say by which key payme is known"),
        ("[tool.paytechuz.click]\nurl = 'http://127.0.0.1:1'\nsecret-key = 'x'", "say for which service"),
        ("[tool.paytechuz.payme]\nurl = 'ftp://127.0.0.1'\nkey = 'x'", "not an address to call"),
        ("[tool.paytechuz.payme]\nkey = 'x'", "say where the shop listens"),
        ("", "say whom to call"),
        ("[tool", "cannot be read"),
    ],
    ids=range(9),
)
def test_a_mistake_in_pyproject_is_told_with_its_fix(told: str, answer: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(told)
    done = run("check", "--config", str(tmp_path / "pyproject.toml"), "--account", "a=1", "--amount", "1")
    assert done.exit_code == 2, done.output
    assert answer in " ".join(done.output.split())


# Reports


def test_reports_for_ci_servers_and_people_say_the_same(serve: Serve, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("junit", "html", "json")}
    record = tmp_path / "said.jsonl"
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    done = run("check", *at(serve(Unauthorized())), *options, "--record", str(record))
    assert done.exit_code == 1
    suites = ET.fromstring(files["junit"].read_text())  # noqa: S314 - our own
    (one,) = suites
    assert (one.get("name"), one.get("tests")) == ("payme", "15")
    failed = [case.get("name") for case in one if case.find("failure") is not None]
    assert failed == ["bad credentials"]
    page = files["html"].read_text()
    assert "HTTP 401 instead of 200 to a bad key" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    told = json.loads(files["json"].read_text())
    assert [each["name"] for each in told["scenarios"] if each["verdict"] == "WRONG"] == failed
    assert told["ok"] is False
    for path in (*files.values(), record):
        assert KEY not in path.read_text()
        assert b64encode(f"Paycom:{KEY}".encode()).decode() not in path.read_text()


def test_a_hostile_answer_stays_a_text_in_every_report(serve: Serve, tmp_path: Path) -> None:
    class Hostile(OtherShop):
        def stranger(self, echo: object) -> tuple[int, object]:
            return 200, {"id": echo, "error": {"code": -1, "message": "<script>\x1b[2J\ud800[/red]"}}

    page, junit = tmp_path / "report.html", tmp_path / "report.xml"
    done = run("check", *at(serve(Hostile())), "--only", "bad cred", "--html", str(page), "--junit", str(junit))
    assert done.exit_code == 1, done.exception
    assert "<script>" not in page.read_text()
    assert "\x1b[2J" not in done.output
    ET.fromstring(junit.read_text())  # noqa: S314 - our own


def test_json_on_standard_output_is_alone_there(serve: Serve) -> None:
    done = run("check", *at(serve(OtherShop())), "--only", "unknown transaction", "--json", "-")
    assert json.loads(done.stdout)["ok"] is True


def test_a_checkout_that_nobody_installed_reports_without_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(results, "version", version)
    assert json.loads(results.json_text([]))["paytechuz"] is None


def test_all_calls_are_shown_where_that_is_asked(serve: Serve) -> None:
    done = run("check", *at(serve(OtherShop())), "--only", "unknown transaction", "--all")
    for method in ("PerformTransaction", "CancelTransaction", "CheckTransaction"):
        assert method in done.output
