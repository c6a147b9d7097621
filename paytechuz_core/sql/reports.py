"""What people ask of the table: a statement of any length, and what a doctor wants to know."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.exc import DBAPIError

from paytechuz_core.doctor import (
    RECENT,
    Finding,
    engine_of,
    look_at_clock,
    look_at_table,
    look_at_transactions,
    with_mysqls_own,
    wrong,
)
from paytechuz_core.handler import PAGE
from paytechuz_core.report import timed_by
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.rows import transaction_of
from paytechuz_core.sql.unit import check_engine, check_transactions, seen_of
from paytechuz_core.transaction import Millis, Transaction, datetime_to_millis, millis_to_datetime


def statement(connection: Connection, table: Table, gateway: str, start: Millis, end: Millis) -> Iterator[Transaction]:
    """Give a statement, a page at a time."""
    column = table.c[timed_by(gateway)]
    window = (start, end) if column is table.c.provider_time else (millis_to_datetime(start), millis_to_datetime(end))
    found = select(table).where(table.c.gateway == gateway, column.between(*window)).order_by(column, table.c.id)
    for row in connection.execution_options(yield_per=PAGE).execute(found):
        yield transaction_of(row, str)


def look_at_database(engine: Engine, table: Table, orders: Iterable[str], fix: str) -> Iterator[Finding]:
    """Look at the database of payments and of `orders` (tables): transactions, the table, what it says of the clock."""
    name = Path(engine.url.database or engine.dialect.name).name
    try:
        with engine.connect() as connection:
            yield from found_in(connection, table, orders, fix, name)
    except DBAPIError as error:
        yield wrong(f"database {name}", f"it cannot be asked: {error.orig}", "see the engine's URL")


def found_in(connection: Connection, table: Table, orders: Iterable[str], fix: str, name: str) -> Iterator[Finding]:
    """Look, where the database answers."""
    seen, engines, problem = seen_of(connection, table), {}, None
    if connection.dialect.name in ("mysql", "mariadb"):

        def query(sql: str, parameters: tuple[str | None, str]) -> Sequence[Any]:
            return connection.exec_driver_sql(sql, parameters).all()

        seen = with_mysqls_own(seen, query, table.name, table.schema)
        for each in (table.fullname, *orders):
            schema, _, plain = each.rpartition(".")
            engines[each] = engine_of(query, plain, schema or None)
    try:
        check_engine(connection.engine)
        with connection.engine.connect() as another:  # of no use any more where this fails
            check_transactions(another)
    except ConfigurationError as error:
        problem = str(error)
    yield look_at_transactions(name, problem, engines)
    yield from look_at_table(seen, table.c.keys(), fix)
    if set(table.c.keys()) <= set(seen.columns):
        payme = (table.c.gateway == "payme", table.c.provider_time.is_not(None))
        times = select(table.c.provider_time, table.c.created_at).where(*payme).order_by(table.c.id.desc())
        latest = connection.execute(times.limit(RECENT))
        yield look_at_clock([(theirs, datetime_to_millis(ours)) for theirs, ours in latest])
