"""The merchant's accounts in Django: which model, which fields, and how an object of it is found.

`DjangoAccounts` is built and checked once per configuration; what is wrong with the configuration is said then.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.module_loading import import_string

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

WHOLE: Final = {
    "SmallIntegerField": 2**15 - 1,
    "PositiveSmallIntegerField": 2**15 - 1,
    "SmallAutoField": 2**15 - 1,
    "IntegerField": 2**31 - 1,
    "PositiveIntegerField": 2**31 - 1,
    "AutoField": 2**31 - 1,
    "BigIntegerField": 2**63 - 1,
    "PositiveBigIntegerField": 2**63 - 1,
    "BigAutoField": 2**63 - 1,
}
"""The most that a field of whole numbers can hold on every database."""

TEXTS: Final = ("CharField", "SlugField", "TextField")


@dataclass(frozen=True, eq=False)
class DjangoAccounts(Accounts):
    """One Django model as accounts."""

    def find(self, using: str, fields: Fields) -> Any | None:
        """Give the model's object that `fields` name, or None, as the model's own manager finds it."""
        values = self.parse(fields)
        if values is None:
            return None
        model: Any = self.model
        try:
            found = model._default_manager.using(using).filter(**values).get()  # noqa: SLF001 - documented under this name
        except model.DoesNotExist:
            return None
        except model.MultipleObjectsReturned:
            raise self.ambiguous(values) from None
        return found if self.spelled(found, values) else None


@lru_cache
def accounts_of(
    model: type[models.Model],
    fields: tuple[str, ...],
    columns: tuple[str, ...] | None,
    amount_field: str | None,
    one_time: bool,  # noqa: FBT001 - a key of the cache
    key_type: type | None,
    found_otherwise: bool,  # noqa: FBT001 - as above
) -> DjangoAccounts:
    """Check the settings against the model; raise `ConfigurationError` with the fix.

    `found_otherwise`: the merchant finds the account, so no field needs to be named after the provider's.
    """
    there = [field.attname for field in model._meta.concrete_fields]  # noqa: SLF001 - documented under this name
    owner = root(model)
    primary = owner._meta.pk.attname  # noqa: SLF001 - as above
    named = {} if found_otherwise else columns_of(fields, columns, primary, there)
    looked_at = {*named.values(), primary}
    kinds = {name: kind_of(model, name, there, key_type if name == primary else None) for name in looked_at}
    check_amount(model, amount_field, one_time=one_time)
    return DjangoAccounts(
        model=model,
        table=owner._meta.db_table,  # noqa: SLF001 - as above
        columns=named,
        kinds={name: kind for name, kind in kinds.items() if name in named.values()},
        primary=primary,
        primary_kind=kinds[primary].own,
        amount_field=amount_field,
        one_time=one_time,
    )


def root(model: type[models.Model]) -> type[models.Model]:
    """Give the model whose table has the primary key: two models of one order must make one hold."""
    model = model._meta.concrete_model or model  # noqa: SLF001 - as above
    key: Any = model._meta.pk  # noqa: SLF001 - as above
    return root(key.related_model) if key.remote_field is not None and key.remote_field.parent_link else model


def kind_of(model: type[models.Model], name: str, there: list[str], told: type | None) -> Kind:
    """Look at a field that accounts are found by; `told` is its type where the merchant had to say."""
    if name not in there:  # Django knows a foreign key by two names, but only one gives the key
        raise no_column(model, name, there)
    field: Any = model._meta.get_field(name)  # noqa: SLF001 - as above
    while field.remote_field is not None:
        field = field.target_field
    match field.get_internal_type():
        case kind if kind in WHOLE:
            return Kind(int, WHOLE[kind], told or int)
        case kind if kind in TEXTS:
            return Kind(str, field.max_length or TEXT_LIMIT, told or str)
        case "UUIDField":
            return Kind(UUID, TEXT_LIMIT, told or UUID)
        case _:
            return other_kind(model, name, told or type(field))


def check_amount(model: type[models.Model], name: str | None, *, one_time: bool) -> None:
    """Refuse a price that cannot be exact; a property that is no field is checked when it is read."""
    if not one_time:
        return
    if name is None or not hasattr(model, name):
        raise no_amount(model, name)
    try:
        field = model._meta.get_field(name)  # noqa: SLF001 - as above
    except FieldDoesNotExist:
        return
    if field.get_internal_type() not in {"DecimalField", *WHOLE}:
        better = "DecimalField(max_digits=…, decimal_places=2) or IntegerField (som)"
        raise inexact(model, name, f"a {type(field).__name__}", better)


def model_named(setting: str, model: Any) -> type[models.Model]:
    """Give the model that a setting names: a class, "orders.Order" (app and model) or "shop.orders.models.Order"."""
    found = model
    if isinstance(model, str):
        try:
            found = apps.get_model(model) if model.count(".") == 1 else import_string(model)
        except (LookupError, ValueError, ImportError) as error:
            message = f'{setting} names no model, {model!r}: {error}. Write it as "app.Model" or with its whole path'
            raise ConfigurationError(message, setting) from error
    if not (isinstance(found, type) and issubclass(found, models.Model)):
        message = f'{setting} must be a Django model, or its name such as "orders.Order", not {model!r}'
        raise ConfigurationError(message, setting)
    return found
