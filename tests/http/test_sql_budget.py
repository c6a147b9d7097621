"""How many SQL statements a call may cost, and that each costs exactly one COMMIT."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.http.click import Click
from tests.http.clients import MODELS, NOON, Answer, Client, Database, Model

FREE = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@dataclass
class Traffic:
    """What went to the database."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0


def shops_engine(database: Database) -> Engine:
    """Give the engine that the shop's handler uses."""
    return database.engine if database.async_engine is None else database.async_engine.sync_engine


@contextmanager
def watched(engine: Engine, name: str, listener: Callable[..., None]) -> Iterator[None]:
    """Listen to an engine for a while."""
    event.listen(engine, name, listener)
    try:
        yield
    finally:
        event.remove(engine, name, listener)


@contextmanager
def traffic(database: Database) -> Iterator[Traffic]:
    """Watch what the shop sends to its database."""
    seen = Traffic()

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        del connection, cursor
        if not statement.lstrip().upper().startswith(FREE):
            seen.statements.append(statement)

    def commit(connection: Any) -> None:
        del connection
        seen.commits += 1

    engine = shops_engine(database)
    with watched(engine, "before_cursor_execute", execute), watched(engine, "commit", commit):
        yield seen


@pytest.mark.every_database
@pytest.mark.parametrize("model", MODELS)
def test_every_call_keeps_within_its_budget_of_statements_and_one_commit(
    open_shop: Callable[..., Client], model: Model
) -> None:
    shop = open_shop(habits=[], model=model)
    keys = {"id": "ABC"} if model.__name__ == "TextOrder" else {}
    order = shop.database.order(model, **keys)
    shop.check_perform(order).ok()  # the first connection asks the server who it is

    def fiscal() -> Answer:
        return shop.call("SetFiscalData", id="a", type="PERFORM", fiscal_data={"receipt_id": 1})

    budget: list[tuple[str, int, Callable[[], Any]]] = [
        ("CheckPerformTransaction", 2, lambda: shop.check_perform(order)),
        ("CreateTransaction", 3, lambda: shop.create("a", order)),
        ("CreateTransaction, repeated", 1, lambda: shop.create("a", order)),
        ("CreateTransaction, of a rival", 2, lambda: shop.create("b", order)),
        ("CheckTransaction", 1, lambda: shop.check("a")),
        ("PerformTransaction", 2, lambda: shop.perform("a")),
        ("PerformTransaction, repeated", 1, lambda: shop.perform("a")),
        ("CancelTransaction", 2, lambda: shop.cancel("a")),
        ("CancelTransaction, repeated", 1, lambda: shop.cancel("a")),
        ("PerformTransaction, too late", 1, lambda: shop.perform("a")),
        ("GetStatement", 1, lambda: shop.call("GetStatement", start=NOON, end=NOON)),
        ("SetFiscalData", 2, fiscal),
        ("SetFiscalData, repeated", 1, fiscal),
    ]  # fmt: skip
    for name, allowed, call in budget:
        with traffic(shop.database) as seen:
            call()
        assert (name, len(seen.statements) <= allowed, seen.commits) == (name, True, 1), seen.statements


@pytest.mark.every_database
def test_every_call_of_click_keeps_within_its_budget_too(open_shop: Callable[..., Client]) -> None:
    shop = open_shop(habits=[])
    click, (order, held, failed) = Click(shop), [shop.database.order() for _ in range(3)]
    shop.create("p", held).ok()
    budget: list[tuple[str, int, Callable[[], Any]]] = [
        ("Prepare", 3, lambda: click.prepare(1, order)),
        ("Prepare, repeated", 1, lambda: click.prepare(1, order)),
        ("Prepare, of a rival attempt", 4, lambda: click.prepare(2, order)),
        ("Prepare, of what Payme holds", 2, lambda: click.prepare(3, held)),
        ("Prepare, for another amount", 2, lambda: click.prepare(3, failed, amount="1")),
        ("Complete", 2, lambda: click.complete(2, order)),
        ("Complete, repeated", 1, lambda: click.complete(2, order)),
        ("Complete, of a superseded attempt", 1, lambda: click.complete(1, order)),
        ("Complete, without a Prepare", 3, lambda: click.complete(9, order)),
        ("Complete, not debited but paid", 2, lambda: click.abort(2, order)),
        ("Complete, not debited, repeated", 1, lambda: click.abort(2, order)),
        ("Prepare, of a reversed attempt", 1, lambda: click.prepare(2, order)),
        ("Prepare, of an order that is closed", 2, lambda: click.prepare(4, order)),
        ("Prepare, of another order", 3, lambda: click.prepare(5, failed)),
        ("Complete, not debited", 2, lambda: click.abort(5, failed)),
    ]
    for name, allowed, call in budget:
        with traffic(shop.database) as seen:
            call()
        assert (name, len(seen.statements) <= allowed, seen.commits) == (name, True, 1), seen.statements
    assert shop.database.states() == {"p": 1, "1": -1, "2": -2, "5": -1}


def test_a_call_without_credentials_costs_nothing(open_shop: Callable[..., Client]) -> None:
    shop = open_shop(habits=[])
    with traffic(shop.database) as seen:
        for headers in ({}, {"Authorization": "Basic eDp5"}):
            assert (
                shop.message({"id": 1, "method": "GetStatement", "params": {"from": 1, "to": 2}}, headers).code
                == -32504
            )
        assert shop.send(b"{").code == -32700
    assert (seen.statements, seen.commits) == ([], 0)
