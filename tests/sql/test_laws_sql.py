"""The laws of a repository hold for the SQL repositories, with every driver and every type of account key."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import Connection, Numeric, String, Uuid, create_engine, delete, insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from paytechuz_core.repository import AsyncBegin, AsyncRepository, Begin, Repository
from paytechuz_core.sql import arun_migrations, run_migrations
from paytechuz_core.testing import AsyncRepositoryLaws, Known, RepositoryLaws, Storage
from paytechuz_core.testing.bridge import Bridge
from paytechuz_core.testing.laws import Trial
from paytechuz_core.transaction import Fields
from tests.databases import ASYNC_DRIVERS, SYNC_DRIVERS
from tests.sql.conftest import Places
from tests.sql.shop import PAYMENTS, SETTINGS, AsyncShopPayme, ShopPayme


class Base(DeclarativeBase):
    """Accounts with keys of every type."""


class Account:
    """What they have in common."""

    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=Decimal("5000.00"))


class Numbered(Account, Base):
    __tablename__ = "numbered"
    id: Mapped[int] = mapped_column(primary_key=True)


class Named(Account, Base):
    __tablename__ = "named"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)


class Universal(Account, Base):
    __tablename__ = "universal"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)


ACCOUNTS: Final[dict[type[Any], Sequence[Known]]] = {
    Numbered: (Known({"id": "7"}, 7), Known({"id": 2**31 - 1}, 2**31 - 1)),
    Named: (Known({"id": "№ A-7/б"}, "№ A-7/б"), Known({"id": "7"}, "7")),
    Universal: (Known({"id": "6f9619ff-8b86-d011-b42d-00c04fc964ff"}, UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")),),
}
STRANGERS: Final[dict[type[Any], Sequence[Fields]]] = {
    Numbered: ({"id": "8"}, {"id": "07"}, {"id": "7 "}, {"id": "7.0"}, {"id": "-7"}, {"id": str(2**31)}, {}),
    Named: ({"id": "№ a-7/б"}, {"id": "№ A-7/б "}, {"id": "x" * 65}, {"id": ""}, {}),
    Universal: ({"id": "6F9619FF-8B86-D011-B42D-00C04FC964FF"}, {"id": "6f9619ff8b86d011b42d00c04fc964ff"}, {}),
}


BeginFor = Callable[[type[Any]], Begin]
AsyncBeginFor = Callable[[type[Any]], AsyncBegin]


def settings(model: type[Any]) -> dict[str, Any]:
    return {**SETTINGS, "account_model": model, "account_field": "id"}


def furnish(connection: Connection) -> None:
    """Make the accounts."""
    Base.metadata.create_all(connection)
    for model, accounts in ACCOUNTS.items():
        connection.execute(insert(model), [{"id": known.id} for known in accounts])


@pytest.fixture(scope="module", params=SYNC_DRIVERS)
def begin_for(request: pytest.FixtureRequest, places: Places) -> Iterator[BeginFor]:
    """Opens database transactions as the handler does. One database serves all, because to make one takes long."""
    engine = create_engine(places(request.param))
    run_migrations(engine)
    with engine.begin() as connection:
        furnish(connection)

    def begin_for(model: type[Any]) -> Begin:
        with engine.begin() as connection:
            connection.execute(delete(PAYMENTS))

        @contextmanager
        def begin() -> Iterator[Repository]:
            with Session(engine) as db, ShopPayme(db, **settings(model)).begin() as repository:
                yield repository

        return begin

    yield begin_for
    engine.dispose()


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    """One loop for all the async laws, so that they share connections."""
    bridge = Bridge()
    yield bridge
    bridge.close()


@pytest.fixture(scope="module", params=ASYNC_DRIVERS)
def async_begin_for(request: pytest.FixtureRequest, places: Places, bridge: Bridge) -> Iterator[AsyncBeginFor]:
    """The same, awaited."""
    engine = create_async_engine(places(request.param))

    async def open_shop() -> None:
        await arun_migrations(engine)
        async with engine.begin() as connection:
            await connection.run_sync(furnish)

    async def empty() -> None:
        async with engine.begin() as connection:
            await connection.execute(delete(PAYMENTS))

    def begin_for(model: type[Any]) -> AsyncBegin:
        bridge(empty())

        @asynccontextmanager
        async def begin() -> AsyncIterator[AsyncRepository]:
            async with AsyncSession(engine) as db, AsyncShopPayme(db, **settings(model)).begin() as repository:
                yield repository

        return begin

    bridge(open_shop())
    yield begin_for
    bridge(engine.dispose())


class TestSql(RepositoryLaws):
    @pytest.fixture
    def storage(self, begin_for: BeginFor) -> Storage[Begin]:
        return Storage(begin_for(Numbered), ACCOUNTS[Numbered], STRANGERS[Numbered])


class TestAsyncSql(AsyncRepositoryLaws):
    @pytest.fixture
    def run(self, bridge: Bridge) -> Bridge:
        return bridge

    @pytest.fixture
    def storage(self, async_begin_for: AsyncBeginFor) -> Storage[AsyncBegin]:
        return Storage(async_begin_for(Numbered), ACCOUNTS[Numbered], STRANGERS[Numbered])


@pytest.mark.parametrize("model", [Named, Universal])
def test_an_account_keeps_its_own_key_whatever_its_type(begin_for: BeginFor, model: type[Any]) -> None:
    check_accounts(Trial(Storage(begin_for(model), ACCOUNTS[model], STRANGERS[model])))


@pytest.mark.parametrize("model", [Named, Universal])
def test_an_account_keeps_its_own_key_under_an_async_session_too(
    async_begin_for: AsyncBeginFor, bridge: Bridge, model: type[Any]
) -> None:
    begin = async_begin_for(model)
    check_accounts(Trial(Storage(lambda: bridge.begin(begin), ACCOUNTS[model], STRANGERS[model])))


def check_accounts(trial: Trial) -> None:
    RepositoryLaws().test_account_id_keeps_its_type(trial)
    RepositoryLaws().test_accounts_are_found_with_their_own_key(trial)
