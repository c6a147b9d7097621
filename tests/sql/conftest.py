"""An engine and an open shop, on an empty database of each kind or with each driver."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine

from tests.databases import database_of, sqlite
from tests.sql.shop import Shop

Places = Callable[[str], str]


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine on an empty database: once on each."""
    yield from connected(url)


@pytest.fixture
def sync_engine(sync_url: str) -> Iterator[Engine]:
    """An engine on an empty database: once with each driver for a `Session`."""
    yield from connected(sync_url)


@pytest.fixture
def shop(engine: Engine) -> Shop:
    """A shop that has just opened: once on each database."""
    return Shop(engine).open()


@pytest.fixture
def every_shop(sync_engine: Engine) -> Shop:
    """A shop that has just opened: once with each driver for a `Session`."""
    return Shop(sync_engine).open()


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Gives the URL of an empty database for a driver; it stays until another test asks for one."""

    def place(driver: str) -> str:
        name = database_of(driver)
        if name == "sqlite":
            return sqlite(tmp_path_factory.mktemp("place")).url(driver)
        database, empty = request.getfixturevalue(name)
        empty()
        url: str = database.url(driver)
        return url

    return place


def connected(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()
