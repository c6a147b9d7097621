"""How the tests speak as Click does: forms, signed by the formula of its page, written here a second time.

Every field may be given another value, or None to leave it out; the form is signed last, so it is wrong in nothing
but what was asked for.
"""

import json
from hashlib import md5
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import pytest

from paytechuz_core import Inbound
from paytechuz_core.click import Click
from paytechuz_core.click.calls import Call
from paytechuz_core.decision import Rejected

SECRET: Final = "canary#Secret:with?colon=and&percent%41"
SERVICE: Final = 12345
TRANS: Final = 1234567890
PAYDOC: Final = 987654321
TIME: Final = "2026-01-15 10:20:30"
CLICK: Final = Click(secrets=lambda: (SECRET,), service_id=SERVICE, field="order_id")

Form: TypeAlias = dict[str, str]
Answer: TypeAlias = dict[str, Any]


def prepare_id(click_trans_id: int) -> int:
    """What Prepare must have answered."""
    return click_trans_id % (2**31 - 1) + 1


def prepare(secret: str = SECRET, /, **other: Any) -> Form:
    """May the customer be debited?"""
    return form("0", secret, other)


def complete(secret: str = SECRET, /, **other: Any) -> Form:
    """The customer was debited; with a negative `error`, was not."""
    return form("1", secret, {"merchant_prepare_id": prepare_id(int(other.get("click_trans_id", TRANS))), **other})


def form(action: str, secret: str, other: dict[str, Any]) -> Form:
    usual = {
        "click_trans_id": TRANS,
        "service_id": SERVICE,
        "click_paydoc_id": PAYDOC,
        "merchant_trans_id": "42",
        "amount": "5000.00",
        "action": action,
        "error": 0,
        "error_note": "Success",
        "sign_time": TIME,
    }
    fields = {name: str(value) for name, value in {**usual, **other}.items() if value is not None}
    return {"sign_string": signature(fields, secret), **fields}


def signature(fields: Form, secret: str = SECRET) -> str:
    prepared = ("merchant_prepare_id",) if fields.get("action") == "1" else ()
    before = "click_trans_id", "service_id"
    after = "merchant_trans_id", *prepared, "amount", "action", "sign_time"
    text = "".join(fields.get(name, "") for name in before) + secret + "".join(fields.get(name, "") for name in after)
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def encoded(fields: Form) -> bytes:
    return urlencode(fields).encode()


def post(body: bytes | None, method: str = "POST", **headers: str) -> Inbound:
    return Inbound(method, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def call(fields: Form, gateway: Click = CLICK) -> Call:
    return gateway.parse(post(encoded(fields)))


def rejected(what: Form | bytes | Inbound | None, gateway: Click = CLICK) -> Answer:
    """The answer to a request that never became a call."""
    if not isinstance(what, Inbound):
        what = post(encoded(what) if isinstance(what, dict) else what)
    with pytest.raises(Rejected) as rejection:
        gateway.parse(what)
    return read(rejection.value.body)


def read(body: bytes) -> Answer:
    """Read an answer, and check what every answer must be."""
    answer: Answer = json.loads(body)
    mine = answer.keys() - {"click_trans_id", "merchant_trans_id", "error", "error_note"}
    assert mine in ({"merchant_prepare_id"}, {"merchant_confirm_id"}), answer
    assert len(answer) == 5, answer
    assert type(answer["error"]) is int, answer
    assert -9 <= answer["error"] <= 0, answer
    assert type(answer["click_trans_id"]) is int, answer
    assert isinstance(answer["merchant_trans_id"], str), answer
    assert answer["error_note"].strip(), answer
    number = answer[mine.pop()]
    assert number is None or (type(number) is int and 0 <= number < 2**31), answer
    return answer
