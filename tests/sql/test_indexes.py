"""Every statement finds its rows by an index, on every database: calls stay flat with millions of payments.

The statements are those that the repository really sends, seen on their way to the driver and explained with the same
parameters, on a table with rows enough that no planner prefers to read it whole.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, event, insert, text
from sqlalchemy.orm import Session

from paytechuz_core.sql import PaymentTransaction
from paytechuz_core.sql.statements import Statements, statements_for, update_of
from paytechuz_core.transaction import Account, Change, Transaction, create, millis_to_datetime
from tests.core.wire import AMOUNT, NOW
from tests.sql.shop import PAYMENTS, Order, Shop

ROWS: Final = 5_000
STATISTICS: Final = {"sqlite": "ANALYZE", "postgresql": "ANALYZE payments", "mysql": "ANALYZE TABLE payments"}


def fill(engine: Engine) -> None:
    """Store payments: one a second, most of them paid, each for an order of its own."""
    with engine.begin() as connection:
        connection.execute(insert(PAYMENTS), [row(number) for number in range(ROWS)])
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(STATISTICS[kind(engine)])).close()


def row(number: int) -> dict[str, Any]:
    moment = millis_to_datetime(NOW + number * 1000)
    return {
        "gateway": "payme", "transaction_id": f"{number:024x}", "account_id": str(number), "amount_tiyin": AMOUNT,
        "account": {}, "state": PaymentTransaction.SUCCESSFULLY, "extra_data": {}, "created_at": moment,
        "updated_at": moment, "performed_at": moment, "provider_time": NOW + number * 1000,
        "hold": f"orders:{number}", "version": 2,
    }  # fmt: skip


def kind(engine: Engine) -> str:
    return engine.dialect.name.replace("mariadb", "mysql")


@contextmanager
def overheard(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements about payments, with their parameters, as the driver gets them."""
    heard: list[tuple[str, Any]] = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        del connection, cursor
        if "payments" in statement:
            heard.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


def explain(connection: Connection, statement: str, parameters: Any) -> tuple[set[str], str]:
    """Ask the database how it finds the rows: the indexes it uses, and whatever it would read whole."""
    match kind(connection.engine):
        case "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).scalars()
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).mappings().all()
            del plan
            steps = [str(each["detail"]) for each in rows]
            return {word for step in steps for word in step.split() if is_key(word)}, "; ".join(
                step for step in steps if step.startswith("SCAN")
            )
        case "postgresql":
            (found,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalars()
            nodes = list(below((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))
            return {each["Index Name"] for each in nodes if "Index Name" in each}, "; ".join(
                each["Node Type"] for each in nodes if each["Node Type"] == "Seq Scan"
            )
        case _:
            steps = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings().all()
            return {name for each in steps for name in (each["key"] or "").split(",") if name}, "; ".join(
                each["type"] for each in steps if each["type"] in ("ALL", "index")
            )


def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from below(each)


def is_key(word: str) -> bool:
    return word == "PRIMARY"
