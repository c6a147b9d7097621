"""Stories of payments end as the model says on every database, with a `Session` and with an `AsyncSession`."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlalchemy import create_engine, delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from paytechuz_core.repository import AsyncRepository, Repository
from paytechuz_core.sql import run_migrations
from paytechuz_core.testing import Bridge, click_machine, payme_machine
from tests import SIZE
from tests.databases import ASYNC, SYNC
from tests.sql.conftest import Places
from tests.sql.shop import PAYMENTS, SETTINGS, AsyncShopPayme, ShopPayme, async_shop

SMALL = settings(max_examples=6 * SIZE, stateful_step_count=15, suppress_health_check=list(HealthCheck))
MACHINES = pytest.mark.parametrize("make", [payme_machine, click_machine])
Make = Callable[..., type[RuleBasedStateMachine]]


@MACHINES
@pytest.mark.sized
@pytest.mark.parametrize("driver", [drivers[0] for drivers in SYNC.values()])
def test_stories_end_as_in_the_model(make: Make, driver: str, places: Places) -> None:
    engine = create_engine(places(driver))
    run_migrations(engine)

    @contextmanager
    def begin() -> Iterator[Repository]:
        with Session(engine) as db, ShopPayme(db, **SETTINGS).begin() as repository:
            yield repository

    def reset() -> None:
        with engine.begin() as connection:
            connection.execute(delete(PAYMENTS))

    try:
        run_state_machine_as_test(make(begin, reset), settings=SMALL)
    finally:
        engine.dispose()


@MACHINES
@pytest.mark.sized
@pytest.mark.parametrize("driver", [drivers[0] for drivers in ASYNC.values()])
def test_stories_end_as_in_the_model_under_an_async_session(make: Make, driver: str, places: Places) -> None:
    bridge, shop = Bridge(), async_shop(places(driver))
    engine: Any = bridge(shop.__aenter__())

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncRepository]:
        async with AsyncSession(engine) as db, AsyncShopPayme(db, **SETTINGS).begin() as repository:
            yield repository

    async def reset() -> None:
        async with engine.begin() as connection:
            await connection.execute(delete(PAYMENTS))

    try:
        run_state_machine_as_test(make(begin, reset, bridge=bridge), settings=SMALL)
    finally:
        bridge(shop.__aexit__(None, None, None))
        bridge.close()
