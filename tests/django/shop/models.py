"""The orders of `tests.http.clients`, and those of `tests.sql.shop`, as Django models in tables of the same names."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

from django.db import models


class Ordered(models.Model):
    """What the shop's orders have in common, whatever their key."""

    amount: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=18, decimal_places=2)
    status: models.CharField[str, str] = models.CharField(max_length=20, default="pending")
    paid: models.IntegerField[int, int] = models.IntegerField(default=0)
    returned: models.IntegerField[int, int] = models.IntegerField(default=0)
    # NULL is no voucher, and is not unique.
    voucher: models.CharField[str | None, str | None] = models.CharField(max_length=40, null=True, unique=True)  # noqa: DJ001

    class Meta:
        """No table."""

        abstract = True

    def __str__(self) -> str:
        """Say which order it is."""
        return f"order {self.pk}"


class Order(Ordered):
    """An order numbered by the database."""

    id: models.AutoField[int, int] = models.AutoField(primary_key=True)

    class Meta:
        """The shared table."""

        db_table = "shop_orders"


class TextOrder(Ordered):
    """An order whose number is text."""

    id: models.CharField[str, str] = models.CharField(max_length=64, primary_key=True)

    class Meta:
        """The shared table."""

        db_table = "shop_text_orders"


class UuidOrder(Ordered):
    """An order with a UUID."""

    id: models.UUIDField[UUID, UUID] = models.UUIDField(primary_key=True, default=uuid4)

    class Meta:
        """The shared table."""

        db_table = "shop_uuid_orders"


class PlainOrder(models.Model):
    """What is paid for in the shop of `tests.sql.shop`."""

    id: models.AutoField[int, int] = models.AutoField(primary_key=True)
    amount: models.DecimalField[Decimal, Decimal] = models.DecimalField(max_digits=18, decimal_places=2, default=5000)
    status: models.CharField[str, str] = models.CharField(max_length=20, default="pending")

    class Meta:
        """The shared table."""

        db_table = "orders"

    def __str__(self) -> str:
        """Say which order it is."""
        return f"order {self.pk}"


class Effect(models.Model):
    """One time that the shop was told of a payment."""

    id: models.AutoField[int, int] = models.AutoField(primary_key=True)
    kind: models.CharField[str, str] = models.CharField(max_length=40)
    transaction_id: models.CharField[str, str] = models.CharField(max_length=64)
    amount_tiyin: models.BigIntegerField[int, int] = models.BigIntegerField()

    class Meta:
        """The shared table."""

        db_table = "effects"

    def __str__(self) -> str:
        """Say what happened."""
        return f"{self.transaction_id} is {self.kind}"


ORDERS = (Order, TextOrder, UuidOrder)
TABLES = (*ORDERS, PlainOrder, Effect)
