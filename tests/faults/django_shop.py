"""The shop of `tests.sql.shop` on Django: the same orders and effects in tables of the same names, so the same books.

It is called as `Shop` is, without HTTP: a view answers an `Inbound`. Whoever calls from a thread of his own closes what
Django has opened there, with `leave_thread`. Or it suffers as the shops of `tests.faults.shop` do: gunicorn calls
`make_app`.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.django.project import Router, add_database, migrate, on  # first of all, because it configures Django

# isort: split
from django.db import connections
from django.urls import path
from sqlalchemy import URL, make_url

from paytechuz.integrations.django import ClickWebhookView, PaymeWebhookView
from tests.core import click_wire
from tests.core.wire import KEY, Params, Wire, encoded, post
from tests.databases import ASYNC, SYNC, Database, database_of
from tests.django.shop.models import Effect, PlainOrder
from tests.faults.shop import DATABASE, WEBHOOK
from tests.faults.shop import SETTINGS as SERVED
from tests.http.django import DjangoWsgi
from tests.sql.shop import CLICK, SETTINGS, opened

ALIAS: Final = "faults"
PAYME: Final[Params] = {**SETTINGS, "payme_key": KEY, "account_model": PlainOrder}
OF_CLICK: Final[Params] = {**CLICK, "account_model": PlainOrder}


class Counts:
    """The shop's hooks."""

    def successfully_payment(self, params: Params, transaction: Any) -> None:
        """Deliver."""
        del params
        self.mark("paid", transaction)

    def cancelled_payment(self, params: Params, transaction: Any) -> None:
        """Take back."""
        del params
        self.mark("cancelled", transaction)

    def mark(self, status: str, transaction: Any) -> None:
        """Change the order, and write down that we were told."""
        order = PlainOrder.objects.get(pk=transaction.account_id)
        order.status = status
        order.save()
        paid_for = {"transaction_id": transaction.transaction_id, "amount_tiyin": transaction.amount_tiyin}
        Effect.objects.create(kind=status, **paid_for)


class Payme(Counts, PaymeWebhookView):
    """The shop's view for Payme."""


class Click(Counts, ClickWebhookView):
    """The shop's view for Click."""


# Without HTTP


@dataclass(frozen=True)
class DjangoShop:
    """The shop on one database, which Django knows by an alias."""

    alias: str
    view: type[PaymeWebhookView] = Payme
    settings: Params = field(default_factory=dict)

    def ask(self, wire: Wire) -> Params:
        """Answer one call of Payme, and open the answer."""
        return opened(self.view(**{**PAYME, **self.settings}).respond(post(encoded(wire))))

    def click(self, form: click_wire.Form) -> int:
        """Answer one call of Click, and give the answer's `error`."""
        view = Click(**{**OF_CLICK, **self.settings})
        error: int = click_wire.read(view.respond(click_wire.post(click_wire.encoded(form))))["error"]
        return error

    def order(self) -> str:
        """Take an order, and give its number as a payer types it."""
        return str(PlainOrder.objects.create().pk)

    def leave_thread(self) -> None:
        """Close this thread's connection."""
        connections[self.alias].close()


@contextmanager
def django_shop(url: str, view: type[PaymeWebhookView] = Payme, **options: Any) -> Iterator[DjangoShop]:
    """Open the shop on an empty database; `options` are the driver's."""
    with known(url, view, **options) as shop:
        migrate(shop.alias, "paytechuz_django")
        yield shop


@contextmanager
def known(url: str, view: type[PaymeWebhookView] = Payme, **options: Any) -> Iterator[DjangoShop]:
    """Know a shop on a database whose tables are there."""
    location = make_url(url)
    if database_of(location.drivername) == "mariadb":
        options["charset"] = "utf8mb4"  # by itself Django speaks it from 5.2 on
    with ExitStack() as stack:
        know(location, CONN_MAX_AGE=None, OPTIONS=options)
        stack.callback(connections.settings.pop, ALIAS)
        stack.enter_context(on(ALIAS))
        stack.callback(connections[ALIAS].close)
        yield DjangoShop(ALIAS, view)


def know(url: URL, **more: Any) -> None:
    """Let Django know the shop's database."""
    name = database_of(url.drivername)
    add_database(ALIAS, Database(name, SYNC[name], ASYNC[name], url), **more)


# Over HTTP


def make_app() -> DjangoWsgi:
    """Build the application."""
    know(make_url(os.environ[DATABASE]))
    Router.chosen = ALIAS
    view = Payme.as_view(**{**SERVED, "account_model": PlainOrder})
    return DjangoWsgi((path(WEBHOOK.lstrip("/"), view),))


def migrate_tables(url: URL) -> None:
    """Make the tables of payments, orders and effects in a database, as Django does."""
    know(url)
    migrate(ALIAS, "paytechuz_django")
