"""A configuration that cannot work says so, and what to do, before it takes a single payment.

What the constructor can see it refuses; what only the database knows is logged at the first call, which is answered
−32400 so that Payme asks again once it is mended. Either way nothing is stored.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from sqlalchemy import (
    DateTime,
    Float,
    Integer,
    Numeric,
    String,
    TypeDecorator,
    create_engine,
    delete,
    insert,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.types import LargeBinary

from paytechuz_core import ConfigurationError, Hooks
from paytechuz_core.click import Click
from paytechuz_core.sql import ClickSettings, PaymentMixin, SqlHandler
from tests.core.wire import KEY, Params, Wire, cancel, check, check_perform, create, encoded, perform, post
from tests.core.wire import statement as get_statement
from tests.databases import SYNC_DRIVERS
from tests.sql.shop import SETTINGS, AsyncShopPayme, Order, Shop, ShopPayme, opened

EVERY_CALL: Final[tuple[Wire, ...]] = (
    check_perform(order="1"), create(order="1"), perform(), cancel(), check(), get_statement(),
)  # fmt: skip


class Base(DeclarativeBase):
    """Tables of shops that got something wrong."""


class NoAmount(Base):
    __tablename__ = "no_amount"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class FloatAmount(Base):
    __tablename__ = "float_amount"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[float] = mapped_column(Float)


class InexactAmount(Base):
    __tablename__ = "inexact_amount"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[float] = mapped_column(Numeric(18, 2, asdecimal=False))


class TextAmount(Base):
    __tablename__ = "text_amount"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[str] = mapped_column(String(20))


class TwoKeys(Base):
    __tablename__ = "two_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class DatedKey(Base):
    __tablename__ = "dated_key"
    id: Mapped[datetime] = mapped_column(DateTime, primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class BinaryKey(Base):
    __tablename__ = "binary_key"
    id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class Payment(PaymentMixin, Base):
    """Ours, well mixed in, but with no right to be an account."""

    __tablename__ = "payments"


class UnkeyedPayment(PaymentMixin, Base):
    """Table arguments of the shop's own, in place of the mixin's."""

    __tablename__ = "unkeyed_payments"
    __table_args__ = ({"comment": "every payment"},)


class UnfilledPayment(PaymentMixin, Base):
    """A column that the library knows nothing of, and that must not be empty."""

    __tablename__ = "unfilled_payments"
    branch: Mapped[int] = mapped_column(Integer)


def build(db: Any = None, handler: type[Any] = ShopPayme, **settings: Any) -> Any:
    return handler(Session() if db is None else db, **{**SETTINGS, **settings})


async def keys_from_afar() -> str:
    """Give a key that somebody would have to await."""
    return "key"


WRONG: Final[dict[str, tuple[Params, Sequence[str]]]] = {
    "an empty key": ({"payme_key": ""}, ["payme_key", "cabinet", "variable"]),
    "a blank key": ({"payme_key": "  "}, ["payme_key", "cabinet"]),
    "a missing key": ({"payme_key": None}, ["payme_key", "cabinet"]),
    "no keys": ({"payme_key": []}, ["payme_key", "cabinet"]),
    "one empty key of several": ({"payme_key": ["good", ""]}, ["payme_key", "cabinet"]),
    "a key of bytes": ({"payme_key": b"key"}, ["payme_key", "text"]),
    "a key that is a number": ({"payme_key": 12345}, ["payme_key", "text"]),
    "an empty id": ({"payme_id": ""}, ["payme_id", "cabinet"]),
    "a missing id": ({"payme_id": None}, ["payme_id", "cabinet"]),
    "no account field": ({"account_field": ()}, ["account_field", "at least one", "order_id"]),
    "an unknown account field": ({"account_field": "phone"}, ["Order", "'phone'", "account_column", "'status'"]),
    "an unknown account column": ({"account_column": "number"}, ["Order", "'number'", "account_column", "'id'"]),
    "more columns than fields": ({"account_column": ("id", "status")}, ["account_column", "account_field", "one"]),
    "accounts found by money": ({"account_column": "amount"}, ["Order.amount", "Decimal", "integers, texts or UUIDs"]),
    "a model that is text": ({"account_model": "Order"}, ["account_model", "SQLAlchemy model", "'Order'"]),
    "a model that is None": ({"account_model": None}, ["account_model", "SQLAlchemy model"]),
    "a model that is a class": ({"account_model": dict}, ["account_model", "SQLAlchemy model"]),
    "a model that is a table": ({"account_model": Order.__table__}, ["account_model", "SQLAlchemy model"]),
    "a model that is an order": ({"account_model": Order(id=1)}, ["account_model", "SQLAlchemy model"]),
    "a model that is a base": ({"account_model": Base}, ["account_model", "SQLAlchemy model"]),
    "a key of two columns": ({"account_model": TwoKeys}, ["TwoKeys", "2 primary key columns", "exactly one"]),
    "a key that is a date": ({"account_model": DatedKey}, ["DatedKey.id", "datetime", "integers, texts or UUIDs"]),
    "a key of bytes in the model": (
        {"account_model": BinaryKey},
        ["BinaryKey.id", "bytes", "integers, texts or UUIDs"],
    ),
    "no amount field": ({"amount_field": None}, ["Order", "amount_field", "price in som"]),
    "a model without the amount": ({"account_model": NoAmount}, ["NoAmount", "'amount'", "amount_field"]),
    "an amount that is a float": (
        {"account_model": FloatAmount},
        ["FloatAmount.amount", "Float", "Numeric", "Integer"],
    ),
    "an amount read as a float": ({"account_model": InexactAmount}, ["InexactAmount.amount", "exactly", "Numeric"]),
    "an amount that is a text": ({"account_model": TextAmount}, ["TextAmount.amount", "exactly", "Numeric"]),
    "a held_code of another kind": ({"held_code": -31052}, ["held_code", "-31051", "-31008", "-31052"]),
    "messages for no error": ({"messages": {-1: {"en": "no"}}}, ["messages", "'ru'", "error table"]),
    "messages in no language": ({"messages": {-31050: {"fr": "non"}}}, ["messages", "'uz'"]),
    "messages without languages": ({"messages": {-31050: "no"}}, ["messages", "'uz'", "texts"]),
    "messages that are no texts": ({"messages": {-31050: {"en": ["no"]}}}, ["messages", "'uz'", "texts"]),
    "messages that are a text": ({"messages": "no"}, ["messages", "'uz'"]),
    "a minimum that is a float": ({"minimum": 10.5}, ["minimum", "10.5", "Decimal"]),
    "a minimum that is no number": ({"minimum": "much"}, ["minimum", "'much'", "som"]),
    "a minimum below nothing": ({"minimum": -1}, ["minimum", "-1", "negative"]),
    "a maximum finer than a tiyin": ({"maximum": "0.001"}, ["maximum", "'0.001'", "whole tiyin"]),
    "a maximum below the minimum": ({"minimum": 100, "maximum": 10}, ["maximum", "10", "less than minimum"]),
    "a maximum of nothing": ({"maximum": 0}, ["maximum", "nothing could be paid"]),
    "keys that must be awaited": ({"payme_key": keys_from_afar}, ["payme_key", "async function", "plain"]),
    "no threads": ({"threads": 0}, ["threads", "from 1", "0"]),
    "a text that is true": ({"one_time_payment": "False"}, ["one_time_payment", "'False'"]),
    "a field that is no name": ({"account_field": 5}, ["account_field", "5"]),
    "a column that is no name": ({"account_column": [1]}, ["account_column", "1"]),
    "a clock that stands still": ({"clock": 3}, ["clock", "milliseconds"]),
    "a login that is no text": ({"login": 5}, ["login", "Paycom", "5"]),
    "half a thread": ({"threads": 0.5}, ["threads", "whole number", "0.5"]),
    "a payment model that is not mapped": ({"payment_model": PaymentMixin}, ["payment_model", "PaymentMixin, Base"]),
    "a payment model of another kind": ({"payment_model": Order}, ["payment_model", "PaymentMixin, Base"]),
    "a payment model that is a table": ({"payment_model": Payment.__table__}, ["payment_model", "PaymentMixin, Base"]),
    "payments without unique keys": (
        {"payment_model": UnkeyedPayment},
        ["UnkeyedPayment", "unique key", "'gateway', 'transaction_id'", "super().__table_args__"],
    ),
    "payments with a column that nothing fills": (
        {"payment_model": UnfilledPayment},
        ["UnfilledPayment", "'branch'", "nullable", "default"],
    ),
}


@pytest.mark.parametrize(("settings", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_refused_with_the_setting_and_the_fix(settings: Params, words: Sequence[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(**settings)
    says(str(refused.value), words)


class ShopClick(ClickSettings, SqlHandler):
    """A handler of Click's calls."""


CLICK: Final[Params] = {"service_id": 12345, "secret_key": KEY, "account_model": Order, "account_field": "order_id"}
WRONG_FOR_CLICK: Final[dict[str, tuple[Params, Sequence[str]]]] = {
    "an empty secret": ({"secret_key": ""}, ["secret_key", "cabinet", "variable"]),
    "no secrets": ({"secret_key": ()}, ["secret_key", "cabinet"]),
    "an empty service": ({"service_id": ""}, ["service_id", "cabinet"]),
    "a service that is no number": ({"service_id": "12a"}, ["service_id", "number"]),
    "a service in other digits": ({"service_id": "²"}, ["service_id", "number"]),
    "two account fields": ({"account_field": ("id", "status")}, ["account_field", "one", "merchant_trans_id"]),
    "an unknown account column": ({"account_column": "number"}, ["Order", "'number'", "account_column", "'id'"]),
    "a model without the amount": ({"account_model": NoAmount}, ["NoAmount", "'amount'", "amount_field"]),
    "a commission that is a float": ({"commission_percent": 0.5}, ["commission_percent", "Decimal", "0.5"]),
    "a commission that is a word": ({"commission_percent": "x"}, ["commission_percent", "Decimal", "x"]),
    "a commission that is no number": ({"commission_percent": "NaN"}, ["commission_percent", "NaN"]),
    "a commission of everything": ({"commission_percent": 100}, ["commission_percent", "below 100"]),
    "a commission that is negative": ({"commission_percent": -1}, ["commission_percent", "-1"]),
    "an action of neither kind": ({"action": 2}, ["action", "Prepare", "Complete", "2"]),
    "a lifetime that is a number": ({"lifetime": 43_200}, ["lifetime", "timedelta(hours=12)", "43200"]),
    "a lifetime that is negative": ({"lifetime": timedelta(hours=-1)}, ["lifetime", "negative"]),
    "a maximum below the minimum": ({"minimum": 100, "maximum": 10}, ["maximum", "less than minimum"]),
    "no threads": ({"threads": 0}, ["threads", "from 1"]),
    "payments without unique keys": ({"payment_model": UnkeyedPayment}, ["UnkeyedPayment", "unique key"]),
}


@pytest.mark.parametrize(("settings", "words"), WRONG_FOR_CLICK.values(), ids=WRONG_FOR_CLICK)
def test_what_cannot_work_with_click_is_refused_too(settings: Params, words: Sequence[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ShopClick(Session(), **{**CLICK, **settings})
    says(str(refused.value), words)


def test_the_settings_of_these_tests_are_right_but_for_what_each_changes() -> None:
    # The negative control: were SETTINGS wrong by themselves, every test above would pass for that.
    assert build().gateway.name == "payme"
    assert isinstance(ShopClick(Session(), **CLICK).gateway, Click)
    assert build(payment_model=Payment, minimum=0, maximum="0.01", threads=1, payme_key=["old", "new"])


WRONG_SESSIONS: Final[dict[str, tuple[Callable[[], Any], Sequence[str]]]] = {
    "none": (lambda: build_with(None), ["db", "Session", "NoneType"]),
    "an async one": (lambda: build_with(AsyncSession()), ["db", "Session", "AsyncSession", "Async… handler"]),
    "a factory": (lambda: build_with(sessionmaker()), ["db", "Session", "sessionmaker"]),
    "an engine": (lambda: build_with(create_engine("sqlite://")), ["db", "Session", "Engine"]),
    "a sync one for the async handler": (
        lambda: build_with(Session(), AsyncShopPayme),
        ["db", "AsyncSession", "not Session", "plain handler"],
    ),
}


def build_with(db: Any, handler: type[Any] = ShopPayme) -> Any:
    return handler(db, **SETTINGS)


@pytest.mark.parametrize(("build_one", "words"), WRONG_SESSIONS.values(), ids=WRONG_SESSIONS)
def test_a_session_of_the_wrong_kind_is_refused(build_one: Callable[[], Any], words: Sequence[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build_one()
    says(str(refused.value), words)


HOOKS: Final = ("find_account", *(name for name in vars(Hooks) if not name.startswith("_")))


@pytest.mark.parametrize("name", HOOKS)
def test_an_async_hook_on_the_sync_handler_is_refused_because_nobody_would_await_it(name: str) -> None:
    async def hook(self: Any, *arguments: Any) -> None:
        """Never run."""

    with pytest.raises(ConfigurationError) as refused:
        build(handler=type("Shop", (ShopPayme,), {name: hook}))
    says(str(refused.value), [f"Shop.{name}", "async", "plain def", "Async… handler"])
    assert build(AsyncSession(), type("Shop", (AsyncShopPayme,), {name: hook}))


# What only the database knows

Heard = Callable[[], str]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Gives what was logged as wrong with the configuration, once for each call that failed of it."""
    caplog.set_level(logging.ERROR, "paytechuz")

    def heard() -> str:
        (record,) = caplog.get_records("call")
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], ConfigurationError), record.exc_info[1]
        caplog.clear()
        return str(record.exc_info[1])

    return heard


def says(message: str, words: Sequence[str]) -> None:
    """A message must name the setting and the fix."""
    assert [word for word in words if word not in message] == [], message


def test_a_missing_table_is_logged_with_the_call_that_makes_it(every_shop: Shop, heard: Heard) -> None:
    every_shop.order(id=42)
    with every_shop.engine.begin() as connection:
        connection.execute(text("DROP TABLE payments"))
    for wire in EVERY_CALL:
        assert every_shop.ask(wire)["code"] == -32400
        says(heard(), ["no table 'payments'", "run_migrations(engine)"])


def test_a_missing_table_is_logged_under_an_async_session_too(async_url: str, heard: Heard) -> None:
    async def ask() -> list[Params]:
        engine = create_async_engine(async_url)
        async with AsyncSession(engine) as db:
            handler = AsyncShopPayme(db, **SETTINGS)
            answers = [opened(await handler.respond(post(encoded(perform())))) for _ in range(1)]
        await engine.dispose()
        return answers

    (answer,) = asyncio.run(ask())
    assert answer["code"] == -32400
    says(heard(), ["no table 'payments'", "run_migrations(engine)"])


def test_a_table_of_another_shape_is_logged_with_what_it_lacks(shop: Shop, heard: Heard) -> None:
    with shop.engine.begin() as connection:
        connection.execute(text("DROP TABLE payments"))
        connection.execute(text("CREATE TABLE payments (id INTEGER PRIMARY KEY, transaction_id VARCHAR(64))"))
    assert shop.ask(create(order=shop.order()))["code"] == -32400
    says(heard(), ["'payments'", "'amount_tiyin'", "'hold'", "Rename it", "run_migrations(engine)"])


class Priced(Base):
    """Orders whose price is not what it seems."""

    __tablename__ = "priced"
    id: Mapped[int] = mapped_column(primary_key=True)
    fine: Mapped[Decimal] = mapped_column(Numeric(18, 3), default=Decimal("5000.001"))
    unset: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))

    @property
    def rounded(self) -> float:
        return 5000.0

    def total(self) -> Decimal:
        return Decimal(5000)


class Disguised(TypeDecorator[Any]):
    """A type of the shop's own, behind which nobody sees."""

    impl = Float
    cache_ok = True


class DisguisedAmount(Base):
    __tablename__ = "disguised_amount"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Any] = mapped_column(Disguised, default=5000.0)


class DisguisedKey(Base):
    __tablename__ = "disguised_key"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=Decimal(5000))


class Phone(Base):
    __tablename__ = "phones"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), default="998901234567")
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=Decimal(5000))


UNPAYABLE: Final[dict[str, tuple[Params, Wire, Sequence[str]]]] = {
    "a price finer than a tiyin": (
        {"account_model": Priced, "amount_field": "fine"},
        create(order="1"),
        ["Priced.fine", "5000.001", "two digits"],
    ),
    "no price": ({"account_model": Priced, "amount_field": "unset"}, create(order="1"), ["Priced.unset", "None"]),
    "a price that is a float": (
        {"account_model": Priced, "amount_field": "rounded"},
        create(order="1"),
        ["Priced.rounded", "5000.0", "float", "Decimal"],
    ),
    "a price that is a method": (
        {"account_model": Priced, "amount_field": "total"},
        create(order="1"),
        ["Priced.total", "method", "Decimal"],
    ),
    "a float in a type of the shop's own": (
        {"account_model": DisguisedAmount},
        create(order="1"),
        ["DisguisedAmount.amount", "float", "Decimal"],
    ),
    "a key of another type": (
        {"account_model": DisguisedKey, "account_key_type": str},
        create(order="1"),
        ["DisguisedKey.id", "int", "account_key_type=int"],
    ),
    "two accounts of one number": (
        {"account_model": Phone, "account_column": "number"},
        create(order="998901234567"),
        ["Phone", "number", "several", "unique"],
    ),
}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("settings", "wire", "words"), UNPAYABLE.values(), ids=UNPAYABLE)
def test_an_account_that_cannot_be_paid_exactly_is_never_paid(
    shop: Shop, heard: Heard, settings: Params, wire: Wire, words: Sequence[str]
) -> None:
    with shop.engine.begin() as connection:
        Base.metadata.create_all(connection, [settings["account_model"].__table__])
        connection.execute(insert(settings["account_model"]), [{"id": 1}, {"id": 2}])
    wrong = Shop(shop.engine, settings=settings)
    for each in (check_perform(order=wire[1]["account"]["order_id"]), wire):
        assert wrong.ask(each)["code"] == -32400
        says(heard(), words)
    assert shop.payments() == []


@pytest.mark.parametrize("sync_url", [each for each in SYNC_DRIVERS if each != "sqlite"], indirect=True)
def test_an_engine_that_commits_each_statement_by_itself_is_refused(every_shop: Shop, heard: Heard) -> None:
    order = every_shop.order(id=42)
    engine = create_engine(every_shop.engine.url, isolation_level="AUTOCOMMIT")
    for wrong in (Shop(engine), Shop(every_shop.engine.execution_options(isolation_level="AUTOCOMMIT"))):
        for wire in EVERY_CALL:
            assert wrong.ask(wire)["code"] == -32400
            says(heard(), ["AUTOCOMMIT", "isolation_level", "create_engine"])
    engine.dispose()
    assert (every_shop.payments(), every_shop.effects()) == ([], [])
    assert every_shop.ask(create(order=order))["state"] == 1


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlite_under_autocommit_still_saves_payment_and_effect_together(shop: Shop) -> None:
    class Broken(ShopPayme):
        def mark(self, status: str, transaction: Any) -> None:
            super().mark(status, transaction)
            raise KeyError

    engine = create_engine(shop.engine.url, isolation_level="AUTOCOMMIT")
    order = shop.order()
    assert Shop(engine).ask(create("a", order=order))["state"] == 1
    assert Shop(engine, Broken).ask(perform("a"))["code"] == -32400
    assert (shop.states(), shop.status(order), shop.effects()) == ({"a": 1}, "pending", [])
    assert Shop(engine).ask(perform("a"))["state"] == 2
    assert (shop.states(), shop.status(order), shop.effects()) == ({"a": 2}, "paid", [("paid", "a")])
    engine.dispose()


def test_a_session_without_an_engine_is_logged_with_how_to_make_one(heard: Heard) -> None:
    assert opened(build(Session()).respond(post(encoded(perform()))))["code"] == -32400
    says(heard(), ["session", "no engine", "sessionmaker(bind=engine)"])


def test_a_session_with_work_of_its_own_is_refused_and_keeps_it(shop: Shop, heard: Heard) -> None:
    order = shop.order()

    def added(db: Session) -> None:
        db.add(Order(id=77))

    def flushed(db: Session) -> None:
        db.add(Order(id=77))
        db.flush()

    def edited(db: Session) -> None:
        db.get_one(Order, int(order)).status = "mine"

    def begun(db: Session) -> None:
        db.begin()

    for prepare, words in (
        (added, ["pending changes"]), (flushed, ["pending changes"]), (edited, ["pending changes"]),
        (begun, ["db.begin()"]),
    ):  # fmt: skip
        with Session(shop.engine) as db:
            prepare(db)
            assert opened(shop.payme(db).respond(post(encoded(create(order=order)))))["code"] == -32400
            says(heard(), [*words, "commit before", "get_db"])
            db.commit()
        with Session(shop.engine) as db:
            assert (db.get(Order, 77) is None) is (prepare not in (added, flushed))
            assert (db.get_one(Order, int(order)).status == "mine") is (prepare in (edited, begun))
            db.execute(delete(Order).where(Order.id == 77))
            db.commit()
    assert shop.payments() == []


def test_an_in_memory_database_of_which_each_connection_is_another_is_refused(heard: Heard) -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        engine = create_engine(url)
        with Session(engine) as db:
            assert opened(build(db).respond(post(encoded(perform()))))["code"] == -32400
        says(heard(), ["in-memory", "use a file", "StaticPool"])
        engine.dispose()


@pytest.mark.parametrize("threads", [1, 10])
def test_a_configuration_is_checked_once_and_then_costs_nothing(threads: int) -> None:
    # A handler is made for each request: what was checked for one is used by the next.
    one, other = build(threads=threads), build(threads=threads)
    assert one.gateway is other.gateway
    assert one.accounts is other.accounts
    assert build(payme_key="another").gateway is not one.gateway
