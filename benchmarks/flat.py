"""Create and Perform stay flat: the time of a call with many payments stored, to its time with few."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, insert, text
from sqlalchemy.orm import Session

from benchmarks import Measurement, timed
from benchmarks.payer import AUTHORIZATION, KEY, TIYIN
from benchmarks.shop import PRICE, Base, Order, ShopPayme
from paytechuz.integrations.fastapi import run_migrations
from paytechuz_core import Inbound
from tests.databases import sqlite, throw_away

LIMIT: Final = 1.5
FEW: Final = 1_000
MANY: Final = {"sqlite": 200_000, "postgresql": 1_000_000}
PAYMENTS: Final = 200

NUMBERS: Final = {
    "sqlite": "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < :rows) SELECT n FROM c)",
    "postgresql": "generate_series(1, :rows) AS numbers(n)",
}
HISTORY: Final = """
    INSERT INTO payments (
        gateway, transaction_id, account_id, amount_tiyin, account, state, extra_data, created_at, updated_at,
        performed_at, provider_time, lifetime, hold, version
    )
    SELECT
        'payme', {id}, 'old-' || n, 500000, '{{}}', 2, '{{}}', {now}, {now},
        {now}, 1700000000000 + n, 43200000, 'orders:old-' || n, 2
    FROM {numbers}
"""
"""Paid long ago: under ids in no order, as Payme's are."""
DIALECTS: Final = {
    "sqlite": {"id": "lower(hex(randomblob(12)))", "now": "CURRENT_TIMESTAMP"},
    "postgresql": {"id": "left(md5(n::text), 24)", "now": "now()"},
}


class Shop:
    """A shop with a history."""

    def __init__(self, url: str, rows: int) -> None:
        self.engine = make_engine(url)
        kind = self.engine.dialect.name
        run_migrations(self.engine)
        Base.metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            history = HISTORY.format(**DIALECTS[kind], numbers=NUMBERS[kind])
            connection.execute(text(history), {"rows": rows})
            connection.execute(insert(Order), [{"amount": PRICE} for _ in range(PAYMENTS)])
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM" if kind == "sqlite" else "VACUUM ANALYZE payments"))
        self.orders = iter(range(1, PAYMENTS + 1))
        self.order = 0

    def create(self) -> None:
        self.order = next(self.orders)
        now, account = time.time_ns() // 1_000_000, {"id": str(self.order)}
        self.call("CreateTransaction", time=now, amount=TIYIN, account=account)

    def perform(self) -> None:
        self.call("PerformTransaction")

    def call(self, method: str, **params: Any) -> None:
        body = json.dumps({"id": 1, "method": method, "params": {"id": f"{self.order:024}", **params}})
        with Session(self.engine) as db:
            handler = ShopPayme(db=db, payme_id="benchmark", payme_key=KEY, account_model=Order)
            answer = handler.respond(Inbound("POST", {"authorization": AUTHORIZATION}, body.encode()))
        assert b'"result"' in answer, answer


def make_engine(url: str) -> Engine:
    """Connect without waiting for the disk at each commit: that varies, and is the same for few and many."""
    engine = create_engine(url)
    hurry = "PRAGMA synchronous = OFF" if engine.dialect.name == "sqlite" else "SET synchronous_commit = off"

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.execute(hurry)
        connection.commit()

    return engine


def measure() -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        urls = [sqlite(Path(folder)).url("sqlite") for folder in (one, other)]
        yield from compare("SQLite", urls, MANY["sqlite"])
    with ExitStack() as stack:
        databases = [stack.enter_context(throw_away("postgresql"))[0] for _ in range(2)]
        urls = [database.url("postgresql+psycopg") for database in databases]
        yield from compare("PostgreSQL", urls, MANY["postgresql"])


def compare(name: str, urls: list[str], many: int) -> Iterator[Measurement]:
    """Pay for orders in a shop with a long history and in one with a short one."""
    old, young = shops = Shop(urls[0], many), Shop(urls[1], FEW)
    calls = (old.create, young.create, old.perform, young.perform)
    seconds = zip(*([timed(call) for call in calls] for _ in range(PAYMENTS)), strict=True)
    create_old, create_young, perform_old, perform_young = map(median, seconds)
    for method, slow, quick in (
        ("CreateTransaction", create_old, create_young),
        ("PerformTransaction", perform_old, perform_young),
    ):
        yield Measurement(
            f"{method} on {name} with {many:_} payments stored, to {FEW:_}",
            slow / quick,
            at_most=LIMIT,
            detail=f"{slow * 1000:.2f} ms to {quick * 1000:.2f} ms",
        )
    for shop in shops:
        shop.engine.dispose()
