"""What the tests must know of the shop: its application and keys, and how an order is placed and looked at."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from examples.fastapi_shop import main, models, webhook
from examples.fastapi_shop.database import SessionLocal
from paytechuz_core.testing import App, Order


@pytest.fixture
def paytechuz_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")  # for each test an empty one
    monkeypatch.setattr(main, "engine", engine)
    SessionLocal.configure(bind=engine)
    return App(
        main.app,
        payme_key=webhook.PAYME_KEY,
        click_service_id=webhook.CLICK_SERVICE_ID,
        click_secret_key=webhook.CLICK_SECRET_KEY,
    )


class Customers:
    def new_order(self) -> Order:
        with SessionLocal() as db:
            db.add(order := models.Order(amount=Decimal("5000.00")))
            db.commit()
            return Order({"id": str(order.id)}, amount_tiyin=500_000)

    def status(self, order: Order) -> str:
        with SessionLocal() as db:
            return db.get_one(models.Order, int(order.account["id"])).status


@pytest.fixture
def paytechuz_shop() -> Customers:
    return Customers()
