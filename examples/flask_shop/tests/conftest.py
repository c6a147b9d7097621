"""What the tests must know of the shop: its application and keys, and how an order is placed and looked at."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask

from examples.flask_shop import main, models, webhook
from examples.flask_shop.models import db
from paytechuz.integrations.flask import run_migrations
from paytechuz_core.testing import App, Order


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{tmp_path / 'shop.db'}")  # for each test an empty one
    app = main.create_app()
    with app.app_context():
        run_migrations(db.engine)
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def paytechuz_app(app: Flask) -> App:
    payme, click = webhook.PAYTECHUZ["PAYME"], webhook.PAYTECHUZ["CLICK"]
    return App(
        app,
        payme_key=payme["PAYME_KEY"],
        click_service_id=click["SERVICE_ID"],
        click_secret_key=click["SECRET_KEY"],
    )


class Customers:
    def __init__(self, app: Flask) -> None:
        self.app = app

    def new_order(self) -> Order:
        with self.app.app_context():
            db.session.add(order := models.Order(amount=Decimal("5000.00")))
            db.session.commit()
            return Order({"id": str(order.id)}, amount_tiyin=500_000)

    def status(self, order: Order) -> str:
        with self.app.app_context():
            status: str = db.session.get_one(models.Order, int(order.account["id"])).status
            return status


@pytest.fixture
def paytechuz_shop(app: Flask) -> Customers:
    return Customers(app)
