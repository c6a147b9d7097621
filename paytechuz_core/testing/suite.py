"""What the acceptance suites of all providers are made of: a way to call, a shop to order from, scenarios and steps.

A scenario is one page of a provider's suite. It orders from a `Shop`, calls through a provider's till, and yields a
`Step` for every answer; so a test can assert that all are right, a demo can show them as they come, and a command line
can do both for an endpoint in any language. Nothing here needs pytest.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPException
from threading import Barrier
from typing import Final, Generic, Protocol, TypeVar

from paytechuz_core.money import Tiyin
from paytechuz_core.transaction import Fields, Millis


@dataclass(frozen=True, slots=True)
class Order:
    """Something to pay for: the account fields as the provider sends them (`{"id": "42"}`), and the price in tiyin."""

    account: Fields
    amount_tiyin: Tiyin


class Shop(Protocol):
    """A shop to order from, seen from inside; a test, a demo or a command line brings its own."""

    def new_order(self) -> Order:
        """Place an order that awaits payment; for `TOP_UP`, a new account with a balance of 0.

        Raises `Lacking` where there is no other order to have.
        """

    def status(self, order: Order) -> str | None:
        """Say what the shop itself believes; None where nobody can look.

        For `ONE_TIME`: exactly `paid` while the order is paid, any other word otherwise; a shop that counts says
        `paid twice` where it was told twice. For `TOP_UP`: the balance in tiyin, as text.
        """

    def advance(self, milliseconds: Millis) -> None:
        """Let time pass: a test moves an injected clock, a demo waits."""

    def now(self) -> Millis:
        """Give the time that both sides agree on, in milliseconds since 1970."""


class Lacking(Exception):  # noqa: N818 - it is no error: what cannot be had is left out
    """The shop has no other order to give, so what needs one cannot be played. The text says what would help."""


@dataclass(frozen=True, slots=True)
class Step:
    """One answer, judged. `why` says in one sentence why a wrong one costs money and how to mend it.

    A step that is `skipped` judged nothing, and is not wrong: nobody could look, or there was no order left.
    """

    scenario: str
    call: str
    expected: str
    got: str
    ok: bool
    why: str
    skipped: bool = False


SILENCE: Final = (
    "The provider suspends a payment that gets no answer, until somebody finishes it by hand: see why the endpoint fell"
    " silent."
)

TillT = TypeVar("TillT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Scenario(Generic[TillT]):
    """One page of the suite. Call it with a till and a shop, and it yields its steps as they happen."""

    name: str
    about: str
    steps: Callable[[TillT, Shop], Iterator[Step]]

    def __call__(self, till: TillT, shop: Shop) -> Iterator[Step]:
        """Play it. An endpoint that falls silent ends it, and so does a lack of orders, with a step that says so."""
        try:
            for step in self.steps(till, shop):
                yield replace(step, scenario=self.name)
        except Lacking as lacking:
            yield Step(
                self.name, "the rest", "an order that awaits payment", str(lacking), ok=True, why="", skipped=True
            )
        except (OSError, HTTPException) as lost:
            yield Step(self.name, "any call", "an answer", f"none: {shorten(repr(lost))}", ok=False, why=SILENCE)


def scenario(steps: Callable[[TillT, Shop], Iterator[Step]]) -> Scenario[TillT]:
    """Make a scenario of a generator of steps; its name is the scenario's."""
    about = (steps.__doc__ or "").partition("\n")[0]
    return Scenario(steps.__name__.replace("_", " "), about, steps)


def play(scenarios: Iterable[Scenario[TillT]], till: TillT, shop: Shop) -> Iterator[Step]:
    """Play one scenario after another."""
    for each in scenarios:
        yield from each(till, shop)


def status(shop: Shop, order: Order, *, paid: bool, why: str) -> Step:
    """Ask the shop whether it believes that the order is paid."""
    word = shop.status(order)
    return seen("the order's status", "paid" if paid else "not paid", word, (word == "paid") is paid, why)


def balance(shop: Shop, order: Order, tiyin: Tiyin, why: str) -> Step:
    """Ask the shop for the account's balance."""
    word = shop.status(order)
    return seen("the balance", str(tiyin), word, word == str(tiyin), why)


def seen(what: str, expected: str, word: str | None, ok: bool, why: str) -> Step:  # noqa: FBT001 - as in a Step
    """Judge what the shop itself says, where it says anything."""
    if word is None:
        return Step("", what, expected, "nobody looked", ok=True, why=why, skipped=True)
    return Step("", what, expected, word, ok, why)


def at_once(calls: Sequence[Callable[[], AnswerT]]) -> list[AnswerT]:
    """Call all of them at the same moment, and wait for the answers; raises what the first that failed raised."""
    gate = Barrier(len(calls))

    def go(call: Callable[[], AnswerT]) -> AnswerT:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(go, call) for call in calls]]


def alike(one: object, other: object) -> bool:
    """Compare as JSON does: `True` is not 1, and 0 is not 0.0; the order of members does not matter."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def show(value: object) -> str:
    """Write a value as the wire has it."""
    return json.dumps(value, ensure_ascii=False)


def shorten(text: str, limit: int = 200) -> str:
    """Keep a long text from filling a table."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
