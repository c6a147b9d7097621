"""A migrated database for each test, empty: SQLite, or every database where the mark `every_database` says so."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache

import pytest
from django.apps import apps
from django.db import connections

from tests.databases import REQUIRED, SYNC, Unavailable, sqlite, throw_away
from tests.django.project import add_database, migrate, on

SHARED = "django_"
"""How the aliases begin that stay known as long as the tests run."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases."""
    if "alias" in metafunc.fixturenames:
        everywhere = metafunc.definition.get_closest_marker("every_database")
        but = everywhere and everywhere.kwargs.get("but")
        names = [name for name in SYNC if name != but] if everywhere else ["sqlite"]
        metafunc.parametrize("alias", names, indirect=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Gives Django's alias of a database, which is made and migrated once."""
    with ExitStack() as stack:

        @cache
        def migrated(name: str) -> str:
            # Not the bare name: tests/http has databases of its own under that.
            alias = SHARED + name
            folder = tmp_path_factory.mktemp(alias)
            add_database(alias, sqlite(folder) if name == "sqlite" else stack.enter_context(throw_away(name))[0])
            migrate(alias)
            return alias

        yield migrated


@pytest.fixture(autouse=True)
def _only_shared_databases_stay_known() -> Iterator[None]:
    """Forget the databases that a test made known: makemigrations would ask each of them."""
    before = {*connections.settings}
    yield
    for alias in connections.settings.keys() - before:
        if not alias.startswith(SHARED):
            with suppress(AttributeError):  # nobody connected to it
                del connections[alias]
            del connections.settings[alias]


@pytest.fixture
def alias(request: pytest.FixtureRequest, migrated: Callable[[str], str]) -> Iterator[str]:
    """Django's alias of an empty database that every query goes to."""
    try:
        alias = migrated(request.param)
    except Unavailable as reason:
        if REQUIRED:
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
    with on(alias):
        for model in apps.get_models():
            if model._meta.label not in {"auth.Permission", "contenttypes.ContentType"}:  # noqa: SLF001 - made by migrating
                model._base_manager.all().delete()  # noqa: SLF001 - documented under this name
        yield alias
