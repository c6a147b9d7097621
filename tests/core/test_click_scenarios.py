"""Click's scenarios pass against a shop in memory, and name what is wrong with each broken one."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import pytest

from paytechuz_core import Account, Click, Hooks, Inbound, Memory, State, Transaction, respond
from paytechuz_core.click.calls import COMPLETE, Call, read_form
from paytechuz_core.click.codes import Code
from paytechuz_core.click.gateway import Reply
from paytechuz_core.decision import Decision, Event, Hook, Rejected, Snapshot
from paytechuz_core.hooks import call_hook
from paytechuz_core.money import Tiyin
from paytechuz_core.testing import CLICK, CLICK_EXTRA, CLICK_TOP_UP, ClickAnswer, ClickTill, Order, Step, play
from paytechuz_core.testing import click as suite
from paytechuz_core.testing import click_till as answers
from paytechuz_core.testing.suite import SILENCE
from paytechuz_core.transaction import Fields, Millis, create

SECRET = "a:secret&with#punctuation"
SERVICE = 12345
PRICE = 100_000


class MemoryShop(Hooks):
    """A shop of orders that are paid once, reached without HTTP. Its clock goes on a millisecond with every look."""

    scenarios = CLICK + CLICK_EXTRA
    gateway_class: ClassVar[type[Click]] = Click
    price = PRICE

    def __init__(self) -> None:
        self.millis = 1_763_900_123_457
        self.orders: dict[str, str] = {}
        self.memory = Memory(self.find_account)
        self.gateway = self.gateway_class(secrets=lambda: ["an older secret", SECRET], service_id=SERVICE)

    def find_account(self, fields: Fields) -> Account | None:
        number = str(fields["id"])
        return Account(id=number, amount_tiyin=self.price, hold=f"orders:{number}") if number in self.orders else None

    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        inbound = Inbound("POST", {name.lower(): value for name, value in headers.items()}, body)
        return 200, respond(self.gateway, inbound, self.memory.begin, partial(call_hook, self), self.now)

    def play(self) -> list[Step]:
        return list(play(self.scenarios, ClickTill(self.send, SECRET, SERVICE), self))

    # What the scenarios ask of a shop

    def new_order(self) -> Order:
        number = str(len(self.orders) + 1)
        self.orders[number] = "pending"
        return Order({"id": number}, self.price)

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


class OddPrices(MemoryShop):
    price = 500_001


class MemoryWallets(MemoryShop):
    """A shop of balances that are topped up."""

    scenarios = CLICK_TOP_UP

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

    def credit(self, transaction: Transaction, tiyin: Tiyin) -> None:
        number = str(transaction.account_id)
        self.orders[number] = str(int(self.orders[number]) + tiyin)


SHOPS: list[type[MemoryShop]] = [MemoryShop, OddPrices, MemoryWallets]


@pytest.mark.parametrize("make", SHOPS)
def test_every_scenario_passes(make: type[MemoryShop]) -> None:
    steps = make().play()
    assert [step for step in steps if not step.ok] == []
    assert {step.scenario for step in steps} == {scenario.name for scenario in make.scenarios}


@pytest.mark.parametrize("scenario", MemoryShop.scenarios, ids=lambda scenario: scenario.name)
def test_every_scenario_can_be_played_alone(scenario: Any) -> None:
    shop = MemoryShop()
    steps = list(scenario(ClickTill(shop.send, SECRET, SERVICE), shop))
    assert steps
    assert all(step.ok for step in steps)


@pytest.mark.parametrize("make", SHOPS)
def test_every_step_says_what_was_called_expected_and_got_and_why(make: type[MemoryShop]) -> None:
    for step in make().play():
        assert all((step.scenario, step.call, step.expected, step.got, step.why)), step
        assert step.why.endswith(".")
        assert "\n" not in step.got


def test_every_scenario_says_what_it_is_about() -> None:
    scenarios = {*CLICK, *CLICK_EXTRA, *CLICK_TOP_UP}
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(scenario.about.endswith(".") for scenario in scenarios)


# The table of Click's own tool: what each scenario calls last, and what must come back.
TOOL = [
    ("Prepare, wrong signature", "-1"),
    ("Prepare, unknown order", "-5"),
    ("Prepare", "0"),
    ("Complete, wrong signature", "-1"),
    ("Complete, amount 300", "-2"),
    ("Complete", "0"),
    ("Complete, again", "-4"),
    ("Complete, error -5017", "-9"),
    ("Prepare", "0"),
    ("Complete, prepare id 999999999", "-6"),
    ("Complete", "0"),
    ("Prepare", "0"),
    ("Complete, error -5017", "-9"),
    ("Complete, error -5017, again", "-9"),
    ("Complete, after the cancel", "-9"),
]


def test_the_fifteen_are_those_of_the_tool_in_its_order() -> None:
    shop = MemoryShop()
    assert len(CLICK) == len(TOOL)
    for number, (scenario, (call, expected)) in enumerate(zip(CLICK, TOOL, strict=True), start=1):
        assert scenario.name.startswith(f"scenario {number}, ")
        steps = list(scenario(ClickTill(shop.send, SECRET, SERVICE), shop))
        assert (call, expected) in [(step.call, step.expected) for step in steps]


def test_a_second_run_against_the_same_shop_passes_too() -> None:
    shop = MemoryShop()
    assert all(step.ok for step in [*shop.play(), *shop.play()])


# Broken shops, each by a mistake that was seen in published packages


class Rewriting(MemoryShop):
    """Sends what another shop would have sent."""

    pattern: ClassVar[bytes]
    replacement: ClassVar[bytes]

    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        return status, re.sub(self.pattern, self.replacement, answer)


class PaidAnswersZero(Rewriting):
    pattern, replacement = rb'"error":-4,', b'"error":0,'


class CancelAnswersZero(Rewriting):
    pattern, replacement = rb'"error":-9,', b'"error":0,'


class CancelAnswersFour(Rewriting):
    pattern, replacement = rb'"error":-9,', b'"error":-4,'


class UnknownAttemptIsAnUnknownOrder(Rewriting):
    pattern, replacement = rb'"error":-6,', b'"error":-5,'


class MissingFieldsAreABadSignature(Rewriting):
    pattern, replacement = rb'"error":-8,', b'"error":-1,'


class TextCodes(Rewriting):
    pattern, replacement = rb'"error":(-?\d+)', rb'"error":"\1"'


class TextIds(Rewriting):
    pattern, replacement = rb'"click_trans_id":(\d+)', rb'"click_trans_id":"\1"'


class NoNote(Rewriting):
    pattern, replacement = rb',"error_note":"[^"]*"', b""


class NoPrepareId(Rewriting):
    pattern, replacement = rb'"merchant_prepare_id":\d+', b'"merchant_prepare_id":0'


class PrepareIdOfAnHour(Rewriting):
    pattern, replacement = rb'"merchant_prepare_id":[1-9]\d*', b'"merchant_prepare_id":1763900123457'


class ConfirmIdIsMissing(Rewriting):
    pattern, replacement = rb'"merchant_confirm_id":[^,]*,', b""


class NumbersAreDoubles(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        message = json.loads(answer)
        return status, json.dumps({**message, "click_trans_id": int(float(message["click_trans_id"]))}).encode()


class ErrorsAre400(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        return (status if b'"error":0' in answer else 400), answer


class Latin1Only(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        form = dict(parse_qsl(body.decode()))
        try:
            form.get("merchant_trans_id", "").encode("latin-1")
        except UnicodeEncodeError as error:
            raise ConnectionError from error
        return super().send(body, headers)


class WorkOnTheForm(Click):
    """Reads the form, and then something else."""

    def parse(self, inbound: Inbound) -> Call:
        return Call(self.spoil(dict(super().parse(inbound).form)))

    def spoil(self, form: dict[str, str]) -> dict[str, str]:
        raise NotImplementedError


class PrepareIdNotChecked(MemoryShop):
    class gateway_class(WorkOnTheForm):  # noqa: N801 - the shop's gateway
        def spoil(self, form: dict[str, str]) -> dict[str, str]:
            return {**form, "merchant_prepare_id": str(Call(form).prepare_id)}


class UnderpaymentAccepted(MemoryShop):
    class gateway_class(WorkOnTheForm):  # noqa: N801
        def spoil(self, form: dict[str, str]) -> dict[str, str]:
            amount = Call(form).amount
            return {**form, "amount": "1000.00"} if amount is not None and 0 < amount < PRICE else form


class ToleratesATiyin(MemoryShop):
    class gateway_class(WorkOnTheForm):  # noqa: N801
        def spoil(self, form: dict[str, str]) -> dict[str, str]:
            amount = Call(form).amount
            return {**form, "amount": "1000.00"} if amount is not None and abs(amount - PRICE) <= 1 else form


class KnowsTwoReasonsOnly(MemoryShop):
    class gateway_class(WorkOnTheForm):  # noqa: N801
        def spoil(self, form: dict[str, str]) -> dict[str, str]:
            return form if form["error"] in ("-1", "-5017") else {**form, "error": "0"}


class AnyService(MemoryShop):
    class gateway_class(Click):  # noqa: N801
        def parse(self, inbound: Inbound) -> Call:
            try:
                return super().parse(inbound)
            except Rejected as rejected:
                form = read_form(inbound.body or b"") if inbound.body else {}
                if b'"error":-8' in rejected.body and form.get("service_id") == str(SERVICE + 1):
                    return Call(form)
                raise


class CancelsBeforeTheSignature(MemoryShop):
    class gateway_class(Click):  # noqa: N801
        def parse(self, inbound: Inbound) -> Call:
            try:
                return super().parse(inbound)
            except Rejected as rejected:
                if b'"error":-1,' not in rejected.body:
                    raise
                call = Call(read_form(inbound.body or b""))
                if call.action != COMPLETE or call.error == 0:
                    raise
                return call


class CompleteWithoutPreparePays(MemoryShop):
    class gateway_class(Click):  # noqa: N801
        def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
            account = snapshot.account
            if call.action != COMPLETE or account is None:
                return super().decide(call, snapshot, now)
            birth = create(
                now=now, gateway="click", transaction_id=call.transaction_id, account=replace(account, hold=None),
                amount_tiyin=call.amount or 0, received={"merchant_trans_id": call.order},
            )  # fmt: skip
            paid = birth.after.perform(now)
            told = Event(Hook.SUCCESSFULLY_PAYMENT, paid.after)
            return Decision(Reply(Code.SUCCESS, call.prepare_id), (birth, paid), (told,))


class SaysCancelledAndStaysPaid(MemoryShop):
    class gateway_class(Click):  # noqa: N801
        def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
            decision = super().decide(call, snapshot, now)
            if snapshot.transaction is not None and snapshot.transaction.state is State.SUCCESSFULLY:
                return Decision(decision.reply)
            return decision


class AnErrorCancels(MemoryShop):
    class gateway_class(Click):  # noqa: N801
        def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
            decision, attempt = super().decide(call, snapshot, now), snapshot.transaction
            wrong = decision.reply.code in (Code.INCORRECT_AMOUNT, Code.TRANSACTION_NOT_FOUND)
            if wrong and attempt is not None and attempt.state is State.INITIATING:
                return Decision(decision.reply, (attempt.cancel(now, -2),))
            return decision


class TwoAttemptsAtOnce(MemoryShop):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, hold=None)


class OneFailureKillsTheOrder(MemoryShop):
    def find_account(self, fields: Fields) -> Account | None:
        account = super().find_account(fields)
        return account and replace(account, payable=self.orders[str(account.id)] != "cancelled")


class PaidHookOnEveryComplete(MemoryShop):
    def send(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        status, answer = super().send(body, headers)
        message = json.loads(answer)
        if message["error"] == -4 and "merchant_confirm_id" in message:
            name = str(message["click_trans_id"])
            self.successfully_payment({}, self.memory.transactions["click", name])
        return status, answer


class CreditsEveryAttempt(MemoryWallets):
    class gateway_class(Click):  # noqa: N801
        def _payment(self, call: Call) -> str:
            return f"click:{call.click_trans_id}"


BROKEN: list[tuple[type[MemoryShop], str, str]] = [
    (PaidAnswersZero, "scenario 7, complete again", suite.PAID_ONCE),
    (PaidAnswersZero, "prepare for a paid order", suite.PAID_ONCE),
    (CancelAnswersZero, "scenario 8, cancel after the payment", suite.REVERSED),
    (CancelAnswersZero, "scenario 13, cancel before the payment", suite.GIVEN_UP),
    (CancelAnswersZero, "scenario 15, complete after the cancel", suite.DEAD),
    (CancelAnswersFour, "scenario 14, cancel again", suite.GIVEN_UP),
    (UnknownAttemptIsAnUnknownOrder, "scenario 10, complete with an unknown prepare id", suite.NAMED),
    (MissingFieldsAreABadSignature, "missing fields", suite.READ),
    (TextCodes, "scenario 3, prepare", answers.ONE_OBJECT),
    (NoNote, "scenario 3, prepare", answers.ONE_OBJECT),
    (TextIds, "scenario 3, prepare", answers.ECHOED),
    (NumbersAreDoubles, "wide numbers", answers.ECHOED),
    (NoPrepareId, "scenario 3, prepare", answers.PREPARE_ID),
    (PrepareIdOfAnHour, "scenario 3, prepare", answers.PREPARE_ID),
    (ConfirmIdIsMissing, "scenario 6, complete", answers.CONFIRM_ID),
    (ErrorsAre400, "scenario 1, prepare with a wrong signature", answers.ALWAYS_200),
    (Latin1Only, "order in other letters", SILENCE),
    (PrepareIdNotChecked, "scenario 10, complete with an unknown prepare id", suite.NAMED),
    (PrepareIdNotChecked, "the prepare id of another order", suite.NAMED),
    (UnderpaymentAccepted, "scenario 5, complete with another amount", suite.EXACT),
    (UnderpaymentAccepted, "exact amount", suite.EXACT),
    (ToleratesATiyin, "exact amount", suite.EXACT),
    (KnowsTwoReasonsOnly, "every negative error is a cancel", suite.NEGATIVE),
    (AnyService, "another service", suite.OURS),
    (CancelsBeforeTheSignature, "unsigned cancel", suite.TRUST),
    (CompleteWithoutPreparePays, "complete without prepare", suite.NAMED),
    (SaysCancelledAndStaysPaid, "scenario 8, cancel after the payment", suite.REVERSED),
    (AnErrorCancels, "scenario 5, complete with another amount", suite.KEPT),
    (AnErrorCancels, "scenario 11, complete after an error", suite.KEPT),
    (AnErrorCancels, "errors change nothing", suite.KEPT),
    (TwoAttemptsAtOnce, "a second attempt", suite.SUPERSEDED),
    (TwoAttemptsAtOnce, "prepare for a paid order", suite.PAID_ONCE),
    (OneFailureKillsTheOrder, "retry after a cancel", suite.RELEASED),
    (PaidHookOnEveryComplete, "scenario 7, complete again", suite.PAID_ONCE),
    (CreditsEveryAttempt, "top up repeated under a new number", suite.CREDITED),
]


@pytest.mark.parametrize(
    ("make", "scenario", "why"), BROKEN, ids=[f"{make.__name__}-{scenario}" for make, scenario, _ in BROKEN]
)
def test_a_broken_shop_is_named_by_the_scenario_that_should_catch_it(
    make: type[MemoryShop], scenario: str, why: str
) -> None:
    wrong = [(step.scenario, step.why) for step in make().play() if not step.ok]
    assert (scenario, why) in wrong


@pytest.mark.parametrize("make", [ToleratesATiyin, KnowsTwoReasonsOnly, Latin1Only, NumbersAreDoubles])
def test_a_mistake_of_one_kind_fails_no_scenario_of_another(make: type[MemoryShop]) -> None:
    named = {scenario for broken, scenario, _ in BROKEN if broken is make}
    assert {step.scenario for step in make().play() if not step.ok} == named


def test_a_shop_that_the_tool_would_pass_may_still_lose_money() -> None:
    for make in (CancelsBeforeTheSignature, CompleteWithoutPreparePays, ToleratesATiyin, TwoAttemptsAtOnce):
        named = {step.scenario for step in make().play() if not step.ok}
        assert named
        assert named.isdisjoint(scenario.name for scenario in CLICK)


def test_no_answer_of_a_stranger_breaks_the_suite() -> None:
    strange = [b"", b"null", b"[]", b'"text"', b'{"error":true}', b'{"error":0}', b'{"error":"0","error_note":""}']
    strange += [
        b"\xff",
        b'{"error":0.0,"error_note":""}',
        b'{"error":0,"error_note":1}',
        b'{"error":1,"error_note":""}',
    ]
    strange += [b"[" * 100_000]  # which Python's own reader answers with RecursionError
    strange += [b'{"error":0,"error_note":"","click_trans_id":NaN,"merchant_trans_id":{}}']
    for answer in strange:
        shop = MemoryShop()
        till = ClickTill(constantly(answer), SECRET, SERVICE)
        assert not any(step.ok for step in play(shop.scenarios, till, shop) if "status" not in step.call)


def constantly(answer: bytes) -> Callable[..., tuple[int, bytes]]:
    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        del body, headers
        return 200, answer

    return send


# The till


VECTORS = [
    ({"action": "0", "amount": "1000.00"}, "2516eaf588c374aab311f48ab854ffa2"),
    ({"action": "0", "amount": "1000"}, "48257f89a8562eee1930160df3d74078"),
    ({"action": "0", "amount": "1000", "merchant_prepare_id": "501"}, "48257f89a8562eee1930160df3d74078"),
    ({"action": "1", "amount": "1000.00", "merchant_prepare_id": "501"}, "927273de5fd6ef4f8e3c3be44e45158d"),
]


@pytest.mark.parametrize(("form", "signature"), VECTORS)
def test_the_till_signs_as_click_does(form: dict[str, str], signature: str) -> None:
    shared = {"click_trans_id": "1234567890", "service_id": "12345", "merchant_trans_id": "ORD-77"}
    till = ClickTill(constantly(b""), "TESTSECRET", 12345)
    assert till.signature({**shared, "sign_time": "2026-01-15 10:20:30", **form}) == signature


def test_the_till_sends_what_click_sends() -> None:
    seen: list[tuple[bytes, Mapping[str, str]]] = []

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        seen.append((body, headers))
        return 200, b"{}"

    attempt = ClickTill(send, SECRET, SERVICE).attempt(Order({"id": "заказ 7"}, 100_050), number=2**53 + 1, payment=9)
    attempt.prepare()
    attempt.complete(-5017)
    prepared, completed = (read_form(body) for body, _ in seen)
    assert prepared.keys() == {*suite.REQUIRED, "error_note"}
    assert completed.keys() == prepared.keys() | {"merchant_prepare_id"}
    shared = {"click_trans_id": "9007199254740993", "click_paydoc_id": "9", "merchant_trans_id": "заказ 7"}
    for form in (prepared, completed):
        assert {**shared, "amount": "1000.50", "service_id": "12345"}.items() <= form.items()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", form["sign_time"])
    assert (prepared["action"], prepared["error"], completed["action"], completed["error"]) == ("0", "0", "1", "-5017")
    assert {headers["Content-Type"] for _, headers in seen} == {"application/x-www-form-urlencoded"}


def test_a_refused_call_may_leave_out_the_echo_but_not_get_it_wrong() -> None:
    form = {"click_trans_id": "7", "merchant_trans_id": "A", "action": "0"}

    def faults(**members: Any) -> Iterator[bool]:
        for error in (-5, 0):
            message = {"error": error, "error_note": "", "merchant_prepare_id": 1, **members}
            yield ClickAnswer("Prepare", form, 200, json.dumps(message).encode()).fault() is not None

    assert list(faults()) == [False, True]
    assert list(faults(click_trans_id=7, merchant_trans_id="A")) == [False, False]
    assert list(faults(click_trans_id=8, merchant_trans_id="A")) == [True, True]
    assert list(faults(click_trans_id=7, merchant_trans_id="B")) == [True, True]


def test_a_till_shows_no_key() -> None:
    assert SECRET not in repr(ClickTill(MemoryShop().send, SECRET, SERVICE))
