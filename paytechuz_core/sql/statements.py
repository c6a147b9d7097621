"""Every SQL statement of the library, as values.

Each finds its rows by an index, so that calls stay flat with millions of rows. `account` is never joined: the
merchant's tables are the merchant's.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, Table, Update, and_, bindparam, insert, or_, select, update
from sqlalchemy.sql.dml import Insert

from paytechuz_core.transaction import Change, State, Transaction, datetime_to_millis, millis_to_datetime

TIMES = {
    "create_time": "created_at",
    "update_time": "updated_at",
    "perform_time": "performed_at",
    "cancel_time": "cancelled_at",
}
"""The columns that store a time under the name people read; the others are named as in the core."""


@dataclass(frozen=True)
class Statements:
    """The statements for one table; `update_of` gives the updates."""

    table: Table
    by_id: Select[Any]
    by_id_locked: Select[Any]
    by_hold: Select[Any]
    by_id_or_hold: Select[Any]
    in_window: Select[Any]
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


def values_of(change: Change) -> dict[str, Any]:
    """Give the columns that `change` writes: only what differs, so that no write undoes another."""
    names = change.differing - {"id"}
    return {TIMES.get(name, name): stored(name, getattr(change.after, name)) for name in names}


def stored(name: str, value: Any) -> Any:
    """Give a field's value as its column stores it."""
    if value is None:
        return None
    if name in TIMES:
        return millis_to_datetime(value)
    if name == "account_id":
        return str(value)
    if name == "state":
        return int(value)
    return list(value) if name == "receivers" else value


def transaction_of(row: Row[Any], key: Any) -> Transaction:
    """Read a row; `key` turns the stored account id back into the type of the account's own key."""
    return Transaction(
        gateway=row.gateway,
        transaction_id=row.transaction_id,
        account_id=key(row.account_id),
        amount_tiyin=row.amount_tiyin,
        account=row.account,
        state=State(row.state),
        create_time=datetime_to_millis(row.created_at),
        update_time=datetime_to_millis(row.updated_at),
        provider_time=row.provider_time,
        perform_time=None if row.performed_at is None else datetime_to_millis(row.performed_at),
        cancel_time=None if row.cancelled_at is None else datetime_to_millis(row.cancelled_at),
        reason=row.reason,
        lifetime=row.lifetime,
        hold=row.hold,
        receivers=None if row.receivers is None else tuple(row.receivers),
        fiscal_perform=row.fiscal_perform,
        fiscal_cancel=row.fiscal_cancel,
        extra_data=row.extra_data,
        id=row.id,
        version=row.version,
    )
