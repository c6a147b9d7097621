"""Every SQL statement of the library, as values.

Each finds its rows by an index, so that calls stay flat with millions of rows. `account` is never joined: the
merchant's tables are the merchant's.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Table, Update, and_, bindparam, insert, or_, select, update
from sqlalchemy.sql.dml import Insert

from paytechuz_core.transaction import State


@dataclass(frozen=True)
class Statements:
    """The statements for one table; `update_of` gives the updates."""

    table: Table
    by_id: Select[Any]
    by_id_locked: Select[Any]
    by_hold: Select[Any]
    by_id_or_hold: Select[Any]
    in_window: Select[Any]
    unpaid: Select[Any]
    insert: Insert


@lru_cache
def statements_for(table: Table) -> Statements:
    """Write the statements for `table`."""
    every, column = select(table), table.c
    named = and_(column.gateway == bindparam("gateway"), column.transaction_id == bindparam("transaction_id"))
    holding = column.hold == bindparam("hold")
    return Statements(
        table=table,
        by_id=every.where(named),
        by_id_locked=every.where(named).with_for_update(),
        by_hold=every.where(holding),
        # One read through two unique indexes.
        by_id_or_hold=every.where(or_(named, holding)),
        in_window=every.where(
            column.gateway == bindparam("gateway"),
            column.provider_time >= bindparam("start"),
            column.provider_time <= bindparam("end"),
        ).order_by(column.provider_time, column.id),
        unpaid=every.where(
            column.gateway == bindparam("gateway"),
            column.state == State.INITIATING.value,
            column.id > bindparam("after"),
        )
        .order_by(column.id)
        .limit(bindparam("limit")),
        insert=insert(table),
    )


@lru_cache
def update_of(table: Table, names: frozenset[str]) -> Update:
    """Write the update of these columns: compare and swap, so that no row matches once a rival has written."""
    column = table.c
    return (
        update(table)
        .where(
            column.id == bindparam("row"),
            column.state == bindparam("seen_state"),
            column.version == bindparam("seen_version"),
        )
        .values({name: bindparam(name) for name in names})
    )
