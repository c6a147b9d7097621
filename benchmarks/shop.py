"""The shop that is measured: one order table, and two routes that take the same payments.

`/library` is the documentation's route. `/by_hand` is what a careful developer would write for speed and for nothing
else: a plain `def` endpoint with the same dependency, the same statements, one savepoint around the hook's work and the
same commits. It knows the happy path only; whatever else the library checks, it leaves out.
"""

import hmac
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Body, Depends, FastAPI, Header, Request, Response
from sqlalchemy import Numeric, String, bindparam, create_engine, insert, or_, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.payer import AUTHORIZATION, KEY, TIYIN
from paytechuz.integrations.fastapi import PaymentTransaction, PaymeWebhookHandler, State
from paytechuz_core import tiyin_to_som
from paytechuz_core.sql.model import table_of

DATABASE: Final = "PAYTECHUZ_BENCHMARK_DATABASE"
"""The environment variable that names the shop's database to the server."""

PRICE: Final = tiyin_to_som(TIYIN)


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """What is paid for."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    status: Mapped[str] = mapped_column(String(20), default="pending")


class ShopPayme(PaymeWebhookHandler):
    """The documentation's handler, with its hook."""

    def successfully_payment(self, params: Any, transaction: Any) -> None:
        del params
        order = self.db.query(Order).filter(Order.id == transaction.account_id).first()
        if order:
            order.status = "paid"
            self.db.commit()


class ByHand:
    """The same payment by hand, straight down, with statements that are built once."""

    payments = table_of(PaymentTransaction)
    named = (payments.c.gateway == "payme", payments.c.transaction_id == bindparam("transaction_id"))
    held = payments.c.hold == bindparam("hold")
    by_hold = select(payments).where(held)
    by_id_or_hold = select(payments).where(or_(named[0] & named[1], held))
    by_id_locked = select(payments).where(*named).with_for_update()
    order = select(Order).where(Order.id == bindparam("number"))
    create = insert(payments)
    pay = (
        update(payments)
        .where(
            payments.c.id == bindparam("row"),
            payments.c.state == bindparam("seen_state"),
            payments.c.version == bindparam("seen_version"),
        )
        .values({name: bindparam(name) for name in ("state", "performed_at", "updated_at", "version")})
    )

    def __init__(self, db: Session) -> None:
        self.db = db
        if db.get_bind().dialect.name == "sqlite":
            # What reads before it writes must take SQLite's lock first, or rivals meet a busy database.
            db.connection().exec_driver_sql("BEGIN IMMEDIATE")

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "CheckPerformTransaction":
                return self.check_perform(params)
            case "CreateTransaction":
                return self.create_transaction(params)
            case _:
                return self.perform_transaction(params)

    def check_perform(self, params: dict[str, Any]) -> dict[str, Any]:
        number = int(params["account"]["id"])
        assert self.db.execute(self.by_hold, {"hold": f"orders:{number}"}).first() is None
        self.check(self.db.scalars(self.order, {"number": number}).one_or_none(), params)
        self.db.commit()
        return {"allow": True}

    def create_transaction(self, params: dict[str, Any]) -> dict[str, Any]:
        number, now = int(params["account"]["id"]), time.time_ns() // 1_000_000
        keys = {"transaction_id": params["id"], "hold": f"orders:{number}"}
        assert self.db.execute(self.by_id_or_hold, keys).first() is None
        self.check(self.db.scalars(self.order, {"number": number}).one_or_none(), params)
        stamp = datetime.fromtimestamp(now / 1000, UTC)
        self.db.execute(
            self.create,
            {
                **keys,
                "gateway": "payme",
                "account_id": str(number),
                "amount_tiyin": params["amount"],
                "account": params["account"],
                "state": State.INITIATING,
                "extra_data": {},
                "created_at": stamp,
                "updated_at": stamp,
                "provider_time": params["time"],
                "version": 1,
            },
        )
        self.db.commit()
        return {"create_time": now, "transaction": params["id"], "state": 1}

    def perform_transaction(self, params: dict[str, Any]) -> dict[str, Any]:
        now = time.time_ns() // 1_000_000
        stamp = datetime.fromtimestamp(now / 1000, UTC)
        found = self.db.execute(self.by_id_locked, {"transaction_id": params["id"]}).one()
        assert found.state == State.INITIATING
        assert found.provider_time > now - 43_200_000
        moved = self.db.execute(
            self.pay,
            {
                "row": found.id,
                "seen_state": found.state,
                "seen_version": found.version,
                "state": State.SUCCESSFULLY,
                "performed_at": stamp,
                "updated_at": stamp,
                "version": found.version + 1,
            },
        )
        assert moved.rowcount == 1  # type: ignore[attr-defined] # an UPDATE has one
        with self.db.begin_nested():
            order = self.db.query(Order).filter(Order.id == int(found.account_id)).first()
            assert order is not None
            order.status = "paid"
        self.db.commit()
        return {"transaction": params["id"], "perform_time": now, "state": 2}

    def check(self, order: Order | None, params: dict[str, Any]) -> None:
        assert order is not None
        assert order.amount * 100 == params["amount"]
        assert order.status == "pending"


def make_app() -> FastAPI:
    """Build the application; uvicorn calls it in the server's process."""
    engine = create_engine(os.environ[DATABASE])
    app = FastAPI()

    def get_db() -> Iterator[Session]:
        db = Session(engine)
        try:
            yield db
        finally:
            db.close()

    Db = Annotated[Session, Depends(get_db)]  # noqa: N806 - a type

    @app.post("/library")
    async def library(request: Request, db: Db) -> Response:
        handler = ShopPayme(
            db=db,
            payme_id="benchmark",
            payme_key=KEY,
            account_model=Order,
            account_field="id",
            amount_field="amount",
            one_time_payment=True,
        )
        return await handler.handle_webhook(request)

    @app.post("/by_hand")
    def by_hand(
        message: Annotated[dict[str, Any], Body()], authorization: Annotated[str, Header()], db: Db
    ) -> Response:
        assert hmac.compare_digest(authorization, AUTHORIZATION)
        result = ByHand(db).answer(message["method"], message["params"])
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return Response(json.dumps(answer), media_type="application/json")

    return app
