"""From a DATABASE_URL, as it stands in a shop's environment, to an engine that these commands can use.

A shop's URL is often one for an async driver, or names no driver, or begins with `postgres://`. What can be told apart
is helped along; for the rest the message says what to do. No message holds a password.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, MetaData, NullPool, Table, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql import PaymentTransaction

DRIVERS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2"},
    "mysql": {"pymysql": "pymysql", "mysqldb": "MySQLdb"},
    "mariadb": {"pymysql": "pymysql", "mysqldb": "MySQLdb"},
}
"""By the database: SQLAlchemy's name of a driver, and the module it is. The first that is installed is taken."""

INSTALL: Final = {
    "postgresql": 'pip install "psycopg[binary]"',
    "mysql": "pip install pymysql",
    "mariadb": "pip install pymysql",
}
FORMS: Final = "write sqlite:///shop.db, postgresql://user:password@host/name or mysql://user:password@host/name"
ENCODED: Final = "in a user or a password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"
PATIENCE: Final = 10
"""How many seconds a server may take to let us in."""


@contextmanager
def engine_at(given: str, *, new: bool = False) -> Iterator[Engine]:
    """Give an engine of a database that answers; a `new` SQLite file may be made.

    Raises ConfigurationError, with the fix, wherever the database says no.
    """
    url = reachable(given)
    if url.get_backend_name() == "sqlite":
        check_file(url, new=new)
    patience: dict[str, Any] = {"connect_timeout": PATIENCE} if known(url) and not url.query else {}
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=patience)
    except ModuleNotFoundError as missing:
        plain = f"{url.get_backend_name()}://…"
        message = f"the driver {url.drivername} is not installed: install it, or write {plain} for one that is"
        raise ConfigurationError(message) from missing
    try:
        with answering(url, DBAPIError, TypeError):  # a driver that knows not every option of the URL
            engine.connect().close()
        with answering(url, DBAPIError):
            yield engine
    finally:
        engine.dispose()


def reachable(given: str) -> URL:
    """Read a URL, and give it a driver that is installed and waits for its answers."""
    try:
        url = make_url(given.strip())
    except (ArgumentError, ValueError):  # which may quote a piece of the password
        message = f"this is no database's URL: {FORMS}; {ENCODED}"
        raise ConfigurationError(message) from None
    if "@" in (url.host or ""):  # a piece of the password, which a driver would show
        message = f"this URL has two @: {ENCODED}"
        raise ConfigurationError(message)
    backend, _, driver = url.drivername.partition("+")
    if backend == "postgres":  # as hosts of databases still write it
        backend = "postgresql"
    if backend not in ("sqlite", *DRIVERS):
        message = f"paytechuz supports SQLite, PostgreSQL, MariaDB and MySQL, not {backend}: {FORMS}"
        raise ConfigurationError(message)
    url = url.set(drivername=f"{backend}+{driver}" if driver else backend)
    if driver and not is_async(url):
        return url
    chosen = "" if backend == "sqlite" else f"+{installed(backend)}"
    return translated(url).set(drivername=f"{backend}{chosen}")


def is_async(url: URL) -> bool:
    """Tell whether a driver is one for `create_async_engine`."""
    try:
        return url.get_dialect().is_async
    except NoSuchModuleError as unknown:
        backend = url.get_backend_name()
        message = f"SQLAlchemy knows no driver {url.drivername}: leave it out, {backend}://…, and one is chosen"
        raise ConfigurationError(message) from unknown


def installed(backend: str) -> str:
    """Choose a driver."""
    for name, module in DRIVERS[backend].items():
        if find_spec(module) is not None:
            return name
    message = f"a driver for {backend} is missing: {INSTALL[backend]}"
    raise ConfigurationError(message)


def translated(url: URL) -> URL:
    """Put asyncpg's options into libpq's words; those of its own cache mean nothing to another driver."""
    if url.get_backend_name() != "postgresql":
        return url
    query = {name: value for name, value in url.query.items() if not name.startswith("prepared_statement_")}
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return url.set(query=query)


def known(url: URL) -> bool:
    """Tell whether the driver is one of ours, whose options are known."""
    return url.get_driver_name() in DRIVERS.get(url.get_backend_name(), ())


def check_file(url: URL, *, new: bool) -> None:
    """Refuse a database in memory, and a file that is not there: SQLite would make an empty one."""
    file = url.database
    if file in (None, "", ":memory:"):
        message = "a database in memory is new and empty each time: name the shop's file, sqlite:///shop.db"
        raise ConfigurationError(message)
    if not new and not file.startswith("file:") and not Path(file).exists():
        message = f"there is no file {Path(file).absolute()}: a relative path begins in the current folder"
        raise ConfigurationError(message)


@contextmanager
def answering(url: URL, *errors: type[Exception]) -> Iterator[None]:
    """Let what a database says be told without a traceback, and without the password."""
    try:
        yield
    except errors as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        message = f"{shown(url)} says: {said.replace(url.password, '***') if url.password else said}"
        raise ConfigurationError(message) from None


def shown(url: URL) -> str:
    """Write a URL for people: without the password, and without options, among which could be another."""
    return url.set(query={}).render_as_string(hide_password=True)


def table_named(name: str) -> Table:
    """Give the table of payments as the library knows it, under the name, or `schema.name`, that it has here."""
    schema, _, plain = name.rpartition(".")
    table: Any = PaymentTransaction.__table__
    copy: Table = table.to_metadata(MetaData(), name=plain, schema=schema or None)
    return copy
