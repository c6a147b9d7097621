"""A process that dies at any moment of a call: kill −9, then the provider asks again, and another process answers.

The moments are those where the world could have seen something: before each statement, after it, before COMMIT, and
after it when nobody has been answered yet. A call first lives through all of them, which counts them; then it dies at
each in turn. Whatever was stored, the repetition must be answered right, twice alike, and take effect once. The shop is
written with SQLAlchemy, and with Django.

    python -m tests.faults.processes SHOP DATABASE    reads tasks, one line of JSON each, and lets a child die of each
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from django.db import connections
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.orm import Session

from paytechuz_core.transaction import HALF_DAY, Millis
from tests.core import click_wire
from tests.core.wire import NOW, Params, Wire, cancel, check, create, fiscal, perform
from tests.databases import DEFAULT_DRIVERS, SYNC, database_of
from tests.faults.books import TIMES, Ledger, audit
from tests.faults.django_shop import ALIAS, DjangoShop, Payme, django_shop, known
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


# The shops


Moment: TypeAlias = Callable[..., None]
"""Called at each moment, with whatever is known of it."""


@dataclass(frozen=True, slots=True)
class OnSession:
    """A shop on SQLAlchemy."""

    handler: type[ShopPayme] = ShopPayme

    @contextmanager
    def opened(self, url: str) -> Iterator[Shop]:
        """Open it on an empty database."""
        engine = create_engine(url)
        yield Shop(engine, self.handler).open()
        engine.dispose()

    @contextmanager
    def known(self, url: str) -> Iterator[Shop]:
        """Know it where its tables are. It has no connection, so that no child inherits one."""
        shop = Shop(create_engine(url, poolclass=NullPool), self.handler)
        shop.ask(check())  # compiles the statements, so that no child begins with it
        yield shop

    def watch(self, shop: Shop, moment: Moment) -> None:
        """See the moments of this process."""
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(shop.engine, name, moment)


@dataclass(frozen=True, slots=True)
class OnDjango:
    """A shop on Django."""

    view: type[Payme] = Payme

    def opened(self, url: str) -> AbstractContextManager[DjangoShop]:
        """Open it on an empty database."""
        return django_shop(url, self.view)

    @contextmanager
    def known(self, url: str) -> Iterator[DjangoShop]:
        """Know it where its tables are. It has no connection any more, so that no child inherits one."""
        with known(url, self.view) as shop:
            shop.ask(check())
            shop.leave_thread()
            yield shop

    def watch(self, shop: DjangoShop, moment: Moment) -> None:
        """See the moments of this process. What Django tells a new connection, and autocommit, are moments too."""
        connection: Any = connections[shop.alias]
        commit = connection._commit  # noqa: SLF001 - where Django calls the driver's commit(), whoever asked for it

        def execute(run: Callable[..., Any], *statement: Any) -> Any:
            moment()
            result = run(*statement)
            moment()
            return result

        def commits() -> None:
            moment()
            commit()
            moment()

        connection.execute_wrappers.append(execute)
        connection._commit = commits  # noqa: SLF001 - as above


class OnItsOwn(ShopPayme):
    """The negative control: its hooks write over a connection of their own, outside the database transaction."""

    def mark(self, status: str, transaction: Any) -> None:
        """Commit the effect, whatever becomes of the payment."""
        with Session(self.db.get_bind().engine) as db:
            db.get_one(Order, transaction.account_id).status = status
            db.add(Effect(status, transaction))
            db.commit()


class OnItsOwnInDjango(Payme):
    """The same control on Django."""

    def mark(self, status: str, transaction: Any) -> None:
        """Commit the effect, whatever becomes of the payment."""
        effect = (status, transaction.transaction_id, transaction.amount_tiyin)
        with closing(connections[ALIAS].copy()) as own, own.cursor() as cursor:
            cursor.execute("UPDATE orders SET status = %s WHERE id = %s", (status, transaction.account_id))
            cursor.execute("INSERT INTO effects (kind, transaction_id, amount_tiyin) VALUES (%s, %s, %s)", effect)


SHOPS: Final[Mapping[str, OnSession | OnDjango]] = {
    "SQLAlchemy": OnSession(),
    "Django": OnDjango(),
    "SQLAlchemy, hooks on their own": OnSession(OnItsOwn),
    "Django, hooks on their own": OnDjango(OnItsOwnInDjango),
}


# What lets a child die


class ForkServer:
    """A process that forks a child for each task. It has one thread, so that a fork copies nothing half-done."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def send(self, call: Call, moment: int | None) -> dict[str, Any]:
        """Let a child make a call and die at this moment; give the moments it saw, and its answer if it lived."""
        task = {"payme": call.payme, "click": call.click, "now": call.now, "moment": moment}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told


@contextmanager
def fork_server(name: str, url: str) -> Iterator[ForkServer]:
    """Start one for a shop."""
    command = [sys.executable, "-m", "tests.faults.processes", name, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT, env=environment) as process:  # type: ignore[call-overload]
        try:
            yield ForkServer(process)
        finally:
            process.stdin.close()
            process.wait(60)


def mortal(name: str, shop: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Make one call, and die when its moment has come."""
    seen = 0

    def moment(*_: Any) -> None:
        nonlocal seen
        if seen == task["moment"]:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    SHOPS[name].watch(shop, moment)
    message = task["payme"] and (task["payme"][0], task["payme"][1])
    answer = Call(message, task["click"], task["now"]).ask(shop)
    moment()  # after COMMIT, and nobody has been answered
    return {"moments": seen, "answer": answer}


def serve(name: str, url: str) -> None:
    """Let a child die of each task."""
    with SHOPS[name].known(url) as shop:
        for line in sys.stdin:
            print(json.dumps(outlived(name, shop, json.loads(line))), flush=True)


def outlived(name: str, shop: Shop | DjangoShop, task: dict[str, Any]) -> dict[str, Any]:
    """Let a child do a task; say whether it was killed, and what it told."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, json.dumps(mortal(name, shop, task)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"killed": killed, **json.loads(told or "{}")}


# The experiments


def at_every_moment(driver: str, written: str, rounds: int, tick: Tick) -> Tally:
    """Let a process die at every moment of as many moves; `written` names the shop."""
    ledger, tally, number = Ledger(), Tally(), 1000
    with database(driver) as url, SHOPS[written].opened(url) as shop, fork_server(written, url) as forks:
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
        engine = create_engine(url)
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


# Each database once with SQLAlchemy, and Django once; the others are for those who wait.
SHORT: Final = {*(("SQLAlchemy", name) for name in SYNC), ("Django", "postgresql")}
LONGER: Final = {Size.CI: len(MOVES), Size.FULL: 10 * len(MOVES)}

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *(
        Experiment(
            "kill -9 at every moment of a call",
            f"{database_of(driver)}, {written}",
            "a process may die before or after any statement or COMMIT: the repeated call is answered right, once",
            partial(at_every_moment, driver, written),
            {Size.SHORT: 2, **LONGER} if (written, database_of(driver)) in SHORT else LONGER,
            missing(driver),
        )
        for written in ("SQLAlchemy", "Django")
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
    *(
        Experiment(
            "kill -9 with hooks outside the database transaction",
            f"postgresql, {written}",
            "an effect that is committed on its own takes place twice",
            partial(at_every_moment, "postgresql+psycopg2", f"{written}, hooks on their own"),
            sizes,
            missing("postgresql+psycopg2"),
            control=True,
        )
        for written, sizes in (
            ("SQLAlchemy", {Size.SHORT: 2, Size.CI: 2, Size.FULL: len(MOVES)}),
            ("Django", {Size.CI: 2, Size.FULL: len(MOVES)}),
        )
    ),
)


if __name__ == "__main__":
    serve(*sys.argv[1:])
