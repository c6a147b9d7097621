"""A shop for each test: on every client, and on SQLite, or on every database where the test says so.

There, `make test` serves each client on SQLite and on one more database, and `.ci/run` on all. Flask keeps payments by
the same lines as FastAPI with a `Session`, so SQLite is enough for it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any, Final

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests import EVERY_CELL
from tests.databases import ASYNC, REQUIRED, SYNC, Unavailable, database_of, sqlite, throw_away
from tests.databases import Database as Place
from tests.http.clients import CLIENTS, KEY, SECRET, Client, Database, FastApiAsync, FastApiSync, FlaskSync, furnished
from tests.http.django import DjangoClient, furnished_by_django

SERVED_ON: Final = {FastApiSync: "postgresql", FastApiAsync: "mariadb", FlaskSync: "sqlite", DjangoClient: "mariadb"}
"""The database, besides SQLite, that each client is served on where not every cell is tried."""

Databases = Callable[[str], Database]
Open = Callable[..., Client]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a shop on every client; on each database, or with each driver of each, where a mark says so."""
    if "driver" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("every_database")
        named = metafunc.definition.get_closest_marker("clients")
        clients: tuple[type[Client], ...] = named.args if named else (*CLIENTS, DjangoClient)
        cells = [
            (client, driver)
            for client in clients
            for driver in drivers(client, mark, all_of_them=EVERY_CELL or named is not None)
        ]
        metafunc.parametrize(
            ("client_class", "driver"), cells, ids=[f"{client.name}-{driver}" for client, driver in cells]
        )


def drivers(client: type[Client], mark: pytest.Mark | None, *, all_of_them: bool) -> Iterator[str]:
    """Give the drivers that a client is served with, as the mark `every_database` asks."""
    if mark is None:
        yield (ASYNC if client.is_async else SYNC)["sqlite"][0]
    elif not client.is_async or mark.kwargs.get("asynchronous", True):
        every_driver = mark.kwargs.get("every_driver", False)
        for name, known in (ASYNC if client.is_async else SYNC).items():
            if name != mark.kwargs.get("but") and (
                all_of_them or every_driver or name in ("sqlite", SERVED_ON[client])
            ):
                yield from known if every_driver else known[:1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what speaks to a session where the client has none; the mark may be a single parameter's."""
    items[:] = [item for item in items if item.get_closest_marker("session") is None or has_session(item)]


def has_session(item: pytest.Item) -> bool:
    """Tell whether a test's shop has a SQLAlchemy session."""
    client: type[Client] = item.callspec.params["client_class"]  # type: ignore[attr-defined]
    return client.has_session


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """One event loop in a thread of its own, where all shops are served."""
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def databases(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Databases of this suite's own, each made once, by the driver that the shop uses."""
    with ExitStack() as stack:

        @cache
        def place_of(name: str, orm: str) -> Place:  # noqa: ARG001 - each ORM has tables that it made itself
            if name == "sqlite":
                return sqlite(tmp_path_factory.mktemp("shop"))
            return stack.enter_context(throw_away(name))[0]

        @cache
        def database(driver: str, *, asynchronous: bool, django: bool = False) -> Database:
            name = database_of(driver)
            place = place_of(name, "django" if django else "sqlalchemy")
            if django:
                return stack.enter_context(furnished_by_django(place, portal, alias=name))
            return stack.enter_context(furnished(place, driver, portal, asynchronous=asynchronous))

        yield database


@pytest.fixture
def database(client_class: type[Client], driver: str, databases: Callable[..., Database]) -> Database:
    """The test's database, empty."""
    try:
        django = issubclass(client_class, DjangoClient)
        found = databases(driver, asynchronous=client_class.is_async, django=django)
    except Unavailable as reason:
        if REQUIRED:
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    found.empty()
    return found


@pytest.fixture
def open_shop(client_class: type[Client], database: Database) -> Open:
    """Opens a shop: `open_shop(habits=[…], settings={…})`."""

    def open_shop(**ways: Any) -> Client:
        return client_class(database=database, **ways)

    return open_shop


@pytest.fixture
def shop(open_shop: Open) -> Client:
    """A shop that does as the documentation's example."""
    return open_shop()


@pytest.fixture(autouse=True)
def _the_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test provokes, neither canary may be in what was logged."""
    caplog.set_level(logging.DEBUG, "paytechuz")
    yield
    logged = "".join(record.getMessage() + str(record.exc_text) for record in caplog.get_records("call"))
    assert KEY not in logged
    assert SECRET not in logged
