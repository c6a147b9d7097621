"""The provider's table of errors, and a request that reaches each of its rows."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from paytechuz import Refused
from tests.http.clients import HALF_DAY, NOON, TIYIN, Answer, Client

TABLE: Final = {
    -32300, -32700, -32600, -32601, -32504, -32400, -31001, -31003, -31007, -31008, -31050, -31051, -31052, -31099,
    -32001, -32602,
}  # fmt: skip
"""Every row of the table, with the numbers of the account range that are used here."""

LIMIT: Final = 64 * 1024


def before_check_perform_transaction(self: Any, params: Any, account: Any) -> None:
    """Refuse or fail as the request asks."""
    del self, account
    if "refuse" in params["account"]:
        message = "not today"
        raise Refused(message)
    if "fail" in params["account"]:
        raise ZeroDivisionError


def can_reverse(self: Any, params: Any, transaction: Any) -> bool:
    """Give nothing back."""
    del self, params, transaction
    return False


CONTRARY: Final = (before_check_perform_transaction, can_reverse)
"""The habits of a shop that can be brought to every error."""


def every_error(shop: Client) -> Iterator[tuple[int, Callable[[], Answer]]]:
    """Give each code with the requests that are answered by it, for a shop with the habits of CONTRARY."""
    order, busy, paid = (shop.database.order() for _ in range(3))
    shop.create("busy", busy).ok()
    shop.pay("paid", paid)

    def check_perform(**account: Any) -> Answer:
        return shop.call("CheckPerformTransaction", amount=TIYIN, account={"order_id": order, **account})

    def fiscal(transaction: str, kind: str) -> Answer:
        return shop.call("SetFiscalData", id=transaction, type=kind, fiscal_data={})

    yield -32300, lambda: shop.send(b"", method="GET")
    yield -32700, lambda: shop.send(b"{")
    yield -32600, lambda: shop.message([])
    yield -32600, lambda: shop.send(b" " * (LIMIT + 1))
    yield -32601, lambda: shop.call("NoSuchMethod")
    yield -32504, lambda: shop.message({}, {})
    yield -32400, lambda: check_perform(fail=1)
    yield -31001, lambda: shop.check_perform(order, 1)
    yield -31001, lambda: shop.create("new", order, 1)
    yield -31001, lambda: shop.create("busy", busy, 1)
    yield -31003, lambda: shop.check("unknown")
    yield -31003, lambda: shop.perform("unknown")
    yield -31003, lambda: shop.cancel("unknown")
    yield -31007, lambda: shop.cancel("paid")
    yield -31008, lambda: shop.create("paid", paid)
    yield -31008, lambda: shop.create("new", order, time=NOON - HALF_DAY - 1)
    yield -31050, lambda: shop.check_perform(404)
    yield -31050, lambda: shop.create("new", 404)
    yield -31050, lambda: shop.create("busy", order)
    yield -31050, lambda: shop.call("CheckPerformTransaction", amount=TIYIN, account={})
    yield -31051, lambda: shop.check_perform(busy)
    yield -31051, lambda: shop.create("new", busy)
    yield -31052, lambda: shop.check_perform(paid)
    yield -31052, lambda: shop.create("new", paid)
    yield -31099, lambda: check_perform(refuse=1)
    yield -32001, lambda: fiscal("unknown", "PERFORM")
    yield -32602, lambda: fiscal("paid", "OTHER")
