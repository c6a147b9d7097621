"""What is Flask's own: the extension, its configuration, Flask-SQLAlchemy, and what is done to a body on its way."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
from gunicorn.http.errors import InvalidChunkSize, InvalidHeader  # type: ignore[import-untyped] # it has no types
from sqlalchemy import Engine, NullPool, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from paytechuz.integrations.flask import (
    ClickWebhookHandler,
    ConfigurationError,
    PaymentMixin,
    PaymeWebhookHandler,
    PayTechUZ,
    run_migrations,
)
from tests.http import habits, test_hooks, test_payme_conformance
from tests.http.click import Click
from tests.http.clients import (
    KEY,
    METHODS,
    SECRET,
    TIYIN,
    Client,
    FlaskSync,
    Habit,
    Ordered,
    Row,
    WsgiTransport,
    basic,
    read_answer,
)  # fmt: skip

Open = Callable[..., Client]
Wsgi = dict[str, Any]

db = SQLAlchemy()


class FlaskOrder(Ordered, db.Model):  # type: ignore[misc, name-defined] # the extension makes its base when it runs
    __tablename__ = "shop_orders"
    id: Mapped[int] = mapped_column(primary_key=True)


class Payment(PaymentMixin, db.Model):  # type: ignore[misc, name-defined] # as above
    __tablename__ = "payments"
    note: Mapped[str | None]


class FlaskExtension(FlaskSync):
    """Flask with Flask-SQLAlchemy and routes made from `app.config`, exactly as the documentation writes it."""

    name = "flask-extension"

    def __init__(self, **ways: Any) -> None:
        super().__init__(**ways)
        self.model = FlaskOrder

    @cached_property
    def app(self) -> Flask:
        """An application with its two routes."""
        app = with_flask_sqlalchemy(self.database.engine)
        app.config["PAYTECHUZ"] = {
            "PAYME": {**self.handler(None), "URL": "/payme"},
            "CLICK": {**self.click_handler(None), "URL": "/click"},
        }
        PayTechUZ(app)
        return app

    def made(self, handler_class: Any, db: Any, settings: Row) -> Any:
        """Write the settings as `app.config` has them."""
        del db
        return {name.upper(): value for name, value in settings.items()} | {"HANDLER": handler_class}


def with_flask_sqlalchemy(engine: Engine) -> Flask:
    """Make an application on a database of the suite's."""
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = engine.url.render_as_string(hide_password=False)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": NullPool}  # so that no connection outlives its test
    db.init_app(app)
    return app


extension = pytest.mark.clients.with_args(FlaskExtension)
flask = pytest.mark.clients.with_args(FlaskSync)


# With Flask-SQLAlchemy


@extension
@pytest.mark.every_database
def test_a_configured_application_is_paid_by_both(shop: Client) -> None:
    click, one, other = Click(shop), shop.database.order(), shop.database.order()
    shop.pay("a", one)
    click.pay(1, other)
    assert [shop.database.find(order).status for order in (one, other)] == ["paid", "paid"]
    assert [shop.check_perform(other).code, click.prepare(2, one).error] == [-31052, -4]
    shop.cancel("a").ok()
    assert (shop.database.states(), shop.database.find(one).status) == ({"a": -2, "1": 2}, "cancelled")


@extension
@pytest.mark.every_database
@pytest.mark.parametrize("habit", [*habits.GOOD, *habits.GOOD_OF_A_SESSION])
def test_what_a_hook_does_with_flasks_session_is_committed_with_the_state(open_shop: Open, habit: Habit) -> None:
    test_hooks.test_what_a_hook_does_is_committed_with_the_state(open_shop, habits.PAID, habit)


@extension
@pytest.mark.every_database
@pytest.mark.parametrize(
    "habit",
    [
        habits.commits_then_raises,
        habits.rolls_back,
        habits.closes_the_session,
        habits.violates_a_unique_key,
        habits.swallows_a_failed_commit,
    ],
)
def test_a_hook_whose_work_is_lost_leaves_nothing_in_flasks_session_either(open_shop: Open, habit: Habit) -> None:
    test_hooks.test_a_hook_whose_work_is_lost_leaves_nothing_and_the_repetition_can_succeed(
        open_shop, habits.PAID, habit
    )


@extension
@pytest.mark.every_database
def test_twenty_performs_at_once_pay_once_with_a_session_of_each_requests_own(shop: Client) -> None:
    test_payme_conformance.test_t27_twenty_performs_at_once_pay_once(shop)


@extension
@pytest.mark.every_database
@pytest.mark.parametrize("fails", [False, True])
def test_a_hook_may_say_db_session_instead_of_self_db(open_shop: Open, fails: bool) -> None:  # noqa: FBT001 - a parameter
    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del params
        order = db.session.get_one(FlaskOrder, transaction.account_id)
        order.status = "paid"
        db.session.commit()
        assert self.db is db.session()
        if fails:
            raise OSError

    shop = open_shop(habits=[successfully_payment])
    order = shop.database.order()
    shop.create("a", order).ok()
    assert shop.perform("a").code == (-32400 if fails else None)
    assert (shop.database.states(), shop.database.find(order).status) == (
        ({"a": 1}, "pending") if fails else ({"a": 2}, "paid")
    )


@extension
def test_the_session_is_removed_by_flask_sqlalchemy_and_by_nobody_before(shop: Client) -> None:
    seen: list[Any] = []
    app: Flask = shop.app

    @app.before_request
    def before() -> None:
        seen.append((db.session(), db.session.get_one(FlaskOrder, order)))

    @app.after_request
    def after(response: Response) -> Response:
        session, found = seen[-1]
        assert (db.session(), found in session, found.status) == (session, True, "pending")
        return response

    order = shop.database.order()
    shop.check_perform(order).ok()
    shop.check_perform(order).ok()
    assert seen[0][0] is not seen[1][0]


@extension
def test_what_a_request_has_not_committed_is_not_lost_in_silence(
    shop: Client, caplog: pytest.LogCaptureFixture
) -> None:
    app: Flask = shop.app

    @app.before_request
    def before() -> None:
        db.session.add(FlaskOrder(amount=1))

    assert shop.check_perform(shop.database.order()).code == -32400
    assert "pending changes: commit before the handler" in caplog.text


def test_payments_may_be_a_model_of_the_shops_own_which_its_migrations_see(tmp_path: Path) -> None:
    """Flask-Migrate gives Alembic `db.metadata`; here Alembic is asked the same."""
    app = with_flask_sqlalchemy(create_engine(f"sqlite:///{tmp_path}/shop.db"))
    app.config["PAYTECHUZ"] = {"PAYME": {**payme(), "PAYMENT_MODEL": f"{__name__}:Payment"}}
    PayTechUZ(app)
    with app.app_context():
        with db.engine.connect() as connection:
            seen = compare_metadata(MigrationContext.configure(connection), db.metadata)
            assert {each[1].name for each in seen if each[0] == "add_table"} == {"payments", "shop_orders"}
        db.create_all()
        with db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        order = FlaskOrder(amount=Decimal(5000))
        db.session.add(order)
        db.session.commit()
        paid = order.id
    for method, params in (
        ("CreateTransaction", {"time": 1, "amount": TIYIN, "account": {"id": paid}}),
        ("PerformTransaction", {}),
    ):
        ask(app, {"method": method, "params": {"id": "a", **params}})
    with app.app_context():
        payment = db.session.scalars(select(Payment)).one()
        assert (payment.state, payment.amount, payment.note) == (Payment.SUCCESSFULLY, Decimal(5000), None)


class Base(DeclarativeBase):
    pass


def test_payments_may_stand_on_a_base_in_todays_style_and_orders_on_another_bind(tmp_path: Path) -> None:
    own = SQLAlchemy(model_class=Base)

    class Bill(own.Model):  # type: ignore[misc, name-defined] # as above
        __bind_key__ = "bills"
        id: Mapped[int] = mapped_column(primary_key=True)
        amount: Mapped[int]

    class BillPayment(PaymentMixin, own.Model):  # type: ignore[misc, name-defined] # as above
        __bind_key__ = "bills"
        __tablename__ = "payments"

    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/rest.db"
    app.config["SQLALCHEMY_BINDS"] = {"bills": {"url": f"sqlite:///{tmp_path}/bills.db", "poolclass": NullPool}}
    own.init_app(app)
    app.config["PAYTECHUZ"] = {"PAYME": {**payme(), "ACCOUNT_MODEL": Bill, "PAYMENT_MODEL": BillPayment}}
    PayTechUZ(app)
    with app.app_context():
        own.create_all("bills")
        own.session.add(Bill(id=1, amount=5000))
        own.session.commit()
    params = {"id": "a", "time": 1, "amount": TIYIN, "account": {"id": 1}}
    assert ask(app, {"method": "CreateTransaction", "params": params})["result"]["state"] == 1
    with app.app_context():
        assert own.session.scalars(select(BillPayment.hold)).all() == ["bill:1"]


# The extension and its configuration


def payme(**other: Any) -> Row:
    """The least that is configured for Payme."""
    return {
        "PAYME_ID": "x", "PAYME_KEY": KEY, "ACCOUNT_MODEL": FlaskOrder, "HANDLER": PaymeWebhookHandler,
        "CLOCK": lambda: 1, **other,
    }  # fmt: skip


def click(**other: Any) -> Row:
    """The least that is configured for Click."""
    return {
        "SERVICE_ID": 1, "SECRET_KEY": SECRET, "ACCOUNT_MODEL": FlaskOrder, "HANDLER": ClickWebhookHandler, **other,
    }  # fmt: skip


def ask(app: Flask, message: Any, path: str = "/payments/payme/webhook") -> Row:
    """Send one call of Payme's."""
    answer = app.test_client().post(path, json={"id": 1, **message}, headers={"Authorization": basic(KEY)})
    assert (answer.status_code, answer.content_type) == (200, "application/json; charset=UTF-8")
    found: Row = answer.get_json()
    return found


CHECK = {"method": "CheckTransaction", "params": {"id": "unknown"}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=NullPool)
    run_migrations(engine)
    FlaskOrder.metadata.tables["shop_orders"].create(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("path", ["/payments/payme/webhook", "/payments/click/webhook"])
@pytest.mark.parametrize("method", METHODS)
def test_the_routes_answer_every_http_method_with_200(engine: Engine, path: str, method: str) -> None:
    app = Flask("shop")
    app.config["PAYTECHUZ"] = {
        "PAYME": payme(SESSION=sessionmaker(engine)),
        "CLICK": click(SESSION=sessionmaker(engine)),
    }
    PayTechUZ(app)
    answer = app.test_client().open(path, method=method)
    assert (answer.status_code, answer.content_type) == (200, "application/json; charset=UTF-8")
    if method != "HEAD" and "click" in path:
        assert answer.get_json()["error"] == -8
    elif method != "HEAD":
        assert answer.get_json()["error"]["code"] == (-32504 if method == "POST" else -32300)


def test_one_extension_serves_the_applications_of_a_factory_each_as_it_is_configured(engine: Engine) -> None:
    payments = PayTechUZ()

    def create_app(url: str) -> Flask:
        app = Flask("shop")
        app.config["PAYTECHUZ"] = {"PAYME": payme(URL=url, SESSION=sessionmaker(engine))}
        payments.init_app(app)
        return app

    one, other = create_app("/one"), create_app("/other")
    assert [ask(one, CHECK, "/one")["error"]["code"], ask(other, CHECK, "/other")["error"]["code"]] == [-31003] * 2
    assert one.test_client().post("/other").status_code == 404
    assert one.test_client().post("/payments/click/webhook").status_code == 404, "Click is not configured"
    with one.test_request_context():
        assert one.url_for("paytechuz.payme") == "/one"


@pytest.mark.parametrize("path", [f"{__name__}:FlaskOrder", f"{__name__}.FlaskOrder"])
def test_a_class_may_be_named_by_its_path(engine: Engine, path: str) -> None:
    app = Flask("shop")
    handler = path.replace("FlaskOrder", "PaymeWebhookHandler")
    app.config["PAYTECHUZ"] = {"PAYME": payme(ACCOUNT_MODEL=path, HANDLER=handler, SESSION=sessionmaker(engine))}
    PayTechUZ(app)
    assert ask(app, CHECK)["error"]["code"] == -31003


class Counted(Session):
    """A session that says when it is closed."""

    closed = 0

    def close(self) -> None:
        Counted.closed += 1
        super().close()


class Gone(BaseException):
    """What is no `Exception`: a worker that is told to stop."""


class Stopped(PaymeWebhookHandler):
    def before_check_perform_transaction(self, params: Any, account: Any) -> None:
        del params, account
        raise Gone


def test_a_session_that_the_extension_opens_is_closed_whatever_happens(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Flask("shop")
    app.config["PAYTECHUZ"] = {"PAYME": payme(HANDLER=Stopped, SESSION=sessionmaker(engine, class_=Counted))}
    PayTechUZ(app)
    monkeypatch.setattr(Counted, "closed", 0)
    ask(app, CHECK)
    assert Counted.closed == 1
    with Session(engine) as session:
        session.add(FlaskOrder(id=1, amount=Decimal(5000)))
        session.commit()
    with pytest.raises(Gone):
        ask(app, {"method": "CheckPerformTransaction", "params": {"amount": TIYIN, "account": {"id": 1}}})
    assert Counted.closed == 2


@pytest.mark.parametrize("given_by", ["itself", "a function"])
def test_a_scoped_session_is_left_to_whoever_removes_it(engine: Engine, given_by: str) -> None:
    scoped = scoped_session(sessionmaker(engine, class_=Counted))
    app = Flask("shop")
    app.config["PAYTECHUZ"] = {"PAYME": payme(SESSION=scoped if given_by == "itself" else lambda: scoped)}
    PayTechUZ(app)
    seen: list[Any] = []

    @app.after_request
    def after(response: Response) -> Response:
        seen.append((scoped.registry.has(), scoped(), Counted.closed))
        return response

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        del error
        scoped.remove()

    before = Counted.closed
    for _ in range(2):
        assert ask(app, CHECK)["error"]["code"] == -31003
    assert [each[0] for each in seen] == [True, True]
    assert seen[0][1] is not seen[1][1]
    assert [each[2] for each in seen] == [before, before + 1]


def a_dependency() -> Iterator[Session]:
    """Give a session as FastAPI wants it."""
    with Session() as db:
        yield db


WRONG: list[tuple[Any, str]] = [
    (None, r'app.config\["PAYTECHUZ"\] must be'),
    ({}, "must be"),
    ([], "must be"),
    ({"PAYME": None}, "must be"),
    ({"payme": payme()}, r"PAYTECHUZ\"\] has \['payme'\], which no provider is called"),
    ({"PAYME": payme(), 5: {}}, "no provider is called"),
    ({"PAYME": payme(payme_key=KEY)}, r"PAYTECHUZ\['PAYME'\] has \['payme_key'\], which is no setting: .*PAYME_KEY"),
    ({"PAYME": payme(DB=None)}, "DB.* no setting"),
    ({"PAYME": {"PAYME_ID": "x", "PAYME_KEY": KEY}}, r"\['PAYME'\] must have ACCOUNT_MODEL and HANDLER"),
    ({"CLICK": {"HANDLER": ClickWebhookHandler}}, "must have ACCOUNT_MODEL and SECRET_KEY and SERVICE_ID"),
    ({"PAYME": payme(PAYME_KEY="")}, "payme_key is empty"),
    ({"PAYME": payme(PAYME_ID=None)}, "payme_id is empty"),
    ({"PAYME": payme(ACCOUNT_FIELD="nothing")}, "account_column"),
    ({"PAYME": payme(AMOUNT_FIELD="price")}, "amount_field"),
    ({"PAYME": payme(ACCOUNT_MODEL=Flask)}, "account_model must be a SQLAlchemy model"),
    ({"PAYME": payme(ACCOUNT_MODEL="nowhere:Order")}, r"\['PAYME'\] ACCOUNT_MODEL must be a class or the path of one"),
    ({"PAYME": payme(ACCOUNT_MODEL=f"{__name__}:Orders")}, "ACCOUNT_MODEL must be .* no attribute 'Orders'"),
    ({"PAYME": payme(ACCOUNT_MODEL="a b")}, "ACCOUNT_MODEL must be"),
    ({"PAYME": payme(PAYMENT_MODEL=FlaskOrder)}, "payment_model must be a mapped class"),
    ({"PAYME": payme(HANDLER=ClickWebhookHandler)}, "HANDLER must be a subclass of paytechuz_flask.Payme"),
    ({"PAYME": payme(HANDLER=print)}, "HANDLER must be"),
    ({"PAYME": payme(URL="payme")}, "URL must be a path that begins with '/'"),
    ({"PAYME": payme(URL=None)}, "URL must be"),
    ({"PAYME": payme()}, r"SESSION must give each request a session, .* db.init_app\(app\) comes before"),
    ({"PAYME": payme(SESSION=Session())}, r"SESSION must give each request a session, such as sessionmaker"),
    ({"PAYME": payme(SESSION=a_dependency)}, r"SESSION must give each request a session, such as sessionmaker"),
    ({"PAYME": payme(SESSION=contextmanager(a_dependency))}, r"SESSION must give each request a session"),
    ({"CLICK": click(SERVICE_ID="x")}, "service_id must be"),
    ({"CLICK": click(ACTION=2)}, "action must be"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "says"), WRONG)
def test_a_configuration_that_cannot_work_is_told_at_start_with_its_fix(config: Any, says: str) -> None:
    app = Flask("shop")
    if config is not None:
        app.config["PAYTECHUZ"] = config
    for section in config.values() if isinstance(config, dict) and "SESSION" not in says else []:
        if section:
            section.setdefault("SESSION", Session)
    with pytest.raises(ConfigurationError, match=says) as told:
        PayTechUZ(app)
    assert KEY not in str(told.value)


def test_an_async_hook_is_told_at_start_too() -> None:
    class Awaits(PaymeWebhookHandler):
        async def successfully_payment(self, params: Any, transaction: Any) -> None:
            pass

    app = Flask("shop")
    app.config["PAYTECHUZ"] = {"PAYME": payme(HANDLER=Awaits, SESSION=Session)}
    with pytest.raises(ConfigurationError, match="successfully_payment is async"):
        PayTechUZ(app)


def test_the_keys_are_in_no_repr_of_what_the_extension_leaves_in_the_application() -> None:
    app = Flask("shop")
    app.config["PAYTECHUZ"] = {"PAYME": payme(SESSION=Session), "CLICK": click(SESSION=Session)}
    PayTechUZ(app)
    shown = f"{app.extensions['paytechuz']} {app.view_functions} {app.url_map} {app.blueprints}"
    assert "payme" in shown
    assert KEY not in shown
    assert SECRET not in shown


# What stands between the provider and the handler


@flask
@pytest.mark.parametrize("limit", [1, 1024, 10**9])
def test_flasks_own_limit_of_a_body_is_not_the_webhooks(shop: Client, limit: int) -> None:
    shop.app.config["MAX_CONTENT_LENGTH"] = limit
    order = shop.database.order()
    params = {"amount": TIYIN, "account": {"order_id": order}}
    message = json.dumps({"method": "CheckPerformTransaction", "params": params}).encode()
    assert shop.send(message.ljust(64 * 1024)).code is None
    assert shop.send(message.ljust(64 * 1024 + 1)).code == -32600


def reads_data() -> None:
    """What an application's logging does."""
    request.get_data()


def reads_json() -> None:
    request.get_json(force=True, silent=True)


def asks_for_the_form() -> None:
    assert not request.form


@flask
@pytest.mark.parametrize("habit", [reads_data, reads_json, asks_for_the_form])
def test_a_body_that_the_application_has_looked_at_is_still_read_and_no_more_of_it_than_may_be(
    shop: Client, habit: Callable[[], None]
) -> None:
    shop.app.before_request(habit)
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.send(b" " * (64 * 1024 + 1)).code == -32600
    assert shop.database.find(order).paid == 1


@flask
def test_of_a_body_that_the_application_could_have_read_no_more_is_read_than_may_be(shop: Client) -> None:
    shop.app.before_request(asks_for_the_form)
    asked: list[int] = []

    def long() -> Iterator[bytes]:
        for piece in range(100):
            asked.append(piece)
            yield b" " * 4096

    assert shop.send(long()).code == -32600
    assert len(asked) < 100


@flask
def test_a_form_that_the_application_has_read_is_gone_and_the_log_says_so(
    shop: Client, caplog: pytest.LogCaptureFixture
) -> None:
    shop.app.before_request(lambda: str(request.form) and None)
    assert Click(shop).prepare(1, shop.database.order()).error == -8
    assert "the request's body was read before the webhook handler" in caplog.text
    assert shop.database.payments() == []


class Bare:
    """A server's input that does not end with the body: to read beyond it is to wait for ever."""

    def __init__(self, body: bytes) -> None:
        self.body = io.BytesIO(body)
        self.would_wait = False

    def read(self, size: int = -1) -> bytes:
        """Give some of what was asked for."""
        read = self.body.read(min(size, 7))
        self.would_wait |= size < 0 or len(read) == 0 < size
        return read


@flask
@pytest.mark.parametrize("surplus", [b"", b'{"id": 2}'])
def test_on_a_server_that_ends_no_input_the_length_says_where_the_body_ends(shop: Client, surplus: bytes) -> None:
    body = json.dumps({"id": 1, **CHECK}).encode()
    given = Bare(body + surplus)
    assert answered(shop, {"CONTENT_LENGTH": str(len(body))}, given) == -31003
    assert (given.would_wait, given.body.read()) == (False, surplus)


@flask
@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "x"}, {"CONTENT_LENGTH": "-5"}])
def test_on_such_a_server_a_body_without_a_length_is_not_waited_for(shop: Client, length: Wsgi) -> None:
    given = Bare(b"")
    assert answered(shop, {**length, "HTTP_TRANSFER_ENCODING": "chunked"}, given) == -32700
    assert not given.would_wait


@flask
@pytest.mark.parametrize("length", [64 * 1024 + 1, 10**12])
def test_on_such_a_server_too_no_more_is_read_than_may_be(shop: Client, length: int) -> None:
    given = Bare(b" " * (64 * 1024 + 1))
    assert answered(shop, {"CONTENT_LENGTH": str(length)}, given) == -32600
    assert not given.would_wait


class Broken:
    """The input of a client that has gone away, or sends what its server cannot read."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        """Fail, or end too early."""
        del size
        if self.error:
            raise self.error
        return b""


@flask
@pytest.mark.parametrize("terminated", [{}, {"wsgi.input_terminated": True}])
@pytest.mark.parametrize("error", [ConnectionResetError(), InvalidChunkSize(b"zz"), InvalidHeader("x"), None], ids=repr)
def test_a_body_that_the_server_cannot_read_to_its_end_is_an_invalid_request(
    shop: Client, terminated: Wsgi, error: Exception | None
) -> None:
    """gunicorn's errors are neither werkzeug's nor all an OSError."""
    assert answered(shop, {"CONTENT_LENGTH": "100", **terminated}, Broken(error)) == -32600


def answered(shop: Client, environ: Wsgi, body: Any) -> int | None:
    """Send a request as another server than gunicorn would give it to the application."""
    given = {"wsgi.input": body, "HTTP_AUTHORIZATION": basic(KEY), **environ}

    def served(standard: Wsgi, start_response: Any) -> Any:
        for name in ("wsgi.input_terminated", "CONTENT_LENGTH"):
            standard.pop(name, None)
        return shop.app(standard | given, start_response)

    with httpx.Client(transport=WsgiTransport(served), base_url="http://shop", trust_env=False) as http:
        return read_answer(http.post("/payme")).code


# What is installed


def test_flask_needs_no_greenlet_and_no_other_framework(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["greenlet"] = None
from paytechuz.integrations.flask import PayTechUZ, PaymeWebhookHandler, run_migrations
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

class Base(DeclarativeBase): pass
class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]

engine = create_engine("sqlite:///{tmp_path}/shop.db")
run_migrations(engine)
Base.metadata.create_all(engine)
with sessionmaker(engine)() as db:
    db.add(Order(amount=5000))
    db.commit()
app = Flask("shop")
app.config["PAYTECHUZ"] = {{"PAYME": {{
    "PAYME_ID": "x", "PAYME_KEY": "key", "ACCOUNT_MODEL": Order, "HANDLER": PaymeWebhookHandler,
    "SESSION": sessionmaker(engine),
}}}}
PayTechUZ(app)
call = {{"id": 1, "method": "CheckPerformTransaction", "params": {{"amount": 500000, "account": {{"id": 1}}}}}}
print(app.test_client().post("/payments/payme/webhook", json=call, auth=("Paycom", "key")).json["result"])
engine.dispose()
print({{"django", "fastapi", "starlette"}} & sys.modules.keys())
"""
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output == "{'allow': True}\nset()\n"
