"""Fixtures for every test: an empty database, by the driver that the test names.

`url` runs a test once on each database. So do `sync_url` and `async_url`, and where every cell is tried, once with
each driver. To choose:

    @pytest.mark.parametrize("url", ["postgresql+psycopg2"], indirect=True)
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import EVERY_CELL, SIZE
from tests.databases import (
    ASYNC,
    ASYNC_DRIVERS,
    DEFAULT_DRIVERS,
    REQUIRED,
    SYNC_DRIVERS,
    Database,
    Unavailable,
    database_of,
    sqlite,
    throw_away,
)

# `make test` tries the same cases every time, so that a red build stays red; a larger size looks for new ones.
# No deadline: how long a case takes says more about the machine than about us.
settings.register_profile(
    "paytechuz", max_examples=100 * SIZE, derandomize=SIZE == 1, database=None, deadline=None, print_blob=True
)
settings.load_profile("paytechuz")

ThrowAway = tuple[Database, Callable[[], None]]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[ThrowAway]:
    """This process's own PostgreSQL database, with the function that empties it."""
    yield from made_or_skipped("postgresql")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[ThrowAway]:
    """This process's own MariaDB database, with the function that empties it."""
    yield from made_or_skipped("mariadb")


def made_or_skipped(name: str) -> Iterator[ThrowAway]:
    try:
        with throw_away(name) as made:
            yield made
    except Unavailable as reason:
        if REQUIRED:
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture(params=DEFAULT_DRIVERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: once on each, with its most used driver."""
    return emptied(request, tmp_path)


@pytest.fixture(params=SYNC_DRIVERS if EVERY_CELL else DEFAULT_DRIVERS)
def sync_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for `create_engine`."""
    return emptied(request, tmp_path)


@pytest.fixture(params=ASYNC_DRIVERS if EVERY_CELL else [drivers[0] for drivers in ASYNC.values()])
def async_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for `create_async_engine`."""
    return emptied(request, tmp_path)


def emptied(request: pytest.FixtureRequest, folder: Path) -> str:
    driver: str = request.param
    name = database_of(driver)
    if name == "sqlite":
        return sqlite(folder).url(driver)
    database, empty = request.getfixturevalue(name)
    empty()
    url: str = database.url(driver)
    return url
