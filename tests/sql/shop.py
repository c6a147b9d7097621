"""A small shop on SQLAlchemy and no framework: what the tests of this folder order from, and pay at.

Its hooks are written as the documentation's example writes them: they mark the order and commit. Each also adds an
`Effect`, one row for each time that the shop was told, so that what happened twice or never can be counted.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, Engine, Numeric, String, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from paytechuz_core.sql import (
    AsyncSqlHandler,
    ClickSettings,
    PaymentTransaction,
    PaymeSettings,
    SqlHandler,
    arun_migrations,
    run_migrations,
)
from paytechuz_core.sql.model import table_of
from tests.core import click_wire
from tests.core.wire import KEY, NOW, Params, Wire, encoded, error_in, post, result_in

PAYMENTS: Final = table_of(PaymentTransaction)
PRICE: Final = Decimal("5000.00")


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """What is paid for."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=PRICE)
    status: Mapped[str] = mapped_column(String(20), default="pending")


class Effect(Base):
    """One time that the shop was told of a payment: the hook's name, and whose payment it was."""

    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    transaction_id: Mapped[str] = mapped_column(String(64))
    amount_tiyin: Mapped[int] = mapped_column(BigInteger)

    def __init__(self, kind: str, transaction: Any) -> None:
        """Write down what a hook was told."""
        super().__init__(kind=kind, transaction_id=transaction.transaction_id, amount_tiyin=transaction.amount_tiyin)


class Counts:
    """The shop's hooks with a `Session`."""

    db: Session

    def successfully_payment(self, params: Params, transaction: Any) -> None:
        del params
        self.mark("paid", transaction)

    def cancelled_payment(self, params: Params, transaction: Any) -> None:
        del params
        self.mark("cancelled", transaction)

    def mark(self, status: str, transaction: Any) -> None:
        order = self.db.get_one(Order, transaction.account_id)
        order.status = status
        self.db.add(Effect(status, transaction))
        self.db.commit()


class ShopPayme(Counts, PaymeSettings, SqlHandler):
    """The shop's handler for Payme."""


class ShopClick(Counts, ClickSettings, SqlHandler):
    """The shop's handler for Click."""


class Silent(PaymeSettings, SqlHandler):
    """A handler without hooks."""


class AsyncCounts:
    """The shop's hooks with an `AsyncSession`."""

    db: AsyncSession

    async def successfully_payment(self, params: Params, transaction: Any) -> None:
        del params
        await self.mark("paid", transaction)

    async def cancelled_payment(self, params: Params, transaction: Any) -> None:
        del params
        await self.mark("cancelled", transaction)

    async def mark(self, status: str, transaction: Any) -> None:
        order = await self.db.get_one(Order, transaction.account_id)
        order.status = status
        self.db.add(Effect(status, transaction))
        await self.db.commit()


class AsyncShopPayme(AsyncCounts, PaymeSettings, AsyncSqlHandler):
    """The shop's handler for Payme with an `AsyncSession`."""


class AsyncShopClick(AsyncCounts, ClickSettings, AsyncSqlHandler):
    """The shop's handler for Click with an `AsyncSession`."""


SETTINGS: Final[Params] = {
    "payme_id": "587f72c72cac0d162c722ae2",
    "payme_key": KEY,
    "account_model": Order,
    "account_field": "order_id",
    "clock": lambda: NOW,
}

CLICK: Final[Params] = {
    "service_id": click_wire.SERVICE,
    "secret_key": click_wire.SECRET,
    "account_model": Order,
    "clock": lambda: NOW,
}


def opened(body: bytes) -> Params:
    """Open an answer: its result, or its error with the member `code`."""
    envelope = json.loads(body)
    return error_in(envelope) if "error" in envelope else result_in(envelope)


@dataclass(frozen=True)
class Shop:
    """The shop on one database. Each call has a session of its own, as each request has.

    A call that is answered −32400 (to Click: −7) is asked again, as the providers do, up to `repeats` times.
    """

    engine: Engine
    handler: type[Any] = ShopPayme
    settings: Params = field(default_factory=dict)
    repeats: int = 0

    def open(self) -> "Shop":
        """Make the tables."""
        run_migrations(self.engine)
        Base.metadata.create_all(self.engine)
        return self

    def payme(self, db: Session) -> Any:
        """Build the handler for one request."""
        return self.handler(db, **{**SETTINGS, **self.settings})

    def answer(self, wire: Wire) -> bytes:
        """Answer one call of Payme."""
        for _ in range(1 + self.repeats):
            with Session(self.engine) as db:
                body: bytes = self.payme(db).respond(post(encoded(wire)))
            if opened(body).get("code") != -32400:
                break
        return body

    def ask(self, wire: Wire) -> Params:
        """Answer one call, and open the answer."""
        return opened(self.answer(wire))

    def click(self, form: click_wire.Form) -> int:
        """Answer one call of Click, and give the answer's `error`."""
        for _ in range(1 + self.repeats):
            with Session(self.engine) as db:
                body = ShopClick(db, **CLICK).respond(click_wire.post(click_wire.encoded(form)))
            error: int = click_wire.read(body)["error"]
            if error != -7:
                break
        return error

    def order(self, **values: Any) -> str:
        """Take an order, and give its number as a payer types it."""
        with Session(self.engine) as db:
            db.add(order := Order(**values))
            db.commit()
            return str(order.id)

    def status(self, order: str) -> str:
        """Read an order's status."""
        with Session(self.engine) as db:
            return db.get_one(Order, int(order)).status

    def payments(self) -> list[Any]:
        """Read the table of payments, in the order of their birth."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(PAYMENTS).order_by(PAYMENTS.c.id)))

    def states(self) -> dict[str, int]:
        """Give the state of every payment."""
        return {row.transaction_id: row.state for row in self.payments()}

    def effects(self) -> list[tuple[str, str]]:
        """Give what the shop was told, and of which payment."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(Effect.kind, Effect.transaction_id).order_by(Effect.id))
            return [(row.kind, row.transaction_id) for row in rows]


@asynccontextmanager
async def async_shop(url: str, **settings: Any) -> AsyncIterator[AsyncEngine]:
    """A shop that has just opened, for an `AsyncSession`."""
    engine = create_async_engine(url, **settings)
    await arun_migrations(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    try:
        yield engine
    finally:
        await engine.dispose()


def begin_with(engine: Engine, statement: str) -> None:
    """Do as SQLAlchemy's documentation advises for SQLite: the driver begins nothing, an event does."""

    @event.listens_for(engine, "connect")
    def hands_off(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql(statement)
