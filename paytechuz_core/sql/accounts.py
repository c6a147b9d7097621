"""The merchant's accounts in SQLAlchemy: which model, which columns, and how an object of it is found.

`SqlAccounts` is built and checked once per configuration; what is wrong with the configuration is said then.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    Numeric,
    Select,
    SmallInteger,
    String,
    Table,
    Uuid,
    bindparam,
    inspect,
    select,
)
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.orm import Mapper, Session

from paytechuz_core.accounts import (
    TEXT_LIMIT,
    Accounts,
    Kind,
    columns_of,
    inexact,
    no_amount,
    no_column,
    other_kind,
)
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import Fields


@dataclass(frozen=True, eq=False)
class SqlAccounts(Accounts):
    """One SQLAlchemy model as accounts."""

    @cached_property
    def named(self) -> Select[Any]:
        """The statement that finds an account; written once, because that takes longer than to run it."""
        return select(self.model).filter_by(**{name: bindparam(name) for name in self.kinds})

    def find(self, session: Session, fields: Fields) -> Any | None:
        """Give the model's object that `fields` name, or None."""
        values = self.parse(fields)
        if values is None:
            return None
        try:
            found = session.scalars(self.named, values).unique().one_or_none()
        except MultipleResultsFound:
            raise self.ambiguous(values) from None
        return found if found is not None and self.spelled(found, values) else None


@lru_cache
def accounts_of(
    model: type,
    fields: tuple[str, ...],
    columns: tuple[str, ...] | None,
    amount_field: str | None,
    one_time: bool,  # noqa: FBT001 - a key of the cache
    key_type: type | None,
    found_otherwise: bool,  # noqa: FBT001 - as above
) -> SqlAccounts:
    """Check the settings against the model; raise `ConfigurationError` with the fix.

    `found_otherwise`: the merchant finds the account, so no column needs to be named after the provider's fields.
    """
    mapper: Mapper[Any] | None = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        message = f"account_model must be a SQLAlchemy model, not {model!r}"
        raise ConfigurationError(message)
    keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    if len(keys) != 1:
        message = f"{model.__name__} has {len(keys)} primary key columns; an account needs exactly one"
        raise ConfigurationError(message)
    primary = keys[0]
    named = {} if found_otherwise else columns_of(fields, columns, primary, mapper.columns.keys())
    looked_at = {*named.values(), primary}
    kinds = {name: kind_of(model, mapper, name, key_type if name == primary else None) for name in looked_at}
    check_amount(model, mapper, amount_field, one_time=one_time)
    return SqlAccounts(
        model=model,
        table=table.fullname if isinstance(table := mapper.primary_key[0].table, Table) else str(table),
        columns=named,
        kinds={name: kind for name, kind in kinds.items() if name in named.values()},
        primary=primary,
        primary_kind=kinds[primary].own,
        amount_field=amount_field,
        one_time=one_time,
    )


def kind_of(model: type, mapper: Mapper[Any], name: str, told: type | None) -> Kind:
    """Look at a column that accounts are found by; `told` is its type where the merchant had to say."""
    if name not in mapper.columns:
        raise no_column(model, name, mapper.columns.keys())
    column: Column[Any] = mapper.columns[name]
    match column.type:
        case SmallInteger():
            return Kind(int, 2**15 - 1, told or int)
        case BigInteger():
            return Kind(int, 2**63 - 1, told or int)
        case Integer():
            return Kind(int, 2**31 - 1, told or int)
        case String(length=length):
            return Kind(str, length or TEXT_LIMIT, told or str)
        case Uuid(as_uuid=as_uuid):
            return Kind(UUID, TEXT_LIMIT, told or (UUID if as_uuid else str))
        case _:
            return other_kind(model, name, told or type_of(column))


def type_of(column: Column[Any]) -> type:
    """Give the Python type that a column says it has."""
    try:
        return column.type.python_type
    except NotImplementedError:
        return object


def check_amount(model: type, mapper: Mapper[Any], name: str | None, *, one_time: bool) -> None:
    """Refuse a price that cannot be exact; a property that is no column is checked when it is read."""
    if not one_time:
        return
    if name is None or not hasattr(model, name):
        raise no_amount(model, name)
    if name in mapper.columns:
        kind = mapper.columns[name].type
        exact = isinstance(kind, Integer) or (
            isinstance(kind, Numeric) and not isinstance(kind, Float) and kind.asdecimal
        )
        if not exact and not hasattr(kind, "impl"):
            raise inexact(model, name, f"{kind!r}", "Numeric(precision, 2) or Integer (som)")
