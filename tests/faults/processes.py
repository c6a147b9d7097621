"""A process that dies at any moment of a call: kill −9, then the provider asks again, and another process answers.

The moments are those where the world could have seen something: before each statement, after it, before COMMIT, and
after it when nobody has been answered yet. A call first lives through all of them, which counts them; then it dies at
each in turn. Whatever was stored, the repetition must be answered right, twice alike, and take effect once.

    python -m tests.faults.processes DATABASE    reads tasks, one line of JSON each, and lets a child die of each
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.orm import Session

from paytechuz_core.transaction import HALF_DAY, Millis
from tests.core import click_wire
from tests.core.wire import NOW, Params, Wire, cancel, check, create, fiscal, perform
from tests.databases import DEFAULT_DRIVERS, database_of
from tests.faults.books import TIMES, Ledger, audit
from tests.faults.django_shop import DjangoShop
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import database, missing
from tests.faults.payers import Payers, paying
from tests.faults.shop import furnish, served
from tests.sql.shop import Effect, Order, Shop, ShopPayme

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a provider: a message of Payme's, or a form of Click's; and the shop's clock at that time."""

    payme: Wire | None = None
    click: click_wire.Form | None = None
    now: Millis = NOW

    def ask(self, shop: Shop | DjangoShop) -> Params:
        """Make it; Click's answer is its `error` alone."""
        if self.payme is not None:
            return replace(shop, settings={**shop.settings, "clock": lambda: self.now}).ask(self.payme)
        assert self.click is not None
        return {"error": shop.click(self.click)}

    def note(self, answer: Params, ledger: Ledger) -> None:
        """Write down what was acknowledged."""
        if self.payme is not None and "state" in answer:
            ledger.note(self.payme[1]["id"], answer["state"], answer[TIMES[answer["state"]]])
        elif self.click is not None and answer["error"] in (0, PAID_ALREADY):
            ledger.note(self.click["click_trans_id"], 1 + int(self.click["action"]))


PAID_ALREADY: Final = -4
"""What Click is answered when it repeats a Complete that was stored."""


@dataclass(frozen=True, slots=True)
class Move:
    """What leads to a call, the call itself last, for one order; and what it may be answered when it is repeated."""

    calls: Callable[[str, int], tuple[Call, ...]]
    answers: Callable[[Params], bool]


def state(number: int) -> Callable[[Params], bool]:
    """Expect a state of Payme's."""
    return lambda answer: answer.get("state") == number


def said(*codes: int) -> Callable[[Params], bool]:
    """Expect one of Click's codes, or an error of Payme's."""
    return lambda answer: answer.get("error", answer.get("code")) in codes


def payme(*messages: Wire) -> tuple[Call, ...]:
    """Give calls of Payme's."""
    return tuple(Call(message) for message in messages)


def click(*forms: click_wire.Form) -> tuple[Call, ...]:
    """Give calls of Click's."""
    return tuple(Call(click=form) for form in forms)


def attempt(order: str, number: int) -> Params:
    """Name one attempt of Click's."""
    return {"click_trans_id": number, "click_paydoc_id": number, "merchant_trans_id": order}


LATE: Final = NOW + HALF_DAY + 1


def newcomer(order: str, number: int) -> tuple[Call, ...]:
    """Take an order from a transaction that is past its time."""
    return (*payme(create(f"old{number}", order=order)), Call(create(f"new{number}", order=order, time=LATE), now=LATE))


def too_late(order: str, number: int) -> tuple[Call, ...]:
    """Pay a transaction that is past its time: it is cancelled, and the call refused."""
    return (*payme(create(f"p{number}", order=order)), Call(perform(f"p{number}"), now=LATE))


def prepared(order: str, number: int, *forms: Callable[..., click_wire.Form], error: int = 0) -> tuple[Call, ...]:
    """Let Click prepare and complete; the last call comes with `error`."""
    *before, last = (click_wire.prepare, *forms)
    this = attempt(order, number)
    return click(*(form(**this) for form in before), last(**this, error=error))


def superseded(order: str, number: int) -> tuple[Call, ...]:
    """Prepare an order that another attempt has prepared."""
    first, second = attempt(order, number), attempt(order, number + 1)
    return click(click_wire.prepare(**first), click_wire.prepare(**second))


def lived(*messages: Callable[[str], Wire]) -> Callable[[str, int], tuple[Call, ...]]:
    """Let Payme's transaction live through these after its Create."""

    def calls(order: str, number: int) -> tuple[Call, ...]:
        name = f"p{number}"
        return payme(create(name, order=order), *(message(name) for message in messages))

    return calls


MOVES: Final[Mapping[str, Move]] = {
    "Create": Move(lived(), state(1)),
    "Perform": Move(lived(perform), state(2)),
    "Cancel before the payment": Move(lived(cancel), state(-1)),
    "refund": Move(lived(perform, partial(cancel, reason=5)), state(-2)),
    "SetFiscalData": Move(lived(perform, fiscal), lambda answer: answer.get("success") is True),
    "Create over an expired holder": Move(newcomer, state(1)),
    "Perform past the limit": Move(too_late, said(-31008)),
    "Prepare": Move(prepared, said(0)),
    "Complete": Move(lambda *of: prepared(*of, click_wire.complete), said(0, PAID_ALREADY)),
    "Complete that failed": Move(lambda *of: prepared(*of, click_wire.complete, error=-5017), said(-9)),
    "Click takes it back": Move(
        lambda *of: prepared(*of, click_wire.complete, click_wire.complete, error=-5017), said(-9)
    ),
    "Prepare over another": Move(superseded, said(0)),
}


class OnItsOwn(ShopPayme):
    """The negative control: its hooks write over a connection of their own, outside the database transaction."""

    def mark(self, status: str, transaction: Any) -> None:
        """Commit the effect, whatever becomes of the payment."""
        with Session(self.db.get_bind().engine) as db:
            db.get_one(Order, transaction.account_id).status = status
            db.add(Effect(status, transaction))
            db.commit()


HANDLERS: Final = {handler.__name__: handler for handler in (ShopPayme, OnItsOwn)}


# What lets a child die


class ForkServer:
    """A process that forks a child for each task. It has one thread, so that a fork copies nothing half-done."""

    def __init__(self, process: "subprocess.Popen[str]", handler: type[ShopPayme]) -> None:
        self.process = process
        self.handler = handler

    def send(self, call: Call, moment: int | None) -> dict[str, Any]:
        """Let a child make a call and die at this moment; give the moments it saw, and its answer if it lived."""
        task = {"payme": call.payme, "click": call.click, "now": call.now, "moment": moment}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**task, "handler": self.handler.__name__}) + "\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told


@contextmanager
def fork_server(url: str, handler: type[ShopPayme]) -> Iterator[ForkServer]:
    """Start one."""
    command = [sys.executable, "-m", "tests.faults.processes", url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT, env=environment) as process:  # type: ignore[call-overload]
        try:
            yield ForkServer(process, handler)
        finally:
            process.stdin.close()
            process.wait(60)


def mortal(engine: Engine, task: dict[str, Any]) -> dict[str, Any]:
    """Make one call, and die when its moment has come."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        if seen == task["moment"]:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(engine, name, moment)
    message = task["payme"] and (task["payme"][0], task["payme"][1])
    answer = Call(message, task["click"], task["now"]).ask(Shop(engine, HANDLERS[task["handler"]]))
    moment()  # after COMMIT, and nobody has been answered
    return {"moments": seen, "answer": answer}


def serve(url: str) -> None:
    """Let a child die of each task."""
    # Without a pool, so that no child inherits a connection; warmed up here, so that none begins with compiling.
    engine = create_engine(url, poolclass=NullPool)
    Shop(engine).ask(check())
    for line in sys.stdin:
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.write(writer, json.dumps(mortal(engine, json.loads(line))).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **json.loads(told or "{}")}), flush=True)


# The experiments


def at_every_moment(driver: str, handler: type[ShopPayme], rounds: int, tick: Tick) -> Tally:
    """Let a process die at every moment of as many moves."""
    ledger, tally = Ledger(), Tally()
    with database(driver) as url, ExitStack() as stack:
        engine = create_engine(url)
        shop, number = Shop(engine, handler).open(), 1000
        forks = stack.enter_context(fork_server(url, handler))
        for name, move in islice(cycle(MOVES.items()), rounds):
            moments = moment = -1
            while moment <= moments:
                number += 2
                *before, last = move.calls(shop.order(), number)
                for call in before:
                    call.note(call.ask(shop), ledger)
                # The first child lives, and counts the moments; the last outlives them all.
                told = forks.send(last, None if moment < 0 else moment)
                assert told["killed"] is (0 <= moment < moments), (name, moment, told)
                if told["killed"]:
                    tally.did["kills"] += 1
                else:
                    last.note(told["answer"], ledger)
                    moments = told["moments"]
                first, second = last.ask(shop), last.ask(shop)
                assert move.answers(first), (name, moment, first)
                # Payme is answered the same for ever; Click that what it completes is paid already.
                if second != ({"error": PAID_ALREADY} if name == "Complete" else first):
                    ledger.contradict(f"{name}, killed at moment {moment}: first {first}, then {second}")
                last.note(first, ledger)
                moment += 1
            tally.did["moves"] += 1
            tick()
        tally.add(audit(engine, ledger))
        engine.dispose()
    return tally


def whole_shop(driver: str, rounds: int, tick: Tick) -> Tally:
    """Kill the shop's process while payers pay, and start it again where it was."""
    dice, tally = Random(7), Tally()
    with database(driver) as url, ExitStack() as stack:
        engine = create_engine(url)
        stack.callback(engine.dispose)
        furnish(engine, 1000 + 500 * rounds)
        shop = stack.enter_context(served(url))

        def kill() -> None:
            nonlocal shop
            shop.kill()
            shop = stack.enter_context(served(url, port=int(shop.url.rpartition(":")[2])))

        with paying(Payers([shop.webhook])) as payers:
            for _ in range(rounds):
                payers.outlast(kill, "kills", dice, tally)
                tick()
        tally.add(audit(engine, payers.ledger))
    tally.did["calls repeated"] = payers.repeats
    return tally


EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *(
        Experiment(
            "kill -9 at every moment of a call",
            database_of(driver),
            "a process may die before or after any statement or COMMIT: the repeated call is answered right, once",
            partial(at_every_moment, driver, ShopPayme),
            {Size.SHORT: 2, Size.CI: len(MOVES), Size.FULL: 10 * len(MOVES)},
            missing(driver),
        )
        for driver in DEFAULT_DRIVERS
    ),
    *(
        Experiment(
            "kill -9 of the shop under load",
            database_of(driver),
            "what the shop has acknowledged when it dies is there when it comes back, and payments go on",
            partial(whole_shop, driver),
            {Size.SHORT: 1, Size.CI: 3, Size.FULL: 20},
            missing(driver),
        )
        for driver in DEFAULT_DRIVERS
    ),
    Experiment(
        "kill -9 with hooks outside the database transaction",
        "postgresql",
        "an effect that is committed on its own takes place twice",
        partial(at_every_moment, "postgresql+psycopg2", OnItsOwn),
        {Size.SHORT: 2, Size.CI: 2, Size.FULL: len(MOVES)},
        missing("postgresql+psycopg2"),
        control=True,
    ),
)


if __name__ == "__main__":
    serve(sys.argv[1])
