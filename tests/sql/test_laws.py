"""The laws of a repository hold for the SQL repositories, with every driver and with accounts of every kind of key."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import String, Uuid, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from paytechuz.integrations.fastapi import AsyncPaymeWebhookHandler, PaymeWebhookHandler, run_migrations
from paytechuz_core.repository import AsyncBegin, AsyncRepository, Begin, Repository
from paytechuz_core.testing import AsyncRepositoryLaws, Known, RepositoryLaws, Storage
from paytechuz_core.testing.bridge import Bridge
from paytechuz_core.testing.laws import Trial, bridged
from tests.databases import ASYNC_DRIVERS, REQUIRED, SYNC, SYNC_DRIVERS, Unavailable, database_of, sqlite, throw_away


class Base(DeclarativeBase):
    pass


class NumberedWallet(Base):
    __tablename__ = "numbered_wallets"
    id: Mapped[int] = mapped_column(primary_key=True)


class NamedWallet(Base):
    __tablename__ = "named_wallets"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)


class UniqueWallet(Base):
    __tablename__ = "unique_wallets"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)


A_UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
ACCOUNTS: dict[type[Any], tuple[Known, tuple[dict[str, Any], ...]]] = {
    NumberedWallet: (Known({"id": "7"}, 7), ({"id": "8"}, {"id": "07"}, {"id": "x"}, {"id": "9" * 30})),
    NamedWallet: (Known({"id": "abc"}, "abc"), ({"id": "ABC"}, {"id": "abc "}, {"id": "àbc"})),
    UniqueWallet: (Known({"id": A_UUID}, UUID(A_UUID)), ({"id": A_UUID.upper()}, {"id": "7"})),
}
SETTINGS: dict[str, Any] = {"payme_id": "id", "payme_key": "key", "amount_field": None, "one_time_payment": False}


def prepared(driver: str, folder: Path) -> Iterator[str]:
    """Make a database with a wallet of each kind, once for all the laws."""
    name = database_of(driver)
    if name == "sqlite":
        yield prepare(sqlite(folder).url(driver))
        return
    try:
        with throw_away(name) as (place, _):
            yield prepare(place.url(driver))
    except Unavailable as reason:
        if REQUIRED:
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


def prepare(url: str) -> str:
    location = make_url(url)
    engine = create_engine(location.set(drivername=SYNC[database_of(location.drivername)][0]))
    run_migrations(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(model(id=known.id) for model, (known, _) in ACCOUNTS.items())
        session.commit()
    engine.dispose()
    return url


@pytest.fixture(scope="module", params=SYNC_DRIVERS)
def sync_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from prepared(request.param, tmp_path_factory.mktemp("laws"))


@pytest.fixture(scope="module", params=ASYNC_DRIVERS)
def async_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from prepared(request.param, tmp_path_factory.mktemp("laws"))


@contextmanager
def sync_storage(url: str, wallet: type[Any]) -> Iterator[Storage[Begin]]:
    engine = create_engine(url)

    @contextmanager
    def begin() -> Iterator[Repository]:
        with Session(engine) as session:
            handler = PaymeWebhookHandler(session, account_model=wallet, **SETTINGS)
            with handler.begin() as repository:
                yield repository

    known, strangers = ACCOUNTS[wallet]
    yield Storage(begin, [known], strangers)
    engine.dispose()


@contextmanager
def async_storage(url: str, wallet: type[Any], run: Bridge) -> Iterator[Storage[AsyncBegin]]:
    engine = create_async_engine(url)

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncRepository]:
        async with AsyncSession(engine) as session:
            handler = AsyncPaymeWebhookHandler(session, account_model=wallet, **SETTINGS)
            async with handler.begin() as repository:
                yield repository

    known, strangers = ACCOUNTS[wallet]
    yield Storage(begin, [known], strangers)
    run(engine.dispose())


class TestSqlRepository(RepositoryLaws):
    @pytest.fixture
    def storage(self, sync_database: str) -> Iterator[Storage[Begin]]:
        with sync_storage(sync_database, NumberedWallet) as storage:
            yield storage

    @pytest.mark.parametrize("wallet", [NamedWallet, UniqueWallet])
    def test_other_keys_keep_their_type_too(self, sync_url: str, wallet: type[Any]) -> None:
        with sync_storage(prepare(sync_url), wallet) as storage:
            self.test_account_id_keeps_its_type(Trial(storage))
            self.test_accounts_are_found_with_their_own_key(Trial(storage))


class TestAsyncSqlRepository(AsyncRepositoryLaws):
    @pytest.fixture
    def storage(self, async_database: str, run: Bridge) -> Iterator[Storage[AsyncBegin]]:
        with async_storage(async_database, NumberedWallet, run) as storage:
            yield storage

    @pytest.mark.parametrize("wallet", [NamedWallet, UniqueWallet])
    def test_other_keys_keep_their_type_too(self, async_url: str, wallet: type[Any], run: Bridge) -> None:
        with async_storage(prepare(async_url), wallet, run) as storage:
            trial = Trial(bridged(storage, run))
            self.test_account_id_keeps_its_type(trial)
            self.test_accounts_are_found_with_their_own_key(trial)
