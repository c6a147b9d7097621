"""`paytechuz migrate`, `doctor` and `statement`: the table of payments, looked at by its DATABASE_URL alone.

They serve every shop, whatever its framework: FastAPI has no command of its own, and a copy of a database has no shop
beside it. What needs the shop's settings stays with the framework (`manage.py paytechuz_doctor`, `flask paytechuz
doctor`, `paytechuz_expire`). SQLAlchemy is asked for only when one of these runs.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from paytechuz.cli.config import Wrong
from paytechuz.cli.shown import told
from paytechuz_core.doctor import MEND, Finding, is_sick, lines, look_at_endpoint, wrong
from paytechuz_core.outbound import over_http_at
from paytechuz_core.report import csv_lines, table_lines, window_of
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.rows import misfit

# A blank line before each, because a line that is only broken would be joined.
MIGRATE: Final = """Example:

paytechuz migrate sqlite:///shop.db

DATABASE_URL=postgresql://shop:password@localhost/shop paytechuz migrate
"""
DOCTOR: Final = """Examples:

paytechuz doctor sqlite:///shop.db

paytechuz doctor --url https://shop.example --payme-path /pay/payme
"""
STATEMENT: Final = """Examples:

paytechuz statement --from 2026-11-01 --to 2026-11-30 sqlite:///shop.db

paytechuz statement --from 2026-11-27 --to 2026-11-27 --csv > payments.csv
"""
NEEDED: Final = 'this command needs SQLAlchemy and Alembic: pip install "paytechuz[fastapi]", or "paytechuz[flask]"'
WEBHOOKS: Final = {"payme": "/payments/payme/webhook", "click": "/payments/click/webhook"}
"""Where the endpoints are, unless somebody says otherwise."""

MADE_BY: Final = "run `paytechuz migrate` with the same DATABASE_URL (Django: `manage.py migrate`)"
OWN: Final = "make it as you make the shop's other tables"
ENDS: Final = "such as 2026-11-27: the whole day. Or a time, or milliseconds."


class Provider(StrEnum):
    """Whose transactions."""

    PAYME = "payme"
    CLICK = "click"


Url = Annotated[
    str,
    typer.Argument(
        metavar="DATABASE_URL",
        envvar="DATABASE_URL",
        show_default=False,
        help="The shop's database. Better in the environment: others may see what runs with which arguments.",
    ),
]
TableName = Annotated[str, typer.Option("--table", metavar="NAME", help="The table of payments, where it is another.")]


# migrate


def migrate(url: Url) -> None:
    """Make or upgrade the table `payments`, and say what was done. Does nothing where it is up to date.

    Safe to run at every deployment, and from several machines at once. A Django shop has `manage.py migrate` for it.
    """
    with telling():
        from alembic.migration import MigrationContext  # noqa: PLC0415 - where it is missing, its message is told
        from sqlalchemy import inspect  # noqa: PLC0415 - as above

        from paytechuz.cli.engines import engine_at, shown  # noqa: PLC0415 - as above
        from paytechuz_core.sql.migrations import VERSION_TABLE, run_migrations  # noqa: PLC0415 - as above

        with engine_at(url, new=True) as engine:

            def version() -> str | None:
                with engine.connect() as connection:
                    options = {"version_table": VERSION_TABLE}
                    return MigrationContext.configure(connection, opts=options).get_current_revision()

            before, there = version(), inspect(engine).has_table("payments")
            run_migrations(engine)
            typer.echo(done(before, version(), shown(engine.url), there=there))


def done(before: str | None, after: str | None, where: str, *, there: bool) -> str:
    """Say what a migration did, by the versions before and after it."""
    match before:
        case None if there:
            return f"{where}: the table payments was there, and is right; from now on its version is kept ({after})"
        case None:
            return f"{where}: made the table payments ({after})"
        case same if same == after:
            return f"{where}: the table payments is up to date ({after})"
        case older:
            return f"{where}: upgraded the table payments from {older} to {after}"


# doctor


def doctor(
    url: Annotated[
        str | None,
        typer.Argument(metavar="DATABASE_URL", envvar="DATABASE_URL", show_default=False, help="The shop's database."),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Call the endpoints there too: https://shop.example")
    ] = None,
    payme_path: Annotated[str | None, typer.Option(metavar="PATH", help=f"Payme's: {WEBHOOKS['payme']}")] = None,
    click_path: Annotated[str | None, typer.Option(metavar="PATH", help=f"Click's: {WEBHOOKS['click']}")] = None,
    orders: Annotated[
        list[str] | None, typer.Option(metavar="TABLE", help="A table of orders, which must commit with payments.")
    ] = None,
    table: TableName = "payments",
) -> None:
    """Look at the table, the clock and the endpoints, and say what is wrong and how to mend it.

    The endpoints are called with a wrong key, which they must refuse. Without a path both are called, with one that one
    alone. Nothing is changed. Exits with 1 where something is wrong. Django and Flask have doctors of their own, which
    look at the settings besides.
    """
    if url is None and site is None:
        message = "give DATABASE_URL, --url, or both"
        raise typer.BadParameter(message)
    named = {"payme": payme_path, "click": click_path}
    given = {name: path for name, path in named.items() if path is not None}
    if given and site is None:
        message = "a path is of use only beside --url"
        raise typer.BadParameter(message)
    with telling():
        found = [*([] if url is None else findings_in(url, table, orders or []))]
        if site is not None:
            found += findings_at(site, given or WEBHOOKS)
    for line in lines(found):
        typer.echo(line)
    if is_sick(found):
        typer.echo(MEND, err=True)
        raise typer.Exit(1)


def findings_in(url: str, name: str, orders: list[str]) -> Iterator[Finding]:
    """Look at a database."""
    from paytechuz.cli.engines import engine_at, table_named  # noqa: PLC0415 - needs SQLAlchemy
    from paytechuz_core.sql.reports import look_at_database  # noqa: PLC0415 - as above

    try:
        with engine_at(url) as engine:
            yield from look_at_database(engine, table_named(name), orders, MADE_BY if name == "payments" else OWN)
    except ConfigurationError as error:
        yield wrong("database", str(error), "")


def findings_at(site: str, paths: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the endpoints of a site."""
    try:
        send_to = over_http_at(site)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error
    for gateway, path in paths.items():
        yield look_at_endpoint(gateway, path, send_to(path if path.startswith("/") else f"/{path}"))


# statement


def zone_of(name: str | None) -> ZoneInfo | None:
    """Read a time zone's name."""
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"{name!r} is no time zone, such as Asia/Tashkent or UTC"
        raise typer.BadParameter(message) from error


def statement(
    url: Url,
    start: Annotated[str, typer.Option("--from", metavar="WHEN", help=f"From when, {ENDS}")],
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help=f"To when, {ENDS}")],
    *,
    gateway: Annotated[Provider, typer.Option(help="Whose.")] = Provider.PAYME,
    zone: Annotated[
        str | None, typer.Option(metavar="NAME", help="In which time zone, such as Asia/Tashkent; else this machine's.")
    ] = None,
    table: TableName = "payments",
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
) -> None:
    """Show what GetStatement says: transactions of every state by Payme's time, both ends included.

    Click tells no time of its own: there it is the time at which the shop stored them. Of any length: what is read is
    written at once.
    """
    place = zone_of(zone)

    def aware(moment: datetime) -> datetime:
        return moment.astimezone() if place is None else moment.replace(tzinfo=place)

    try:
        window = window_of(start, end, aware)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with telling():
        from paytechuz.cli import engines  # noqa: PLC0415 - needs SQLAlchemy
        from paytechuz_core.sql import reports, unit  # noqa: PLC0415 - as above

        payments = engines.table_named(table)
        with engines.engine_at(url) as engine, engine.connect() as connection:
            fix = MADE_BY if table == "payments" else OWN
            if wrong_table := misfit(unit.seen_of(connection, payments), payments.c.keys(), fix):
                raise wrong_table
            found = reports.statement(connection, payments, gateway.value, *window)
            write(csv_lines(found, place) if as_csv else (f"{line}\n" for line in table_lines(found, place)))


def write(text: Iterable[str]) -> None:
    """Write to the output as it comes, and all of it before anybody says that it went well."""
    try:
        for each in text:
            sys.stdout.write(each)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`). At once, because a driver would first read all the other rows to
        # leave its connection tidy; nothing was changed, and the server sees that we are gone.
        os._exit(1)


# What all of them say


@contextmanager
def telling() -> Iterator[None]:
    """Let what cannot work be told without a traceback."""
    with told():
        try:
            yield
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] not in {"sqlalchemy", "alembic"}:
                raise
            raise Wrong(NEEDED) from missing
        except ConfigurationError as error:
            raise Wrong(str(error)) from error


COMMANDS: Final[Mapping[Callable[..., None], str]] = {migrate: MIGRATE, doctor: DOCTOR, statement: STATEMENT}
"""Each with its example."""
