"""`flask paytechuz`: make the table, ask the doctor, read a statement, expire what nobody paid."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, Final

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import Engine

from paytechuz_core.doctor import MEND, Finding, is_sick, lines, look_at_endpoint, look_at_keys, ok
from paytechuz_core.handler import AGAIN
from paytechuz_core.outbound import Send, over_http_at
from paytechuz_core.report import csv_lines, table_lines, window_of
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.sql import PaymentTransaction, SqlHandler, run_migrations
from paytechuz_core.sql.reports import look_at_database, statement
from paytechuz_core.sql.unit import bind_of

OWN_TABLE: Final = (
    "{} is a table of your own models: make it as you make the others (Flask-Migrate: `flask db upgrade`)"
)
UNKNOWN: Final = 'app.config["PAYTECHUZ"] has no "{}"'
ENDS: Final = "such as 2026-11-27: the whole day in the server's time zone. Or a time, or milliseconds."

commands = AppGroup("paytechuz", help="Payments with Payme and Click.")


@commands.command("upgrade")
def upgrade() -> None:
    """Make or upgrade the table `payments`. Does nothing where it is up to date."""
    with handlers() as made:
        for handler in made.values():
            if handler.table is not PaymentTransaction.__table__:
                raise click.ClickException(OWN_TABLE.format(handler.table))
        engines = {engine_of(each) for each in made.values()}
    for engine in engines:
        with told():
            run_migrations(engine)
        click.echo(f"the table payments of {engine.url.render_as_string()} is up to date")


@commands.command("doctor")
@click.option("--url", help="Call the endpoints there, as the providers do: https://shop.example")
def doctor(url: str | None) -> None:
    """Look at settings, table, clock and endpoints, and say what is wrong and how to mend it.

    The endpoints are called with a wrong key. Nothing is changed. Exits with 1 where something is wrong.
    """
    found = list(findings(sender(url)))
    for line in lines(found):
        click.echo(line)
    if is_sick(found):
        raise click.ClickException(MEND)


@commands.command("statement")
@click.option("--from", "start", required=True, metavar="WHEN", help=f"From when, {ENDS}")
@click.option("--to", "end", required=True, metavar="WHEN", help=f"To when, {ENDS}")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, for a spreadsheet.")
@click.option("--gateway", type=click.Choice(["payme", "click"]), default="payme", show_default=True)
def show(start: str, end: str, gateway: str, *, as_csv: bool) -> None:
    """Show what GetStatement says: transactions of every state by Payme's time, both ends included.

    Click tells no time of its own: there it is the time at which the shop stored them.
    """
    try:
        window = window_of(start, end, datetime.astimezone)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    with handlers(provider := gateway.upper()) as made, engine_of(made[provider]).connect() as connection:
        found = statement(connection, made[provider].table, gateway, *window)
        for line in csv_lines(found, None) if as_csv else table_lines(found, None):
            click.echo(line, nl=not as_csv)


@commands.command("expire")
def expire() -> None:
    """Cancel Payme's unpaid transactions that are past their 12 hours, with the hooks of your HANDLER.

    Never touches Click. Safe to run anywhere, any number of times.
    """
    with handlers("PAYME") as made, told():
        done = made["PAYME"].expire()
    click.echo(str(done))
    if done.failed:
        raise click.ClickException(AGAIN)


def findings(send_to: Callable[[str], Send]) -> Iterator[Finding]:
    """Look at everything."""
    routes = current_app.extensions["paytechuz"]
    yield ok("settings", f"PAYTECHUZ has {' and '.join(sorted(routes))}")  # checked when the application began
    with handlers() as made:
        for provider, handler in made.items():
            url, gateway = routes[provider].url, handler.gateway
            setting, keys = ("PAYME_KEY", gateway.keys) if provider == "PAYME" else ("SECRET_KEY", gateway.secrets)
            yield look_at_keys(url, setting, keys)
            yield look_at_endpoint(gateway.name, url, send_to(url))
        for handler, orders in by_table(made):
            fix = "run `flask paytechuz upgrade`"
            if handler.table is not PaymentTransaction.__table__:
                fix = OWN_TABLE.format(handler.table)
            yield from look_at_database(engine_of(handler), handler.table, orders, fix)


def by_table(made: Mapping[str, SqlHandler]) -> list[tuple[SqlHandler, list[str]]]:
    """Give a handler for each table of payments, with all tables of orders beside it: both providers may share one."""
    found: dict[Any, tuple[SqlHandler, list[str]]] = {}
    for each in made.values():
        found.setdefault((engine_of(each), each.table), (each, []))[1].append(each.accounts.table)
    return list(found.values())


@contextmanager
def handlers(wanted: str | None = None) -> Iterator[Mapping[str, Any]]:
    """Make the handlers by provider, or the one that is wanted, each with a session."""
    routes = current_app.extensions["paytechuz"]
    if wanted is not None and wanted not in routes:
        raise click.ClickException(UNKNOWN.format(wanted))
    with ExitStack() as stack:
        yield {name: stack.enter_context(routes[name].made()) for name in routes if wanted in (None, name)}


def engine_of(handler: SqlHandler) -> Engine:
    """Say where a handler's payments are."""
    return bind_of(handler.db, handler.accounts.model, handler.table).engine


@contextmanager
def told() -> Iterator[None]:
    """Let a set-up that cannot work be told without a traceback."""
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error


def sender(url: str | None) -> Callable[[str], Send]:
    """Say how a path is called: in this process, through all that stands before it, or at `url`, as providers do."""
    try:
        return in_process if url is None else over_http_at(url)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def in_process(path: str) -> Send:
    """Call a path without a server, by https."""
    client = current_app.test_client()

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        try:
            answer = client.post(path, data=body, headers=dict(headers), url_scheme="https")
        except Exception:  # noqa: BLE001 - an application in debug mode raises what a server would answer with 500
            return 500, b""
        return answer.status_code, answer.data

    return send
