"""The shop that suffers, written with Django; gunicorn calls `make_app`.

The table of payments is made by Django's migration; orders and effects are made by whoever furnishes the shop.
"""

from __future__ import annotations

import os
from typing import Any, Final

from tests.django.project import Router, add_database, migrate

# The project is there, so Django may be asked for the rest.
# isort: split
from django.db import models
from django.urls import path
from sqlalchemy import URL, make_url

from paytechuz.integrations.django import PaymeWebhookView
from tests.databases import ASYNC, SYNC, Database, database_of
from tests.faults.shop import DATABASE, SETTINGS, WEBHOOK
from tests.http.django import DjangoWsgi

ALIAS: Final = "faults"


class FaultsOrder(models.Model):
    """What is paid for: `tests.sql.shop.Order`."""

    id: models.AutoField[int, int] = models.AutoField(primary_key=True)
    amount: models.DecimalField[Any, Any] = models.DecimalField(max_digits=18, decimal_places=2)
    status: models.CharField[str, str] = models.CharField(max_length=20)

    class Meta:
        """A table that is there."""

        app_label = "shop"
        managed = False
        db_table = "orders"

    def __str__(self) -> str:
        """Say which order it is."""
        return f"order {self.pk}"


class FaultsEffect(models.Model):
    """One time that the shop was told: `tests.sql.shop.Effect`."""

    id: models.AutoField[int, int] = models.AutoField(primary_key=True)
    kind: models.CharField[str, str] = models.CharField(max_length=40)
    transaction_id: models.CharField[str, str] = models.CharField(max_length=64)
    amount_tiyin: models.BigIntegerField[int, int] = models.BigIntegerField()

    class Meta:
        """A table that is there."""

        app_label = "shop"
        managed = False
        db_table = "effects"

    def __str__(self) -> str:
        """Say what it was."""
        return f"{self.transaction_id} {self.kind}"


class ShopPayme(PaymeWebhookView):
    """The documentation's view; its hooks also count."""

    def successfully_payment(self, params: dict[str, Any], transaction: Any) -> None:
        del params
        self.mark("paid", transaction)

    def cancelled_payment(self, params: dict[str, Any], transaction: Any) -> None:
        del params
        self.mark("cancelled", transaction)

    def mark(self, status: str, transaction: Any) -> None:
        order = FaultsOrder.objects.get(pk=transaction.account_id)
        order.status = status
        order.save()
        FaultsEffect.objects.create(
            kind=status, transaction_id=transaction.transaction_id, amount_tiyin=transaction.amount_tiyin
        )


def make_app() -> DjangoWsgi:
    """Build the application."""
    know(make_url(os.environ[DATABASE]))
    Router.chosen = ALIAS
    view = ShopPayme.as_view(**{**SETTINGS, "account_model": FaultsOrder})
    return DjangoWsgi((path(WEBHOOK.lstrip("/"), view),))


def migrate_payments(url: URL) -> None:
    """Make Django's table of payments in a database."""
    know(url)
    migrate(ALIAS, "paytechuz_django")


def know(url: URL) -> None:
    """Let Django know the shop's database."""
    name = database_of(url.drivername)
    add_database(ALIAS, Database(name, SYNC[name], ASYNC[name], url))
