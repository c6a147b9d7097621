"""What the tests must know of the shop: its application and keys, and how an order is placed and looked at."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Keys and a database of the tests' own, before the shop reads any: `.env` has the real ones.
FOLDER = tempfile.TemporaryDirectory()
os.environ |= {
    "PAYME_ID": "587f72c72cac0d162c722ae2",
    "PAYME_KEY": "a key of the tests",
    "CLICK_SERVICE_ID": "12345",
    "CLICK_MERCHANT_ID": "6789",
    "CLICK_SECRET_KEY": "a secret of the tests",
    "DATABASE_URL": f"sqlite:///{Path(FOLDER.name) / 'shop.db'}",
}

import database  # noqa: E402 - after the environment
import main  # noqa: E402
import settings  # noqa: E402
import testing_shop  # noqa: E402
from paytechuz import som_to_tiyin  # noqa: E402
from paytechuz_core.testing import App, Order  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _clean_up() -> Iterator[None]:
    yield
    database.engine.dispose()
    FOLDER.cleanup()


@pytest.fixture
def paytechuz_app() -> App:
    return App(
        main.app,
        payme_key=settings.PAYME_KEY,
        click_service_id=settings.CLICK_SERVICE_ID,
        click_secret_key=settings.CLICK_SECRET_KEY,
    )


class Customers:
    def new_order(self) -> Order:
        account, som = testing_shop.new_order()
        return Order(account, som_to_tiyin(som))

    def status(self, order: Order) -> str:
        return testing_shop.status(dict(order.account))


@pytest.fixture
def paytechuz_shop() -> Customers:
    return Customers()
