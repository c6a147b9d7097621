"""How somebody who tests the shop places an order and looks at it: for `paytechuz check`, and for the tests."""

from decimal import Decimal

from main import create_app
from models import Order, db

app = create_app()


def new_order() -> tuple[dict[str, str], Decimal]:
    """Place an order; give the account as the providers send it, and the price in som."""
    with app.app_context():
        db.session.add(order := Order(amount=Decimal("5000.00")))
        db.session.commit()
        return {"order_id": str(order.id)}, order.amount


def status(account: dict[str, str]) -> str:
    """Say what became of it: `paid` while it is paid, another word otherwise."""
    with app.app_context():
        found: str = db.session.get_one(Order, int(account["order_id"])).status
        return found
