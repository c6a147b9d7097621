"""Payme's acceptance list, T01 to T46, over HTTP: every client, and every database where its storage could matter."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import repeat
from typing import Any

import pytest

from tests.http.clients import EXAMPLE, HALF_DAY, KEY, NOON, TIYIN, Client, basic
from tests.http.every_error import CONTRARY, TABLE, every_error
from tests.http.faults import broken_updates

Open = Callable[..., Client]

METHODS: dict[str, dict[str, Any]] = {
    "CheckPerformTransaction": {"amount": 1, "account": {}},
    "CreateTransaction": {"id": "a", "time": NOON, "amount": 1, "account": {}},
    "PerformTransaction": {"id": "a"},
    "CancelTransaction": {"id": "a", "reason": 1},
    "CheckTransaction": {"id": "a"},
    "GetStatement": {"from": 1, "to": 2},
    "SetFiscalData": {"id": "a", "type": "PERFORM", "fiscal_data": {}},
    "ChangePassword": {"password": "b"},
}


def refused(shop: Client, headers: Mapping[str, str | bytes]) -> None:
    """Every method is refused, and its id comes back."""
    for method, params in METHODS.items():
        answer = shop.message({"id": method, "method": method, "params": params}, headers)
        assert (answer.code, answer.json["id"]) == (-32504, method)


def test_t01_no_authorization_header_is_refused(shop: Client) -> None:
    refused(shop, {})


@pytest.mark.parametrize(
    "header",
    [
        "Basic !!!not base64!!!",
        "Basic",
        "",
        "Basic " + b64encode(b"no colon at all").decode(),
        "Basic " + b64encode(b"Paycom:\xff\xfe").decode(),
        "Basic " + b64encode(f"Paycom:{KEY}".encode()).decode().rstrip("=") + "=" * 5,
        "Bearer " + b64encode(f"Paycom:{KEY}".encode()).decode(),
        "Digest " + KEY,
        basic(KEY) + " " * 2000 + "x",
        "Bäsic ключ".encode(),
    ],
)
def test_t02_a_header_that_is_not_basic_credentials_is_refused(shop: Client, header: str | bytes) -> None:
    refused(shop, {"Authorization": header})


@pytest.mark.parametrize(
    "key", ["", "x", KEY + ":more", "Uzcard:someRandomString1545343543545", KEY[:-1], f" {KEY}", "ключ"]
)
def test_t03_a_wrong_key_is_refused(shop: Client, key: str) -> None:
    refused(shop, {"Authorization": basic(key)})


def test_t03_an_empty_configured_key_never_matches(open_shop: Open) -> None:
    shop = open_shop(settings={"payme_key": lambda: ["", KEY]})
    refused(shop, {"Authorization": basic("")})
    assert shop.check("unknown").code == -31003


@pytest.mark.parametrize("login", ["", "paycom", "Payme", "Paycom "])
def test_t04_a_wrong_login_is_refused_with_the_right_key(shop: Client, login: str) -> None:
    refused(shop, {"Authorization": basic(KEY, login)})


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_t04_another_login_may_be_set_and_the_scheme_is_in_any_case(open_shop: Open, scheme: str) -> None:
    shop = open_shop(settings={"login": "Shop"})
    header = basic(KEY, "Shop").replace("Basic", scheme)
    answer = shop.message({"id": 1, "method": "CheckTransaction", "params": {"id": "a"}}, {"Authorization": header})
    assert answer.code == -31003


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_t05_other_http_methods_are_refused_with_200(shop: Client, method: str) -> None:
    answer = shop.send(b"", method=method)
    assert (answer.code, answer.json["id"]) == (-32300, None)
    assert shop.send(b"", {}, method=method).code == -32300, "the HTTP method is looked at before the credentials"


@pytest.mark.parametrize("body", [b"{oops", b"", b"\xff\xfe", b'{"id": 1} trailing'])
def test_t06_a_body_that_is_no_json_is_a_parse_error(shop: Client, body: bytes) -> None:
    answer = shop.send(body)
    assert (answer.code, answer.json["id"]) == (-32700, None)


@pytest.mark.parametrize(
    "message",
    [
        [],
        [{"id": 1, "method": "CheckTransaction", "params": {"id": "a"}}],
        "text",
        5,
        None,
        {},
        {"id": 3, "params": {}},
        {"id": 3, "method": 5, "params": {}},
        {"id": 3, "method": "CheckTransaction"},
        {"id": 3, "method": "CheckTransaction", "params": []},
        {"id": 3, "method": "CheckTransaction", "params": {}},
        {"id": 3, "method": "CheckTransaction", "params": {"id": 5}},
        {"id": 3, "method": "CheckTransaction", "params": {"id": ""}},
    ],
)
def test_t07_a_message_of_another_shape_is_an_invalid_request(shop: Client, message: Any) -> None:
    answer = shop.message(message)
    assert (answer.code, answer.json["id"]) == (-32600, 3 if isinstance(message, dict) and message else None)


@pytest.mark.parametrize("method", ["NoSuchMethod", "", "checktransaction", "ChangePassword", "__class__"])
def test_t08_an_unknown_method_is_named_and_its_id_echoed(shop: Client, method: str) -> None:
    answer = shop.message({"id": 31, "method": method, "params": METHODS.get(method, {})})
    assert (answer.code, answer.error.get("data"), answer.json["id"]) == (-32601, method, 31)


@pytest.mark.parametrize(
    "kind", ["text/json; charset=UTF-8", "application/json", "text/plain", "multipart/form-data", None]
)
def test_t09_the_body_is_read_whatever_its_content_type(shop: Client, kind: str | None) -> None:
    headers = {"Authorization": basic(KEY)} | ({} if kind is None else {"Content-Type": kind})
    assert shop.message({"id": 1, "method": "CheckTransaction", "params": {"id": "a"}}, headers).code == -31003


@pytest.mark.parametrize("id", [0, 7, -1, "text", "", 1.5, True, None, {"a": [1]}, ["x"], 10**17])
def test_t10_the_id_comes_back_exactly_and_jsonrpc_is_not_required(shop: Client, id: Any) -> None:
    order = shop.database.order()
    params = {"amount": TIYIN, "account": shop.account(order)}
    answer = shop.message({"id": id, "method": "CheckPerformTransaction", "params": params})
    assert json.dumps(answer.json["id"]) == json.dumps(id)
    assert answer.result == {"allow": True}


@pytest.mark.parametrize(
    "account", [{}, {"order_id": ""}, {"order_id": "  "}, {"order_id": None}, {"other": "1"}, {"order_id": []}]
)
def test_t11_a_missing_account_field_is_an_account_error_that_names_it(shop: Client, account: Any) -> None:
    for answer in (
        shop.call("CheckPerformTransaction", amount=TIYIN, account=account),
        shop.call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account=account),
    ):
        assert (answer.code, answer.error["data"]) == (-31050, "order_id")
    assert shop.database.payments() == []


@pytest.mark.parametrize("account", ["1", 1, ["1"], None, True])
def test_t11_an_account_that_is_no_object_is_an_invalid_request(shop: Client, account: Any) -> None:
    assert shop.call("CheckPerformTransaction", amount=TIYIN, account=account).code == -32600


def test_t12_an_unknown_order_is_told_before_a_wrong_amount(shop: Client) -> None:
    for answer in (shop.check_perform(404, 3), shop.create("a", 404, 3), shop.check_perform(404)):
        assert (answer.code, answer.error["data"]) == (-31050, "order_id")


WRONG = [TIYIN - 1, TIYIN + 1, 0, -TIYIN, TIYIN // 100, TIYIN * 100]
NO_AMOUNT = [float(TIYIN), 4999.99, str(TIYIN), True, None, [TIYIN], {}]


@pytest.mark.parametrize(("amount", "code"), [*zip(WRONG, repeat(-31001)), *zip(NO_AMOUNT, repeat(-32600))])
def test_t13_a_wrong_amount_is_told_apart_from_no_amount(shop: Client, amount: Any, code: int) -> None:
    order = shop.database.order()
    assert shop.check_perform(order, amount).code == code
    assert shop.create("a", order, amount).code == code
    assert shop.database.payments() == []


def test_t14_check_perform_allows_and_changes_nothing(shop: Client) -> None:
    order = shop.database.order()
    before = shop.database.find(order)
    assert [shop.check_perform(order).result for _ in range(2)] == [{"allow": True}] * 2
    assert (shop.database.payments(), shop.database.find(order)) == ([], before)


def is_payable(self: Any, account: Any) -> bool:
    """The shop takes no money for what it has closed."""
    del self
    return bool(account.status != "closed")


@pytest.mark.every_database
def test_t15_busy_paid_and_closed_orders_are_refused_in_the_account_range(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, is_payable])
    busy, paid, refunded, closed = (shop.database.order() for _ in range(4))
    shop.database.change(closed, status="closed")
    assert shop.create("busy", busy).code is None
    shop.pay("paid", paid)
    shop.pay("refunded", refunded)
    assert shop.cancel("refunded").code is None
    for order, code in ((busy, -31051), (paid, -31052), (refunded, -31052), (closed, -31052)):
        for answer in (shop.check_perform(order), shop.create("new", order)):
            assert (answer.code, answer.error["data"]) == (code, "order_id")
    assert "new" not in shop.database.states()


def test_t15_creates_held_code_may_be_set_to_31008(open_shop: Open) -> None:
    shop = open_shop(settings={"held_code": -31008})
    order = shop.database.order()
    assert shop.create("a", order).code is None
    assert (shop.check_perform(order).code, shop.create("b", order).code) == (-31051, -31008)


def test_t16_a_wrong_amount_is_told_before_a_busy_or_paid_order(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    assert (shop.check_perform(order, 3).code, shop.create("b", order, 3).code) == (-31001, -31001)
    shop.perform("a").ok()
    assert (shop.check_perform(order, 3).code, shop.create("b", order, 3).code) == (-31001, -31001)


@pytest.mark.every_database
def test_t17_create_answers_create_time_transaction_and_state(shop: Client) -> None:
    order = shop.database.order()
    shop.clock.now = 1_399_114_284_039
    answer = shop.create("5305e3bab097f420a62ced0b", order, time=1_399_114_283_000).result
    assert answer == {"create_time": 1_399_114_284_039, "transaction": "5305e3bab097f420a62ced0b", "state": 1}
    (row,) = shop.database.payments()
    assert (row["gateway"], row["account_id"], row["amount_tiyin"], row["state"]) == ("payme", str(order), TIYIN, 1)


@pytest.mark.every_database
def test_t18_a_repeated_create_is_answered_the_same_byte_for_byte(shop: Client) -> None:
    order = shop.database.order()
    first = shop.create("a", order, time=NOON)
    stored = shop.database.payments()
    for later in (1, 999, 60_000, HALF_DAY - 60_000 - 1000):
        shop.clock.advance(later)
        assert shop.create("a", order, time=NOON).body == first.body
    assert shop.database.payments() == stored


@pytest.mark.every_database
def test_t19_twenty_identical_creates_at_once_make_one_row_and_one_answer(shop: Client) -> None:
    order = shop.database.order()
    answers = shop.at_once([lambda: shop.create("a", order)] * 20)
    assert {answer.body for answer in answers} == {answers[0].body}
    assert answers[0].result["state"] == 1
    assert shop.database.states() == {"a": 1}


@pytest.mark.every_database
def test_t20_of_twenty_rival_creates_at_once_exactly_one_gets_the_order(shop: Client) -> None:
    order = shop.database.order()
    answers = shop.at_once([lambda name=f"rival-{place}": shop.create(name, order) for place in range(20)])  # type: ignore[misc]
    codes = [answer.code for answer in answers]
    assert sorted(codes, key=str) == [-31051] * 19 + [None]
    assert len(shop.database.payments()) == 1


@pytest.mark.every_database
def test_t21_the_same_id_with_another_amount_or_account_is_an_error_and_changes_nothing(shop: Client) -> None:
    order, other = shop.database.order(), shop.database.order()
    shop.create("a", order).ok()
    stored = shop.database.payments()
    assert shop.create("a", order, TIYIN + 1).code == -31001
    assert (shop.create("a", other).code, shop.create("a", 404).code) == (-31050, -31050)
    assert shop.database.payments() == stored


@pytest.mark.every_database
def test_t22_a_create_repeated_after_perform_cancel_or_refund_is_impossible(shop: Client) -> None:
    paid, cancelled, refunded = (shop.database.order() for _ in range(3))
    shop.pay("paid", paid)
    shop.create("cancelled", cancelled).ok()
    shop.cancel("cancelled").ok()
    shop.pay("refunded", refunded)
    shop.cancel("refunded").ok()
    stored = shop.database.payments()
    for transaction, order in (("paid", paid), ("cancelled", cancelled), ("refunded", refunded)):
        assert shop.create(transaction, order).code == -31008
    assert shop.database.payments() == stored


@pytest.mark.every_database
def test_t23_a_create_repeated_at_twelve_hours_is_in_time_and_a_millisecond_later_it_is_not(shop: Client) -> None:
    order = shop.database.order()
    first = shop.create("a", order, time=NOON)
    shop.clock.now = NOON + HALF_DAY
    assert shop.create("a", order, time=NOON).body == first.body
    shop.clock.advance(1)
    assert shop.create("a", order, time=NOON).code == -31008
    status = shop.check("a").result
    assert (status["state"], status["reason"], status["cancel_time"]) == (-1, 4, NOON + HALF_DAY + 1)
    assert shop.database.find(order).status == "cancelled"


def test_t23_a_new_create_that_is_already_too_old_is_impossible(shop: Client) -> None:
    order = shop.database.order()
    assert shop.create("a", order, time=NOON - HALF_DAY - 1).code == -31008
    assert shop.create("a", order, time=NOON - HALF_DAY).code is None


@pytest.mark.every_database
def test_t24_a_new_id_expires_the_incumbent_that_is_past_its_time(shop: Client) -> None:
    order = shop.database.order()
    shop.create("old", order).ok()
    shop.clock.advance(HALF_DAY)
    assert shop.create("new", order).code == -31051
    shop.clock.advance(1)
    assert shop.check_perform(order).result == {"allow": True}
    assert shop.create("new", order).result["state"] == 1
    old = shop.check("old").result
    assert (old["state"], old["reason"], old["cancel_time"]) == (-1, 4, shop.clock.now)
    assert shop.perform("new").result["state"] == 2
    assert shop.perform("old").code == -31008


def test_t25_perform_of_an_unknown_id_is_not_found(shop: Client) -> None:
    assert shop.perform("unknown").code == -31003


@pytest.mark.every_database
def test_t26_perform_pays_the_order_and_its_hook_runs_once(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(1234)
    assert shop.perform("a").result == {"transaction": "a", "perform_time": NOON + 1234, "state": 2}
    found = shop.database.find(order)
    assert (found.status, found.paid, found.returned) == ("paid", 1, 0)
    assert shop.hooks == ["successfully_payment"]


@pytest.mark.every_database
def test_t27_a_repeated_perform_is_answered_the_same_and_runs_no_hook(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    first = shop.perform("a")
    stored = shop.database.payments()
    for later in (1, HALF_DAY, 365 * HALF_DAY):
        shop.clock.advance(later)
        assert shop.perform("a").body == first.body
    assert shop.database.payments() == stored
    assert shop.hooks == ["successfully_payment"]


@pytest.mark.every_database
def test_t27_twenty_performs_at_once_pay_once(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    answers = shop.at_once([lambda: shop.perform("a")] * 20)
    assert {answer.body for answer in answers} == {answers[0].body}
    assert answers[0].result["state"] == 2
    assert shop.database.find(order).paid == 1


@pytest.mark.every_database
def test_t28_perform_after_a_cancel_or_a_refund_is_impossible(shop: Client) -> None:
    cancelled, refunded = shop.database.order(), shop.database.order()
    shop.create("cancelled", cancelled).ok()
    shop.cancel("cancelled").ok()
    shop.pay("refunded", refunded)
    shop.cancel("refunded").ok()
    shop.heard.clear()
    stored = shop.database.payments()
    assert (shop.perform("cancelled").code, shop.perform("refunded").code) == (-31008, -31008)
    assert (shop.database.payments(), shop.hooks) == (stored, [])


@pytest.mark.every_database
def test_t29_perform_at_twelve_hours_is_in_time(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(HALF_DAY)
    assert shop.perform("a").result["state"] == 2


@pytest.mark.every_database
def test_t29_perform_a_millisecond_later_is_impossible_and_the_cancellation_is_kept(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert [shop.perform("a").code for _ in range(2)] == [-31008, -31008]
    row = shop.database.payment("a")
    assert (row["state"], row["reason"], row["performed_at"]) == (-1, 4, None)
    assert (shop.database.find(order).status, shop.hooks) == ("cancelled", ["cancelled_payment"])


@pytest.mark.every_database
def test_t30_perform_on_a_failing_database_is_a_system_error_that_changes_nothing(shop: Client) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    stored = shop.database.payments()
    with broken_updates(shop.database.engine):
        assert shop.perform("a").code == -32400
    assert (shop.database.payments(), shop.database.find(order).paid) == (stored, 0)
    assert shop.perform("a").result["state"] == 2
    assert shop.database.find(order).paid == 1


def test_t31_cancel_of_an_unknown_id_is_not_found(shop: Client) -> None:
    assert shop.cancel("unknown").code == -31003


@pytest.mark.parametrize("reason", [1, 2, 3, 4, 5, 10, 77, -1, 0])
def test_t32_a_cancel_before_payment_is_minus_one_whatever_the_reason(shop: Client, reason: int) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(50)
    assert shop.cancel("a", reason).result == {"transaction": "a", "cancel_time": NOON + 50, "state": -1}
    assert shop.check("a").result["reason"] == reason


@pytest.mark.every_database
def test_t33_a_cancel_after_payment_is_minus_two_whatever_the_reason(shop: Client) -> None:
    for reason in (3, 5):
        transaction, order = f"with-{reason}", shop.database.order()
        shop.pay(transaction, order)
        performed = shop.check(transaction).result["perform_time"]
        shop.clock.advance(50)
        cancelled = {"transaction": transaction, "cancel_time": shop.clock.now, "state": -2}
        assert shop.cancel(transaction, reason).result == cancelled
        status = shop.check(transaction).result
        assert (status["perform_time"], status["reason"]) == (performed, reason)
        found = shop.database.find(order)
        assert (found.status, found.paid, found.returned) == ("cancelled", 1, 1)


@pytest.mark.every_database
def test_t34_a_repeated_cancel_keeps_the_first_time_and_reason(shop: Client) -> None:
    before, after = shop.database.order(), shop.database.order()
    shop.create("before", before).ok()
    shop.pay("after", after)
    for transaction in ("before", "after"):
        first = shop.cancel(transaction, 3)
        stored = shop.database.payments()
        shop.clock.advance(60_000)
        assert shop.cancel(transaction, 5).body == first.body
        assert shop.database.payments() == stored
    assert shop.hooks == ["successfully_payment", "cancelled_payment", "cancelled_payment"]


def can_reverse(self: Any, params: Any, transaction: Any) -> Any:
    """What was delivered cannot be given back."""
    del params
    order = yield self.db.get(self.model, transaction.account_id)
    return order.status != "delivered"


@pytest.mark.every_database
def test_t35_a_delivered_order_cannot_be_cancelled(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, can_reverse])
    delivered, not_yet = shop.database.order(), shop.database.order()
    shop.pay("delivered", delivered)
    shop.pay("not-yet", not_yet)
    shop.database.change(delivered, status="delivered")
    assert shop.cancel("delivered").code == -31007
    assert shop.check("delivered").result["state"] == 2
    assert shop.database.find(delivered).returned == 0
    assert shop.cancel("not-yet").result["state"] == -2


@pytest.mark.every_database
def test_t36_perform_and_cancel_at_once_agree_on_one_end(shop: Client) -> None:
    for race in range(5):
        order, name = shop.database.order(), f"race-{race}"
        shop.create(name, order).ok()
        performed, cancelled = shop.at_once([lambda name=name: shop.perform(name), lambda name=name: shop.cancel(name)])  # type: ignore[misc]
        found, state = shop.database.find(order), shop.check(name).result["state"]
        if performed.code is None:  # paid first, then refunded
            assert (state, cancelled.result["state"], found.paid, found.returned) == (-2, -2, 1, 1)
        else:
            assert performed.code == -31008
            assert (state, cancelled.result["state"], found.paid, found.returned) == (-1, -1, 0, 1)


@pytest.mark.every_database
def test_t37_check_transaction_shows_six_members_in_every_state_and_changes_nothing(shop: Client) -> None:
    orders = {name: shop.database.order() for name in ("created", "paid", "cancelled", "refunded", "expired")}
    for name, order in orders.items():
        shop.create(name, order).ok()
    shop.clock.advance(10)
    for name in ("paid", "refunded"):
        shop.perform(name).ok()
    shop.clock.advance(10)
    shop.cancel("cancelled", 3).ok()
    shop.cancel("refunded", 5).ok()
    stored = shop.database.payments()

    def seen(state: int, performed: int = 0, cancelled: int = 0, reason: int | None = None) -> dict[str, Any]:
        times = {"create_time": NOON, "perform_time": performed, "cancel_time": cancelled}
        return {**times, "state": state, "reason": reason}

    expected = {
        "created": seen(1),
        "paid": seen(2, NOON + 10),
        "cancelled": seen(-1, 0, NOON + 20, 3),
        "refunded": seen(-2, NOON + 10, NOON + 20, 5),
        "expired": seen(1),
    }
    shop.clock.advance(HALF_DAY)
    for name, status in expected.items():
        assert shop.check(name).result == {**status, "transaction": name}
    assert shop.database.payments() == stored


@pytest.mark.every_database
def test_t38_t39_a_statement_includes_both_of_its_ends_and_nothing_beyond(shop: Client) -> None:
    shop.create("a", shop.database.order(), time=NOON - 5).ok()

    def ids(start: int, end: int) -> list[str]:
        return [row["id"] for row in shop.statement(start, end)]

    assert ids(NOON - 5, NOON - 5) == ["a"]
    assert ids(NOON - 6, NOON - 5) == ["a"]
    assert ids(NOON - 5, NOON - 4) == ["a"]
    assert ids(NOON - 7, NOON - 6) == []
    assert ids(NOON - 4, NOON + 10) == []
    assert ids(NOON + 10, NOON - 10) == []


@pytest.mark.every_database
def test_t40_a_statement_is_in_paymes_order_and_has_every_state(shop: Client) -> None:
    # Created here in another order than in Payme's system, and long after.
    for name, age in (("refunded", 100), ("created", 400), ("paid", 200), ("cancelled", 300)):
        shop.create(name, shop.database.order(), time=NOON - age).ok()
        shop.clock.advance(1)
    assert shop.create("failed", 404, time=NOON - 250).code == -31050
    shop.perform("paid").ok()
    shop.perform("refunded").ok()
    shop.cancel("refunded").ok()
    shop.cancel("cancelled").ok()
    rows = shop.statement(NOON - HALF_DAY, NOON)
    assert [(row["id"], row["time"], row["state"]) for row in rows] == [
        ("created", NOON - 400, 1),
        ("cancelled", NOON - 300, -1),
        ("paid", NOON - 200, 2),
        ("refunded", NOON - 100, -2),
    ]
    for row in rows:
        status = shop.check(row["id"]).result
        assert row == {**status, **{name: row[name] for name in ("id", "time", "amount", "account")}}


@pytest.mark.every_database
@pytest.mark.parametrize(
    "extra", [{}, {"phone": "+998 90 123-45-67", "Имя": "O‘tkir 🙂", "list": [1, {"a": None}], "n": 5}]
)
def test_t41_a_statement_gives_the_account_back_as_it_came(shop: Client, extra: dict[str, Any]) -> None:
    for account in ({"order_id": str(shop.database.order()), **extra}, {"order_id": shop.database.order(), **extra}):
        name = f"typed-{type(account['order_id']).__name__}"
        shop.call("CreateTransaction", id=name, time=NOON, amount=TIYIN, account=account).ok()
        (row,) = (row for row in shop.statement(NOON, NOON) if row["id"] == name)
        assert (row["account"], row["amount"]) == (account, TIYIN)
        assert json.dumps(row["account"], sort_keys=True) == json.dumps(account, sort_keys=True), "types and all"


FISCAL = {
    "receipt_id": 121,
    "status_code": 0,
    "message": "accepted",
    "terminal_id": "EP000000000025",
    "date": "20260101120000",
}


@pytest.mark.every_database
def test_t42_both_fiscal_receipts_are_kept_apart(shop: Client) -> None:
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.call("SetFiscalData", id="a", type="PERFORM", fiscal_data=FISCAL).result == {"success": True}
    shop.cancel("a").ok()
    for _ in range(2):
        cancelled = {**FISCAL, "receipt_id": "122", "more": {"x": 1}}
        assert shop.call("SetFiscalData", id="a", type="CANCEL", fiscal_data=cancelled).result == {"success": True}
    row = shop.database.payment("a")
    assert (row["fiscal_perform"], row["fiscal_cancel"], row["state"]) == (FISCAL, cancelled, -2)
    assert shop.hooks == ["successfully_payment", "cancelled_payment"]


def test_t43_wrong_fiscal_data_is_refused_with_its_own_codes(shop: Client) -> None:
    shop.pay("a", shop.database.order())
    stored = shop.database.payments()
    assert shop.call("SetFiscalData", id="unknown", type="PERFORM", fiscal_data=FISCAL).code == -32001
    for params, name in (
        ({"id": "a", "type": "OTHER", "fiscal_data": FISCAL}, "type"),
        ({"id": "a", "type": "PERFORM"}, "fiscal_data"),
        ({"id": "a", "type": "PERFORM", "fiscal_data": "text"}, "fiscal_data"),
        ({"type": "PERFORM", "fiscal_data": FISCAL}, "id"),
    ):
        answer = shop.call("SetFiscalData", **params)
        assert (answer.code, answer.error["data"]) == (-32602, name)
    assert shop.database.payments() == stored


@pytest.mark.every_database
def test_t44_an_account_that_may_be_topped_up_has_any_number_of_payments(open_shop: Open) -> None:
    shop = open_shop(settings={"one_time_payment": False, "minimum": Decimal(10), "maximum": Decimal("100.50")})
    wallet = shop.database.order()
    for name, amount in (("a", 1000), ("b", 10050), ("c", 1000)):
        assert shop.check_perform(wallet, amount).result == {"allow": True}
        assert shop.create(name, wallet, amount).result["state"] == 1
    for amount in (999, 10051, 0, -1000):
        assert (shop.check_perform(wallet, amount).code, shop.create("d", wallet, amount).code) == (-31001, -31001)
    for name in ("c", "a", "b"):
        assert shop.perform(name).result["state"] == 2
    assert shop.create("d", wallet, 2000).result["state"] == 1
    assert shop.database.states() == {"a": 2, "b": 2, "c": 2, "d": 1}
    assert shop.database.find(wallet).paid == 3


def detail(price: Any) -> dict[str, Any]:
    """Fiscal lines: two of one thing with a discount, and the delivery."""
    line = {"title": "Choy", "price": price, "count": 2, "discount": 1000, "code": "00702001001000001"}
    line |= {"units": 241092, "vat_percent": 12, "package_code": "123456"}
    return {"receipt_type": 0, "shipping": {"title": "Yetkazish", "price": 1000}, "items": [line]}


def get_check_data(self: Any, params: Any, account: Any) -> dict[str, Any]:
    """What the payer is shown, and the receipt's lines."""
    del self
    return {"additional": {"name": account.status}, "detail": detail(params["amount"] // 2)}


def test_t45_the_lines_of_detail_are_integers_and_add_up(open_shop: Open) -> None:
    shop = open_shop(habits=[get_check_data])
    answer = shop.check_perform(shop.database.order()).result
    assert answer["additional"] == {"name": "pending"}
    (line,) = answer["detail"]["items"]
    total = line["price"] * line["count"] - line["discount"] + answer["detail"]["shipping"]["price"]
    assert (total, type(line["price"]), answer["allow"]) == (TIYIN, int, True)


@pytest.mark.parametrize("price", [TIYIN // 2 - 1, TIYIN / 2, str(TIYIN // 2)])
def test_t45_lines_that_do_not_add_up_are_the_shops_own_bug(open_shop: Open, price: Any) -> None:
    def get_check_data(self: Any, params: Any, account: Any) -> dict[str, Any]:
        del self, params, account
        return {"detail": detail(price)}

    shop = open_shop(habits=[get_check_data])
    assert shop.check_perform(shop.database.order()).code == -32400


def test_t46_every_error_speaks_three_languages(open_shop: Open) -> None:
    met = set()
    for code, request in every_error(open_shop(habits=CONTRARY)):
        error = request().error
        assert error["message"].keys() == {"ru", "uz", "en"}
        assert len({*error["message"].values()}) == (1 if code == -31099 else 3), (
            "a merchant's one text, or three of ours"
        )
        met.add(error["code"])
    assert met == TABLE


def test_t46_the_merchants_own_words_replace_the_texts(open_shop: Open) -> None:
    shop = open_shop(settings={"messages": {-31050: {"uz": "Bunday buyurtma yo‘q"}}})
    message = shop.check_perform(404).error["message"]
    assert message == {
        "ru": "Счёт или заказ не найден",
        "uz": "Bunday buyurtma yo‘q",
        "en": "Account or order not found",
    }
