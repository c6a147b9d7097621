"""PgBouncer in transaction mode, before many callers.

Three connections serve them all, so that a prepared statement is sooner or later asked for where another caller has
been: the settings of docs/how-to/database.md keep that away, and without them calls fail, and no payment is wrong.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine, NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from paytechuz.integrations.fastapi import AsyncPaymeWebhookHandler
from tests.core.wire import KEY, check, create, perform
from tests.faults.books import audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import RIVALS, database, missing
from tests.faults.payers import Payers, paying
from tests.faults.servers import LOOPBACK, found, free_port, lacking, search
from tests.faults.shop import DATABASE, FASTAPI, WEBHOOK, furnish, served
from tests.faults.storms import Sky, one_request, rivals
from tests.sql.shop import AsyncShopPayme, Order, Shop

PATIENCE: Final = 30.0
ORDERS: Final = 20_000

INI: Final = """
[databases]
{name} = host={host} port={port} dbname={name} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {free}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


def without_pgbouncer() -> str | None:
    """Say what is missing."""
    return lacking({"pgbouncer": [search("pgbouncer")]}) or missing("postgresql+psycopg2")()


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Start a PgBouncer in transaction mode before a database, and give the URL that goes through it; stop it after."""
    server, free = make_url(url), free_port()
    with tempfile.TemporaryDirectory(prefix="paytechuz-pgbouncer-") as folder:
        ini = Path(folder, "pgbouncer.ini")
        host, port = server.host or server.query["host"], server.port or 5432
        ini.write_text(INI.format(name=server.database, host=host, port=port, user=server.username, free=free))
        # It refuses root, and then changes to another user, who must be able to read the file.
        as_somebody = ("-u", "postgres") if os.geteuid() == 0 else ()
        Path(folder).chmod(0o755)
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen([found("pgbouncer"), *as_somebody, ini], stdout=output, stderr=subprocess.STDOUT)
        try:
            listening(free, process, log)
            yield server.set(host=LOOPBACK, port=free, query={}).render_as_string(hide_password=False)
        finally:
            process.kill()
            process.wait()


def listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.02)
    message = f"PgBouncer did not start:\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)


def engine_through(url: str, driver: str, *, prepares: bool) -> Engine:
    """Connect through PgBouncer as the page about databases says, or as the driver does by itself."""
    settings = {} if prepares or driver != "postgresql+psycopg" else {"prepare_threshold": None}
    return create_engine(make_url(url).set(drivername=driver), pool_size=RIVALS, connect_args=settings)


def through_pgbouncer(driver: str, rounds: int, tick: Tick) -> Tally:
    """Let storms loose through PgBouncer."""
    with database("postgresql+psycopg2") as url, pgbouncer(url) as through:
        engine = engine_through(through, driver, prepares=False)
        sky = Sky(Shop(engine).open())
        for _ in range(rounds):
            for storm in (one_request, rivals):
                storm(sky)
            tick()
        tally = audit(engine, sky.ledger)
        engine.dispose()
    tally.did["storms"] = len(sky.storms)
    return tally


def prepared_through_pgbouncer(rounds: int, tick: Tick) -> Tally:
    """Let psycopg prepare its statements, and count the calls that fail for it."""
    refused = 0
    with database("postgresql+psycopg2") as url, pgbouncer(url) as through:
        direct = create_engine(url)
        sky, engine = Sky(Shop(direct).open()), engine_through(through, "postgresql+psycopg", prepares=True)
        for number in range(rounds):
            names = [f"own-{number}-{place}" for place in range(RIVALS)]
            orders = [sky.shop.order() for _ in names]
            payers = Sky(Shop(engine), sky.ledger, storms=sky.storms)
            for wires in (
                [create(name, order=order) for name, order in zip(names, orders, strict=True)],
                [perform(name) for name in names],
                [check(name) for name in names],
            ):
                refused += sum(answer.get("code") == -32400 for answer in payers.payme(wires))
            tick()
        tally = audit(direct, sky.ledger)
        engine.dispose()
        direct.dispose()
    assert refused, "prepared statements were not seen to fail behind PgBouncer"
    tally.did["storms"], tally.did["calls refused"] = len(sky.storms), refused
    return tally


class ShopPayme(AsyncPaymeWebhookHandler):
    """The shop's handler with an `AsyncSession`."""

    successfully_payment = AsyncShopPayme.successfully_payment
    cancelled_payment = AsyncShopPayme.cancelled_payment
    mark = AsyncShopPayme.mark


def make_asyncpg_app() -> FastAPI:
    """Build an application on asyncpg, as the page about databases says."""
    engine = create_async_engine(
        make_url(os.environ[DATABASE]).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
        },
    )
    app = FastAPI()

    @app.post(WEBHOOK)
    async def payme_webhook(request: Request) -> Response:
        async with AsyncSession(engine) as db:
            handler = ShopPayme(db=db, payme_id="faults", payme_key=KEY, account_model=Order, account_field="order_id")
            return await handler.handle_webhook(request)

    return app


ASYNCPG: Final = replace(FASTAPI, app=f"{__name__}:make_asyncpg_app")


def asyncpg_through_pgbouncer(rounds: int, tick: Tick) -> Tally:
    """Let eight payers call a server of two workers, whose asyncpg goes through PgBouncer."""
    with database("postgresql+psycopg2") as url, pgbouncer(url) as through, ExitStack() as stack:
        engine = create_engine(url, poolclass=NullPool)
        furnish(engine, ORDERS)
        shop = stack.enter_context(served(through, framework=ASYNCPG, workers=2))
        with paying(Payers([shop.webhook], timeout=30)) as payers:
            for _ in range(rounds):
                payers.wait_for(20)
                tick()
        tally = audit(engine, payers.ledger)
        assert "prepared statement" not in shop.log.read_text(errors="replace"), "the settings do not help"
    tally.did["calls repeated"] = payers.repeats
    return tally


EXPERIMENTS: Final = (
    *(
        Experiment(
            "storms through PgBouncer", driver, "with the documented settings every first answer is final",
            partial(through_pgbouncer, driver), {Size.SHORT: 2, Size.CI: 5, Size.FULL: 100}, without_pgbouncer,
        )
        for driver in ("postgresql+psycopg2", "postgresql+psycopg")
    ),
    Experiment(
        "payers through PgBouncer", "postgresql+asyncpg, FastAPI, two workers", "no statement is asked for elsewhere",
        asyncpg_through_pgbouncer, {Size.SHORT: 2, Size.CI: 5, Size.FULL: 100}, without_pgbouncer,
    ),
    Experiment(
        "prepared statements through PgBouncer", "postgresql+psycopg", "without them calls fail, and never a payment",
        prepared_through_pgbouncer, {Size.SHORT: 6, Size.CI: 12, Size.FULL: 100}, without_pgbouncer,
    ),
)  # fmt: skip
