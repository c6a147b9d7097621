"""One whole payment on every driver, with accounts numbered by integers, texts and UUIDs.

The hook compares the order's own key with `transaction.account_id`, as the documentation's example does. psycopg 3 and
asyncpg refuse to compare an integer or a UUID with text, so this is where a wrong type would show.
"""

from collections.abc import Callable, Generator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from tests.http.clients import MODELS, NOON, TIYIN, Client, Model, Order, TextOrder, UuidOrder

Steps = Generator[Any, Any, None]

KEYS: dict[Model, Any] = {Order: 197, TextOrder: "№ A-197/б", UuidOrder: UUID("6f2d5d0e-3c1f-4b6a-9c57-0d1e2f3a4b5c")}


def marks(status: str) -> Callable[..., Steps]:
    def run(self: Any, params: Any, transaction: Any, account: Any = None) -> Steps:
        del params, account
        model, key = self.model, transaction.account_id
        assert isinstance(key, type(KEYS[model]))
        order = (yield self.db.execute(select(model).where(model.id == key))).scalar_one()
        order.status = status
        yield self.db.commit()

    run.__name__ = {
        "reserved": "transaction_created",
        "paid": "successfully_payment",
        "returned": "cancelled_payment",
        "seen": "check_transaction",
    }[status]
    return run


@pytest.mark.session
@pytest.mark.every_database(every_driver=True)
@pytest.mark.parametrize("model", MODELS)
def test_a_payment_goes_from_check_to_refund_on_every_driver(open_shop: Callable[..., Client], model: Model) -> None:
    shop = open_shop(habits=[marks(status) for status in ("reserved", "paid", "returned", "seen")], model=model)
    order = KEYS[model]
    shop.database.order(model, id=order)

    def status() -> str:
        return str(shop.database.find(order, model).status)

    assert shop.check_perform(order).result == {"allow": True}
    assert shop.create("a", order).result == {"create_time": NOON, "transaction": "a", "state": 1}
    assert (shop.create("a", order).result["state"], status()) == (1, "reserved")
    shop.clock.advance(1)
    assert shop.perform("a").result == {"transaction": "a", "perform_time": NOON + 1, "state": 2}
    assert (shop.perform("a").result["perform_time"], status()) == (NOON + 1, "paid")
    assert (shop.check("a").result["state"], status()) == (2, "seen")
    shop.clock.advance(1)
    assert shop.cancel("a").result == {"transaction": "a", "cancel_time": NOON + 2, "state": -2}
    assert (shop.cancel("a").result["cancel_time"], status()) == (NOON + 2, "returned")
    assert shop.statement(NOON, NOON) == [
        {
            "id": "a", "time": NOON, "amount": TIYIN, "account": {"order_id": str(order)}, "create_time": NOON,
            "perform_time": NOON + 1, "cancel_time": NOON + 2, "transaction": "a", "state": -2, "reason": 5,
        }
    ]  # fmt: skip
    assert shop.database.payment("a")["account_id"] == str(order)
