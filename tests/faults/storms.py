"""Storms: many calls that come at the same moment, and the database settles them, once each.

A storm is 16 calls from as many threads, released together: all the same, all rivals for one order, or all strangers to
each other; from Payme, from Click, or from both. Whatever is acknowledged must be stored once, and what each call is
answered is known beforehand. The negative controls are shops without one of the two things that settle a race.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from threading import Barrier
from typing import Any, Final, TypeAlias, TypeVar
from unittest.mock import patch

from sqlalchemy import Table, Update, bindparam, create_engine, inspect, make_url, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from paytechuz_core.sql import handler, repository
from paytechuz_core.sql.statements import Statements, statements_for
from tests.core import click_wire
from tests.core.wire import NOW, Params, Wire, cancel, create, encoded, perform, post, statement
from tests.databases import ASYNC_DRIVERS, SYNC, database_of
from tests.faults.books import TIMES, Ledger, audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import RIVALS, VARIED, Ground, database, missing
from tests.sql.shop import SETTINGS, AsyncShopPayme, Order, Shop, async_shop, opened

T = TypeVar("T")


@dataclass(frozen=True)
class Sky:
    """A shop under storms: what it acknowledged, and how many storms there were."""

    shop: Shop
    ledger: Ledger = field(default_factory=Ledger)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    storms: list[int] = field(default_factory=list)

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Release one storm."""
        self.storms.append(len(calls))
        return at_once(calls)

    def payme(self, wires: Sequence[Wire]) -> list[Params]:
        """Release one storm of Payme's calls, and write down what is acknowledged."""
        answers = self.at_once([partial(self.shop.ask, wire) for wire in wires])
        for (_, params), answer in zip(wires, answers, strict=True):
            if "state" in answer:
                self.ledger.note(params["id"], answer["state"], answer[TIMES[answer["state"]]])
        return answers

    def click(self, forms: Sequence[click_wire.Form]) -> list[int]:
        """Release one storm of Click's calls."""
        errors = self.at_once([partial(self.shop.click, form) for form in forms])
        for form, error in zip(forms, errors, strict=True):
            self.note(form, error)
        return errors

    def note(self, form: click_wire.Form, error: int) -> None:
        """Write down what Click was acknowledged."""
        if error == 0:
            self.ledger.note(form["click_trans_id"], 1 + int(form["action"]))


Storm: TypeAlias = Callable[[Sky], None]
"""One round of storms: it asserts what each call is answered."""


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make these calls from as many threads, released together."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(timeout=60)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


# The storms


def one_request(sky: Sky) -> None:
    """Every call of one payment comes 16 times."""
    name, order = f"same-{next(sky.numbers)}", sky.shop.order()
    for wire, state in ((create(name, order=order), 1), (perform(name), 2), (cancel(name, 5), -2)):
        answers = sky.payme([wire] * RIVALS)
        assert answers == [answers[0]] * RIVALS, answers
        assert answers[0].get("state") == state, answers[0]


def rivals(sky: Sky) -> None:
    """16 payments want one order."""
    number, order = next(sky.numbers), sky.shop.order()
    names = [f"rival-{number}-{place}" for place in range(RIVALS)]
    answers = sky.payme([create(name, order=order) for name in names])
    winners = [name for name, answer in zip(names, answers, strict=True) if answer.get("state") == 1]
    assert len(winners) == 1, answers
    assert [answer["code"] for answer in answers if "code" in answer] == [-31051] * (RIVALS - 1)
    paid = sky.payme([perform(name) for name in names])
    assert [answer.get("state") for answer in paid] == [2 if name in winners else None for name in names]


def strangers(sky: Sky) -> None:
    """16 payments for 16 orders: nobody disturbs anybody."""
    number = next(sky.numbers)
    orders = {f"own-{number}-{place}": sky.shop.order() for place in range(RIVALS)}
    for wires, state in (
        ([create(name, order=order) for name, order in orders.items()], 1),
        ([perform(name) for name in orders], 2),
    ):
        assert [answer.get("state") for answer in sky.payme(wires)] == [state] * RIVALS


def top_ups(sky: Sky) -> None:
    """Eight payments into one account, each call twice: each is credited once."""
    wallet = replace(sky, shop=replace(sky.shop, settings={"one_time_payment": False}))
    number, account = next(sky.numbers), sky.shop.order()
    names = [f"top-up-{number}-{place}" for place in range(RIVALS // 2)] * 2
    assert [answer.get("state") for answer in wallet.payme([create(name, order=account) for name in names])] == (
        [1] * RIVALS
    )
    assert [answer.get("state") for answer in wallet.payme([perform(name) for name in names])] == [2] * RIVALS


def one_form(sky: Sky) -> None:
    """Prepare comes 16 times, and then Complete: each is answered with success once at least, and has one effect."""
    one = {"click_trans_id": next(sky.numbers), "merchant_trans_id": sky.shop.order()}
    assert sky.click([click_wire.prepare(**one)] * RIVALS) == [0] * RIVALS
    # Complete's own repetition is told -4, which Click takes for "confirmed already".
    assert sorted(sky.click([click_wire.complete(**one)] * RIVALS)) == [-4] * (RIVALS - 1) + [0]


def both_providers(sky: Sky) -> None:
    """Payme and Click want one order, eight calls of each; one provider gets it, and only that one is paid."""
    number, order = next(sky.numbers), sky.shop.order()
    half, name = RIVALS // 2, f"both-{number}"
    one = {"click_trans_id": number, "merchant_trans_id": order}
    prepare, complete = click_wire.prepare(**one), click_wire.complete(**one)
    payme, click = (partial(sky.shop.ask, create(name, order=order)), partial(sky.shop.click, prepare))
    answers: list[Any] = sky.at_once([payme, click] * half)
    created, prepared = answers[::2], answers[1::2]
    won = created[0].get("state") == 1
    if won:
        sky.ledger.note(name, 1, created[0]["create_time"])
    else:
        sky.note(prepare, 0)
    assert created == [created[0]] * half, created
    assert won or created[0]["code"] == -31051, created
    assert prepared == [-9 if won else 0] * half, prepared
    payme, click = partial(sky.shop.ask, perform(name)), partial(sky.shop.click, complete)
    answers = sky.at_once([payme, click] * half)
    performed, completed = answers[::2], answers[1::2]
    assert performed == [performed[0]] * half, performed
    if won:
        sky.ledger.note(name, 2, performed[0]["perform_time"])
        assert completed == [-6] * half, completed
    else:
        sky.note(complete, 0)
        assert performed[0]["code"] == -31003, performed
        assert sorted(completed) == [-4] * (half - 1) + [0], completed


STORMS: Final[Mapping[str, tuple[Storm, str]]] = {
    "storms of one request": (one_request, "16 equal calls are one payment, and get 16 equal answers"),
    "storms of rivals": (rivals, "of 16 payments for one order one wins, and only it is paid"),
    "storms of strangers": (strangers, "16 payments for 16 orders do not disturb each other"),
    "storms of top-ups": (top_ups, "eight payments into one account, sent twice, are each credited once"),
    "storms of one form": (one_form, "16 equal Prepares or Completes are one payment of Click"),
    "storms of both providers": (both_providers, "of Payme and Click, at one order together, one gets it and is paid"),
}


def under(ground: Ground, storm: Storm, rounds: int, tick: Tick) -> Tally:
    """Let storms loose on a ground, and read the books."""
    with ground.engine() as engine:
        # SERIALIZABLE refuses now and then, and is asked again; on every other level the first answer must be final.
        sky = Sky(Shop(engine, repeats=9 if ground.refuses else 0).open())
        for _ in range(rounds):
            storm(sky)
            tick()
        tally = audit(engine, sky.ledger)
        listed = sky.shop.ask(statement(1, NOW + 10**12))["transactions"]
        stored = {row.transaction_id: row.state for row in sky.shop.payments() if row.gateway == "payme"}
    assert {each["id"]: each["state"] for each in listed} == stored, "a statement lists what is stored"
    tally.did["storms"], tally.did["calls"] = len(sky.storms), sum(sky.storms)
    return tally


# Tasks of one event loop


def tasks(driver: str, rounds: int, tick: Tick) -> Tally:
    """Let storms loose in one event loop, each call with an `AsyncSession` of its own."""
    ledger = Ledger()
    with database(driver) as url:
        asyncio.run(in_one_loop(url, ledger, rounds, tick))
        engine = create_engine(make_url(url).set(drivername=SYNC[database_of(driver)][0]))
        tally = audit(engine, ledger)
        engine.dispose()
    tally.did["storms"], tally.did["calls"] = 4 * rounds, 4 * rounds * RIVALS
    return tally


async def in_one_loop(url: str, ledger: Ledger, rounds: int, tick: Tick) -> None:
    """Every call of one payment comes from 16 tasks; and then 16 others want the order, which was paid once."""
    async with async_shop(url) as engine:

        async def ask(wire: Wire) -> Params:
            async with AsyncSession(engine) as db:
                return opened(await AsyncShopPayme(db, **SETTINGS).respond(post(encoded(wire))))

        for number in range(1, rounds + 1):
            order, name = str(number), f"same-{number}"
            async with AsyncSession(engine) as db:
                db.add(Order(id=number))
                await db.commit()
            for wire, state in ((create(name, order=order), 1), (perform(name), 2), (cancel(name, 5), -2)):
                answers = await asyncio.gather(*(ask(wire) for _ in range(RIVALS)))
                assert answers == [answers[0]] * RIVALS, answers
                assert answers[0].get("state") == state, answers[0]
                ledger.note(name, state, answers[0][TIMES[state]])
            names = [f"late-{number}-{place}" for place in range(RIVALS)]
            answers = await asyncio.gather(*(ask(create(name, order=order)) for name in names))
            assert [answer["code"] for answer in answers] == [-31052] * RIVALS
            tick()


# Negative controls

Settler: TypeAlias = Callable[[Shop], AbstractContextManager[object]]
"""Takes from a shop, for a while, what settles its races."""


def without_unique_keys(shop: Shop) -> AbstractContextManager[object]:
    """Drop the keys that make one payment of many requests, as if the table had been made by hand."""
    kind = "INDEX" if shop.engine.dialect.name == "mysql" else "CONSTRAINT"
    with shop.engine.begin() as connection:
        for key in inspect(connection).get_unique_constraints("payments"):
            connection.execute(text(f"ALTER TABLE payments DROP {kind} {key['name']}"))
    return nullcontext()


@contextmanager
def without_compare_and_swap(shop: Shop) -> Iterator[None]:
    """Let reads lock nothing, and updates ask for nothing but their row: the last one wins."""
    del shop

    def unlocked(table: Table) -> Statements:
        right = statements_for(table)
        return replace(right, by_id_locked=right.by_id)

    def update_of(table: Table, names: frozenset[str]) -> Update:
        given = bindparam("seen_state").is_not(None), bindparam("seen_version").is_not(None)
        return (
            update(table)
            .where(table.c.id == bindparam("row"), *given)
            .values({name: bindparam(name) for name in names})
        )

    with patch.object(handler, "statements_for", unlocked), patch.object(repository, "update_of", update_of):
        yield


def careless(ground: Ground, broken: Settler, rounds: int, tick: Tick) -> Tally:
    """Let storms loose on a shop that lacks something, whatever it answers."""
    with ground.engine() as engine:
        sky = Sky(Shop(engine).open())
        with broken(sky.shop):
            for number in range(rounds):
                order, name = sky.shop.order(), f"same-{number}"
                for wire in (create(name, order=order), perform(name)):
                    sky.payme([wire] * RIVALS)
                tick()
        tally = audit(engine, sky.ledger)
    tally.did["storms"], tally.did["calls"] = len(sky.storms), sum(sky.storms)
    return tally


# A round has two storms or three. Of equal calls there are 500 storms on each database as it comes, where CI looks.
ROUNDS: Final = {Size.SHORT: 1, Size.CI: 4, Size.FULL: 40}
EQUAL: Final = {Size.SHORT: 1, Size.CI: 167, Size.FULL: 334}
OTHERWISE: Final = {Size.CI: 1, Size.FULL: 10}  # on levels that a merchant has to ask for
CONTROLS: Final = {Size.SHORT: 3, Size.CI: 3, Size.FULL: 20}


def rounds_of(storm: Storm, ground: Ground) -> Mapping[Size, int]:
    """Say how many rounds of a storm there are on a ground."""
    return OTHERWISE if not ground.usual else EQUAL if storm is one_request else ROUNDS


SETTLERS: Final[Mapping[str, Settler]] = {
    "without the unique keys": without_unique_keys,
    "without compare-and-swap": without_compare_and_swap,
}

EXPERIMENTS: Final = (
    *(
        Experiment(
            name, str(ground), promise, partial(under, ground, storm), rounds_of(storm, ground), missing(ground.driver),
        )
        for name, (storm, promise) in STORMS.items()
        for ground in VARIED
    ),
    *(
        Experiment(
            "storms of tasks", driver, "16 equal calls in one event loop are one payment, and get 16 equal answers",
            partial(tasks, driver), {Size.SHORT: 1, Size.CI: 3, Size.FULL: 30}, missing(driver),
        )
        for driver in ASYNC_DRIVERS
    ),
    *(
        Experiment(
            f"storms {what}", str(ground), "a race is settled by the database, and without this by nothing",
            partial(careless, ground, broken), CONTROLS, missing(ground.driver), control=True,
        )
        for what, broken in SETTLERS.items()
        # SQLite's one writer at a time settles every race by itself.
        for ground in (Ground("postgresql+psycopg2", "READ COMMITTED"), Ground("mysql+pymysql", "READ COMMITTED"))
    ),
)  # fmt: skip
