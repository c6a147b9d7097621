"""How somebody who tests the shop places an order and looks at it: for `paytechuz check`, and for the tests."""

from decimal import Decimal

from database import SessionLocal
from models import Order


def new_order() -> tuple[dict[str, str], Decimal]:
    """Place an order; give the account as the providers send it, and the price in som."""
    with SessionLocal() as db:
        db.add(order := Order(amount=Decimal("5000.00")))
        db.commit()
        return {"order_id": str(order.id)}, order.amount


def status(account: dict[str, str]) -> str:
    """Say what became of it: `paid` while it is paid, another word otherwise."""
    with SessionLocal() as db:
        return db.get_one(Order, int(account["order_id"])).status
