"""A transaction as a row of the table `payments`: the same for every ORM, so that one reads what another wrote.

Columns are named as in the core but for the four times, which stand under the names that people read; money is whole
tiyin, a time is UTC to the millisecond, an account's key is text.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import Change, Key, State, Transaction, datetime_to_millis, millis_to_datetime

TIMES: Final = {
    "create_time": "created_at",
    "update_time": "updated_at",
    "perform_time": "performed_at",
    "cancel_time": "cancelled_at",
}
"""The columns that store a time under the name people read; the others are named as in the core."""

UNIQUE_KEYS: Final = (("gateway", "transaction_id"), ("hold",))
"""What makes one payment of many requests."""

INDEXES: Final = (("gateway", "provider_time"), ("account_id",))
"""What keeps a statement and an order's history fast with millions of rows."""

TEXT_KEYS: Final = ("gateway", "transaction_id", "account_id", "hold")
"""The texts that must compare byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A table as its database describes it; without columns it is not there.

    The rest only MariaDB and MySQL have: the collations of texts, and how many digits of a second a time has.
    """

    name: str
    columns: Collection[str]
    unique: Sequence[Sequence[str]]
    indexes: Sequence[Sequence[str]]
    collations: Mapping[str, str] = field(default_factory=dict)
    digits: Mapping[str, int] = field(default_factory=dict)


def misfit(seen: Seen, columns: Iterable[str], fix: str) -> ConfigurationError | None:
    """Say what is wrong with a table of payments, if anything is; it must have `columns`.

    `fix` is how it is made: "call run_migrations(engine)".
    """
    if not (found := set(seen.columns)):
        return ConfigurationError(f"there is no table {seen.name!r}: {fix}")
    if missing := set(columns) - found:
        return ConfigurationError(
            f"the table {seen.name!r} is another program's, or an older paytechuz's: it has no {sorted(missing)}. "
            f"Rename it and {fix}"
        )
    keys = [set(each) for each in seen.unique]
    if any(set(each) not in keys for each in UNIQUE_KEYS):
        return ConfigurationError(
            f"the table {seen.name!r} has no unique keys on {UNIQUE_KEYS}, so payments could be stored twice. "
            f"Rename it and {fix}"
        )
    return None


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


def transaction_of(row: Any, key: Callable[[str], Key]) -> Transaction:
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
