"""A connection that dies at any moment of a call: the call starts over, answers right, and has one effect.

The server itself ends the connection, from another one: before each statement of the call, before its COMMIT, and just
after, when everything is stored and nobody can know. `pg_terminate_backend` waits until it is gone, so that nothing
here depends on who is faster.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.core.wire import Wire, cancel, create, encoded, perform, post
from tests.databases import ASYNC, SYNC, database_of
from tests.sql.shop import SETTINGS, AsyncShopPayme, Shop, async_shop, opened

SERVED: Final = SYNC["postgresql"] + SYNC["mariadb"]
ASYNC_SERVED: Final = ASYNC["postgresql"] + ASYNC["mariadb"]

MOVES: Final[dict[str, tuple[Callable[[str, str], list[Wire]], list[str]]]] = {
    "create": (lambda name, order: [create(name, order=order)], []),
    "perform": (lambda name, order: [create(name, order=order), perform(name)], ["paid"]),
    "cancel": (lambda name, order: [create(name, order=order), perform(name), cancel(name, 5)], ["paid", "cancelled"]),
}
"""What leads to each move, the move itself last; and what the shop is told on the way."""


def number_of(connection: Connection) -> int:
    """Give the server's own number of a connection."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "get_server_pid"):  # asyncpg
        return int(driver.get_server_pid())
    return int(driver.info.backend_pid if hasattr(driver, "info") else driver.thread_id())


@dataclass
class Executioner:
    """Ends a connection before the statement whose place is `place`, counted from 0; once."""

    administrator: Engine
    place: int | None = None
    seen: list[str] = field(default_factory=list)
    killed: int = 0

    def statement(self, connection: Connection, _: Any, sql: str, *more: Any) -> None:
        del more
        self.count(connection, sql.split(maxsplit=1)[0])

    def commit(self, connection: Connection) -> None:
        self.count(connection, "COMMIT")

    def count(self, connection: Connection, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) - 1 == self.place:
            self.kill(connection)

    def kill(self, connection: Connection) -> None:
        self.killed += 1
        number = number_of(connection)
        with self.administrator.connect() as administrator:
            if self.administrator.dialect.name == "postgresql":
                assert administrator.scalar(text("SELECT pg_terminate_backend(:number, 60000)"), {"number": number})
                return
            administrator.execute(text(f"KILL {number}"))
            there = text("SELECT 1 FROM information_schema.processlist WHERE id = :number")
            while administrator.scalar(there, {"number": number}):
                pass


@contextmanager
def administrator_of(engine: Engine) -> Iterator[Engine]:
    """An engine on the same database whose connections are its own."""
    driver = SYNC[database_of(engine.url.drivername)][0]
    administrator = create_engine(engine.url.set(drivername=driver))
    yield administrator
    administrator.dispose()


@contextmanager
def watched(engine: Engine, executioner: Executioner) -> Iterator[None]:
    """Let an executioner see what an engine does."""
    event.listen(engine, "before_cursor_execute", executioner.statement)
    event.listen(engine, "commit", executioner.commit)
    yield
    event.remove(engine, "before_cursor_execute", executioner.statement)
    event.remove(engine, "commit", executioner.commit)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("sync_url", SERVED, indirect=True)
def test_a_connection_lost_before_any_statement_costs_nothing(every_shop: Shop, move: str) -> None:
    shop, place = every_shop, 0
    told: list[tuple[str, str]] = []
    with administrator_of(shop.engine) as administrator:
        while True:
            name, order = f"at-{place}", shop.order()
            *before, last = MOVES[move][0](name, order)
            for wire in before:
                shop.ask(wire)
            executioner = Executioner(administrator, place)
            with watched(shop.engine, executioner):
                answer = shop.ask(last)
            told += [(kind, name) for kind in MOVES[move][1]]
            assert "code" not in answer, (place, answer)
            assert shop.effects() == told, (place, executioner.seen)
            assert shop.states()[name] == answer["state"]
            if not executioner.killed:
                break
            place += 1
    # The last round went undisturbed: every place of its call has had its turn, from the first SELECT to COMMIT.
    assert executioner.seen[0] == "SELECT"
    assert executioner.seen[-1] == "COMMIT"
    assert place == len(executioner.seen)


@pytest.mark.parametrize("async_url", ASYNC_SERVED, indirect=True)
def test_an_async_connection_lost_before_any_statement_costs_nothing(async_url: str) -> None:
    async def pay() -> None:
        place, told = 0, []
        async with async_shop(async_url) as engine:
            with administrator_of(engine.sync_engine) as administrator:
                while True:
                    shop = Shop(administrator)
                    name, order = f"at-{place}", shop.order()
                    shop.ask(create(name, order=order))
                    executioner = Executioner(administrator, place)
                    with watched(engine.sync_engine, executioner):
                        async with AsyncSession(engine) as db:
                            answer = opened(await AsyncShopPayme(db, **SETTINGS).respond(post(encoded(perform(name)))))
                    told.append(("paid", name))
                    assert answer.get("state") == 2, (place, executioner.seen)
                    assert shop.effects() == told, (place, executioner.seen)
                    if not executioner.killed:
                        break
                    place += 1
        assert (executioner.seen[0], executioner.seen[-1], len(executioner.seen)) == ("SELECT", "COMMIT", place)

    asyncio.run(pay())


class Silencer(Executioner):
    """Lets the server commit, and ends the connection before it can say so."""

    def commit(self, connection: Connection) -> None:
        if self.killed:
            return
        cursor = connection.connection.cursor()
        cursor.execute("COMMIT")
        cursor.execute("BEGIN")  # so that the driver, which counts too, has something to commit
        cursor.close()
        self.kill(connection)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("sync_url", SERVED, indirect=True)
def test_a_commit_whose_answer_is_lost_is_found_to_be_done(every_shop: Shop, move: str) -> None:
    shop = every_shop
    *before, last = MOVES[move][0]("a", shop.order())
    for wire in before:
        shop.ask(wire)
    with administrator_of(shop.engine) as administrator:
        silencer = Silencer(administrator)
        with watched(shop.engine, silencer):
            answer = shop.ask(last)
    assert silencer.killed == 1
    assert "code" not in answer
    assert shop.effects() == [(kind, "a") for kind in MOVES[move][1]]
    assert shop.states() == {"a": answer["state"]}
    assert shop.ask(last) == answer


@pytest.mark.parametrize("async_url", ASYNC_SERVED, indirect=True)
def test_an_async_commit_whose_answer_is_lost_is_found_to_be_done(async_url: str) -> None:
    async def pay() -> None:
        async with async_shop(async_url) as engine:
            with administrator_of(engine.sync_engine) as administrator:
                shop, silencer = Shop(administrator), Silencer(administrator)
                shop.ask(create("a", order=shop.order()))
                with watched(engine.sync_engine, silencer):
                    async with AsyncSession(engine) as db:
                        answer = opened(await AsyncShopPayme(db, **SETTINGS).respond(post(encoded(perform("a")))))
                assert (silencer.killed, answer.get("state"), shop.effects()) == (1, 2, [("paid", "a")])

    asyncio.run(pay())


@pytest.mark.parametrize("sync_url", SERVED, indirect=True)
def test_connections_that_died_in_the_pool_cost_nothing(every_shop: Shop) -> None:
    """A server that was restarted overnight, or a firewall that forgot."""
    order = every_shop.order()
    assert every_shop.ask(create("a", order=order))["state"] == 1
    with administrator_of(every_shop.engine) as administrator, every_shop.engine.connect() as connection:
        Executioner(administrator).kill(connection)
    assert every_shop.ask(perform("a"))["state"] == 2
    assert every_shop.effects() == [("paid", "a")]
