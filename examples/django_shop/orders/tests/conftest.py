"""What the tests must know of the shop: its application and keys, and how an order is placed and looked at."""

import os
from collections.abc import Iterator

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("SHOP_DEBUG", "1")
django.setup()

from django.conf import settings  # noqa: E402 - after the set-up, as everything of the project
from django.test.runner import DiscoverRunner  # noqa: E402

from config.wsgi import application  # noqa: E402
from orders import models  # noqa: E402
from paytechuz_core.testing import App, Order  # noqa: E402


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
        order = models.Order.objects.create(amount="5000.00")
        return Order({"id": str(order.pk)}, amount_tiyin=500_000)

    def status(self, order: Order) -> str:
        status: str = models.Order.objects.get(pk=order.account["id"]).status
        return status


@pytest.fixture
def paytechuz_shop() -> Customers:
    return Customers()
