"""How somebody who tests the shop places an order and looks at it: for `paytechuz check`, and for the tests."""

import os
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from orders.models import Order  # noqa: E402 - after the set-up, as everything of the project


def new_order() -> tuple[dict[str, str], Decimal]:
    """Place an order; give the account as the providers send it, and the price in som."""
    order = Order.objects.create(amount=Decimal("5000.00"))
    return {"order_id": str(order.pk)}, order.amount


def status(account: dict[str, str]) -> str:
    """Say what became of it: `paid` while it is paid, another word otherwise."""
    found: str = Order.objects.get(pk=account["order_id"]).status
    return found
