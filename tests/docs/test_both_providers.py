"""What the page about both providers says."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from paytechuz_core import Inbound
from paytechuz_core.testing import ClickTill, Order
from tests.docs.conftest import Till, TutorialShop
from tests.docs.pages import DOCS

PAGE = DOCS / "how-to/both-providers.md"


@pytest.fixture
def names(shop: TutorialShop) -> dict[str, Any]:
    """What the blocks of the page define."""
    return shop.read(PAGE)


def payme(shop: TutorialShop, names: dict[str, Any]) -> Till:
    return shop.till(names["ShopPayme"])


def click(shop: TutorialShop, names: dict[str, Any], handler: str = "ShopClick", **settings: Any) -> ClickTill:
    """Let Click speak to a handler of the page, with the settings of its route."""
    wanted = {
        "service_id": names["CLICK_SERVICE_ID"],
        "secret_key": names["CLICK_SECRET_KEY"],
        "account_model": shop.module.Order,
        "account_field": "order_id",
        "clock": lambda: shop.now,
        **settings,
    }

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        with shop.module.SessionLocal() as db:
            return 200, names[handler](db=db, **wanted).respond(Inbound("POST", headers, body))

    return ClickTill(send, names["CLICK_SECRET_KEY"], names["CLICK_SERVICE_ID"])


def order(number: int, tiyin: int = 500_000) -> Order:
    return Order({"order_id": str(number)}, tiyin)


def test_either_provider_marks_an_order_paid_and_refunded(shop: TutorialShop, names: dict[str, Any]) -> None:
    first, second = shop.order(), shop.order()
    attempt = click(shop, names).attempt(order(first))
    assert [attempt.prepare().error, attempt.complete().error, shop.status(first)] == [0, 0, "paid"]
    assert [attempt.complete(-5017).error, shop.status(first)] == [-9, "refunded"]
    till = payme(shop, names)
    till.create(order_id=str(second))
    assert [till.perform()["state"], shop.status(second)] == [2, "paid"]
    assert [till.cancel()["state"], shop.status(second)] == [-2, "refunded"]


def test_a_failed_attempt_leaves_the_order_open(shop: TutorialShop, names: dict[str, Any]) -> None:
    number = shop.order()
    attempt = click(shop, names).attempt(order(number))
    assert [attempt.prepare().error, attempt.complete(-5017).error, shop.status(number)] == [0, -9, "pending"]


def test_one_order_one_payment(shop: TutorialShop, names: dict[str, Any]) -> None:
    """The table of the page, row by row."""
    at_click, at_payme = click(shop, names), payme(shop, names)
    number = shop.order()

    def asked() -> tuple[Any, int | None]:
        answer = at_payme.check(order_id=str(number))
        return answer.get("code", "allowed"), at_click.attempt(order(number)).prepare().error

    at_payme.create("held", order_id=str(number))
    assert asked() == (-31051, -9)
    at_payme.cancel("held")

    older = at_click.attempt(order(number))
    assert older.prepare().error == 0
    assert asked() == (-31051, 0)
    assert older.complete().error == -9

    at_payme.too_late()
    assert asked() == ("allowed", 0)
    at_payme.create("abandoned", order_id=str(number))
    at_payme.too_late()
    assert asked() == ("allowed", 0)

    at_payme.too_late()
    at_payme.create("paid", order_id=str(number))
    at_payme.perform("paid")
    assert asked() == (-31052, -4)
    at_payme.cancel("paid")
    assert asked() == (-31052, -5)

    number = shop.order()
    attempt = at_click.attempt(order(number))
    attempt.prepare()
    attempt.complete()
    assert asked() == (-31052, -4)
    attempt.complete(-5017)
    assert asked() == (-31052, -5)

    number = 999
    assert asked() == (-31050, -5)


def test_a_hook_that_raises_is_answered_7_and_the_complete_may_come_again(
    shop: TutorialShop, names: dict[str, Any]
) -> None:
    def raising(self: Any, params: dict[str, Any], transaction: Any) -> None:
        names["ShopHooks"].successfully_payment(self, params, transaction)
        raise RuntimeError

    names["Raising"] = type("Raising", (names["ShopClick"],), {"successfully_payment": raising})
    number = shop.order()
    attempt = click(shop, names, "Raising").attempt(order(number))
    assert [attempt.prepare().error, attempt.complete().error, shop.status(number)] == [0, -7, "pending"]
    attempt.till = click(shop, names)
    shop.now += 24 * 60 * 60 * 1000  # even a day late
    assert [attempt.complete().error, shop.status(number)] == [0, "paid"]


def test_can_reverse_says_no(shop: TutorialShop, names: dict[str, Any]) -> None:
    number = shop.order()
    attempt = click(shop, names, "FinalClick").attempt(order(number))
    attempt.prepare()
    attempt.complete()
    with shop.module.SessionLocal() as db:
        db.get(shop.module.Order, number).status = "delivered"
        db.commit()
    assert [attempt.complete(-5017).error, shop.status(number)] == [-4, "delivered"]


def test_two_payments_for_one_order_alarm_somebody(shop: TutorialShop, names: dict[str, Any]) -> None:
    till, number = click(shop, names, "WatchfulClick"), shop.order()
    first, second = till.attempt(order(number)), till.attempt(order(number))
    assert [first.prepare().error, second.prepare().error] == [0, 0]
    assert names["alarms"] == []
    assert [first.complete().error, first.complete().error] == [-9, -9]
    assert names["alarms"] == [f"Click payment {first.payment}: 5000.00 som for an attempt that is over"] * 2
    assert [second.complete().error, shop.status(number)] == [0, "paid"]


def test_the_commission_is_on_top_of_the_price(shop: TutorialShop, names: dict[str, Any]) -> None:
    till, number = click(shop, names, commission_percent="1.5"), shop.order()
    assert till.attempt(order(number)).prepare().error == -2
    assert till.attempt(order(number, 507_500)).prepare().error == 0
    assert payme(shop, names).check(order_id=str(shop.order())) == {"allow": True}


def test_a_payment_into_a_balance_is_credited_once(shop: TutorialShop, names: dict[str, Any]) -> None:
    till, account = click(shop, names, one_time_payment=False), order(shop.order(), 100)
    first = till.attempt(account)
    again, third = (till.attempt(account, payment=first.payment) for _ in range(2))
    assert [first.prepare().error, again.prepare().error, again.complete().error] == [0, 0, 0]
    assert [first.complete().error, third.prepare().error] == [-9, -4]
    another = till.attempt(account)
    assert [another.prepare().error, another.complete().error] == [0, 0]


def test_the_link_names_order_and_amount(shop: TutorialShop, names: dict[str, Any]) -> None:
    with shop.module.SessionLocal() as db:
        link = names["pay_with_click"](db.get(shop.module.Order, shop.order()))
    asked = parse_qs(urlsplit(link).query)
    assert (asked["amount"], asked["transaction_param"], asked["merchant_id"]) == (["5000.00"], ["1"], ["67890"])


def test_the_routes_are_there(shop: TutorialShop, names: dict[str, Any]) -> None:
    del names
    paths = shop.module.app.openapi()["paths"]
    assert {f"/payments/click/{each}" for each in ("webhook", "prepare", "complete")} <= paths.keys()


def test_a_route_for_one_action_refuses_the_other(shop: TutorialShop, names: dict[str, Any]) -> None:
    number = shop.order()
    attempt = click(shop, names, action=1).attempt(order(number))
    assert [attempt.prepare().error, attempt.complete().error] == [-3, -6]
