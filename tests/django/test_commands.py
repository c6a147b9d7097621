"""`manage.py paytechuz_doctor`, `paytechuz_statement` and `paytechuz_expire`, as a shop runs them."""

import csv
import io
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from paytechuz.integrations.django import ClickWebhookView, PaymentTransaction, PaymeWebhookView
from paytechuz_core.rows import INDEXES, TEXT_KEYS
from paytechuz_core.transaction import HALF_DAY
from paytechuz_django.management.commands.paytechuz_doctor import in_process
from tests.databases import sqlite
from tests.django.project import add_database, on
from tests.django.shop.models import Order
from tests.http.clients import PATIENCE

KEY: Final = "canary#k8SJ:dkQ9"
SECRET: Final = "canary#8aQx3nq1Zk"
PAYME: Final = {"PAYME_ID": "587f72c72cac0d162c722ae2", "PAYME_KEY": KEY, "ACCOUNT_MODEL": "shop.Order"}
CLICK: Final = {"SERVICE_ID": 12345, "SECRET_KEY": SECRET, "ACCOUNT_MODEL": "shop.Order"}
NOW: Final = datetime.now(UTC).replace(microsecond=0)
DAY: Final = datetime(2026, 11, 27, tzinfo=UTC)


class ShopPayme(PaymeWebhookView):
    """The shop's view; `fails` is whose order its hook fails for."""

    fails: str | None = None

    def cancelled_payment(self, params: Any, transaction: Any) -> None:
        """Mark the order cancelled."""
        del params
        order = Order.objects.get(pk=transaction.account_id)
        order.status, order.returned = "cancelled", order.returned + 1
        order.save()
        if transaction.transaction_id == ShopPayme.fails:
            raise ZeroDivisionError

    def successfully_payment(self, params: Any, transaction: Any) -> None:
        """Mark it paid."""
        del params
        Order.objects.filter(pk=transaction.account_id).update(status="paid", paid=1)


class ShopClick(ClickWebhookView):
    """And for Click."""


HANDLER: Final = {"HANDLER": f"{__name__}.ShopPayme"}


@pytest.fixture(autouse=True)
def _project(alias: str) -> Iterator[None]:
    """A right project on the test's database, which Django must know before there are views."""
    del alias
    routes = (path("payme", ShopPayme.as_view()), path("click/", ShopClick.as_view()))
    told = {"PAYME": {**PAYME, **HANDLER}, "CLICK": CLICK}
    with override_settings(ROOT_URLCONF=routes, PAYTECHUZ=told, DEBUG_PROPAGATE_EXCEPTIONS=False):
        yield
    ShopPayme.fails = None


def run(command: str, *arguments: str) -> str:
    """Run a command, and give what it said."""
    said = io.StringIO()
    call_command(f"paytechuz_{command}", *arguments, stdout=said)
    return said.getvalue()


def payment(id: str, *, at: datetime = NOW, late: timedelta = timedelta(), **values: Any) -> PaymentTransaction:
    """Store a payment that Payme made at `at`, and that the shop stored `late`."""
    order = Order.objects.create(amount="5000.00")
    given = {
        "gateway": "payme",
        "transaction_id": id,
        "account_id": str(order.pk),
        "amount_tiyin": 500_000,
        "account": {"id": str(order.pk)},
        "state": 1,
        "extra_data": {},
        "created_at": at + late,
        "updated_at": at + late,
        "provider_time": round(at.timestamp() * 1000),
        "lifetime": HALF_DAY,
        "hold": f"shop_orders:{order.pk}",
        "version": 1,
        **values,
    }
    return PaymentTransaction.objects.create(**given)


def states() -> dict[str, int]:
    """Give every payment's state."""
    return dict(PaymentTransaction.objects.values_list("transaction_id", "state"))


# expire


def order_of(id: str) -> Order:
    """Give the order of a payment."""
    return Order.objects.get(pk=PaymentTransaction.objects.get(transaction_id=id).account_id)


LONG_AGO: Final = NOW - timedelta(hours=13)


@pytest.mark.every_database
def test_expire_cancels_what_is_past_its_time_with_the_shops_hooks_and_says_how_many(alias: str) -> None:
    del alias
    for id in "abc":
        payment(id, at=LONG_AGO)
    payment("fresh")
    payment("click", at=LONG_AGO, gateway="click", provider_time=None)
    assert run("expire") == "3 expired, 0 failed\n"
    assert states() == {"a": -1, "b": -1, "c": -1, "fresh": 1, "click": 1}
    assert [(order_of(id).status, order_of(id).returned) for id in "abc"] == [("cancelled", 1)] * 3
    assert run("expire") == "0 expired, 0 failed\n"
    assert [order_of(id).returned for id in "abc"] == [1] * 3


@pytest.mark.every_database
def test_expire_fails_where_a_hook_fails_and_the_next_run_does_it(alias: str) -> None:
    del alias
    for id in "abc":
        payment(id, at=LONG_AGO)
    ShopPayme.fails = "b"
    said = io.StringIO()
    with pytest.raises(CommandError, match="the next run tries it again") as failed:
        call_command("paytechuz_expire", stdout=said)
    assert (said.getvalue(), failed.value.returncode) == ("2 expired, 1 failed\n", 1)
    assert (states(), order_of("b").status) == ({"a": -1, "b": 1, "c": -1}, "pending")
    ShopPayme.fails = None
    assert run("expire") == "1 expired, 0 failed\n"
    assert (states()["b"], order_of("b").returned) == (-1, 1)


@pytest.mark.every_database
def test_two_expires_at_once_share_the_work_and_cancel_nothing_twice(alias: str) -> None:
    for number in range(10):
        payment(str(number), at=LONG_AGO)
    said = at_once(alias, [lambda: run("expire")] * 2)
    assert sum(int(each.partition(" ")[0]) for each in said) == 10
    assert all("0 failed" in each for each in said)
    assert [order_of(str(number)).returned for number in range(10)] == [1] * 10


@pytest.mark.every_database
def test_expire_against_a_perform_at_once_cancels_once(alias: str) -> None:
    for number in range(5):
        payment(str(number), at=LONG_AGO)

    def perform() -> list[int]:
        call = in_process("/payme")
        answers = [
            call(json.dumps({"method": "PerformTransaction", "params": {"id": str(number)}}).encode(), authorized())[1]
            for number in range(5)
        ]
        return [json.loads(answer)["error"]["code"] for answer in answers]

    said, codes = at_once(alias, [lambda: run("expire"), perform])
    assert codes == [-31008] * 5
    assert re.fullmatch(r"[0-5] expired, 0 failed\n", said)
    assert set(states().values()) == {-1}
    assert [(order_of(str(number)).returned, order_of(str(number)).paid) for number in range(5)] == [(1, 0)] * 5


def authorized() -> dict[str, str]:
    """The headers of Payme."""
    basic = b64encode(f"Paycom:{KEY}".encode()).decode()
    return {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}


def at_once(alias: str, steps: list[Callable[[], Any]]) -> list[Any]:
    """Run these in threads that are released together."""
    barrier, ended = threading.Barrier(len(steps)), {}

    def begin(place: int) -> None:
        try:
            barrier.wait(PATIENCE)
            ended[place] = steps[place]()
        finally:
            connections[alias].close()

    threads = [threading.Thread(target=begin, args=(place,)) for place in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ended[place] for place in range(len(steps))]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PAYME": PAYME}, '"HANDLER": "shop.views.ShopPayme"'),
        ({}, '"HANDLER": "shop.views.ShopPayme"'),
        ({"PAYME": {**PAYME, "HANDLER": "shop.nowhere.Shop"}}, "shop.nowhere.Shop"),
        ({"PAYME": {**PAYME, "HANDLER": f"{__name__}.ShopClick"}}, "subclass of PaymeWebhookView"),
        ({"PAYME": {**PAYME, **HANDLER, "PAYME_KEY": ""}}, "payme_key is empty"),
        ({"CLICK": {**CLICK, "HANDLER": f"{__name__}.ShopClick"}}, '"PAYME": {"HANDLER"'),
    ],
)
def test_expire_without_a_view_to_take_the_hooks_from_changes_nothing_and_says_what_to_write(
    alias: str, settings: dict[str, Any], said: str
) -> None:
    del alias
    payment("a", at=LONG_AGO)
    with override_settings(PAYTECHUZ=settings), pytest.raises(CommandError) as refused:
        call_command("paytechuz_expire", skip_checks=True)
    assert said in str(refused.value)
    assert (states(), refused.value.returncode) == ({"a": 1}, 1)


# statement


def rows(*arguments: str) -> list[dict[str, str]]:
    """Read a statement's CSV."""
    return list(csv.DictReader(io.StringIO(run("statement", "--csv", *arguments), newline="")))


def ids(*arguments: str) -> list[str]:
    """Name the payments in a statement."""
    return [row["transaction_id"] for row in rows(*arguments)]


@pytest.mark.every_database
def test_a_statement_has_every_state_by_paymes_time_and_both_ends(alias: str) -> None:
    del alias
    midnight = DAY - timedelta(hours=5)  # in Tashkent
    day = timedelta(days=1)
    payment("next day", at=midnight + day)
    payment("last", at=midnight + day - timedelta(milliseconds=1), state=-2, reason=5)
    payment("paid", at=midnight + timedelta(hours=2), state=2, late=2 * day)
    payment("first", at=midnight, state=-1, reason=4)
    payment("day before", at=midnight - timedelta(milliseconds=1))
    payment("click", at=midnight, gateway="click", provider_time=None)
    whole = ("--from", "2026-11-27", "--to", "2026-11-27")
    assert ids(*whole) == ["first", "paid", "last"]
    assert ids("--from", "2026-11-27T00:00", "--to", "2026-11-27T02:00") == ["first", "paid"]
    assert ids("--from", "2026-11-26T19:00Z", "--to", "2026-11-26T21:00:00+00:00") == ["first", "paid"]
    millis = round(midnight.timestamp() * 1000)
    assert ids("--from", str(millis), "--to", str(millis)) == ["first"]
    assert ids("--from", "2026-11-28", "--to", "2026-11-27") == []
    assert ids(*whole, "--gateway", "click") == ["click"]
    paid = rows(*whole)[1]
    assert (paid["amount"], paid["state"], paid["provider_time"]) == (
        "5000.00",
        "SUCCESSFULLY",
        "2026-11-27T02:00:00.000+05:00",
    )
    table = run("statement", *whole).splitlines()
    assert (len(table), table[-1]) == (5, "3 transactions; 1 of them paid, 5,000.00 som")


@pytest.mark.every_database
def test_a_statement_says_what_getstatement_says(alias: str) -> None:
    del alias
    for number in range(7):
        payment(str(number), at=DAY + timedelta(seconds=number % 3))
    start, end = (round((DAY + timedelta(seconds=each)).timestamp() * 1000) for each in (0, 1))
    asked = {"id": 1, "method": "GetStatement", "params": {"from": start, "to": end}}
    answer = json.loads(in_process("/payme")(json.dumps(asked).encode(), authorized())[1])
    said = [(each["id"], each["time"]) for each in answer["result"]["transactions"]]
    told = rows("--from", str(start), "--to", str(end))
    assert said == [
        (row["transaction_id"], round(datetime.fromisoformat(row["provider_time"]).timestamp() * 1000)) for row in told
    ]
    assert [id for id, _ in said] == ["0", "3", "6", "1", "4"]


@pytest.mark.every_database
@pytest.mark.parametrize("gateway", ["payme", "click"])
def test_a_statement_reads_a_page_at_a_time_and_misses_nothing(
    alias: str, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paytechuz_django.store.PAGE", 3)
    for number in range(8):
        at = DAY + timedelta(milliseconds=number // 3)  # several at the same moment, over the end of a page
        told = round(at.timestamp() * 1000) if gateway == "payme" else None
        payment(f"p-{number}", at=at, gateway=gateway, provider_time=told)
    sizes = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        sizes.append(re.search(r"LIMIT (\d+)", sql))
        return execute(sql, params, many, context)

    with connections[alias].execute_wrapper(count):
        assert ids("--from", "2026-11-27", "--to", "2026-11-27", "--gateway", gateway) == [
            f"p-{number}" for number in range(8)
        ]
    assert [size and size[1] for size in sizes] == ["3"] * 4


def test_a_statement_is_read_where_it_is_told_to_be(alias: str, tmp_path: Path) -> None:
    del alias
    payment("a", at=DAY)
    add_database("replica", sqlite(tmp_path))
    whole = ("--from", "2026-11-27", "--to", "2026-11-27")
    assert ids(*whole) == ["a"]
    with on("replica"):
        call_command("migrate", "paytechuz_django", database="replica", verbosity=0)
    assert ids(*whole, "--database", "replica") == []
    connections["replica"].close()


def test_a_statement_of_no_date_says_what_a_date_is(alias: str) -> None:
    del alias
    with pytest.raises(CommandError, match="'yesterday' is no date"):
        run("statement", "--from", "yesterday", "--to", "2026-11-27")


# doctor


def sick(*arguments: str) -> str:
    """Run a doctor who must find something wrong."""
    said = io.StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("paytechuz_doctor", *arguments, stdout=said)
    assert failed.value.returncode == 1
    return shown(said.getvalue())


def shown(report: str) -> str:
    """Join the lines that were wrapped; no key may be among them."""
    assert KEY not in report
    assert SECRET not in report
    return re.sub(r"\n +", " ", report)


@pytest.mark.every_database
def test_a_right_shop_is_well(alias: str) -> None:
    del alias
    payment("a", late=timedelta(milliseconds=800))
    said = shown(run("doctor")).splitlines()
    assert [line.split()[0] for line in said[:-1]] == ["ok"] * (len(said) - 1)
    assert said[-1] == "All is well."
    for about in ("settings", "/payme ", "/click/", "database", "table payments", "clock"):
        assert any(about in line for line in said), about


def test_the_doctor_changes_nothing(alias: str) -> None:
    del alias
    payment("a", at=LONG_AGO)
    run("doctor")
    assert states() == {"a": 1}


def test_the_doctor_tells_what_the_checks_tell(alias: str) -> None:
    del alias
    with override_settings(PAYTECHUZ={"PAYME": {**PAYME, "AMOUNT_FIELD": "price"}, "CLICK": CLICK}):
        said = sick()
    assert "ShopPayme at /payme: Order has no attribute 'price'" in said
    assert "paytechuz.E006" in said
    assert "-32400" not in said.split("/click/")[1], "the other provider is well"
    with override_settings(PAYTECHUZ={"PAYME": {**PAYME, "PAYME_KEY": "changeme"}, "CLICK": CLICK}):
        assert "paytechuz.W002" in run("doctor")
        with override_settings(SILENCED_SYSTEM_CHECKS=["paytechuz.W002"]):
            assert "paytechuz.W002" not in run("doctor")


def test_a_shop_that_routes_nothing_is_told_how_to(alias: str) -> None:
    del alias
    with override_settings(ROOT_URLCONF=()):
        assert "warning settings" in re.sub(" +", " ", run("doctor"))


def test_a_path_with_a_parameter_is_not_called(alias: str) -> None:
    del alias
    with override_settings(ROOT_URLCONF=(path("<slug:shop>/payme", ShopPayme.as_view()),)):
        assert "its path has a parameter" in run("doctor")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (lambda: KEY, "1 key is valid"),
        (lambda: [KEY, "old#Kd93"], "2 keys are valid"),
        (list, "gives no key"),
        (lambda: PAYME["NO_KEY"], "payme_key raises KeyError"),
    ],
)
def test_keys_that_a_function_gives_are_looked_at(alias: str, keys: Callable[[], Any], said: str) -> None:
    del alias
    with override_settings(ROOT_URLCONF=(path("payme", ShopPayme.as_view(payme_key=keys)),)):
        assert said in (run("doctor") if "valid" in said else sick())


def raising(_: HttpRequest) -> HttpResponse:
    raise LookupError(KEY)


def redirecting(_: HttpRequest) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": "/login"})


class Protected(ShopPayme):
    @method_decorator(csrf_protect)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer."""
        return super().dispatch(request, *args, **kwargs)


class InPlace(ShopPayme):
    """Answers otherwise than the library."""

    answer: Any = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer."""
        del args, kwargs
        answered: HttpResponse = InPlace.answer(request)
        return answered


@pytest.mark.parametrize(
    ("view", "answer", "said"),
    [
        (Protected, None, "HTTP 403"),
        (InPlace, raising, "HTTP 500"),
        (InPlace, redirecting, "HTTP 302"),
        (InPlace, lambda _: HttpResponse(status=404), "HTTP 404"),
        (InPlace, lambda _: HttpResponse("<title>Welcome</title>"), 'an HTML page, "Welcome"'),
        (InPlace, lambda _: HttpResponse('{"result":{"state":2}}'), "let in"),
        (InPlace, lambda _: HttpResponse('{"error":{"code":-32400}}'), "a system error"),
    ],
)
def test_what_answers_in_place_of_the_view_is_told(alias: str, view: Any, answer: Any, said: str) -> None:
    del alias
    InPlace.answer = staticmethod(answer)
    with override_settings(ROOT_URLCONF=(path("payme", view.as_view()),)):
        assert said in sick()
        if answer is raising:
            with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True):
                assert said in sick()


@pytest.mark.parametrize("allowed", [["shop.example"], [".shop.example"], ["*"]])
def test_the_doctor_calls_by_a_name_that_the_project_allows(alias: str, allowed: list[str]) -> None:
    del alias
    with override_settings(ALLOWED_HOSTS=allowed, SECURE_SSL_REDIRECT=True):
        assert "All is well" in run("doctor")


@contextmanager
def served() -> Iterator[str]:
    """Serve the project on loopback, below /shop."""
    application: Any = get_wsgi_application()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not self.path.startswith("/shop/"):
                self.send_response(404)
                self.end_headers()
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": self.path.removeprefix("/shop"),
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": str(port),
                "CONTENT_TYPE": self.headers["Content-Type"],
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
                "wsgi.errors": io.StringIO(),
                "wsgi.url_scheme": "http",
            }
            if "Authorization" in self.headers:
                environ["HTTP_AUTHORIZATION"] = self.headers["Authorization"]
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"".join(application(environ, lambda *_: None)))

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_doctor_calls_over_http_where_it_is_told_to(alias: str) -> None:
    del alias
    with served() as url:
        assert "All is well" in run("doctor", "--url", f"{url}/shop/")
        assert "HTTP 404" in sick("--url", url)
    assert "ConnectionRefusedError" in sick("--url", url)
    with pytest.raises(CommandError, match="not an address"):
        run("doctor", "--url", "shop.example")


@pytest.mark.parametrize(("hours", "said"), [(5, "5 h 0 min ahead"), (-5, "5 h 0 min behind")])
@pytest.mark.every_database
def test_a_clock_that_is_off_is_told(alias: str, hours: int, said: str) -> None:
    del alias
    for number in range(3):
        payment(str(number), late=timedelta(hours=hours))
    payment("click", gateway="click", provider_time=None)
    assert said in sick()


# What is wrong with a database, made wrong in one of its own


@contextmanager
def altered(alias: str, *statements: str) -> Iterator[None]:
    """Alter the table for a while, in a copy that takes its place."""
    connection = connections[alias]
    table = PaymentTransaction._meta.db_table  # noqa: SLF001 - documented under this name
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO payments_before")
        try:
            for statement in statements:
                cursor.execute(statement)
            yield
        finally:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
            cursor.execute(f"ALTER TABLE payments_before RENAME TO {table}")


@pytest.mark.every_database
def test_a_table_that_is_not_there_is_told_with_its_fix(alias: str) -> None:
    with altered(alias):
        said = sick()
    assert "there is no table 'payments': run `manage.py migrate`" in said
    assert "clock" not in said
    assert "All is well" in run("doctor")


@pytest.mark.every_database
def test_a_table_without_keys_and_indexes_is_told(alias: str) -> None:
    with altered(alias, "CREATE TABLE payments AS SELECT * FROM payments_before"):
        assert "no unique keys" in sick()


@pytest.mark.every_database
def test_missing_indexes_are_told_with_the_statements_that_make_them(alias: str) -> None:
    keys = [
        "CREATE UNIQUE INDEX one ON payments (gateway, transaction_id)",
        "CREATE UNIQUE INDEX other ON payments (hold)",
    ]
    with altered(alias, "CREATE TABLE payments AS SELECT * FROM payments_before", *keys):
        said = shown(run("doctor"))
        fixes = re.findall(r"Fix: (CREATE INDEX ix_payments_\w+ ON payments \([\w, ]+\))", said)
        assert len(fixes) == len(INDEXES)
        with connections[alias].cursor() as cursor:
            for fix in fixes:
                cursor.execute(fix.replace("ix_", "again_"))  # the first table has those names
        assert "no index" not in run("doctor")


def on_mariadb(alias: str) -> bool:
    """Tell whether this is MariaDB, whose sort of trouble no other has."""
    return bool(connections[alias].vendor == "mysql")


@pytest.mark.every_database
def test_texts_that_compare_loosely_on_mariadb_are_told(alias: str) -> None:
    if not on_mariadb(alias):
        assert "byte for byte" not in run("doctor"), "elsewhere there is nothing to ask"
        return
    assert "byte for byte" in run("doctor")
    loose = ", ".join(f"MODIFY {name} VARCHAR(200) COLLATE utf8mb4_general_ci" for name in TEXT_KEYS)
    copy = "CREATE TABLE payments LIKE payments_before"
    with altered(alias, copy, f"ALTER TABLE payments {loose}"):
        assert "hold (utf8mb4_general_ci)" in sick()
    with altered(alias, copy, "ALTER TABLE payments MODIFY created_at DATETIME NOT NULL"):
        assert "created_at cannot hold milliseconds" in sick()


@pytest.mark.every_database
@pytest.mark.parametrize("table", ["payments", "shop_orders"])
def test_tables_without_transactions_on_mariadb_are_told(alias: str, table: str) -> None:
    if not on_mariadb(alias):
        assert "has database transactions" in run("doctor")
        return
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ENGINE=MyISAM")
        try:
            assert f"ALTER TABLE {table} ENGINE=InnoDB" in sick()
        finally:
            cursor.execute(f"ALTER TABLE {table} ENGINE=InnoDB")


def test_a_database_that_does_not_answer_is_told(alias: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del alias
    monkeypatch.setattr(connections, "settings", dict(connections.settings))  # it is known to this test alone
    add_database("gone", sqlite(tmp_path / "no" / "such" / "folder"))
    with on("gone"):
        said = sick()
    assert "database gone" in said
    assert "unable to open database file" in said


@pytest.mark.every_database
def test_the_doctor_asks_whether_the_database_has_transactions(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections[alias].features, "supports_transactions", False)
    assert f"the database '{alias}' has no database transactions" in sick()


def test_a_wrapper_that_loses_the_exemptions_is_told_with_all_that_follows(alias: str) -> None:
    del alias

    def bare(view: Any) -> Any:
        def wrapper(request: HttpRequest) -> Any:
            return view(request)

        return wrapper

    with override_settings(ROOT_URLCONF=(path("payme", bare(ShopPayme.as_view())),)):
        said = sick()
    assert "paytechuz.E010" in said
    assert "paytechuz.E011" in said
    assert "HTTP 403" in said
    with override_settings(ROOT_URLCONF=(path("payme", csrf_exempt(bare(ShopPayme.as_view()))),)):
        said = sick()
    assert "paytechuz.E010" not in said
    assert "paytechuz.E011" in said
