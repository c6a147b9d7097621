"""The plugin for pytest: a right shop passes, and each broken one fails with what was expected, what came and why."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from paytechuz_core.testing.in_process import callers, over_wsgi

ROOT: Final = Path(__file__).parents[1]
PLUGIN: Final = "paytechuz_core.testing.plugin"
pytest_plugins = ["pytester"]

SHOP: Final = """
import json
import re
from functools import partial

from paytechuz_core import Account, Click, Hooks, Inbound, Memory, Payme, call_hook, respond

PRICE = 500_001


class Shop(Hooks):
    '''A WSGI application without a framework, its orders and payments in memory.'''

    def __init__(self):
        self.orders = {}
        self.memory = Memory(self.find_account)
        self.gateways = {
            "/payments/payme/webhook": Payme(keys=lambda: ["the key"]),
            "/payments/click/webhook": Click(secrets=lambda: ["the secret"], service_id=12345),
        }

    def find_account(self, fields):
        number = str(fields["id"])
        return Account(id=number, amount_tiyin=PRICE, hold=f"orders:{number}") if number in self.orders else None

    def successfully_payment(self, params, transaction):
        self.orders[transaction.account_id] = "paid"

    def cancelled_payment(self, params, transaction):
        self.orders[transaction.account_id] = "cancelled"

    def __call__(self, environ, start_response):
        headers = {"authorization": environ.get("HTTP_AUTHORIZATION", "")}
        inbound = Inbound("POST", headers, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        answer = self.respond(environ["PATH_INFO"], inbound)
        start_response(self.http_status(answer), [("Content-Type", "application/json")])
        return [answer]

    def respond(self, path, inbound):
        return respond(self.gateways[path], inbound, self.memory.begin, partial(call_hook, self))

    def http_status(self, answer):
        return "200 OK"


class RunsThePaidHookTwice(Shop):
    def respond(self, path, inbound):
        answer = super().respond(path, inbound)
        if b'"PerformTransaction"' in inbound.body and b'"state":2' in answer:
            self.times = getattr(self, "times", 0) + 1
            if self.times % 2 == 0:
                (payment,) = [each for (_, name), each in self.memory.transactions.items() if name.encode() in answer]
                self.orders[payment.account_id] = "paid twice"
        return answer


class SaysUnauthorised(Shop):
    def http_status(self, answer):
        return "401 Unauthorized" if b"-32504" in answer else "200 OK"


class CountsInSeconds(Shop):
    def respond(self, path, inbound):
        return re.sub(rb'_time":(\\d{10})\\d{3}', rb'_time":\\1', super().respond(path, inbound))


class TakesASecondTransaction(Shop):
    def find_account(self, fields):
        account = super().find_account(fields)
        return account and Account(id=account.id, amount_tiyin=PRICE)


class NeverExpires(Shop):
    def __init__(self):
        super().__init__()
        self.gateways["/payments/payme/webhook"] = Payme(keys=lambda: ["the key"], timeout=10**12)


class Raises(Shop):
    def respond(self, path, inbound):
        raise LookupError("no such table: payments")
"""

CONFTEST: Final = """
import pytest
import shop
from paytechuz_core.testing import App, Order


@pytest.fixture
def paytechuz_shop():
    class Customers(shop.{name}):
        def new_order(self):
            number = str(len(self.orders) + 1)
            self.orders[number] = "pending"
            return Order({{"id": number}}, amount_tiyin=shop.PRICE)

        def status(self, order):
            return self.orders[order.account["id"]]

    return Customers()


@pytest.fixture
def paytechuz_app(paytechuz_shop):
    return App(paytechuz_shop, payme_key="the key", click_secret_key="the secret", click_service_id=12345)
"""

PAYMENTS: Final = """
def test_a_payment(payme, paytechuz_shop):
    order = paytechuz_shop.new_order()
    payment = payme.pay(order)
    assert paytechuz_shop.status(order) == "paid"
    assert payme.check(payment)["state"] == 2
    payme.create(order, expect=-31052)
    payme.cancel(payment)
    payme.perform(payment, expect=-31008)
    assert paytechuz_shop.status(order) == "cancelled"


def test_a_debit(click, paytechuz_shop):
    order = paytechuz_shop.new_order()
    attempt = click.pay(order)
    click.complete(attempt, expect=-4)
    click.cancel(attempt)
    assert paytechuz_shop.status(order) == "cancelled"


def test_time(payme, paytechuz_shop, paytechuz_clock):
    order = paytechuz_shop.new_order()
    start = paytechuz_clock.now()
    late = payme.create(order)
    paytechuz_clock.advance(43_200_100)
    payme.perform(late, expect=-31008)
    payme.pay(order)
    assert [each["state"] for each in payme.statement(start, paytechuz_clock.now())] == [-1, 2]


def test_payme(payme):
    payme.sandbox()


def test_click(click):
    click.sandbox()
"""

Run: TypeAlias = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the tests of a shop, with no plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{pytester.path}")

    def run(name: str = "Shop", tests: str = PAYMENTS) -> pytest.RunResult:
        pytester.makepyfile(shop=SHOP, test_payments=tests)
        pytester.makeconftest(CONFTEST.format(name=name))
        return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", "-W", "error")

    return run


def test_a_right_shop_passes(run: Run) -> None:
    run().assert_outcomes(passed=5)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "RunsThePaidHookTwice",
            [
                "*In the scenario “perform and refund”:",
                "*call      the order's status",
                "*expected  paid",
                "*got       paid twice",
                "*why       A hook that runs twice delivers twice, and one that does not run*",
                "*mend      run the paid hook once for each move to state 2*",
            ],
        ),
        (
            "SaysUnauthorised",
            [
                "*Payme would not accept this shop: * of * answers are wrong.",
                "*In the scenario “bad credentials”:",
                "*expected  -32504",
                "*got       HTTP 401 *",
                "*why       Payme takes every HTTP status but 200 for a system failure*",
                "*mend      answer errors, refused credentials and crashes with 200 too*",
            ],
        ),
        (
            "CountsInSeconds",
            [
                "*In the scenario “create and cancel”:",
                "*call      CreateTransaction",
                "*expected  state 1, create_time now, twice",
                '*got       {"create_time": ??????????, *',
                "*mend      *`create_time` (13 digits, milliseconds, UTC)*",
            ],
        ),
        (
            "TakesASecondTransaction",
            [
                "*In the scenario “held order”:",
                "*expected  -31099 … -31050*",
                "*why       Two payers would be debited for one order.",
                "*mend      let one live transaction hold it, by a unique key in the database*",
            ],
        ),
        (
            "NeverExpires",
            ["*In the scenario “expired transaction”:", "*why       After 12 hours Payme has given the money back."],
        ),
        ("Raises", ["*got       HTTP 500 the application raised LookupError: no such table: payments"]),
    ],
)
def test_a_broken_shop_fails_and_is_told_why(run: Run, name: str, lines: list[str]) -> None:
    result = run(name, "def test_payme(payme):\n    payme.sandbox()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(lines)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_single_call_that_is_answered_wrongly_fails_at_the_line_that_made_it(run: Run) -> None:
    result = run("CountsInSeconds", "def test_it(payme, paytechuz_shop):\n    payme.pay(paytechuz_shop.new_order())\n")
    told = (
        ">*payme.pay(paytechuz_shop.new_order())",
        "E*Failed: Payme cannot go on.",
        "E*got *",
        "test_payments.py:2: *",
    )
    result.stdout.fnmatch_lines(told)


def test_what_was_not_overridden_is_told_with_the_lines_to_write(pytester: pytest.Pytester, run: Run) -> None:
    for missing, words in (
        ("paytechuz_app", "*Override the fixture `paytechuz_app` in your conftest.py*"),
        ("paytechuz_shop", "*Override the fixture `paytechuz_shop` in your conftest.py*"),
    ):
        pytester.makepyfile(test_it=f"def test_it({missing}): pass")
        result = pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", "test_it.py")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([words])
    run(tests="def test_it(payme): pass")
    conftest = (pytester.path / "conftest.py").read_text()
    (pytester.path / "conftest.py").write_text(conftest.replace('payme_key="the key", ', ""))
    result = pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", "test_payments.py")
    result.stdout.fnmatch_lines(["*Give paytechuz_app the cash register's key: App(app, payme_key=…)"])


def test_no_key_is_shown_where_an_app_is() -> None:
    app = import_module(PLUGIN).App(None, payme_key="canary", click_secret_key="canary")
    assert "canary" not in repr(app)


def test_pytest_finds_the_plugin_by_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"paytechuz": PLUGIN}


EXAMPLES: Final = {
    "fastapi": (ROOT, "examples/fastapi_shop/tests"),
    "flask": (ROOT, "examples/flask_shop/tests"),
    "django": (ROOT / "examples/django_shop", "orders"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shop", EXAMPLES)
def test_the_example_shops_own_tests_pass(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    folder, tests = EXAMPLES[shop]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, tests]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


# Applications called without a server


def started(app: Any) -> Iterator[Any]:
    with callers(app) as call:
        yield call("/webhook")


def test_an_asgi_application_is_started_called_and_shut_down() -> None:
    happened: list[Any] = []

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            while (order := (await receive())["type"]) != "lifespan.shutdown":
                happened.append(order)
                scope["state"]["opened"] = True
                await send({"type": "lifespan.startup.complete"})
            happened.append(order)
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive())["body"]
        happened.append((scope["method"], scope["path"], scope["state"], dict(scope["headers"])[b"x-one"], body))
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"an", "more_body": True})
        await send({"type": "http.response.body", "body": b"swer"})
        assert (await receive())["type"] == "http.disconnect"

    for send in started(app):
        assert send(b"question", {"X-One": "1"}) == (201, b"answer")
    assert happened == [
        "lifespan.startup",
        ("POST", "/webhook", {"opened": True}, b"1", b"question"),
        "lifespan.shutdown",
    ]


def test_an_asgi_application_that_knows_no_lifespan_is_called_all_the_same() -> None:
    async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        del receive
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    for send in started(app):
        assert send(b"", {}) == (200, b"{}")


def test_an_asgi_application_that_cannot_start_says_so() -> None:
    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        del scope
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="the application's startup failed: no database"):
        next(started(app))


def test_what_an_application_raises_is_http_500_with_words() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        raise LookupError(scope["type"])

    def wsgi(environ: Any, start_response: Any) -> Any:
        del start_response
        raise LookupError(environ["PATH_INFO"])

    for send in started(asgi):
        assert send(b"", {}) == (500, b"the application raised LookupError: http")
    assert over_wsgi(wsgi, "/webhook")(b"", {}) == (500, b"the application raised LookupError: /webhook")


def test_an_application_that_runs_elsewhere_is_called_at_its_url() -> None:
    def app(environ: Any, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode(), environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]

    class Silent(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        for send in started(f"http://127.0.0.1:{server.server_port}/"):
            assert send(b"!", {}) == (200, b"/webhook!")
        thread.join()


def test_time_passes_by_waiting_only_where_the_application_runs_elsewhere() -> None:
    plugin = import_module(PLUGIN)
    clock = plugin.Clock()
    assert plugin.clock_of(plugin.App("http://localhost"), clock) is not clock
    assert plugin.clock_of(plugin.App(started), clock) is clock


def test_a_wsgi_application_is_closed_after_each_answer() -> None:
    closed = []

    class Answer(list[bytes]):
        def close(self) -> None:
            closed.append(1)

    def app(environ: Any, start_response: Callable[..., Callable[[bytes], None]]) -> Answer:
        assert environ["wsgi.input"].read() == b"question"
        assert (environ["HTTP_X_ONE"], environ["CONTENT_TYPE"]) == ("1", "text/plain")
        start_response("202 Accepted", [])(b"an")
        return Answer([b"swer"])

    for send in started(app):
        assert send(b"question", {"X-One": "1", "Content-Type": "text/plain"}) == (202, b"answer")
    assert closed == [1]
