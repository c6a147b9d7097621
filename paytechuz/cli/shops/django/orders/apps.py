"""The app: `orders` in INSTALLED_APPS."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The shop's orders."""

    name = "orders"
