"""The merchant's accounts: which model, which columns, and how a row of it becomes an `Account`.

`Accounts` is built and checked once per configuration; what is wrong with the configuration is said then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
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

from paytechuz_core.accounts import TEXT_LIMIT, parse_key, restore_key
from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import Account, Fields, Key


class Kind(NamedTuple):
    """A column that accounts are found by.

    `spelling` is what a value must be written as, `limit` the most the column can hold (a number, or a length), `own`
    the type that the model's objects have it in: a UUID may be kept as text.
    """

    spelling: type
    limit: int
    own: type


@dataclass(frozen=True, eq=False)
class Accounts:
    """One model as accounts.

    `columns` maps each of the provider's fields to the model's attribute. `primary` is the primary key's attribute: it
    is what a transaction stores as `account_id`, and what the hold is made of.
    """

    model: type
    table: str
    columns: Mapping[str, str]
    kinds: Mapping[str, Kind]
    primary: str
    primary_kind: type
    amount_field: str | None
    one_time: bool

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
            message = (
                f"several accounts have this {self.model.__name__}.{', '.join(values)}: let account_column name what "
                "is unique"
            )
            raise ConfigurationError(message) from None
        # A database may find a text under another spelling (MariaDB finds `abc` for `ABC`); that is another account.
        if found is None or any(str(getattr(found, name)) != str(value) for name, value in values.items()):
            return None
        return found

    def parse(self, fields: Fields) -> dict[str, Key] | None:
        """Read the provider's fields as the columns' values, or give None where they cannot be any account's."""
        values = {}
        for field, column in self.columns.items():
            kind = self.kinds[column]
            value = parse_key(kind.spelling, fields.get(field), kind.limit)
            if value is None:
                return None
            values[column] = value if isinstance(value, kind.own) else kind.own(value)
        return values

    def hold_for(self, fields: Fields) -> str | None:
        """Give the hold where it follows from the fields alone: where they name the primary key."""
        if not self.one_time or self.primary not in self.kinds:
            return None
        values = self.parse(fields)
        return None if values is None else self._hold(values[self.primary])

    def account(self, found: Any, *, payable: bool) -> Account:
        """Turn the merchant's object into an `Account`."""
        key: Key = getattr(found, self.primary)
        if not isinstance(key, self.primary_kind):
            message = (
                f"{self.model.__name__}.{self.primary} is a {type(key).__name__}, its column says "
                f"{self.primary_kind.__name__}: pass account_key_type={type(key).__name__} to the handler"
            )
            raise ConfigurationError(message)
        return Account(
            id=self.restore(str(key)),  # the plain type: a driver may give a subclass of its own (asyncpg's UUID)
            amount_tiyin=self._price(found) if self.one_time else None,
            hold=self._hold(key) if self.one_time else None,
            payable=payable,
            model=found,
        )

    def restore(self, text: str) -> Key:
        """Turn a stored account id back into the type of the account's own key."""
        return restore_key(self.primary_kind, text)

    def _hold(self, key: Key) -> str:
        return f"{self.table}:{key}"

    def _price(self, found: Any) -> Tiyin:
        price = getattr(found, self.amount_field or "")
        try:
            return som_to_tiyin(price)
        except ValueError as error:
            message = f"{self.model.__name__}.{self.amount_field} is {price!r}: {error}"
            raise ConfigurationError(message) from error


@lru_cache
def accounts_of(
    model: type,
    fields: tuple[str, ...],
    columns: tuple[str, ...] | None,
    amount_field: str | None,
    one_time: bool,  # noqa: FBT001 - a key of the cache
    key_type: type | None,
    found_otherwise: bool,  # noqa: FBT001 - as above
) -> Accounts:
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
    if found_otherwise:
        fields = columns = ()
    elif columns is None:
        # Only `order_id` is known to mean the primary key; any other `…_id` may well be another table's.
        columns = tuple(primary if name == "order_id" not in mapper.columns else name for name in fields)
    kinds = {name: kind_of(model, mapper, name, key_type if name == primary else None) for name in {*columns, primary}}
    if len(columns) != len(fields):
        message = f"account_column must name one column for each account_field: {fields} and {columns}"
        raise ConfigurationError(message)
    check_amount(model, mapper, amount_field, one_time=one_time)
    return Accounts(
        model=model,
        table=table.fullname if isinstance(table := mapper.primary_key[0].table, Table) else str(table),
        columns=dict(zip(fields, columns, strict=True)),
        kinds={name: kind for name, kind in kinds.items() if name in columns},
        primary=primary,
        primary_kind=kinds[primary].own,
        amount_field=amount_field,
        one_time=one_time,
    )


def kind_of(model: type, mapper: Mapper[Any], name: str, told: type | None) -> Kind:
    """Look at a column that accounts are found by; `told` is its type where the merchant had to say."""
    if name not in mapper.columns:
        message = (
            f"{model.__name__} has no column {name!r}: set account_column to the column that the cash register's "
            f"account_field names; there are {sorted(mapper.columns.keys())}"
        )
        raise ConfigurationError(message)
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


def other_kind(model: type, name: str, kind: type) -> Kind:
    """Look at a column of a type that is none of SQLAlchemy's own."""
    if kind not in (int, str, UUID):
        message = (
            f"{model.__name__}.{name} is a {kind.__name__}; accounts are found by integers, texts or UUIDs. Where the "
            "column's type only hides one of these, say it: account_key_type=UUID"
        )
        raise ConfigurationError(message)
    return Kind(kind, 2**63 - 1 if kind is int else TEXT_LIMIT, kind)


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
        message = f"{model.__name__} has no attribute {name!r}: set amount_field to the one that has the price in som"
        raise ConfigurationError(message)
    if name in mapper.columns:
        kind = mapper.columns[name].type
        exact = isinstance(kind, Integer) or (
            isinstance(kind, Numeric) and not isinstance(kind, Float) and kind.asdecimal
        )
        if not exact and not hasattr(kind, "impl"):
            message = (
                f"{model.__name__}.{name} is {kind!r}, which cannot hold money exactly: "
                "make it Numeric(precision, 2) or Integer (som)"
            )
            raise ConfigurationError(message)
