"""Payme's acceptance suite passes against a shop in memory, and names what is wrong with each broken one."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from paytechuz_core import Account, Hooks, Inbound, Memory, Payme, State, Transaction, respond
from paytechuz_core.decision import Decision, Event, Hook, Snapshot
from paytechuz_core.hooks import call_hook
from paytechuz_core.memory import MemorySession
from paytechuz_core.outbound import over_http_at
from paytechuz_core.payme.calls import Call, CancelTransaction, PerformTransaction
from paytechuz_core.payme.replies import Reply
from paytechuz_core.repository import Repository
from paytechuz_core.testing import ONE_TIME, TOP_UP, Order, Step, Till, over_http, play
from paytechuz_core.testing import payme as suite
from paytechuz_core.testing import till as answers
from paytechuz_core.testing.suite import SILENCE
from paytechuz_core.transaction import Fields, Millis

KEY = "a:key&with#punctuation?36-characters"
PRICE = 500_001


class MemoryShop(Hooks):
    """A shop of orders that are paid once, reached without HTTP. Its clock goes on a millisecond with every look."""

    scenarios = ONE_TIME

    def __init__(self) -> None:
        self.millis = 1_763_900_123_457
        self.orders: dict[str, str] = {}
        self.memory = self.make_memory()
        self.gateway = self.make_gateway()

    def make_memory(self) -> Memory:
        return Memory(self.find_account)

    def make_gateway(self) -> Payme:
        return Payme(keys=lambda: ["an older key", KEY])

    def find_account(self, fields: Fields) -> Account | None:
        number = str(fields["id"])
        return Account(id=number, amount_tiyin=PRICE, hold=f"orders:{number}") if number in self.orders else None

    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        inbound = Inbound("POST", {name.lower(): value for name, value in headers.items()}, body)
        return 200, respond(self.gateway, inbound, self.memory.begin, partial(call_hook, self), self.now)

    def play(self) -> list[Step]:
        return list(play(self.scenarios, Till(self.send, KEY), self))

    # What the scenarios ask of a shop

    def new_order(self) -> Order:
        number = str(len(self.orders) + 1)
        self.orders[number] = "pending"
        return Order({"id": number}, PRICE)

    def status(self, order: Order) -> str:
        return self.orders[order.account["id"]]

    def advance(self, milliseconds: Millis) -> None:
        self.millis += milliseconds

    def now(self) -> Millis:
        self.millis += 1
        return self.millis

    # The hooks

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        del params
        number = str(transaction.account_id)
        self.orders[number] = "paid twice" if self.orders[number].startswith("paid") else "paid"

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        del params
        self.orders[str(transaction.account_id)] = "cancelled"


class MemoryWallets(MemoryShop):
    """A shop of balances that are topped up."""

    scenarios = TOP_UP

    def find_account(self, fields: Fields) -> Account | None:
        number = str(fields["id"])
        return Account(id=number) if number in self.orders else None

    def new_order(self) -> Order:
        order = super().new_order()
        self.orders[order.account["id"]] = "0"
        return order

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        del params
        self.credit(transaction, transaction.amount_tiyin)

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        del params
        if transaction.state is State.CANCELLED:
            self.credit(transaction, -transaction.amount_tiyin)

    def credit(self, transaction: Transaction, tiyin: int) -> None:
        number = str(transaction.account_id)
        self.orders[number] = str(int(self.orders[number]) + tiyin)


@pytest.mark.parametrize("make", [MemoryShop, MemoryWallets])
def test_every_scenario_passes(make: type[MemoryShop]) -> None:
    steps = make().play()
    assert [step for step in steps if not step.ok] == []
    assert {step.scenario for step in steps} == {scenario.name for scenario in make.scenarios}


@pytest.mark.parametrize("make", [MemoryShop, MemoryWallets])
def test_every_step_says_what_was_called_expected_and_got_and_why(make: type[MemoryShop]) -> None:
    for step in make().play():
        assert all((step.scenario, step.call, step.expected, step.got, step.why)), step
        assert step.why.endswith(".")
        assert "\n" not in step.got


def test_every_scenario_says_what_it_is_about() -> None:
    scenarios = {*ONE_TIME, *TOP_UP}
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(scenario.about.endswith(".") for scenario in scenarios)


def test_every_write_is_sent_twice() -> None:
    sent: list[bytes] = []

    class Recording(MemoryShop):
        def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
            sent.append(body)
            return super().send(body, headers)

    Recording().play()
    writes = [body for body in sent if re.search(rb'"(Create|Perform|Cancel)Transaction"', body) and b'"id": 1' in body]
    assert len(writes) > 50
    assert {writes.count(body) for body in writes if b'"jsonrpc"' in body} <= {1, 2}
    assert sum(writes.count(body) == 2 for body in writes) > len(writes) / 2


# Broken shops, each by a mistake that was seen in published packages


class PaidHookOnEveryPerform(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        if b'"PerformTransaction"' in body and b'"state":2' in answer:
            name = json.loads(body)["params"]["id"]
            self.successfully_payment({}, self.memory.transactions["payme", name])
        return status, answer


class Revives(MemoryShop):
    def make_gateway(self) -> Payme:
        class Reviving(Payme):
            def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
                transaction = snapshot.transaction
                if isinstance(call.request, PerformTransaction) and transaction and transaction.cancel_time:
                    paid = {"transaction": "1", "perform_time": transaction.cancel_time, "state": 2}
                    return Decision(paid, events=(Event(Hook.SUCCESSFULLY_PAYMENT, transaction),))
                return super().decide(call, snapshot, now)

        return Reviving(keys=lambda: [KEY])


class Unauthorised401(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        return (401 if b"-32504" in answer else status), answer


class TrustsAnybody(MemoryShop):
    def make_gateway(self) -> Payme:
        class Trusting(Payme):
            def _trusts(self, header: str | None) -> bool:
                return header != "nobody"

        return Trusting(keys=lambda: [KEY])


class Rewriting(MemoryShop):
    """Sends what another shop would have sent."""

    pattern: ClassVar[bytes]
    replacement: ClassVar[bytes]

    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        return status, re.sub(self.pattern, self.replacement, answer)


class NullTimes(Rewriting):
    pattern, replacement = rb'_time":0\b', rb'_time":null'


class Seconds(Rewriting):
    pattern, replacement = rb'_time":(\d{10})\d{3}', rb'_time":\1'


class FloatAmounts(Rewriting):
    pattern, replacement = rb'"amount":(\d+)', rb'"amount":\1.0'


class EnglishOnly(Rewriting):
    pattern, replacement = rb'"message":\{[^}]*\}', rb'"message":"Error"'


class ForgetsTheId(Rewriting):
    pattern, replacement = rb'"id":\d+,', b""


class BothMembers(Rewriting):
    pattern, replacement = rb'"result":', rb'"error":{"code":-32400},"result":'


class NoData(Rewriting):
    pattern, replacement = rb',"data":"id"', b""


class UnknownIsAnAccountError(Rewriting):
    pattern, replacement = rb"-31003", b"-31050"


class SecondTransactionAccepted(MemoryShop):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, hold=None)


class AnyAmount(MemoryShop):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, amount_tiyin=None)


class OneFailureKillsTheOrder(MemoryShop):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, payable=self.orders[str(account.id)] != "cancelled")


class NeverExpires(MemoryShop):
    def make_gateway(self) -> Payme:
        return Payme(keys=lambda: [KEY], timeout=10**12)


class CancelsAgain(MemoryShop):
    def make_gateway(self) -> Payme:
        class Cancelling(Payme):
            def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
                decision = super().decide(call, snapshot, now)
                if isinstance(call.request, CancelTransaction) and isinstance(decision.reply, dict):
                    return replace(decision, reply={**decision.reply, "cancel_time": now})
                return decision

        return Cancelling(keys=lambda: [KEY])


class StatementByOwnClock(MemoryShop):
    def make_memory(self) -> Memory:
        class Session(MemorySession):
            def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
                rows = [each for each in self.memory.transactions.values() if each.gateway == gateway]
                return [each for each in rows if start <= each.create_time <= end]

        class OwnClock(Memory):
            @contextmanager
            def begin(self) -> Iterator[Repository]:
                with super().begin() as repository:
                    assert isinstance(repository, MemorySession)
                    repository.__class__ = Session
                    yield repository

        return OwnClock(self.find_account)


class CrashesOnBadJson(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        return (500, b"<h1>Internal Server Error</h1>") if b"-32700" in answer else (status, answer)


class FallsSilent(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        if b'"PayTransaction"' in body:
            raise TimeoutError
        return super().send(body, headers)


class CreditsTwice(PaidHookOnEveryPerform, MemoryWallets):
    pass


class OneTopUpAtATime(MemoryWallets):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, hold=f"wallets:{account.id}")


class DebitsWhatWasNeverCredited(MemoryWallets):
    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        del params
        self.credit(transaction, -transaction.amount_tiyin)


BROKEN: list[tuple[type[MemoryShop], str, str]] = [
    (PaidHookOnEveryPerform, "perform and refund", suite.DELIVERED),
    (Revives, "create and cancel", suite.DEAD),
    (Revives, "perform and refund", suite.DEAD),
    (Unauthorised401, "bad credentials", answers.ALWAYS_200),
    (TrustsAnybody, "bad credentials", suite.TRUST),
    (NullTimes, "create and cancel", suite.LOOK),
    (Seconds, "create and cancel", suite.BORN),
    (FloatAmounts, "statement", suite.LISTED),
    (EnglishOnly, "unknown account", answers.READABLE),
    (ForgetsTheId, "create and cancel", answers.ECHOED),
    (BothMembers, "create and cancel", answers.ONE_OBJECT),
    (NoData, "unknown account", suite.EXISTS),
    (UnknownIsAnAccountError, "unknown transaction", suite.UNHEARD_OF),
    (SecondTransactionAccepted, "held order", suite.ONE_LIVE),
    (SecondTransactionAccepted, "paid order", suite.PAID_ONCE),
    (AnyAmount, "wrong amount", suite.EXACT),
    (OneFailureKillsTheOrder, "retry after a cancelled attempt", suite.RELEASED),
    (OneFailureKillsTheOrder, "expired transaction", suite.RELEASED),
    (NeverExpires, "expired transaction", suite.LATE),
    (NeverExpires, "expired holder", suite.RELEASED),
    (CancelsAgain, "create and cancel", answers.THE_SAME),
    (StatementByOwnClock, "statement", suite.LISTED),
    (CrashesOnBadJson, "malformed requests", answers.ALWAYS_200),
    (FallsSilent, "malformed requests", SILENCE),
    (CreditsTwice, "top up", suite.DELIVERED),
    (OneTopUpAtATime, "top up", suite.FREE),
    (DebitsWhatWasNeverCredited, "expired top up", suite.LATE),
]


@pytest.mark.parametrize(
    ("make", "scenario", "why"), BROKEN, ids=[f"{make.__name__}-{scenario}" for make, scenario, _ in BROKEN]
)
def test_a_broken_shop_is_named_by_the_scenario_that_should_catch_it(
    make: type[MemoryShop], scenario: str, why: str
) -> None:
    wrong = [(step.scenario, step.why) for step in make().play() if not step.ok]
    assert (scenario, why) in wrong


@pytest.mark.parametrize("make", [Unauthorised401, OneFailureKillsTheOrder, StatementByOwnClock, FallsSilent])
def test_a_mistake_of_one_kind_fails_no_scenario_of_another(make: type[MemoryShop]) -> None:
    named = {scenario for broken, scenario, _ in BROKEN if broken is make}
    wrong = {step.scenario for step in make().play() if not step.ok}
    assert wrong == named


def test_no_answer_of_a_stranger_breaks_the_suite() -> None:
    strange = [b"", b"null", b"[]", b'"text"', b'{"result":[]}', b'{"error":1}', b'{"error":{"code":true}}', b"\xff"]
    strange += [b"[" * 100_000]  # which Python's own reader answers with RecursionError
    strange += [b'{"result":{"transactions":[1,{}]}}', b'{"result":{"create_time":NaN}}', b'{"error":{"code":-31050}}']

    class Strange(MemoryShop):
        def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
            del headers
            return 200, self.answer.replace(b"{", b'{"id":%d,' % json.loads(body)["id"], 1)

        answer = b""

    for answer in strange:
        shop = Strange()
        shop.answer = answer
        steps = list(play(ONE_TIME[:-1], Till(shop.send, KEY), shop))
        assert not any(step.ok for step in steps if "status" not in step.call)


# Over HTTP


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhook?x=1"
        server.shutdown()
        thread.join()


def test_over_http_follows_no_redirect_and_sends_what_it_is_given() -> None:
    seen: list[tuple[str, str | None, bytes]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        seen.append((request.path, request.headers["Authorization"], body))
        request.send_response(308)
        request.send_header("Location", "/elsewhere")
        request.end_headers()
        request.wfile.write(b"moved")

    with serving(answer) as url:
        assert over_http(url)(b"body", {"Authorization": "Basic x"}) == (308, b"moved")
    assert seen == [("/webhook?x=1", "Basic x", b"body")]


def test_an_endpoint_that_is_not_there_is_a_step_that_failed() -> None:
    with serving(lambda _: None) as url:
        pass
    steps = list(play(ONE_TIME, Till(over_http(url, timeout=5), KEY), MemoryShop()))
    assert [(step.ok, step.why) for step in steps] == [(False, SILENCE)] * len(ONE_TIME)


def test_what_is_no_http_is_no_answer() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SMTP ready\r\n")

    with serving(answer) as url, pytest.raises(ConnectionError, match="BadStatusLine"):
        over_http(url)(b"body", {})


def test_the_paths_of_a_site_are_called_where_it_is() -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.path)
        request.send_response(204)
        request.end_headers()

    with serving(answer) as url:
        site = url.partition("/webhook")[0]
        for each in (site, f"{site}/", f"{site}/shop/"):
            assert over_http_at(each)("/payments/payme")(b"", {}) == (204, b"")
    assert seen == ["/payments/payme", "/payments/payme", "/shop/payments/payme"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000/webhook", "ftp://shop.example/webhook", "http:///webhook"])
@pytest.mark.parametrize("call", [over_http, over_http_at])
def test_over_http_wants_an_address(call: Callable[[str], object], url: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        call(url)


def test_a_till_shows_no_key() -> None:
    assert KEY not in repr(Till(MemoryShop().send, KEY))


# What must be importable where


@pytest.mark.parametrize(
    ("missing", "statement"),
    [
        (("pytest", "hypothesis"), "from paytechuz_core.testing import ONE_TIME, TOP_UP, Till, over_http, play"),
        (("hypothesis",), "from paytechuz_core.testing import RepositoryLaws, AsyncRepositoryLaws, Storage, Known"),
    ],
)
def test_only_what_needs_pytest_imports_it(missing: tuple[str, ...], statement: str) -> None:
    block = "".join(f"sys.modules[{name!r}] = None; " for name in missing)
    subprocess.run([sys.executable, "-c", f"import sys; {block}{statement}"], check=True, timeout=60)


def test_what_testing_does_not_have_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="no_such_thing"):
        from paytechuz_core.testing import no_such_thing  # noqa: F401, PLC0415 - the import is what fails
