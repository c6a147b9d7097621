"""The table's migrations, and the one function that runs them.

They keep their own version table, `paytechuz_version`, and so live beside the merchant's. To have them in a history of
your own instead, add this folder to Alembic's `version_locations`: `paytechuz_core.sql:migrations/versions` (branch
`paytechuz`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, inspect, text

from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql.model import PaymentTransaction, table_of
from paytechuz_core.sql.unit import check_engine, missing_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

VERSION_TABLE = "paytechuz_version"
alone = Lock()
"""Alembic keeps what it works on in globals, so one migration at a time in each process."""

LOCK = 7_295_003_181_640_017
"""The number of PostgreSQL's advisory lock: any, as long as it stays."""


def run_migrations(engine: Engine) -> None:
    """Create or upgrade the table `payments`; does nothing when it is up to date.

    Safe to call from several processes at once, at every start. Raises ConfigurationError, and leaves it untouched,
    where a table `payments` of another shape is already there.
    """
    if not isinstance(engine, Engine):
        message = "run_migrations takes an Engine; for an AsyncEngine use `await arun_migrations(engine)`"
        raise ConfigurationError(message)
    with alone, engine.connect() as connection:
        upgrade(connection)


async def arun_migrations(engine: AsyncEngine) -> None:
    """Do the same with an AsyncEngine."""
    # Waiting for a lock would stop the event loop, and with it the task that holds the lock.
    while not alone.acquire(blocking=False):  # noqa: ASYNC110 - threads release it too, and they set no asyncio.Event
        await asyncio.sleep(0.01)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
    finally:
        alone.release()


def upgrade(connection: Connection) -> None:
    """Upgrade through `connection`, alone: a lock keeps other processes' migrations waiting."""
    check_engine(connection.engine)
    with locked(connection):
        inspector = inspect(connection)
        found = inspector.has_table("payments") and not inspector.has_table(VERSION_TABLE)
        if found and (wrong := missing_table(connection, table_of(PaymentTransaction))):
            raise wrong
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes["connection"] = connection
        # A table that is all it should be was made by `create_all`, or in a history of the merchant's own.
        (command.stamp if found else command.upgrade)(config, "head")


@contextmanager
def locked(connection: Connection) -> Iterator[None]:
    """Hold the migrations' lock for one database transaction."""
    match connection.dialect.name:
        case "sqlite":
            connection.begin()
            if getattr(connection.connection.driver_connection, "in_transaction", False):
                # The engine's own begin event, or the driver, has opened one: a first write takes the lock.
                connection.exec_driver_sql("CREATE TABLE paytechuz_lock (id INTEGER)")
                connection.exec_driver_sql("DROP TABLE paytechuz_lock")
            else:
                connection.exec_driver_sql("BEGIN EXCLUSIVE")
            yield
            connection.commit()
        case "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield
            connection.commit()
        case "mysql" | "mariadb":
            # DDL commits by itself there, so the lock is the session's and is given back by hand.
            if connection.scalar(text("SELECT GET_LOCK('paytechuz', 60)")) != 1:
                message = "another process has been migrating the table payments for a minute: try again after it"
                raise ConfigurationError(message)
            try:
                yield
                connection.commit()
            finally:
                if not connection.invalidated:  # a connection that is lost has given it back
                    connection.execute(text("SELECT RELEASE_LOCK('paytechuz')"))
        case other:
            message = f"paytechuz supports SQLite, PostgreSQL, MariaDB and MySQL, not {other}"
            raise ConfigurationError(message)
