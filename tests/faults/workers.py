"""Two application servers of two workers each, on one database; and a worker that dies under load.

Payers call either server at random, so that calls about one payment meet in processes that know nothing of each other.
The shop is written with each framework, and served as its documentation says: uvicorn, or gunicorn.
"""

import os
import signal
from contextlib import ExitStack
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import NullPool, create_engine

from tests.databases import DEFAULT_DRIVERS, database_of
from tests.faults.books import audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import database, missing
from tests.faults.payers import Payers, paying
from tests.faults.servers import not_linux
from tests.faults.shop import DJANGO, FASTAPI, FLASK, Framework, furnish, served


def two_servers(framework: Framework, driver: str, rounds: int, tick: Tick) -> Tally:
    """Let payers call either server, and kill a worker of any in each round; its server starts another."""
    dice, tally = Random(framework.name), Tally()
    with database(driver) as url, ExitStack() as stack:
        engine = create_engine(url, poolclass=NullPool)
        furnish(engine, 1000 + 500 * rounds, framework)
        shops = [stack.enter_context(served(url, framework=framework, workers=2)) for _ in range(2)]

        def kill() -> None:
            os.kill(dice.choice(dice.choice(shops).workers), signal.SIGKILL)

        with paying(Payers([shop.webhook for shop in shops], timeout=30)) as payers:
            for _ in range(rounds):
                payers.outlast(kill, "workers killed", dice, tally)
                tick()
        tally.add(audit(engine, payers.ledger))
    tally.did["calls repeated"] = payers.repeats
    return tally


def lacking(driver: str) -> str | None:
    """Say what this machine lacks."""
    return not_linux() or missing(driver)()


LONGER: Final = {Size.CI: 3, Size.FULL: 20}
"""Of the pairs, one is short; the others are for those who wait."""

EXPERIMENTS: Final[tuple[Experiment, ...]] = tuple(
    Experiment(
        "two servers, whose workers die",
        f"{database_of(driver)}, {framework}",
        "payers may call either server, and what a worker has acknowledged outlives it",
        partial(two_servers, framework, driver),
        {Size.SHORT: 1, **LONGER} if (framework, database_of(driver)) == (DJANGO, "postgresql") else LONGER,
        partial(lacking, driver),
    )
    for framework in (FASTAPI, DJANGO, FLASK)
    for driver in DEFAULT_DRIVERS
)
