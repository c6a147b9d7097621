"""Django, as one more client of the shared suite: views of the documented classes, over WSGI, on tables it migrated."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tests.django.project import Router, add_database, migrate

# The project is there, so Django may be asked for the rest.
# isort: split
from anyio.from_thread import BlockingPortal
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from sqlalchemy import create_engine

from paytechuz.integrations.django import ClickWebhookView, PaymeWebhookView
from paytechuz_core.handler import Expiry
from paytechuz_django.store import LOCK_SQLITE
from tests.databases import Database as Place
from tests.django.shop import models as twins
from tests.http.clients import FREE, MODELS, Database, Model, Row, Traffic, WsgiClient

TWINS: Final[dict[Model, Any]] = dict(zip(MODELS, twins.ORDERS, strict=True))


@dataclass(frozen=True)
class DjangoDatabase(Database):
    """A database that Django knows by an alias."""

    alias: str = ""

    own_tables = {"payments", "django_migrations"}  # noqa: RUF012 - as in its base
    shops_tables = {model._meta.db_table for model in twins.TABLES}  # noqa: RUF012, SLF001 - documented under this name

    @contextmanager
    def watch(self) -> Iterator[Traffic]:
        """See what the shop sends to its database, from this thread."""
        seen, connection = Traffic(), connections[self.alias]
        commit = connection.commit

        def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
            # SET is what Django tells MariaDB of each new connection.
            if not sql.upper().startswith((*FREE, "SET ")) and sql != LOCK_SQLITE:
                seen.statements.append(sql)
            return run(sql, params, many, context)

        def commits() -> None:
            seen.commits += 1
            commit()

        connection.commit = commits  # type: ignore[method-assign]
        try:
            with connection.execute_wrapper(execute):
                yield seen
        finally:
            connection.commit = commit  # type: ignore[method-assign]

    def forget_connections(self) -> None:
        """Let the shop connect anew."""
        connections[self.alias].close()

    def empty(self) -> None:
        """Forget everything, and on SQLite number orders from 1 again, as SQLAlchemy's tables do."""
        super().empty()
        if self.engine.dialect.name == "sqlite":
            with self.engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM sqlite_sequence")


@contextmanager
def furnished_by_django(place: Place, portal: BlockingPortal, *, alias: str) -> Iterator[DjangoDatabase]:
    """Make a shop's tables in an empty database as Django does, which knows it by this alias."""
    # To connect to MariaDB takes longer than a call, so there one connection stays.
    add_database(alias, place, CONN_MAX_AGE=None if place.name == "mariadb" else 0)
    migrate(alias, "paytechuz_django")
    engine = create_engine(place.url(place.sync_drivers[0]))
    yield DjangoDatabase(engine, portal, alias=alias)
    engine.dispose()
    connections[alias].close()


class Db:
    """What the habits of the shared suite call a session: get an order, change it, commit."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def get(self, model: Any, key: Any) -> Any:
        """Give an order."""
        order = model.objects.get(pk=key)
        self.taken.append(order)
        return order

    def commit(self) -> None:
        """Save what was taken."""
        for order in self.taken:
            order.save()


class DjangoWsgi(WSGIHandler):
    """A WSGI application with routes of its own."""

    def __init__(self, routes: tuple[Any, ...]) -> None:
        super().__init__()
        self.routes = routes

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Answer by these routes."""
        request.urlconf = self.routes  # type: ignore[assignment] # a module's name in the stubs, any patterns in truth
        return super().get_response(request)


class DjangoClient(WsgiClient):
    """Django, exactly as the documentation writes it."""

    name = "django"
    payme = PaymeWebhookView
    click = ClickWebhookView
    has_session = False

    database: DjangoDatabase

    def __init__(self, **ways: Any) -> None:
        """Take the Django model that stands for SQLAlchemy's."""
        super().__init__(**ways)
        self.model = TWINS[self.model]
        Router.chosen = self.database.alias

    @cached_property
    def app(self) -> DjangoWsgi:
        """One route over each view."""
        return DjangoWsgi(tuple(path(route.lstrip("/"), view(None)) for route, view in self.routes.items()))

    def leave_thread(self) -> None:
        """Close the thread's own connection."""
        connections[self.database.alias].close()

    def expire(self) -> Expiry:
        """Expire what nobody paid, as the command does."""
        view = self.handler(None)
        try:
            expiry: Expiry = view.view_class(**view.view_initkwargs).expire()
            return expiry
        finally:
            self.database.forget_connections()

    def extended(self, base: type) -> Any:
        """Extend a documented class by the habits, and give it what they call a session."""
        view = super().extended(base)
        # One for each database transaction: as after a rollback, no change may be saved with another's.
        view.db = property(lambda made: vars(made._unit or made).setdefault("db", Db()))  # noqa: SLF001 - the unit's
        return view

    def made(self, handler_class: Any, db: Any, settings: Row) -> Any:
        """Make a view."""
        del db
        return handler_class.as_view(**settings)
