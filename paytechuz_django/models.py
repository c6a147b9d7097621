"""The table `payments` in Django, and the fields that keep it exact on every database.

It has the names, nullability, unique keys and meaning of the SQLAlchemy one (`paytechuz_core.sql.model`): what one
writes, the other reads. Money is whole tiyin; times are UTC to the millisecond, whatever USE_TZ, TIME_ZONE and the
database's own time zone are set to.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import django
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from paytechuz_core.money import som_to_tiyin, tiyin_to_som
from paytechuz_core.transaction import State, millis_to_datetime
from paytechuz_django.texts import _, name_of


class ExactTextField(models.CharField):  # type: ignore[type-arg] # generic in its stubs only
    """Text that compares byte for byte.

    MariaDB's and MySQL's default collations find `ABC`, `abc ` and `àbc` equal; each has one of its own that does not.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Choose the collation."""
        parameters: Any = super().db_parameters(connection)
        if connection.vendor == "mysql":
            mariadb = getattr(connection, "mysql_is_mariadb", False)
            parameters["collation"] = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
        return parameters


class UtcTimeField(models.DateTimeField):  # type: ignore[type-arg] # as above
    """A moment in UTC, to the millisecond; always read as an aware `datetime`."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Keep milliseconds on MySQL as the SQLAlchemy table does."""
        return "datetime(3)" if connection.vendor == "mysql" else super().db_type(connection)

    def get_prep_value(self, value: Any) -> Any:
        """Take what the admin's filters give, too: a naive value is in the current time zone, as always."""
        moment: Any = self.to_python(value)
        if moment is not None and timezone.is_naive(moment):
            return timezone.make_aware(moment)
        return moment

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Write UTC, past the backends' own ideas of which zone a database is in."""
        moment = value if prepared else self.get_prep_value(value)
        if moment is None:
            return None
        utc = moment.astimezone(UTC)
        return utc if connection.vendor == "postgresql" else utc.replace(tzinfo=None).isoformat(" ", "microseconds")

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        """Ask PostgreSQL for milliseconds where USE_TZ is off: it would answer in local time, which repeats an hour.

        A subquery answers to the query around it, which goes on with a time.
        """
        if compiler.connection.vendor == "postgresql" and not settings.USE_TZ and not compiler.query.subquery:
            return f"(EXTRACT(EPOCH FROM {sql}) * 1000)::bigint", params
        return sql, params

    def from_db_value(self, value: datetime | int | None, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        """Read UTC."""
        del expression
        match value:
            case None:
                return None
            case int():
                return millis_to_datetime(value)
            case datetime(tzinfo=None) if connection.vendor == "postgresql":  # a raw query, with USE_TZ off
                return value.replace(tzinfo=ZoneInfo(connection.timezone_name)).astimezone(UTC)
            case datetime(tzinfo=zone) if connection.vendor != "postgresql" and zone in (None, connection.timezone):
                return value.replace(tzinfo=UTC)  # the backend has guessed, and does not know what was stored
            case _:
                return value.astimezone(UTC)


def check(condition: models.Q, name: str) -> models.CheckConstraint:
    """Make a check constraint, whose argument Django 5.1 has renamed."""
    named: Any = {"condition" if django.VERSION >= (5, 1) else "check": condition}
    return models.CheckConstraint(**named, name=name)


class PaymentTransaction(models.Model):
    """A payment's transaction. Written by the webhooks alone; a shop reads it."""

    CREATED = State.CREATED.value
    INITIATING = State.INITIATING.value
    SUCCESSFULLY = State.SUCCESSFULLY.value
    CANCELLED = State.CANCELLED.value
    CANCELLED_DURING_INIT = State.CANCELLED_DURING_INIT.value

    id: models.BigAutoField[int, int] = models.BigAutoField(primary_key=True)
    gateway = ExactTextField(_("provider"), max_length=32)
    transaction_id = ExactTextField(_("provider's id"), max_length=64)
    account_id = ExactTextField(_("order"), max_length=255)
    amount_tiyin: models.BigIntegerField[int, int] = models.BigIntegerField(_("amount, tiyin"))
    account = models.JSONField(_("account as received"))
    state: models.SmallIntegerField[int, int] = models.SmallIntegerField(_("state"))
    reason: models.IntegerField[int | None, int | None] = models.IntegerField(_("reason of cancellation"), null=True)
    extra_data = models.JSONField(_("the shop's own data"))
    created_at = UtcTimeField(_("created"))
    updated_at = UtcTimeField(_("last written"))
    performed_at = UtcTimeField(_("paid"), null=True)
    cancelled_at = UtcTimeField(_("cancelled"), null=True)
    provider_time: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(
        _("provider's time, ms"), null=True
    )
    lifetime: models.BigIntegerField[int, int] = models.BigIntegerField(_("lifetime while unpaid, ms"))
    hold = ExactTextField(_("hold"), max_length=400, null=True)
    receivers = models.JSONField(_("receivers of a split payment"), null=True)
    fiscal_perform = models.JSONField(_("fiscal receipt of the payment"), null=True)
    fiscal_cancel = models.JSONField(_("fiscal receipt of the refund"), null=True)
    version: models.IntegerField[int, int] = models.IntegerField(_("number of writes"))

    class Meta:
        """The same names as SQLAlchemy's."""

        db_table = "payments"
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        default_permissions = ("view",)
        constraints = (
            models.UniqueConstraint(fields=["gateway", "transaction_id"], name="uq_payments_gateway_transaction_id"),
            models.UniqueConstraint(fields=["hold"], name="uq_payments_hold"),
            check(models.Q(amount_tiyin__gt=0), "ck_payments_amount_tiyin"),
        )
        indexes = (
            models.Index(fields=["gateway", "provider_time"], name="ix_payments_provider_time"),
            models.Index(fields=["account_id"], name="ix_payments_account_id"),
        )

    def __str__(self) -> str:
        """Say which payment it is."""
        return f"{name_of(self.gateway)} {self.transaction_id}"

    @property
    def amount(self) -> Decimal:
        """The amount in som, exact."""
        return tiyin_to_som(self.amount_tiyin)

    @amount.setter
    def amount(self, som: Decimal) -> None:
        self.amount_tiyin = som_to_tiyin(som)
