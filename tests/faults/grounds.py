"""Where an experiment plays: a throw-away database on a server or in a file, and at which isolation level."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, create_engine

from tests.databases import DEFAULT_DRIVERS, SERVERS, Database, Unavailable, database_of, sqlite, throw_away
from tests.sql.shop import begin_with

RIVALS: Final = 16
"""How many come at once."""

LEVELS: Final = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
USUAL: Final = {"sqlite": None, "postgresql": "READ COMMITTED", "mariadb": "REPEATABLE READ"}


@contextmanager
def place(name: str) -> Iterator[Database]:
    """Make an empty database."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="paytechuz-faults-") as folder:
            yield sqlite(Path(folder))
        return
    with throw_away(name) as (made, _):
        yield made


@contextmanager
def database(driver: str) -> Iterator[str]:
    """Make an empty database, and give its URL for this driver."""
    with place(database_of(driver)) as made:
        yield made.url(driver)


def missing(driver: str) -> Callable[[], str | None]:
    """Say, when asked, how to have the server that this driver needs, or None where it answers."""
    return partial(missing_server, database_of(driver))


@cache
def missing_server(name: str) -> str | None:
    """Ask once whether a server answers."""
    if name == "sqlite":
        return None
    try:
        with SERVERS[name]():
            return None
    except Unavailable as reason:
        return str(reason)


@dataclass(frozen=True, slots=True)
class Ground:
    """A driver, and an isolation level or how the merchant's SQLite engine begins its database transactions."""

    driver: str
    level: str | None = None

    def __str__(self) -> str:
        """Name it."""
        return database_of(self.driver) + (f" {self.level}" if self.level else "")

    @property
    def usual(self) -> bool:
        """Tell whether this is how the database comes."""
        return self.level == USUAL[database_of(self.driver)]

    @property
    def refuses(self) -> bool:
        """Tell whether calls are refused that would not have disturbed each other; Payme then asks again."""
        return self.level == "SERIALIZABLE"

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Make an empty database, and an engine with a connection for each rival."""
        with database(self.driver) as url, self.engine_at(url) as engine:
            yield engine

    @contextmanager
    def engine_at(self, url: str) -> Iterator[Engine]:
        """Make such an engine for a database that is there."""
        if self.driver != "sqlite":
            engine = create_engine(url, pool_size=RIVALS, isolation_level=self.level)
        else:
            engine = create_engine(url, pool_size=RIVALS)
            if self.level is not None:
                begin_with(engine, self.level)
        yield engine
        engine.dispose()


GROUNDS: Final = tuple(
    Ground(driver, level) for driver in DEFAULT_DRIVERS for level in ((None,) if driver == "sqlite" else LEVELS)
)

# SQLite has one level, but a merchant's engine may begin its database transactions as SQLAlchemy advises: by an event.
VARIED: Final = (*GROUNDS, Ground("sqlite", "BEGIN"), Ground("sqlite", "BEGIN IMMEDIATE"))
