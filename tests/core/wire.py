"""How the tests speak to the gateway: as Payme does, with bytes and a header."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import pytest

from paytechuz_core import Account, Inbound, Payme, Refused
from paytechuz_core.decision import Rejected
from paytechuz_core.payme.calls import Call
from paytechuz_core.payme.replies import Reply

NOW: Final = 1_700_000_000_000
ID: Final = "5305e3bab097f420a62ced0b"
RIVAL: Final = "6305e3bab097f420a62ced0c"
KEY: Final = "a:key&with#punctuation?36-characters"
AMOUNT: Final = 500_000
ORDER: Final = Account(id=42, amount_tiyin=AMOUNT, hold="orders:42", model="the order")
WALLET: Final = Account(id=7, model="the wallet")
PAYME: Final = Payme(keys=lambda: (KEY,), fields=("order_id",))

Params: TypeAlias = dict[str, Any]
Wire: TypeAlias = tuple[str, Params]
"""A method and its params."""


def check_perform(amount: Any = AMOUNT, order: Any = "42") -> Wire:
    return "CheckPerformTransaction", {"amount": amount, "account": {"order_id": order}}


def create(transaction_id: Any = ID, *, amount: Any = AMOUNT, order: Any = "42", time: Any = NOW) -> Wire:
    return "CreateTransaction", {"id": transaction_id, "time": time, "amount": amount, "account": {"order_id": order}}


def perform(transaction_id: Any = ID) -> Wire:
    return "PerformTransaction", {"id": transaction_id}


def cancel(transaction_id: Any = ID, reason: Any = 3) -> Wire:
    return "CancelTransaction", {"id": transaction_id, "reason": reason}


def check(transaction_id: Any = ID) -> Wire:
    return "CheckTransaction", {"id": transaction_id}


def statement(start: Any = NOW - 10**9, end: Any = NOW + 10**9) -> Wire:
    return "GetStatement", {"from": start, "to": end}


def fiscal(transaction_id: Any = ID, kind: Any = "PERFORM", data: Any = None) -> Wire:
    return "SetFiscalData", {
        "id": transaction_id,
        "type": kind,
        "fiscal_data": {"receipt_id": 1} if data is None else data,
    }


def change_password(to: Any = "new") -> Wire:
    return "ChangePassword", {"password": to}


EVERY_METHOD: Final = (
    check_perform(), create(), perform(), cancel(), check(), statement(), fiscal(), change_password(),
)  # fmt: skip


def encoded(wire: Wire, envelope_id: Any = 1) -> bytes:
    method, params = wire
    return json.dumps({"id": envelope_id, "method": method, "params": params}).encode()


def basic(login: str = "Paycom", password: str = KEY) -> str:
    return "Basic " + b64encode(f"{login}:{password}".encode()).decode()


def post(body: bytes | None, authorization: str | None = basic(), **headers: str) -> Inbound:
    """A request; without a header where `authorization` is None."""
    if authorization is not None:
        headers["authorization"] = authorization
    return Inbound("POST", {name.replace("_", "-"): value for name, value in headers.items()}, body)


def call(wire: Wire, gateway: Payme = PAYME) -> Call:
    return gateway.parse(post(encoded(wire)))


def rejection(inbound: Inbound, gateway: Payme = PAYME) -> Params:
    """The error that a request is rejected with, and the id that it echoes under `id`."""
    with pytest.raises(Rejected) as rejected:
        gateway.parse(inbound)
    envelope = json.loads(rejected.value.body)
    return {**error_in(envelope), "id": envelope["id"]}


def sent(reply: Reply, gateway: Payme = PAYME) -> Params:
    """What goes over the wire for `reply`, read back."""
    envelope = json.loads(gateway.render(None, reply))
    return error_in(envelope) if "error" in envelope else result_in(envelope)


def result_in(envelope: Mapping[str, Any]) -> Params:
    assert envelope.keys() == {"jsonrpc", "id", "result"}
    assert envelope["jsonrpc"] == "2.0"
    result: Params = envelope["result"]
    return result


def error_in(envelope: Mapping[str, Any]) -> Params:
    """The error of an answer, which always speaks three languages."""
    assert envelope.keys() == {"jsonrpc", "id", "error"}
    assert envelope["jsonrpc"] == "2.0"
    error: Params = envelope["error"]
    assert error.keys() - {"data"} == {"code", "message"}
    assert type(error["code"]) is int
    assert error["message"].keys() == {"ru", "uz", "en"}
    assert all(text.strip() for text in error["message"].values())
    return error


def refusal(code: int = -31060, data: str | None = None) -> Refused:
    return Refused({"ru": "Нет в наличии", "uz": "Qolmagan", "en": "Out of stock"}, code, data)
