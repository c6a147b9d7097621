"""The laws of a repository hold for Django's, and one ORM reads what the other wrote, unchanged, on each database.

A Django shop may be looked at with SQLAlchemy (a report, another service), and a shop may change its framework; so
every value is written by each, read and moved on by the other, in tables that either has made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import current_thread, main_thread
from typing import Any, Final

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.models import Count, Max, Subquery
from django.db.models.functions import TruncDay
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlalchemy import Engine, create_engine, inspect, text

from paytechuz_core.repository import Begin, ConfigurationError, Conflict, Repository
from paytechuz_core.sql import PaymentTransaction as SqlPayment
from paytechuz_core.sql import SqlRepository, run_migrations
from paytechuz_core.sql.statements import statements_for
from paytechuz_core.testing import Known, RepositoryLaws, Storage, click_machine, payme_machine
from paytechuz_core.transaction import (
    Account,
    Change,
    Fields,
    Millis,
    Transaction,
    create,
    datetime_to_millis,
    millis_to_datetime,
)
from paytechuz_django.accounts import accounts_of
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.store import DjangoRepository, unit_of_work
from tests import SIZE
from tests.databases import SYNC, Database, sqlite, throw_away
from tests.django.conftest import SHARED
from tests.django.project import add_database, on
from tests.django.shop.models import Order
from tests.said import BUG, GONE, LOST, READ_ONLY, SAID, saying

NOON: Final[Millis] = 1_700_049_600_000  # 2023-11-15, in UTC


@pytest.mark.every_database
class TestLaws(RepositoryLaws):
    """The laws. How accounts of other keys are found is in the shared suite."""

    @pytest.fixture
    def storage(self, alias: str) -> Storage[Begin]:
        """Give a storage whose rivals close the connections of their threads."""
        Order.objects.create(id=7, amount=Decimal("5000.00"))
        accounts = accounts_of(Order, ("id",), None, "amount", True, None, False)  # noqa: FBT003 - keys of a cache

        def find(fields: Fields) -> Account | None:
            found = accounts.find(alias, fields)
            return None if found is None else accounts.account(found, payable=True)

        @contextmanager
        def begin() -> Iterator[Repository]:
            try:
                with unit_of_work(alias):
                    yield DjangoRepository(alias, find, accounts.restore)
            finally:
                if current_thread() is not main_thread():
                    connections[alias].close()

        strangers: tuple[Fields, ...] = (
            {"id": "8"},
            {"id": "07"},
            {"id": "7 "},
            {"id": "7.0"},
            {"id": "-7"},
            {"id": str(2**31)},
            {},
        )
        return Storage(begin, accounts=[Known({"id": "7"}, 7)], strangers=strangers)


@pytest.mark.every_database
@pytest.mark.sized
@pytest.mark.parametrize("make", [payme_machine, click_machine])
def test_stories_end_as_in_the_model(
    make: Callable[..., type[RuleBasedStateMachine]], alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections[alias].settings_dict, "CONN_MAX_AGE", None)  # not a connection for each call
    connections[alias].close()

    @contextmanager
    def begin() -> Iterator[Repository]:
        with unit_of_work(alias):
            yield DjangoRepository(alias, lambda _: None, int)

    small = settings(max_examples=6 * SIZE, stateful_step_count=15, suppress_health_check=list(HealthCheck))
    machine = make(begin, PaymentTransaction._base_manager.using(alias).all().delete)  # noqa: SLF001 - documented
    run_state_machine_as_test(machine, settings=small)


# What the database says


def heard(alias: str, statement: str, *, in_hook: bool = False) -> str:
    """Let a statement fail in a unit; say what was understood, and that the connection was left where it must be."""
    connection = connections[alias]
    connection.ensure_connection()
    before = connection.connection
    with (
        pytest.raises((Conflict, DatabaseError)) as raised,
        unit_of_work(alias) as unit,
        unit.hook(savepoint=True) if in_hook else nullcontext(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    started_over, left = isinstance(raised.value, Conflict), connection.connection is not before
    return (GONE if left else LOST) if started_over else (f"{BUG}, and the connection was left" if left else BUG)


@pytest.mark.every_database(but="sqlite")
def test_an_error_of_the_database_is_a_conflict_exactly_where_another_request_won(alias: str) -> None:
    database = alias.removeprefix(SHARED)
    assert {code: heard(alias, saying(database, code)) for code in SAID[database]} == SAID[database]


@pytest.mark.every_database(but="sqlite")
def test_a_server_that_takes_no_writes_is_left_and_only_a_hook_that_met_it_is_not_repeated(alias: str) -> None:
    database = alias.removeprefix(SHARED)
    for code, words in READ_ONLY[database]:
        statement = saying(database, code, words)
        assert heard(alias, statement) == GONE
        assert heard(alias, statement, in_hook=True) == f"{BUG}, and the connection was left"


def test_what_a_hook_raises_may_have_any_cause_and_is_no_conflict(alias: str) -> None:
    cause = ValueError(1213, "the bank's own number")
    with pytest.raises(KeyError), unit_of_work(alias) as unit, unit.hook(savepoint=True):
        raise KeyError from cause


# What one writes, the other reads

BIRTH: Final = create(
    now=NOON + 1,
    gateway="payme",
    transaction_id="5305e3bab097f420a62ced0b",
    account=Account(id="№ A-7/б", hold="orders:№ A-7/б"),
    amount_tiyin=2**62 + 1,
    received={"order_id": "№ A-7/б", "n": 5, "deep": {"list": [1, None, True, "ў"], "text": "5"}},
    provider_time=NOON,
).after
SPLIT: Final = replace(
    BIRTH,
    gateway="click",
    transaction_id="9007199254740993",
    hold=None,
    provider_time=None,
    lifetime=1,
    receivers=({"id": "x", "amount": 1}, {"id": "y", "amount": 2}),
    extra_data={"note": "o‘zbek", "number": 1.5},
)


def life(birth: Transaction) -> list[Callable[[Transaction], Change | None]]:
    """Give the writes of a whole life, each from what was read."""
    return [
        lambda each: each.amend(NOON + 2, extra_data={**each.extra_data, "seen": [birth.account]}),
        lambda each: each.perform(NOON + 999),
        lambda each: each.amend(NOON + 1000, fiscal_perform={"receipt_id": 10**17}),
        lambda each: each.cancel(NOON + 86_400_001, -5017),
        lambda each: each.amend(NOON + 86_400_002, fiscal_cancel={"receipt_id": "7"}),
    ]


@contextmanager
def of_django(engine: Engine, alias: str) -> Iterator[Repository]:
    del engine
    with unit_of_work(alias):
        yield DjangoRepository(alias, lambda _: None)


@contextmanager
def of_sqlalchemy(engine: Engine, alias: str) -> Iterator[Repository]:
    del alias
    with engine.begin() as connection:
        yield SqlRepository(connection, statements_for(SqlPayment.__table__), lambda _: None)


OPENED: Final = {"django": of_django, "sqlalchemy": of_sqlalchemy}
MAKERS: Final = ("django", "sqlalchemy")


@pytest.fixture
def place(tmp_path: Any, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of this test's own."""
    name = request.param
    if name == "sqlite":
        yield sqlite(tmp_path)
        return
    request.getfixturevalue(name)  # skips, or fails, where no server answers
    with throw_away(name) as (database, _):
        yield database


@pytest.fixture
def empty(place: Database) -> Iterator[tuple[Engine, str]]:
    """That database as both know it, without a table."""
    engine, alias = create_engine(place.url(place.sync_drivers[0])), f"empty_{place.name}"
    add_database(alias, place)
    with on(alias):
        yield engine, alias
        connections[alias].close()
    del connections.settings[alias]
    engine.dispose()


def make(maker: str, engine: Engine, alias: str) -> None:
    """Make the table of payments."""
    if maker == "django":
        call_command("migrate", "paytechuz_django", database=alias, verbosity=0)
    else:
        run_migrations(engine)


@pytest.mark.parametrize("place", SYNC, indirect=True)
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("writer", OPENED)
@pytest.mark.parametrize("birth", [BIRTH, SPLIT], ids=["payme", "click"])
def test_what_one_orm_writes_the_other_reads_and_moves_on_unchanged(
    empty: tuple[Engine, str], maker: str, writer: str, birth: Transaction
) -> None:
    make(maker, *empty)
    (reader,) = OPENED.keys() - {writer}
    with OPENED[writer](*empty) as repository:
        expected = repository.save(Change(None, birth))
    for step in life(birth):
        found = {}
        for name, opened in OPENED.items():
            with opened(*empty) as repository:
                (found[name],) = repository.find_transactions(
                    birth.gateway, birth.transaction_id, None, for_update=True
                )
        assert found == {"django": expected, "sqlalchemy": expected}
        # They take turns.
        with OPENED[writer](*empty) as repository:
            change = step(found[reader])
            assert change is not None
            expected = repository.save(change)
        writer, reader = reader, writer
    if birth.provider_time is not None:
        for opened in OPENED.values():
            with opened(*empty) as repository:
                assert repository.list_transactions("payme", NOON, NOON) == [expected]


@pytest.mark.parametrize("place", SYNC, indirect=True)
def test_both_make_the_same_columns_with_the_same_nulls_and_unique_keys(empty: tuple[Engine, str]) -> None:
    engine, alias = empty
    seen = []
    for maker in MAKERS:
        make(maker, engine, alias)
        inspector = inspect(engine)
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns("payments")}
        unique = {
            (each["name"], *each["column_names"])
            for each in inspector.get_unique_constraints("payments")
            if engine.dialect.name != "sqlite" or each["name"]
        }
        indexes = {each["name"]: each["column_names"] for each in inspector.get_indexes("payments")}
        named = {name: columns for name, columns in indexes.items() if str(name).startswith("ix_")}
        seen.append((columns, unique, named, inspector.get_pk_constraint("payments")["constrained_columns"]))
        with engine.begin() as connection:
            for table in ("payments", "paytechuz_version", "django_migrations"):
                connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    assert seen[0] == seen[1]
    assert set(seen[0][0]) == {column.name for column in SqlPayment.__table__.columns}


ZONES: Final = ("UTC", "Asia/Tashkent", "America/New_York")
# In New York 05:30 and 06:30 UTC of that night are both 01:30, and in the spring an hour is missing.
MOMENTS: Final = [
    datetime_to_millis(datetime.fromisoformat(f"{when}:00.123Z"))
    for when in ("2023-11-05 05:30", "2023-11-05 06:30", "2023-03-12 06:59", "2023-03-12 07:00", "1970-01-02 00:00")
]


@pytest.mark.every_database
@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("zone", ZONES)
def test_times_are_the_same_whatever_the_project_says_of_zones(alias: str, zone: str, *, use_tz: bool) -> None:
    with override_settings(USE_TZ=use_tz, TIME_ZONE=zone):
        connections[alias].close()
        for moment in MOMENTS:
            birth = replace(
                BIRTH, transaction_id=f"t{moment}", hold=None, create_time=moment, update_time=moment, provider_time=1
            )
            with unit_of_work(alias):
                DjangoRepository(alias, lambda _: None).save(Change(None, birth))
        rows = PaymentTransaction.objects.order_by("id")
        assert [row.created_at for row in rows] == [*map(millis_to_datetime, MOMENTS)]
        assert [row.created_at.tzinfo for row in rows] == [UTC] * len(MOMENTS)
        assert rows.aggregate(last=Max("created_at"))["last"] == millis_to_datetime(max(MOMENTS))
        for moment in MOMENTS:
            exact = rows.get(created_at=millis_to_datetime(moment))
            assert exact.transaction_id == f"t{moment}"
        raw = PaymentTransaction.objects.raw("SELECT * FROM payments ORDER BY id")
        assert [row.created_at for row in raw] == [*map(millis_to_datetime, MOMENTS)]
        connections[alias].close()


@pytest.mark.every_database
def test_a_database_with_a_zone_of_its_own_makes_no_difference(alias: str) -> None:
    settings = connections[alias].settings_dict
    before = settings["TIME_ZONE"]
    with unit_of_work(alias):
        DjangoRepository(alias, lambda _: None).save(Change(None, BIRTH))
    settings["TIME_ZONE"] = "Asia/Tashkent"
    connection = connections[alias]
    connection.close()
    try:
        for name in ("timezone", "timezone_name"):
            vars(connection).pop(name, None)
        row = PaymentTransaction.objects.get()
        assert row.created_at == millis_to_datetime(NOON + 1)
        row.cancelled_at = row.created_at
        row.save()
        assert PaymentTransaction.objects.get(cancelled_at=millis_to_datetime(NOON + 1)) == row
    finally:
        settings["TIME_ZONE"] = before
        connection.close()
        for name in ("timezone", "timezone_name"):
            vars(connection).pop(name, None)


@pytest.mark.every_database
@pytest.mark.parametrize("use_tz", [True, False])
def test_a_time_may_stand_in_a_subquery(alias: str, *, use_tz: bool) -> None:
    with unit_of_work(alias):
        DjangoRepository(alias, lambda _: None).save(Change(None, BIRTH))
    with override_settings(USE_TZ=use_tz):
        connections[alias].close()
        payments, born = PaymentTransaction.objects, millis_to_datetime(NOON + 1)
        latest = Subquery(payments.order_by("-created_at").values("created_at")[:1])
        assert payments.get(created_at=latest).created_at == born
        assert payments.filter(created_at__in=payments.values("created_at")).exists()
        assert payments.annotate(latest=latest).values_list("latest").get() == (born,)
        assert payments.all()[:5].aggregate(last=Max("created_at")) == {"last": born}
        connections[alias].close()


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_naive_time_in_a_query_is_the_projects_own(alias: str, *, use_tz: bool) -> None:
    with unit_of_work(alias):
        DjangoRepository(alias, lambda _: None).save(Change(None, BIRTH))
    with override_settings(USE_TZ=use_tz):
        five_oclock = datetime(2023, 11, 15, 17)  # noqa: DTZ001 - which is the point
        assert PaymentTransaction.objects.filter(created_at__gte=five_oclock).exists()
        assert not PaymentTransaction.objects.filter(created_at__gte=five_oclock + timedelta(seconds=1)).exists()
        assert PaymentTransaction.objects.filter(created_at__gte="2023-11-15 17:00:00").exists()


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_payments_may_be_counted_by_the_day(name: str, migrated: Callable[[str], str], *, use_tz: bool) -> None:
    """MariaDB knows no time zone until its administrator loads them."""
    alias = migrated(name)
    with on(alias), override_settings(USE_TZ=use_tz):
        connections[alias].close()
        PaymentTransaction.objects.all().delete()
        hour = 60 * 60 * 1000
        for number, moment in enumerate((NOON, NOON + 6 * hour, NOON + 8 * hour)):
            birth = replace(BIRTH, transaction_id=str(number), hold=None, create_time=moment, update_time=moment)
            with unit_of_work(alias):
                DjangoRepository(alias, lambda _: None).save(Change(None, birth))
        days = (
            PaymentTransaction.objects.annotate(day=TruncDay("created_at")).values_list("day").annotate(n=Count("id"))
        )
        # Midnight in Tashkent is 19:00 UTC; SQLite knows of no zone where Django does not.
        midnight = 19 if use_tz or name == "postgresql" else 24
        first = datetime(2023, 11, 14, tzinfo=UTC) + timedelta(hours=midnight)
        expected = [(first, 2), (first + timedelta(days=1), 1)] if midnight == 19 else [(first, 3)]
        assert list(days.order_by("day")) == expected
        connections[alias].close()


# The model


def test_the_model_speaks_as_the_documentation_says(alias: str) -> None:
    with unit_of_work(alias):
        DjangoRepository(alias, lambda _: None).save(Change(None, replace(BIRTH, amount_tiyin=435)))
    row = PaymentTransaction.objects.get(state=PaymentTransaction.INITIATING)
    assert (row.amount, str(row)) == (Decimal("4.35"), "Payme 5305e3bab097f420a62ced0b")
    row.amount = Decimal("8.20")
    assert row.amount_tiyin == 820
    states = ("CREATED", "INITIATING", "SUCCESSFULLY", "CANCELLED", "CANCELLED_DURING_INIT")
    assert [getattr(PaymentTransaction, name) for name in states] == [0, 1, 2, -2, -1]
    assert (row.performed_at, row.extra_data) == (None, {})


# Accounts


def test_a_foreign_key_is_named_as_its_column_because_its_object_is_no_key() -> None:
    def found_by(name: str) -> Any:
        return accounts_of(Permission, ("type",), (name,), None, False, None, False).kinds  # noqa: FBT003 - keys of a cache

    assert found_by("content_type_id")["content_type_id"].own is int
    for name in ("content_type", "group", "no_such"):  # the object, what points here, nothing
        with pytest.raises(ConfigurationError, match=r"account_column.*content_type_id"):
            found_by(name)


# Migrations


def test_the_migrations_say_what_the_model_says(alias: str) -> None:
    del alias
    call_command("makemigrations", "paytechuz_django", check=True, dry_run=True, verbosity=0)


def test_the_negative_control_a_changed_model_wants_a_migration(alias: str) -> None:
    del alias
    field = PaymentTransaction._meta.get_field("gateway")  # noqa: SLF001 - documented under this name
    field.max_length = 33  # type: ignore[union-attr]
    try:
        with pytest.raises(SystemExit):
            call_command("makemigrations", "paytechuz_django", check=True, dry_run=True, verbosity=0)
    finally:
        field.max_length = 32  # type: ignore[union-attr]


@pytest.mark.parametrize("place", SYNC, indirect=True)
def test_each_takes_over_the_table_that_the_other_made(empty: tuple[Engine, str]) -> None:
    for maker in ("sqlalchemy", "django", "sqlalchemy", "django"):
        make(maker, *empty)
    assert inspect(empty[0]).has_table("paytechuz_version")
    assert inspect(empty[0]).has_table("django_migrations")


@pytest.mark.parametrize("place", SYNC, indirect=True)
def test_a_migration_that_was_cut_off_is_finished(empty: tuple[Engine, str]) -> None:
    engine, alias = empty
    make("sqlalchemy", engine, alias)
    on_table = " ON payments" if engine.dialect.name == "mysql" else ""
    with engine.begin() as connection:
        connection.execute(text(f"DROP INDEX ix_payments_account_id{on_table}"))
    make("django", engine, alias)
    assert {each["name"] for each in inspect(engine).get_indexes("payments")} >= {
        "ix_payments_account_id", "ix_payments_provider_time",
    }  # fmt: skip


@pytest.mark.parametrize("place", SYNC, indirect=True)
def test_another_programs_table_is_left_alone_and_the_message_says_what_to_do(empty: tuple[Engine, str]) -> None:
    engine, alias = empty
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE payments (id INTEGER PRIMARY KEY, transaction_id VARCHAR(100))"))
        connection.execute(text("INSERT INTO payments VALUES (1, 'old')"))
    with pytest.raises(ConfigurationError, match=r"'payments'.*'amount_tiyin'.*Rename it.*manage.py migrate"):
        make("django", engine, alias)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM payments")).all() == [(1, "old")]


def test_migrating_backwards_drops_no_payments(alias: str) -> None:
    with pytest.raises(ConfigurationError, match="never drops"):
        call_command("migrate", "paytechuz_django", "zero", database=alias, verbosity=0)
    assert "payments" in connections[alias].introspection.table_names()
