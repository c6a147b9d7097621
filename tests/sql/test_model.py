"""What is stored is what was meant: moments in UTC to the millisecond, money to the tiyin, keys to the byte.

Every time stands in the row as the provider was told it, whatever time zone the process, the server or the connection
is set to; and a merchant may read and edit the row as any other of theirs.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine, event, func, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from paytechuz_core import Change, State, Transaction
from paytechuz_core.repository import Conflict
from paytechuz_core.sql import PaymentTransaction
from paytechuz_core.transaction import HALF_DAY, millis_to_datetime
from tests.core.wire import AMOUNT, NOW, Params, cancel, create, fiscal, perform
from tests.core.wire import statement as get_statement
from tests.sql.shop import Shop, ShopPayme

TASHKENT: Final = timezone(timedelta(hours=5))
MOMENT: Final = 1_700_000_000_123
WRITTEN: Final = "2023-11-14 22:13:20.123"
"""The same moment as UTC writes it; in Tashkent it was the next morning."""


def payment(**values: Any) -> PaymentTransaction:
    """A row as a merchant might write it, to import payments or in a test of theirs."""
    moment = millis_to_datetime(MOMENT)
    born: Params = {
        "gateway": "payme", "transaction_id": "a", "account_id": "1", "amount_tiyin": AMOUNT, "account": {},
        "state": PaymentTransaction.INITIATING, "extra_data": {}, "lifetime": HALF_DAY,
        "created_at": moment, "updated_at": moment,
    }  # fmt: skip
    return PaymentTransaction(**{**born, **values})


def store(engine: Engine, *rows: PaymentTransaction) -> None:
    with Session(engine) as db:
        db.add_all(rows)
        db.commit()


# Times

ZONES: Final = {
    "sqlite": "SELECT 1",
    "postgresql": "SET TIME ZONE 'Asia/Tashkent'",
    "mysql": "SET time_zone = '+05:00'",
    "mariadb": "SET time_zone = '+05:00'",
}
AS_TEXT: Final = {
    "sqlite": "SELECT substr({0}, 1, 23) FROM payments",
    "postgresql": "SELECT to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') FROM payments",
    "mysql": "SELECT CAST({0} AS CHAR) FROM payments",
    "mariadb": "SELECT CAST({0} AS CHAR) FROM payments",
}


@pytest.fixture
def in_tashkent(sync_url: str) -> Iterator[Engine]:
    """An engine whose every connection is set to Tashkent's time, as a server's own default may be."""
    engine = create_engine(sync_url)

    @event.listens_for(engine, "connect")
    def set_zone(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(ZONES[engine.dialect.name])
        cursor.close()
        connection.commit()

    yield engine
    engine.dispose()


@pytest.fixture(params=["UTC", "Asia/Tashkent", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A time zone of the whole process."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_times_are_the_same_moment_in_every_time_zone(in_tashkent: Engine) -> None:
    moments = iter(range(MOMENT, MOMENT + 100))
    settings = {"clock": lambda: next(moments)}
    shop = Shop(in_tashkent, settings=settings).open()
    born = shop.ask(create("a", order=shop.order(), time=MOMENT - 1000))
    paid, returned = shop.ask(perform("a")), shop.ask(cancel("a", 5))
    times = (born["create_time"], paid["perform_time"], returned["cancel_time"])
    assert times == (MOMENT, MOMENT + 1, MOMENT + 2)
    # Once more, from the database
    (listed,) = shop.ask(get_statement(MOMENT - 1000, MOMENT - 1000))["transactions"]
    assert (listed["time"], listed["create_time"], listed["perform_time"], listed["cancel_time"]) == (
        MOMENT - 1000, *times,
    )  # fmt: skip
    (row,) = shop.payments()
    read = (row.created_at, row.performed_at, row.cancelled_at)
    assert read == tuple(map(millis_to_datetime, times))
    assert [each.utcoffset() for each in read] == [timedelta(0)] * 3
    # And as anyone reads the column who knows nothing of us
    with in_tashkent.connect() as connection:
        query = AS_TEXT[in_tashkent.dialect.name]
        stored = [connection.scalar(text(query.format(f"{name}_at"))) for name in ("created", "performed", "cancelled")]
    assert stored == ["2023-11-14 22:13:20.123", "2023-11-14 22:13:20.124", "2023-11-14 22:13:20.125"]


def test_a_moment_may_be_asked_for_in_any_zone_but_not_in_none(shop: Shop) -> None:
    in_tashkent = datetime(2023, 11, 15, 3, 13, 20, 123_000, tzinfo=TASHKENT)
    store(shop.engine, payment(created_at=in_tashkent))
    with Session(shop.engine) as db:
        found = db.scalars(select(PaymentTransaction).where(PaymentTransaction.created_at == in_tashkent)).one()
        assert found.created_at == in_tashkent
        assert found.created_at.isoformat(sep=" ") == f"{WRITTEN}000+00:00"
        assert db.scalar(select(func.count()).where(PaymentTransaction.created_at > in_tashkent)) == 0
        with pytest.raises(StatementError, match="must have a time zone"):
            db.scalar(
                select(PaymentTransaction).where(PaymentTransaction.created_at > in_tashkent.replace(tzinfo=None))
            )
    with pytest.raises(StatementError, match="must have a time zone"):
        store(shop.engine, payment(transaction_id="b", created_at=datetime(2023, 11, 15)))  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize("moment", [0, 1, 999, 1_711_822_199_999, 253_402_300_799_999])
def test_a_moment_keeps_its_last_millisecond_from_1970_to_9999(shop: Shop, moment: int) -> None:
    early = Shop(shop.engine, settings={"clock": lambda: moment})
    answer = early.ask(create("a", order=shop.order(), time=max(moment, 1)))
    assert answer["create_time"] == moment
    assert early.ask(create("a", order=early.payments()[0].account_id, time=max(moment, 1)))["create_time"] == moment


# Money

AMOUNTS: Final = (
    ("0.01", 1), ("4.35", 435), ("8.20", 820), ("5000.00", 500_000), ("999999.99", 99_999_999),
    ("1000000.01", 100_000_001), ("999999999999.99", 99_999_999_999_999),
)  # fmt: skip


@pytest.mark.parametrize(("som", "tiyin"), AMOUNTS)
def test_an_amount_is_exact_in_python_and_in_queries(every_shop: Shop, som: str, tiyin: int) -> None:
    exact = Decimal(som)
    order = every_shop.order(amount=exact)
    for wrong in (tiyin - 1, tiyin + 1):
        assert every_shop.ask(create("a", amount=wrong, order=order))["code"] == -31001
    assert every_shop.ask(create("a", amount=tiyin, order=order))["state"] == 1
    with Session(every_shop.engine) as db:
        row = db.scalars(select(PaymentTransaction)).one()
        assert (row.amount, str(row.amount), row.amount_tiyin) == (exact, som, tiyin)
        amount, total = PaymentTransaction.amount, func.sum(PaymentTransaction.amount)
        for query in (select(amount, amount), select(total, total), select(amount, total).group_by(amount)):
            asked = db.execute(query).one()
            assert all(isinstance(each, Decimal) for each in asked)
            assert tuple(asked) == (exact, exact)
        for question, answer in (
            (PaymentTransaction.amount == exact, 1),
            (PaymentTransaction.amount >= exact, 1),
            (PaymentTransaction.amount < exact, 0),
            (PaymentTransaction.amount > exact - Decimal("0.01"), 1),
            (PaymentTransaction.amount == exact + Decimal("0.01"), 0),
        ):
            assert db.scalar(select(func.count()).select_from(PaymentTransaction).where(question)) == answer


def test_a_payment_takes_an_amount_in_som_and_refuses_floats_and_less_than_a_tiyin(shop: Shop) -> None:
    row = payment()
    row.amount = Decimal("999999999999.99")
    assert row.amount_tiyin == 99_999_999_999_999
    for wrong in (8.2, Decimal("0.001")):
        with pytest.raises(ValueError, match="money must be"):
            row.amount = wrong  # type: ignore[assignment]
    store(shop.engine, row)
    with Session(shop.engine) as db:
        assert db.scalar(select(PaymentTransaction.amount)) == Decimal("999999999999.99")


def test_a_top_up_of_any_size_is_kept_to_the_tiyin(every_shop: Shop) -> None:
    wallet = Shop(every_shop.engine, settings={"one_time_payment": False})
    order = every_shop.order()
    amounts = (1, 2**53 + 1, 999_999_999_999_999_999)
    for number, amount in enumerate(amounts):
        assert wallet.ask(create(str(number), amount=amount, order=order))["state"] == 1
        assert wallet.ask(perform(str(number)))["state"] == 2
    listed = wallet.ask(get_statement())["transactions"]
    assert [each["amount"] for each in listed] == [row.amount_tiyin for row in wallet.payments()] == list(amounts)


# Objects

OBJECT: Final[Params] = {
    "order_id": "1",
    "name": "O‘ktam, Ўктам, 🍏, \"quoted\", 'quoted', back\\slash, new\nline, %s, :name, {}",
    "Ключ": "a name in another script",
    "": "an empty name",
    "integer": 999_999_999_999_999_999,
    "fractions": [0.1, -2.5, 1e-7, 435.0],
    "truth": [True, False, None, 1, "1", "true"],
    "empty": [{}, [], ""],
}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else {"deepest": True}


def same(one: object, other: object) -> bool:
    """Tell whether two values are equal to the last type: `True` is not 1, and 435.0 is not 435."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def test_an_object_comes_back_equal_to_the_last_type_and_character(every_shop: Shop) -> None:
    # The deepest that a request may hold: three levels of the body's thirty-two stand around it.
    account = {**OBJECT, "order_id": every_shop.order(), "nested": nested(28)}
    method, params = create("a", order=account["order_id"])
    assert every_shop.ask((method, {**params, "account": account}))["state"] == 1
    assert every_shop.ask(fiscal("a", data={"receipt_id": 7, **OBJECT}))["success"] is True
    (listed,) = every_shop.ask(get_statement())["transactions"]
    assert same(listed["account"], account)
    (row,) = every_shop.payments()
    assert same(row.account, account)
    assert same(row.fiscal_perform, {"receipt_id": 7, **OBJECT})
    assert (row.extra_data, row.fiscal_cancel, row.receivers) == ({}, None, None)


def test_what_was_never_given_is_null_and_not_the_text_null(every_shop: Shop) -> None:
    every_shop.ask(create("a", order=every_shop.order()))
    with every_shop.engine.connect() as connection:
        for name in ("receivers", "fiscal_perform", "fiscal_cancel", "performed_at", "cancelled_at", "reason"):
            query = text(f"SELECT count(*) FROM payments WHERE {name} IS NULL")  # noqa: S608 - our own names
            assert connection.scalar(query) == 1


def test_a_hooks_notes_are_saved_with_the_payment(every_shop: Shop) -> None:
    class Notes(ShopPayme):
        def successfully_payment(self, params: Params, transaction: Any) -> None:
            super().successfully_payment(params, transaction)
            transaction.extra_data.update(OBJECT)

    shop = Shop(every_shop.engine, Notes)
    shop.ask(create("a", order=shop.order()))
    assert shop.payments()[0].extra_data == {}
    shop.ask(perform("a"))
    assert same(shop.payments()[0].extra_data, OBJECT)


# Keys

SPELLINGS: Final = ("ABC", "abc", "abc ", " abc", "àbc", "a\u0300bc", "аbс", "abc🍏", "abc%", "ab_", "\\abc")


def test_keys_are_told_apart_byte_for_byte(every_shop: Shop) -> None:
    orders = {spelling: every_shop.order() for spelling in SPELLINGS}
    for spelling, order in orders.items():
        assert every_shop.ask(create(spelling, order=order))["state"] == 1
    for number, (spelling, order) in enumerate(orders.items()):
        assert every_shop.ask(perform(spelling))["state"] == 2
        assert list(every_shop.states().values()).count(2) == number + 1
        assert every_shop.status(order) == "paid"
    assert every_shop.states() == dict.fromkeys(SPELLINGS, 2)
    assert every_shop.ask(perform("Abc"))["code"] == -31003


def test_the_database_itself_holds_ids_and_holds_unique(every_shop: Shop) -> None:
    engine = every_shop.engine
    store(engine, payment(transaction_id="a", hold="orders:1"))
    for twin in (payment(transaction_id="a", hold="orders:2"), payment(transaction_id="b", hold="orders:1")):
        with pytest.raises(IntegrityError):
            store(engine, twin)
    for other in (
        payment(transaction_id="A", hold="orders:2"),
        payment(gateway="click", transaction_id="a", hold="Orders:1"),
        payment(transaction_id="c"),
        payment(transaction_id="d"),
    ):
        store(engine, other)
    assert len(every_shop.payments()) == 5


# The merchant's own hand


def test_the_states_stand_on_the_model_as_the_documentation_has_them() -> None:
    names = ("CREATED", "INITIATING", "SUCCESSFULLY", "CANCELLED", "CANCELLED_DURING_INIT")
    assert [getattr(PaymentTransaction, name) for name in names] == [0, 1, 2, -2, -1]
    assert all(getattr(PaymentTransaction, name) == State[name] for name in names)
    assert all(type(getattr(PaymentTransaction, name)) is int for name in names)


def test_a_row_says_what_it_is(shop: Shop) -> None:
    store(shop.engine, payment(extra_data={"note": "by hand"}, reason=None))
    with Session(shop.engine) as db:
        query = select(PaymentTransaction).where(PaymentTransaction.state == PaymentTransaction.INITIATING)
        row = db.scalars(query).one()
        assert (row.gateway, row.transaction_id, row.account_id, row.state) == ("payme", "a", "1", 1)
        assert (row.amount, row.reason, row.extra_data) == (Decimal("5000.00"), None, {"note": "by hand"})
        assert (row.performed_at, row.cancelled_at, row.version) == (None, None, 1)


def seen(shop: Shop, transaction_id: str) -> Transaction:
    """Read a transaction as a call does before it decides."""
    with Session(shop.engine) as db, shop.payme(db).begin() as repository:
        (found,) = repository.find_transactions("payme", transaction_id, None, for_update=False)
        return found  # type: ignore[no-any-return]


def save(shop: Shop, change: Change) -> None:
    with Session(shop.engine) as db, shop.payme(db).begin() as repository:
        repository.save(change)


def test_a_merchants_edit_is_noticed_by_a_call_that_read_before_it(every_shop: Shop) -> None:
    every_shop.ask(create("a", order=every_shop.order()))
    before = seen(every_shop, "a")
    with Session(every_shop.engine) as db:
        db.scalars(select(PaymentTransaction)).one().extra_data = {"note": "a human was here"}
        db.commit()
    with pytest.raises(Conflict):
        save(every_shop, before.perform(NOW))
    (row,) = every_shop.payments()
    assert (row.state, row.version, row.extra_data) == (1, 2, {"note": "a human was here"})
    assert every_shop.ask(perform("a"))["state"] == 2
    assert every_shop.payments()[0].extra_data == {"note": "a human was here"}


def test_a_call_is_noticed_by_a_merchants_edit_that_read_before_it(every_shop: Shop) -> None:
    every_shop.ask(create("a", order=every_shop.order()))
    engine = every_shop.engine
    with Session(engine, expire_on_commit=False) as db:
        row = db.scalars(select(PaymentTransaction)).one()
        db.commit()  # a form is open, and its database transaction is over
        assert every_shop.ask(perform("a"))["state"] == 2
        row.extra_data = {"note": "late"}
        with pytest.raises(StaleDataError):
            db.commit()
    assert (every_shop.states(), every_shop.payments()[0].extra_data) == ({"a": 2}, {})


def test_a_merchants_bulk_update_of_the_state_is_noticed_too(every_shop: Shop) -> None:
    every_shop.ask(create("a", order=every_shop.order()))
    before = seen(every_shop, "a")
    with Session(every_shop.engine) as db:
        db.execute(update(PaymentTransaction).values(state=PaymentTransaction.CANCELLED_DURING_INIT))
        db.commit()
    with pytest.raises(Conflict):
        save(every_shop, before.perform(NOW))
    assert every_shop.states() == {"a": -1}
