"""Races: calls that come at once, from real threads, and end as they would have ended one after the other.

Whatever they race for, what they answer and leave is what they would have answered and left in some order: the pure
core on the reference repository says which outcomes those are. Any two race, in every situation that a payment can be
in, and all that write race together, the sweep of what nobody paid among them. The negative control is a shop where the
last one to write wins.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from itertools import combinations_with_replacement, cycle, islice, permutations
from typing import Any, Final, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from paytechuz_core import Account, Hooks, Memory, Payme, respond
from paytechuz_core.engine import undertake
from paytechuz_core.hooks import call_hook
from paytechuz_core.transaction import HALF_DAY, Fields, Millis
from tests.core.wire import AMOUNT, KEY, NOW, Params, Wire, cancel, check, create, encoded, perform, post
from tests.faults.books import TIMES, audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import VARIED, Ground, missing
from tests.faults.storms import SETTLERS, Settler, Sky
from tests.sql.shop import PAYMENTS, Effect, Shop, opened

Outcome: TypeAlias = tuple[tuple[bytes, ...], tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]
"""The answers in the order of the calls, the states, and what the shop was told. The order has the number 1."""

STARTS: Final[Mapping[str, int]] = {"created": 1, "expired": 1, "paid": 2, "nothing": 0}
"""How many of Create and Perform went before; after "expired" twelve hours have passed."""

SWEEP: Final = None
"""The shop's own sweep of what is past its time, which is no message of anybody's."""

RACERS: Final[Mapping[str, Callable[[str], Wire | None]]] = {
    "create a": lambda order: create(f"a{order}", order=order),
    "create b": lambda order: create(f"b{order}", order=order, time=NOW + HALF_DAY),
    "perform a": lambda order: perform(f"a{order}"),
    "cancel a": lambda order: cancel(f"a{order}", 5),
    "check a": lambda order: check(f"a{order}"),
    "expire": lambda _: SWEEP,
}
PAIRS: Final = tuple(pair for pair in combinations_with_replacement(RACERS, 2) if pair != ("check a", "check a"))
WRITERS: Final = tuple(name for name in RACERS if name != "check a")
SILENT: Final = b"nothing failed"
"""What a sweep answers; how many it swept is not said, because it sweeps other races' orders too."""


def later(start: str) -> Millis:
    """Say when the race is."""
    return NOW + (HALF_DAY + 1 if start == "expired" else 0)


def opening(start: str, order: str) -> list[Wire]:
    """Give what went before."""
    return [create(f"a{order}", order=order), perform(f"a{order}")][: STARTS[start]]


# One after the other, in the pure core


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


def in_turn(start: str, names: Sequence[str]) -> Outcome:
    """Let the pure core answer one call after another."""

    def find_account(fields: Fields) -> Account:
        return Account(id=int(fields["order_id"]), amount_tiyin=AMOUNT, hold=f"orders:{fields['order_id']}")

    memory, told = Memory(find_account), Told()
    gateway, fire = Payme(keys=lambda: (KEY,), fields=("order_id",)), partial(call_hook, told)

    def ask(wire: Wire | None, now: Millis) -> bytes:
        if wire is not SWEEP:
            return respond(gateway, post(encoded(wire)), memory.begin, fire, lambda: now)
        for transaction in memory.transactions.values():
            if (expiry := gateway.expiry(transaction, now)) is not None:
                undertake(gateway, expiry, memory.begin, fire, lambda: now)
        return SILENT

    for wire in opening(start, "1"):
        ask(wire, NOW)
    answers = tuple(ask(RACERS[name]("1"), later(start)) for name in names)
    states = sorted((each.transaction_id, each.state.value) for each in memory.transactions.values())
    return answers, tuple(states), tuple(sorted(told.effects))


@cache
def serial_outcomes(start: str, names: tuple[str, ...]) -> frozenset[Outcome]:
    """Give every outcome of these calls in some order."""
    outcomes = set()
    for places in permutations(range(len(names))):
        answers, states, effects = in_turn(start, [names[place] for place in places])
        in_place = tuple(answer for _, answer in sorted(zip(places, answers, strict=True)))
        outcomes.add((in_place, states, effects))
    return frozenset(outcomes)


# At once, in the shop


def raced(sky: Sky, start: str, names: tuple[str, ...]) -> Outcome:
    """Let the shop answer all calls at once, for an order of their own."""
    order = sky.shop.order()
    for before in opening(start, order):
        note(sky, before, sky.shop.answer(before))
    late = replace(sky.shop, settings={"clock": lambda: later(start)})
    wires = [RACERS[name](order) for name in names]
    answers = sky.at_once([partial(sweep, late) if wire is SWEEP else partial(late.answer, wire) for wire in wires])
    for wire, answer in zip(wires, answers, strict=True):
        if wire is not SWEEP:
            note(sky, wire, answer)
    return as_first(order, answers, *stored(sky.shop, order))


def note(sky: Sky, wire: Wire, body: bytes) -> None:
    """Write down what was acknowledged."""
    answer = opened(body)
    if "state" in answer:
        sky.ledger.note(wire[1]["id"], answer["state"], answer[TIMES[answer["state"]]])


def sweep(shop: Shop) -> bytes:
    """Expire what nobody paid, as the shop's cron job does; what it could not, the next run does."""
    for _ in range(1 + shop.repeats):
        with Session(shop.engine) as db:
            expiry = shop.payme(db).expire()
        if not expiry.failed:
            return SILENT
    return str(expiry).encode()


def stored(shop: Shop, order: str) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Read the states of an order's payments, and what the shop was told of them."""
    names = [f"a{order}", f"b{order}"]
    states = select(PAYMENTS.c.transaction_id, PAYMENTS.c.state).where(PAYMENTS.c.transaction_id.in_(names))
    effects = select(Effect.kind, Effect.transaction_id).where(Effect.transaction_id.in_(names))
    with shop.engine.connect() as connection:
        return (
            [(name, state) for name, state in connection.execute(states)],
            [(kind, name) for kind, name in connection.execute(effects)],
        )


def as_first(
    order: str, answers: Sequence[bytes], states: Sequence[tuple[str, int]], effects: Sequence[tuple[str, str]]
) -> Outcome:
    """Say it as if the order were the first one, so that each race is played in the pure core once."""
    first = {f"{letter}{order}": f"{letter}1" for letter in "ab"}

    def renamed(answer: bytes) -> bytes:
        for name, short in first.items():
            answer = answer.replace(f'"{name}"'.encode(), f'"{short}"'.encode())
        return answer

    return (
        tuple(map(renamed, answers)),
        tuple(sorted((first[name], state) for name, state in states)),
        tuple(sorted((kind, first[name]) for kind, name in effects)),
    )


# The experiments


def race(ground: Ground, races: Sequence[tuple[str, ...]], settler: Settler, rounds: int, tick: Tick) -> Tally:
    """Let calls race from every start, and read the books."""
    with ground.engine() as engine:
        sky = Sky(Shop(engine, repeats=9 if ground.refuses else 0).open())
        with settler(sky.shop):
            for start in islice(cycle(STARTS), rounds):
                for names in races:
                    outcome = raced(sky, start, names)
                    if outcome not in serial_outcomes(start, names):
                        sky.ledger.contradict(f"{' and '.join(names)}, after {start}, end as in no order: {outcome}")
                tick()
        tally = audit(engine, sky.ledger)
    tally.did["races"], tally.did["calls"] = len(sky.storms), sum(sky.storms)
    return tally


def as_it_is(shop: Shop) -> nullcontext[None]:
    """Leave the shop as it is."""
    del shop
    return nullcontext()


# A round is one of the four starts.
ROUNDS: Final = {Size.SHORT: 2, Size.CI: 52, Size.FULL: 200}
OTHERWISE: Final = {Size.CI: 4, Size.FULL: 40}  # on levels that a merchant has to ask for

EXPERIMENTS: Final = (
    *(
        Experiment(
            name, str(ground), promise, partial(race, ground, races, as_it_is), ROUNDS if ground.usual else OTHERWISE,
            missing(ground.driver),
        )
        for name, races, promise in (
            ("races of two", PAIRS, "any two calls about one order end as one after the other"),
            ("races of all that write", (WRITERS,), "five calls about one order end as one after the other"),
        )
        for ground in VARIED
    ),
    *(
        Experiment(
            "races without compare-and-swap", str(ground), "two calls end as in no order, and it is seen",
            partial(race, ground, PAIRS, SETTLERS["without compare-and-swap"]),
            {Size.SHORT: 1, Size.CI: 4, Size.FULL: 20}, missing(ground.driver), control=True,
        )
        for ground in (Ground("postgresql+psycopg2", "READ COMMITTED"), Ground("mysql+pymysql", "READ COMMITTED"))
    ),
)  # fmt: skip
