"""A shop that was not written with paytechuz, as other people's endpoints are; and what they do wrong, each by a name.

    python -m tests.cli.other_shop "hook runs twice"

It keeps everything in memory behind one lock. `DEFECTS` are the mistakes; without one it is right, which `paytechuz
check` must find too.
"""

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from time import time_ns
from typing import Any

KEY = "other#key:of-the-shop"
PRICE = 500_000
LIFETIME = 43_200_000
WORDS = {"ru": "нет", "uz": "yo'q", "en": "no"}


FORWARD = [0]
"""How far a test has put the clock forward, in milliseconds."""


def now() -> int:
    return time_ns() // 1_000_000 + FORWARD[0]


class Refusal(Exception):  # noqa: N818 - an answer of the protocol
    def __init__(self, code: int, data: str | None = None) -> None:
        self.code, self.data = code, data


class OtherShop:
    """Payme's side of a shop, by the provider's pages."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self.transactions: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.numbers = count(1)

    # The shop's own pages

    def new_order(self) -> dict[str, Any]:
        with self.lock:
            number = str(next(self.numbers))
            self.orders[number] = "pending"
        return {"account": {"order": number}, "amount_tiyin": PRICE}

    def status(self, number: str) -> dict[str, str]:
        return {"status": self.orders[number]}

    # Payme

    def webhook(self, body: bytes, authorization: str | None) -> tuple[int, Any]:
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        echo = message.get("id") if isinstance(message, dict) else None
        try:
            if not self.knows(authorization):
                return self.stranger(echo)
            with self.lock:
                return 200, {"id": echo, "result": self.answer(body, message)}
        except Refusal as no:
            return 200, {"id": echo, "error": {"code": no.code, "message": WORDS, "data": no.data}}

    def knows(self, authorization: str | None) -> bool:
        try:
            scheme, _, code = (authorization or "").partition(" ")
            login, _, key = base64.b64decode(code, validate=True).decode().partition(":")
        except ValueError:
            return False
        return (scheme.lower(), login, key) == ("basic", "Paycom", KEY)

    def stranger(self, echo: Any) -> tuple[int, Any]:
        del echo
        raise Refusal(-32504)

    def answer(self, body: bytes, message: Any) -> dict[str, Any]:
        if message is None and body.strip() != b"null":
            raise Refusal(-32700)
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            raise Refusal(-32600)
        methods: dict[str, tuple[Callable[..., dict[str, Any]], Mapping[str, type]]] = {
            "CheckPerformTransaction": (self.check_perform, {"amount": int, "account": dict}),
            "CreateTransaction": (self.create, {"id": str, "time": int, "amount": int, "account": dict}),
            "PerformTransaction": (self.perform, {"id": str}),
            "CancelTransaction": (self.cancel, {"id": str, "reason": int}),
            "CheckTransaction": (self.check, {"id": str}),
            "GetStatement": (self.statement, {"from": int, "to": int}),
        }
        params = message.get("params")
        if not isinstance(params, dict):
            raise Refusal(-32600)
        if message["method"] not in methods:
            raise Refusal(-32601, message["method"])
        method, shape = methods[message["method"]]
        if any(type(params.get(name)) is not kind for name, kind in shape.items()):
            raise Refusal(-32600)
        return method(params)

    def check_perform(self, params: Any) -> dict[str, Any]:
        self.allow(params["account"], params["amount"])
        return {"allow": True}

    def create(self, params: Any) -> dict[str, Any]:
        if (known := self.transactions.get(params["id"])) is not None:
            if known["state"] == 1 and self.expired(known):
                self.end(known, 4)
            if known["state"] != 1:
                raise Refusal(-31008)
            return self.created(known)
        self.allow(params["account"], params["amount"])
        if now() - params["time"] > LIFETIME:
            raise Refusal(-31008)
        made = {
            **params, "state": 1, "reason": None, "create_time": now(), "perform_time": 0, "cancel_time": 0,
        }  # fmt: skip
        self.transactions[params["id"]] = made
        return self.created(made)

    def perform(self, params: Any) -> dict[str, Any]:
        found = self.find(params["id"])
        if found["state"] == 1 and self.expired(found):
            self.end(found, 4)
        if found["state"] == 1:
            found |= {"state": 2, "perform_time": now()}
            self.paid(found)
        elif found["state"] != 2:
            raise Refusal(-31008)
        return {"state": 2, "transaction": found["id"], "perform_time": self.time(found["perform_time"])}

    def cancel(self, params: Any) -> dict[str, Any]:
        found = self.find(params["id"])
        if found["state"] > 0:
            self.end(found, params["reason"])
        return {"state": found["state"], "transaction": found["id"], "cancel_time": self.time(found["cancel_time"])}

    def check(self, params: Any) -> dict[str, Any]:
        return self.shown(self.find(params["id"]))

    def statement(self, params: Any) -> dict[str, Any]:
        rows = [each for each in self.transactions.values() if params["from"] <= self.moment(each) <= params["to"]]
        return {
            "transactions": [
                {**self.shown(each), "id": each["id"], "time": each["time"], "amount": self.money(each["amount"]),
                 "account": each["account"]}
                for each in sorted(rows, key=self.moment)
            ]
        }  # fmt: skip

    # What the methods have in common

    def allow(self, account: Any, amount: int) -> None:
        number = account.get("order")
        if number not in self.orders:
            raise Refusal(-31050, "order")
        if amount != PRICE:
            raise Refusal(-31001)
        for each in self.transactions.values():
            if each["account"]["order"] == number:
                if each["state"] == 1 and self.expired(each):
                    self.end(each, 4)
                if each["state"] in (1, 2, -2):
                    raise Refusal(-31051, "order")

    def find(self, id: str) -> dict[str, Any]:
        if id not in self.transactions:
            raise Refusal(-31003)
        return self.transactions[id]

    def expired(self, transaction: Any) -> bool:
        return bool(now() - transaction["time"] > LIFETIME)

    def end(self, transaction: dict[str, Any], reason: int) -> None:
        was = transaction["state"]
        transaction |= {"state": -was, "cancel_time": now(), "reason": reason}
        if was == 2:
            self.orders[transaction["account"]["order"]] = "refunded"

    def paid(self, transaction: Any) -> None:
        number = transaction["account"]["order"]
        self.orders[number] = "paid twice" if self.orders[number].startswith("paid") else "paid"

    def created(self, transaction: Any) -> dict[str, Any]:
        return {"state": 1, "transaction": transaction["id"], "create_time": self.time(transaction["create_time"])}

    def shown(self, transaction: Any) -> dict[str, Any]:
        times = {name: self.time(transaction[name]) for name in ("create_time", "perform_time", "cancel_time")}
        return {
            **times,
            "transaction": transaction["id"],
            "state": transaction["state"],
            "reason": transaction["reason"],
        }

    def time(self, millis: int) -> Any:
        return millis

    def money(self, tiyin: int) -> Any:
        return tiyin

    def moment(self, transaction: Any) -> int:
        return int(transaction["time"])


class OtherWallets(OtherShop):
    """The same for balances, which are paid any number of times, any amount."""

    def new_order(self) -> dict[str, Any]:
        order = super().new_order()
        self.orders[order["account"]["order"]] = "0"
        return order

    def status(self, number: str) -> dict[str, str]:
        return {"balance_tiyin": self.orders[number]}

    def allow(self, account: Any, amount: int) -> None:
        if account.get("order") not in self.orders:
            raise Refusal(-31050, "order")
        if amount <= 0:
            raise Refusal(-31001)

    def end(self, transaction: dict[str, Any], reason: int) -> None:
        was, number = transaction["state"], transaction["account"]["order"]
        before = self.orders[number]
        super().end(transaction, reason)
        self.orders[number] = str(int(before) - (transaction["amount"] if was == 2 else 0))

    def paid(self, transaction: Any) -> None:
        number = transaction["account"]["order"]
        self.orders[number] = str(int(self.orders[number]) + transaction["amount"])


# What other people's endpoints do wrong


class HookTwice(OtherShop):
    def perform(self, params: Any) -> dict[str, Any]:
        again = self.find(params["id"])["state"] == 2
        answer = super().perform(params)
        if again:
            self.paid(self.find(params["id"]))
        return answer


class Revived(OtherShop):
    def perform(self, params: Any) -> dict[str, Any]:
        found = self.find(params["id"])
        if found["state"] == -1 and not self.expired(found):
            found |= {"state": 1, "cancel_time": 0, "reason": None}
        return super().perform(params)


class Unauthorized(OtherShop):
    def stranger(self, echo: Any) -> tuple[int, Any]:
        return 401, {"id": echo, "error": {"code": -32504, "message": WORDS}}


class Seconds(OtherShop):
    def time(self, millis: int) -> Any:
        return millis // 1000


class NullTimes(OtherShop):
    def time(self, millis: int) -> Any:
        return millis or None


class SecondAccepted(OtherShop):
    def allow(self, account: Any, amount: int) -> None:
        try:
            super().allow(account, amount)
        except Refusal as no:
            held = all(each["state"] != 2 for each in self.transactions.values() if each["account"] == account)
            if no.code != -31051 or not held:
                raise


class OwnClock(OtherShop):
    def moment(self, transaction: Any) -> int:
        return int(transaction["create_time"])


class Floats(OtherShop):
    def money(self, tiyin: int) -> Any:
        return float(tiyin)


class NeverLate(OtherShop):
    def expired(self, transaction: Any) -> bool:
        del transaction
        return False


class AnotherAnswer(OtherShop):
    def created(self, transaction: Any) -> dict[str, Any]:
        return {**super().created(transaction), "transaction": f"{transaction['id']}-{next(self.numbers)}"}


class AnyAmount(OtherShop):
    def allow(self, account: Any, amount: int) -> None:
        del amount
        super().allow(account, PRICE)


class PaidAgain(OtherShop):
    def allow(self, account: Any, amount: int) -> None:
        try:
            super().allow(account, amount)
        except Refusal as no:
            if no.code != -31051 or self.orders[account["order"]] == "pending":
                raise


DEFECTS: dict[str, type[OtherShop]] = {
    "the paid hook runs twice": HookTwice,
    "a cancelled payment is revived": Revived,
    "HTTP 401 instead of 200 to a bad key": Unauthorized,
    "times in seconds instead of milliseconds": Seconds,
    "null instead of 0 for a time that is not set": NullTimes,
    "a second transaction is accepted for one order": SecondAccepted,
    "GetStatement does not go by Payme's time": OwnClock,
    "amounts as floats": Floats,
    "a transaction older than 12 hours is not ended": NeverLate,
    "a repeated call gets another answer": AnotherAnswer,
    "a wrong amount is accepted": AnyAmount,
    "an order can be paid twice": PaidAgain,
}
"""Each mistake, by the name that `paytechuz check` must give it."""


class CountedTwice(HookTwice, OtherWallets):
    pass


class OneAtATime(OtherWallets):
    def allow(self, account: Any, amount: int) -> None:
        super().allow(account, amount)
        if any(each["account"] == account and each["state"] == 1 for each in self.transactions.values()):
            raise Refusal(-31051, "order")


WALLET_DEFECTS: dict[str, type[OtherWallets]] = {
    "a payment and the order's status disagree": CountedTwice,
    "an order that may be paid is refused": OneAtATime,
}
"""The same for balances."""


# Served


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # many come at once

    def __init__(self, shop: OtherShop, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Page)
        self.shop = shop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Page(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/orders":
            self.reply(200, self.server.shop.new_order())
        else:
            self.reply(*self.server.shop.webhook(body, self.headers.get("Authorization")))

    def do_GET(self) -> None:
        self.reply(200, self.server.shop.status(self.path.rpartition("/")[2]))

    def reply(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(shop: OtherShop) -> Iterator[Server]:
    """Serve a shop on a free port of loopback."""
    with Server(shop) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with Server(DEFECTS.get(" ".join(sys.argv[1:]), OtherShop)()) as server:
        print(f"{server.url}/payme, key {KEY}", flush=True)
        server.serve_forever()
