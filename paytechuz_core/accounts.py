"""The merchant's accounts: from what a payer typed to the key of an order, and from an order to an `Account`.

Account values are typed by people or carried by links that anyone may edit, so a value either *is* a key, in its one
and only spelling, or it names no account. `"007"`, `"1.5"`, `"٣"`, `" 7"` and a number too long for the column are
unknown accounts, never errors of a database.

`Accounts` is one model of the merchant's, whatever ORM it is written in; the ORM's room looks at the model once, checks
it, and finds the objects.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import Account, Fields, Key

WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
TEXT_LIMIT: Final = 255


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

    def spelled(self, found: Any, values: Mapping[str, Key]) -> bool:
        """Tell whether what a database found is the account that was named.

        It may find a text under another spelling (MariaDB finds `abc` for `ABC`); that is another account.
        """
        return all(str(getattr(found, name)) == str(value) for name, value in values.items())

    def ambiguous(self, values: Mapping[str, Key]) -> ConfigurationError:
        """Say that several objects have these values."""
        return ConfigurationError(
            f"several accounts have this {self.model.__name__}.{', '.join(values)}: let account_column name what is "
            "unique",
            "account_column",
        )

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
            raise ConfigurationError(message, "account_key_type")
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
            raise ConfigurationError(message, "amount_field") from error


def columns_of(
    fields: tuple[str, ...], columns: tuple[str, ...] | None, primary: str, there: Iterable[str]
) -> dict[str, str]:
    """Say which of the model's columns each of the provider's fields is looked up in."""
    if columns is None:
        # Only `order_id` is known to mean the primary key; any other `…_id` may well be another table's.
        columns = tuple(primary if name == "order_id" not in there else name for name in fields)
    if len(columns) != len(fields):
        message = f"account_column must name one column for each account_field: {fields} and {columns}"
        raise ConfigurationError(message, "account_column")
    return dict(zip(fields, columns, strict=True))


def other_kind(model: type, name: str, kind: type) -> Kind:
    """Look at a column of a type that is none of the ORM's own."""
    if kind not in (int, str, UUID):
        message = (
            f"{model.__name__}.{name} is a {kind.__name__}; accounts are found by integers, texts or UUIDs. Where the "
            "column's type only hides one of these, say it: account_key_type=UUID"
        )
        raise ConfigurationError(message, "account_column")
    return Kind(kind, 2**63 - 1 if kind is int else TEXT_LIMIT, kind)


def no_column(model: type, name: str, there: Iterable[str]) -> ConfigurationError:
    """Say that the model has no such column."""
    return ConfigurationError(
        f"{model.__name__} has no column {name!r}: set account_column to the column that the cash register's "
        f"account_field names; there are {sorted(there)}",
        "account_column",
    )


def no_amount(model: type, name: str | None) -> ConfigurationError:
    """Say that the model has no such price."""
    return ConfigurationError(
        f"{model.__name__} has no attribute {name!r}: set amount_field to the one that has the price in som",
        "amount_field",
    )


def inexact(model: type, name: str, kind: str, better: str) -> ConfigurationError:
    """Say that a column would round money."""
    message = f"{model.__name__}.{name} is {kind}, which cannot hold money exactly: make it {better}"
    return ConfigurationError(message, "amount_field")


def parse_key(kind: type, value: Any, limit: int) -> Key | None:
    """Read `value` as a key of type `kind` (int, str or UUID), or give None where it is none.

    `limit` is the largest number, or the greatest length of a text, that the account's column can hold.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    key: Key
    if kind is int:
        if WHOLE_NUMBER.fullmatch(text) is None:
            return None
        key = int(text)
        return key if key <= limit else None
    if kind is UUID:
        try:
            key = UUID(text)
        except ValueError:
            return None
        return key if str(key) == text else None
    return text if 0 < len(text) <= min(limit, TEXT_LIMIT) else None


def restore_key(kind: type, text: str) -> Key:
    """Turn a key that was stored as text back into its own type.

    A text that cannot be one is the account of another handler whose transactions stand in the same statement: it stays
    a text.
    """
    try:
        key: Key = kind(text)
    except ValueError:
        return text
    return key if str(key) == text else text
