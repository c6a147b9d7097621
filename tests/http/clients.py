"""One small shop on each framework, spoken to as Payme does; `tests.http.click` speaks to it as Click does.

The tests beside this file run on every class in `CLIENTS`, and see nothing of a framework: a `Client` has a database, a
clock, a list of the hooks that ran, and `call`. A further framework is one more class here, that says what `app` is.

Hooks are given as *habits*: generators named like the hook they stand for, which yield whatever their session's methods
return. On a `Session` that is a value, on an `AsyncSession` it is awaited first; so one text is a habit of both. Most
say no more than `self.db.get(self.model, key)` and `self.db.commit()`; tests whose habits say more have the mark
`session`, and a client whose ORM is another (`has_session = False`) is left out of them.
"""

import asyncio
import base64
import io
import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from inspect import isawaitable
from typing import Annotated, Any, ClassVar, Final, TypeVar
from unittest.mock import patch
from urllib.parse import unquote
from uuid import UUID, uuid4

import httpx
from anyio import to_thread
from anyio.from_thread import BlockingPortal
from fastapi import Depends, FastAPI, Request, Response
from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request
from sqlalchemy import Engine, Numeric, String, Uuid, create_engine, delete, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from paytechuz.integrations import fastapi, flask
from paytechuz_core.handler import Expiry
from paytechuz_core.sql import PaymentTransaction, run_migrations
from tests.databases import SYNC
from tests.databases import Database as Place

KEY: Final = "canary#Key:with?colon=and&percent%41"
"""The cash register's key, and the canary that no answer and no log may show. Real ones hold such characters too."""

SECRET: Final = "canary#Secret:with?colon=and&percent%41"
"""Click's secret key, a canary too."""

PRICE: Final = Decimal("5000.00")
TIYIN: Final = 500_000
NOON: Final = 1_700_049_600_000  # 2023-11-15, in UTC
HALF_DAY: Final = 43_200_000

PATIENCE: Final = 30
"""How many seconds anyone waits for what must come at once: only a defect ever waits so long."""

PAYMENTS: Final = PaymentTransaction.__table__
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]


class Base(DeclarativeBase):
    """The shop's own tables."""


class Ordered:
    """What the shop's orders have in common, whatever their key."""

    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    status: Mapped[str] = mapped_column(String(20), default="pending")
    paid: Mapped[int] = mapped_column(default=0)
    returned: Mapped[int] = mapped_column(default=0)
    voucher: Mapped[str | None] = mapped_column(String(40), unique=True)


class Order(Ordered, Base):
    """An order numbered by the database."""

    __tablename__ = "shop_orders"
    id: Mapped[int] = mapped_column(primary_key=True)


class TextOrder(Ordered, Base):
    """An order whose number is text."""

    __tablename__ = "shop_text_orders"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)


class UuidOrder(Ordered, Base):
    """An order with a UUID."""

    __tablename__ = "shop_uuid_orders"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)


Key = int | str | UUID
Model = type[Order] | type[TextOrder] | type[UuidOrder]
MODELS: Final[tuple[Model, ...]] = (Order, TextOrder, UuidOrder)
Habit = Callable[..., Any]
Row = dict[str, Any]
AnswerT = TypeVar("AnswerT")


def successfully_payment(self: Any, params: Row, transaction: Any) -> Generator[Any, Any, None]:
    """Mark the order paid and commit, as the documentation's example does; and count, to show what happened twice."""
    del params
    order = yield self.db.get(self.model, transaction.account_id)
    order.status = "paid"
    order.paid += 1
    yield self.db.commit()


def cancelled_payment(self: Any, params: Row, transaction: Any) -> Generator[Any, Any, None]:
    """Mark the order cancelled and commit."""
    del params
    order = yield self.db.get(self.model, transaction.account_id)
    order.status = "cancelled"
    order.returned += 1
    yield self.db.commit()


def idle(db: Any) -> None:
    """Do nothing with a session."""
    del db


EXAMPLE: Final = (successfully_payment, cancelled_payment)
"""The two hooks that the documentation's example writes."""


def play(habit: Any) -> Any:
    """Run a habit whose session is a `Session`: each value it yields is there already."""
    if not isinstance(habit, Generator):
        return habit
    value: Any = None
    while True:
        try:
            value = habit.send(value)
        except StopIteration as end:
            return end.value


async def aplay(habit: Any) -> Any:
    """Run a habit whose session is an `AsyncSession`: await what it yields, and raise in it what the await raises."""
    if not isinstance(habit, Generator):
        return habit
    try:
        value = next(habit)
        while True:
            try:
                value = await value if isawaitable(value) else value
            except BaseException as error:  # noqa: BLE001 - a habit may handle anything, cancellation included
                value = habit.throw(error)
            else:
                value = habit.send(value)
    except StopIteration as end:
        return end.value


@dataclass
class Clock:
    """The shop's clock, in milliseconds; it stands still until told."""

    now: int = NOON

    def __call__(self) -> int:
        """Read it."""
        return self.now

    def advance(self, millis: int) -> None:
        """Let time pass."""
        self.now += millis


@dataclass(frozen=True)
class Visit:
    """One call of a hook, as the shop noticed it."""

    hook: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer to Payme, already known to be well formed."""

    body: bytes
    json: Row

    @property
    def result(self) -> Row:
        """The result of a call that must succeed."""
        assert "result" in self.json, self.json
        return dict(self.json["result"])

    def ok(self) -> None:
        """Say that the call must succeed, where its result does not matter."""
        assert self.result

    @property
    def error(self) -> Row:
        """The error of a call that must fail."""
        assert "error" in self.json, self.json
        return dict(self.json["error"])

    @property
    def code(self) -> int | None:
        """The error's code, or None for a result: `answer.code is None` reads as "it went well"."""
        return self.json["error"]["code"] if "error" in self.json else None


def read_answer(response: httpx.Response) -> Answer:
    """Check what every answer must be: HTTP 200, JSON, one of result and error, three languages, and no secret."""
    assert response.status_code == 200, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    assert KEY not in response.text
    answer = json.loads(response.content)
    assert answer.keys() - {"jsonrpc"} in ({"id", "result"}, {"id", "error"}), answer
    if "error" in answer:
        assert answer["error"].keys() <= {"code", "message", "data"}, answer
        assert type(answer["error"]["code"]) is int, answer
        assert answer["error"]["message"].keys() == {"ru", "uz", "en"}, answer
        assert all(answer["error"]["message"].values()), answer
    if -31099 <= answer.get("error", {}).get("code", 0) <= -31050:
        assert answer["error"].get("data"), answer
    return Answer(response.content, answer)


def basic(key: str, login: str = "Paycom") -> str:
    """Write an Authorization header."""
    return "Basic " + base64.b64encode(f"{login}:{key}".encode()).decode()


@dataclass
class Traffic:
    """What a shop sent to its database: every statement but those of a database transaction, and how many COMMITs."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0


FREE: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@contextmanager
def watched(engine: Engine, name: str, listener: Callable[..., None]) -> Iterator[None]:
    """Listen to an engine for a while."""
    event.listen(engine, name, listener)
    try:
        yield
    finally:
        event.remove(engine, name, listener)


@dataclass(frozen=True)
class Database:
    """The shop's database, reached past the framework: to set the scene and to see what is stored."""

    engine: Engine
    portal: BlockingPortal
    async_engine: AsyncEngine | None = None

    own_tables: ClassVar = {"payments", "paytechuz_version"}
    shops_tables: ClassVar = {*Base.metadata.tables}

    @property
    def shops_engine(self) -> Engine:
        """The engine that the shop's handler uses."""
        return self.engine if self.async_engine is None else self.async_engine.sync_engine

    @contextmanager
    def watch(self) -> Iterator[Traffic]:
        """See what the shop sends to its database."""
        seen = Traffic()

        def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            del connection, cursor
            if not statement.lstrip().upper().startswith(FREE):
                seen.statements.append(statement)

        def commit(connection: Any) -> None:
            del connection
            seen.commits += 1

        engine = self.shops_engine
        with watched(engine, "before_cursor_execute", execute), watched(engine, "commit", commit):
            yield seen

    def order(self, model: Model = Order, **values: Any) -> Any:
        """Store a new order and give its key."""
        with self.engine.begin() as connection:
            stored = connection.execute(insert(model).values({"amount": PRICE, **values}))
            return stored.inserted_primary_key[0] if stored.inserted_primary_key else None

    def find(self, key: Key, model: Model = Order) -> Any:
        """Read an order."""
        with self.engine.connect() as connection:
            return connection.execute(select(model.__table__).where(model.__table__.c.id == key)).one()

    def change(self, key: Key, model: Model = Order, **values: Any) -> None:
        """Write an order, as the shop's own back office would."""
        with self.engine.begin() as connection:
            connection.execute(update(model).where(model.__table__.c.id == key).values(values))

    def payments(self) -> list[Row]:
        """Read the whole payments table."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(PAYMENTS).order_by(PAYMENTS.c.id)).mappings()]

    def payment(self, transaction_id: str) -> Row:
        """Read one payment."""
        (row,) = (row for row in self.payments() if row["transaction_id"] == transaction_id)
        return row

    def states(self) -> dict[str, int]:
        """Give the state of every payment."""
        return {row["transaction_id"]: row["state"] for row in self.payments()}

    def forget_connections(self) -> None:
        """Let the shop connect anew."""
        if self.async_engine is None:
            self.engine.dispose()
        else:
            self.portal.call(self.async_engine.dispose)

    @contextmanager
    def only_connections(self, number: int) -> Iterator[None]:
        """Leave no more than so many connections in the pool (which has 15)."""
        with ExitStack() as stack:
            for _ in range(15 - number):
                stack.enter_context(self.engine.connect())
            yield

    def empty(self) -> None:
        """Forget everything."""
        with self.engine.begin() as connection:
            for table in (PAYMENTS, *reversed(Base.metadata.sorted_tables)):
                connection.execute(delete(table))


@contextmanager
def furnished(place: Place, driver: str, portal: BlockingPortal, *, asynchronous: bool) -> Iterator[Database]:
    """Make a shop's tables in an empty database, which the shop reaches by this driver."""
    engine = create_engine(place.url(SYNC[place.name][0] if asynchronous else driver))
    run_migrations(engine)
    Base.metadata.create_all(engine)
    async_engine = create_async_engine(place.url(driver)) if asynchronous else None
    yield Database(engine, portal, async_engine)
    if async_engine is not None:
        portal.call(async_engine.dispose)
    engine.dispose()


@dataclass(eq=False)
class Client(ABC):
    """A shop of one framework, and Payme calling it.

    `habits` are its hooks; `prepare` and `finish` are what its session dependency does before the handler and after;
    `settings` is what its handler is given besides the usual. `peer` is where its calls come from, None a Unix socket.
    """

    database: Database
    habits: Iterable[Habit] = EXAMPLE
    prepare: Habit = idle
    finish: Habit = idle
    model: Model = Order
    settings: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    heard: list[Visit] = field(default_factory=list)

    click_settings: Mapping[str, Any] = field(default_factory=dict)
    peer: str | None = "127.0.0.1"

    name: ClassVar[str]
    payme: ClassVar[type]
    click: ClassVar[type]
    is_async: ClassVar[bool] = False
    has_session: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Notice a mark that decorates its only client, instead of the test, which then would never run."""
        assert isinstance(self.database, Database), "of one client the mark is written clients.with_args(...)"

    @cached_property
    @abstractmethod
    def app(self) -> Any:
        """The application: a route for each of `routes`."""

    @abstractmethod
    def request(
        self, content: bytes | Iterable[bytes], headers: Mapping[str, str | bytes], method: str, path: str
    ) -> httpx.Response:
        """Send one raw request. A content of several pieces goes out chunked, without a length."""

    def expire(self) -> Expiry:
        """Expire what nobody paid, as the shop's cron job does, with a session of its own."""
        with Session(self.database.engine) as db:
            expiry: Expiry = self.handler(db).expire()
            return expiry

    @property
    def routes(self) -> dict[str, Callable[[Any], Any]]:
        """What serves which path: Click may be given one URL for both actions, or one for each."""
        return {
            "/payme": self.handler,
            "/click": self.click_handler,
            "/click/prepare": partial(self.click_handler, action=0),
            "/click/complete": partial(self.click_handler, action=1),
        }

    def click_handler(self, db: Any, action: int | None = None) -> Any:
        """Build the merchant's handler for Click."""
        settings = {
            "service_id": 12345,
            "secret_key": SECRET,
            "account_model": self.model,
            "account_field": "order_id",
            "account_column": "id",
            "clock": self.clock,
            "action": action,
            **self.click_settings,
        }
        return self.made(self.click_class, db, settings)

    def handler(self, db: Any) -> Any:
        """Build the merchant's handler, as a route does for each request."""
        settings = {
            "payme_id": "587f72c72cac0d162c722ae2",
            "payme_key": KEY,
            "account_model": self.model,
            "account_field": "order_id",
            "account_column": "id",
            "clock": self.clock,
            **self.settings,
        }
        return self.made(self.handler_class, db, settings)

    def made(self, handler_class: Any, db: Any, settings: Row) -> Any:
        """Make a handler, or what the framework has in its place."""
        return handler_class(db=db, **settings)

    @cached_property
    def handler_class(self) -> Any:
        """The merchant's handler: the documented class, extended by the habits."""
        return self.extended(self.payme)

    @cached_property
    def click_class(self) -> Any:
        """Its like for Click."""
        return self.extended(self.click)

    def extended(self, base: type) -> Any:
        """Extend a documented class by the habits, as plain functions."""

        def hook(name: str, habit: Habit) -> Any:
            def run(handler: Any, *arguments: Any) -> Any:
                self.hear(name, arguments)
                return play(habit(handler, *arguments))

            return run

        def wait(step: threading.Event | threading.Barrier) -> Any:
            return step.wait(PATIENCE)

        return type("ShopHandler", (base,), {"wait": staticmethod(wait), **self.members(hook)})

    def members(self, hook: Callable[[str, Habit], Any]) -> dict[str, Any]:
        """Give the members of the handler class."""
        return {"model": self.model, **{habit.__name__: hook(habit.__name__, habit) for habit in self.habits}}

    def hear(self, hook: str, arguments: tuple[Any, ...]) -> None:
        """Note that a hook ran."""
        self.heard.append(Visit(hook, arguments))

    @property
    def hooks(self) -> list[str]:
        """The names of the hooks that ran, in order."""
        return [visit.hook for visit in self.heard]

    # How Payme speaks

    def send(
        self, content: bytes | Iterable[bytes], headers: Mapping[str, str | bytes] | None = None, method: str = "POST"
    ) -> Answer:
        """Send one raw request to Payme's route, by default with Payme's credentials."""
        given = {"Authorization": basic(KEY)} if headers is None else headers
        return read_answer(self.request(content, given, method, "/payme"))

    def message(self, message: Any, headers: Mapping[str, str | bytes] | None = None) -> Answer:
        """Send any JSON value."""
        return self.send(json.dumps(message).encode(), headers)

    def call(self, method: str, **params: Any) -> Answer:
        """Call one method; `start` and `end` stand for `from` and `to`, which Python keeps for itself."""
        named = {{"start": "from", "end": "to"}.get(name, name): value for name, value in params.items()}
        return self.message({"jsonrpc": "2.0", "id": 7, "method": method, "params": named})

    def account(self, order: Any) -> Row:
        """Write the account object for an order, as typed by a payer: text."""
        return {"order_id": str(order)}

    def check_perform(self, order: Any, amount: Any = TIYIN) -> Answer:
        """May this order be paid?"""
        return self.call("CheckPerformTransaction", amount=amount, account=self.account(order))

    def create(self, transaction: str, order: Any, amount: Any = TIYIN, time: int | None = None) -> Answer:
        """Reserve the order."""
        moment = self.clock.now if time is None else time
        return self.call("CreateTransaction", id=transaction, time=moment, amount=amount, account=self.account(order))

    def perform(self, transaction: str) -> Answer:
        """The money arrived."""
        return self.call("PerformTransaction", id=transaction)

    def cancel(self, transaction: str, reason: Any = 5) -> Answer:
        """Cancel or refund."""
        return self.call("CancelTransaction", id=transaction, reason=reason)

    def check(self, transaction: str) -> Answer:
        """In which state is it?"""
        return self.call("CheckTransaction", id=transaction)

    def statement(self, start: int, end: int) -> list[Row]:
        """What was there?"""
        return list(self.call("GetStatement", start=start, end=end).result["transactions"])

    def pay(self, transaction: str, order: Any, amount: int = TIYIN) -> None:
        """Take a payment from the first call to the last."""
        self.create(transaction, order, amount).ok()
        self.perform(transaction).ok()

    def leave_thread(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what a server does when one of its threads ends."""

    def at_once(self, calls: Iterable[Callable[[], AnswerT]]) -> list[AnswerT]:
        """Make these calls from as many threads, released together."""
        todo = list(calls)
        barrier = threading.Barrier(len(todo))
        answers: dict[int, AnswerT] = {}

        def run(place: int) -> None:
            barrier.wait()
            try:
                answers[place] = todo[place]()
            finally:
                self.leave_thread()

        threads = [threading.Thread(target=run, args=(place,)) for place in range(len(todo))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == len(todo), "a call raised; see the thread's traceback"
        return [answers[place] for place in range(len(todo))]


class AsgiClient(Client):
    """A shop in the one event loop of all such shops."""

    def request(
        self, content: bytes | Iterable[bytes], headers: Mapping[str, str | bytes], method: str, path: str
    ) -> httpx.Response:
        """Send one raw request; what the application raises is raised here."""

        async def outcome() -> httpx.Response | BaseException:
            try:
                return await self.asend(content, headers, method, path)
            except BaseException as error:  # noqa: BLE001 - let through, it would stop the event loop
                return error

        ended = self.database.portal.call(outcome)
        if isinstance(ended, BaseException):
            raise ended
        return ended

    @contextmanager
    def hung_up_on(self, entered: threading.Event, leave: threading.Event) -> Iterator[None]:
        """Let the provider hang up once a hook has been entered, which may go on after that."""
        asend = self.asend

        async def hang_up(*request: Any) -> httpx.Response:
            call = asyncio.create_task(asend(*request))
            assert await asyncio.to_thread(entered.wait, PATIENCE)
            call.cancel()
            await asyncio.sleep(0)
            leave.set()
            return await call

        with patch.object(self, "asend", hang_up):
            yield

    async def asend(
        self, content: bytes | Iterable[bytes], headers: Mapping[str, str | bytes], method: str, path: str
    ) -> httpx.Response:
        """Send one raw request, in the shop's event loop."""
        sent = content if isinstance(content, bytes) else chunks(content)
        transport = httpx.ASGITransport(self.app)
        transport.client = None if self.peer is None else (self.peer, 1234)  # type: ignore[assignment] # as uvicorn has it
        async with httpx.AsyncClient(trust_env=False, transport=transport, base_url="http://shop") as http:
            return await http.request(method, path, content=sent, headers=as_bytes(headers))


class WsgiClient(Client):
    """A shop in the thread of whoever calls it."""

    def request(
        self, content: bytes | Iterable[bytes], headers: Mapping[str, str | bytes], method: str, path: str
    ) -> httpx.Response:
        """Send one raw request; what the application raises is raised here."""
        with httpx.Client(
            trust_env=False, transport=WsgiTransport(self.app, self.peer), base_url="http://shop"
        ) as http:
            return http.request(method, path, content=content, headers=as_bytes(headers))


class FastApiSync(AsgiClient):
    """FastAPI with a `Session`, exactly as the documentation writes it."""

    name = "fastapi"
    payme = fastapi.PaymeWebhookHandler
    click = fastapi.ClickWebhookHandler

    @cached_property
    def app(self) -> FastAPI:
        """One route over the documented handler."""
        app = FastAPI()

        def get_db() -> Iterator[Session]:
            with Session(self.database.engine) as db:
                play(self.prepare(db))
                yield db
                play(self.finish(db))

        def serve(path: str, handler: Callable[[Any], Any]) -> None:
            @app.api_route(path, methods=METHODS)
            async def webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
                return await handler(db).handle_webhook(request)  # type: ignore[no-any-return]

        for path, handler in self.routes.items():
            serve(path, handler)
        return app


class FastApiAsync(AsgiClient):
    """FastAPI with an `AsyncSession` and `async def` hooks."""

    name = "fastapi-async"
    payme = fastapi.AsyncPaymeWebhookHandler
    click = fastapi.AsyncClickWebhookHandler
    is_async = True

    @cached_property
    def app(self) -> FastAPI:
        """One route over the async twin."""
        app = FastAPI()

        async def get_db() -> AsyncIterator[AsyncSession]:
            async with AsyncSession(self.database.async_engine) as db:
                await aplay(self.prepare(db))
                yield db
                await aplay(self.finish(db))

        def serve(path: str, handler: Callable[[Any], Any]) -> None:
            @app.api_route(path, methods=METHODS)
            async def webhook(request: Request, db: Annotated[AsyncSession, Depends(get_db)]) -> Response:
                return await handler(db).handle_webhook(request)  # type: ignore[no-any-return]

        for path, handler in self.routes.items():
            serve(path, handler)
        return app

    def expire(self) -> Expiry:
        """Expire what nobody paid, in the shop's event loop."""

        async def expire() -> Expiry:
            async with AsyncSession(self.database.async_engine) as db:
                expiry: Expiry = await self.handler(db).expire()
                return expiry

        return self.database.portal.call(expire)

    def extended(self, base: type) -> Any:
        """Extend a documented class by the habits, as `async def`."""

        def hook(name: str, habit: Habit) -> Any:
            async def run(handler: Any, *arguments: Any) -> Any:
                self.hear(name, arguments)
                return await aplay(habit(handler, *arguments))

            return run

        def wait(step: threading.Event | threading.Barrier) -> Any:
            return to_thread.run_sync(step.wait, PATIENCE)

        return type("ShopHandler", (base,), {"wait": staticmethod(wait), **self.members(hook)})


class FlaskSync(WsgiClient):
    """Flask with a `Session` of the request's own."""

    name = "flask"
    payme = flask.PaymeWebhookHandler
    click = flask.ClickWebhookHandler

    @cached_property
    def app(self) -> Flask:
        """One route over the documented handler."""
        app = Flask("shop")

        def serve(path: str, handler: Callable[[Any], Any]) -> None:
            @app.route(path, endpoint=path.strip("/"), methods=METHODS)
            def webhook() -> FlaskResponse:
                with Session(self.database.engine) as db:
                    play(self.prepare(db))
                    response: FlaskResponse = handler(db).handle_webhook(flask_request)
                    play(self.finish(db))
                    return response

        for path, handler in self.routes.items():
            serve(path, handler)
        return app


def as_bytes(headers: Mapping[str, str | bytes]) -> list[tuple[bytes, bytes]]:
    """Write headers as they go out: some tests send what no text is."""
    return [(name.encode(), each if isinstance(each, bytes) else each.encode()) for name, each in headers.items()]


async def chunks(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Give a body piece by piece."""
    for piece in pieces:
        yield piece


@dataclass(frozen=True)
class WsgiTransport(httpx.BaseTransport):
    """Serves a WSGI application as gunicorn does: any bytes in a header, and a body that is read piece by piece."""

    app: Callable[..., Iterable[bytes]]
    peer: str | None = "127.0.0.1"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Call the application (PEP 3333)."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(request.url.path),
            "QUERY_STRING": request.url.query.decode("ascii"),
            "SERVER_NAME": request.url.host,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.peer or "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BufferedReader(Pieces(request.stream)),
            "wsgi.input_terminated": True,  # the input ends where the body does, whatever its length says
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers.raw:
            key = name.decode("ascii").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            # What comes several times is joined.
            environ[key] = ",".join(filter(None, (environ.get(key), value.decode("latin-1"))))
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            assert exc_info is None, "nothing of ours answers twice"
            started.extend((int(status.partition(" ")[0]), headers))

        answer = self.app(environ, start_response)
        try:
            content = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        status, headers = started
        return httpx.Response(status, headers=headers, content=content)


class Pieces(io.RawIOBase):
    """A file over a body that comes in pieces, each asked for only when it is read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = iter(pieces)
        self.rest = b""

    def readable(self) -> bool:
        """Be a file that can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes: none only at the end."""
        while not self.rest:
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.rest = piece
        read, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(read)] = read
        return len(read)


FASTAPI: Final = (FastApiSync, FastApiAsync)
CLIENTS: Final[tuple[type[Client], ...]] = (*FASTAPI, FlaskSync)
