"""Hooks that misbehave, over HTTP, on every framework: the payment and the hook's work are both there, or neither.

A hook does as in `tests.http.habits`: it raises, rolls back, commits, closes its session, swallows an error of the
database or ends its task or its process, before its work, after it and in its COMMIT; or the provider hangs up
meanwhile. Each habit is tried in each move of a payment, of Payme and of Click. Whatever the call is answered, it must
be true; the hook is then mended, as a merchant would, and the same call must succeed, once. The negative controls are
libraries that answer with success though the hook raised, or that call it outside the database transaction.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any, Final
from unittest.mock import patch

from anyio.from_thread import start_blocking_portal
from sqlalchemy.orm import Session

from paytechuz_core.decision import Event
from paytechuz_core.handler import AsyncHandler, SyncHandler
from paytechuz_core.hooks import Drafts, call_hook, plain
from tests.databases import ASYNC, SYNC
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import missing, place
from tests.http import django_habits, habits
from tests.http.click import Click
from tests.http.clients import CLIENTS, AsgiClient, Client, Database, FastApiSync, Habit, furnished
from tests.http.django import DjangoClient, furnished_by_django
from tests.http.habits import CANCELLED, CREATED, PAID, REFUNDED, Broken, Move, hook, stored

COMPLETED: Final = Move("successfully_payment", ("prepare",), "complete", 2)
FAILED: Final = Move("cancelled_payment", ("prepare",), "abort", -1)
TAKEN_BACK: Final = Move("cancelled_payment", ("prepare", "complete"), "abort", -2)
MOVES: Final = (PAID, FAILED, REFUNDED, COMPLETED, CANCELLED, TAKEN_BACK, CREATED)

FINAL: Final = {"prepare": (0,), "complete": (0, -4), "abort": (-9,)}
"""What Click is answered where its call is done, the first time and again."""


def done(shop: Client, method: str, order: Any) -> bool:
    """Make one call of the payment; tell whether it was answered with success, and not with a system error."""
    if method in FINAL:
        error: int = getattr(Click(shop), method)(1, order).error
        assert error in (*FINAL[method], -7), (method, error)
        return error != -7
    answer = habits.make(shop, method, order)
    assert answer.code in (None, -32400), answer.json
    return answer.code is None


@dataclass(frozen=True)
class Cell:
    """A habit: whether its call must succeed, must not, or may do either; and what ends the call, if anything does."""

    habit: Habit
    succeeds: bool | None
    ends: type[BaseException] | tuple[()] = ()


def cells_of(client: type[Client]) -> Iterator[Cell]:
    """Give the habits of a framework's merchants."""
    good, bad, disputed = (
        (django_habits.GOOD, django_habits.BAD, django_habits.DISPUTED)
        if client is DjangoClient
        else (habits.GOOD_OF_A_SESSION, habits.BAD_OF_A_SESSION, habits.DISPUTED_OF_A_SESSION)
    )
    yield from (Cell(habit, succeeds=True) for habit in (*habits.GOOD, *good))
    yield from (Cell(habit, succeeds=False) for habit in (*habits.BAD, *bad))
    yield from (Cell(habit, succeeds=None) for habit in disputed)
    for gone in (*habits.STOPS, *(() if issubclass(client, AsgiClient) else habits.ENDS)):
        for after in habits.BEFORE_A_STOP:
            yield Cell(habits.stopped_by(gone, after), succeeds=False, ends=gone)


def lived(database: Database, client: type[Client], move: Move, cell: Cell, tally: Tally) -> None:
    """Let a hook behave once as in this cell, then well, and see what there is after each call."""
    shop, order, before = scene(database, client, move, cell.habit)
    judge(shop, move, order, before, cell, tally, told=ended(shop, move, order, cell.ends))


def hung_up(database: Database, client: type[AsgiClient], move: Move, first: Habit, tally: Tally) -> None:
    """Let the provider hang up while a hook runs, which has done something first."""
    entered, leave = threading.Event(), threading.Event()

    def waits(self: Any, transaction: Any) -> habits.Steps:
        yield from first(self, transaction)
        entered.set()
        assert (yield self.wait(leave))
        if first is habits.nothing:
            yield from habits.commits(self, transaction)

    waits.__name__ = f"{first.__name__}_and_the_provider_hangs_up"
    shop, order, before = scene(database, client, move, waits)
    with shop.hung_up_on(entered, leave):
        told = ended(shop, move, order, asyncio.CancelledError)
    judge(shop, move, order, before, Cell(waits, succeeds=None), tally, told=told)


def scene(database: Database, client: type[Any], move: Move, habit: Habit) -> tuple[Any, Any, Any]:
    """Bring an order to just before the move, in a shop with a habit; give shop and order, and what there is."""
    database.empty()
    shop = client(database=database, habits=[hook(move.hook, habit, times=1)])
    database.order(voucher="taken")
    order = database.order()
    for method in move.before:
        assert done(shop, method, order), (move, method)
    return shop, order, stored(shop)


def ended(shop: Client, move: Move, order: Any, ends: type[BaseException] | tuple[()]) -> bool | None:
    """Make the move; tell whether it succeeded, or None where nobody was answered."""
    try:
        return done(shop, move.call, order)
    except ends:
        return None


def judge(shop: Client, move: Move, order: Any, before: Any, cell: Cell, tally: Tally, *, told: bool | None) -> None:
    """Hold what there is against what was answered; then let the call come again, twice, to a hook that is well."""
    name = f"{move}, {cell.habit.__name__}"
    if told:
        tally.acknowledged += 1
        tally.lost += missed(shop, move, order, name)
        if cell.succeeds is False:
            tally.lost.append(f"{name}: the hook's work is lost, and the call was answered with success")
    elif told is None and cell.succeeds is None:  # nobody knows, but it is whole
        if stored(shop) != before:
            tally.lost += missed(shop, move, order, name)
    else:
        assert cell.succeeds is not True, f"{name}: a good habit was not answered with success"
        if stored(shop) != before:
            tally.doubled.append(f"{name}: the call did not succeed, and left {stored(shop)}")
    assert done(shop, move.call, order), f"{name}: the repeated call did not succeed"
    tally.acknowledged += 1
    tally.lost += missed(shop, move, order, f"{name}, repeated")
    after = stored(shop)
    assert done(shop, move.call, order), f"{name}: the call did not succeed the third time"
    if stored(shop) != after:
        tally.doubled.append(f"{name}: the third call changed something")
    if shop.database.find(order).paid > 1:
        tally.doubled.append(f"{name}: the shop was told {shop.database.find(order).paid} times")


def missed(shop: Client, move: Move, order: Any, name: str) -> Iterator[str]:
    """Say what of a move that was acknowledged is not there."""
    found = shop.database.find(order)
    if [*shop.database.states().values()] != [move.state]:
        yield f"{name}: was acknowledged, and the payments are {shop.database.states()}"
    if found.status != "touched" or not found.paid:
        yield f"{name}: was acknowledged, and the shop was never told"


# The experiments


def misbehave(name: str, client: type[Client], rounds: int, tick: Tick) -> Tally:
    """Go through the moves, and for each through all habits, on one database and one framework."""
    tally = Tally()
    with shop_on(name, client) as database:
        for move in islice(cycle(MOVES), rounds):
            for cell in cells_of(client):
                lived(database, client, move, cell, tally)
                tally.did["habits"] += 1
            if issubclass(client, AsgiClient):  # the others have a thread for each request, which nobody cancels
                for first in habits.BEFORE_A_STOP:
                    hung_up(database, client, move, first, tally)
                    tally.did["habits"] += 1
            tick()
    return tally


@contextmanager
def shop_on(name: str, client: type[Client]) -> Iterator[Database]:
    """Make an empty database with a framework's tables."""
    with start_blocking_portal("asyncio") as portal, place(name) as made:
        opened = (
            furnished_by_django(made, portal, alias="faults")
            if client is DjangoClient
            else furnished(made, driver_of(name, client), portal, asynchronous=client.is_async)
        )
        with opened as database:
            yield database


def driver_of(name: str, client: type[Client]) -> str:
    """Give the driver by which a framework reaches a database."""
    return (ASYNC if client.is_async else SYNC)[name][0]


# Negative controls


@contextmanager
def swallowing() -> Iterator[None]:
    """Answer with success though the hook raised."""
    fire, afire = SyncHandler.fire, AsyncHandler.fire

    def forgive(handler: SyncHandler, event: Event, drafts: Drafts) -> Any:
        with suppress(Broken):
            return fire(handler, event, drafts)

    async def aforgive(handler: AsyncHandler, event: Event, drafts: Drafts) -> Any:
        with suppress(Broken):
            return await afire(handler, event, drafts)

    with patch.object(SyncHandler, "fire", forgive), patch.object(AsyncHandler, "fire", aforgive):
        yield


@contextmanager
def outside() -> Iterator[None]:
    """Call hooks with a session of their own, outside the database transaction."""

    def fire(handler: Any, event: Event, drafts: Drafts) -> Any:
        with Session(handler.db.get_bind().engine) as db, patch.object(handler, "db", db):
            return plain(call_hook(handler, event, drafts))

    with patch.object(SyncHandler, "fire", fire):
        yield


def careless(
    variant: Callable[[], AbstractContextManager[None]], name: str, client: type[Client], rounds: int, tick: Tick
) -> Tally:
    """Let hooks raise before their work, after it and after a commit of their own, in a library that is wrong."""
    tally = Tally()
    with shop_on(name, client) as database, variant():
        for move in islice(cycle(MOVES), rounds):
            for after in habits.BEFORE_A_STOP:
                lived(database, client, move, Cell(habits.stopped_by(Broken, after), succeeds=False), tally)
                tally.did["habits"] += 1
            tick()
    return tally


FRAMEWORKS: Final[tuple[type[Client], ...]] = (*CLIENTS, DjangoClient)

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *(
        Experiment(
            "hooks that misbehave", f"{name}, {client.name}", "payment and hook's work are both there, or neither",
            partial(misbehave, name, client),
            {**({Size.SHORT: 1} if name == "sqlite" else {}), Size.CI: len(MOVES), Size.FULL: len(MOVES)},
            missing(driver_of(name, client)),
        )
        for client in FRAMEWORKS
        for name in SYNC
    ),
    *(
        Experiment(
            "hooks whose errors are swallowed", f"sqlite, {client.name}", "the shop is not told of what it was paid",
            partial(careless, swallowing, "sqlite", client),
            {Size.SHORT: 1, Size.CI: len(MOVES), Size.FULL: len(MOVES)}, control=True,
        )
        for client in FRAMEWORKS
    ),
    Experiment(
        "hooks outside the database transaction", "postgresql, fastapi", "a hook's work is there without its payment",
        partial(careless, outside, "postgresql", FastApiSync),
        {Size.SHORT: 1, Size.CI: len(MOVES), Size.FULL: len(MOVES)}, missing(SYNC["postgresql"][0]), control=True,
    ),
)  # fmt: skip
