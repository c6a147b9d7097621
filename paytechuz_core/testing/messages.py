"""What the providers say, as values: the one vocabulary of the oracle, the model check, the races and the simulator.

A `Message` is the meaning of a request. `inbound` puts it on the wire as its provider does, signed or with credentials,
so that everything goes through the gateway's own `parse`; `Registers` holds the gateways that understand it.
"""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final
from urllib.parse import urlencode

from paytechuz_core.click import Click
from paytechuz_core.decision import Gateway
from paytechuz_core.inbound import Inbound
from paytechuz_core.money import Tiyin, tiyin_to_som
from paytechuz_core.payme import Payme
from paytechuz_core.payme.calls import Call, Expire
from paytechuz_core.transaction import Millis

NOW: Final[Millis] = 1_700_000_000_000
KEY: Final = "the key of an invented cash register"
SERVICE: Final = 12345
FIELD: Final = "order_id"
ABORTED: Final = -5017
"""The negative error that Click's own test tool sends with a Complete."""

PAYME: Final = "payme"
CLICK: Final = "click"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that a provider, or our own sweep, asks of the shop.

    Click's methods are named by what they mean: Prepare, Complete (the customer was debited), Abort (was not). `id` is
    the provider's id of the transaction. `time` is Payme's own; `paydoc` Click's number of the payment; `aborts` is a
    Prepare that Click gives up in the same breath; `signed` is False for a forgery.
    """

    provider: str
    method: str
    id: str = ""
    account: str = ""
    amount: Tiyin = 0
    time: Millis = NOW
    reason: int = 3
    paydoc: int = 1
    prepare_id: int | None = None
    signed: bool = True
    aborts: bool = False
    start: Millis = 1
    end: Millis = NOW * 2

    def __str__(self) -> str:
        """Say it in a line: `payme Create p1 for A, 5000`."""
        words = [self.provider, self.method.removesuffix("Transaction"), self.id]
        words += [f"for {self.account}, {tiyin_to_som(self.amount)} som"] if self.account else []
        words += [] if self.signed else ["with a wrong signature"]
        return " ".join(word for word in words if word)

    @property
    def error(self) -> int:
        """Click's `error`: negative where the customer was not debited."""
        return ABORTED if self.aborts or self.method == "Abort" else 0

    def inbound(self) -> Inbound:
        """Put it on the wire."""
        return self._form() if self.provider == CLICK else self._json_rpc()

    def _json_rpc(self) -> Inbound:
        account = {} if self.account == "" else {FIELD: self.account}
        params: dict[str, Any]
        match self.method:
            case "CheckPerformTransaction":
                params = {"amount": self.amount, "account": account}
            case "CreateTransaction":
                params = {"id": self.id, "time": self.time, "amount": self.amount, "account": account}
            case "CancelTransaction":
                params = {"id": self.id, "reason": self.reason}
            case "GetStatement":
                params = {"from": self.start, "to": self.end}
            case "SetFiscalData":
                kind = "PERFORM" if self.reason > 0 else "CANCEL"
                params = {"id": self.id, "type": kind, "fiscal_data": {"receipt_id": abs(self.reason)}}
            case _:
                params = {"id": self.id}
        key = KEY if self.signed else "another key"
        header = "Basic " + b64encode(f"Paycom:{key}".encode()).decode()
        body = {"id": 1, "method": self.method, "params": params}
        return Inbound("POST", {"authorization": header}, json.dumps(body).encode())

    def _form(self) -> Inbound:
        completes = self.method != "Prepare"
        form = {
            "click_trans_id": self.id,
            "service_id": str(SERVICE),
            "click_paydoc_id": str(self.paydoc),
            "merchant_trans_id": self.account,
            "merchant_prepare_id": str(prepared(self.id) if self.prepare_id is None else self.prepare_id),
            "amount": str(tiyin_to_som(self.amount)),
            "action": "1" if completes else "0",
            "error": str(self.error),
            "error_note": "",
            "sign_time": "2026-01-15 10:20:30",
        }
        if not completes:
            del form["merchant_prepare_id"]
        key = KEY if self.signed else "another key"
        before = form["click_trans_id"] + form["service_id"] + key + form["merchant_trans_id"]
        after = form.get("merchant_prepare_id", "") + form["amount"] + form["action"] + form["sign_time"]
        form["sign_string"] = md5((before + after).encode(), usedforsecurity=False).hexdigest()
        return Inbound("POST", {}, urlencode(form).encode())


def prepared(click_trans_id: str) -> int:
    """What Prepare answers as `merchant_prepare_id`: positive and 31 bits, whatever Click's number."""
    return int(click_trans_id) % (2**31 - 1) + 1


@dataclass(slots=True)
class Registers:
    """The gateways under test, and every message that they have read so far: parsing costs more than deciding."""

    payme: Payme = field(default_factory=lambda: Payme(keys=lambda: (KEY,), fields=(FIELD,)))
    click: Click = field(default_factory=lambda: Click(secrets=lambda: (KEY,), service_id=SERVICE, field=FIELD))
    _calls: dict[Message, tuple[Gateway[Any, Any], Any]] = field(default_factory=dict)

    def read(self, message: Message) -> tuple[Gateway[Any, Any], Any]:
        """Give the gateway that a message is for, and the call that it is; `Rejected` where it is none."""
        known = self._calls.get(message)
        if known is None:
            gateway = self.click if message.provider == CLICK else self.payme
            sweeps = message.method == "Expire"
            call = Call(None, Expire(id=message.id), {}) if sweeps else gateway.parse(message.inbound())
            self._calls[message] = known = gateway, call
        return known


def payme(method: str, id: str = "", account: str = "", amount: Tiyin = 0, **more: Any) -> Message:
    """Say something as Payme; its methods without the word Transaction that ends most of them."""
    whole = method if method in {"GetStatement", "SetFiscalData", "Expire"} else f"{method}Transaction"
    return Message(provider=PAYME, method=whole, id=id, account=account, amount=amount, **more)


def click(method: str, id: str, account: str, amount: Tiyin, **more: Any) -> Message:
    """Say something as Click: Prepare, Complete or Abort."""
    return Message(provider=CLICK, method=method, id=id, account=account, amount=amount, **more)
