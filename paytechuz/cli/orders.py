"""Where fresh orders come from, and what the shop says of them: the shop as the scenarios see it, from outside.

Each scenario orders something of its own. `--new-order` says how: a function of the shop's
(`shop.testing:new_order`), or a command that prints an order. Without it `--account order_id=1..40` lists orders that
await payment; those that a scenario leaves as they were are used again. `--status` says how to ask whether an order is
paid, again by a function or a command; without it nobody looks, and a paid hook that runs twice is not found out.
"""

import importlib
import inspect
import json
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from paytechuz.cli.config import Wrong
from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.testing import Lacking, Order
from paytechuz_core.transaction import Fields, Millis

FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")
PATIENCE: Final = 60
"""Seconds until a command that makes or shows an order is given up."""

MORE: Final = "no order is left that awaits payment"

Place: TypeAlias = Callable[[], Order]
Ask: TypeAlias = Callable[[Order], str | None]


@dataclass(slots=True)
class Customer:
    """The shop, as the scenarios see one. Time passes by waiting, and clocks are believed to agree."""

    place: Place
    ask: Ask
    top_up: bool = False
    taken: list[Order] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)

    def new_order(self) -> Order:
        """Place an order; raises `Lacking` where there is none left."""
        order = self.place()
        self.taken.append(order)
        if self.top_up and (balance := self.ask(order)) is not None:
            self.before[str(order.account)] = amount_of(balance)  # it may have been topped up before
        return order

    def status(self, order: Order) -> str | None:
        """Ask what the shop believes, of a balance what was added to it; None where nobody can."""
        word = self.ask(order)
        if word is None or not self.top_up:
            return word
        return str(amount_of(word) - self.before[str(order.account)])

    def advance(self, milliseconds: Millis) -> None:
        """Wait."""
        time.sleep(milliseconds / 1000)

    def now(self) -> Millis:
        """Look at the clock."""
        return time.time_ns() // 1_000_000

    def settle(self, payable: Callable[[Order], bool]) -> None:
        """After a scenario: let the listed orders that it left as they were be used again."""
        if isinstance(self.place, Listed):
            self.place.free.extend(order for order in self.taken if payable(order))
        self.taken.clear()


@dataclass(slots=True)
class Listed:
    """Orders that were listed beforehand."""

    free: deque[Order]

    def __call__(self) -> Order:
        """Give the next."""
        if not self.free:
            raise Lacking(MORE)
        return self.free.popleft()


def customer(
    new_order: str | None, status: str | None, account: Sequence[str], amount: str | None, folder: Path, *, top_up: bool
) -> Customer:
    """Make one of what was told. Raises `Wrong`."""
    fields, tiyin = read_account(account), None if amount is None else read_amount(amount)
    if new_order is not None:
        names = list(fields)
        place = function(new_order, folder) if FUNCTION.fullmatch(new_order) else command(new_order, folder)

        def making() -> Order:
            return order_of(place(), names, tiyin)

    elif not fields or not all(fields.values()):
        message = (
            "say where orders come from: --new-order shop.testing:new_order, "
            "or --account order_id=1..40 --amount 500000"
        )
        raise Wrong(message)
    elif tiyin is None:
        message = "say what the orders cost, in tiyin: --amount 500000 (or --amount 5000som)"
        raise Wrong(message)
    else:
        listed = Listed(deque(Order(each, tiyin) for each in combined(fields)))
        making = partial(listed.free.__getitem__, 0) if top_up else listed  # one account takes any number of payments
    return Customer(making, asking(status, folder), top_up)


def combined(fields: Mapping[str, Sequence[str]]) -> Iterator[Fields]:
    """Give an account for each value of the field that has most; a field with one value keeps it throughout."""
    most = max(map(len, fields.values()))
    for name, values in fields.items():
        if len(values) not in (1, most):
            message = f"--account {name} has {len(values)} values, another field {most}: give as many, or one"
            raise Wrong(message)
    for index in range(most):
        yield {name: values[index if len(values) > 1 else 0] for name, values in fields.items()}


def read_account(account: Sequence[str]) -> dict[str, list[str]]:
    """Read `order_id=1`, `order_id=1,2,3`, `order_id=1..40` or only `order_id`, one for each field."""
    fields: dict[str, list[str]] = {}
    for each in account:
        name, _, text = each.partition("=")
        if not name:
            message = f"--account {each} names no field: it is FIELD=VALUE, as in order_id=1"
            raise Wrong(message)
        fields[name] = list(values_of(text))
    return fields


def values_of(text: str) -> Iterator[str]:
    """Give the values of a list."""
    for each in filter(None, text.split(",")):
        if (span := RANGE.fullmatch(each)) is None:
            yield each
        else:
            yield from map(str, range(int(span[1]), int(span[2]) + 1))


def read_amount(text: str) -> Tiyin:
    """Read an amount: whole tiyin as Payme writes them, or som where it says so (`5000som`, `5000.50 som`)."""
    plain = text.replace("_", "").replace(" ", "").lower()
    try:
        tiyin = (
            som_to_tiyin(Decimal(plain.removesuffix("som")))
            if plain.endswith("som")
            else int(plain.removesuffix("tiyin"))
        )
    except (ArithmeticError, ValueError) as error:
        message = f"{text!r} is no amount: whole tiyin (500000), or som (5000som)"
        raise Wrong(message) from error
    if tiyin <= 0:
        message = f"{text!r} is no price"
        raise Wrong(message)
    return tiyin


# Orders that are made


def order_of(told: Any, names: Sequence[str], tiyin: Tiyin | None) -> Order:
    """Understand what a function returned or a command printed.

    An `Order`, a pair of account and som, the account alone (a mapping), or the value of its one field.
    """
    match told:
        case Order():
            return told
        case {"account": Mapping() as account, **others}:
            return Order(written(account), price(others, tiyin))
        case Mapping() as members:
            named = {str(name): value for name, value in members.items()}
            account = {name: named[name] for name in names if name in named}
            return Order(written(account or without_amount(named)), price(named, tiyin))
        case (Mapping() as account, (int() | str() | Decimal()) as som):
            return Order(written(account), price({"amount": som}, tiyin))
        case (value, (int() | str() | Decimal()) as som):
            return Order(written({only(names): value}), price({"amount": som}, tiyin))
        case int() | str():
            return Order(written({only(names): told}), price({}, tiyin))
        case _:
            message = (
                f"--new-order gave {type(told).__name__}: let it give (account, som), such as ({{'order_id': 1}}, 5000)"
            )
            raise Wrong(message)


def without_amount(members: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is left for the account where --account names no field."""
    return {name: value for name, value in members.items() if name not in ("amount", "amount_tiyin")}


def written(account: Mapping[str, Any]) -> Fields:
    """Write the account as providers do: texts."""
    return {str(name): str(value) for name, value in account.items()}


def price(told: Mapping[Any, Any], tiyin: Tiyin | None) -> Tiyin:
    """Find what an order costs: what it says itself, in tiyin or som, or --amount."""
    if "amount_tiyin" in told:
        return read_amount(str(told["amount_tiyin"]))
    if "amount" in told:
        return read_amount(f"{told['amount']}som")
    if tiyin is None:
        message = "--new-order gave no amount: let it give (account, som), or say --amount 500000"
        raise Wrong(message)
    return tiyin


def only(names: Sequence[str]) -> str:
    """Name the account's one field."""
    if len(names) != 1:
        message = (
            "--new-order gave a value without its field's name: say --account order_id, or let it give {'order_id': 1}"
        )
        raise Wrong(message)
    return names[0]


# How orders are asked about


def asking(status: str | None, folder: Path) -> Ask:
    """Make what asks the shop about an order."""
    if status is None:
        return lambda _: None
    if FUNCTION.fullmatch(status):
        ask = function(status, folder)
        # A function may take the `Order`, the account, or the value of its one field; its parameter's name tells.
        taken = next(iter(inspect.signature(ask).parameters), "")
        if taken == "order":
            return lambda order: word_of(ask(order))
        if taken == "account":
            return lambda order: word_of(ask(dict(order.account)))
        return lambda order: word_of(ask(next(iter(order.account.values()))))
    return lambda order: word_of(command(status, folder, order.account)())


def amount_of(word: str) -> Tiyin:
    """Read a balance."""
    try:
        return int(word)
    except ValueError as error:
        message = f"--status said {word!r}: of an account that is topped up it must say the balance, in whole tiyin"
        raise Wrong(message) from error


def word_of(told: Any) -> str:
    """Understand what the shop said: a word, a number, or `{"status": "paid"}`."""
    match told:
        case {"status": word} | {"balance_tiyin": word}:
            return str(word)
        case True:
            return "paid"
        case False:
            return "not paid"
        case _:
            return str(told)


# Functions and commands


def function(name: str, folder: Path) -> Callable[..., Any]:
    """Import a function from the shop's folder."""
    module, _, attribute = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # where it stays, since the module may import others later
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        message = f"{name} cannot be imported from {folder}: {error}"
        raise Wrong(message) from error
    return found


def command(line: str, folder: Path, account: Fields | None = None) -> Callable[[], Any]:
    """Make what runs a command, without a shell, and reads what it prints: JSON or a word.

    `{order_id}` in it stands for that field of the account.
    """
    words = [filled(word, account or {}) for word in shlex.split(line)]

    def run() -> Any:
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - what the user asked for
        except (OSError, subprocess.TimeoutExpired) as error:
            message = f"{line}: {error}"
            raise Wrong(message) from error
        if done.returncode:
            message = f"{line}: exit status {done.returncode}\n{done.stderr.strip()}"
            raise Wrong(message)
        text = done.stdout.strip()
        try:
            return json.loads(text, parse_float=Decimal)
        except ValueError:
            return text

    return run


def filled(word: str, account: Fields) -> str:
    """Put the account's values where their names stand in braces."""
    return re.sub(r"\{(\w+)\}", lambda found: str(account.get(found[1], found[0])), word)
