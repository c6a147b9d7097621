"""Payme and Click in the tests of your own shop: fixtures for pytest, there as soon as paytechuz is installed.

    def test_an_order_is_paid_and_refunded(payme, paytechuz_shop):
        order = paytechuz_shop.new_order()
        payment = payme.pay(order)
        assert paytechuz_shop.status(order) == "paid"
        payme.cancel(payment)
        assert paytechuz_shop.status(order) != "paid"

    def test_payme_accepts_the_shop(payme):
        payme.sandbox()

Your `conftest.py` overrides two fixtures: `paytechuz_app` gives the application and the keys (an `App`),
`paytechuz_shop` an object that can place an order and say whether it is paid (see `Customers`). Everything runs in the
test's own process. Every answer is judged, and a wrong one fails the test with what was expected, what came, why it
matters and how to mend it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import groupby
from types import SimpleNamespace
from typing import Any, Final, Protocol

import pytest

from paytechuz_core import engine
from paytechuz_core.money import Tiyin
from paytechuz_core.outbound import Send
from paytechuz_core.testing import click as click_suite
from paytechuz_core.testing import payme as payme_suite
from paytechuz_core.testing.click_till import Attempt, ClickAnswer, ClickTill
from paytechuz_core.testing.in_process import HOST, callers
from paytechuz_core.testing.suite import Order, Scenario, Step, play
from paytechuz_core.testing.till import TIME, Answer, Expected, Some, Till, error, result
from paytechuz_core.transaction import Millis

APP: Final = """Override the fixture `paytechuz_app` in your conftest.py, and give the application and its keys:

    @pytest.fixture
    def paytechuz_app():
        return App(app, payme_key=PAYME_KEY, click_secret_key=CLICK_SECRET_KEY, click_service_id=CLICK_SERVICE_ID)

`App` is in paytechuz_core.testing; `app` is an ASGI or a WSGI application, or the URL of one that runs."""

SHOP: Final = """Override the fixture `paytechuz_shop` in your conftest.py, and give an object with two methods:

    class Customers:
        def new_order(self):          # place an order that awaits payment
            return Order({"order_id": "42"}, amount_tiyin=500_000)
        def status(self, order):      # "paid" while it is paid, any other word otherwise
            return "pending"

`Order` is in paytechuz_core.testing: the account as the provider sends it, and the price in tiyin."""

REFUSED: Final = (
    "The test expects that the shop refuses this call: see why it allows it, or refuses it in other words, or whether"
    " the test expects the right thing."
)

STATE: Final = Some("a state", lambda value: value in (1, 2, -1, -2))


@dataclass(frozen=True)
class App:
    """The shop under test: its application, ASGI or WSGI or the URL of one that runs, and the keys that it takes.

    Give the keys of the providers that it serves, and the paths of the endpoints where they are others. `host` is the
    name under which an application in this process is called.
    """

    app: Any
    _: KW_ONLY
    payme_key: str | None = field(default=None, repr=False)
    payme_path: str = "/payments/payme/webhook"
    payme_login: str = "Paycom"
    click_secret_key: str | None = field(default=None, repr=False)
    click_service_id: int | str | None = None
    click_path: str = "/payments/click/webhook"
    host: str = HOST


class Customers(Protocol):
    """What a test must be able to do in the shop."""

    def new_order(self) -> Order:
        """Place an order that awaits payment; for top-ups, make a new account with a balance of 0."""

    def status(self, order: Order) -> str:
        """Say "paid" while it is paid, and any other word otherwise; for top-ups, the balance in tiyin."""


# Time


class Clock:
    """The time of every handler in this process: a millisecond later at each look, and later still by `advance`."""

    def __init__(self) -> None:
        self._now = engine.epoch_millis()

    def __call__(self) -> Millis:
        """Look."""
        self._now += 1
        return self._now

    now = __call__

    def advance(self, milliseconds: Millis) -> None:
        """Let time pass."""
        self._now += milliseconds


class Waiting:
    """The time of a shop that runs elsewhere, where only waiting lets it pass."""

    def now(self) -> Millis:
        """Look."""
        return time.time_ns() // 1_000_000

    def advance(self, milliseconds: Millis) -> None:
        """Wait."""
        time.sleep(milliseconds / 1000)


@dataclass(frozen=True)
class Played:
    """A shop as the suites see one."""

    customers: Customers
    clock: Clock | Waiting
    place: Callable[[], Order] | None = None

    def new_order(self) -> Order:
        """Place an order."""
        return (self.place or self.customers.new_order)()

    def status(self, order: Order) -> str:
        """Look at an order."""
        return self.customers.status(order)

    def advance(self, milliseconds: Millis) -> None:
        """Let time pass."""
        self.clock.advance(milliseconds)

    def now(self) -> Millis:
        """Look at the clock."""
        return self.clock.now()


# The providers


class PaymePlayer:
    """Payme. Each method calls the shop, twice where it writes, and fails the test unless the answer is right.

    `expect` is the error's code where the shop is to refuse. A transaction is named by the id that `create` gives.
    """

    def __init__(self, till: Till, customers: Customers, clock: Clock | Waiting) -> None:
        self.till = till
        self.customers = customers
        self.clock = clock

    def pay(self, order: Order) -> str:
        """Pay an order as a payer does: ask, create, perform. Gives the transaction's id."""
        __tracebackhide__ = True
        self.check_perform(order)
        transaction = self.create(order)
        self.perform(transaction)
        return transaction

    def check_perform(self, order: Order, amount: Tiyin | None = None, *, expect: int | None = None) -> None:
        """Ask whether it may be paid."""
        __tracebackhide__ = True
        self._judge(self.till.check_perform(order, amount), payme_suite.ALLOWED, payme_suite.FREE, expect)

    def create(
        self, order: Order, amount: Tiyin | None = None, *, transaction: str | None = None, time: Millis | None = None,
        expect: int | None = None,
    ) -> str:  # fmt: skip
        """Reserve it, with a new transaction unless one is named. Gives the transaction's id."""
        __tracebackhide__ = True
        transaction = transaction or self.till.new_id()
        moment = self.clock.now() if time is None else time
        answer = self.till.create(transaction, moment, order, amount)
        self._judge(answer, result(state=1, create_time=TIME), payme_suite.BORN, expect)
        return transaction

    def perform(self, transaction: str, *, expect: int | None = None) -> None:
        """Tell that the money arrived."""
        __tracebackhide__ = True
        paid = result(state=2, perform_time=TIME)
        self._judge(self.till.perform(transaction), paid, payme_suite.MONEY, expect)

    def cancel(self, transaction: str, reason: int = payme_suite.REFUND, *, expect: int | None = None) -> None:
        """Give it up, or give the money back."""
        __tracebackhide__ = True
        cancelled = Expected("state -1 or -2", lambda answer: answer.result.get("state") in (-1, -2))
        self._judge(self.till.cancel(transaction, reason), cancelled, payme_suite.GIVE_UP, expect)

    def check(self, transaction: str, *, expect: int | None = None) -> Mapping[str, Any]:
        """Ask for its state; gives the answer's members."""
        __tracebackhide__ = True
        return self._judge(self.till.check(transaction), result(state=STATE), payme_suite.LOOK, expect).result

    def statement(self, start: Millis, end: Millis) -> Sequence[Mapping[str, Any]]:
        """Ask for the transactions whose time is from `start` to `end`."""
        __tracebackhide__ = True
        rows = Expected("a list", lambda answer: isinstance(answer.result.get("transactions"), list))
        listed: Sequence[Mapping[str, Any]] = self._judge(
            self.till.statement(start, end), rows, payme_suite.LISTED, None
        ).result["transactions"]
        return listed

    def sandbox(self, new_order: Callable[[], Order] | None = None, *, top_up: bool = False) -> None:
        """Play the whole acceptance suite, and what Payme's sandbox leaves out; the test fails with all that is wrong.

        `top_up` is for accounts that are paid again and again.
        """
        __tracebackhide__ = True
        scenarios = payme_suite.TOP_UP if top_up else payme_suite.ONE_TIME
        examine("Payme", scenarios, self.till, Played(self.customers, self.clock, new_order))

    def _judge(self, answer: Answer, right: Expected, why: str, expect: int | None) -> Answer:
        __tracebackhide__ = True
        step = answer.expect(right, why) if expect is None else answer.expect(error(expect), REFUSED)
        judge("Payme", step)
        return answer


class ClickPlayer:
    """Click. Each method calls the shop, and fails the test unless the answer is right.

    `expect` is the code where the shop is to answer another than 0. An attempt is what `prepare` gives.
    """

    def __init__(self, till: ClickTill, customers: Customers, clock: Clock | Waiting) -> None:
        self.till = till
        self.customers = customers
        self.clock = clock

    def pay(self, order: Order) -> Attempt:
        """Pay an order as a payer does: prepare, complete. Gives the attempt."""
        __tracebackhide__ = True
        attempt = self.prepare(order)
        self.complete(attempt)
        return attempt

    def prepare(self, order: Order | Attempt, *, expect: int = 0, **changed: Any) -> Attempt:
        """Reserve an order by a new attempt, or prepare a known one again; `changed` are other fields of the form."""
        __tracebackhide__ = True
        attempt = order if isinstance(order, Attempt) else self.till.attempt(order)
        self._judge(attempt.prepare(**changed), click_suite.RESERVED, expect)
        return attempt

    def complete(self, attempt: Attempt, *, expect: int = 0, **changed: Any) -> None:
        """Tell that the money was taken."""
        __tracebackhide__ = True
        self._judge(attempt.complete(**changed), click_suite.DELIVERED, expect)

    def cancel(self, attempt: Attempt, *, expect: int = click_suite.CANCELLED) -> None:
        """Tell that the customer was not debited, or has the money back."""
        __tracebackhide__ = True
        self._judge(attempt.complete(click_suite.NOT_DEBITED), click_suite.GIVEN_UP, expect)

    def sandbox(self, new_order: Callable[[], Order] | None = None, *, top_up: bool = False) -> None:
        """Play the 15 scenarios of Click's test tool, and what it leaves out; the test fails with all that is wrong.

        `top_up` is for accounts that are paid again and again.
        """
        __tracebackhide__ = True
        scenarios = click_suite.CLICK_TOP_UP if top_up else (*click_suite.CLICK, *click_suite.CLICK_EXTRA)
        examine("Click", scenarios, self.till, Played(self.customers, self.clock, new_order))

    def _judge(self, answer: ClickAnswer, why: str, expect: int) -> None:
        __tracebackhide__ = True
        judge("Click", answer.expect(expect, why if expect in (0, click_suite.CANCELLED) else REFUSED))


def judge(provider: str, step: Step) -> None:
    """Fail the test where an answer is wrong."""
    __tracebackhide__ = True
    if not step.ok:
        pytest.fail("\n".join([f"{provider} cannot go on.", "", *explained(step)]))


def examine(provider: str, scenarios: Sequence[Scenario[Any]], till: Any, shop: Played) -> None:
    """Play scenarios, and fail the test with all that went wrong."""
    __tracebackhide__ = True
    steps = list(play(scenarios, till, shop))
    wrong = [step for step in steps if not step.ok]
    if wrong:
        pytest.fail("\n".join(report(provider, steps, wrong)), pytrace=False)


def report(provider: str, steps: Sequence[Step], wrong: Sequence[Step]) -> Iterator[str]:
    """Tell what is wrong: of each scenario the first in full, as the others often follow from it."""
    yield f"{provider} would not accept this shop: {len(wrong)} of {len(steps)} answers are wrong."
    for name, played in groupby(wrong, key=lambda step: step.scenario):
        first, *others = played
        yield ""
        yield f"In the scenario “{name}”:"
        yield from explained(first)
        yield from (f"  then      {step.call}: expected {step.expected}, got {step.got}" for step in others)


def explained(step: Step) -> Iterable[str]:
    """Explain a wrong answer."""
    matters, _, mend = step.why.partition(": ")
    yield f"  call      {step.call}"
    yield f"  expected  {step.expected}"
    yield f"  got       {step.got}"
    yield f"  why       {matters}."
    yield f"  mend      {mend}"


# The fixtures


@pytest.fixture
def paytechuz_app() -> App:
    """Override this one: give the application and its keys."""
    pytest.fail(APP, pytrace=False)


@pytest.fixture
def paytechuz_shop() -> Customers:
    """Override this one: give what can place an order and look at it."""
    pytest.fail(SHOP, pytrace=False)


@pytest.fixture
def paytechuz_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of every handler that has none of its own; to hand to those that have: `clock=paytechuz_clock`."""
    clock = Clock()
    monkeypatch.setattr(engine, "time", SimpleNamespace(time_ns=lambda: clock() * 1_000_000, sleep=time.sleep))
    return clock


@pytest.fixture
def paytechuz_call(paytechuz_app: App, paytechuz_clock: Clock) -> Iterator[Callable[[str], Send]]:
    """Give a way to call the application, which is started and shut down around the test."""
    del paytechuz_clock  # it must go by it from the start
    with callers(paytechuz_app.app, paytechuz_app.host) as call:
        yield call


@pytest.fixture
def payme(
    paytechuz_app: App,
    paytechuz_call: Callable[[str], Send],
    paytechuz_shop: Customers,
    paytechuz_clock: Clock,
) -> PaymePlayer:
    """Give Payme, calling the shop."""
    app = paytechuz_app
    if not app.payme_key:
        pytest.fail("Give paytechuz_app the cash register's key: App(app, payme_key=…)", pytrace=False)
    till = Till(paytechuz_call(app.payme_path), app.payme_key, login=app.payme_login)
    return PaymePlayer(till, paytechuz_shop, clock_of(app, paytechuz_clock))


@pytest.fixture
def click(
    paytechuz_app: App,
    paytechuz_call: Callable[[str], Send],
    paytechuz_shop: Customers,
    paytechuz_clock: Clock,
) -> ClickPlayer:
    """Give Click, calling the shop."""
    app = paytechuz_app
    if not app.click_secret_key or not app.click_service_id:
        message = "Give paytechuz_app the service's number and key: App(app, click_service_id=…, click_secret_key=…)"
        pytest.fail(message, pytrace=False)
    till = ClickTill(paytechuz_call(app.click_path), app.click_secret_key, int(app.click_service_id))
    return ClickPlayer(till, paytechuz_shop, clock_of(app, paytechuz_clock))


def clock_of(app: App, clock: Clock) -> Clock | Waiting:
    """Give the clock that the shop goes by."""
    return Waiting() if isinstance(app.app, str) else clock
