"""What a payment means to the shop, and the links that payers follow."""

from typing import Any

from django.conf import settings

from orders.models import Order
from paytechuz import som_to_tiyin
from paytechuz.integrations.django import (
    ClickWebhookView,
    PaymeWebhookView,
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

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Deliver what was paid for."""
        Order.objects.filter(pk=transaction.account_id).update(status="paid")

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Take back what was refunded. An attempt that came to nothing leaves the order to be paid by another."""
        if transaction.state == State.CANCELLED:
            Order.objects.filter(pk=transaction.account_id).update(status="refunded")


class ShopPayme(ShopHooks, PaymeWebhookView):
    """Payme, with the shop's hooks."""


class ShopClick(ShopHooks, ClickWebhookView):
    """Click, with the shop's hooks: Prepare and Complete at one URL, which stands in both boxes of its cabinet."""


def links(order: Order, return_url: str) -> dict[str, str]:
    """Say where an order is paid, by the provider's name."""
    tiyin = som_to_tiyin(order.amount)
    payme_id = settings.PAYTECHUZ["PAYME"]["PAYME_ID"]
    service_id = settings.PAYTECHUZ["CLICK"]["SERVICE_ID"]
    payme = checkout_link(payme_id, tiyin, {"order_id": order.pk}, return_url=return_url, test=settings.PAYME_SANDBOX)
    click = payment_link(service_id, settings.CLICK_MERCHANT_ID, tiyin, order.pk, return_url=return_url)
    return {"Payme": payme, "Click": click}
