"""Calls that come at once, from real threads and on every isolation level: the database settles them, once each.

Whatever two calls race for, what they answer and leave is what they would have answered and left one after the other,
in some order: the pure core on the in-memory repository says which those are. And the books always balance.

PAYTECHUZ_STORMS sets how many storms and rounds there are.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement, permutations
from typing import Any, Final, TypeAlias

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from paytechuz_core import Account, Hooks, Memory, Payme, respond
from paytechuz_core.hooks import call_hook
from paytechuz_core.transaction import HALF_DAY, Fields
from tests import SIZE
from tests.core.wire import AMOUNT, KEY, NOW, Params, Wire, cancel, check, create, encoded, perform, post
from tests.databases import ASYNC_DRIVERS
from tests.faults.books import Ledger, audit
from tests.faults.grounds import GROUNDS, RIVALS, VARIED, Ground
from tests.faults.storms import at_once
from tests.sql.shop import SETTINGS, AsyncShopPayme, Effect, Order, Shop, async_shop, opened

STORMS: Final = int(os.environ.get("PAYTECHUZ_STORMS", SIZE))


def on(grounds: Sequence[Ground]) -> pytest.MarkDecorator:
    """Run a test on each of these databases and levels."""
    names = [f"{ground.driver}-{ground.level}" for ground in grounds]
    cells = [(ground.driver, ground) for ground in grounds]
    return pytest.mark.parametrize(("url", "ground"), cells, indirect=["url"], ids=names)


pytestmark = pytest.mark.sized


@pytest.fixture
def busy_shop(url: str, ground: Ground) -> Iterator[Shop]:
    """A shop with a connection for each rival.

    SERIALIZABLE refuses calls that would not have disturbed each other, sometimes eight times in a row; Payme then asks
    again. On every other level the first answer must be final.
    """
    with ground.engine_at(url) as engine:
        yield Shop(engine, repeats=5 if ground.refuses else 0).open()


def check_books(shop: Shop) -> None:
    """Hold what is stored against what the shop was told, and the orders against both."""
    assert audit(shop.engine, Ledger()).wrong == []


# Storms of tasks; those of threads are `tests.faults.storms`


@pytest.mark.parametrize("async_url", ASYNC_DRIVERS, indirect=True)
def test_a_storm_of_tasks_is_one_payment_too(async_url: str) -> None:
    async def storm() -> None:
        async with async_shop(async_url) as engine:

            async def ask(wire: Wire) -> Params:
                async with AsyncSession(engine) as db:
                    return opened(await AsyncShopPayme(db, **SETTINGS).respond(post(encoded(wire))))

            async with AsyncSession(engine) as db:
                db.add(Order(id=1))
                await db.commit()
            for wire, state in ((create("a", order="1"), 1), (perform("a"), 2), (cancel("a", 5), -2)):
                answers = await asyncio.gather(*(ask(wire) for _ in range(RIVALS)))
                assert answers == [answers[0]] * RIVALS
                assert answers[0].get("state") == state, answers[0]
            rivals = await asyncio.gather(*(ask(create(f"b{number}", order="1")) for number in range(RIVALS)))
            assert [answer["code"] for answer in rivals] == [-31052] * RIVALS
            async with AsyncSession(engine) as db:
                effects = (await db.scalars(select(Effect.kind).order_by(Effect.id))).all()
            assert effects == ["paid", "cancelled"]

    asyncio.run(storm())


# Races

Outcome: TypeAlias = tuple[tuple[bytes, ...], tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]
"""The answers in the order of the calls, the states, and what the shop was told."""

STARTS: Final[dict[str, int]] = {"nothing": 0, "created": 1, "paid": 2, "expired": 1}
"""How many of Create and Perform went before; after "expired" twelve hours have passed."""

RACERS: Final[dict[str, Callable[[str], Wire]]] = {
    "create a": lambda order: create(f"a{order}", order=order),
    "create b": lambda order: create(f"b{order}", order=order, time=NOW + HALF_DAY),
    "perform a": lambda order: perform(f"a{order}"),
    "cancel a": lambda order: cancel(f"a{order}", 5),
    "check a": lambda order: check(f"a{order}"),
}
PAIRS: Final = tuple(pair for pair in combinations_with_replacement(RACERS, 2) if pair != ("check a", "check a"))


class Told(Hooks):
    """Hooks that remember what the shop was told."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, str]] = []

    def successfully_payment(self, params: Params, transaction: Any) -> None:
        del params
        self.effects.append(("paid", transaction.transaction_id))

    def cancelled_payment(self, params: Params, transaction: Any) -> None:
        del params
        self.effects.append(("cancelled", transaction.transaction_id))


def later(start: str) -> int:
    return NOW + (HALF_DAY + 1 if start == "expired" else 0)


def opening(start: str, order: str) -> list[Wire]:
    return [create(f"a{order}", order=order), perform(f"a{order}")][: STARTS[start]]


def in_turn(start: str, order: str, wires: Sequence[Wire]) -> Outcome:
    """Let the pure core answer one call after another."""

    def find_account(fields: Fields) -> Account:
        return Account(id=int(fields["order_id"]), amount_tiyin=AMOUNT, hold=f"orders:{fields['order_id']}")

    memory, told = Memory(find_account), Told()
    gateway = Payme(keys=lambda: (KEY,), fields=("order_id",))

    def ask(wire: Wire, now: int) -> bytes:
        return respond(gateway, post(encoded(wire)), memory.begin, partial(call_hook, told), lambda: now)

    for wire in opening(start, order):
        ask(wire, NOW)
    answers = tuple(ask(wire, later(start)) for wire in wires)
    states = sorted((each.transaction_id, each.state.value) for each in memory.transactions.values())
    return answers, tuple(states), tuple(sorted(told.effects))


def serial_outcomes(start: str, order: str, wires: Sequence[Wire]) -> set[Outcome]:
    """Give every outcome of these calls in some order."""
    outcomes = set()
    for places in permutations(range(len(wires))):
        answers, states, effects = in_turn(start, order, [wires[place] for place in places])
        in_place = tuple(answer for _, answer in sorted(zip(places, answers, strict=True)))
        outcomes.add((in_place, states, effects))
    return outcomes


def raced(shop: Shop, start: str, order: str, wires: Sequence[Wire]) -> Outcome:
    """Let the shop answer all calls at once."""
    for wire in opening(start, order):
        shop.ask(wire)
    late = replace(shop, settings={"clock": lambda: later(start)})
    answers = tuple(at_once([partial(late.answer, wire) for wire in wires]))
    names = {f"a{order}", f"b{order}"}
    states = sorted((name, state) for name, state in shop.states().items() if name in names)
    return answers, tuple(states), tuple(sorted(each for each in shop.effects() if each[1] in names))


@on(GROUNDS)
@pytest.mark.parametrize("start", STARTS)
def test_two_calls_at_once_end_as_one_after_the_other(busy_shop: Shop, start: str) -> None:
    for _ in range(STORMS):
        for pair in PAIRS:
            order = busy_shop.order()
            wires = [RACERS[name](order) for name in pair]
            outcome = raced(busy_shop, start, order, wires)
            assert outcome in serial_outcomes(start, order, wires), (start, pair)
    check_books(busy_shop)


@on(VARIED)
def test_all_calls_at_once_end_as_one_after_the_other(busy_shop: Shop) -> None:
    for start in STARTS:
        for _ in range(STORMS):
            order = busy_shop.order()
            wires = [wire_of(order) for wire_of in RACERS.values()]
            assert raced(busy_shop, start, order, wires) in serial_outcomes(start, order, wires), start
    check_books(busy_shop)


# What would be caught


def test_an_outcome_of_no_order_is_caught() -> None:
    """The negative control of every race."""
    creates = [RACERS[name]("1") for name in ("create a", "create b")]
    possible = serial_outcomes("nothing", "1", creates)
    assert len(possible) == 2
    (first, _), states, effects = in_turn("nothing", "1", creates)
    (second, _), *_ = in_turn("nothing", "1", creates[::-1])
    assert ((first, second), (*states, ("b1", 1)), effects) not in possible  # two holders of one order
    moves = [RACERS[name]("1") for name in ("perform a", "cancel a")]
    possible = serial_outcomes("created", "1", moves)
    answers, states, effects = in_turn("created", "1", moves)
    assert (answers, states, effects) in possible
    assert (answers, states, (*effects, ("paid", "a1"))) not in possible  # paid twice
    assert (answers, states, effects[1:]) not in possible  # a refund that the shop was not told of
    assert (answers, (("a1", 2),), effects) not in possible  # a refund that is answered and not stored
