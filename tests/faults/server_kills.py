"""The database server dies at any moment, and comes back: what was acknowledged is there, once.

Payers keep paying meanwhile. PostgreSQL and MariaDB are killed with all their processes (−9), and restarted; calls that
were under way get −32400 or no answer, and are repeated as Payme repeats them.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from sqlalchemy import NullPool, create_engine

from tests.faults.books import audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.payers import Payers, paying
from tests.faults.servers import Server, Site, mariadb, no_mariadb, no_postgresql, postgresql, shop_at, site
from tests.faults.shop import furnish, served

ORDERS: Final = 50_000
"""More than they can pay in the time."""

Open = Callable[[Site], AbstractContextManager[Server]]


def kills(open_server: Open, driver: str, rounds: int, tick: Tick) -> Tally:
    """Kill the server under load, as often as there are rounds."""
    dice = random.Random(driver)
    with open_shop(open_server, driver) as (server, payers, tally), paying(payers):

        def kill() -> None:
            server.kill()
            server.start()

        for _ in range(rounds):
            payers.outlast(kill, "kills", dice, tally)
            tick()
    return tally


def broken_words(open_server: Open, driver: str, weaken: tuple[str, ...], rounds: int, tick: Tick) -> Tally:
    """Kill a server that confirms a COMMIT before it is stored, when all that was paid has been answered."""
    with open_shop(open_server, driver) as (server, payers, tally):
        for sql in weaken:
            server.ask(sql)
        with paying(payers):
            payers.wait_for(rounds * 50)
        server.kill()
        server.start()
        tally.did["kills"] += 1
        tick()
    return tally


@contextmanager
def open_shop(open_server: Open, driver: str) -> Iterator[tuple[Server, Payers, Tally]]:
    """Open a shop on a server of its own; when the payers have left, fill the tally with what the books say."""
    tally = Tally()
    with site() as place, open_server(place) as server:
        engine = create_engine(shop_at(server, driver), poolclass=NullPool)
        furnish(engine, ORDERS)
        with served(shop_at(server, driver)) as shop:
            payers = Payers([shop.webhook])
            yield server, payers, tally
            tally.add(audit(engine, payers.ledger))


EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    Experiment(
        name="kill -9 of the database server under load",
        ground="PostgreSQL",
        promise="whatever was acknowledged is there after the restart, once",
        run=partial(kills, postgresql, "postgresql+psycopg2"),
        rounds={Size.SHORT: 1, Size.CI: 5, Size.FULL: 50},
        missing=no_postgresql,
    ),
    Experiment(
        name="kill -9 of the database server under load",
        ground="MariaDB",
        promise="whatever was acknowledged is there after the restart, once",
        run=partial(kills, mariadb, "mysql+pymysql"),
        rounds={Size.CI: 5, Size.FULL: 50},
        missing=no_mariadb,
    ),
    Experiment(
        name="kill -9 of a database server that does not keep its word",
        ground="PostgreSQL, synchronous_commit=off",
        promise="the loss is seen",
        run=partial(
            broken_words,
            postgresql,
            "postgresql+psycopg2",
            # The second one only makes sure that nothing is written by chance before we kill.
            (
                "ALTER SYSTEM SET synchronous_commit = off",
                "ALTER SYSTEM SET wal_writer_delay = '10s'",
                "SELECT pg_reload_conf()",
            ),
        ),
        rounds={Size.CI: 1, Size.FULL: 1},
        missing=no_postgresql,
        control=True,
    ),
    Experiment(
        name="kill -9 of a database server that does not keep its word",
        ground="MariaDB, innodb_flush_log_at_trx_commit=0",
        promise="the loss is seen",
        run=partial(
            broken_words,
            mariadb,
            "mysql+pymysql",
            ("SET GLOBAL innodb_flush_log_at_trx_commit = 0", "SET GLOBAL innodb_flush_log_at_timeout = 2700"),
        ),
        rounds={Size.CI: 1, Size.FULL: 1},
        missing=no_mariadb,
        control=True,
    ),
)
