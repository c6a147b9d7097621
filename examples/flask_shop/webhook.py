"""The providers' endpoints: what happens to an order when a payment of it succeeds or is cancelled."""

import os
from typing import Any

from sqlalchemy.orm import Session

from examples.flask_shop.models import Order
from paytechuz.integrations.flask import ClickWebhookHandler, PaymeWebhookHandler, Transaction


class ShopHooks:
    """What the shop does about a payment, whoever took it: an order is paid once, and this is written once.

    A hook runs inside the call's database transaction, once for each move: the order and the payment change together or
    not at all, whether or not the hook commits.
    """

    db: Session

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Deliver what was paid for."""
        self.mark(transaction, "paid")

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Take a refunded order back, or let one go whose payment came to nothing. The latter may still be paid."""
        self.mark(transaction, "cancelled")

    def mark(self, transaction: Transaction, status: str) -> None:
        """Change the status of the order that the transaction is for."""
        order = self.db.get(Order, transaction.account_id)
        if order is not None:
            order.status = status
            self.db.commit()


class ShopPayme(ShopHooks, PaymeWebhookHandler):
    """Payme, with the shop's hooks."""


class ShopClick(ShopHooks, ClickWebhookHandler):
    """Click, with the shop's hooks."""


# An order is paid once, for its exact price, whichever provider takes the money.
ACCOUNT = {"ACCOUNT_MODEL": Order, "ACCOUNT_FIELD": "id", "AMOUNT_FIELD": "amount", "ONE_TIME_PAYMENT": True}
PAYTECHUZ = {
    "PAYME": {
        "PAYME_ID": os.environ.get("PAYME_ID", "your_payme_id"),
        "PAYME_KEY": os.environ.get("PAYME_KEY", "your_payme_key"),
        "HANDLER": ShopPayme,
        **ACCOUNT,
    },
    "CLICK": {
        "SERVICE_ID": os.environ.get("CLICK_SERVICE_ID", "12345"),
        "SECRET_KEY": os.environ.get("CLICK_SECRET_KEY", "your_click_secret_key"),
        "HANDLER": ShopClick,
        **ACCOUNT,
    },
}
