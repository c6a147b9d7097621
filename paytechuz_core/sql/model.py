"""The table `payments`, and the types that keep it exact on every database.

`PaymentTransaction` is ready to use; to have the table in a declarative base of your own, mix in `PaymentMixin`:

    class Payment(PaymentMixin, Base):
        __tablename__ = "payments"

and give the handler `payment_model=Payment`. Money is stored as whole tiyin, times in UTC to the millisecond.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    literal_column,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from paytechuz_core.money import som_to_tiyin, tiyin_to_som
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.rows import UNIQUE_KEYS
from paytechuz_core.transaction import State


class ExactText(TypeDecorator[str]):
    """Text that compares byte for byte.

    MariaDB's and MySQL's default collations find `ABC`, `abc ` and `àbc` equal, and even their `_bin` ones ignore
    spaces at the end; each has one collation of its own that does not.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the collation."""
        length = getattr(self.impl, "length", None)
        if dialect.name in ("mysql", "mariadb"):
            mariadb = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
            collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
            return dialect.type_descriptor(mysql.VARCHAR(length, charset="utf8mb4", collation=collation))
        return dialect.type_descriptor(String(length))


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC, to the millisecond, whatever time zone server or session are set to."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Keep milliseconds on MySQL too, whose plain DATETIME rounds to seconds."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=3))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a naive value would be a guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a payment's times must have a time zone"
            raise ValueError(message)
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def json_type() -> TypeEngine[Any]:
    """Give the type for objects: `jsonb` on PostgreSQL, so that merchants can query it."""
    return JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


class PaymentMixin:
    """The columns of a payment's transaction. The states stand here as constants: `Payment.SUCCESSFULLY`."""

    CREATED = State.CREATED.value
    INITIATING = State.INITIATING.value
    SUCCESSFULLY = State.SUCCESSFULLY.value
    CANCELLED = State.CANCELLED.value
    CANCELLED_DURING_INIT = State.CANCELLED_DURING_INIT.value

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    gateway: Mapped[str] = mapped_column(ExactText(32))
    transaction_id: Mapped[str] = mapped_column(ExactText(64))
    account_id: Mapped[str] = mapped_column(ExactText(255))
    amount_tiyin: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[Mapping[str, Any]] = mapped_column(json_type())
    state: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[int | None] = mapped_column(Integer)
    extra_data: Mapped[dict[str, Any]] = mapped_column(json_type())
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)
    performed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    provider_time: Mapped[int | None] = mapped_column(BigInteger)
    lifetime: Mapped[int] = mapped_column(BigInteger)
    hold: Mapped[str | None] = mapped_column(ExactText(400))
    receivers: Mapped[list[dict[str, Any]] | None] = mapped_column(json_type())
    fiscal_perform: Mapped[dict[str, Any] | None] = mapped_column(json_type())
    fiscal_cancel: Mapped[dict[str, Any] | None] = mapped_column(json_type())
    version: Mapped[int] = mapped_column(Integer)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 - SQLAlchemy gives the class
        name: str = getattr(cls, "__tablename__", "payments")
        return (
            UniqueConstraint("gateway", "transaction_id", name=f"uq_{name}_gateway_transaction_id"),
            UniqueConstraint("hold", name=f"uq_{name}_hold"),
            CheckConstraint("amount_tiyin > 0", name=f"ck_{name}_amount_tiyin"),
            Index(f"ix_{name}_provider_time", "gateway", "provider_time"),
            Index(f"ix_{name}_account_id", "account_id"),
        )

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy gives the class
        # A merchant's own edit through the ORM counts as a write, so that none of ours overwrites it unseen.
        return {"version_id_col": cls.version}

    @hybrid_property
    def amount(self) -> Decimal:
        """The amount in som, exact."""
        return tiyin_to_som(self.amount_tiyin)

    @amount.inplace.setter
    def _set_amount(self, som: Decimal) -> None:
        self.amount_tiyin = som_to_tiyin(som)

    @amount.inplace.expression
    @classmethod
    def _amount_expression(cls) -> ColumnElement[Decimal]:
        # A literal, so that GROUP BY sees the same expression twice. SQLite divides floats; the two digits of the type
        # make the quotient exact again.
        return type_coerce(cls.amount_tiyin / literal_column("100.0", Numeric), Numeric(20, 2))


class Base(DeclarativeBase):
    """The base of the library's own table, apart from the merchant's."""


class PaymentTransaction(PaymentMixin, Base):
    """A payment's transaction, in the table `payments`."""

    __tablename__ = "payments"


@lru_cache
def table_of(model: type[PaymentMixin]) -> Table:
    """Give the mapped table of a payment model, which must be able to hold payments."""
    table = getattr(model, "__table__", None)
    if not (isinstance(table, Table) and isinstance(model, type) and issubclass(model, PaymentMixin)):
        message = (
            "payment_model must be a mapped class: class Payment(PaymentMixin, Base) with __tablename__ = 'payments'"
        )
        raise ConfigurationError(message)
    unique = [set(each.columns.keys()) for each in table.constraints if isinstance(each, UniqueConstraint)]
    for keys in UNIQUE_KEYS:
        if set(keys) not in unique:
            message = (
                f"payment_model {model.__name__} has no unique key on {keys}: let its __table_args__ be a "
                "declared_attr.directive that returns (*super().__table_args__, …)"
            )
            raise ConfigurationError(message)
    for column in table.c:
        given = column.nullable or column.default is not None or column.server_default is not None
        if column.name not in PaymentTransaction.__table__.c and not given:
            message = (
                f"payment_model {model.__name__} has a column {column.name!r} that nothing fills: make it nullable "
                "or give it a default"
            )
            raise ConfigurationError(message)
    return table
