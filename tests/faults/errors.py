"""Every error of a database, at every statement of every call and at its COMMIT.

Where it can be, the error is the server's own: a real duplicate, a lock that is held, a backend that is cancelled or
terminated, a full disk; a deadlock comes with the ROLLBACK that it means. What only a cluster or a broken disk would
say, the server says on demand (RAISE, SIGNAL), and for SQLite the driver's own class.

Each error comes once, at each place of a call in turn; and once in a way that it lasts until the call has given up. The
answer is then either the right one, and stored, or the protocol's own "try again", and nothing is stored. When errors
have ceased, the same call gets its final answer, twice alike.
"""

import asyncio
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from random import Random
from types import SimpleNamespace
from typing import Any, Final, Protocol, TypeAlias
from unittest.mock import patch

import pymysql  # type: ignore[import-untyped]
from django.db import connections
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from paytechuz_core import engine as core
from paytechuz_core.observe import log
from tests.core import click_wire
from tests.core.wire import Params, Wire, check, check_perform, encoded, post, statement
from tests.databases import SYNC, database_of
from tests.faults.books import Ledger, audit
from tests.faults.django_shop import DjangoShop, django_shop
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import database, missing
from tests.faults.processes import MOVES, PAID_ALREADY, Call, Move, payme, state
from tests.said import READ_ONLY, saying
from tests.sql.shop import CLICK, SETTINGS, AsyncShopClick, AsyncShopPayme, Shop, opened

AGAIN: Final = (-32400, -7)
"""What Payme, and what Click, is answered when it should call again."""


def asked(wire: Callable[[str, str], Wire]) -> Callable[[str, int], tuple[Call, ...]]:
    """Let Payme ask about an order and its transaction."""

    def calls(order: str, number: int) -> tuple[Call, ...]:
        (created,) = MOVES["Create"].calls(order, number)
        return created, *payme(wire(order, f"p{number}"))

    return calls


CALLS: Final[Mapping[str, Move]] = {
    **MOVES,
    "CheckPerform": Move(
        lambda order, _: payme(check_perform(order=order)), lambda answer: answer.get("allow") is True
    ),
    "Check": Move(asked(lambda _, name: check(name)), state(1)),
    "Statement": Move(asked(lambda _, __: statement()), lambda answer: "transactions" in answer),
}


# Errors

Strike: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One error.

    `strike` is given a cursor of the call's connection. It raises the error, or leaves the connection so that the next
    statement meets it. `commit` is the same for COMMIT. Where it `starts_over`, the call must be answered well at once.
    """

    name: str
    strike: Strike
    commit: Strike
    starts_over: bool = False


def fault(
    name: str, strike: Callable[[Any], None], commit: Callable[[Any], None] | None = None, *, starts_over: bool = False
) -> Fault:
    """Describe an error that COMMIT meets like any statement, unless it is told otherwise."""
    return Fault(name, strike, commit or strike, starts_over)


def says(*statements: str) -> Strike:
    """Let the server run these; the last one fails."""

    def strike(cursor: Any) -> None:
        for each in statements:
            cursor.execute(each)

    return strike


def deferred(code: str) -> Strike:
    """Let the COMMIT that follows fail: a constraint that is deferred until then raises it."""
    return says(f"INSERT INTO failing_commits VALUES ('{code}')")  # noqa: S608 - one of the codes below


def sql_of(database: str, code: str) -> str:
    """Write the statement with which a server says that it takes no writes, or anything else."""
    return saying(database, code, dict(READ_ONLY[database]).get(code, "said so"))


def on_postgresql(code: str, *statements: str, starts_over: bool = False) -> Fault:
    """Describe an error of PostgreSQL."""
    return Fault(code, says(*(statements or (sql_of("postgresql", code),))), deferred(code), starts_over)


def on_mariadb(code: str, *statements: str, starts_over: bool = False) -> Fault:
    """Describe an error of MariaDB and MySQL."""
    return fault(code, says(*(statements or (sql_of("mariadb", code),))), starts_over=starts_over)


def pymysql_of(cursor: Any) -> Any:
    """Give PyMySQL's connection; Django's cursor has PyMySQL's inside."""
    return getattr(cursor, "cursor", cursor).connection


def shut(cursor: Any) -> None:
    """Shut the socket that leads to MariaDB, so that nothing can be sent."""
    pymysql_of(cursor)._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - there is no other way to it


def kill(cursor: Any) -> None:
    """Let MariaDB end the connection, and wait until it has, so that what is sent is never answered."""
    driver = pymysql_of(cursor)
    where = {name: getattr(driver, name) for name in ("host", "port", "user", "password")}
    number = driver.thread_id()
    with pymysql.connect(**where, ssl_disabled=True) as administrator, administrator.cursor() as asking:
        asking.execute(f"KILL {number}")
        while asking.execute(f"SELECT 1 FROM information_schema.processlist WHERE id = {number}"):  # noqa: S608 - a number
            pass


def raised(code: int, name: str, *, undoes: bool = False) -> Strike:
    """Raise an error of SQLite's; some undo the whole database transaction."""

    def strike(cursor: Any) -> None:
        if undoes:
            cursor.connection.rollback()
        error = sqlite3.OperationalError(name)
        error.sqlite_errorcode, error.sqlite_errorname = code, name
        raise error

    return strike


def fill_the_disk(cursor: Any) -> None:
    """Let SQLite need a page more than there may be."""
    (pages,) = cursor.execute("PRAGMA page_count").fetchone()
    cursor.execute(f"PRAGMA max_page_count = {pages}")
    try:
        cursor.execute("INSERT INTO things VALUES (2, zeroblob(1000000))")
    finally:
        cursor.execute("PRAGMA max_page_count = 1073741823")


def read_meanwhile(cursor: Any) -> None:
    """Let somebody read while SQLite wants to commit, which it then cannot."""
    (_, _, path) = cursor.execute("PRAGMA database_list").fetchone()
    cursor.execute("PRAGMA busy_timeout = 0")
    reader = sqlite3.connect(path)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM things").fetchone()
        cursor.connection.commit()
    finally:
        reader.close()
        cursor.execute("PRAGMA busy_timeout = 5000")


FAULTS: Final[Mapping[str, tuple[Fault, ...]]] = {
    "postgresql": (
        on_postgresql("40001", starts_over=True),
        on_postgresql("40P01", starts_over=True),
        on_postgresql("55P03", "LOCK TABLE held NOWAIT"),
        on_postgresql("57014", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)"),
        on_postgresql("57P01", "SELECT pg_terminate_backend(pg_backend_pid())", starts_over=True),
        on_postgresql("57P02", starts_over=True),
        on_postgresql("08006", starts_over=True),
        on_postgresql("40003", starts_over=True),
        on_postgresql("53300"),
        on_postgresql("23505", "INSERT INTO things VALUES (1)"),
        on_postgresql("22003", "SELECT 2147483647 + 1"),
        on_postgresql("25006", "SET TRANSACTION READ ONLY", "INSERT INTO things VALUES (2)"),
    ),
    "mariadb": (
        on_mariadb("1213", "ROLLBACK", sql_of("mariadb", "1213"), starts_over=True),
        on_mariadb("1205", "SELECT * FROM held FOR UPDATE NOWAIT", starts_over=True),
        on_mariadb("1062", "INSERT INTO things VALUES (1)"),
        on_mariadb("1047", starts_over=True),
        fault("2006", shut, starts_over=True),
        fault("2013", kill, starts_over=True),
        on_mariadb("1290"),
        on_mariadb("1836"),
    ),
    "sqlite": (
        fault("BUSY", raised(sqlite3.SQLITE_BUSY, "SQLITE_BUSY"), read_meanwhile, starts_over=True),
        fault("BUSY_SNAPSHOT", raised(sqlite3.SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"), starts_over=True),
        fault("FULL", fill_the_disk),
        fault("IOERR", raised(sqlite3.SQLITE_IOERR, "SQLITE_IOERR", undoes=True)),
    ),
}

FURNITURE: Final[Mapping[str, tuple[str, ...]]] = {
    "postgresql": (
        "CREATE TABLE things (n int PRIMARY KEY)",
        "CREATE TABLE held (n int)",
        "CREATE TABLE failing_commits (code text)",
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.code = '57P01' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RAISE EXCEPTION 'said so' USING ERRCODE = NEW.code;
        END $$""",
        """CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON failing_commits DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION fail()""",
        "INSERT INTO things VALUES (1)",
    ),
    "mariadb": (
        "CREATE TABLE things (n int PRIMARY KEY)",
        "CREATE TABLE held (n int PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
        "INSERT INTO held VALUES (1)",
    ),
    "sqlite": ("CREATE TABLE things (n int PRIMARY KEY, filling)", "INSERT INTO things VALUES (1, NULL)"),
}

HOLDS: Final = {"postgresql": "LOCK TABLE held", "mariadb": "SELECT * FROM held FOR UPDATE"}
"""What a rival holds all the time."""


@dataclass(slots=True)
class Striker:
    """Strikes at the place `place` of a call, counted from 0: once, or from then on."""

    fault: Fault | None = None
    place: int = -1
    lasts: bool = False
    seen: list[str] = field(default_factory=list)
    struck: int = 0

    def statement(self, cursor: Any, sql: str) -> None:
        """Come before a statement."""
        if self.due(sql):
            assert self.fault is not None
            self.fault.strike(cursor)

    def commit(self, cursor: Any) -> None:
        """Come before COMMIT."""
        if self.due("COMMIT"):
            assert self.fault is not None
            self.fault.commit(cursor)

    def due(self, what: str) -> bool:
        """Count a place, and tell whether it is the one."""
        self.seen.append(what)
        if self.fault is None or len(self.seen) <= self.place or (self.struck and not self.lasts):
            return False
        self.struck += 1
        return True


# Shops that can be struck


class Struck(Protocol):
    """A shop whose every statement passes by a striker."""

    def ask(self, call: Call) -> Params:
        """Answer a call."""

    def order(self) -> str:
        """Take an order."""

    def struck(self, striker: Striker) -> AbstractContextManager[object]:
        """Let a striker come before everything that is sent."""


@contextmanager
def beside(engine: Engine, striker: Striker) -> Iterator[None]:
    """Let a striker come before everything that an engine's dialect sends; what it raises is taken for the driver's."""
    do_commit = engine.dialect.do_commit

    def execute(cursor: Any, sql: str, *_: Any) -> None:
        striker.statement(cursor, sql)

    def commit(connection: Any) -> None:
        striker.commit(connection.cursor())
        do_commit(connection)

    event.listen(engine, "do_execute", execute)
    event.listen(engine, "do_execute_no_params", execute)
    try:
        with patch.object(engine.dialect, "do_commit", commit):
            yield
    finally:
        event.remove(engine, "do_execute", execute)
        event.remove(engine, "do_execute_no_params", execute)


@dataclass(frozen=True)
class OnSession:
    """A shop with a `Session`."""

    shop: Shop

    def ask(self, call: Call) -> Params:
        """Answer a call."""
        return call.ask(self.shop)

    def order(self) -> str:
        """Take an order."""
        return self.shop.order()

    def struck(self, striker: Striker) -> AbstractContextManager[object]:
        """See `beside`."""
        return beside(self.shop.engine, striker)


def plain(url: str) -> Params:
    """Connect to MariaDB without TLS, for which PyMySQL would read all certificates each time."""
    return {"ssl_disabled": True} if "pymysql" in url else {}


@contextmanager
def on_session(url: str) -> Iterator[OnSession]:
    """Open a shop with a `Session`."""
    engine = create_engine(url, connect_args=plain(url))
    yield OnSession(Shop(engine).open())
    engine.dispose()


@dataclass(frozen=True)
class OnAsyncSession:
    """A shop with an `AsyncSession`, the event loop that it lives in, and the same shop with a `Session`."""

    engine: AsyncEngine
    loop: asyncio.Runner
    shop: Shop

    def ask(self, call: Call) -> Params:
        """Answer a call."""
        return self.loop.run(self.answer(call))

    async def answer(self, call: Call) -> Params:
        """Answer a call."""
        async with AsyncSession(self.engine) as db:
            if call.payme is not None:
                shop = AsyncShopPayme(db, **{**SETTINGS, "clock": lambda: call.now})
                return opened(await shop.respond(post(encoded(call.payme))))
            assert call.click is not None
            click = AsyncShopClick(db, **CLICK)
            answer = click_wire.read(await click.respond(click_wire.post(click_wire.encoded(call.click))))
            return {"error": answer["error"]}

    def order(self) -> str:
        """Take an order."""
        return self.shop.order()

    def struck(self, striker: Striker) -> AbstractContextManager[object]:
        """See `beside`."""
        return beside(self.engine.sync_engine, striker)


@contextmanager
def on_async_session(url: str) -> Iterator[Struck]:
    """Open a shop with an `AsyncSession`."""
    with on_session(url.replace("asyncpg", "psycopg2")) as same, asyncio.Runner() as loop:

        async def engine() -> AsyncEngine:
            return create_async_engine(url)

        made = loop.run(engine())
        yield OnAsyncSession(made, loop, same.shop)
        loop.run(made.dispose())


@dataclass(frozen=True)
class OnDjango:
    """A shop on Django."""

    shop: DjangoShop

    def ask(self, call: Call) -> Params:
        """Answer a call."""
        return call.ask(self.shop)

    def order(self) -> str:
        """Take an order."""
        return self.shop.order()

    @contextmanager
    def struck(self, striker: Striker) -> Iterator[None]:
        """Let a striker come between Django and the driver, where Django takes what it raises for the driver's."""
        connection: Any = connections[self.shop.alias]
        create, commit = connection.create_cursor, connection._commit  # noqa: SLF001 - what wraps the driver's errors

        def create_cursor(*given: Any, **more: Any) -> Any:
            return StruckCursor(create(*given, **more), striker)

        def struck_commit() -> None:
            with connection.wrap_database_errors:
                striker.commit(create())
            commit()

        cursors = patch.object(connection, "create_cursor", create_cursor)
        with cursors, patch.object(connection, "_commit", struck_commit):
            yield


@dataclass(frozen=True)
class StruckCursor:
    """A cursor of the driver's, as Django sees it."""

    cursor: Any
    striker: Striker

    def execute(self, sql: Any, *given: Any) -> Any:
        """Execute, but for what Django tells MariaDB of a new connection."""
        if not str(sql).startswith("SET SESSION"):
            self.striker.statement(self.cursor, str(sql))
        return self.cursor.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        """Be the driver's in everything else."""
        return getattr(self.cursor, name)

    def __iter__(self) -> Iterator[Any]:
        """Give the rows."""
        return iter(self.cursor)


@contextmanager
def on_django(url: str) -> Iterator[Struck]:
    """Open a shop on Django."""
    with django_shop(url, **plain(url)) as shop:
        yield OnDjango(shop)


# The experiments


@contextmanager
def quick_and_quiet() -> Iterator[None]:
    """Let a call that starts over start at once, and log nothing of what is expected."""
    with (
        patch.object(core, "random", SimpleNamespace(uniform=lambda *_: 0)),
        patch.object(log.logger, "disabled", new=True),
    ):
        yield


@dataclass
class Trial:
    """One shop on trial: what it acknowledged, and what was tried."""

    shop: Struck
    books: Engine
    ledger: Ledger = field(default_factory=Ledger)
    tally: Tally = field(default_factory=Tally)
    number: int = 1000
    places: dict[str, int] = field(default_factory=dict)

    def cell(self, fault: Fault, name: str, dice: Random) -> None:
        """Let an error come at each place of a call, and last from one of them on; then let there be none."""
        if name not in self.places:
            self.places[name] = len(self.played(name, Striker()).seen)
        strikers = [Striker(fault, place) for place in range(self.places[name])]
        strikers.append(Striker(fault, dice.randrange(self.places[name]), lasts=True))
        while strikers:
            played = self.played(name, *strikers)
            assert played.struck, (name, fault.name, played.place, played.seen)
            strikers = strikers[strikers.index(played) + 1 :]

    def played(self, name: str, *strikers: Striker) -> Striker:
        """Make one call beside one striker after the other until it is answered, and then without; give the last one.

        As long as nothing is stored, the call meets the next striker as it met the first.
        """
        move = CALLS[name]
        last = self.prepared(name)
        answer: Params = {}
        for striker in strikers:
            where = (name, striker.fault and striker.fault.name, striker.place, striker.lasts, striker.seen)
            stored = self.stored()
            with self.shop.struck(striker):
                answer = self.shop.ask(last)
            self.tally.did["errors"] += striker.struck
            if move.answers(answer):
                break
            assert answer.get("code", answer.get("error")) in AGAIN, (where, answer)
            assert striker.fault is not None, (where, answer)
            assert striker.lasts or not striker.fault.starts_over, (where, answer)
            self.tally.did["system errors"] += 1
            assert self.stored() == stored, (where, "something is stored")
        if not move.answers(answer):
            answer = self.shop.ask(last)
        last.note(answer, self.ledger)
        again = self.shop.ask(last)
        assert move.answers(again), (where, again)
        # Payme is answered the same for ever; Click that what it completes is paid already.
        if again != ({"error": PAID_ALREADY} if name == "Complete" else answer):
            self.ledger.contradict(f"{where}: first {answer}, then {again}")
        return striker

    def prepared(self, name: str) -> Call:
        """Lead an order to a call, and give the call."""
        self.number += 2
        *before, last = CALLS[name].calls(self.shop.order(), self.number)
        for call in before:
            call.note(self.shop.ask(call), self.ledger)
        return last

    def stored(self) -> Any:
        """Say what is stored in a way that any write would change."""
        with self.books.connect() as connection:
            return connection.execute(STORED).one()


STORED: Final = text(
    "SELECT count(*), sum(version), sum(state), (SELECT count(*) FROM effects), "
    "(SELECT count(*) FROM orders WHERE status = 'pending') FROM payments"
)


def at_every_place(
    driver: str,
    open_shop: Callable[[str], AbstractContextManager[Struck]],
    faults: Sequence[Fault],
    start: int,
    rounds: int,
    tick: Tick,
) -> Tally:
    """Let every error come at every place of calls; a round is one error in one call."""
    dice = Random(driver)
    with trial(driver, open_shop) as trying:
        for fault, name in islice(cells(faults, start), rounds):
            trying.cell(fault, name, dice)
            tick()
    return trying.tally


def cells(faults: Sequence[Fault], start: int) -> Iterator[tuple[Fault, str]]:
    """Pair errors with calls; the first few pairs have each error, and calls that differ by `start`."""
    names = [*CALLS]
    for shift in range(start, start + len(names)):
        for place, each in enumerate(faults):
            yield each, names[(place + shift) % len(names)]


@contextmanager
def trial(driver: str, open_shop: Callable[[str], AbstractContextManager[Struck]]) -> Iterator[Trial]:
    """Open a shop, and what errors need; when all is over, read the books."""
    name = database_of(driver)
    with database(driver) as url, ExitStack() as stack:
        books = create_engine(make_url(url).set(drivername=SYNC[name][0]), isolation_level="AUTOCOMMIT")
        stack.callback(books.dispose)
        if name == "postgresql":  # no machine dies here, and there are many commits
            with books.connect() as connection:
                connection.execute(text(f"ALTER DATABASE {books.url.database} SET synchronous_commit = off"))
        shop = stack.enter_context(open_shop(url))
        with books.connect() as connection:
            for each in FURNITURE[name]:
                connection.execute(text(each))
        if name in HOLDS:
            rival = stack.enter_context(books.execution_options(isolation_level="READ COMMITTED").connect())
            rival.execute(text(HOLDS[name]))
        stack.enter_context(quick_and_quiet())
        trying = Trial(shop, books)
        trying.played("Check", Striker())  # an engine's first call looks whether it has database transactions
        yield trying
        trying.tally.add(audit(books, trying.ledger))


GOES_ON: Final = fault("a deadlock that a clever driver hides", says("ROLLBACK"))


def hidden(rounds: int, tick: Tick) -> Tally:
    """Undo what came before a statement, and tell nobody: so does whoever repeats a statement instead of a call."""
    with trial("mysql+pymysql", on_session) as trying:
        for place in range(rounds):
            last = trying.prepared("Perform")
            striker = Striker(GOES_ON, place)
            with trying.shop.struck(striker):
                last.note(trying.shop.ask(last), trying.ledger)
            trying.tally.did["errors"] += striker.struck
            tick()
    return trying.tally


GROUNDS: Final[tuple[tuple[str, str, Callable[[str], AbstractContextManager[Struck]]], ...]] = (
    *((drivers[0], "SQLAlchemy", on_session) for drivers in SYNC.values()),
    ("postgresql+asyncpg", "AsyncSession", on_async_session),
    ("sqlite", "Django", on_django),
    ("postgresql+psycopg", "Django", on_django),
    ("mysql+pymysql", "Django", on_django),
)

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *(
        Experiment(
            name="every error of the database at every statement",
            ground=f"{database_of(driver)}, {orm}",
            promise="the call is answered right and stored, or asked for again with nothing stored; then it ends well",
            # Shops on one database begin with different calls, so that in CI each error meets most of them there.
            run=partial(at_every_place, driver, open_shop, faults, 3 * place),
            rounds={Size.SHORT: 3, Size.CI: 3 * len(faults), Size.FULL: len(faults) * len(CALLS)},
            missing=missing(driver),
        )
        for place, (driver, orm, open_shop) in enumerate(GROUNDS)
        for faults in (FAULTS[database_of(driver)],)
    ),
    Experiment(
        name="an error of the database that is hidden from the library",
        ground="mariadb, SQLAlchemy",
        promise="where a statement is repeated instead of the call, what came before it is lost",
        run=hidden,
        rounds={Size.SHORT: 8, Size.CI: 8, Size.FULL: 8},
        missing=missing("mysql+pymysql"),
        control=True,
    ),
)
