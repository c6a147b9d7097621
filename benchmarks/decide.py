"""From bytes to reply bytes in memory: what every method costs before any framework or database.

Compared with the least that any endpoint must do: `json.loads`, pydantic and `json.dumps` of CreateTransaction's body.
On the machine of README.md that takes 7.2 µs, so that the limit of 8.3 stands for 60 µs there.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from statistics import median
from time import process_time
from typing import Any, Final

from benchmarks import Measurement, timed
from paytechuz_core import Account, Hooks, Inbound, Memory, Payme, respond
from paytechuz_core.hooks import call_hook
from paytechuz_core.payme.calls import CreateTransaction
from paytechuz_core.transaction import Fields

LIMIT: Final = 8.3
ROUNDS: Final = 200
CALLS: Final = 50
NOW: Final = 1_700_000_000_000
KEY: Final = "benchmark-key"
HEADERS: Final = {"authorization": "Basic " + b64encode(f"Paycom:{KEY}".encode()).decode()}
ID: Final = "5305e3bab097f420a62ced0b"
RECEIPT: Final = {
    "receipt_id": 121,
    "status_code": 0,
    "message": "accepted",
    "terminal_id": "EP000000000025",
    "fiscal_sign": "800031554082",
    "qr_code_url": "https://ofd.soliq.uz/check?t=EP000000000025&r=121&c=20221028171340&s=800031554082",
    "date": "20221028171340",
}


class Shop(Hooks):
    """The hooks that the documentation's example writes, and the one that ChangePassword asks for."""

    def successfully_payment(self, params: Any, transaction: Any) -> None: ...

    def cancelled_payment(self, params: Any, transaction: Any) -> None: ...

    def change_password(self, params: Any) -> None: ...


def find_account(fields: Fields) -> Account | None:
    return Account(id=int(fields["id"]), amount_tiyin=500_000, hold=hold_for(fields))


def hold_for(fields: Fields) -> str:
    return f"orders:{fields['id']}"


def request(method: str, **params: Any) -> Inbound:
    body = json.dumps({"jsonrpc": "2.0", "id": 2032, "method": method, "params": params})
    return Inbound("POST", HEADERS, body.encode())


CREATE: Final = request("CreateTransaction", id=ID, time=NOW, amount=500_000, account={"id": "42"})
PERFORM: Final = request("PerformTransaction", id=ID)
CALLED: Final[tuple[tuple[Inbound, tuple[Inbound, ...]], ...]] = (
    (request("CheckPerformTransaction", amount=500_000, account={"id": "42"}), ()),
    (CREATE, ()),
    (PERFORM, (CREATE,)),
    (request("CheckTransaction", id=ID), (CREATE, PERFORM)),
    (request("CancelTransaction", id=ID, reason=5), (CREATE, PERFORM)),
    (request("GetStatement", **{"from": NOW, "to": NOW + 1}), (CREATE, PERFORM)),
    (request("SetFiscalData", id=ID, type="PERFORM", fiscal_data=RECEIPT), (CREATE, PERFORM)),
    (request("ChangePassword", password="another-key"), ()),
)
"""Each method, and what was called before it."""


def least(body: bytes) -> bytes:
    """Do what no endpoint can do without."""
    message = json.loads(body)
    CreateTransaction.model_validate(message["params"])
    return json.dumps(message).encode()


def measure() -> Iterator[Measurement]:
    payme = Payme(keys=lambda: (KEY,), hold_for=hold_for, changes_password=True)
    memory = Memory(find_account)
    answer = partial(respond, payme, begin=memory.begin, fire=partial(call_hook, Shop()), clock=lambda: NOW)
    assert CREATE.body is not None
    body = CREATE.body
    for called, before in CALLED:
        memory.transactions = {}
        for each in before:
            answer(each)
        stored = memory.transactions

        def ours(called: Inbound = called, stored: Any = stored) -> None:
            for _ in range(CALLS):
                memory.transactions = stored
                answer(called)

        def theirs() -> None:
            for _ in range(CALLS):
                least(body)

        assert b'"result"' in answer(called)
        # In turn, so that a machine that slows down for a while slows both down.
        pairs = [(timed(ours, process_time), timed(theirs, process_time)) for _ in range(ROUNDS)]
        mine, yours = (median(seconds) / CALLS * 1e6 for seconds in zip(*pairs, strict=True))
        method = json.loads(called.body or b"")["method"]
        yield Measurement(
            f"{method} in memory, to reading and writing JSON",
            median(one / other for one, other in pairs),
            at_most=LIMIT,
            detail=f"{mine:.0f} µs to {yours:.1f} µs",
        )
