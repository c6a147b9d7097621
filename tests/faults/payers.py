"""Payme under load: many payers at once, and a provider that repeats a call until it is answered.

A payer reserves an order, pays it, and one in four takes the money back. What fails to arrive, or is answered −32400,
is sent again, as Payme does, until it is answered or patience ends. Every acknowledgement goes into the ledger; now and
then a call that was answered is sent once more, and must be answered with the same bytes.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Thread
from typing import Any, Final

from paytechuz_core.testing import Answer, Till, over_http
from tests.core.wire import AMOUNT, KEY
from tests.faults.books import TIMES, Ledger
from tests.faults.experiment import Tally

PAYERS: Final = 8
"""How many pay at once."""

PATIENCE: Final = 120.0
"""Seconds until a call that is not answered is given up as a failure of the whole experiment."""


class Unanswered(AssertionError):  # noqa: N818 - named for what happened
    """A call that got no final answer however often it was repeated."""


@dataclass(slots=True)
class Payers:
    """Payers at work. `urls` are the shop's servers: each call goes to any of them, as through a balancer."""

    urls: Sequence[str]
    ledger: Ledger = field(default_factory=Ledger)
    orders: Iterator[int] = field(default_factory=lambda: count(1))
    timeout: float = 5.0
    repeats: int = 0
    failures: list[BaseException] = field(default_factory=list)
    stop: Event = field(default_factory=Event)

    def pay(self, order: int, dice: random.Random) -> None:
        """Take one order through its life."""
        name = f"{order:024x}"
        create = {
            "id": name,
            "time": time.time_ns() // 1_000_000,
            "amount": AMOUNT,
            "account": {"order_id": str(order)},
        }
        self.move("CreateTransaction", create, dice)
        self.move("PerformTransaction", {"id": name}, dice)
        if dice.random() < 1 / 4:
            self.move("CancelTransaction", {"id": name, "reason": 5}, dice)

    def move(self, method: str, params: dict[str, Any], dice: random.Random) -> None:
        """Insist on one call, and write its acknowledgement down."""
        answer = self.insist(method, params, dice)
        if answer.error:
            message = f"{method} {params} was answered {answer.message}"
            raise Unanswered(message)
        state = answer.result["state"]
        self.ledger.note(params["id"], state, answer.result[TIMES[state]])
        if dice.random() < 1 / 8:
            again = self.insist(method, params, dice)
            if again.result != answer.result:
                self.ledger.contradict(f"{method} {params}: first {answer.message}, then {again.message}")

    def insist(self, method: str, params: dict[str, Any], dice: random.Random) -> Answer:
        """Repeat a call until it is answered."""
        deadline = time.monotonic() + PATIENCE
        while True:
            till = Till(over_http(dice.choice(self.urls), self.timeout), KEY)
            try:
                answer = till.call(method, params)
            except OSError as error:
                story: object = error
            else:
                if answer.code != -32400:
                    return answer
                story = answer.message
            if time.monotonic() > deadline:
                message = f"{method} {params} was not answered in {PATIENCE:.0f} s; last: {story}"
                raise Unanswered(message)
            self.repeats += 1
            time.sleep(dice.uniform(0.01, 0.1))

    def work(self, seed: int) -> None:
        """Pay for one order after another until told to stop."""
        dice = random.Random(seed)
        try:
            while not self.stop.is_set():
                self.pay(next(self.orders), dice)
        except BaseException as failure:  # noqa: BLE001 - raised again where the payers are waited for
            self.failures.append(failure)

    def wait_for(self, moves: int) -> None:
        """Wait until so many more moves are acknowledged."""
        goal, deadline = len(self.ledger.moves) + moves, time.monotonic() + PATIENCE
        while len(self.ledger.moves) < goal:
            if self.failures:
                raise self.failures[0]
            if time.monotonic() > deadline:
                message = f"{moves} more moves were not acknowledged in {PATIENCE:.0f} s"
                raise Unanswered(message)
            time.sleep(0.01)

    def outlast(self, strike: Callable[[], None], what: str, dice: random.Random, tally: Tally) -> None:
        """Pay for a while, let something be struck at a moment that dice choose, and pay on; note how long it took."""
        self.wait_for(dice.randrange(20, 120))
        struck = time.monotonic()
        strike()
        self.wait_for(20)
        tally.did[what] += 1
        tally.recovered.append(self.ledger.silence(struck))


@contextmanager
def paying(payers: Payers) -> Iterator[Payers]:
    """Let them pay; when it is over, each finishes the order it is at."""
    threads = [Thread(target=payers.work, args=(seed,), daemon=True) for seed in range(PAYERS)]
    for thread in threads:
        thread.start()
    try:
        yield payers
    finally:
        payers.stop.set()
        for thread in threads:
            thread.join(2 * PATIENCE)
    if payers.failures:
        raise payers.failures[0]
