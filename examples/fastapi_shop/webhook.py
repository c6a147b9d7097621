"""The providers' endpoints: what happens to an order when a payment of it succeeds or is cancelled."""

import os
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from examples.fastapi_shop.database import get_db
from examples.fastapi_shop.models import Order
from paytechuz.integrations.fastapi import ClickWebhookHandler, PaymeWebhookHandler, Transaction

PAYME_ID = os.environ.get("PAYME_ID", "your_payme_id")
PAYME_KEY = os.environ.get("PAYME_KEY", "your_payme_key")
CLICK_SERVICE_ID = os.environ.get("CLICK_SERVICE_ID", "12345")
CLICK_SECRET_KEY = os.environ.get("CLICK_SECRET_KEY", "your_click_secret_key")

router = APIRouter()


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


@router.post("/payments/payme/webhook")
async def payme_webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
    """Answer Payme."""
    handler = ShopPayme(
        db=db,
        payme_id=PAYME_ID,
        payme_key=PAYME_KEY,
        account_model=Order,
        account_field="id",
        amount_field="amount",
        one_time_payment=True,
    )
    return await handler.handle_webhook(request)


@router.post("/payments/click/webhook")
async def click_webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
    """Answer Click: Prepare and Complete at one URL, which stands in both boxes of its cabinet."""
    handler = ShopClick(
        db=db,
        service_id=CLICK_SERVICE_ID,
        secret_key=CLICK_SECRET_KEY,
        account_model=Order,
        account_field="id",
        amount_field="amount",
        one_time_payment=True,
    )
    return await handler.handle_webhook(request)
