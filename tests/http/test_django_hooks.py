"""What hooks do in Django: committed together with the transaction's state, or not at all, on every database.

`test_hooks` tries what all frameworks share; these habits are Django's own.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.models import F

from paytechuz.integrations.django import payment_cancelled, payment_created, payment_succeeded
from paytechuz_core.decision import MOVES as MOVES_OF_ALL
from paytechuz_django.signals import BY_MOVE
from tests.django.project import Router
from tests.django.shop.models import Order
from tests.http import test_hooks
from tests.http.clients import EXAMPLE, HALF_DAY, Habit
from tests.http.django import DjangoClient
from tests.http.django_habits import BAD, DISPUTED, GOOD, mark, raises, saves_an_object
from tests.http.habits import MOVES, PAID, Broken, Move, hook

pytestmark = pytest.mark.clients.with_args(DjangoClient)

Open = Callable[..., DjangoClient]


@pytest.mark.every_database
@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("habit", GOOD)
def test_what_a_hook_does_is_committed_with_the_state(open_shop: Open, move: Move, habit: Any) -> None:
    test_hooks.test_what_a_hook_does_is_committed_with_the_state(open_shop, move, habit)


@pytest.mark.every_database
@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("habit", BAD)
def test_a_hook_whose_work_is_lost_leaves_nothing_and_the_repetition_can_succeed(
    open_shop: Open, move: Move, habit: Any
) -> None:
    test_hooks.test_a_hook_whose_work_is_lost_leaves_nothing_and_the_repetition_can_succeed(open_shop, move, habit)


@pytest.mark.every_database
@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("habit", DISPUTED)
def test_a_success_is_whole_and_a_system_error_is_nothing(open_shop: Open, move: Move, habit: Any) -> None:
    test_hooks.test_a_success_is_whole_and_a_system_error_is_nothing(open_shop, move, habit)


@pytest.mark.every_database(but="sqlite")  # whose one writer never meets a deadlock
def test_a_deadlock_that_a_hook_swallows_starts_the_call_over(open_shop: Open) -> None:
    both_have_one = threading.Barrier(2)
    tries: list[str] = []

    def successfully_payment(self: Any, params: Any, transaction_: Any) -> None:
        del params
        own = orders[transaction_.transaction_id]
        (other,) = {*orders.values()} - {own}
        tries.append(transaction_.transaction_id)
        Order.objects.filter(pk=own).update(paid=F("paid") + 1)
        if tries.count(transaction_.transaction_id) == 1:
            self.wait(both_have_one)
        with suppress(DatabaseError):
            Order.objects.filter(pk=other).update(paid=F("paid") + 1)

    shop = open_shop(habits=[successfully_payment])
    orders = {name: shop.database.order() for name in ("a", "b")}
    for name, order in orders.items():
        shop.create(name, order).ok()
    answers = shop.at_once([lambda: shop.perform("a"), lambda: shop.perform("b")])
    assert [answer.code for answer in answers] == [None, None]
    assert [shop.database.find(order).paid for order in orders.values()] == [2, 2]
    assert len(tries) > 2, "the database saw no deadlock"


# on_commit


def on_commit(callback: Callable[[Any], None]) -> Habit:
    """A paid hook that registers a callback, and does its work."""

    def successfully_payment(self: Any, params: Any, transaction_: Any) -> None:
        del params
        mark(transaction_)
        transaction.on_commit(lambda: callback(transaction_), using=self.using)

    return successfully_payment


@pytest.mark.every_database
def test_on_commit_in_a_hook_fires_once_and_after_the_commit(open_shop: Open) -> None:
    seen: list[Any] = []
    shop = open_shop(habits=[on_commit(lambda each: seen.append((each.state, shop.database.states())))])
    PAID.prepare(shop)
    for _ in range(3):
        shop.perform("a").ok()
    assert seen == [(2, {"a": 2})]


@pytest.mark.every_database
def test_on_commit_does_not_fire_for_what_was_not_committed(open_shop: Open) -> None:
    seen: list[Any] = []

    def successfully_payment(self: Any, params: Any, transaction_: Any) -> None:
        del params, transaction_
        transaction.on_commit(lambda: seen.append(1), using=self.using)
        raise Broken

    shop = open_shop(habits=[successfully_payment])
    PAID.prepare(shop)
    assert shop.perform("a").code == -32400
    assert seen == []


@pytest.mark.every_database
def test_an_error_in_an_on_commit_callback_is_logged_and_the_payment_is_answered_as_paid(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: Any) -> None:
        raise Broken

    shop = open_shop(habits=[on_commit(breaks)])
    order = PAID.prepare(shop)
    first = shop.perform("a")
    assert (first.result["state"], shop.perform("a").body) == (2, first.body)
    assert (shop.database.states(), shop.database.find(order).paid) == ({"a": 2}, 1)
    (record,) = (record for record in caplog.records if record.name == "paytechuz")
    assert (record.levelno, record.exc_info and record.exc_info[0]) == (logging.ERROR, Broken)
    assert not connections[shop.database.alias].in_atomic_block


# Signals


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    """What the receivers of all signals hear."""
    heard: list[Any] = []
    signals = {"created": payment_created, "succeeded": payment_succeeded, "cancelled": payment_cancelled}
    receivers = {}
    for name, signal in signals.items():

        def receive(sender: Any, *, name: str = name, **given: Any) -> None:
            heard.append((name, sender, given["transaction"], given["params"]))

        receivers[name] = receive
        signal.connect(receive)
    yield heard
    for name, signal in signals.items():
        signal.disconnect(receivers[name])


@pytest.mark.every_database
def test_signals_tell_once_of_each_move_after_it_is_committed(open_shop: Open, heard: list[Any]) -> None:
    committed: list[Any] = []

    def receive(**_: Any) -> None:
        committed.append(shop.database.states()["a"])

    shop = open_shop(habits=EXAMPLE)
    payment_succeeded.connect(receive)
    try:
        shop.pay("a", shop.database.order())
    finally:
        payment_succeeded.disconnect(receive)
    shop.perform("a").ok()
    shop.cancel("a").ok()
    shop.cancel("a").ok()
    assert [(name, each.state, params["id"]) for name, _, each, params in heard] == [
        ("created", 1, "a"), ("succeeded", 2, "a"), ("cancelled", -2, "a"),
    ]  # fmt: skip
    assert {sender for _, sender, _, _ in heard} == {shop.handler_class}
    assert committed == [2]


def test_a_receiver_is_given_what_is_stored_the_hooks_extra_data_included(open_shop: Open, heard: list[Any]) -> None:
    def successfully_payment(self: Any, params: Any, transaction_: Any) -> None:
        del self, params
        transaction_.extra_data["invoice"] = 7

    shop = open_shop(habits=[successfully_payment])
    shop.pay("a", shop.database.order())
    _, _, paid, _ = heard[-1]
    stored_ = shop.database.payment("a")
    assert (paid.state, paid.extra_data, paid.version) == (2, {"invoice": 7}, stored_["version"])
    assert stored_["extra_data"] == {"invoice": 7}


def test_what_a_receiver_writes_into_the_transaction_reaches_nobody(open_shop: Open) -> None:
    told: list[Any] = []

    def after_commit(self: Any, event: str, params: Any, moved: Any) -> None:
        del self, event
        told.append((params["id"], moved.extra_data))

    def receive(transaction: Any, params: Any, **_: Any) -> None:
        transaction.extra_data["receiver"] = params["id"] = "was here"

    shop = open_shop(habits=[after_commit])
    payment_created.connect(receive)
    try:
        shop.create("a", shop.database.order()).ok()
    finally:
        payment_created.disconnect(receive)
    assert (told, shop.database.payment("a")["extra_data"]) == ([("a", {})], {})


def test_there_is_a_signal_for_each_move() -> None:
    assert BY_MOVE.keys() == MOVES_OF_ALL


def test_signals_tell_nothing_of_what_was_not_saved(open_shop: Open, heard: list[Any]) -> None:
    shop = open_shop(habits=[hook("successfully_payment", raises)])
    PAID.prepare(shop)
    assert shop.perform("a").code == -32400
    assert [name for name, *_ in heard] == ["created"]


def test_a_receiver_that_fails_keeps_neither_the_others_nor_the_hook_nor_the_answer_from_anything(
    open_shop: Open, heard: list[Any]
) -> None:
    def breaks(**_: Any) -> None:
        raise Broken

    def after_commit(self: Any, *_: Any) -> None:
        del self

    shop = open_shop(habits=[*EXAMPLE, after_commit])
    for signal in (payment_created, payment_succeeded):
        signal.connect(breaks)
    try:
        shop.pay("a", shop.database.order())
    finally:
        for signal in (payment_created, payment_succeeded):
            signal.disconnect(breaks)
    assert [name for name, *_ in heard] == ["created", "succeeded"]
    assert shop.hooks == ["after_commit", "successfully_payment", "after_commit"]


def test_a_transaction_that_payme_never_came_back_for_is_told_to_the_receivers_too(
    open_shop: Open, heard: list[Any]
) -> None:
    shop = open_shop()
    shop.create("a", shop.database.order()).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert shop.perform("a").code == -31008
    assert [(name, each.state, each.reason) for name, _, each, _ in heard][1:] == [("cancelled", -1, 4)]


# Around the view


def test_a_webhook_inside_a_database_transaction_of_the_shops_own_is_refused_and_the_log_names_the_fix(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop()
    order = shop.database.order()
    with transaction.atomic(using=shop.database.alias):
        assert shop.create("a", order).code == -32400
    assert "middleware" in caplog.text
    assert shop.database.payments() == []


def test_a_database_without_autocommit_is_refused_and_the_log_names_the_fix(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop()
    order = shop.database.order()
    settings = connections[shop.database.alias].settings_dict
    settings["AUTOCOMMIT"] = False
    try:
        assert shop.create("a", order).code == -32400
    finally:
        settings["AUTOCOMMIT"] = True
        connections[shop.database.alias].close()
    assert "AUTOCOMMIT" in caplog.text


@pytest.mark.every_database
def test_a_missing_table_is_told_with_its_fix(open_shop: Open, caplog: pytest.LogCaptureFixture) -> None:
    shop = open_shop()
    order = shop.database.order()
    with shop.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE payments RENAME TO hidden")
    try:
        assert shop.create("a", order).code == -32400
    finally:
        with shop.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO payments")
    assert "manage.py migrate" in caplog.text
    assert shop.create("a", order).result["state"] == 1


@pytest.mark.every_database
def test_the_writer_is_read_even_where_a_router_sends_reads_elsewhere(
    open_shop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(habits=[hook("successfully_payment", saves_an_object)])
    order = shop.database.order()

    def elsewhere(self: Any, model: Any, **hints: Any) -> str:
        del self, model, hints
        return "default"  # which is no database at all

    monkeypatch.setattr(Router, "db_for_read", elsewhere)
    shop.check_perform(order).ok()
    shop.pay("a", order)
    shop.check("a").ok()
    assert (shop.database.states(), shop.database.find(order).status) == ({"a": 2}, "touched")
