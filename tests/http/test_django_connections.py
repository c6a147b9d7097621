"""Django's connections: one that dies at any moment of a call, one that was never there, and who else may be inside.

The server itself ends the connection, from another one: before each statement of the call, before its COMMIT, and just
after, when everything is stored and nobody can know. The call starts over, answers right, and has one effect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import django
import pytest
from django.conf import settings as project
from django.core.signals import request_finished, request_started
from django.db import OperationalError, close_old_connections, connections, transaction
from django.test import override_settings
from django.urls import path
from sqlalchemy import Engine, text

from paytechuz_django.models import PaymentTransaction
from tests.django.shop.models import Order as DjangoOrder
from tests.http.clients import EXAMPLE, HALF_DAY, KEY
from tests.http.django import DjangoClient, DjangoWsgi
from tests.http.test_hooks import CANCELLED, CREATED, PAID, REFUNDED, Move, make

pytestmark = pytest.mark.clients.with_args(DjangoClient)

Open = Callable[..., DjangoClient]

KILL = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 5000)"),
    "mysql": ("SELECT CONNECTION_ID()", "KILL {}"),
}


@dataclass
class Executioner:
    """Ends the shop's connection at the moment whose place is `place`, counted from 0; once."""

    administrator: Engine
    connection: Any
    place: int | None = None
    seen: list[str] = field(default_factory=list)
    killed: int = 0

    def statement(self, run: Callable[..., Any], sql: str, *given: Any) -> Any:
        """Come before a statement, but for what Django tells MariaDB of a new connection."""
        if not sql.startswith("SET SESSION"):
            self.count(sql)
        return run(sql, *given)

    def commit(self) -> None:
        """Come before COMMIT, and after it."""
        self.count("before COMMIT")
        type(self.connection).commit(self.connection)
        if self.count("after COMMIT"):
            message = "the server has gone away before it answered"
            raise OperationalError(message)

    def count(self, what: str) -> bool:
        """Count a moment, and kill if it has come."""
        self.seen.append(what)
        if len(self.seen) - 1 != self.place:
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """Let the server end the connection."""
        ask, kill = KILL[self.connection.vendor]
        with self.connection.connection.cursor() as cursor:  # the driver's own, which nobody counts
            cursor.execute(ask)
            (number,) = cursor.fetchone()
        with self.administrator.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(kill.format(number)))
        self.killed += 1


@contextmanager
def executioner(shop: DjangoClient, place: int | None = None) -> Iterator[Executioner]:
    """Let one watch the shop's connection."""
    connection: Any = connections[shop.database.alias]
    one = Executioner(shop.database.engine, connection, place)
    connection.commit = one.commit
    try:
        with connection.execute_wrapper(one.statement):
            yield one
    finally:
        del connection.commit
        connection.close()


@pytest.mark.every_database(but="sqlite")  # which has no connection to lose
@pytest.mark.parametrize("move", [CREATED, PAID, CANCELLED, REFUNDED], ids=str)
def test_a_connection_that_dies_at_any_moment_costs_nothing(open_shop: Open, move: Move) -> None:
    shop = open_shop(habits=EXAMPLE, settings={})
    order = move.prepare(shop)
    with executioner(shop) as watching:
        make(shop, move.call, order).ok()
    moments = watching.seen
    assert moments[-2:] == ["before COMMIT", "after COMMIT"]
    for place in range(len(moments)):
        shop.database.empty()
        order = move.prepare(shop)
        with executioner(shop, place) as killing:
            assert make(shop, move.call, order).result["state"] == move.state, moments[place]
        assert killing.killed == 1
        assert shop.database.states() == {"a": move.state}
        found = shop.database.find(order)
        paid = "perform" in (*move.before, move.call)
        assert (found.paid, found.returned) == (int(paid), int(move.state < 0)), moments[place]


@contextmanager
def persistent(shop: DjangoClient) -> Iterator[None]:
    """Keep connections for ever, from a new one on."""
    connection = connections[shop.database.alias]
    connection.close()
    before, connection.settings_dict["CONN_MAX_AGE"] = connection.settings_dict["CONN_MAX_AGE"], None
    try:
        yield
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = before


@pytest.mark.every_database(but="sqlite")
def test_a_connection_that_died_while_nobody_used_it_is_made_anew(open_shop: Open) -> None:
    shop = open_shop()
    order = shop.database.order()
    shop.create("a", order).ok()
    with persistent(shop), executioner(shop) as killing:
        connections[shop.database.alias].ensure_connection()
        killing.kill()
        assert shop.perform("a").result["state"] == 2
    assert (shop.database.states(), shop.database.find(order).paid) == ({"a": 2}, 1)


@pytest.mark.every_database(but="sqlite")
def test_what_no_provider_asks_for_outlives_a_dead_connection_too(open_shop: Open) -> None:
    shop = open_shop(settings={})
    refunded = shop.database.order()
    shop.pay("refunded", refunded)
    shop.cancel("refunded").ok()
    shop.create("late", shop.database.order()).ok()
    shop.clock.advance(HALF_DAY + 1)
    view = shop.handler_class(payme_id="x", payme_key=KEY, account_model=DjangoOrder, clock=shop.clock)
    row = PaymentTransaction.objects.get(transaction_id="refunded")
    for step in (view.expire, lambda: view.reopen(row)):
        with persistent(shop), executioner(shop) as killing:
            connections[shop.database.alias].ensure_connection()
            killing.kill()
            step()
    assert shop.database.states() == {"refunded": -2, "late": -1}
    assert shop.create("again", refunded).result["state"] == 1


@pytest.mark.every_database
def test_a_server_that_is_not_there_is_a_system_error_at_once_and_each_call_tries_again(
    open_shop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop()
    shop.create("a", shop.database.order()).ok()
    connection: Any = connections[shop.database.alias]
    connection.close()
    tries: list[int] = []

    def connect(*_: Any) -> None:
        tries.append(1)
        message = "no server"
        raise connection.Database.OperationalError(message)

    monkeypatch.setattr(connection, "get_new_connection", connect)
    for number in (1, 2):
        assert shop.perform("a").code == -32400
        assert len(tries) == number, "a connection that cannot be made is no lost race, and each call tries"
    monkeypatch.undo()
    assert shop.perform("a").result["state"] == 2


@contextmanager
def forgotten(signals: tuple[Any, ...]) -> Iterator[None]:
    """Let no request close a connection, as django.test.Client does."""
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


@contextmanager
def like_a_test_case(alias: str) -> Iterator[None]:
    """Do as django.test.TestCase does around each test."""
    around: Any = transaction.atomic(using=alias)
    around._from_testcase = True  # noqa: SLF001 - Django's own mark
    with forgotten((request_started, request_finished)), around:
        yield
        transaction.set_rollback(True, using=alias)


@pytest.mark.every_database
def test_work_that_a_middleware_has_left_uncommitted_is_not_thrown_away_unseen(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop()
    order, alias = shop.database.order(), shop.database.alias
    signals = (request_started, request_finished)
    with forgotten(signals):
        transaction.set_autocommit(False, using=alias)
        try:
            DjangoOrder.objects.filter(pk=order).update(status="by the middleware")
            assert shop.check_perform(order).code == -32400
            transaction.commit(using=alias)
        finally:
            transaction.set_autocommit(True, using=alias)
    assert "set_autocommit(False)" in caplog.text
    assert shop.database.find(order).status == "by the middleware"


def test_one_connection_serves_all_of_an_expiry(open_shop: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop()
    for number in range(5):
        shop.create(str(number), shop.database.order()).ok()
    shop.clock.advance(HALF_DAY + 1)
    connection: Any = connections[shop.database.alias]
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    connection.close()
    made: list[Any] = []
    connect = connection.get_new_connection

    def counted(given: Any) -> Any:
        made.append(given)
        return connect(given)

    monkeypatch.setattr(connection, "get_new_connection", counted)
    assert shop.expire() == (5, 0)
    assert len(made) == 1, "with CONN_MAX_AGE at 0, too"


@pytest.mark.every_database
def test_a_shops_own_test_case_may_play_a_payment_and_rolls_it_back(open_shop: Open) -> None:
    told: list[Any] = []

    def after_commit(self: Any, event: str, params: Any, moved: Any) -> None:
        del self, params
        told.append((event, moved.state))

    shop = open_shop(habits=[*EXAMPLE, after_commit])
    order = shop.database.order()
    with like_a_test_case(shop.database.alias):
        registered = len(connections[shop.database.alias].run_on_commit)
        shop.pay("a", order)
        assert DjangoOrder.objects.get(pk=order).status == "paid"
        assert len(connections[shop.database.alias].run_on_commit) == registered, "callbacks a test counts are its own"
    assert told == [("transaction_created", 1), ("successfully_payment", 2)]
    assert (shop.database.payments(), shop.database.find(order).status) == ([], "pending")


@pytest.mark.every_database
@pytest.mark.parametrize("atomic_requests", [True, False])
def test_atomic_requests_make_no_difference(open_shop: Open, *, atomic_requests: bool) -> None:
    shop = open_shop()
    alias, order = shop.database.alias, shop.database.order()
    settings = connections[alias].settings_dict
    before, settings["ATOMIC_REQUESTS"] = settings["ATOMIC_REQUESTS"], atomic_requests
    try:
        shop.pay("a", order)
        assert (shop.database.states(), shop.database.find(order).paid) == ({"a": 2}, 1)
    finally:
        settings["ATOMIC_REQUESTS"] = before


@override_settings(DEBUG_PROPAGATE_EXCEPTIONS=False)
def test_a_webhook_needs_no_csrf_token_and_any_other_view_does(open_shop: Open) -> None:
    shop = open_shop()
    assert shop.check_perform(shop.database.order()).result == {"allow": True}

    def other(request: Any) -> Any:
        raise AssertionError(request)

    shop.app = DjangoWsgi((path("payme", other),))
    assert shop.request(b"{}", {}, "POST", "/payme").status_code == 403


@pytest.mark.skipif(django.VERSION < (5, 1), reason="LoginRequiredMiddleware came with Django 5.1")
def test_a_webhook_needs_no_login_and_any_other_view_does(open_shop: Open) -> None:
    shop = open_shop()

    def other(request: Any) -> Any:
        raise AssertionError(request)

    middleware = [*project.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        assert shop.check_perform(shop.database.order()).result == {"allow": True}
        shop.app = DjangoWsgi((path("payme", other),))
        assert shop.request(b"", {}, "GET", "/payme").status_code == 302  # CSRF protection lets a GET through
