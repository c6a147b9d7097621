"""The application: `flask --app main run --port 8000`, after `flask --app main init-db`.

Beside the providers' endpoints, which `PayTechUZ` makes, it has one page to place an order, and one to look at it and
pay. They stand in for the shop's own pages, so nobody has to log in.
"""

import re
from decimal import Decimal

from flask import Blueprint, Flask, abort, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

import settings
from models import Order, db
from payments import PAYTECHUZ, links
from paytechuz.integrations.flask import PayTechUZ, run_migrations

shop = Blueprint("shop", __name__, cli_group=None)


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.DATABASE_URL
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


@shop.get("/")
def orders() -> str:
    """Show the latest orders, and a form to place one."""
    latest = db.session.scalars(select(Order).order_by(Order.id.desc()).limit(20))
    return render_template("orders.html", orders=latest)


@shop.post("/orders")
def place_order() -> Response:
    """Place an order, and go to its page."""
    db.session.add(order := Order(amount=amount_asked_for()))
    db.session.commit()
    return redirect(url_for("shop.order", number=order.id), 303)


@shop.get("/orders/<int:number>")
def order(number: int) -> str:
    """Say what became of an order, and where it can be paid."""
    found = db.get_or_404(Order, number)
    ways = links(found, return_url=request.base_url) if found.status == "pending" else {}
    return render_template("order.html", order=found, links=ways)


def amount_asked_for() -> Decimal:
    """Read the price in som from the form: more than nothing, and no fraction of a tiyin."""
    amount = request.form.get("amount", "")
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,2})?", amount, re.ASCII) or not Decimal(amount):
        abort(422, "an amount in som is more than nothing, with two digits after the point at most")
    return Decimal(amount)
