"""One order, one payment, whichever provider: Payme and Click call the same shop, after one another and all at once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from paytechuz_core.sql import PaymentTransaction
from tests import SIZE
from tests.http.click import Click
from tests.http.clients import EXAMPLE, HALF_DAY, PATIENCE, PAYMENTS, TIYIN, Client, Database, Row

Open = Callable[..., Client]
ROUNDS = 2 * SIZE


# After one another


@pytest.mark.every_database
def test_what_click_holds_or_was_paid_is_refused_to_payme(shop: Client) -> None:
    click, order = Click(shop), shop.database.order()
    for call, code in ((click.prepare, -31051), (click.complete, -31052), (click.abort, -31052)):
        call(1, order)
        for answer in (shop.check_perform(order), shop.create("p", order)):
            assert (answer.code, answer.error["data"]) == (code, "order_id")
    assert shop.database.states() == {"1": -2}


@pytest.mark.every_database
def test_what_payme_holds_or_was_paid_is_refused_to_click(shop: Client) -> None:
    click, order = Click(shop), shop.database.order()
    for step, code in ((partial(shop.create, order=order), -9), (shop.perform, -4), (shop.cancel, -5)):
        step("p").ok()
        assert [click.prepare(1, order).error, click.complete(1, order).error] == [code, -6]
    assert shop.database.states() == {"p": -2}


@pytest.mark.every_database
def test_what_one_gave_up_before_it_was_paid_the_other_may_have(shop: Client) -> None:
    click, order = Click(shop), shop.database.order()
    assert [click.prepare(1, order).error, click.abort(1, order).error] == [0, -9]
    shop.create("p", order).ok()
    shop.cancel("p", 3).ok()
    assert [click.prepare(2, order).error, click.abort(2, order).error] == [0, -9]
    shop.pay("q", order)
    assert shop.database.states() == {"1": -1, "p": -1, "2": -1, "q": 2}
    assert shop.database.find(order).paid == 1


@pytest.mark.every_database
def test_click_takes_the_order_from_an_expired_transaction_of_payme_and_not_a_moment_before(shop: Client) -> None:
    click, order = Click(shop), shop.database.order()
    shop.create("p", order).ok()
    shop.clock.advance(HALF_DAY)
    assert click.prepare(1, order).error == -9
    shop.clock.advance(1)
    assert click.prepare(1, order).error == 0
    row = shop.database.payment("p")
    assert (row["state"], row["reason"], row["hold"]) == (-1, 4, None)
    assert [shop.perform("p").code, shop.create("p", order).code, click.complete(1, order).error] == [-31008, -31008, 0]
    assert (shop.hooks, shop.database.find(order).paid) == (["cancelled_payment", "successfully_payment"], 1)


@pytest.mark.every_database
def test_payme_takes_the_order_from_a_forgotten_attempt_of_click_whose_money_then_goes_back(shop: Client) -> None:
    click, order = Click(shop), shop.database.order()
    assert click.prepare(1, order).error == 0
    shop.clock.advance(HALF_DAY)
    assert shop.check_perform(order).code == -31051
    shop.clock.advance(1)
    assert shop.check_perform(order).result == {"allow": True}
    shop.pay("p", order)
    assert [click.complete(1, order).error, click.prepare(1, order).error] == [-9, -9]
    assert click.prepare(2, order).error == -4
    assert (shop.database.states(), shop.database.find(order).paid) == ({"1": -1, "p": 2}, 1)


def test_the_same_id_of_both_providers_is_two_payments(shop: Client) -> None:
    one, other = shop.database.order(), shop.database.order()
    shop.pay("77", one)
    Click(shop).pay(77, other)
    assert [row["gateway"] for row in shop.database.payments()] == ["payme", "click"]
    assert (shop.check("77").result["state"], Click(shop).complete(77, other).error) == (2, -4)


def test_neither_sees_the_payments_of_the_other(shop: Client) -> None:
    order = shop.database.order()
    Click(shop).pay(1, order)
    assert [shop.check("1").code, shop.perform("1").code, shop.cancel("1").code] == [-31003] * 3
    assert shop.statement(1, 2 * shop.clock.now) == []
    assert shop.database.states() == {"1": 2}


# All at once


def check_books(database: Database, *, orders: list[Any]) -> None:
    """I4, I5, I7, I9 and I25, in the tables."""
    rows = database.payments()
    paid_effects = reversals = 0
    for order in orders:
        own = [row for row in rows if row["account_id"] == str(order)]
        found = database.find(order)
        assert len(alive(own)) <= 1, own
        assert len([row for row in own if row["hold"] is not None]) <= 1, own
        assert found.paid == sum(row["performed_at"] is not None for row in own), (found, own)
        assert found.paid - sum(row["state"] == -2 for row in own) == sum(row["state"] == 2 for row in own), own
        paid_effects += found.paid
        reversals += sum(row["state"] == -2 for row in own)
    assert len({(row["gateway"], row["transaction_id"]) for row in rows}) == len(rows)
    assert sum(row["amount_tiyin"] for row in rows if row["state"] == 2) == TIYIN * (paid_effects - reversals)
    for row in rows:
        assert (row["performed_at"] is not None) is (row["state"] in (2, -2)), row
        assert (row["cancelled_at"] is not None) is (row["reason"] is not None) is (row["state"] < 0), row
        assert (row["hold"] is None) is (row["state"] == -1), row
        times = [row[name] for name in ("created_at", "performed_at", "cancelled_at") if row[name] is not None]
        assert times == sorted(times), row


def alive(rows: list[Row]) -> list[Row]:
    """The payments that hold their order, unpaid or paid."""
    return [row for row in rows if row["state"] in (1, 2)]


@contextmanager
def watched_by_a_bystander(database: Database) -> Iterator[list[Counter[str]]]:
    """Look at the table all the while: at no time may two payments of one order be alive."""
    done, started, seen = threading.Event(), threading.Event(), []

    def watch() -> None:
        while not done.is_set():
            seen.append(Counter(row["account_id"] for row in alive(database.payments())))
            started.set()

    bystander = threading.Thread(target=watch)
    bystander.start()
    try:
        assert started.wait(PATIENCE)
        yield seen
    finally:
        done.set()
        bystander.join()


@pytest.mark.every_database
@pytest.mark.sized
def test_of_sixteen_payers_at_once_eight_with_each_provider_at_most_one_pays(shop: Client) -> None:
    click, orders = Click(shop), [shop.database.order() for _ in range(ROUNDS)]

    def with_payme(name: str, order: Any, *, gives_up: bool) -> bool:
        created = shop.create(name, order).code
        assert created in (None, -31051, -31052)
        if gives_up and created is None:
            shop.cancel(name, 3).ok()
            return False
        performed = shop.perform(name).code
        assert performed == (None if created is None else -31003), "an order that was given away is not taken back"
        return performed is None

    def with_click(trans: int, order: Any, *, gives_up: bool) -> bool:
        prepared = click.prepare(trans, order).error
        assert prepared in (0, -4, -9, -7)
        completed = (click.abort if gives_up else click.complete)(trans, order).error
        assert completed in ((0, -9) if prepared == 0 else (-6,))
        return completed == 0

    with watched_by_a_bystander(shop.database) as seen:
        for place, order in enumerate(orders):
            payers = [partial(with_payme, f"p-{place}-{n}", order, gives_up=n % 4 == 3) for n in range(8)]
            payers += [partial(with_click, 100 * place + n, order, gives_up=n % 4 == 3) for n in range(8)]
            paid = shop.at_once(payers)
            assert sum(paid) == shop.database.find(order).paid
            assert sum(paid) <= 1
    assert max((count for each in seen for count in each.values()), default=0) <= 1
    check_books(shop.database, orders=orders)
    assert shop.hooks.count("successfully_payment") == sum(shop.database.find(order).paid for order in orders)


@pytest.mark.every_database
@pytest.mark.sized
def test_of_sixteen_reservations_at_once_those_of_one_provider_win(shop: Client) -> None:
    click, winners = Click(shop), Counter[str]()
    orders = [shop.database.order() for _ in range(ROUNDS)]
    for place, order in enumerate(orders):
        # One attempt of Click, eight times: a second one would take the place of the first.
        calls: list[Callable[[], Any]] = [partial(shop.create, f"p-{place}-{n}", order) for n in range(8)]
        calls += [partial(click.prepare, place, order)] * 8
        answers = shop.at_once(calls)
        of_payme, of_click = [each.code for each in answers[:8]], [each.error for each in answers[8:]]
        (holder,) = alive([row for row in shop.database.payments() if row["account_id"] == str(order)])
        winners[holder["gateway"]] += 1
        if holder["gateway"] == "payme":
            assert sorted(of_payme, key=str) == [-31051] * 7 + [None]
            assert of_click == [-9] * 8
        else:
            assert of_payme == [-31051] * 8
            assert of_click == [0] * 8
    check_books(shop.database, orders=orders)
    assert winners.total() == ROUNDS


@pytest.mark.every_database
def test_an_expired_holder_is_evicted_by_one_newcomer_only(shop: Client) -> None:
    click, orders = Click(shop), [shop.database.order() for _ in range(ROUNDS)]
    for place, order in enumerate(orders):
        shop.create(f"old-{place}", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    for place, order in enumerate(orders):
        calls: list[Callable[[], Any]] = [partial(shop.create, f"p-{place}-{n}", order) for n in range(4)]
        calls += [partial(click.prepare, place, order)] * 4 + [partial(shop.perform, f"old-{place}")] * 2
        answers = shop.at_once(calls)
        assert [each.code for each in answers[8:]] == [-31008] * 2
        created = [each.code for each in answers[:4]].count(None)
        prepared = [each.error for each in answers[4:8]].count(0)
        assert (created, prepared) in ((1, 0), (0, 4))
        row = shop.database.payment(f"old-{place}")
        assert (row["state"], row["reason"]) == (-1, 4)
    assert shop.hooks == ["cancelled_payment"] * ROUNDS
    check_books(shop.database, orders=orders)


@pytest.mark.every_database
def test_money_that_comes_late_through_click_while_payme_wants_the_order_pays_it_once(shop: Client) -> None:
    click, orders = Click(shop), [shop.database.order() for _ in range(ROUNDS)]
    for trans, order in enumerate(orders):
        assert click.prepare(trans, order).error == 0
    shop.clock.advance(HALF_DAY + 1)
    for trans, order in enumerate(orders):
        calls: list[Callable[[], Any]] = [partial(click.complete, trans, order)]
        calls.append(partial(shop.create, f"p-{trans}", order))
        completed, created = shop.at_once(calls)
        assert (completed.error, created.code) in ((0, -31052), (-9, None))
        if created.code is None:
            shop.perform(f"p-{trans}").ok()
        assert shop.database.find(order).paid == 1
    check_books(shop.database, orders=orders)


@pytest.mark.every_database
def test_wallets_take_all_payments_of_both_at_once(open_shop: Open) -> None:
    free = {"one_time_payment": False}
    shop = open_shop(habits=EXAMPLE[1:], settings=free, click_settings=free)
    click, wallet = Click(shop), shop.database.order()

    def with_click(trans: int) -> None:
        click.pay(trans, wallet, click_paydoc_id=trans)

    shop.at_once([partial(shop.pay, f"p-{n}", wallet) for n in range(8)] + [partial(with_click, n) for n in range(8)])
    assert Counter(shop.database.states().values()) == {2: 16}
    assert len({row["hold"] for row in shop.database.payments() if row["gateway"] == "click"}) == 8


def test_the_books_do_not_pass_with_two_payments_for_one_order_or_with_one_that_nobody_made(shop: Client) -> None:
    """The negative control."""
    order, other = shop.database.order(), shop.database.order()
    shop.pay("p", order)
    Click(shop).pay(1, other)
    check_books(shop.database, orders=[order, other])
    shop.database.change(order, paid=2)
    with pytest.raises(AssertionError):
        check_books(shop.database, orders=[order, other])
    shop.database.change(order, paid=1)
    with shop.database.engine.begin() as connection:
        connection.execute(
            update(PaymentTransaction).where(PAYMENTS.c.transaction_id == "1").values(account_id=str(order))
        )
    with pytest.raises(AssertionError):
        check_books(shop.database, orders=[order])
