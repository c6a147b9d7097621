"""The primary dies and a standby takes over: with a synchronous one, whatever was acknowledged is there.

Two PostgreSQL servers. The primary confirms a COMMIT when the standby has it too; it is killed under load (−9), the
standby is promoted, and the dead one's place is taken by a new standby made from the survivor. Until that one follows,
nothing is confirmed. The shop's URL names both servers and wants the one that takes writes, so no proxy is needed.

An asynchronous standby that was cut off before must be seen to lose.
"""

import random
from functools import partial
from typing import Final

from sqlalchemy import NullPool, create_engine

from tests.faults.books import audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.payers import Payers, paying
from tests.faults.server_kills import ORDERS
from tests.faults.servers import follow, no_postgresql, postgresql, postgresql_server, promote, several, site
from tests.faults.shop import furnish, served

SYNCHRONOUS: Final = "synchronous_standby_names=*"


def promotions(driver: str, rounds: int, tick: Tick) -> Tally:
    """Let the standby take over under load, as often as there are rounds."""
    dice, tally = random.Random(driver), Tally()
    with site() as place, postgresql(place, name="first") as first:
        # Only now, because the one that is alone would confirm nothing.
        first.command += ["-c", SYNCHRONOUS]
        primary = first
        standby = postgresql_server(place, "second", SYNCHRONOUS)
        url = several([primary, standby], driver)
        follow(standby, primary)
        primary.kill()
        primary.start()
        furnish(engine := create_engine(url, poolclass=NullPool), ORDERS)
        with served(url) as shop, paying(Payers([shop.webhook])) as payers:

            def fail_over() -> None:
                nonlocal primary, standby
                primary.kill()
                promote(standby)
                primary, standby = standby, primary
                follow(standby, primary)

            for _ in range(rounds):
                payers.outlast(fail_over, "promotions", dice, tally)
                tick()
        tally.add(audit(engine, payers.ledger))
    return tally


def cut_off(driver: str, rounds: int, tick: Tick) -> Tally:
    """Promote an asynchronous standby that has not heard of the last payments."""
    tally = Tally()
    with site() as place, postgresql(place, name="first") as primary:
        standby = postgresql_server(place, "second")
        url = several([primary, standby], driver)
        follow(standby, primary)
        furnish(engine := create_engine(url, poolclass=NullPool), ORDERS)
        with served(url) as shop:
            with paying(Payers([shop.webhook])) as payers:
                payers.wait_for(20)
                standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
                standby.ask("SELECT pg_reload_conf()")
                primary.wait_until("SELECT count(*) = 0 FROM pg_stat_replication")
                payers.wait_for(rounds * 50)
            primary.kill()
            promote(standby)
        tally.did["promotions"] += 1
        tick()
        tally.add(audit(engine, payers.ledger))
    return tally


EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    Experiment(
        name="failover to a synchronous standby under load",
        ground="PostgreSQL",
        promise="whatever was acknowledged is there after the promotion, once",
        run=partial(promotions, "postgresql+psycopg"),
        rounds={Size.CI: 3, Size.FULL: 20},
        missing=no_postgresql,
    ),
    Experiment(
        name="failover to an asynchronous standby that was cut off",
        ground="PostgreSQL",
        promise="the loss is seen",
        run=partial(cut_off, "postgresql+psycopg"),
        rounds={Size.CI: 1, Size.FULL: 1},
        missing=no_postgresql,
        control=True,
    ),
)
