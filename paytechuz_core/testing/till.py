"""Payme's side of the wire: a till that calls, the answers it gets, and how an expectation is said and told.

A till is one cash register with its key. It builds the requests that Payme builds, sends every write twice, byte for
byte, and reads answers without trusting them: an endpoint under test may answer anything.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from typing import Any, Final

from paytechuz_core.money import Tiyin
from paytechuz_core.outbound import Send
from paytechuz_core.testing.suite import Order, Step, alike, at_once, shorten, show
from paytechuz_core.transaction import Fields, Millis

ACCOUNT_RANGE: Final = range(-31099, -31049)
"""The codes that blame what the payer typed, or the state of the account."""

SYSTEM_ERROR: Final = -32400
PATIENCE: Final = 5
"""How often a call is repeated that met a system error, as it may where many come at once."""

ALWAYS_200: Final = (
    "Payme takes every HTTP status but 200 for a system failure, repeats the call and suspends the payment: answer"
    " errors, refused credentials and crashes with 200 too, and see that no redirect and no middleware answers first."
)
ONE_OBJECT: Final = (
    "Payme cannot read it, so a payment that was taken stays open: answer one JSON object with either `result` or"
    " `error`, and in `error` an integer `code`."
)
ECHOED: Final = (
    "An answer to another question may be taken for this one: echo the request's `id` in its own JSON type, and null"
    " where the request could not be read."
)
THE_SAME: Final = (
    "Payme repeats what it got no answer to, and two answers to one call mean two payments or a lost one: find the"
    " transaction by its id first, and answer what was stored, to the millisecond."
)
READABLE: Final = (
    "The payer reads this message and gives up where it is empty: send an object with the texts `ru`, `uz` and `en`."
)


class Till:
    """Payme's side of the wire: one cash register with its key. Writes are sent twice.

    `login` is `Paycom` for every cash register. `new_id` makes transaction ids as Payme does, 24 hexadecimal digits.
    """

    def __init__(
        self, send: Send, key: str, *, login: str = "Paycom", new_id: Callable[[], str] = lambda: token_hex(12)
    ) -> None:
        self.send = send
        self.key = key
        self.login = login
        self.new_id = new_id
        self.crowd = 1
        self._numbers = count(100_001)

    def __repr__(self) -> str:
        """Show no key."""
        return f"Till({self.send!r})"

    def crowded(self, crowd: int) -> Till:
        """Give the same till in a hurry: each write is sent so many times at once, before the first is answered."""
        hasty = copy(self)
        hasty.crowd = crowd
        return hasty

    def check_perform(self, order: Order, amount: Tiyin | None = None, *, note: str = "", **changed: Any) -> Answer:
        """May this order be paid? With another `amount`, or with other account fields, where given."""
        params = {"amount": order.amount_tiyin if amount is None else amount, "account": dict(order.account), **changed}
        return self.call("CheckPerformTransaction", params, note=note)

    def create(
        self, transaction: str, time: Millis, order: Order, amount: Tiyin | None = None, *, note: str = "",
        **changed: Any,
    ) -> Answer:  # fmt: skip
        """Reserve this order."""
        amount = order.amount_tiyin if amount is None else amount
        params = {"id": transaction, "time": time, "amount": amount, "account": dict(order.account), **changed}
        return self.call("CreateTransaction", params, note=note, twice=True)

    def perform(self, transaction: str, *, note: str = "") -> Answer:
        """Tell that the money arrived."""
        return self.call("PerformTransaction", {"id": transaction}, note=note, twice=True)

    def cancel(self, transaction: str, reason: int, *, note: str = "") -> Answer:
        """Give it up, or give the money back."""
        return self.call("CancelTransaction", {"id": transaction, "reason": reason}, note=note, twice=True)

    def check(self, transaction: str, *, note: str = "") -> Answer:
        """Ask which state it is in."""
        return self.call("CheckTransaction", {"id": transaction}, note=note)

    def statement(self, start: Millis, end: Millis, *, note: str = "") -> Answer:
        """Ask which transactions there were."""
        return self.call("GetStatement", {"from": start, "to": end}, note=note)

    def call(
        self, method: str, params: Fields, *, note: str = "", twice: bool = False, authorization: str | None = "",
    ) -> Answer:  # fmt: skip
        """Call a method. `authorization` replaces the header; None leaves it out."""
        echo = next(self._numbers)
        message = {"jsonrpc": "2.0", "id": echo, "method": method, "params": params}
        named = f"{method}, {note}" if note else method
        return self.post(json.dumps(message).encode(), named, echo=echo, twice=twice, authorization=authorization)

    def post(
        self, body: bytes, call: str, *, echo: Any = None, twice: bool = False, authorization: str | None = "",
    ) -> Answer:  # fmt: skip
        """Send any bytes; `call` is how a table names them, `echo` the `id` that must come back."""
        headers = {"Content-Type": "application/json; charset=UTF-8", "Test-Operation": "Paycom"}
        if authorization is not None:
            headers["Authorization"] = authorization or self.authorization()
        if twice and self.crowd > 1:
            (status, answer), *repeated = at_once([partial(self._insist, body, headers)] * self.crowd)
        else:
            status, answer = self.send(body, headers)
            repeated = [self.send(body, headers)] if twice else []
        return Answer(call, echo, status, answer, repeated)

    def _insist(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Repeat a call that met a system error, as Payme does: rivals may keep one another from being served."""
        for _ in range(PATIENCE):
            status, answer = self.send(body, headers)
            if Answer("", None, status, answer).code != SYSTEM_ERROR:
                break
        return status, answer

    def authorization(self, password: str | None = None) -> str:
        """Give the header's value, with another `password` where given."""
        return "Basic " + b64encode(f"{self.login}:{self.key if password is None else password}".encode()).decode()


# What was answered


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call, and for its repetitions where it was sent more than once."""

    call: str
    echo: Any
    status: int
    body: bytes
    repeated: Sequence[tuple[int, bytes]] = ()
    message: Any = field(init=False)

    def __post_init__(self) -> None:
        """Read the body once."""
        try:
            message = json.loads(self.body)
        except ValueError:
            message = None
        object.__setattr__(self, "message", message)

    @property
    def result(self) -> Mapping[str, Any]:
        """The result, empty where there is none."""
        return self._object("result")

    @property
    def error(self) -> Mapping[str, Any]:
        """The error, empty where there is none."""
        return self._object("error")

    @property
    def code(self) -> int | None:
        """The error's code, or None."""
        code = self.error.get("code")
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    def _object(self, name: str) -> Mapping[str, Any]:
        value = self.message.get(name) if isinstance(self.message, dict) else None
        return value if isinstance(value, dict) else {}

    def expect(self, expected: Expected, why: str) -> Step:
        """Judge the answer: first what every answer must be, then what this one must be."""
        match len(self.repeated):
            case 0:
                text = expected.text
            case 1:
                text = f"{expected.text}, twice"
            case others:
                text = f"{expected.text}, to all {others + 1} at once"
        if (fault := self.fault()) is not None:
            got, why = fault
            return Step("", self.call, text, got, ok=False, why=why)
        ok = expected.holds(self)
        return Step("", self.call, text, self.summary if ok else shorten(show(self.error or self.result)), ok, why)

    def fault(self) -> tuple[str, str] | None:
        """Say what no answer of any method may be, and why; None where it is a decent answer."""
        if self.status != HTTPStatus.OK:
            return f"HTTP {self.status} {self._text}".strip(), ALWAYS_200
        if not isinstance(self.message, dict) or bool(self.result) is bool(self.error):
            return f"no answer: {self._text}".strip(), ONE_OBJECT
        if self.error and self.code is None:
            return f"no code: {self._text}", ONE_OBJECT
        if not alike(self.message.get("id"), self.echo):
            return f"id {show(self.message.get('id'))} instead of {show(self.echo)}", ECHOED
        for status, body in self.repeated:
            if (status, body) == (self.status, self.body):
                continue
            again = f"HTTP {status} {body.decode(errors='replace')}"
            return f"at first {self._text}; repeated, {shorten(again)}", THE_SAME
        if self.code in ACCOUNT_RANGE and not self._worded:
            return f"{self.code} with the message {shorten(show(self.error.get('message')))}", READABLE
        return None

    @property
    def _text(self) -> str:
        return shorten(self.body.decode(errors="replace"))

    @property
    def _worded(self) -> bool:
        message = self.error.get("message")
        return isinstance(message, dict) and all(message.get(language) for language in ("ru", "uz", "en"))

    @property
    def summary(self) -> str:
        """The answer in a few words, for a table."""
        if self.code is not None:
            worded = self.error.get("message")
            text = worded.get("en", "") if isinstance(worded, dict) else worded
            return f"{self.code} {shorten(str(text or ''))}".strip()
        rows = self.result.get("transactions")
        if isinstance(rows, list):
            states = ", ".join(show(row.get("state")) if isinstance(row, dict) else "?" for row in rows)
            return f"{len(rows)} in states {states}" if rows else "none"
        told = {name: value for name, value in self.result.items() if name not in ("transaction", "receivers")}
        return ", ".join(f"{name} {shorten(show(value))}" for name, value in told.items())


# What is expected


@dataclass(frozen=True, slots=True)
class Some:
    """A value of which only the kind is known beforehand. An empty `text` keeps it out of tables."""

    text: str
    fits: Callable[[Any], bool]


def is_time(value: object) -> bool:
    """Tell whether `value` is a time as Payme writes it: an integer of 13 digits, milliseconds."""
    return isinstance(value, int) and not isinstance(value, bool) and 10**12 <= value < 10**13


def near(millis: Millis) -> Some:
    """Expect a time within an hour of `millis`: enough for two clocks, too little for a time zone."""
    return Some("now", lambda value: is_time(value) and abs(value - millis) < 60 * 60 * 1000)


TIME: Final = Some("a time", is_time)
NUMBER: Final = Some("", lambda value: isinstance(value, str) and value != "")
"""The merchant's own number for the transaction: a text of free format, so nothing to read in a table."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must be: how to say it, and how to tell."""

    text: str
    holds: Callable[[Answer], bool]


def result(**members: Any) -> Expected:
    """Expect a result with these members at least: values, or `Some` kind of value."""
    texts = {name: value.text if isinstance(value, Some) else show(value) for name, value in members.items()}

    def holds(answer: Answer) -> bool:
        given = answer.result
        return all(
            name in given and (want.fits(given[name]) if isinstance(want, Some) else alike(want, given[name]))
            for name, want in members.items()
        )

    return Expected(", ".join(f"{name} {text}" for name, text in texts.items() if text), holds)


def error(code: int) -> Expected:
    """Expect an error with this code."""
    return Expected(str(code), lambda answer: answer.code == code)


def account_error(account: Iterable[str], *, or_code: int | None = None) -> Expected:
    """Expect an error in the account range whose `data` names one of the account's fields; or the code `or_code`."""
    names = list(account)

    def holds(answer: Answer) -> bool:
        return (answer.code in ACCOUNT_RANGE and answer.error.get("data") in names) or (
            or_code is not None and answer.code == or_code
        )

    return Expected("-31099 … -31050" if or_code is None else f"-31099 … -31050, or {or_code}", holds)


def kept(answer: Answer, name: str) -> Some:
    """Expect the member that an earlier answer gave."""
    value = answer.result.get(name)
    return Some("as before", lambda other: value is not None and alike(value, other))


def listing(rows: Sequence[Mapping[str, Any]]) -> Expected:
    """Expect a statement of exactly these rows, in this order; a row may have further members, as `receivers`."""
    states = ", ".join(show(row.get("state")) for row in rows)

    def holds(answer: Answer) -> bool:
        given = answer.result.get("transactions")
        return (
            isinstance(given, list)
            and len(given) == len(rows)
            and all(
                isinstance(row, dict) and all(name in row and alike(value, row[name]) for name, value in want.items())
                for row, want in zip(given, rows, strict=True)
            )
        )

    return Expected(f"{len(rows)} in states {states}" if rows else "none", holds)
