"""One database transaction with the merchant's session inside: what it calls a conflict, and what it leaves behind."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from sqlalchemy import Engine, String, create_engine, event, make_url, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

from paytechuz_core import Refused
from paytechuz_core.drivers import is_conflict
from paytechuz_core.repository import Conflict
from paytechuz_core.sql import PaymentTransaction
from paytechuz_core.sql.unit import async_unit_of_work, in_greenlet, unit_of_work
from tests.core.wire import Params, Wire, cancel, check, create, encoded, perform, post
from tests.databases import ASYNC_DRIVERS, SYNC_DRIVERS, database_of
from tests.said import BUG, GONE, LOST, READ_ONLY, SAID, saying
from tests.sql.shop import (
    PAYMENTS,
    SETTINGS,
    AsyncShopPayme,
    Base,
    Effect,
    Order,
    Shop,
    ShopPayme,
    async_shop,
    opened,
)

# What a database says, and what it means

SERVED: Final = [driver for driver in SYNC_DRIVERS if database_of(driver) in SAID]
ASYNC_SERVED: Final = [driver for driver in ASYNC_DRIVERS if database_of(driver) in SAID]


def name_of(engine: Engine) -> str:
    return {"mysql": "mariadb"}.get(engine.dialect.name, engine.dialect.name)


def meaning(error: Exception, driver: Any, now: Any) -> str:
    """Say what was understood: whether the call starts over, and whether on the connection that it had."""
    if isinstance(error, Conflict):
        return LOST if now is driver else GONE
    assert now is driver
    return BUG


def driver_of(engine: Engine) -> Any:
    """Give the driver's own connection that the pool would lend next."""
    with engine.connect() as connection:
        return connection.connection.driver_connection


@pytest.mark.parametrize("sync_url", SERVED, indirect=True)
def test_an_error_of_the_database_is_a_conflict_exactly_where_another_request_won(every_shop: Shop) -> None:
    database = name_of(every_shop.engine)
    heard = {}
    for code in SAID[database]:
        before = driver_of(every_shop.engine)
        with (
            Session(every_shop.engine) as db,
            pytest.raises((Conflict, DBAPIError)) as raised,
            unit_of_work(db, Order, PAYMENTS) as unit,
        ):
            unit.connection.exec_driver_sql(saying(database, code))
        heard[code] = meaning(raised.value, before, driver_of(every_shop.engine))
    assert heard == SAID[database]


@pytest.mark.parametrize("sync_url", SERVED, indirect=True)
def test_a_server_that_takes_no_writes_is_left_and_only_a_hook_that_met_it_is_not_repeated(every_shop: Shop) -> None:
    database = name_of(every_shop.engine)
    for number, (code, words) in enumerate(READ_ONLY[database]):
        for in_hook, means in ((False, Conflict), (True, DBAPIError)):
            before = driver_of(every_shop.engine)
            with (
                Session(every_shop.engine) as db,
                pytest.raises(means),
                unit_of_work(db, Order, PAYMENTS) as unit,
                unit.hook(savepoint=True) if in_hook else nullcontext(),
            ):
                (db if in_hook else unit.connection).execute(text(saying(database, code, words)))
            assert driver_of(every_shop.engine) is not before, (number, in_hook)


@pytest.mark.parametrize("async_url", ASYNC_SERVED, indirect=True)
def test_async_drivers_tell_conflicts_apart_too(async_url: str) -> None:
    database = database_of(make_url(async_url).drivername)

    async def hear() -> dict[str, str]:
        heard = {}
        async with async_shop(async_url) as engine:

            async def now() -> Any:
                async with engine.connect() as connection:
                    return (await connection.get_raw_connection()).driver_connection

            for code in SAID[database]:
                before = await now()
                with pytest.raises((Conflict, DBAPIError)) as raised:  # noqa: PT012 - it is raised on the way out
                    async with AsyncSession(engine) as db, async_unit_of_work(db, Order, PAYMENTS) as unit:
                        statement = saying(database, code)
                        await in_greenlet(db, lambda: unit.connection.exec_driver_sql(statement))  # noqa: B023
                heard[code] = meaning(raised.value, before, await now())
        return heard

    assert asyncio.run(hear()) == SAID[database]


@pytest.fixture
def sqlite_file(tmp_path: Path) -> str:
    return str(tmp_path / "errors.db")


@contextmanager
def file(path: str, *pragmas: str, uri: bool = False) -> Iterator[sqlite3.Connection]:
    """Open SQLite without waiting for anybody's lock."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None, uri=uri)) as connection:
        for pragma in pragmas:
            connection.execute(pragma).fetchall()
        yield connection


def error_of(connection: sqlite3.Connection, statement: str) -> sqlite3.Error:
    with pytest.raises(sqlite3.Error) as raised:
        connection.execute(statement).fetchall()
    return raised.value


def test_a_busy_sqlite_is_a_conflict(sqlite_file: str) -> None:
    with file(sqlite_file, "CREATE TABLE t (x UNIQUE)", "BEGIN IMMEDIATE"), file(sqlite_file) as other:
        error = error_of(other, "BEGIN IMMEDIATE")
    assert (error.sqlite_errorname, is_conflict(error)) == ("SQLITE_BUSY", True)


def test_a_stale_snapshot_of_sqlite_is_a_conflict(sqlite_file: str) -> None:
    with (
        file(sqlite_file, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "BEGIN", "SELECT * FROM t") as reader,
        file(sqlite_file, "INSERT INTO t VALUES (1)"),
    ):
        error = error_of(reader, "INSERT INTO t VALUES (2)")
    assert (error.sqlite_errorname, is_conflict(error)) == ("SQLITE_BUSY_SNAPSHOT", True)


def test_a_locked_table_of_sqlite_is_a_conflict() -> None:
    shared = "file:shared?mode=memory&cache=shared"
    with (
        file(shared, "CREATE TABLE t (x)", "BEGIN", "INSERT INTO t VALUES (1)", uri=True),
        file(shared, uri=True) as other,
    ):
        error = error_of(other, "SELECT * FROM t")
    assert (error.sqlite_errorname, is_conflict(error)) == ("SQLITE_LOCKED_SHAREDCACHE", True)


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("SQLITE_FULL", "INSERT INTO t VALUES (zeroblob(100000))"),
        ("SQLITE_CONSTRAINT_UNIQUE", "INSERT INTO t VALUES (1)"),
        ("SQLITE_ERROR", "SELECT * FROM nowhere"),
        ("SQLITE_TOOBIG", "INSERT INTO t VALUES (zeroblob(2000000000))"),
    ],
)
def test_any_other_error_of_sqlite_is_none(sqlite_file: str, name: str, statement: str) -> None:
    pragmas = "CREATE TABLE t (x UNIQUE)", "INSERT INTO t VALUES (1)", "PRAGMA max_page_count = 10"
    with file(sqlite_file, *pragmas) as connection:
        error = error_of(connection, statement)
    assert (error.sqlite_errorname, is_conflict(error)) == (name, False)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_unit_that_finds_sqlite_busy_is_a_conflict(shop: Shop) -> None:
    impatient = create_engine(shop.engine.url, connect_args={"timeout": 0})
    with (
        file(str(shop.engine.url.database), "BEGIN IMMEDIATE"),
        Session(impatient) as db,
        pytest.raises(Conflict),
        unit_of_work(db, Order, PAYMENTS),
    ):
        pytest.fail("the lock was not asked for")
    impatient.dispose()


@pytest.mark.parametrize("async_url", ["sqlite+aiosqlite"], indirect=True)
def test_an_async_unit_that_finds_sqlite_busy_is_a_conflict_too(async_url: str) -> None:
    async def ask() -> None:
        async with async_shop(async_url, connect_args={"timeout": 0}) as engine, AsyncSession(engine) as db:
            with file(str(engine.url.database), "BEGIN IMMEDIATE"), pytest.raises(Conflict):
                async with async_unit_of_work(db, Order, PAYMENTS):
                    pytest.fail("the lock was not asked for")

    asyncio.run(ask())


def test_a_server_that_cannot_be_reached_is_asked_once() -> None:
    engine = create_engine("postgresql+psycopg2://")
    tries: list[str] = []

    @event.listens_for(engine, "do_connect")
    def connect(*_: Any) -> None:
        tries.append("again")
        message = "timeout expired: server closed the connection unexpectedly"
        raise engine.dialect.loaded_dbapi.OperationalError(message)

    with Session(engine) as db, pytest.raises(OperationalError), unit_of_work(db, Order, PAYMENTS):
        pytest.fail("there is no server")
    assert len(tries) == 1, "to start over, or to look at its table, would wait once more"


def test_what_is_no_error_of_a_database_is_no_conflict() -> None:
    for error in (ValueError("40001"), KeyError(1213.0), OSError(), RuntimeError(), DBAPIError("", {}, Exception())):
        assert not is_conflict(error)


# A conflict inside a hook


def stumbling(code: str, *, swallows: bool) -> tuple[type[ShopPayme], list[str]]:
    """A shop whose hook meets an error of the database after its work, the first time; and how often it ran."""
    runs: list[str] = []

    class Stumbling(ShopPayme):
        def mark(self, status: str, transaction: Any) -> None:
            super().mark(status, transaction)
            runs.append(status)
            if len(runs) == 1:
                bind = self.db.get_bind(Order)
                with suppress(DBAPIError) if swallows else nullcontext():
                    self.db.execute(text(saying(name_of(bind.engine), code)))

    return Stumbling, runs


@pytest.mark.parametrize("swallows", [False, True], ids=["raises", "swallows"])
@pytest.mark.parametrize("url", [each for each in SERVED if each != "postgresql+psycopg"], indirect=True)
def test_a_conflict_inside_a_hook_starts_the_call_over(shop: Shop, *, swallows: bool) -> None:
    lost = [code for code, means in SAID[name_of(shop.engine)].items() if means is not BUG]
    for code in lost:
        handler, runs = stumbling(code, swallows=swallows)
        stumbling_shop = Shop(shop.engine, handler)
        order = stumbling_shop.order()
        assert stumbling_shop.ask(create(code, order=order))["state"] == 1
        assert stumbling_shop.ask(perform(code))["state"] == 2
        assert (runs, shop.status(order)) == (["paid", "paid"], "paid")
    assert shop.effects() == [("paid", code) for code in lost]
    assert shop.states() == dict.fromkeys(lost, 2)


@pytest.mark.parametrize("url", [each for each in SERVED if each != "postgresql+psycopg"], indirect=True)
def test_any_other_error_inside_a_hook_is_the_shops_and_leaves_nothing(shop: Shop) -> None:
    for code in [code for code, means in SAID[name_of(shop.engine)].items() if means is BUG]:
        handler, runs = stumbling(code, swallows=False)
        stumbling_shop = Shop(shop.engine, handler)
        order = stumbling_shop.order()
        assert stumbling_shop.ask(create(code, order=order))["state"] == 1
        assert stumbling_shop.ask(perform(code))["code"] == -32400
        assert (runs, shop.status(order), shop.effects(), shop.states()[code]) == (["paid"], "pending", [], 1)


# What a unit leaves behind


class Busy(ShopPayme):
    """Every way in which a call can end."""

    def before_check_perform_transaction(self, params: Params, account: Any) -> None:
        del account
        if params["amount"] and params.get("id") == "refused":
            message = "not today"
            raise Refused(message)

    def check_transaction(self, params: Params, transaction: Any) -> None:
        del params, transaction
        raise KeyError

    def cancelled_payment(self, params: Params, transaction: Any) -> None:
        del params
        self.db.add(Effect("lost", transaction))
        self.db.flush()
        self.db.rollback()


ENDS: Final[tuple[tuple[Wire, int | None], ...]] = (
    (create("a", order="1"), None),
    (create("a", order="1"), None),
    (create("refused", order="2"), -31099),
    (perform("a"), None),
    (perform("unknown"), -31003),
    (check("a"), -32400),
    (cancel("a"), -32400),
)
"""Calls, and how they end: well, as a replay, refused by the shop or the protocol, and with a hook that fails."""


def shape(db: Session) -> Params:
    """What a merchant could notice about a session."""
    return {
        "attributes": {name for name in vars(db) if not name.startswith("_")} - {"dispatch"},
        "bind": db.get_bind(Order),
        "mode": db.join_transaction_mode,
        "expires": (db.expire_on_commit, db.autoflush),
        "open": (db.in_transaction(), db.in_nested_transaction(), db.is_active),
        "listeners": [list(getattr(db.dispatch, name)) for name in ("after_commit", "after_transaction_end")],
        "pending": (list(db.new), list(db.dirty), list(db.deleted)),
    }


def connections_in_use(engine: Engine) -> int:
    # Old releases keep no connections to SQLite, and so do not count them.
    return engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0


def test_a_session_is_given_back_as_it_was(every_shop: Shop) -> None:
    shop = Shop(every_shop.engine, Busy)
    shop.order(id=1)
    shop.order(id=2)
    with Session(shop.engine, expire_on_commit=False, join_transaction_mode="rollback_only") as db:
        before = shape(db)
        for wire, code in ENDS:
            assert opened(shop.payme(db).respond(post(encoded(wire)))).get("code") == code
            assert shape(db) == before
            assert connections_in_use(shop.engine) == 0
        # And it still works, on a connection of its own.
        db.add(Order(id=3))
        db.commit()
    assert shop.status("3") == "pending"


def test_an_async_session_is_given_back_as_it_was(async_url: str) -> None:
    class AsyncBusy(AsyncShopPayme):
        before_check_perform_transaction = Busy.before_check_perform_transaction
        check_transaction = Busy.check_transaction

        async def cancelled_payment(self, params: Params, transaction: Any) -> None:
            del params
            self.db.add(Effect("lost", transaction))
            await self.db.flush()
            await self.db.rollback()

    async def call() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine, expire_on_commit=False) as db:
            db.add_all([Order(id=1), Order(id=2)])
            await db.commit()
            before = shape(db.sync_session)
            for wire, code in ENDS:
                answer = opened(await AsyncBusy(db, **SETTINGS).respond(post(encoded(wire))))
                assert answer.get("code") == code
                assert shape(db.sync_session) == before
                assert connections_in_use(engine.sync_engine) == 0
            db.add(Order(id=3))
            await db.commit()

    asyncio.run(call())


def test_a_session_is_given_back_as_it_was_when_every_attempt_met_a_rival(shop: Shop) -> None:
    class Unlucky(ShopPayme):
        def mark(self, status: str, transaction: Any) -> None:
            super().mark(status, transaction)
            raise Conflict

    shop.ask(create("a", order=shop.order()))
    with Session(shop.engine) as db:
        before = shape(db)
        assert opened(Unlucky(db, **SETTINGS).respond(post(encoded(perform("a")))))["code"] == -32400
        assert shape(db) == before
    assert (shop.states(), shop.effects()) == ({"a": 1}, [])


def test_a_session_finds_anew_what_a_call_has_changed(shop: Shop) -> None:
    class Curious(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            super().successfully_payment(params, transaction)
            rows.append(self.db.scalars(select(PaymentTransaction)).one())
            transaction.extra_data["note"] = "saved after the hook"

    rows: list[PaymentTransaction] = []
    number = shop.order()
    shop.ask(create("a", order=number))
    with Session(shop.engine) as db:
        order = db.get_one(Order, int(number))
        assert order.status == "pending"
        assert opened(Curious(db, **SETTINGS).respond(post(encoded(perform("a")))))["state"] == 2
        assert order.status == "paid"
        assert rows[0].extra_data == {"note": "saved after the hook"}


def test_a_session_forgets_what_a_failed_hook_had_in_mind(shop: Shop) -> None:
    class Broken(ShopPayme):
        def mark(self, status: str, transaction: Any) -> None:
            orders.append(self.db.get_one(Order, transaction.account_id))
            super().mark(status, transaction)
            raise KeyError

    orders: list[Order] = []
    number = shop.order()
    shop.ask(create("a", order=number))
    with Session(shop.engine, expire_on_commit=False) as db:
        assert opened(Broken(db, **SETTINGS).respond(post(encoded(perform("a")))))["code"] == -32400
        assert orders[0].status == "paid", "it was, in a database transaction that never happened"
        assert db.get_one(Order, int(number)).status == "pending"
        db.commit()
    assert (shop.status(number), shop.effects()) == ("pending", [])


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_route_of_the_sessions_own_is_asked_and_kept(shop: Shop) -> None:
    asked = []
    with Session() as db:

        def get_bind(mapper: Any = None, **_: Any) -> Engine:
            asked.append(mapper)
            return shop.engine

        db.get_bind = get_bind  # type: ignore[method-assign]
        assert opened(shop.payme(db).respond(post(encoded(create("a", order=shop.order())))))["state"] == 1
        assert opened(shop.payme(db).respond(post(encoded(perform("a")))))["state"] == 2
        assert asked
        assert vars(db)["get_bind"] is get_bind
    assert shop.effects() == [("paid", "a")]


# What hooks may do with the session


def test_a_hook_may_have_savepoints_of_its_own(every_shop: Shop) -> None:
    class Careful(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            super().successfully_payment(params, transaction)
            with self.db.begin_nested():
                self.db.add(Effect("kept", transaction))
            with suppress(IntegrityError), self.db.begin_nested():
                self.db.add(Order(id=transaction.account_id))  # there is one of that number
            with suppress(KeyError), self.db.begin_nested():
                self.db.add(Effect("undone", transaction))
                self.db.flush()
                raise KeyError
            self.db.add(Effect("after", transaction))

    shop = Shop(every_shop.engine, Careful)
    order = shop.order()
    shop.ask(create("a", order=order))
    assert shop.ask(perform("a"))["state"] == 2
    assert shop.effects() == [("paid", "a"), ("kept", "a"), ("after", "a")]
    assert (shop.status(order), shop.states()) == ("paid", {"a": 2})


def test_a_hook_may_roll_back_and_do_better(every_shop: Shop) -> None:
    class Undecided(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            self.db.add(Effect("a first thought", transaction))
            self.db.flush()
            self.db.rollback()
            super().successfully_payment(params, transaction)

    shop = Shop(every_shop.engine, Undecided)
    order = shop.order()
    shop.ask(create("a", order=order))
    assert shop.ask(perform("a"))["state"] == 2
    assert (shop.effects(), shop.states(), shop.status(order)) == ([("paid", "a")], {"a": 2}, "paid")


def test_a_savepoint_that_a_hook_leaves_open_is_saved_with_it(every_shop: Shop) -> None:
    class Forgetful(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            super().successfully_payment(params, transaction)
            self.db.begin_nested()
            self.db.add(Effect("open", transaction))

    shop = Shop(every_shop.engine, Forgetful)
    shop.ask(create("a", order=shop.order()))
    assert shop.ask(perform("a"))["state"] == 2
    assert shop.effects() == [("paid", "a"), ("open", "a")]


def test_a_session_on_a_connection_is_rolled_back_with_it(every_shop: Shop) -> None:
    """The usual way to test against a database: one connection, and a ROLLBACK after each test."""
    order = every_shop.order()
    with every_shop.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as db:
            handler = every_shop.payme(db)
            answers = [
                opened(handler.respond(post(encoded(wire)))) for wire in (create("a", order=order), perform("a"))
            ]
            assert [answer["state"] for answer in answers] == [1, 2]
            assert db.get_one(Order, int(order)).status == "paid"
            # What fails inside is undone alone.
            broken = Busy(db, **SETTINGS)
            assert opened(broken.respond(post(encoded(cancel("a")))))["code"] == -32400
            assert opened(handler.respond(post(encoded(check("a")))))["state"] == 2
            assert db.get_one(Order, int(order)).status == "paid"
        assert outer.is_active
        outer.rollback()
    assert (every_shop.payments(), every_shop.effects(), every_shop.status(order)) == ([], [], "pending")


def test_a_session_on_an_idle_connection_commits(every_shop: Shop) -> None:
    order = every_shop.order()
    with every_shop.engine.connect() as connection, Session(connection) as db:
        handler = every_shop.payme(db)
        for wire in (create("a", order=order), perform("a")):
            assert "state" in opened(handler.respond(post(encoded(wire))))
            assert not connection.in_transaction()
    assert (every_shop.states(), every_shop.status(order)) == ({"a": 2}, "paid")


class AuditBase(DeclarativeBase):
    """Tables of another database."""


class Audit(AuditBase):
    __tablename__ = "audits"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(String(40))


class Audited(ShopPayme):
    """A hook that writes to both databases."""

    def successfully_payment(self, params: Params, transaction: Any) -> None:
        self.db.add(Audit(note=transaction.transaction_id))
        self.db.flush()
        super().successfully_payment(params, transaction)
        assert self.db.scalars(select(Audit.note)).all() == [transaction.transaction_id]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Engine]:
    """Another database of the merchant's."""
    engine = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    AuditBase.metadata.create_all(engine)
    yield engine
    engine.dispose()


def test_other_models_go_on_living_in_other_databases(shop: Shop, other: Engine) -> None:
    class Routed(Session):
        def get_bind(self, mapper: Any = None, **_: Any) -> Engine:
            # As SQLAlchemy's documentation writes it
            return other if mapper and issubclass(mapper.class_, Audit) else shop.engine

    order = shop.order()
    shop.ask(create("a", order=order))
    shop.ask(create("b", order=shop.order()))
    sessions = Session(binds={AuditBase: other, Base: shop.engine}), Routed()
    for transaction_id, db in zip("ab", sessions, strict=True):
        with db:
            assert opened(Audited(db, **SETTINGS).respond(post(encoded(perform(transaction_id)))))["state"] == 2
            assert db.get_bind(Audit.__mapper__) is other
            assert db.get_bind(Order.__mapper__) is shop.engine
        with Session(other) as aside:
            (audit,) = aside.scalars(select(Audit))
            assert audit.note == transaction_id
            aside.delete(audit)
            aside.commit()
    assert (shop.states(), shop.status(order)) == ({"a": 2, "b": 2}, "paid")


def test_a_scoped_session_is_the_one_of_the_thread_that_made_the_handler(shop: Shop) -> None:
    scoped = scoped_session(sessionmaker(shop.engine))
    order = shop.order()
    shop.ask(create("a", order=order))
    handler = ShopPayme(scoped, **SETTINGS)
    seen: Params = {}

    def work() -> None:
        seen["answer"] = opened(handler.respond(post(encoded(perform("a")))))
        seen["another session"] = scoped.registry.has()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert handler.db is scoped()
    assert (seen["answer"]["state"], seen["another session"]) == (2, False)
    assert (shop.effects(), shop.status(order)) == ([("paid", "a")], "paid")
    scoped.remove()
