"""What the tests must know of the shop: its application and keys, and how an order is placed and looked at."""

import os
from collections.abc import Iterator

import pytest

# Keys of the tests' own, before the shop reads any: `.env` has the real ones.
os.environ |= {
    "SHOP_SECRET_KEY": "known to everybody",
    "PAYME_ID": "587f72c72cac0d162c722ae2",
    "PAYME_KEY": "a key of the tests",
    "CLICK_SERVICE_ID": "12345",
    "CLICK_MERCHANT_ID": "6789",
    "CLICK_SECRET_KEY": "a secret of the tests",
}

from django.conf import settings
from django.test.runner import DiscoverRunner

import testing_shop
from config.wsgi import application
from paytechuz import som_to_tiyin
from paytechuz_core.testing import App, Order


@pytest.fixture(scope="session", autouse=True)
def _database() -> Iterator[None]:
    runner = DiscoverRunner(verbosity=0, interactive=False)  # Django's own: it makes a database for the tests
    runner.setup_test_environment()
    before = runner.setup_databases()
    yield
    runner.teardown_databases(before)
    runner.teardown_test_environment()


@pytest.fixture
def paytechuz_app() -> App:
    payme, click = settings.PAYTECHUZ["PAYME"], settings.PAYTECHUZ["CLICK"]
    return App(
        application,
        payme_key=payme["PAYME_KEY"],
        click_service_id=click["SERVICE_ID"],
        click_secret_key=click["SECRET_KEY"],
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
