"""What the page about hooks says, sentence by sentence."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from paytechuz import Refused
from paytechuz_core.decision import Hook
from paytechuz_core.hooks import Hooks
from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS

PAGE = DOCS / "how-to/hooks.md"


def commit(hook: Any) -> None:
    hook.db.commit()


def commit_and_raise(hook: Any) -> None:
    hook.db.commit()
    message = "a bug"
    raise RuntimeError(message)


def refuse(hook: Any) -> None:
    hook.db.commit()
    message = "no"
    raise Refused(message)


def roll_back(hook: Any) -> None:
    hook.db.rollback()


def roll_back_and_do_better(hook: Any) -> None:
    hook.db.rollback()
    hook.write()


def close(hook: Any) -> None:
    hook.db.close()


def swallow(hook: Any) -> None:
    hook.db.add(hook.accounts.model(id=1, amount=1))
    with suppress(IntegrityError):
        hook.db.flush()


def fail_in_a_savepoint(hook: Any) -> None:
    try:
        with hook.db.begin_nested():
            hook.db.execute(text("INSERT INTO orders (id, amount, status) VALUES (1, 1, 'x')"))
    except IntegrityError:
        hook.write()


@pytest.mark.parametrize(
    ("habit", "answer", "status"),
    [
        (lambda _: None, 2, "paid"),
        (commit, 2, "paid"),
        (commit_and_raise, -32400, "pending"),
        (refuse, -31008, "pending"),
        (roll_back, -32400, "pending"),
        (roll_back_and_do_better, 2, "paid"),
        (close, -32400, "pending"),
        (swallow, -32400, "pending"),
        (fail_in_a_savepoint, 2, "paid"),
    ],
)
def test_what_a_hook_does_to_the_database(
    shop: TutorialShop, habit: Callable[[Any], None], answer: int, status: str
) -> None:
    def write(self: Any) -> None:
        self.db.get(shop.module.Order, 1).status = "paid"
        self.db.flush()

    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del params, transaction
        self.write()
        habit(self)

    handler = shop.payments.ShopPayme
    till = shop.till(type("Habitual", (handler,), {"write": write, "successfully_payment": successfully_payment}))
    order = shop.order()
    assert till.create(order_id=order)["state"] == 1
    seen = till.perform()
    assert seen.get("state", seen.get("code")) == answer
    assert shop.status(order) == status
    assert till.call("CheckTransaction", id="A")["state"] == (2 if answer == 2 else 1)
    if answer != 2:  # and the repetition may succeed
        assert shop.till(handler).perform()["state"] == 2
        assert shop.status(order) == "paid"


def test_every_hook_is_on_the_page() -> None:
    page = PAGE.read_text()
    for name in (*Hook, "is_payable", "find_account"):
        assert f"| `{name}(" in page
    for name in (each for each in vars(Hooks) if not each.startswith("_")):
        assert f"| `{name}(" in page


def test_after_commit_is_told_once(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    till = shop.till(names["MailingPayme"])
    till.create(order_id=shop.order())
    till.perform()
    till.perform()
    assert names["outbox"] == ["Order 1: 5000.00 som received, thank you"]


def test_a_refusal_is_answered_in_the_merchants_words(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["CarefulPayme"])
    assert till.check(order_id=shop.order()) == {"allow": True}
    dear = shop.order(amount=10_000_001)
    for answer in (till.check(1_000_000_100, order_id=dear), till.create(amount=1_000_000_100, order_id=dear)):
        assert (answer["code"], answer["data"]) == (-31060, "order_id")
        assert answer["message"]["en"] == "We take such an amount in the shop only"


def test_a_closed_order_is_not_payable(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["OpenOrdersPayme"])
    assert till.check(order_id=shop.order(status="withdrawn"))["code"] == -31052
    assert till.check(order_id=shop.order()) == {"allow": True}


def test_a_delivered_order_is_not_refunded(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["FinalPayme"])
    order = shop.order()
    till.create(order_id=order)
    till.perform()
    with shop.module.SessionLocal() as db:
        db.get(shop.module.Order, order).status = "delivered"
        db.commit()
    assert till.cancel()["code"] == -31007
    till.create("B", order_id=shop.order(status="delivered"))
    assert till.cancel("B")["state"] == -1


def test_a_refunded_order_is_reopened_in_a_hook(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["ForgivingPayme"])
    order = shop.order()
    till.create(order_id=order)
    till.perform()
    assert till.cancel()["state"] == -2
    assert till.create("B", order_id=order)["state"] == 1


def test_a_refunded_order_is_reopened_elsewhere(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    till = shop.till(names["ShopPayme"])
    order = shop.order()
    till.create(order_id=order)
    till.perform()
    till.cancel()
    assert till.create("B", order_id=order)["code"] == -31052
    names["reopen"]("A")
    assert till.create("B", order_id=order)["state"] == 1


def test_extra_data_is_kept(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    till = shop.till(names["RememberingPayme"])
    till.create(order_id=shop.order())
    till.perform()
    with shop.module.SessionLocal() as db:
        row = db.query(names["PaymentTransaction"]).one()
        assert row.extra_data == {"promised": "pending", "paid_after": "pending"}


def test_check_data_adds_up(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["FiscalPayme"])
    answer = till.check(order_id=shop.order())
    assert answer["allow"] is True
    assert answer["additional"] == {"order": "No. 1"}
    assert answer["detail"]["items"][0]["count"] == 2
    assert till.check(600_000, order_id=shop.order(amount=6000))["code"] == -32400


def test_receivers_share_the_payment(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["MarketPayme"])
    answer = till.create(order_id=shop.order())
    assert [share["amount"] for share in answer["receivers"]] == [450_000, 50_000]


def test_a_key_is_changed_by_payme(shop: TutorialShop) -> None:
    names = shop.read(PAGE)
    with shop.module.SessionLocal() as db:
        db.add(names["PaymeKey"](id=1, value="key"))
        db.commit()
    till = shop.till(names["RotatingPayme"], payme_key=names["payme_keys"])
    assert till.call("ChangePassword", password="next") == {"success": True}
    assert till.call("CheckTransaction", id="A")["code"] == -32504
    till.key = "next"
    assert till.call("CheckTransaction", id="A")["code"] == -31003
    assert shop.till(names["ShopPayme"]).call("ChangePassword", password="next")["code"] == -32601


def test_two_keys_are_valid_at_once(shop: TutorialShop) -> None:
    till = shop.till(shop.read(PAGE)["ShopPayme"], payme_key=["new", "old"])
    codes = {}
    for till.key in ("new", "old", "key"):
        codes[till.key] = till.call("CheckTransaction", id="A")["code"]
    assert codes == {"new": -31003, "old": -31003, "key": -32504}
