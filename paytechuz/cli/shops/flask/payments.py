"""What a payment means to the shop, the settings of both providers, and the links that payers follow."""

from typing import Any

from sqlalchemy.orm import Session

import settings
from models import Order
from paytechuz import som_to_tiyin
from paytechuz.integrations.flask import (
    ClickWebhookHandler,
    PaymeWebhookHandler,
    State,
    Transaction,
    checkout_link,
    payment_link,
)


class ShopHooks:
    """What happens to an order, whoever took the money.

    A hook runs once for each payment, inside its database transaction: order and payment change together, or neither
    does. So write to the database here; letters and parcels are sent by `after_commit`.
    """

    db: Session

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Deliver what was paid for."""
        self.db.get_one(Order, transaction.account_id).status = "paid"

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Take back what was refunded. An attempt that came to nothing leaves the order to be paid by another."""
        if transaction.state == State.CANCELLED:
            self.db.get_one(Order, transaction.account_id).status = "refunded"


class ShopPayme(ShopHooks, PaymeWebhookHandler):
    """Payme, with the shop's hooks."""


class ShopClick(ShopHooks, ClickWebhookHandler):
    """Click, with the shop's hooks."""


# An order is paid once, for its exact price, whichever provider takes the money. `order_id` is the field's name in
# Payme's cabinet; Order has no such column, so it is the primary key.
ORDERS: dict[str, Any] = {
    "ACCOUNT_MODEL": Order,
    "ACCOUNT_FIELD": "order_id",
    "AMOUNT_FIELD": "amount",
    "ONE_TIME_PAYMENT": True,
}
PAYTECHUZ: dict[str, dict[str, Any]] = {
    "PAYME": {
        "PAYME_ID": settings.PAYME_ID,
        "PAYME_KEY": settings.PAYME_KEY,
        "HANDLER": ShopPayme,
        **ORDERS,
    },
    "CLICK": {
        "SERVICE_ID": settings.CLICK_SERVICE_ID,
        "SECRET_KEY": settings.CLICK_SECRET_KEY,
        "HANDLER": ShopClick,
        **ORDERS,
    },
}


def links(order: Order, return_url: str) -> dict[str, str]:
    """Say where an order is paid, by the provider's name."""
    tiyin = som_to_tiyin(order.amount)
    payme = checkout_link(
        settings.PAYME_ID, tiyin, {"order_id": order.id}, return_url=return_url, test=settings.PAYME_SANDBOX
    )
    click = payment_link(settings.CLICK_SERVICE_ID, settings.CLICK_MERCHANT_ID, tiyin, order.id, return_url=return_url)
    return {"Payme": payme, "Click": click}
