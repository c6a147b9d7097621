"""Every statement finds its rows by an index, on every database: calls stay flat with millions of payments.

Each is explained by the database as the driver gets it, with its parameters, on a table of rows enough that a planner
would rather read an index than all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, Executable, create_engine, event, insert, select, text

from paytechuz_core.rows import values_of
from paytechuz_core.sql import PaymentTransaction, run_migrations
from paytechuz_core.sql.statements import Statements, statements_for, update_of
from paytechuz_core.transaction import HALF_DAY, Account, create, millis_to_datetime
from tests.core.wire import AMOUNT, NOW, Params
from tests.databases import SYNC_DRIVERS
from tests.sql.conftest import Places
from tests.sql.shop import PAYMENTS

ROWS: Final = 5_000
NAMED: Final[Params] = {"gateway": "payme", "transaction_id": f"{17:024}"}
ASKED: Final[Mapping[str, Params]] = {
    "by_id": NAMED,
    "by_id_locked": NAMED,
    "by_hold": {"hold": "orders:19"},
    "by_id_or_hold": {**NAMED, "hold": "orders:19"},
    "in_window": {"gateway": "payme", "start": NOW + 100_000, "end": NOW + 200_000},
    "unpaid": {"gateway": "payme", "after": ROWS - 50, "limit": 10},  # a sweep, in pages along the primary key
}
"""What each statement is asked for: rows that are there, a few of many."""

ANALYZE: Final = {"sqlite": "ANALYZE", "postgresql": "ANALYZE payments", "mysql": "ANALYZE TABLE payments"}
EXPLAIN: Final = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN", "mysql": "EXPLAIN"}


def row(number: int) -> Params:
    """One payment a second; every third was given up, and holds nothing; the last hundred are still to be paid."""
    moment, paid = NOW + number * 1000, number % 3 > 0
    ended = PaymentTransaction.SUCCESSFULLY if paid else PaymentTransaction.CANCELLED_DURING_INIT
    return {
        "gateway": "payme", "transaction_id": f"{number:024}", "account_id": str(number), "amount_tiyin": AMOUNT,
        "account": {}, "extra_data": {}, "provider_time": moment, "lifetime": 1, "version": 2,
        "state": PaymentTransaction.INITIATING if number >= ROWS - 100 else ended,
        "hold": f"orders:{number}" if paid else None, "reason": None if paid else 3,
        "created_at": millis_to_datetime(moment), "updated_at": millis_to_datetime(moment),
    }  # fmt: skip


def kind(engine: Engine) -> str:
    return engine.dialect.name.replace("mariadb", "mysql")


@pytest.fixture(scope="module", params=SYNC_DRIVERS)
def full_engine(request: pytest.FixtureRequest, places: Places) -> Iterator[Engine]:
    """A table with some history, whose statistics are known."""
    engine = create_engine(places(request.param))
    run_migrations(engine)
    with engine.begin() as connection:
        connection.execute(insert(PAYMENTS), [row(number) for number in range(ROWS)])
    with engine.connect() as connection:
        connection.execute(text(ANALYZE[kind(engine)])).close()
        connection.commit()
    yield engine
    engine.dispose()


def plan_of(connection: Connection, statement: Executable, parameters: Params) -> str:
    """Execute a statement, and ask the database how it finds the rows of what the driver was given."""
    given: list[tuple[str, Any]] = []

    def hear(_: Any, cursor: Any, sql: str, values: Any, *more: Any) -> None:
        del cursor, more
        given.append((sql, values))

    event.listen(connection, "before_cursor_execute", hear)
    connection.execute(statement, parameters).close()
    event.remove(connection, "before_cursor_execute", hear)
    ((sql, values),) = given
    plan = connection.exec_driver_sql(f"{EXPLAIN[kind(connection.engine)]} {sql}", values)
    return "\n".join(" ".join(map(str, step)) for step in plan)


def reads_whole(plan: str) -> bool:
    """Tell whether a plan reads all rows, of the table or of an index."""
    return any(sign in plan for sign in ("SCAN payments", "Seq Scan", " payments ALL ", " payments index "))


def reads_index(plan: str) -> bool:
    """Tell whether a plan goes through an index."""
    return any(sign in plan for sign in ("USING INDEX", "USING INTEGER PRIMARY KEY", "Index Scan", "uq_", "PRIMARY"))


@pytest.mark.parametrize("name", ASKED)
def test_every_question_is_answered_by_an_index(full_engine: Engine, name: str) -> None:
    with full_engine.connect() as connection:
        statement = getattr(statements_for(PAYMENTS), name)
        assert connection.execute(statement, ASKED[name]).all(), "nothing was asked that has an answer"
        plan = plan_of(connection, statement, ASKED[name])
        assert reads_index(plan), plan
        assert not reads_whole(plan), plan


def test_every_question_is_in_this_file() -> None:
    assert {each.name for each in fields(Statements)} == {*ASKED, "table", "insert"}


def test_a_question_for_both_keys_goes_through_both_indexes(full_engine: Engine) -> None:
    with full_engine.connect() as connection:
        plan = plan_of(connection, statements_for(PAYMENTS).by_id_or_hold, ASKED["by_id_or_hold"])
    keys = {"sqlite": ("autoindex_payments_1", "autoindex_payments_2")}.get(
        kind(full_engine), ("uq_payments_gateway_transaction_id", "uq_payments_hold")
    )
    assert all(key in plan for key in keys), plan


@pytest.mark.parametrize(
    "absent", [{"transaction_id": "none"}, {"hold": "orders:none"}, {"hold": "", "transaction_id": ""}]
)
def test_what_is_not_there_is_not_looked_for_in_every_row(full_engine: Engine, absent: Params) -> None:
    asked = {**ASKED["by_id_or_hold"], **absent}
    with full_engine.connect() as connection:
        plan = plan_of(connection, statements_for(PAYMENTS).by_id_or_hold, asked)
    assert not reads_whole(plan), plan


def test_every_write_finds_its_row_by_its_number(full_engine: Engine) -> None:
    birth = create(
        now=NOW, gateway="payme", transaction_id="new", account=Account(id=1), amount_tiyin=1, received={},
        provider_time=NOW,
    )  # fmt: skip
    moves = (
        birth.after.perform(NOW),
        birth.after.perform(NOW).after.cancel(NOW, 5),
        birth.after.cancel(NOW + HALF_DAY, 4),
        birth.after.amend(NOW, fiscal_perform={"receipt_id": 1}, extra_data={"note": 1}),
    )
    for move in moves:
        assert move is not None
        values = values_of(move)
        seen = {"row": 17, "seen_state": 2, "seen_version": 2}
        with full_engine.connect() as connection:
            plan = plan_of(connection, update_of(PAYMENTS, frozenset(values)), {**values, **seen})
        assert reads_index(plan), plan
        assert not reads_whole(plan), plan


def test_a_question_without_an_index_is_told_apart(full_engine: Engine) -> None:
    # The negative control: each database says so where it reads every row.
    with full_engine.connect() as connection:
        plan = plan_of(connection, select(PAYMENTS).where(PAYMENTS.c.reason == 77), {})
    assert reads_whole(plan), plan
