"""Click's side of the wire: a till that signs and calls, one attempt to pay, and the answers it gets.

A till is one service with its secret key. It builds the forms that Click builds and reads answers without trusting
them: an endpoint under test may answer anything.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5
from http import HTTPStatus
from itertools import count
from secrets import randbelow
from typing import Any, Final
from urllib.parse import urlencode

from paytechuz_core.money import Tiyin, tiyin_to_som
from paytechuz_core.outbound import Send
from paytechuz_core.testing.suite import Order, Step, alike, shorten, show

PREPARE: Final = "0"
COMPLETE: Final = "1"
TASHKENT: Final = timezone(timedelta(hours=5))
LARGEST_PREPARE_ID: Final = 2**31 - 1

SIGNED: Final = (
    "click_trans_id",
    "service_id",
    "merchant_trans_id",
    "merchant_prepare_id",
    "amount",
    "action",
    "sign_time",
)
"""The signed fields in their order; the secret key stands after the second, the prepare id in Complete only."""

ALWAYS_200: Final = (
    "Click takes every HTTP status but 200 for no answer, and a payment whose Complete has none hangs until Click's"
    " staff resolve it by hand: answer errors with 200 too, and see that no redirect, login or CSRF check comes first."
)
ONE_OBJECT: Final = (
    "Click cannot read it, and a customer who was debited waits for the goods: answer one JSON object with a whole"
    " number `error` and a text `error_note`."
)
ECHOED: Final = (
    "Click may take it for the answer to another payment: echo `click_trans_id` as a number, all of its digits, and"
    " `merchant_trans_id` as the text that came."
)
PREPARE_ID: Final = (
    "Complete brings this number back, and without it the payment cannot be named: answer Prepare with a positive"
    " `merchant_prepare_id` below 2 to the power of 31."
)
CONFIRM_ID: Final = (
    "Click books its payment under this number: answer Complete with `merchant_confirm_id`, a number or null."
)


class ClickTill:
    """Click's side of the wire: one service with its secret key."""

    def __init__(self, send: Send, secret_key: str, service_id: int) -> None:
        self.send = send
        self.secret_key = secret_key
        self.service_id = service_id
        # Not from 1, so that a second run against the same shop meets no attempt of the first.
        self._numbers = count(10**9 + randbelow(10**12))

    def __repr__(self) -> str:
        """Show no key."""
        return f"ClickTill({self.send!r}, service_id={self.service_id})"

    def attempt(self, order: Order, *, number: int | None = None, payment: int | None = None) -> Attempt:
        """Begin an attempt to pay for this order; nothing is sent yet.

        `number` is its `click_trans_id`, `payment` its `click_paydoc_id`, which all attempts at one payment share.
        """
        return Attempt(
            self, order, next(self._numbers) if number is None else number,
            next(self._numbers) if payment is None else payment,
        )  # fmt: skip

    def new_number(self) -> int:
        """Give a number that Click has not used yet."""
        return next(self._numbers)

    def signature(self, form: Mapping[str, str]) -> str:
        """Sign a form, whatever is in it."""
        names = [name for name in SIGNED if name != "merchant_prepare_id" or form.get("action") == COMPLETE]
        texts = [form.get(name, "") for name in names]
        text = "".join((*texts[:2], self.secret_key, *texts[2:]))
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    def post(self, body: bytes, call: str, form: Mapping[str, str]) -> ClickAnswer:
        """Send any bytes; `call` is how a table names them, `form` is what must be echoed."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return ClickAnswer(call, form, *self.send(body, headers))


class Attempt:
    """One attempt to pay, as Click makes it: Prepare, then Complete with the number that Prepare was answered.

    Both take other values for the form's fields, None to leave one out; the form is signed as it is sent, unless a
    `sign_string` is given.
    """

    def __init__(self, till: ClickTill, order: Order, number: int, payment: int) -> None:
        self.till = till
        self.order = order
        self.number = number
        self.payment = payment
        self.prepare_id = 1  # until Prepare has answered another

    @property
    def merchant_trans_id(self) -> str:
        """How the merchant named the order in the payment link."""
        return str(next(iter(self.order.account.values())))

    def prepare(self, *, note: str = "", **changed: str | None) -> ClickAnswer:
        """Ask whether the order may be paid, and reserve it."""
        answer = self._call("Prepare", {**self._form(PREPARE), **changed}, note)
        if answer.error == 0 and answer.prepare_id is not None:
            self.prepare_id = answer.prepare_id
        return answer

    def complete(self, error: int = 0, *, note: str = "", **changed: str | None) -> ClickAnswer:
        """Tell that the money was taken, or with a negative `error` that it was not."""
        form = {**self._form(COMPLETE), "merchant_prepare_id": str(self.prepare_id), "error": str(error)}
        if error:
            form["error_note"], note = "Cancelled", f"error {error}" + (f", {note}" if note else "")
        return self._call("Complete", {**form, **changed}, note)

    def _form(self, action: str) -> dict[str, str | None]:
        return {
            "click_trans_id": str(self.number),
            "service_id": str(self.till.service_id),
            "click_paydoc_id": str(self.payment),
            "merchant_trans_id": self.merchant_trans_id,
            "amount": som(self.order.amount_tiyin),
            "action": action,
            "error": "0",
            "error_note": "Success",
            "sign_time": f"{datetime.now(UTC).astimezone(TASHKENT):%Y-%m-%d %H:%M:%S}",
        }

    def _call(self, name: str, fields: Mapping[str, str | None], note: str) -> ClickAnswer:
        form = {each: text for each, text in fields.items() if text is not None}
        if "sign_string" not in fields:
            form["sign_string"] = self.till.signature(form)
        return self.till.post(urlencode(form).encode(), f"{name}, {note}" if note else name, form)


def som(tiyin: Tiyin) -> str:
    """Write an amount as Click does: som, a point and two digits."""
    return str(tiyin_to_som(tiyin))


# What was answered


@dataclass(frozen=True, slots=True)
class ClickAnswer:
    """What came back for one call."""

    call: str
    form: Mapping[str, str]
    status: int
    body: bytes
    message: Any = field(init=False)

    def __post_init__(self) -> None:
        """Read the body once."""
        try:
            message = json.loads(self.body)
        except (ValueError, RecursionError):  # RecursionError: nested deeper than anybody reads
            message = None
        object.__setattr__(self, "message", message)

    @property
    def members(self) -> Mapping[str, Any]:
        """The answer's members, none where it is no object."""
        return self.message if isinstance(self.message, dict) else {}

    @property
    def error(self) -> int | None:
        """The result: 0 or a negative code; None where there is none."""
        return whole(self.members.get("error"))

    @property
    def prepare_id(self) -> int | None:
        """The merchant's number of the attempt, where the answer has one that Click can bring back."""
        number = whole(self.members.get("merchant_prepare_id"))
        return number if number is not None and 0 < number <= LARGEST_PREPARE_ID else None

    def expect(self, error: int | Collection[int], why: str, *, prepare_id: int | None = None) -> Step:
        """Judge the answer: first what every answer must be, then which code, and which prepare id where given."""
        codes = (error,) if isinstance(error, int) else tuple(error)
        text = " or ".join(map(str, codes)) + ("" if prepare_id is None else f", prepare id {prepare_id}")
        if (fault := self.fault()) is not None:
            got, why = fault
            return Step("", self.call, text, got, ok=False, why=why)
        ok = self.error in codes and prepare_id in (None, self.prepare_id)
        return Step("", self.call, text, self.summary, ok, why)

    def fault(self) -> tuple[str, str] | None:
        """Say what no answer to any call may be, and why; None where it is a decent answer."""
        if self.status != HTTPStatus.OK:
            return f"HTTP {self.status} {self._text}".strip(), ALWAYS_200
        if self.error is None or not isinstance(self.members.get("error_note"), str):
            return f"no answer: {self._text}".strip(), ONE_OBJECT
        for name, sent in self._echoes().items():
            # Click's page asks for the echo of an accepted call; of a refused one it may be left out, but not be wrong.
            if (self.error == 0 or name in self.members) and not alike(self.members.get(name), sent):
                return f"{name} {show(self.members.get(name))} instead of {show(sent)}", ECHOED
        if self.error == 0 and self.form.get("action") == PREPARE and self.prepare_id is None:
            return f"merchant_prepare_id {show(self.members.get('merchant_prepare_id'))}", PREPARE_ID
        if self.error == 0 and self.form.get("action") == COMPLETE and not self._confirmed:
            return f"merchant_confirm_id {show(self.members.get('merchant_confirm_id', 'missing'))}", CONFIRM_ID
        return None

    def _echoes(self) -> dict[str, int | str]:
        number, order = self.form.get("click_trans_id", ""), self.form.get("merchant_trans_id", "")
        echoes: dict[str, int | str] = {"click_trans_id": int(number)} if number.isdecimal() else {}
        return {**echoes, "merchant_trans_id": order} if order else echoes

    @property
    def _confirmed(self) -> bool:
        given = self.members.get("merchant_confirm_id", "missing")
        return given is None or whole(given) is not None

    @property
    def _text(self) -> str:
        return shorten(self.body.decode(errors="replace"))

    @property
    def summary(self) -> str:
        """The answer in a few words, for a table."""
        told = f"{self.error} {shorten(str(self.members.get('error_note', '')))}".strip()
        prepared = self.error == 0 and self.form.get("action") == PREPARE
        return f"{told}, prepare id {self.prepare_id}" if prepared else told


def whole(value: object) -> int | None:
    """Give a whole number of JSON, and None for anything else: `True` is not 1."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
