"""A Django project for the tests: configured once in each process, with a database added for each that a test needs.

Import it before anything of Django's. `default` is no database at all, so that a query that ignores the routers fails;
ATOMIC_REQUESTS is on and the time zone is Tashkent's, because neither may make a difference.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import django
import pymysql  # type: ignore[import-untyped]
from django.conf import settings
from sqlalchemy import make_url

from tests.databases import Database

pymysql.version_info = (2, 2, 7, "final", 0)  # Django asks for a mysqlclient that is new enough; PyMySQL serves as well
pymysql.install_as_MySQLdb()

ENGINES: Final = {"sqlite": "sqlite3", "postgresql": "postgresql", "mariadb": "mysql"}

settings.configure(
    SECRET_KEY="of the tests",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "paytechuz_django",
        "tests.django.shop",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ROOT_URLCONF="tests.django.urls",
    ALLOWED_HOSTS=["*"],
    DATABASES={},
    DATABASE_ROUTERS=["tests.django.project.Router"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="Asia/Tashkent",
    LANGUAGE_CODE="en",
    STATIC_URL="static/",
    DEBUG_PROPAGATE_EXCEPTIONS=True,  # what the application raises is raised in the test
)
django.setup()

from django.core.management import call_command  # noqa: E402 - after the set-up
from django.db import connections  # noqa: E402


class Router:
    """Sends everything to the database that the test works with."""

    chosen = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:
        """Give the test's database."""
        del model, hints
        return Router.chosen

    db_for_write = db_for_read

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        """Let everything be related."""
        del one, other, hints
        return True


def add_database(alias: str, place: Database, **more: Any) -> None:
    """Let Django know a database."""
    location = make_url(place.url(place.sync_drivers[0]))
    entry = {
        "ENGINE": f"django.db.backends.{ENGINES[place.name]}",
        "NAME": location.database or "",
        "USER": location.username or "",
        "PASSWORD": location.password or "",
        "HOST": location.host or "",
        "PORT": str(location.port or ""),
        "ATOMIC_REQUESTS": True,
        "OPTIONS": {"charset": "utf8mb4"} if place.name == "mariadb" else {},  # by itself Django speaks it from 5.2 on
        **more,
    }
    with suppress(AttributeError):  # this thread has not been there
        del connections[alias]
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: entry})[alias]


@contextmanager
def on(alias: str) -> Iterator[None]:
    """Work with a database for a while."""
    before, Router.chosen = Router.chosen, alias
    try:
        yield
    finally:
        connections[alias].close()
        Router.chosen = before


def migrate(alias: str, *apps: str) -> None:
    """Make the tables of these apps, by default of all, and the shop's."""
    from tests.django.shop.models import TABLES  # noqa: PLC0415 - a model

    with on(alias):
        for app in apps or (None,):
            call_command("migrate", *([app] if app else []), database=alias, verbosity=0)
        connection = connections[alias]
        there = connection.introspection.table_names()
        with connection.schema_editor() as editor:
            for model in TABLES:
                if model._meta.db_table not in there:  # noqa: SLF001 - documented under this name
                    editor.create_model(model)
