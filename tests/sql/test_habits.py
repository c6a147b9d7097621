"""Odd but reasonable habits of merchants are safe: each either works, or is refused with its fix and leaves nothing."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import wraps
from itertools import count
from pathlib import Path
from threading import Barrier, Event
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import (
    CHAR,
    Connection,
    Dialect,
    Engine,
    ForeignKey,
    Numeric,
    TypeDecorator,
    Update,
    Uuid,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy import update as update_statement
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)

from paytechuz_core import ConfigurationError, State, Transaction
from paytechuz_core.repository import Conflict
from paytechuz_core.sql import PaymentMixin, PaymentTransaction, arun_migrations, run_migrations
from paytechuz_core.transaction import Change
from paytechuz_fastapi import PaymeWebhookHandler, finish
from tests.core.wire import (
    AMOUNT,
    NOW,
    Params,
    Wire,
    basic,
    cancel,
    change_password,
    check_perform,
    create,
    encoded,
    perform,
    post,
)
from tests.faults.books import check_books
from tests.sql.shop import (
    PRICE,
    SETTINGS,
    AsyncShopPayme,
    Effect,
    Order,
    Shop,
    ShopPayme,
    Silent,
    async_shop,
    opened,
)

PATIENCE: Final = 60
"""Seconds after which a test gives up waiting for a thread: far more than it takes."""

POSTGRESQL: Final = "postgresql+psycopg2"
MARIADB: Final = "mysql+pymysql"

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", [POSTGRESQL], indirect=True)
on_mariadb = pytest.mark.parametrize("url", [MARIADB], indirect=True)
with_async_drivers = pytest.mark.parametrize("async_url", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)


class Base(DeclarativeBase):
    """Tables of shops with habits of their own."""


class Ticket(Base):
    """What is paid for elsewhere, and by heirs."""

    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=PRICE)


class Vip(Ticket):
    """A ticket by joined-table inheritance."""

    __tablename__ = "vips"

    id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    seat: Mapped[int] = mapped_column(default=1)


class Named(Base):
    """A model whose `order_id` is a column, and not its primary key."""

    __tablename__ = "named"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(unique=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=PRICE)


class TextKey(Base):
    """A UUID that Python has as text."""

    __tablename__ = "text_keys"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=PRICE)


class Guid(TypeDecorator[UUID]):
    """A UUID in CHAR(36), as many a shop has it; it does not say its Python type."""

    impl = CHAR(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> UUID | None:
        del dialect
        return None if value is None else UUID(value)


class GuidKey(Base):
    """What is found by such a UUID."""

    __tablename__ = "guid_keys"

    id: Mapped[UUID] = mapped_column(Guid, primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=PRICE)


class BranchPayment(PaymentMixin, Base):
    """A payment table with a column whose default may give nothing."""

    __tablename__ = "branch_payments"

    branch: Mapped[int] = mapped_column(default=lambda: None)


def ask(handler: Any, wire: Wire) -> Params:
    """Ask a handler, and open the answer."""
    return opened(handler.respond(post(encoded(wire))))


async def async_ask(handler: Any, wire: Wire) -> Params:
    return opened(await handler.respond(post(encoded(wire))))


async def web_ask(app: FastAPI, wire: Wire) -> Params:
    """Ask over HTTP, which must always be answered 200."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(trust_env=False, transport=transport, base_url="http://shop") as http:
        response = await http.post("/", content=encoded(wire), headers={"authorization": basic()})
    assert response.status_code == 200
    return opened(response.content)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, texts of exceptions included."""
    caplog.set_level(logging.ERROR, "paytechuz")
    return caplog


def says(log: pytest.LogCaptureFixture, words: Sequence[str]) -> None:
    """The log must name what is wrong and the fix."""
    assert [word for word in words if word not in log.text] == [], log.text
    log.clear()


# 1. One session, several calls

IN_USE: Final = ("another call is using this session", "Depends(get_db)")


def waiting(entered: Event, go: Event) -> type[ShopPayme]:
    """A shop whose hook takes as long as the test wants."""

    class Waiting(ShopPayme):
        def mark(self, status: str, transaction: Any) -> None:
            entered.set()
            assert go.wait(PATIENCE)
            super().mark(status, transaction)

    return Waiting


@on_postgresql
def test_of_two_calls_at_once_on_one_session_the_second_is_told_the_fix(
    shop: Shop, log: pytest.LogCaptureFixture
) -> None:
    orders = {name: shop.order() for name in ("a", "b")}
    for name, order in orders.items():
        shop.ask(create(name, order=order))
    entered, go = Event(), Event()
    handler = waiting(entered, go)
    with Session(shop.engine) as db, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, handler(db, **SETTINGS), perform("a"))
        assert entered.wait(PATIENCE)
        second = ask(handler(db, **SETTINGS), perform("b"))
        go.set()
        assert (first.result()["state"], second["code"]) == (2, -32400)
        says(log, IN_USE)
        assert (shop.states(), shop.effects()) == ({"a": 2, "b": 1}, [("paid", "a")])
        assert ask(handler(db, **SETTINGS), perform("b"))["state"] == 2
    check_books(shop.engine)


@on_postgresql
def test_a_storm_on_one_session_of_the_whole_module_acknowledges_only_what_is_stored(shop: Shop) -> None:
    waiting_for = {f"t{number}": shop.order() for number in range(8)}
    for name, order in waiting_for.items():
        shop.ask(create(name, order=order))
    paid: dict[str, str] = {}
    with Session(shop.engine) as db, ThreadPoolExecutor(8) as pool:
        for _ in range(100):
            barrier = Barrier(len(waiting_for))

            def pay(name: str, together: Barrier = barrier) -> Params:
                together.wait(PATIENCE)
                return ask(ShopPayme(db, **SETTINGS), perform(name))

            names = list(waiting_for)
            answers = dict(zip(names, pool.map(pay, names), strict=True))
            assert {answer.get("code", 2) for answer in answers.values()} <= {-32400, 2}
            paid |= {name: waiting_for.pop(name) for name in names if answers[name].get("state") == 2}
            assert {name for name, state in shop.states().items() if state == 2} == paid.keys()
            assert [shop.status(order) for order in paid.values()] == ["paid"] * len(paid)
            assert [shop.status(order) for order in waiting_for.values()] == ["pending"] * len(waiting_for)
            check_books(shop.engine)
            if not waiting_for:
                break
    assert not waiting_for


@on_postgresql
def test_a_scoped_session_in_an_async_route_serves_one_call_at_a_time(
    shop: Shop, log: pytest.LogCaptureFixture
) -> None:
    orders = {name: shop.order() for name in ("a", "b")}
    for name, order in orders.items():
        shop.ask(create(name, order=order))
    entered, go = Event(), Event()

    class Web(waiting(entered, go), PaymeWebhookHandler):  # type: ignore[misc]
        pass

    app, scoped = FastAPI(), scoped_session(sessionmaker(shop.engine))

    @app.post("/")
    async def webhook(request: Request) -> Response:
        answer: Response = await Web(scoped, **SETTINGS).handle_webhook(request)
        return answer

    async def pay() -> tuple[Params, Params]:
        first = asyncio.create_task(web_ask(app, perform("a")))
        assert await asyncio.to_thread(entered.wait, PATIENCE)
        second = await web_ask(app, perform("b"))
        go.set()
        answers = await first, second
        scoped.remove()
        return answers

    first, second = asyncio.run(pay())
    assert (first["state"], second["code"]) == (2, -32400)
    says(log, IN_USE)
    assert (shop.states(), shop.status(orders["a"]), shop.status(orders["b"])) == ({"a": 2, "b": 1}, "paid", "pending")
    check_books(shop.engine)


@with_async_drivers
def test_of_two_calls_at_once_on_one_async_session_the_second_is_told_the_fix(
    async_url: str, log: pytest.LogCaptureFixture
) -> None:
    async def pay() -> None:
        entered, go = asyncio.Event(), asyncio.Event()

        class Waiting(AsyncShopPayme):
            async def mark(self, status: str, transaction: Any) -> None:
                entered.set()
                await go.wait()
                await super().mark(status, transaction)

        async with async_shop(async_url) as engine, AsyncSession(engine) as db:
            db.add_all([Order(id=1), Order(id=2)])
            await db.commit()
            for name, order in (("a", "1"), ("b", "2")):
                assert (await async_ask(Waiting(db, **SETTINGS), create(name, order=order)))["state"] == 1
            first = asyncio.create_task(async_ask(Waiting(db, **SETTINGS), perform("a")))
            await entered.wait()
            second = await async_ask(Waiting(db, **SETTINGS), perform("b"))
            go.set()
            assert ((await first)["state"], second["code"]) == (2, -32400)
            says(log, IN_USE)
            assert (await async_ask(Waiting(db, **SETTINGS), perform("b")))["state"] == 2
            assert [order.status for order in await db.scalars(select(Order))] == ["paid", "paid"]

    asyncio.run(pay())


# 2. Another table's id


def test_only_order_id_means_the_primary_key_and_any_other_id_needs_its_column_named() -> None:
    with pytest.raises(ConfigurationError, match="account_column") as refused:
        ShopPayme(Session(), **{**SETTINGS, "account_field": "user_id"})
    assert "user_id" in str(refused.value)
    named = ShopPayme(Session(), **{**SETTINGS, "account_field": "user_id", "account_column": "id"})
    assert named.accounts.columns == {"user_id": "id"}
    assert ShopPayme(Session(), **SETTINGS).accounts.columns == {"order_id": "id"}
    own = Silent(Session(), **{**SETTINGS, "account_model": Named})
    assert own.accounts.columns == {"order_id": "order_id"}


# 3. Async under a decorator


def traced(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Hide that a hook is `async def`, as many a decorator does."""

    @wraps(hook)
    def call(*args: Any, **kwargs: Any) -> Any:
        return hook(*args, **kwargs)

    return call


@on_sqlite
@pytest.mark.parametrize(
    ("name", "before", "wire"),
    [
        ("successfully_payment", [], perform("a")),
        ("can_reverse", [perform("a")], cancel("a", 5)),
        ("is_payable", [], create("b", order="2")),
        ("find_account", [], create("b", order="2")),
        ("transaction_created", [], create("b", order="2")),
        ("get_check_data", [], check_perform(order="2")),
    ],
)
def test_an_async_hook_under_a_decorator_is_refused_where_nobody_awaits_it(
    shop: Shop, log: pytest.LogCaptureFixture, name: str, before: Sequence[Wire], wire: Wire
) -> None:
    for _ in range(2):
        order = shop.order()
    for each in (create("a", order="1"), *before):
        assert "state" in shop.ask(each)
    seen = shop.states(), shop.effects(), shop.status("1")

    async def hook(*args: Any) -> Any:
        pytest.fail(f"it was run with {args}")

    handler = type("Traced", (ShopPayme,), {name: traced(hook)})
    with Session(shop.engine) as db:
        assert ask(handler(db, **SETTINGS), wire)["code"] == -32400
        says(log, ["is async", "plain def", "Async… handler"])
        assert db.get_one(Order, int(order)).status == "pending"
    assert (shop.states(), shop.effects(), shop.status("1")) == seen
    gc.collect()  # a coroutine that was never awaited would now be a warning, and so an error


# 4. A stale price


def reprice(engine: Engine | Connection, amount: int) -> None:
    with Session(engine) as other:
        other.get_one(Order, 1).amount = Decimal(amount)
        other.commit()


@pytest.mark.every_database
def test_a_price_that_the_session_read_earlier_is_read_anew(shop: Shop) -> None:
    order = shop.order()
    with Session(shop.engine, expire_on_commit=False) as db:
        seen = db.get_one(Order, int(order))
        db.commit()
        reprice(shop.engine, 9000)
        assert seen.amount == PRICE
        assert ask(shop.payme(db), check_perform(order=order))["code"] == -31001
        assert ask(shop.payme(db), create("a", order=order))["code"] == -31001
        assert shop.payments() == []
        assert ask(shop.payme(db), create("a", order=order, amount=900_000))["state"] == 1


@with_async_drivers
def test_a_price_that_an_async_session_read_earlier_is_read_anew(async_url: str) -> None:
    async def pay() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine, expire_on_commit=False) as db:
            db.add(seen := Order(id=1, amount=PRICE))
            await db.commit()
            async with engine.begin() as other:
                await other.execute(update_statement(Order).values(amount=Decimal(9000)))
            assert seen.amount == PRICE
            payme = AsyncShopPayme(db, **SETTINGS)
            assert (await async_ask(payme, check_perform(order="1")))["code"] == -31001
            assert (await async_ask(payme, create("a", order="1")))["code"] == -31001
            assert (await async_ask(payme, create("a", order="1", amount=900_000)))["state"] == 1

    asyncio.run(pay())


# 5. Inheritance


@pytest.mark.parametrize(("first", "second"), [(Vip, Ticket), (Ticket, Vip)])
@on_sqlite
def test_an_heir_by_a_joined_table_and_its_parent_are_one_order(shop: Shop, first: type, second: type) -> None:
    Base.metadata.create_all(shop.engine)
    with Session(shop.engine) as db:
        db.add(Vip(id=9))
        db.commit()
        assert ask(Silent(db, **{**SETTINGS, "account_model": first}), create("a", order="9"))["state"] == 1
        assert ask(Silent(db, **{**SETTINGS, "account_model": second}), create("b", order="9"))["code"] == -31051
    assert shop.states() == {"a": 1}


# 6. Reopening


def refunded(shop: Shop, name: str) -> str:
    """An order that was paid and refunded."""
    order = shop.order()
    for wire, state in ((create(name, order=order), 1), (perform(name), 2), (cancel(name, 5), -2)):
        assert shop.ask(wire)["state"] == state
    return order


def row_of(name: str) -> Any:
    return select(PaymentTransaction).where(PaymentTransaction.transaction_id == name)


@pytest.mark.every_database
def test_a_hook_cannot_reopen_what_its_call_is_not_about(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    again, order = refunded(shop, "a"), shop.order()

    class Reopening(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            super().successfully_payment(params, transaction)
            self.reopen(self.db.scalars(row_of("a")).one())

    shop.ask(create("b", order=order))
    with Session(shop.engine) as db:
        assert ask(Reopening(db, **SETTINGS), perform("b"))["code"] == -32400
    says(log, ["may reopen the transaction it was given, not a"])
    assert (shop.states(), shop.status(order)) == ({"a": -2, "b": 1}, "pending")
    assert ("paid", "b") not in shop.effects()
    assert shop.ask(create("c", order=again))["code"] < -31049  # still held


@pytest.mark.every_database
def test_a_row_of_a_refund_is_reopened_at_once_and_the_session_goes_on(shop: Shop) -> None:
    order = refunded(shop, "a")
    assert "code" in shop.ask(create("b", order=order))
    with Session(shop.engine) as db:
        payme = shop.payme(db)
        payme.reopen(db.scalars(row_of("a")).one())
        assert db.scalars(row_of("a")).one().hold is None
        db.get_one(Order, int(order)).status = "open again"
        db.commit()
        payme.reopen(db.scalars(row_of("a")).one())  # once more does nothing
        assert ask(payme, create("b", order=order))["state"] == 1
    assert (shop.states(), shop.status(order)) == ({"a": -2, "b": 1}, "open again")


@pytest.mark.parametrize(
    "async_url", ["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg", "mysql+asyncmy"], indirect=True
)
def test_a_row_of_a_refund_is_reopened_with_an_async_session_too(async_url: str) -> None:
    async def reopen() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine) as db:
            db.add(Order(id=1))
            await db.commit()
            payme = AsyncShopPayme(db, **SETTINGS)
            for wire, state in ((create("a", order="1"), 1), (perform("a"), 2), (cancel("a", 5), -2)):
                assert (await async_ask(payme, wire))["state"] == state
            assert "code" in await async_ask(payme, create("b", order="1"))
            await payme.reopen((await db.scalars(row_of("a"))).one())
            (await db.get_one(Order, 1)).status = "open again"
            await db.commit()
            assert (await async_ask(payme, create("b", order="1")))["state"] == 1
            assert (await db.get_one(Order, 1)).status == "open again"

    asyncio.run(reopen())


@pytest.mark.parametrize("async_url", ["sqlite+aiosqlite"], indirect=True)
def test_an_async_hook_reopens_the_refund_that_it_is_told_of(async_url: str) -> None:
    class Reopening(AsyncShopPayme):
        async def cancelled_payment(self, params: Params, transaction: Any) -> None:
            del params
            await self.reopen(transaction)

    async def pay() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine) as db:
            db.add(Order(id=1))
            await db.commit()
            payme = Reopening(db, **SETTINGS)
            for wire, state in (
                (create("a", order="1"), 1),
                (perform("a"), 2),
                (cancel("a", 5), -2),
                (create("b", order="1"), 1),
            ):
                assert (await async_ask(payme, wire))["state"] == state

    asyncio.run(pay())


@pytest.mark.every_database
def test_an_order_reopened_by_the_hook_of_its_refund_is_paid_again(shop: Shop) -> None:
    class Reopening(ShopPayme):
        def cancelled_payment(self, params: Params, transaction: Any) -> None:
            super().cancelled_payment(params, transaction)
            self.reopen(transaction)

    reopening = Shop(shop.engine, Reopening)
    order = refunded(reopening, "a")
    for wire, state in ((create("b", order=order), 1), (perform("b"), 2)):
        assert reopening.ask(wire)["state"] == state
    assert (shop.states(), shop.status(order)) == ({"a": -2, "b": 2}, "paid")


# 7. UUIDs in other clothes

A_UUID: Final = UUID(int=7)


def keyed(handler_base: type[Any] = Silent) -> tuple[type[Any], list[Any]]:
    """A shop that remembers the account ids that its hooks were given."""
    ids: list[Any] = []

    class Keyed(handler_base):  # type: ignore[misc]
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            del params
            ids.append(transaction.account_id)
            assert self.db.get_one(self.accounts.model, transaction.account_id)

    return Keyed, ids


@pytest.mark.every_database
def test_a_uuid_kept_as_text_is_found_by_its_text_and_by_nothing_else(shop: Shop) -> None:
    Base.metadata.create_all(shop.engine)
    handler, ids = keyed()
    with Session(shop.engine) as db:
        db.add(TextKey(id=str(A_UUID)))
        db.commit()
        payme = handler(db, **{**SETTINGS, "account_model": TextKey})
        for other in ("abc", "", str(UUID(int=8)), A_UUID.hex, f"{{{A_UUID}}}", 7):
            assert ask(payme, create("a", order=other))["code"] == -31050
        assert ask(payme, create("a", order=str(A_UUID)))["state"] == 1
        assert ask(payme, perform("a"))["state"] == 2
    assert [(type(key), key) for key in ids] == [(str, str(A_UUID))]


@pytest.mark.every_database
def test_a_uuid_whose_column_hides_it_works_once_it_is_said(shop: Shop) -> None:
    Base.metadata.create_all(shop.engine)
    handler, ids = keyed()
    with Session(shop.engine) as db:
        db.add(GuidKey(id=A_UUID))
        db.commit()
        settings = {**SETTINGS, "account_model": GuidKey}
        with pytest.raises(ConfigurationError, match="account_key_type=UUID"):
            handler(db, **settings)
        payme = handler(db, **settings, account_key_type=UUID)
        assert ask(payme, create("a", order="abc"))["code"] == -31050
        assert ask(payme, create("a", order=str(A_UUID)))["state"] == 1
        assert ask(payme, perform("a"))["state"] == 2
    assert ids == [A_UUID]


# 8. A new key


FAILURES: Final = {
    "no such table": "INSERT INTO keyring (name) VALUES (:key)",
    "a key taken": "INSERT INTO keys_taken (name) VALUES (:key)",
    "a column unfilled": "INSERT INTO keys_unfilled (name) VALUES (:key)",
}


@pytest.mark.every_database
@pytest.mark.parametrize("failure", FAILURES)
def test_a_new_key_that_cannot_be_stored_is_not_written_into_the_log(
    shop: Shop, log: pytest.LogCaptureFixture, failure: str
) -> None:
    key = "canary-of-thirty-six-characters-12345"
    with shop.engine.begin() as connection:
        connection.execute(text("CREATE TABLE keys_taken (name VARCHAR(60) PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE keys_unfilled (name VARCHAR(60) PRIMARY KEY, shop INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO keys_taken (name) VALUES (:key)"), {"key": key})

    class Changing(ShopPayme):
        def change_password(self, params: Params) -> None:
            self.db.execute(text(FAILURES[failure]), {"key": params["password"]})

    with Session(shop.engine) as db:
        assert ask(Changing(db, **SETTINGS), change_password(key))["code"] == -32400
    assert "nothing was saved" in log.text
    assert "canary" not in log.text


# 9. Many migrations at once


def test_six_threads_migrate_six_files_at_once(tmp_path: Path) -> None:
    engines = [create_engine(f"sqlite:///{tmp_path / str(number)}.db") for number in range(6)]
    barrier = Barrier(len(engines))

    def migrate(engine: Engine) -> bool:
        barrier.wait(PATIENCE)
        run_migrations(engine)
        made = inspect(engine).has_table("payments")
        engine.dispose()
        return made

    with ThreadPoolExecutor(len(engines)) as pool:
        assert list(pool.map(migrate, engines)) == [True] * 6


def test_one_event_loop_migrates_four_files_at_once(tmp_path: Path) -> None:
    async def migrate() -> list[bool]:
        engines = [create_async_engine(f"sqlite+aiosqlite:///{tmp_path / str(number)}.db") for number in range(4)]
        await asyncio.gather(*(arun_migrations(engine) for engine in engines))
        made = []
        for engine in engines:
            async with engine.connect() as connection:
                made.append(await connection.run_sync(lambda each: inspect(each).has_table("payments")))
            await engine.dispose()
        return made

    assert asyncio.run(migrate()) == [True] * 4


# 10. An interrupted migration


@on_mariadb
@pytest.mark.parametrize("index", ["ix_payments_account_id", "ix_payments_provider_time"])
def test_a_migration_that_was_interrupted_on_mariadb_is_mended_at_the_next_start(engine: Engine, index: str) -> None:
    run_migrations(engine)
    whole = indexes(engine)
    with engine.begin() as connection:
        connection.execute(text(f"DROP INDEX {index} ON payments"))
        connection.execute(text("DELETE FROM paytechuz_version"))
    assert indexes(engine) == whole - {index}
    for _ in range(2):
        run_migrations(engine)
        assert indexes(engine) == whole
    with engine.connect() as connection:
        assert len(connection.execute(text("SELECT * FROM paytechuz_version")).all()) == 1


@on_mariadb
def test_a_migration_that_dies_at_any_statement_on_mariadb_is_mended_at_the_next_start(engine: Engine) -> None:
    class Killed(BaseException):
        """The process is gone."""

    for stop in count(1):
        statements = count(1)

        def die(*args: Any, numbers: Iterator[int] = statements, last: int = stop) -> None:
            if str(args[2]).lstrip().startswith(("CREATE", "INSERT")) and next(numbers) == last:
                raise Killed

        event.listen(engine, "before_cursor_execute", die)
        try:
            run_migrations(engine)
            break
        except Killed:
            pass
        finally:
            event.remove(engine, "before_cursor_execute", die)
        run_migrations(engine)
        assert indexes(engine) >= {"ix_payments_account_id", "ix_payments_provider_time"}
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE payments, paytechuz_version"))
    assert stop > 4


def indexes(engine: Engine) -> set[str | None]:
    return {index["name"] for index in inspect(engine).get_indexes("payments")}


# 11. Cancelled twice


async def turns() -> None:
    """Let every task that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_work_is_finished_though_its_request_is_cancelled_again_and_again() -> None:
    async def cancel_twice() -> None:
        started, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            started.set()
            await go.wait()
            done.set()

        request = asyncio.create_task(finish(work()))
        await started.wait()
        for _ in range(2):
            assert request.cancel()
            await turns()
            assert not request.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert done.is_set()

    asyncio.run(cancel_twice())


# 12. An engine for each request


@on_sqlite
def test_a_copy_of_the_engine_for_each_request_costs_no_memory(shop: Shop) -> None:
    order, listeners = shop.order(), set()
    for number in range(20):
        with Session(shop.engine.execution_options(logging_token=str(number))) as db:
            assert ask(shop.payme(db), check_perform(order=order)) == {"allow": True}
        listeners.add(len(list(shop.engine.dialect.dispatch.handle_error)))
    assert listeners == {1}


# 13. Work of the dependency


@pytest.mark.every_database
def test_flushed_work_of_the_dependency_is_refused_and_not_lost(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    order = shop.order()
    with Session(shop.engine) as db:
        db.add(mine := Order(status="mine"))
        db.flush()
        number = str(mine.id)
        assert ask(shop.payme(db), create("a", order=order))["code"] == -32400
        says(log, ["pending changes", "commit before", "get_db"])
        db.commit()
        assert ask(shop.payme(db), create("a", order=order))["state"] == 1
    assert shop.status(number) == "mine"


@with_async_drivers
def test_flushed_work_of_an_async_dependency_is_refused_and_not_lost(
    async_url: str, log: pytest.LogCaptureFixture
) -> None:
    async def pay() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine) as db:
            db.add(Order(id=1))
            await db.flush()
            assert (await async_ask(AsyncShopPayme(db, **SETTINGS), create("a", order="1")))["code"] == -32400
            says(log, ["pending changes", "commit before", "get_db"])
            await db.commit()
            assert (await async_ask(AsyncShopPayme(db, **SETTINGS), create("a", order="1")))["state"] == 1

    asyncio.run(pay())


# 14. A payment table of the shop's own


@pytest.mark.every_database
def test_a_column_that_must_not_be_empty_is_the_shops_bug_and_no_rival(
    shop: Shop, log: pytest.LogCaptureFixture
) -> None:
    Base.metadata.create_all(shop.engine)
    order, inserts = shop.order(), []

    @event.listens_for(shop.engine, "before_cursor_execute")
    def notice(*args: Any) -> None:
        if str(args[2]).startswith("INSERT INTO branch_payments"):
            inserts.append(args[2])

    with Session(shop.engine) as db:
        payme = ShopPayme(db, **SETTINGS, payment_model=BranchPayment)
        assert ask(payme, create("a", order=order))["code"] == -32400
    assert len(inserts) == 1
    assert "rival" not in log.text
    says(log, ["IntegrityError", "branch"])


@pytest.mark.every_database
def test_a_key_that_another_request_has_taken_is_a_rival(shop: Shop) -> None:
    born = Transaction(
        gateway="payme", transaction_id="a", account_id=1, amount_tiyin=AMOUNT, account={}, state=State.INITIATING,
        create_time=NOW, update_time=NOW, hold="orders:1",
    )  # fmt: skip

    def save_twice(payme: Any) -> None:
        with payme.begin() as repository:
            repository.save(Change(None, born))
            repository.save(Change(None, born))

    with Session(shop.engine) as db, pytest.raises(Conflict) as raised:
        save_twice(shop.payme(db))
    assert isinstance(raised.value.__cause__, IntegrityError)
    assert shop.payments() == []


# 15. Leader and replica


@on_sqlite
def test_a_session_of_a_leader_and_a_replica_writes_to_the_leader(shop: Shop) -> None:
    leader = shop.engine
    replica = create_engine(f"sqlite:///file:{leader.url.database}?mode=ro&uri=true")

    class Routed(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **_: Any) -> Any:
            del mapper
            return leader if self._flushing or isinstance(clause, Update) else replica

    order = shop.order()
    with Routed() as db:
        for wire, state in ((create("a", order=order), 1), (perform("a"), 2), (cancel("a", 5), -2)):
            assert ask(shop.payme(db), wire)["state"] == state
    replica.dispose()
    assert (shop.states(), shop.effects()) == ({"a": -2}, [("paid", "a"), ("cancelled", "a")])
    assert shop.status(order) == "cancelled"


# 16. A body that is gone


async def streams(request: Request) -> None:
    async for _ in request.stream():
        pass


async def reads(request: Request) -> None:
    await request.body()


@on_sqlite
def test_a_body_that_a_dependency_has_streamed_is_answered_and_logged(
    shop: Shop, log: pytest.LogCaptureFixture
) -> None:
    order = shop.order()

    class Web(ShopPayme, PaymeWebhookHandler):
        pass

    def get_db() -> Iterator[Session]:
        with Session(shop.engine) as db:
            yield db

    def app_with(habit: Any) -> FastAPI:
        app = FastAPI(dependencies=[Depends(habit)])

        @app.post("/")
        async def webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
            return await Web(db, **SETTINGS).handle_webhook(request)

        return app

    assert asyncio.run(web_ask(app_with(streams), create("a", order=order)))["code"] == -32600
    says(log, ["body was read before", "dependency or middleware"])
    assert shop.payments() == []
    assert asyncio.run(web_ask(app_with(reads), create("a", order=order)))["state"] == 1


# 17. An account found otherwise


class Finding(ShopPayme):
    """A shop that knows its orders by a customer's phone and a number."""

    def find_account(self, account: Any) -> Any:
        if account["phone"] != "998901234567":
            return None
        return self.db.get(Order, int(account["number"]))


class AsyncFinding(AsyncShopPayme):
    """The same, awaited."""

    async def find_account(self, account: Any) -> Any:
        if account["phone"] != "998901234567":
            return None
        return await self.db.get(Order, int(account["number"]))


FOUND: Final[Params] = {**SETTINGS, "account_field": ("phone", "number")}


def named_by(phone: str, number: str, name: str = "a") -> Wire:
    method, params = create(name)
    return method, {**params, "account": {"phone": phone, "number": number}}


@pytest.mark.every_database
def test_an_account_found_otherwise_needs_no_columns(shop: Shop) -> None:
    order = shop.order()
    with pytest.raises(ConfigurationError, match="account_column"):
        ShopPayme(Session(), **FOUND)
    with Session(shop.engine) as db:
        payme = Finding(db, **FOUND)
        assert ask(payme, named_by("998", order))["code"] == -31050
        assert ask(payme, named_by("998901234567", order))["state"] == 1
        assert ask(payme, named_by("998901234567", order, "b"))["code"] == -31051
        assert ask(payme, perform("a"))["state"] == 2
    assert (shop.states(), shop.status(order)) == ({"a": 2}, "paid")


@with_async_drivers
def test_an_account_found_otherwise_with_an_async_session_needs_no_columns(async_url: str) -> None:
    async def pay() -> None:
        async with async_shop(async_url) as engine, AsyncSession(engine) as db:
            db.add(Order(id=1))
            await db.commit()
            payme = AsyncFinding(db, **FOUND)
            assert (await async_ask(payme, named_by("998", "1")))["code"] == -31050
            assert (await async_ask(payme, named_by("998901234567", "1")))["state"] == 1
            assert (await async_ask(payme, perform("a")))["state"] == 2
            assert [effect.kind for effect in await db.scalars(select(Effect))] == ["paid"]

    asyncio.run(pay())
