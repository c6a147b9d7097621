"""The table makes itself: from nothing, again, from several processes at once, or in a merchant's own history."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column
from sqlalchemy.pool import StaticPool

from paytechuz_core import ConfigurationError
from paytechuz_core.sql import PaymentMixin, PaymentTransaction, arun_migrations, run_migrations
from tests.core.wire import cancel, create, perform
from tests.sql.shop import PAYMENTS, Shop, Silent, begin_with
from tests.sql.shop import Base as ShopBase

VERSIONS: Final = "SELECT version_num FROM paytechuz_version"


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def versions(engine: Engine, query: str = VERSIONS) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text(query)))


def differences(connection: Connection, *metadata: MetaData) -> list[Any]:
    """What Alembic's autogenerate would change to make the database like the models."""

    def ours(name: str | None, kind: str, _: Any) -> bool:
        return kind != "table" or name in {each for one in metadata for each in one.tables}

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True, "include_name": ours}
    )
    found: list[Any] = compare_metadata(context, metadata)  # type: ignore[arg-type]
    return found


def test_one_call_makes_everything_and_another_changes_nothing(sync_engine: Engine) -> None:
    run_migrations(sync_engine)
    assert tables(sync_engine) == {"payments", "paytechuz_version"}
    assert versions(sync_engine) == ["paytechuz_0001"]
    written: list[str] = []

    @event.listens_for(sync_engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        del connection, cursor
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW", "DESCRIBE", "BEGIN")):
            written.append(statement)

    for _ in range(2):
        run_migrations(sync_engine)
    assert written == []
    assert versions(sync_engine) == ["paytechuz_0001"]


def test_the_migrated_table_is_the_models(sync_engine: Engine) -> None:
    run_migrations(sync_engine)
    with sync_engine.connect() as connection:
        assert differences(connection, PaymentTransaction.metadata) == []
        assert kept_by(connection) == {
            "uq_payments_gateway_transaction_id", "uq_payments_hold", "ck_payments_amount_tiyin",
            "ix_payments_provider_time", "ix_payments_account_id",
        }  # fmt: skip


def kept_by(connection: Connection) -> set[str | None]:
    """Name the constraints and indexes of the table in the database."""
    inspector = inspect(connection)
    found = (
        *inspector.get_unique_constraints("payments"),
        *inspector.get_check_constraints("payments"),
        *(each for each in inspector.get_indexes("payments") if not each.get("duplicates_constraint")),
    )
    # MariaDB calls a unique constraint an index too, and checks that JSON is JSON under the column's name.
    return {each["name"] for each in found} - {column.name for column in PAYMENTS.c}


def test_a_table_unlike_the_model_is_told_apart(engine: Engine) -> None:
    # The negative control: a comparison that finds nothing may be one that does not look.
    run_migrations(engine)
    other = MetaData()
    Table(
        "payments",
        other,
        *(Column(each.name, each.type, nullable=each.nullable) for each in PAYMENTS.c if each.name != "hold"),
    )
    Table("more", other, Column("id", Integer, primary_key=True))
    with engine.connect() as connection:
        assert differences(connection, other)


def test_the_database_itself_refuses_an_amount_of_nothing(engine: Engine) -> None:
    shop = Shop(engine).open()
    assert shop.ask(create(order=shop.order()))["state"] == 1
    with engine.connect() as connection:
        for amount in (0, -1):
            with pytest.raises(Exception, match="ck_payments_amount_tiyin"), connection.begin():
                connection.execute(PAYMENTS.update().values(amount_tiyin=amount))


# At once

SIX_PROCESSES: Final = """
    import os
    import sys
    import traceback

    from sqlalchemy import create_engine
    from paytechuz_core.sql import run_migrations

    def migrate(url, ready, gate):
        try:
            engine = create_engine(url)
            engine.connect().close()
            os.write(ready, b".")
            os.read(gate, 1)
            run_migrations(engine)
            engine.dispose()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    for line in sys.stdin:
        (arrivals, ready), (gate, release) = os.pipe(), os.pipe()
        children = [os.fork() or migrate(line.strip(), ready, gate) for _ in range(6)]
        for _ in children:
            os.read(arrivals, 1)
        os.write(release, b"......")
        print(*(os.waitpid(child, 0)[1] for child in children), flush=True)
"""


@pytest.fixture(scope="module")
def six_processes() -> Iterator[Callable[[Engine], str]]:
    """Lets six processes migrate one database, released together, and gives how each ended."""
    command = [sys.executable, "-c", dedent(SIX_PROCESSES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:

        def migrate(engine: Engine) -> str:
            assert parent.stdin is not None
            assert parent.stdout is not None
            print(engine.url.render_as_string(hide_password=False), file=parent.stdin, flush=True)
            return parent.stdout.readline().strip()

        yield migrate
        parent.communicate()
    assert parent.returncode == 0


def test_six_processes_at_once_make_one_table(engine: Engine, six_processes: Callable[[Engine], str]) -> None:
    for _ in range(2):
        assert six_processes(engine) == "0 0 0 0 0 0"
        assert tables(engine) == {"payments", "paytechuz_version"}
        assert versions(engine) == ["paytechuz_0001"]
        with engine.begin() as connection:
            assert differences(connection, PaymentTransaction.metadata) == []
            for name in ("payments", "paytechuz_version"):
                connection.execute(text(f"DROP TABLE {name}"))


def test_an_async_engine_makes_the_same_even_several_times_at_once(async_url: str) -> None:
    async def migrate() -> list[str]:
        engines = [create_async_engine(async_url) for _ in range(3)]
        await asyncio.gather(*map(arun_migrations, engines))
        await arun_migrations(engines[0])
        async with engines[0].connect() as connection:
            assert await connection.run_sync(differences, PaymentTransaction.metadata) == []
            found = list(await connection.scalars(text(VERSIONS)))
        for engine in engines:
            await engine.dispose()
        return found

    assert asyncio.run(migrate()) == ["paytechuz_0001"]


def test_an_async_engine_is_sent_to_the_awaited_twin(tmp_path: Path) -> None:
    engine: Any = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(ConfigurationError, match="await arun_migrations"):
        run_migrations(engine)


@pytest.mark.parametrize("statement", ["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_an_engine_that_begins_sqlites_database_transactions_by_an_event_makes_the_same(
    tmp_path: Path, statement: str
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    begin_with(engine, statement)
    for _ in range(2):
        run_migrations(engine)
    assert tables(engine) == {"payments", "paytechuz_version"}
    engine.dispose()


# What is already there

OLD: Final = Table(
    "payments",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("gateway", String(10), nullable=False),
    Column("transaction_id", String(255), nullable=False),
    Column("account_id", String(255), nullable=False),
    Column("amount", Float, nullable=False),
    Column("state", Integer, nullable=False),
    Column("reason", Integer),
    Column("extra_data", Text),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Column("performed_at", DateTime),
    Column("cancelled_at", DateTime),
)
"""The table of paytechuz 0.4.1."""


def test_another_programs_table_is_left_as_it_is_and_renaming_it_helps(sync_engine: Engine) -> None:
    born = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC).replace(tzinfo=None)
    with sync_engine.begin() as connection:
        OLD.create(connection)
        connection.execute(
            insert(OLD).values(
                gateway="payme", transaction_id="a", account_id="1", amount=5000.0, state=2, created_at=born,
                updated_at=born,
            )
        )  # fmt: skip
        before = (connection.execute(select(OLD)).all(), inspect(connection).get_columns("payments"))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"'payments'.*'amount_tiyin'.*Rename it.*run_migrations"):
            run_migrations(sync_engine)
    assert tables(sync_engine) == {"payments"}
    with sync_engine.begin() as connection:
        after = (connection.execute(select(OLD)).all(), inspect(connection).get_columns("payments"))
        assert repr(after) == repr(before)
        connection.execute(text("ALTER TABLE payments RENAME TO payments_of_old"))
    run_migrations(sync_engine)
    assert tables(sync_engine) == {"payments", "paytechuz_version", "payments_of_old"}
    assert Shop(sync_engine).payments() == []


def test_a_table_of_our_columns_without_our_keys_is_refused_too(engine: Engine) -> None:
    keyless = Table("payments", MetaData(), *(Column(each.name, each.type) for each in PAYMENTS.c))
    keyless.create(engine)
    with pytest.raises(ConfigurationError, match=r"no unique keys.*'transaction_id'.*stored twice.*Rename it"):
        run_migrations(engine)
    assert tables(engine) == {"payments"}


def test_a_table_made_by_create_all_is_taken_over_with_what_is_in_it(engine: Engine) -> None:
    PaymentTransaction.metadata.create_all(engine)
    ShopBase.metadata.create_all(engine)
    shop = Shop(engine)
    assert shop.ask(create("a", order=shop.order()))["state"] == 1
    run_migrations(engine)
    assert versions(engine) == ["paytechuz_0001"]
    assert shop.states() == {"a": 1}


# In a merchant's own Alembic history

INI: Final = """
    [alembic]
    script_location = {folder}
    # Alembic before 1.16 knows the second name only.
    path_separator = space
    version_path_separator = space
    version_locations = {folder}/versions paytechuz_core.sql:migrations/versions
    sqlalchemy.url = {url}
"""
ENV: Final = """
    from alembic import context
    from sqlalchemy import NullPool, create_engine

    engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
MIGRATION: Final = """
    import sqlalchemy as sa
    from alembic import op

    revision, down_revision, branch_labels, depends_on = "shop_0001", None, ("shop",), "paytechuz_0001"


    def upgrade():
        op.create_table(
            "orders",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("amount", sa.Numeric(18, 2), nullable=False),
            sa.Column("status", sa.String(20), nullable=False),
        )
        op.create_table(
            "effects",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("kind", sa.String(40), nullable=False),
            sa.Column("transaction_id", sa.String(64), nullable=False),
            sa.Column("amount_tiyin", sa.BigInteger, nullable=False),
        )
        op.create_table(
            "receipts",
            sa.Column("payment_id", sa.BigInteger, sa.ForeignKey("payments.id"), primary_key=True),
        )
"""


@pytest.fixture
def history(tmp_path: Path, engine: Engine) -> Config:
    """A merchant's own history: a migration of the shop's beside ours, which it depends on."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(dedent(ENV))
    (folder / "versions" / "shop_0001.py").write_text(dedent(MIGRATION))
    ini = tmp_path / "alembic.ini"
    url = engine.url.render_as_string(hide_password=False).replace("%", "%%")
    ini.write_text(dedent(INI).format(folder=folder, url=url))
    return Config(str(ini))


def test_our_migrations_live_in_a_merchants_own_history(engine: Engine, history: Config) -> None:
    command.upgrade(history, "heads")
    assert tables(engine) == {"payments", "orders", "effects", "receipts", "alembic_version"}
    # What the shop's depends on is not a head of its own in the version table.
    assert versions(engine, "SELECT version_num FROM alembic_version") == ["shop_0001"]
    with engine.connect() as connection:
        assert differences(connection, ShopBase.metadata, PaymentTransaction.metadata) == []
    command.upgrade(history, "heads")

    shop = Shop(engine)
    order = shop.order()
    assert shop.ask(create("a", order=order))["state"] == 1
    assert shop.ask(perform("a"))["state"] == 2
    assert (shop.states(), shop.status(order)) == ({"a": 2}, "paid")


def test_a_merchant_who_runs_our_migrations_besides_does_no_harm(engine: Engine, history: Config) -> None:
    command.upgrade(history, "heads")
    shop = Shop(engine)
    assert shop.ask(create("a", order=shop.order()))["state"] == 1
    run_migrations(engine)
    run_migrations(engine)
    command.upgrade(history, "heads")
    assert shop.states() == {"a": 1}


def test_nothing_drops_the_merchants_books_by_accident(engine: Engine, history: Config) -> None:
    command.upgrade(history, "paytechuz@head")
    with pytest.raises(NotImplementedError, match="never drops a table of payments"):
        command.downgrade(history, "paytechuz@base")
    assert "payments" in tables(engine)


# In a merchant's own declarative base


class MerchantBase(DeclarativeBase):
    """A merchant's base, with tables of its own beside the payments."""


class Branch(MerchantBase):
    __tablename__ = "branches"
    id: Mapped[int] = mapped_column(primary_key=True)


class Purchase(MerchantBase):
    __tablename__ = "purchases"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(Integer, default=5000)
    status: Mapped[str] = mapped_column(String(20), default="pending")


class Payment(PaymentMixin, MerchantBase):
    """Payments under another name, with columns of the merchant's own."""

    __tablename__ = "shop_payments"

    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branches.id"))
    channel: Mapped[str] = mapped_column(String(20), default="payme")
    checked: Mapped[bool] = mapped_column(server_default=text("false"))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 - SQLAlchemy gives the class
        return (*super().__table_args__, CheckConstraint("amount_tiyin < 100000000", name="ck_shop_payments_small"))


def test_payments_live_in_a_merchants_own_base(engine: Engine) -> None:
    MerchantBase.metadata.create_all(engine)
    assert tables(engine) == {"branches", "purchases", "shop_payments"}
    with Session(engine) as db:
        db.add_all([Branch(id=3), Purchase(id=1), Purchase(id=2)])
        db.commit()

    settings = {"account_model": Purchase, "payment_model": Payment}
    shop = Shop(engine, Silent, settings)
    assert shop.ask(create("a", order="1"))["state"] == 1
    assert shop.ask(create("b", order="1"))["code"] == -31051
    assert shop.ask(create("c", order="2"))["state"] == 1
    with Session(engine) as db:
        payment = db.scalars(select(Payment).where(Payment.transaction_id == "a")).one()
        assert (payment.channel, payment.checked, payment.branch_id) == ("payme", False, None)
        payment.branch_id = 3
        db.commit()
    assert shop.ask(perform("a"))["state"] == 2
    assert shop.ask(cancel("c"))["state"] == -1
    with Session(engine) as db:
        payments = db.execute(select(Payment.transaction_id, Payment.state, Payment.branch_id).order_by(Payment.id))
        assert payments.all() == [("a", Payment.SUCCESSFULLY, 3), ("c", Payment.CANCELLED_DURING_INIT, None)]
    assert tables(engine) == {"branches", "purchases", "shop_payments"}


def test_a_merchants_own_table_keeps_the_mixins_keys_under_its_own_name() -> None:
    table = MerchantBase.metadata.tables["shop_payments"]
    names = {*(each.name for each in table.constraints), *(each.name for each in table.indexes)}
    assert names >= {
        "uq_shop_payments_gateway_transaction_id", "uq_shop_payments_hold", "ck_shop_payments_amount_tiyin",
        "ix_shop_payments_provider_time", "ix_shop_payments_account_id", "ck_shop_payments_small",
    }  # fmt: skip


# In memory


def test_an_in_memory_database_of_which_each_connection_is_another_is_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:"):
        engine = create_engine(url)
        with pytest.raises(ConfigurationError, match=r"in-memory.*use a file.*StaticPool"):
            run_migrations(engine)
        engine.dispose()


def test_an_in_memory_database_with_one_connection_takes_payments() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    run_migrations(engine)
    run_migrations(engine)
    ShopBase.metadata.create_all(engine)
    shop = Shop(engine)
    order = shop.order()
    assert [shop.ask(wire).get("state") for wire in (create("a", order=order), perform("a"), cancel("a"))] == [1, 2, -2]
    assert (shop.states(), shop.status(order)) == ({"a": -2}, "cancelled")
    engine.dispose()
