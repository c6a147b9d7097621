"""The shop is paid and refunded, and both providers would accept it: `python -m pytest`."""

from paytechuz_core.testing.plugin import ClickPlayer, Customers, PaymePlayer


def test_an_order_is_paid_and_refunded(payme: PaymePlayer, paytechuz_shop: Customers) -> None:
    order = paytechuz_shop.new_order()
    payment = payme.pay(order)
    assert paytechuz_shop.status(order) == "paid"
    payme.cancel(payment)
    assert paytechuz_shop.status(order) == "refunded"


def test_an_attempt_that_came_to_nothing_leaves_the_order_open(payme: PaymePlayer, paytechuz_shop: Customers) -> None:
    order = paytechuz_shop.new_order()
    payme.cancel(payme.create(order), reason=3)
    assert paytechuz_shop.status(order) == "pending"
    payme.pay(order)


def test_an_order_is_paid_once_whoever_takes_the_money(
    payme: PaymePlayer, click: ClickPlayer, paytechuz_shop: Customers
) -> None:
    order = paytechuz_shop.new_order()
    click.pay(order)
    assert paytechuz_shop.status(order) == "paid"
    payme.check_perform(order, expect=-31052)
    payme.create(order, expect=-31052)


def test_payme_accepts_the_shop(payme: PaymePlayer) -> None:
    payme.sandbox()


def test_click_accepts_the_shop(click: ClickPlayer) -> None:
    click.sandbox()
