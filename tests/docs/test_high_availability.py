"""What the page about clusters says: its code runs, and its settings are those that the experiments are made with."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from paytechuz_core import drivers
from tests.databases import REQUIRED, Unavailable, throw_away
from tests.docs.pages import DOCS, blocks
from tests.faults import galera, patroni
from tests.faults.servers import LOOPBACK, free_port

PAGE: Final = DOCS / "how-to/high-availability.md"
TEXT: Final = PAGE.read_text()
THREE: Final = "host=db1:5432&host=db2:5432&host=db3:5432"


def block(start: str) -> str:
    """Find a block of the page by what it contains."""
    (found,) = (each.text for each in blocks(PAGE) if start in each.text)
    return found


def test_the_codes_are_those_that_the_library_knows() -> None:
    told = {int(number) for row in re.findall(r"^\| .* \|$", TEXT, re.MULTILINE) for number in codes(row, r"\d{4}")}
    states = {state for row in re.findall(r"^\| .* \|$", TEXT, re.MULTILINE) for state in codes(row, r"[0-9A-Z]{5}")}
    assert states == {
        *drivers.CONFLICTING_STATES,
        *drivers.GONE_STATES,
        drivers.READ_ONLY_STATE,
        drivers.DUPLICATE_STATE,
    }
    assert told == {
        *drivers.CONFLICTING_NUMBERS,
        *drivers.GONE_NUMBERS,
        *drivers.READ_ONLY_NUMBERS,
        drivers.DUPLICATE_NUMBER,
    }


def codes(row: str, pattern: str) -> list[str]:
    """Find the codes in a row of the first table."""
    first = row.split("|")[1].strip()
    known = ("another request won", "the server is gone, or stops", "nothing can be written here")
    return re.findall(rf"(?<![\w-]){pattern}(?!\w)", row) if first in known else []


# PostgreSQL


def test_patronis_settings_are_those_that_are_tested() -> None:
    shown = dict(re.findall(r'^ +(\w+): "?([\w.]+)"?$', block("synchronous_mode: true"), re.MULTILINE))
    times = {name: int(shown.pop(name)) for name in ("ttl", "loop_wait", "retry_timeout")}
    assert times["ttl"] >= times["loop_wait"] + 2 * times["retry_timeout"]
    tested = {**patroni.CLUSTER, **patroni.CLUSTER["postgresql"], **patroni.CLUSTER["postgresql"]["parameters"]}
    assert shown == {name: str(tested[name]).lower() for name in shown}
    assert {"synchronous_mode", "synchronous_mode_strict", "synchronous_commit", "use_pg_rewind"} <= set(shown)


@pytest.fixture
def postgresql() -> Iterator[URL]:
    """A database of our own."""
    try:
        with throw_away("postgresql") as (database, _):
            yield database.location
    except Unavailable as reason:
        (pytest.fail if REQUIRED else pytest.skip)(str(reason))


def at(location: URL, page: str) -> str:
    """Let a block of the page find this database at the third of its nodes; nobody listens at the others."""
    host, port = location.host or location.query["host"], location.port or 5432
    nodes = f"host={LOOPBACK}:{free_port()}&host={LOOPBACK}:{free_port()}&host={host}:{port}"
    assert THREE in page or "shop@/shop" in page
    return page.replace(THREE, nodes).replace("shop@/shop", f"{location.username}@/{location.database}")


def test_every_driver_finds_the_node_that_takes_writes(postgresql: URL) -> None:
    names: dict[str, Any] = {}
    exec(at(postgresql, block("TIMEOUTS = {")), names)  # noqa: S102 - which is what this test is about
    exec(at(postgresql, block("asyncpg_engine = ")), names)  # noqa: S102 - as above
    engine: Engine = names["engine"]
    sync = [engine, create_engine(engine.url.set(drivername="postgresql+psycopg2"), connect_args=names["TIMEOUTS"])]
    for each in sync:
        with each.connect() as connection:
            assert connection.scalar(text("SHOW statement_timeout")) == "10s"
            assert connection.scalar(text("SHOW lock_timeout")) == "5s"
        each.dispose()
    asyncio.run(timeouts(names["asyncpg_engine"]))
    asyncio.run(timeouts(create_async_engine(engine.url, connect_args=names["TIMEOUTS"])))


async def timeouts(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(text("SHOW statement_timeout")) == "10s"
    await engine.dispose()


PROGRAM: Final = """
from django.conf import settings
settings.configure(DATABASES=DATABASES)
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW lock_timeout")
    print(*cursor.fetchone())
"""


def test_django_finds_it_too(postgresql: URL) -> None:
    host, port = postgresql.host or postgresql.query["host"], postgresql.port or 5432
    shown = block("django.db.backends.postgresql")
    changed = shown
    for before, after in {
        "db1,db2,db3": f"{LOOPBACK},{LOOPBACK},{host}",
        "5432,5432,5432": f"{free_port()},{free_port()},{port}",
        '"NAME": "shop"': f'"NAME": "{postgresql.database}"',
        '"USER": "shop"': f'"USER": "{postgresql.username}"',
    }.items():
        assert before in changed
        changed = changed.replace(before, after)
    program = at(postgresql, block("TIMEOUTS = {")) + changed + PROGRAM
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "5s\n", done.stderr


# MariaDB


def test_the_engine_is_the_one_that_is_tested() -> None:
    shown = block("def one_writer")
    assert inspect.getsource(galera.one_writer) in shown
    assert f'"init_command": "{galera.CAUSAL["init_command"]}' in shown
    names: dict[str, Any] = {}
    exec(shown, names)  # noqa: S102 - which is what this test is about
    names["galera_engine"].dispose()


def test_the_nodes_are_those_that_are_tested() -> None:
    shown = dict(re.findall(r"^(\w+) = (\S+)$", block("wsrep_on = ON"), re.MULTILINE))
    own = {"wsrep_cluster_name", "wsrep_cluster_address", "wsrep_node_address", "wsrep_sst_method"}
    told = galera.SETTINGS
    assert {name: value for name, value in shown.items() if name not in own | {"wsrep_provider"}} == {
        name.replace("-", "_"): value for name, value in (each.split("=") for each in told)
    }


@pytest.mark.parametrize("experiment", [*patroni.EXPERIMENTS, *galera.EXPERIMENTS], ids=str)
def test_what_is_tested_is_on_the_page(experiment: Any) -> None:
    assert f"| {experiment.name} |" in TEXT
