"""Whatever is sent: HTTP 200, a code of the table, and nothing written that should not be."""

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests import SIZE
from tests.http.clients import (
    FASTAPI,
    HALF_DAY,
    KEY,
    MODELS,
    NOON,
    TIYIN,
    Answer,
    Base,
    Client,
    Model,
    Order,
    TextOrder,
    UuidOrder,
    basic,
)  # fmt: skip
from tests.http.every_error import CONTRARY, TABLE, every_error

Open = Callable[..., Client]

LIMIT = 64 * 1024


def everything(shop: Client) -> list[Any]:
    """All that is stored, the shop's own tables included."""
    with shop.database.engine.connect() as connection:
        orders = [connection.execute(select(table)).all() for table in Base.metadata.sorted_tables]
    return [shop.database.payments(), *orders]


# Every row of the table of errors


def test_every_row_of_the_table_of_errors_is_reached_and_writes_nothing(open_shop: Open) -> None:
    shop = open_shop(habits=CONTRARY)
    requests = list(every_error(shop))
    before = everything(shop)
    assert [request().code for _, request in requests] == [code for code, _ in requests]
    assert {code for code, _ in requests} == TABLE
    assert everything(shop) == before


def test_the_one_error_that_writes_is_a_transaction_past_its_time(shop: Client) -> None:
    order = shop.database.order()
    shop.create("late", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert shop.perform("late").code == -31008
    assert shop.database.states() == {"late": -1}


# The body and its headers


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(shop: Client) -> None:
    message = json.dumps({"id": 5, "method": "CheckTransaction", "params": {"id": "a"}}).encode()
    assert shop.send(message.ljust(LIMIT)).code == -31003
    for body in (message.ljust(LIMIT + 1), b"[" * (LIMIT * 4)):
        answer = shop.send(body)
        assert (answer.code, answer.json["id"]) == (-32600, None)


def test_a_chunked_body_over_the_limit_is_not_read_to_its_end(shop: Client) -> None:
    asked: list[int] = []

    def long() -> Iterator[bytes]:
        for piece in range(100):
            asked.append(piece)
            yield b" " * 4096

    answer = shop.send(long())
    assert (answer.code, answer.json["id"]) == (-32600, None)
    assert len(asked) < 100
    message = json.dumps({"id": 5, "method": "CheckTransaction", "params": {"id": "a"}}).encode()
    assert shop.send(message[place : place + 7] for place in range(0, len(message), 7)).code == -31003


def test_an_oversized_body_with_wrong_credentials_is_about_the_credentials(shop: Client) -> None:
    assert shop.send(b" " * (LIMIT + 1), {"Authorization": basic("x")}).code == -32504


@pytest.mark.clients(*FASTAPI)  # elsewhere the server reads the body, and no more of it than its length says
def test_a_content_length_that_lies_changes_nothing(shop: Client) -> None:
    message = json.dumps({"id": 5, "method": "CheckTransaction", "params": {"id": "a"}}).encode()
    for length in ("1", "999999999", "-1", "x"):
        assert shop.send(message, {"Authorization": basic(KEY), "Content-Length": length}).code == -31003


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
def test_an_encoded_body_is_an_invalid_request(shop: Client, encoding: str) -> None:
    message = json.dumps({"id": 5, "method": "CheckTransaction", "params": {"id": "a"}}).encode()
    assert shop.send(message, {"Authorization": basic(KEY), "Content-Encoding": encoding}).code == -32600
    assert shop.send(message, {"Authorization": basic(KEY), "Content-Encoding": "identity"}).code == -31003


def test_the_query_string_is_no_part_of_a_request(shop: Client) -> None:
    assert shop.send(b"{}").code == -32600
    assert shop.send(b"", method="GET").code == -32300


NO_JSON = [
    b'{"id": 1, "id": 2, "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": 1, "method": "CheckTransaction", "params": {"id": "a", "id": "b"}}',
    b'\xef\xbb\xbf{"id": 1, "method": "CheckTransaction", "params": {"id": "a"}}',
    '{"id": 1, "method": "CheckTransaction", "params": {"id": "a"}}'.encode("utf-16"),
    b'{"id": 1, "method": "CheckTransaction", "params": {"id": "\xff"}}',
    b'{"id": NaN, "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": -Infinity, "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": 1e999, "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": 1234567890123456789, "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": ' + b"9" * 5000 + b', "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": ' + b"[" * 33 + b"]" * 33 + b', "method": "CheckTransaction", "params": {"id": "a"}}',
    b"[" * 30_000,
    b'{"id": "\\ud800", "method": "CheckTransaction", "params": {"id": "a"}}',
    b'{"id": 1, "method": "CheckTransaction", "params": {"id": "a\\u0000b"}}',
    b'{"id": 1, "method": "CheckTransaction", "params": {"id": "a\x00b"}}',
    b"{'id': 1}",
    b'{"id": 01}',
    b"\x00",
]


@pytest.mark.parametrize("body", NO_JSON, ids=range(len(NO_JSON)))
def test_what_a_lenient_parser_would_let_pass_is_a_parse_error(shop: Client, body: bytes) -> None:
    answer = shop.send(body)
    assert (answer.code, answer.json["id"]) == (-32700, None)


@pytest.mark.parametrize(
    "params",
    [
        {"id": None, "time": NOON, "amount": TIYIN},
        {"time": NOON, "amount": TIYIN},
        {"id": "", "time": NOON, "amount": TIYIN},
        {"id": "  ", "time": NOON, "amount": TIYIN},
        {"id": "x" * 65, "time": NOON, "amount": TIYIN},
        {"id": 5, "time": NOON, "amount": TIYIN},
        {"id": "a", "amount": TIYIN},
        {"id": "a", "time": str(NOON), "amount": TIYIN},
        {"id": "a", "time": NOON + 0.5, "amount": TIYIN},
        {"id": "a", "time": float(NOON), "amount": TIYIN},
        {"id": "a", "time": True, "amount": TIYIN},
        {"id": "a", "time": 0, "amount": TIYIN},
        {"id": "a", "time": -NOON, "amount": TIYIN},
        {"id": "a", "time": NOON},
        {"id": "a", "time": NOON, "amount": str(TIYIN)},
        {"id": "a", "time": NOON, "amount": 5e5},
        {"id": "a", "time": NOON, "amount": True},
        {"id": "a", "time": NOON, "amount": None},
    ],
)
def test_a_create_of_another_shape_makes_nothing(shop: Client, params: dict[str, Any]) -> None:
    order = shop.database.order()
    assert shop.call("CreateTransaction", account={"order_id": str(order)}, **params).code == -32600
    assert shop.database.payments() == []


@pytest.mark.every_database
def test_the_largest_values_that_pass_are_stored_exactly(open_shop: Open) -> None:
    """18 digits and 64 characters are the most that JSON may bring; any database must take them."""
    most = 10**18 - 1
    shop = open_shop(settings={"one_time_payment": False})
    wallet, name = shop.database.order(), "𝕏" * 64
    shop.clock.now = NOON
    assert shop.create(name, wallet, most, time=most).code is None
    assert shop.perform(name).result["state"] == 2
    assert [(row["id"], row["time"], row["amount"]) for row in shop.statement(most, most)] == [(name, most, most)]
    assert shop.cancel(name, 2**31 - 1).result["state"] == -2
    assert shop.check(name).result["reason"] == 2**31 - 1
    assert shop.cancel(name, 2**31).code == -32600
    assert shop.statement(1, most)[0]["id"] == name


@pytest.mark.every_database
def test_ids_are_told_apart_byte_for_byte(open_shop: Open) -> None:
    """MariaDB's usual collations find all of these equal."""
    shop = open_shop(settings={"one_time_payment": False})
    wallet = shop.database.order()
    names = ["abc", "ABC", "àbc", "abc ", " abc", "ab\u200bc", "ａｂｃ"]
    for place, name in enumerate(names):
        assert shop.create(name, wallet, TIYIN + place).code is None
    for place, name in enumerate(names):
        assert shop.perform(name).code is None
        assert shop.database.payment(name)["amount_tiyin"] == TIYIN + place
    assert shop.check("Abc").code == -31003


# The account's own value

ODD: list[Any] = [
    # no integer of 7, though some programs would say so
    "007", "+7", "-7", "7.0", "7e0", "0x7", "1_0", " 7", "7 ", "7\n", "\t7", "\u200b7", "7\u200b", "1.5", 1.5, 7.0,
    True, False, "²", "٣", "७", "７", ["7"],
    # integers beyond columns, and before them
    2**31, 2**59, 10**17, str(10**17), "9" * 18, "9" * 19, "9" * 400, -1, 0, "0",
    # no text, and texts too long for any column
    None, [], {}, "", " ", "\u00a0", "x" * 65, "x" * 255, "x" * 256, "x" * 60_000, "🙂" * 64,
    # texts that some databases find equal to AB, or read as something else
    "ab", "aB", "AB ", "ÀB", "АВ", "A\u0301B", "null", "true", "' OR 1=1 --", "%", "_",
    # the UUID in other spellings
    "6F2D5D0E-3C1F-4B6A-9C57-0D1E2F3A4B5C", "{6f2d5d0e-3c1f-4b6a-9c57-0d1e2f3a4b5c}",
    "urn:uuid:6f2d5d0e-3c1f-4b6a-9c57-0d1e2f3a4b5c", "6f2d5d0e3c1f4b6a9c570d1e2f3a4b5c",
    "6f2d5d0e-3c1f-4b6a-9c57-0d1e2f3a4b5",
]  # fmt: skip
"""Values that are no order's key: each is some other spelling of one that is, or something else entirely."""

STORED: dict[Model, Any] = {Order: 7, TextOrder: "AB", UuidOrder: UUID("6f2d5d0e-3c1f-4b6a-9c57-0d1e2f3a4b5c")}


@pytest.mark.every_database(every_driver=True)
@pytest.mark.parametrize("model", MODELS)
def test_an_account_in_another_spelling_is_an_unknown_account_on_every_driver(open_shop: Open, model: Model) -> None:
    shop = open_shop(model=model)
    own = STORED[model]
    shop.database.order(model, id=own)
    for value in ODD:
        if value != str(own):
            answer = shop.call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account={"order_id": value})
            assert (answer.code, answer.error["data"]) == (-31050, "order_id"), (value, answer.json)
    assert shop.database.payments() == []
    assert shop.create("a", own).result["state"] == 1


@pytest.mark.parametrize("model", MODELS)
def test_check_perform_knows_no_other_spelling_either_nor_does_a_top_up(open_shop: Open, model: Model) -> None:
    shop = open_shop(model=model, settings={"one_time_payment": False})
    shop.database.order(model, id=STORED[model])
    for value in ODD:
        if value != str(STORED[model]):
            answer = shop.call("CheckPerformTransaction", amount=TIYIN, account={"order_id": value})
            assert (answer.code, answer.error["data"]) == (-31050, "order_id"), (value, answer.json)


def test_a_nul_in_an_account_is_no_json(shop: Client) -> None:
    assert shop.check_perform("7\x00").code == -32700


@pytest.mark.every_database
def test_an_integer_key_may_come_as_a_number_or_as_text_and_is_one_account(shop: Client) -> None:
    order = shop.database.order()
    shop.call("CreateTransaction", id="a", time=NOON, amount=TIYIN, account={"order_id": order}).ok()
    assert shop.create("b", order).code == -31051
    assert shop.create("a", order, time=NOON).code is None, "the same transaction, its account spelt otherwise"


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CALLS = {
    "CheckPerformTransaction": ("amount", "account"),
    "CreateTransaction": ("id", "time", "amount", "account"),
    "PerformTransaction": ("id",),
    "CheckTransaction": ("id",),
    "CancelTransaction": ("id", "reason"),
    "GetStatement": ("from", "to"),
    "SetFiscalData": ("id", "type", "fiscal_data"),
    "ChangePassword": ("password",),
}


@st.composite
def almost_calls(draw: st.DrawFn, free: int) -> dict[str, Any]:
    """Take a call that could do something, and spoil up to two of its members."""
    values: dict[str, tuple[Any, ...]] = {
        "id": ("held", "paid", "new"),
        "time": (NOON, NOON - HALF_DAY - 1),
        "amount": (TIYIN, TIYIN, TIYIN, TIYIN + 1, 0, -1),
        "account": ({"order_id": free}, {"order_id": str(free)}, {"order_id": free - 1}, {"order_id": free + 1}),
        "reason": (1, 5),
        "from": (1, NOON - 1),
        "to": (NOON, NOON + 1),
        "type": ("PERFORM", "CANCEL"),
        "fiscal_data": ({}, {"receipt_id": 1}),
        "password": ("x", ""),
    }
    method = draw(st.sampled_from(sorted(CALLS)))
    params = {name: draw(st.sampled_from(values[name])) for name in CALLS[method]}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    for _ in range(draw(st.integers(0, 2))):
        members = draw(st.sampled_from([message, params, params, params.get("account", message)]))
        if members:
            name = draw(st.sampled_from(sorted(members)))
            members[name] = draw(JSON)
            if draw(st.booleans()):
                del members[name]
    return message


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
MOVES = {
    ("CreateTransaction", None, 1),
    ("PerformTransaction", 1, 2),
    ("CancelTransaction", 1, -1),
    ("CancelTransaction", 2, -2),
}


def prepared(shop: Client) -> int:
    """Bring the shop to where calls could do harm: one order held, one paid, and one free, whose number is given."""
    shop.database.empty()
    held, paid, free = (shop.database.order() for _ in range(3))
    shop.create("held", held).ok()
    shop.pay("paid", paid)
    return int(free)


def harmless(shop: Client, send: Callable[[], Answer]) -> Answer:
    """Send something; an error must leave the database as it was, and an internal error must not happen at all."""
    before = everything(shop)
    answer = send()
    if answer.code is not None:
        assert answer.code in TABLE - {-32400, -31099}, answer.json
        assert everything(shop) == before
    return answer


def test_no_bytes_are_answered_with_anything_but_the_table(shop: Client) -> None:
    prepared(shop)

    @FUZZ
    @given(
        st.binary(max_size=300)
        | st.text(max_size=100).map(str.encode)
        | JSON.map(lambda each: json.dumps(each).encode())
    )
    def run(body: bytes) -> None:
        assert harmless(shop, lambda: shop.send(body)).code in {-32700, -32600, -32601}

    run()


def test_no_almost_call_writes_what_it_should_not(shop: Client) -> None:
    free = prepared(shop)

    @settings(FUZZ, max_examples=200 * SIZE)
    @given(almost_calls(free))
    def run(message: dict[str, Any]) -> None:
        before = shop.database.states()
        if before != {"held": 1, "paid": 2}:
            assert prepared(shop) == free, "SQLite numbers from 1 again"
            before = shop.database.states()
        answer = harmless(shop, lambda: shop.message(message))
        assert json.dumps(answer.json["id"]) == json.dumps(None if answer.code == -32700 else message.get("id"))
        after = shop.database.states()
        if after != before:
            ((name, state),) = after.items() - before.items()
            assert (message["method"], before.get(name), state) in MOVES
            assert answer.result["transaction"] == name == message["params"]["id"]

    run()


def test_no_header_is_trusted_but_the_right_one(shop: Client) -> None:
    prepared(shop)
    message = json.dumps({"id": 1, "method": "CancelTransaction", "params": {"id": "held", "reason": 5}}).encode()
    near_misses = st.builds(
        lambda scheme, login, colon, key: f"{scheme} ".encode() + b64encode(f"{login}{colon}{key}".encode()),
        st.sampled_from(["Basic", "basic", "Bearer", ""]),
        st.sampled_from(["Paycom", "paycom", ""]) | st.text(max_size=8),
        st.sampled_from([":", "::", ""]),
        st.sampled_from([KEY[:-1], KEY + " ", KEY.upper(), ""]) | st.text(max_size=20),
    )

    @FUZZ
    @given(near_misses | st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")))
    def run(header: bytes) -> None:
        assert harmless(shop, lambda: shop.send(message, {"Authorization": header})).code == -32504

    run()
    assert shop.send(message).code is None


# The secret


def test_the_key_is_in_no_log_and_no_answer_whatever_goes_wrong(
    open_shop: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer is searched by `read_answer`; here all logs of all libraries are, at their most talkative."""

    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del params, transaction
        raise RuntimeError(repr(self), repr(vars(self)))

    def after_commit(self: Any, *_: Any) -> None:
        raise RuntimeError(repr(self))

    with caplog.at_level(logging.DEBUG):
        shop = open_shop(habits=[successfully_payment, after_commit])
        for _, request in every_error(open_shop(habits=CONTRARY)):
            request()
        order = shop.database.order()
        shop.create("a", order).ok()
        assert shop.perform("a").code == -32400
        for body in (b"{", KEY.encode(), json.dumps({"method": KEY + "!", "params": {}}).encode()[:-1]):
            assert shop.send(body).code == -32700
        for header in (f"Basic {KEY}", f"Bearer {KEY}", basic(KEY)[:-3]):
            assert shop.message({}, {"Authorization": header}).code == -32504
    assert "RuntimeError" in caplog.text
    for secret in (KEY, basic(KEY)):
        assert secret not in caplog.text


def test_a_hooks_error_is_not_told_to_the_caller(open_shop: Open) -> None:
    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del self, params, transaction
        message = "SELECT * FROM shop_orders failed"
        raise OSError(message)

    shop = open_shop(habits=[successfully_payment])
    order = shop.database.order()
    shop.create("a", order).ok()
    answer = shop.perform("a")
    assert answer.json["error"].keys() == {"code", "message"}
    assert answer.error["message"]["en"] == "System error, please repeat the request later"
    assert b"shop_orders" not in answer.body
