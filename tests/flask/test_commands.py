"""`flask paytechuz upgrade|doctor|statement|expire`, as a shop runs them."""

import csv
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from flask import Flask, Response, abort, redirect
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, NullPool, create_engine, event, insert, inspect, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker
from werkzeug.serving import make_server

from paytechuz.integrations.flask import (
    ClickWebhookHandler,
    PaymentMixin,
    PaymentTransaction,
    PaymeWebhookHandler,
    PayTechUZ,
    run_migrations,
)
from paytechuz_core.rows import INDEXES, TEXT_KEYS
from paytechuz_core.transaction import HALF_DAY
from tests.http.clients import PATIENCE, Base, Order

KEY: Final = "canary#k8SJ:dkQ9"
SECRET: Final = "canary#8aQx3nq1Zk"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
LONG_AGO: Final = NOW - timedelta(hours=13)
DAY: Final = datetime(2026, 11, 27, tzinfo=UTC)
PAYMENTS: Final = PaymentTransaction.__table__


class ShopPayme(PaymeWebhookHandler):
    """The shop's handler; `fails` is whose hook fails."""

    fails: str | None = None

    def cancelled_payment(self, params: Any, transaction: Any) -> None:
        """Mark the order cancelled."""
        del params
        order = self.db.get_one(Order, transaction.account_id)
        order.status, order.returned = "cancelled", order.returned + 1
        self.db.commit()
        if transaction.transaction_id == ShopPayme.fails:
            raise ZeroDivisionError


class ShopClick(ClickWebhookHandler):
    """And for Click."""


def configured(engine: Engine, **changed: Any) -> dict[str, dict[str, Any]]:
    """The configuration of a right shop, but for these of Payme's."""
    session = sessionmaker(engine)
    payme = {"PAYME_ID": "1", "PAYME_KEY": KEY, "ACCOUNT_MODEL": Order, "HANDLER": ShopPayme, "SESSION": session}
    click = {"SERVICE_ID": 5, "SECRET_KEY": SECRET, "ACCOUNT_MODEL": Order, "HANDLER": ShopClick, "SESSION": session}
    return {"PAYME": {**payme, **changed}, "CLICK": click}


def shop(engine: Engine, config: dict[str, dict[str, Any]] | None = None, **changed: Any) -> Flask:
    """A right shop, but for these settings of Payme's."""
    app = Flask("shop")
    app.config["PAYTECHUZ"] = configured(engine, **changed) if config is None else config
    PayTechUZ(app)
    return app


def run(app: Flask, *arguments: str) -> str:
    """Run a command that succeeds, and give what it said."""
    ended = app.test_cli_runner().invoke(args=["paytechuz", *arguments])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return shown(ended.output)


def fail(app: Flask, *arguments: str) -> str:
    """Run a command that fails with 1, and give what it said."""
    ended = app.test_cli_runner().invoke(args=["paytechuz", *arguments])
    assert (ended.exit_code, type(ended.exception)) == (1, SystemExit), (ended.output, ended.exception)
    return shown(ended.output)


def shown(output: str) -> str:
    """Join the lines that were wrapped; no key may be among them."""
    assert KEY not in output
    assert SECRET not in output
    return re.sub(r"\n +", " ", output)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database with all tables, once on each."""
    engine = create_engine(url, poolclass=NullPool)
    run_migrations(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Any) -> Iterator[Engine]:
    """The same on SQLite alone."""
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}", poolclass=NullPool)
    run_migrations(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def payment(engine: Engine, id: str, *, at: datetime = NOW, late: timedelta = timedelta(), **values: Any) -> None:
    """Store a payment that Payme made at `at`, and that the shop stored `late`."""
    with engine.begin() as connection:
        stored = connection.execute(insert(Order).values(amount=5000))
        order = stored.inserted_primary_key[0] if stored.inserted_primary_key else None
        given = {
            "gateway": "payme",
            "transaction_id": id,
            "account_id": str(order),
            "amount_tiyin": 500_000,
            "account": {"id": str(order)},
            "state": 1,
            "extra_data": {},
            "created_at": at + late,
            "updated_at": at + late,
            "provider_time": round(at.timestamp() * 1000),
            "lifetime": HALF_DAY,
            "hold": f"shop_orders:{order}",
            "version": 1,
            **values,
        }
        connection.execute(insert(PaymentTransaction).values(given))


def states(engine: Engine) -> dict[str, int]:
    """Give every payment's state."""
    with engine.connect() as connection:
        rows = connection.execute(select(PAYMENTS.c.transaction_id, PAYMENTS.c.state))
        return {id: state for id, state in rows}  # noqa: C416 - rows are no pairs to a type checker


def orders(engine: Engine) -> list[tuple[str, int]]:
    """Give every order's status, and how often it was cancelled."""
    with Session(engine) as db:
        return [(order.status, order.returned) for order in db.scalars(select(Order).order_by(Order.id))]


# upgrade


def test_upgrade_makes_the_table_and_then_does_nothing(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    app = shop(engine)
    for _ in range(2):
        said = run(app, "upgrade")
        assert said.count("is up to date") == 1, "both providers have one database"
        assert inspect(engine).has_table("payments")
    assert (engine.url.password or "no password") not in said


def test_upgrade_leaves_another_program_s_table_alone(tmp_path: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE payments (id INTEGER)"))
    assert "another program's" in fail(shop(engine), "upgrade")


db = SQLAlchemy()


class FlaskOrder(db.Model):  # type: ignore[misc, name-defined] # the extension makes its base when it runs
    __tablename__ = "shop_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]


class Payment(PaymentMixin, db.Model):  # type: ignore[misc, name-defined] # as above
    __tablename__ = "payments"


def test_upgrade_leaves_a_table_of_the_shop_s_own_models_to_flask_migrate(tmp_path: Any) -> None:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'shop.db'}"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": NullPool}
    db.init_app(app)
    own = {"ACCOUNT_MODEL": FlaskOrder, "PAYMENT_MODEL": Payment, "HANDLER": ShopPayme}
    app.config["PAYTECHUZ"] = {"PAYME": {"PAYME_ID": "1", "PAYME_KEY": KEY, **own}}
    PayTechUZ(app)
    assert "flask db upgrade" in fail(app, "upgrade")
    assert "flask db upgrade" in fail(app, "doctor")
    with app.app_context():
        db.create_all()
    assert "All is well" in run(app, "doctor")


# expire


def test_expire_cancels_what_is_past_its_time_with_the_shops_hooks(engine: Engine) -> None:
    for id in "abc":
        payment(engine, id, at=LONG_AGO)
    payment(engine, "fresh")
    payment(engine, "click", at=LONG_AGO, gateway="click", provider_time=None)
    app = shop(engine)
    assert run(app, "expire") == "3 expired, 0 failed\n"
    assert states(engine) == {"a": -1, "b": -1, "c": -1, "fresh": 1, "click": 1}
    assert orders(engine) == [("cancelled", 1)] * 3 + [("pending", 0)] * 2
    assert run(app, "expire") == "0 expired, 0 failed\n"


def test_expire_fails_where_a_hook_fails_and_the_next_run_does_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in "abc":
        payment(engine, id, at=LONG_AGO)
    app = shop(engine)
    with monkeypatch.context() as failing:
        failing.setattr(ShopPayme, "fails", "b")
        said = fail(app, "expire")
    assert "2 expired, 1 failed" in said
    assert "the next run tries it again" in said
    assert (states(engine), orders(engine)[1]) == ({"a": -1, "b": 1, "c": -1}, ("pending", 0))
    assert run(app, "expire") == "1 expired, 0 failed\n"
    assert orders(engine) == [("cancelled", 1)] * 3


def test_two_expires_at_once_cancel_nothing_twice(engine: Engine) -> None:
    for number in range(10):
        payment(engine, str(number), at=LONG_AGO)
    barrier, said = threading.Barrier(2), []

    def expire() -> None:
        app = shop(engine)
        with app.app_context():
            barrier.wait(PATIENCE)
            with app.extensions["paytechuz"]["PAYME"].made() as handler:
                said.append(handler.expire())

    threads = [threading.Thread(target=expire) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(each.expired for each in said), sum(each.failed for each in said)) == (10, 0)
    assert orders(engine) == [("cancelled", 1)] * 10


def test_without_payme_there_is_nothing_to_expire(sqlite: Engine) -> None:
    app = shop(sqlite, {"CLICK": configured(sqlite)["CLICK"]})
    assert 'no "PAYME"' in fail(app, "expire")
    assert 'no "PAYME"' in fail(app, "statement", "--from", "2026-11-27", "--to", "2026-11-27")


# statement


def ids(app: Flask, *arguments: str) -> list[str]:
    """Name the payments in a statement."""
    said = run(app, "statement", "--csv", *arguments)
    return [row["transaction_id"] for row in csv.DictReader(io.StringIO(said, newline=""))]


def test_a_statement_has_every_state_by_paymes_time_and_both_ends(engine: Engine) -> None:
    day = timedelta(days=1)
    payment(engine, "next day", at=DAY + day)
    payment(engine, "last", at=DAY + day - timedelta(milliseconds=1), state=-2, reason=5)
    payment(engine, "paid", at=DAY + timedelta(hours=2), state=2, late=2 * day)
    payment(engine, "first", at=DAY, state=-1, reason=4)
    payment(engine, "day before", at=DAY - timedelta(milliseconds=1))
    payment(engine, "click", at=DAY, gateway="click", provider_time=None)
    app = shop(engine)
    whole = ("--from", "2026-11-27T00:00Z", "--to", "2026-11-27T23:59:59.999Z")
    assert ids(app, *whole) == ["first", "paid", "last"]
    assert ids(app, *whole, "--gateway", "click") == ["click"]
    millis = str(round(DAY.timestamp() * 1000))
    assert ids(app, "--from", millis, "--to", millis) == ["first"]
    table = run(app, "statement", *whole).splitlines()
    assert (len(table), table[-1]) == (5, "3 transactions; 1 of them paid, 5,000.00 som")


def test_a_date_is_a_whole_day_of_the_server_s(sqlite: Engine) -> None:
    midnight = datetime(2026, 11, 27).astimezone()
    payment(sqlite, "first", at=midnight)
    payment(sqlite, "last", at=midnight + timedelta(days=1, milliseconds=-1))
    payment(sqlite, "next", at=midnight + timedelta(days=1))
    assert ids(shop(sqlite), "--from", "2026-11-27", "--to", "2026-11-27") == ["first", "last"]
    assert "'soon' is no date" in fail(shop(sqlite), "statement", "--from", "2026-11-27", "--to", "soon")


def test_a_statement_is_streamed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paytechuz_core.sql.reports.PAGE", 3)
    for number in range(8):
        payment(engine, str(number), at=DAY)
    options: list[Any] = []

    def listen(connection: Any, clause: Any, multi: Any, params: Any, execution_options: Any) -> None:
        del clause, multi, params
        options.append({**connection.get_execution_options(), **execution_options})

    app = shop(engine)
    event.listen(engine, "before_execute", listen)
    whole = ("--from", "2026-11-26", "--to", "2026-11-28")
    assert ids(app, *whole) == [str(number) for number in range(8)]
    event.remove(engine, "before_execute", listen)
    assert [each.get("yield_per") for each in options] == [3]


# doctor


def test_a_right_shop_is_well(engine: Engine) -> None:
    payment(engine, "a", late=timedelta(milliseconds=800))
    said = run(shop(engine), "doctor").splitlines()
    assert [line.split()[0] for line in said[:-1]] == ["ok"] * (len(said) - 1)
    assert said[-1] == "All is well."
    for about in ("settings", "/payments/payme/webhook", "/payments/click/webhook", "database", "table", "clock"):
        assert any(about in line for line in said), about
    assert states(engine) == {"a": 1}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("your_payme_key", "PAYME_KEY looks like an example"),
        ([KEY, "Kd93#old"], "2 keys are valid"),
        (list, "gives no key"),
        (lambda: {KEY: 1}["no"], "PAYME_KEY raises KeyError"),
    ],
)
def test_keys_are_looked_at(sqlite: Engine, keys: Any, said: str) -> None:
    app = shop(sqlite, PAYME_KEY=keys)
    assert said in (fail(app, "doctor") if callable(keys) else run(app, "doctor"))


def refusing() -> ResponseReturnValue:
    abort(403)


def redirecting() -> ResponseReturnValue:
    return redirect("/login", 308)


def raising() -> ResponseReturnValue:
    raise LookupError(KEY)


def greeting() -> ResponseReturnValue:
    return Response("<title>Welcome</title>")


@pytest.mark.parametrize(
    ("before", "said"),
    [(refusing, "HTTP 403"), (redirecting, "HTTP 308"), (raising, "HTTP 500"), (greeting, '"Welcome"')],
)
@pytest.mark.parametrize("testing", [False, True])
def test_what_answers_in_place_of_the_handler_is_told(
    sqlite: Engine,
    before: Callable[[], ResponseReturnValue],
    said: str,
    testing: bool,  # noqa: FBT001 - a parameter
) -> None:
    app = shop(sqlite)
    app.before_request(before)
    app.testing = testing
    assert said in fail(app, "doctor")


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application on loopback."""
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_doctor_calls_over_http_where_it_is_told_to(sqlite: Engine) -> None:
    app = shop(sqlite)
    with served(app) as url:
        assert "All is well" in run(app, "doctor", "--url", f"{url}/")
        assert "HTTP 404" in fail(app, "doctor", "--url", f"{url}/elsewhere")
    assert "ConnectionRefusedError" in fail(app, "doctor", "--url", url)
    assert "not an address" in fail(app, "doctor", "--url", "shop.example")


def test_a_clock_that_is_off_is_told(engine: Engine) -> None:
    for number in range(3):
        payment(engine, str(number), late=timedelta(hours=5))
    assert "5 h 0 min ahead of Payme's" in fail(shop(engine), "doctor")


def test_a_table_that_is_not_there_is_told_with_its_fix(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    app = shop(engine)
    assert "there is no table 'payments': run `flask paytechuz upgrade`" in fail(app, "doctor")
    run(app, "upgrade")
    assert "All is well" in run(app, "doctor")


def test_missing_keys_and_indexes_are_told(engine: Engine) -> None:
    app = shop(engine)
    with engine.begin() as connection:
        for statement in (
            "ALTER TABLE payments RENAME TO payments_before",
            "CREATE TABLE payments AS SELECT * FROM payments_before",
        ):
            connection.execute(text(statement))
    assert "no unique keys" in fail(app, "doctor")


def test_a_missing_index_is_told_with_the_statement_that_makes_it(engine: Engine) -> None:
    app, where = shop(engine), " ON payments" if engine.dialect.name == "mysql" else ""
    with engine.begin() as connection:
        for index in ("ix_payments_provider_time", "ix_payments_account_id"):
            connection.execute(text(f"DROP INDEX {index}{where}"))
    fixes = re.findall(r"Fix: (CREATE INDEX \w+ ON payments \([\w, ]+\))", run(app, "doctor"))
    assert len(fixes) == len(INDEXES)
    with engine.begin() as connection:
        for fix in fixes:
            connection.execute(text(fix))
    assert "no index" not in run(app, "doctor")


@pytest.mark.parametrize("url", ["mysql+pymysql"], indirect=True)
def test_what_only_mariadb_may_have_wrong_is_told(engine: Engine) -> None:
    app = shop(engine)
    assert "byte for byte" in run(app, "doctor")
    before = {column["name"]: column["type"] for column in inspect(engine).get_columns("payments")}
    assert set(TEXT_KEYS) <= before.keys()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE payments MODIFY hold VARCHAR(400) COLLATE utf8mb4_general_ci"))
    assert "hold (utf8mb4_general_ci)" in fail(app, "doctor")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE shop_orders ENGINE=MyISAM"))
    assert "ALTER TABLE shop_orders ENGINE=InnoDB" in fail(app, "doctor")


@pytest.mark.parametrize("url", ["postgresql+psycopg2", "mysql+pymysql"], indirect=True)
def test_an_engine_that_commits_each_statement_is_told(url: str, engine: Engine) -> None:
    """On SQLite the library's own BEGIN makes it a database transaction all the same."""
    careless = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    assert "AUTOCOMMIT" in fail(shop(careless), "doctor")
    assert "All is well" in run(shop(engine), "doctor")


def test_a_database_that_does_not_answer_is_told(tmp_path: Any) -> None:
    gone = create_engine(f"sqlite:///{tmp_path}/no/such/{uuid4()}.db", poolclass=NullPool)
    assert "it cannot be asked" in fail(shop(gone), "doctor")


def test_two_databases_are_both_looked_at(sqlite: Engine, tmp_path: Any) -> None:
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}", poolclass=NullPool)
    config = configured(sqlite)
    config["CLICK"]["SESSION"] = sessionmaker(other)
    app = shop(sqlite, config)
    assert "other.db" in fail(app, "doctor")
    assert run(app, "upgrade").count("is up to date") == 2
    said = run(app, "doctor")
    assert ("other.db" in said, "shop.db" in said) == (True, True)
