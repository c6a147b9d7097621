"""How many SQL statements a call may cost, and that each costs exactly one COMMIT."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.http.click import Click
from tests.http.clients import MODELS, NOON, Answer, Client, Model


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
        with shop.database.watch() as seen:
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
        with shop.database.watch() as seen:
            call()
        assert (name, len(seen.statements) <= allowed, seen.commits) == (name, True, 1), seen.statements
    assert shop.database.states() == {"p": 1, "1": -1, "2": -2, "5": -1}


def test_a_call_without_credentials_costs_nothing(open_shop: Callable[..., Client]) -> None:
    shop = open_shop(habits=[])
    with shop.database.watch() as seen:
        for headers in ({}, {"Authorization": "Basic eDp5"}):
            assert (
                shop.message({"id": 1, "method": "GetStatement", "params": {"from": 1, "to": 2}}, headers).code
                == -32504
            )
        assert shop.send(b"{").code == -32700
    assert (seen.statements, seen.commits) == ([], 0)
