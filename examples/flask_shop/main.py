"""The application.

    flask --app examples.flask_shop.main init-db
    gunicorn "examples.flask_shop.main:create_app()"

Beside the providers' endpoints, which `PayTechUZ` makes, it has the two pages that a shop cannot do without: placing an
order and looking at it. They stand in for the shop's own pages, so nobody has to log in.
"""

import json
import os
import re
from decimal import Decimal
from typing import Any

from flask import Blueprint, Flask, Response, abort, request

from examples.flask_shop.models import Order, db
from examples.flask_shop.webhook import PAYTECHUZ
from paytechuz.integrations.flask import PayTechUZ, run_migrations

shop = Blueprint("shop", __name__, cli_group=None)


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SHOP_DATABASE", "sqlite:///shop.db")
    app.config["PAYTECHUZ"] = PAYTECHUZ
    db.init_app(app)
    PayTechUZ(app)  # /payments/payme/webhook and /payments/click/webhook
    app.register_blueprint(shop)
    return app


@shop.cli.command("init-db")
def init_db() -> None:
    """Create or upgrade the tables."""
    run_migrations(db.engine)
    db.create_all()


@shop.post("/orders")
def place_order() -> Response:
    """Place an order of `amount` som."""
    order = Order(amount=price_of(request.get_json()))
    db.session.add(order)
    db.session.commit()
    return shown(order, 201)


@shop.get("/orders/<int:number>")
def show_order(number: int) -> Response:
    """Say what became of an order."""
    return shown(db.get_or_404(Order, number))


def price_of(body: Any) -> Decimal:
    """Read a price in som, which is more than nothing and has no fraction of a tiyin."""
    amount = str(body.get("amount")) if isinstance(body, dict) else ""
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,2})?", amount) or not Decimal(amount):
        abort(422)
    return Decimal(amount)


def shown(order: Order, status: int = 200) -> Response:
    """Show an order, as every example shop does: without a space."""
    page = {"id": order.id, "amount": str(order.amount), "status": order.status}
    return Response(json.dumps(page, separators=(",", ":")), status, mimetype="application/json")
