"""One call of a provider's, made by hand, and what must be answered to it.

As in Payme's sandbox, the answer depends on the state of the account, which whoever calls must name; and on the state
of the transaction, which is known from what was answered before. What nobody can know is not judged.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from paytechuz.cli.config import Wrong
from paytechuz.cli.page.watch import Watch, account_key
from paytechuz_core.money import Tiyin, som_to_tiyin
from paytechuz_core.testing import Answer, Attempt, ClickAnswer, ClickTill, Order, Step, Till
from paytechuz_core.testing import click as click_suite
from paytechuz_core.testing import payme as suite
from paytechuz_core.testing.click_till import som
from paytechuz_core.testing.till import TIME, Expected, account_error, error, result
from paytechuz_core.transaction import Millis, State

STATES: Final = ("awaiting", "held", "paid", "unknown")
"""An account's states, in the order of Payme's sandbox: awaits payment, being paid, paid or closed, unknown."""

PAYME_CALLS: Final = (
    "CheckPerformTransaction", "CreateTransaction", "PerformTransaction", "CancelTransaction", "CheckTransaction",
    "GetStatement",
)  # fmt: skip
CLICK_CALLS: Final = ("Prepare", "Complete", "Cancel")

NOBODYS: Final = "999999999"
"""The value of an account that no shop has."""

ANY: Final = "any answer"
CANNOT_CANCEL: Final = -31007
"""What a shop may answer that gives no money back."""

Judged: TypeAlias = tuple[Expected, str] | None
"""What must be answered, and why; None where nobody knows."""

Attempts: TypeAlias = dict[str, int]
"""The number that Prepare was answered, by Click's number of the attempt."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page asks for: an order with its price, the account's state, and what was typed for the call."""

    order: Order
    state: str
    top_up: bool
    given: Mapping[str, Any]
    watch: Watch
    attempts: Attempts

    def word(self, name: str) -> str:
        """Give what was typed, without white space around it."""
        return str(self.given.get(name, "")).strip()

    def whole(self, name: str, default: int) -> int:
        """Give a whole number that was typed. Raises `Wrong`."""
        text = self.word(name)
        try:
            return int(text) if text else default
        except ValueError as error:
            message = f"{text!r} is no whole number"
            raise Wrong(message) from error

    @property
    def amount(self) -> Tiyin:
        """The amount that was typed, of any sign; the price where none was. Raises `Wrong`."""
        text = self.word("amount").replace(" ", "").replace(",", ".")
        try:
            return som_to_tiyin(text) if text else self.order.amount_tiyin
        except ValueError as error:
            message = f"{text!r} is no amount in som: {error}"
            raise Wrong(message) from error


def made(till: Till | ClickTill, asked: Asked) -> Step:
    """Make the call that was asked for. Raises `Wrong` where there is no such call."""
    if isinstance(till, Till):
        return payme_call(till, asked)
    return click_call(till, asked)


def brought(till: Till | ClickTill, order: Order, state: str) -> Iterator[Step]:
    """Bring a new order where a single call shall find it: held by another transaction, or paid."""
    if isinstance(till, Till):
        transaction = till.new_id()
        yield till.create(transaction, now(), order, note="another transaction").expect(result(state=1), suite.BORN)
        if state == "paid":
            yield till.perform(transaction, note="another transaction").expect(result(state=2), suite.MONEY)
    else:
        attempt = till.attempt(order)
        yield attempt.prepare(note="another attempt").expect(click_suite.SUCCESS, click_suite.RESERVED)
        if state == "paid":
            yield attempt.complete(note="another attempt").expect(click_suite.SUCCESS, click_suite.DELIVERED)


# Payme


def payme_call(till: Till, asked: Asked) -> Step:
    """Make a call of Payme's."""
    transaction, amount, order = asked.word("transaction"), asked.amount, asked.order
    born = now() - asked.whole("age", 0)
    match asked.word("call"):
        case "CheckPerformTransaction":
            answer, wanted = till.check_perform(order, amount), admitted(asked, suite.ALLOWED, suite.FREE)
        case "CreateTransaction":
            params = {"id": transaction, "time": born, "amount": amount, "account": dict(order.account)}
            wanted = creating(asked, transaction, born)
            answer = till.call("CreateTransaction", params)
        case "PerformTransaction":
            wanted = performing(asked, transaction)
            answer = till.call("PerformTransaction", {"id": transaction})
        case "CancelTransaction":
            wanted = cancelling(asked, transaction)
            params = {"id": transaction, "reason": asked.whole("reason", suite.REFUND)}
            answer = till.call("CancelTransaction", params)
        case "CheckTransaction":
            answer, wanted = till.check(transaction), looking(asked, transaction)
        case "GetStatement":
            day = asked.whole("hours", 24) * 60 * 60 * 1000
            answer = till.statement(now() - day, now())
            wanted = (Expected("a list", lambda it: isinstance(it.result.get("transactions"), list)), suite.LISTED)
        case other:
            message = f"Payme has no call {other!r}"
            raise Wrong(message)
    return judged(answer, wanted)


def judged(answer: Answer, wanted: Judged) -> Step:
    """Judge an answer; where nobody knows which one is right, only whether it is an answer at all."""
    if wanted is not None:
        return answer.expect(*wanted)
    if (fault := answer.fault()) is not None:
        got, why = fault
        return Step("", answer.call, ANY, got, ok=False, why=why)
    return Step("", answer.call, ANY, answer.summary, ok=True, why="", skipped=True)


def admitted(asked: Asked, allowed: Expected, why: str) -> Judged:
    """Say what must be answered to who wants to pay for the account."""
    names, amount = tuple(asked.order.account), asked.amount
    if asked.state == "unknown":
        return account_error(names), suite.EXISTS
    if amount <= 0 if asked.top_up else amount != asked.order.amount_tiyin:
        return error(suite.WRONG_AMOUNT), suite.EXACT
    match asked.state:
        case "held" if not asked.top_up:
            return account_error(names, or_code=suite.CANNOT_PERFORM), suite.ONE_LIVE
        case "paid" if not asked.top_up:
            return account_error(names, or_code=suite.CANNOT_PERFORM), suite.PAID_ONCE
        case _:
            return allowed, why


def creating(asked: Asked, transaction: str, born: Millis) -> Judged:
    """Say what must be answered to Create, new or repeated."""
    match asked.watch.state("payme", transaction):
        case None if now() - born > suite.LIFETIME:
            return error(suite.CANNOT_PERFORM), suite.LATE
        case None:
            return admitted(asked, result(state=1, create_time=TIME), suite.BORN)
        case State.INITIATING:
            # Whether it is the same transaction, with this amount and this account, only the shop can tell.
            return None
        case _:
            return error(suite.CANNOT_PERFORM), suite.DEAD


def performing(asked: Asked, transaction: str) -> Judged:
    """Say what must be answered to Perform."""
    known = asked.watch.transactions.get(("payme", transaction))
    if known is None:
        return None
    if known.state == State.INITIATING and known.time is not None and now() - known.time > suite.LIFETIME:
        return error(suite.CANNOT_PERFORM), suite.LATE
    if known.state < 0:
        return error(suite.CANNOT_PERFORM), suite.DEAD
    return result(state=2, perform_time=TIME), suite.MONEY


def cancelling(asked: Asked, transaction: str) -> Judged:
    """Say what must be answered to Cancel."""
    state = asked.watch.state("payme", transaction)
    if state is None:
        return None
    ended = result(state=-abs(state), cancel_time=TIME)
    if state != State.SUCCESSFULLY:
        return ended, suite.GIVE_UP
    return or_kept(ended), suite.GIVE_UP


def or_kept(refunded: Expected) -> Expected:
    """Expect a refund, or a shop that gives no money back."""
    return Expected(f"{refunded.text}, or {CANNOT_CANCEL}", lambda it: refunded.holds(it) or it.code == CANNOT_CANCEL)


def looking(asked: Asked, transaction: str) -> Judged:
    """Say what must be answered to Check."""
    state = asked.watch.state("payme", transaction)
    return None if state is None else (result(state=state, create_time=TIME), suite.LOOK)


# Click


def click_call(till: ClickTill, asked: Asked) -> Step:
    """Make a call of Click's."""
    number, payment = asked.whole("transaction", till.new_number()), asked.whole("payment", till.new_number())
    attempt = Attempt(till, asked.order, number, payment)
    attempt.prepare_id = asked.whole("prepare_id", asked.attempts.get(str(number), 1))
    state, amount = asked.watch.state("click", str(number)), som(asked.amount)
    match asked.word("call"):  # what must be answered is said first: the answer changes what is known
        case "Prepare":
            wanted = preparing(asked, state)
            return click_judged(attempt.prepare(amount=amount), *wanted)
        case "Complete":
            wanted = completing(asked, str(number))
            return click_judged(attempt.complete(amount=amount), *wanted)
        case "Cancel":
            wanted = giving_up(state)
            return click_judged(attempt.complete(click_suite.NOT_DEBITED, amount=amount), *wanted)
        case other:
            message = f"Click has no call {other!r}"
            raise Wrong(message)


def click_judged(answer: ClickAnswer, codes: tuple[int, ...], why: str) -> Step:
    """Judge an answer; where there are no codes, only whether it is an answer at all."""
    if codes:
        return answer.expect(codes if len(codes) > 1 else codes[0], why)
    if (fault := answer.fault()) is not None:
        got, why = fault
        return Step("", answer.call, ANY, got, ok=False, why=why)
    return Step("", answer.call, ANY, answer.summary, ok=True, why="", skipped=True)


def preparing(asked: Asked, state: int | None) -> tuple[tuple[int, ...], str]:
    """Say what must be answered to Prepare, new or repeated."""
    match state:
        case None if asked.state == "unknown":
            return (click_suite.UNKNOWN_ORDER,), click_suite.EXISTS
        case None if asked.amount <= 0 if asked.top_up else asked.amount != asked.order.amount_tiyin:
            return (click_suite.WRONG_AMOUNT,), click_suite.EXACT
        case None if asked.state == "paid" and not asked.top_up:
            return (click_suite.ALREADY_PAID, click_suite.UNKNOWN_ORDER), click_suite.PAID_ONCE
        case None if asked.state == "held" and not asked.top_up:  # by Click's own attempt, or by Payme
            return (click_suite.SUCCESS, click_suite.CANCELLED), click_suite.SUPERSEDED
        case None:
            return (click_suite.SUCCESS,), click_suite.RESERVED
        case State.INITIATING:
            return (), ""  # whether order and amount are those of the attempt, only the shop can tell
        case State.SUCCESSFULLY:
            return (click_suite.ALREADY_PAID,), click_suite.PAID_ONCE
        case _:
            return (click_suite.CANCELLED, click_suite.ALREADY_PAID), click_suite.DEAD


def completing(asked: Asked, number: str) -> tuple[tuple[int, ...], str]:
    """Say what must be answered to Complete."""
    known = asked.watch.transactions.get(("click", number))
    if known is None:
        return (), ""
    if known.state == State.SUCCESSFULLY:
        return (click_suite.ALREADY_PAID,), click_suite.PAID_ONCE
    if known.state < 0:
        return (click_suite.CANCELLED,), click_suite.DEAD
    changed = known.account != account_key(asked.order.account) or asked.amount != asked.order.amount_tiyin
    if changed or asked.word("prepare_id"):
        return (), ""  # another order, amount or number than the attempt's: which code it is, its own scenarios say
    if not asked.top_up and number != asked.watch.newest("click", known.account):
        return (click_suite.CANCELLED,), click_suite.SUPERSEDED
    return (click_suite.SUCCESS,), click_suite.DELIVERED


def giving_up(state: int | None) -> tuple[tuple[int, ...], str]:
    """Say what must be answered to a Complete with a negative error."""
    match state:
        case None:
            return (), ""
        case State.SUCCESSFULLY:
            return (click_suite.CANCELLED, click_suite.ALREADY_PAID), click_suite.REVERSED
        case _:
            return (click_suite.CANCELLED,), click_suite.GIVEN_UP


def now() -> Millis:
    """Look at the clock."""
    return time.time_ns() // 1_000_000
