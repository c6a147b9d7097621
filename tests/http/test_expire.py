"""`expire`: what nobody paid in time is cancelled by the shop itself, whoever else calls at the same moment."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from paytechuz import Refused
from paytechuz_core.handler import Expiry
from tests import SIZE
from tests.http.click import Click
from tests.http.clients import EXAMPLE, HALF_DAY, Client
from tests.http.test_one_order_one_payment import check_books

Open = Callable[..., Client]
ROUNDS = 3 * SIZE


def test_a_shop_that_has_nothing_to_expire_expires_nothing(shop: Client) -> None:
    assert shop.expire() == Expiry(expired=0, failed=0)


@pytest.mark.every_database
def test_only_what_is_unpaid_and_past_its_time_is_expired_and_its_order_is_free_again(shop: Client) -> None:
    click = Click(shop)
    late, paid, dropped, held, fresh = orders = [shop.database.order() for _ in range(5)]
    shop.create("late", late).ok()
    shop.pay("paid", paid)
    shop.create("dropped", dropped).ok()
    shop.cancel("dropped", 3).ok()
    assert click.prepare(1, held).error == 0
    shop.clock.advance(1)
    shop.create("fresh", fresh).ok()
    heard = len(shop.hooks)

    shop.clock.advance(HALF_DAY)
    assert shop.expire() == Expiry(expired=1, failed=0)
    assert shop.database.states() == {"late": -1, "paid": 2, "dropped": -1, "1": 1, "fresh": 1}
    row = shop.database.payment("late")
    assert (row["reason"], row["hold"]) == (4, None)
    assert shop.hooks[heard:] == ["cancelled_payment"]
    assert shop.database.find(late).status == "cancelled"
    assert shop.expire() == Expiry(expired=0, failed=0)
    assert (shop.perform("late").code, click.complete(1, held).error) == (-31008, 0)
    shop.pay("again", late)
    check_books(shop.database, orders=orders)


@pytest.mark.every_database
def test_there_may_be_more_of_them_than_one_page(shop: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paytechuz_core.handler.PAGE", 3)
    orders = [shop.database.order() for _ in range(8)]
    for number, order in enumerate(orders):
        if number == 4:
            shop.clock.advance(1)  # from here on they are in time
        shop.create(f"p-{number}", order).ok()
    shop.clock.advance(HALF_DAY)
    assert shop.expire() == Expiry(expired=4, failed=0)
    assert list(shop.database.states().values()) == [-1] * 4 + [1] * 4
    assert shop.hooks == ["cancelled_payment"] * 4


@pytest.mark.every_database
@pytest.mark.parametrize("error", [ZeroDivisionError, partial(Refused, "not yet")])
@pytest.mark.parametrize("commits", [False, True])
def test_a_hook_that_fails_leaves_nothing_of_its_own_payment_and_the_next_run_does_it(
    open_shop: Open,
    commits: bool,  # noqa: FBT001 - a parameter
    error: Callable[[], Exception],
) -> None:
    fails = True

    def cancelled_payment(self: Any, params: Any, transaction: Any) -> Any:
        del params
        order = yield self.db.get(self.model, transaction.account_id)
        order.status = "cancelled"
        order.returned += 1
        if commits or not fails or transaction.transaction_id != "b":
            yield self.db.commit()
        if fails and transaction.transaction_id == "b":
            raise error()

    shop = open_shop(habits=[EXAMPLE[0], cancelled_payment])
    orders = {name: shop.database.order() for name in "abc"}
    for name, order in orders.items():
        shop.create(name, order).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert shop.expire() == Expiry(expired=2, failed=1)
    assert shop.database.states() == {"a": -1, "b": 1, "c": -1}
    assert [shop.database.find(order).status for order in orders.values()] == ["cancelled", "pending", "cancelled"]
    assert shop.database.payment("b")["hold"] is not None
    fails = False
    assert shop.expire() == Expiry(expired=1, failed=0)
    assert (shop.database.states()["b"], shop.database.find(orders["b"]).returned) == (-1, 1)


@pytest.mark.every_database
def test_what_is_told_after_commit_is_told_once(open_shop: Open) -> None:
    def after_commit(self: Any, event: str, params: Any, transaction: Any) -> None:
        del self
        told.append((event, params, transaction.state.value))

    told: list[Any] = []
    shop = open_shop(habits=[*EXAMPLE, after_commit])
    shop.create("a", shop.database.order()).ok()
    told.clear()
    shop.clock.advance(HALF_DAY + 1)
    shop.expire()
    shop.expire()
    assert told == [("cancelled_payment", {"id": "a", "reason": 4}, -1)]


# All at once


@pytest.mark.every_database
@pytest.mark.sized
def test_two_runs_at_once_expire_each_payment_once(shop: Client) -> None:
    for round_ in range(ROUNDS):
        orders = [shop.database.order() for _ in range(5)]
        for number, order in enumerate(orders):
            shop.create(f"p-{round_}-{number}", order).ok()
        shop.clock.advance(HALF_DAY + 1)
        runs = shop.at_once([shop.expire, shop.expire])
        assert (sum(run.expired for run in runs), sum(run.failed for run in runs)) == (5, 0)
        assert [shop.database.find(order).returned for order in orders] == [1] * 5
    assert set(shop.database.states().values()) == {-1}


@pytest.mark.every_database
@pytest.mark.sized
def test_a_run_against_payme_itself_ends_as_if_one_had_come_after_the_other(shop: Client) -> None:
    for round_ in range(ROUNDS):
        orders = [shop.database.order() for _ in range(3)]
        names = [f"p-{round_}-{number}" for number in range(3)]
        for name, order in zip(names, orders, strict=True):
            shop.create(name, order).ok()
        shop.clock.advance(HALF_DAY + 1)
        calls: list[Callable[[], Any]] = [shop.expire, partial(shop.perform, names[0])]
        calls += [partial(shop.cancel, names[1], 5), partial(shop.check, names[2])]
        run, performed, cancelled, checked = shop.at_once(calls)
        assert (performed.code, cancelled.result["state"], checked.code) == (-31008, -1, None)
        assert (run.expired in (1, 2, 3), run.failed) == (True, 0)
        assert [shop.database.payment(name)["state"] for name in names] == [-1] * 3
        assert [shop.database.find(order).returned for order in orders] == [1] * 3


@pytest.mark.every_database
@pytest.mark.sized
def test_a_run_whose_clock_is_ahead_cancels_or_comes_too_late_but_never_both_pays_and_cancels(
    open_shop: Open,
) -> None:
    shop = open_shop()
    hasty = type(shop)(database=shop.database, clock=type(shop.clock)(shop.clock.now + HALF_DAY + 1))
    for round_ in range(ROUNDS):
        order = shop.database.order()
        shop.create(f"p-{round_}", order).ok()
        calls: list[Callable[[], Any]] = [hasty.expire, partial(shop.perform, f"p-{round_}")]
        run, performed = shop.at_once(calls)
        found, state = shop.database.find(order), shop.database.payment(f"p-{round_}")["state"]
        assert run.failed == 0
        if performed.code is None:
            assert (run.expired, state, found.paid, found.returned) == (0, 2, 1, 0)
        else:
            assert (performed.code, run.expired, state, found.paid, found.returned) == (-31008, 1, -1, 0, 1)
