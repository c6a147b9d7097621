"""How a request becomes a call: who is heard, what is read, and in which order it is refused."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytechuz_core import Inbound, Payme
from paytechuz_core.decision import Rejected
from paytechuz_core.payme.calls import (
    METHODS,
    CancelTransaction,
    ChangePassword,
    CheckPerformTransaction,
    CreateTransaction,
    GetStatement,
    PerformTransaction,
    SetFiscalData,
)
from tests import SIZE
from tests.core.strategies import JSON, TEXT, wires
from tests.core.wire import (
    AMOUNT,
    EVERY_METHOD,
    ID,
    KEY,
    NOW,
    PAYME,
    Params,
    Wire,
    basic,
    call,
    cancel,
    change_password,
    check_perform,
    create,
    encoded,
    error_in,
    fiscal,
    perform,
    post,
    rejection,
    statement,
)

PASSWORDS: Final = replace(PAYME, changes_password=True)
BODY: Final = encoded(perform())


def heard(authorization: str | None, gateway: Payme = PAYME) -> bool:
    """Tell whether a request with this header gets past the door; if not, it is −32504."""
    refused = refused_with(post(BODY, authorization), gateway)
    assert refused in (None, -32504)
    return refused is None


def refused_with(inbound: Inbound, gateway: Payme = PAYME) -> int | None:
    """The code of the error that a request is refused with, or None for a call."""
    try:
        understood = gateway.parse(inbound)
    except Rejected as rejected:
        error = error_in(json.loads(rejected.body))
        return int(error["code"])
    assert type(understood.request) in METHODS.values()
    return None


# Who is heard


@pytest.mark.parametrize("header", [basic(), basic().replace("Basic", "bAsIc"), basic().replace("Basic ", "Basic   ")])
def test_payme_is_heard(header: str) -> None:
    assert heard(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        KEY,
        f"Paycom:{KEY}",
        basic().replace("Basic", "Bearer"),
        basic().removeprefix("Basic "),
        basic(password="Uzcard:someRandomString1545343543545"),
        basic(password="another"),
        basic(password=""),
        basic(password=KEY.rpartition(":")[2]),
        basic(password=KEY.partition(":")[0]),
        basic(password=KEY + ":"),
        basic(password=":" + KEY),
        basic(password=KEY + " "),
        basic(password=KEY.upper()),
        basic(login="paycom"),
        basic(login=""),
        basic(login="Paycom "),
        basic(login=KEY, password="Paycom"),
        basic(login="Пайком"),
        "Basic " + b64encode(KEY.encode()).decode(),
        "Basic " + b64encode(b"Paycom:\xff").decode(),
        basic() + "=",
        basic()[:-4],
        basic() + " x",
        "Basic Пайком",
        basic(password="k" * 1024),
        " " * 1024 + basic(),
    ],
    ids=ascii,
)
def test_nobody_else_is(header: str | None) -> None:
    assert not heard(header)


@given(st.text(max_size=12), st.text(max_size=40))
def test_login_and_key_must_be_exactly_those_of_the_cash_register(login: str, password: str) -> None:
    try:
        header = basic(login, password)
    except UnicodeEncodeError:
        return
    read_login, _, read_password = f"{login}:{password}".partition(":")
    assert heard(header) is ((read_login, read_password) == ("Paycom", KEY))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=36),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=12),
)
def test_any_key_and_any_login_may_be_configured(key: str, login: str) -> None:
    gateway = replace(PAYME, keys=lambda: (key,), login=login)
    assert heard(basic(login, key), gateway)
    assert not heard(basic(login, key + "x"), gateway)
    assert not heard(basic(login + "x", key), gateway)


@pytest.mark.parametrize("key", ["one", "two", "three"])
def test_every_key_is_valid_while_keys_rotate(key: str) -> None:
    gateway = replace(PAYME, keys=lambda: ["one", "two", "three"])
    assert heard(basic(password=key), gateway)
    assert not heard(basic(password="four"), gateway)


@pytest.mark.parametrize("keys", [(), ("",), ("", ""), [], ""], ids=repr)
@pytest.mark.parametrize("password", ["", " ", "Paycom"])
def test_a_key_that_is_not_set_lets_nobody_in(keys: Any, password: str) -> None:
    gateway = replace(PAYME, keys=lambda: keys, login="")
    for login in ("", "Paycom"):
        assert not heard(basic(login, password), gateway)
    assert not heard(None, gateway)


def test_an_unset_test_key_beside_a_real_one_lets_nobody_in_by_its_emptiness() -> None:
    gateway = replace(PAYME, keys=lambda: ("", KEY))
    assert not heard(basic(password=""), gateway)
    assert heard(basic(), gateway)


def test_one_key_given_as_a_text_is_one_key_and_not_its_letters() -> None:
    gateway = replace(PAYME, keys=lambda: KEY)
    assert heard(basic(), gateway)
    assert not any(heard(basic(password=letter), gateway) for letter in KEY)


def test_a_key_changed_by_the_merchant_is_valid_with_the_next_request() -> None:
    keys = ["old"]
    gateway = replace(PAYME, keys=lambda: keys)
    assert heard(basic(password="old"), gateway)
    keys[:] = ["new"]
    assert heard(basic(password="new"), gateway)
    assert not heard(basic(password="old"), gateway)


def test_every_key_is_tried_even_after_one_has_matched() -> None:
    """The time taken must not tell which key is close."""
    tried = []

    def keys() -> Any:
        for key in (KEY, "second", "third"):
            tried.append(key)
            yield key

    assert heard(basic(), replace(PAYME, keys=keys))
    assert tried == [KEY, "second", "third"]


# In which order a request is refused

GOOD: Final = encoded(perform(), 7)
STEPS: Final[list[tuple[int, Any, Inbound]]] = [
    (-32300, None, Inbound("GET", {"content-encoding": "gzip"}, None)),
    (-32504, None, post(None, None, content_encoding="gzip")),
    (-32504, None, post(None, "Basic bad")),
    (-32504, 7, post(GOOD, None)),
    (-32600, None, post(None)),
    (-32600, None, post(b"{oops", content_encoding="gzip")),
    (-32700, None, post(b"{oops")),
    (-32700, None, post(b"")),
    (-32600, None, post(b"[]")),
    (-32600, 7, post(b'{"id": 7, "method": 5, "params": []}')),
    (-32601, 7, post(b'{"id": 7, "method": "Pay", "params": {"id": 5}}')),
    (-32600, 7, post(b'{"id": 7, "method": "PerformTransaction", "params": {"id": 5}}')),
]


@pytest.mark.parametrize(("answer", "echo", "inbound"), STEPS, ids=lambda value: str(value)[:60])
def test_a_request_is_refused_for_its_first_fault(answer: int, echo: Any, inbound: Inbound) -> None:
    error = rejection(inbound)
    assert (error["code"], error["id"]) == (answer, echo)


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", ""])
def test_only_a_post_is_a_request(verb: str) -> None:
    assert rejection(replace(post(GOOD), method=verb))["code"] == -32300


@pytest.mark.parametrize("content_type", ["text/json; charset=UTF-8", "application/json", "text/plain", "", None])
def test_the_content_type_does_not_matter(content_type: str | None) -> None:
    headers = {} if content_type is None else {"content_type": content_type}
    assert isinstance(PAYME.parse(post(GOOD, **headers)).request, PerformTransaction)


@pytest.mark.parametrize("member", [{}, {"jsonrpc": "2.0"}, {"jsonrpc": "1.0"}, {"jsonrpc": None}, {"extra": [1]}])
def test_jsonrpc_and_further_members_are_not_asked_for(member: Params) -> None:
    assert isinstance(
        PAYME.parse(post(json.dumps({**json.loads(GOOD), **member}).encode())).request, PerformTransaction
    )


# The id is echoed

ECHOES: Final = ["5", 0, -1, 10**17, 1.5, True, None, [], ["1", {}], {"a": {"b": None}}, "сум 😀", ""]


@pytest.mark.parametrize("echo", ECHOES, ids=repr)
def test_an_id_of_any_type_is_echoed_as_it_came(echo: Any) -> None:
    for inbound in (
        post(encoded(perform(), echo), None),
        post(encoded(("Pay", {}), echo)),
        post(encoded(perform(5), echo)),
        post(json.dumps({"id": echo}).encode()),
    ):
        assert repr(rejection(inbound)["id"]) == repr(echo)
    understood = PAYME.parse(post(encoded(perform(), echo)))
    answer = json.loads(PAYME.render(understood, {"done": True}))
    assert repr(answer) == repr({"jsonrpc": "2.0", "id": echo, "result": {"done": True}})


@given(JSON)
def test_whatever_id_json_can_say_is_echoed(echo: Any) -> None:
    assert repr(rejection(post(encoded(perform(), echo), None))["id"]) == repr(echo)


def test_a_request_without_an_id_is_answered_with_null() -> None:
    assert rejection(post(b'{"method": "Pay", "params": {}}'))["id"] is None
    understood = PAYME.parse(post(b'{"method": "PerformTransaction", "params": {"id": "1"}}'))
    assert json.loads(PAYME.render(understood, {}))["id"] is None


@pytest.mark.parametrize("body", [b"", b"{oops", b"[]", b"5", b'"id"', b'{"id": 1, "id": 2}', b'\xef\xbb\xbf{"id": 1}'])
def test_a_stranger_s_body_that_is_no_strict_json_object_echoes_nothing(body: bytes) -> None:
    assert rejection(post(body, None))["id"] is None


@given(JSON, st.sampled_from(EVERY_METHOD) | st.tuples(TEXT, JSON))
def test_a_stranger_learns_nothing_but_the_id_he_sent(echo: Any, message: Any) -> None:
    """Whatever he asks, the answer is the same."""
    error = rejection(post(encoded(message, echo), None))
    assert {**error, "id": None} == rejection(post(b"", None))


# Strict JSON


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": 1, "id": 1, "method": "PerformTransaction", "params": {"id": "1"}}',
        b'{"method": "PerformTransaction", "params": {"id": "1", "id": "2"}}',
        b'\xef\xbb\xbf{"method": "PerformTransaction", "params": {"id": "1"}}',
        b'{"method": "PerformTransaction", "params": {"id": "\\ud800"}}',
        b'{"method": "PerformTransaction", "params": {"id": "a\\u0000"}}',
        b'{"method": "CheckPerformTransaction", "params": {"amount": NaN, "account": {}}}',
        b'{"method": "CheckPerformTransaction", "params": {"amount": 1e999, "account": {}}}',
        b'{"method": "CheckPerformTransaction", "params": {"amount": 1111111111111111111, "account": {}}}',
        b'{"method": "CheckPerformTransaction", "params": {"amount": 1, "account": ' + b"[" * 40 + b"]" * 40 + b"}}",
        b'{"method": "PerformTransaction", "params": {"id": "\xff"}}',
        '{"method": "PerformTransaction", "params": {"id": "1"}}'.encode("utf-16"),
    ],
)
def test_json_that_two_readers_could_read_differently_is_no_json(body: bytes) -> None:
    error = rejection(post(body))
    assert (error["code"], error["id"]) == (-32700, None)


# Shapes


@pytest.mark.parametrize(
    "body",
    [
        "null", "5", '"text"', "[]", "[{}]", "{}", '{"method": "PerformTransaction"}', '{"params": {"id": "1"}}',
        '{"method": null, "params": {}}', '{"method": ["PerformTransaction"], "params": {}}',
        '{"Method": "PerformTransaction", "params": {"id": "1"}}',
        '{"method": "PerformTransaction", "params": null}', '{"method": "PerformTransaction", "params": ["1"]}',
        '{"method": "PerformTransaction", "params": "1"}',
        '[{"method": "PerformTransaction", "params": {"id": "1"}}]',
    ],
)  # fmt: skip
def test_a_request_has_a_method_and_an_object_of_params(body: str) -> None:
    assert rejection(post(body.encode()))["code"] == -32600


def wrong(message: Wire, name: str, *values: Any) -> list[Any]:
    return [
        pytest.param(
            message, name, value, id=f"{message[0]}-{name}-{'missing' if value is MISSING else f'{value!r:.30}'}"
        )
        for value in values
    ]


MISSING: Final = object()
NOT_IDS: Final[tuple[Any, ...]] = (MISSING, None, "", " ", "\t", 5, 1.5, True, [], {}, ["1"], "x" * 65)
NOT_INTEGERS: Final[tuple[Any, ...]] = (MISSING, None, True, False, 5.0, 5e4, 1.5, "5", "", [], {})


@pytest.mark.parametrize(
    ("message", "name", "value"),
    [
        *wrong(check_perform(), "amount", *NOT_INTEGERS),
        *wrong(check_perform(), "account", MISSING, None, "42", 42, [], ["42"]),
        *wrong(create(), "id", *NOT_IDS),
        *wrong(create(), "time", *NOT_INTEGERS, 0, -1),
        *wrong(create(), "amount", *NOT_INTEGERS),
        *wrong(create(), "account", MISSING, None, "42", []),
        *wrong(perform(), "id", *NOT_IDS),
        *wrong(cancel(), "id", *NOT_IDS),
        *wrong(cancel(), "reason", *NOT_INTEGERS, 2**31, -(2**31) - 1),
        *wrong(("CheckTransaction", {"id": ID}), "id", *NOT_IDS),
        *wrong(statement(), "from", *NOT_INTEGERS, 0, -1),
        *wrong(statement(), "to", *NOT_INTEGERS, 0, -1),
        *wrong(change_password(), "password", MISSING, None, 5, [], "x" * 513),
    ],
)
def test_a_member_that_is_missing_or_of_a_wrong_type_is_minus_32600_and_named(
    message: Wire, name: str, value: Any
) -> None:
    method, params = message
    params = {key: each for key, each in params.items() if key != name} | ({} if value is MISSING else {name: value})
    error = rejection(post(encoded((method, params), 9)), PASSWORDS)
    assert (error["code"], error["data"], error["id"]) == (-32600, name, 9)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "id"),
        ({"id": 5, "type": "PERFORM", "fiscal_data": {}}, "id"),
        ({"id": ID, "fiscal_data": {}}, "type"),
        ({"id": ID, "type": "REFUND", "fiscal_data": {}}, "type"),
        ({"id": ID, "type": "perform", "fiscal_data": {}}, "type"),
        ({"id": ID, "type": None, "fiscal_data": {}}, "type"),
        ({"id": ID, "type": "CANCEL"}, "fiscal_data"),
        ({"id": ID, "type": "CANCEL", "fiscal_data": []}, "fiscal_data"),
        ({"id": ID, "type": "CANCEL", "fiscal_data": {"status_code": "0"}}, "fiscal_data.status_code"),
        ({"id": ID, "type": "CANCEL", "fiscal_data": {"qr_code_url": 5}}, "fiscal_data.qr_code_url"),
        ({"id": ID, "type": "CANCEL", "fiscal_data": {"receipt_id": 1.5}}, "fiscal_data.receipt_id"),
        ({"id": ID, "type": "CANCEL", "fiscal_data": {"fiscal_sign": []}}, "fiscal_data.fiscal_sign"),
    ],
)
def test_set_fiscal_data_has_an_error_of_its_own_that_names_the_parameter(params: Params, name: str) -> None:
    error = rejection(post(encoded(("SetFiscalData", params))))
    assert (error["code"], error["data"]) == (-32602, name)


@pytest.mark.parametrize(
    "name", ["Pay", "", "performTransaction", "PerformTransaction ", "Call", "__class__", "Способ"]
)
def test_an_unknown_method_is_named(name: str) -> None:
    error = rejection(post(encoded((name, {}))))
    assert (error["code"], error["data"]) == (-32601, name)


def test_a_password_is_changed_only_where_the_merchant_keeps_keys() -> None:
    error = rejection(post(encoded(change_password())))
    assert (error["code"], error["data"]) == (-32601, "ChangePassword")
    assert call(change_password(), PASSWORDS).request == ChangePassword(password="new")


@pytest.mark.parametrize("keys", [KEY, (KEY,), ("older", KEY)])
def test_a_key_that_is_valid_already_is_no_new_key(keys: Any) -> None:
    error = rejection(post(encoded(change_password(KEY), 3)), replace(PASSWORDS, keys=lambda: keys))
    assert (error["code"], error["id"]) == (-32504, 3)


# What is understood


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        (check_perform(), CheckPerformTransaction(amount=AMOUNT, account={"order_id": "42"})),
        (check_perform(amount=0, order=None), CheckPerformTransaction(amount=0, account={"order_id": None})),
        (create(amount=-5), CreateTransaction(id=ID, time=NOW, amount=-5, account={"order_id": "42"})),
        (perform("x" * 64), PerformTransaction(id="x" * 64)),
        (cancel(reason=-(2**31)), CancelTransaction(id=ID, reason=-(2**31))),
        (cancel(reason=2**31 - 1), CancelTransaction(id=ID, reason=2**31 - 1)),
        (statement(1, 10**18 - 1), GetStatement.model_validate({"from": 1, "to": 10**18 - 1})),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_well_shaped_request_is_understood(message: Wire, request_: object) -> None:
    """Amounts of a right type are left to the decision, be they 0 or negative."""
    assert call(message).request == request_


@given(wires())
def test_a_call_keeps_its_params_exactly_as_they_came(message: Wire) -> None:
    understood = call(message, PASSWORDS)
    assert repr(understood.params) == repr(message[1])
    assert type(understood.request) is METHODS[message[0]]


@pytest.mark.parametrize("receipt", [{}, {"receipt_id": "1", "fiscal_sign": 5}, {"new": {"member": [1]}, "date": None}])
def test_a_receipt_may_have_fewer_and_further_members(receipt: Params) -> None:
    understood = call(fiscal(data=receipt))
    assert isinstance(understood.request, SetFiscalData)
    assert understood.params["fiscal_data"] == receipt


def test_further_params_are_ignored_and_handed_on() -> None:
    understood = call(("PerformTransaction", {"id": ID, "new": "member"}))
    assert understood.request == PerformTransaction(id=ID)
    assert understood.params == {"id": ID, "new": "member"}


# Whatever arrives

MANY: Final = settings(max_examples=300 * SIZE)
METHOD_NAMES: Final = st.sampled_from(sorted(METHODS)) | TEXT
MEMBERS: Final = st.sampled_from(
    ["id", "time", "amount", "account", "reason", "from", "to", "type", "fiscal_data", "password"]
)
REQUESTS: Final = st.fixed_dictionaries(
    {}, optional={"id": JSON, "method": METHOD_NAMES | JSON, "params": st.dictionaries(MEMBERS, JSON) | JSON}
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good request with a few bytes changed, lost or repeated."""
    body = bytearray(encoded(draw(wires()), draw(JSON)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")) | mutated())
@MANY
def test_arbitrary_bytes_are_understood_or_refused_by_the_table(body: bytes) -> None:
    assert refused_with(post(body), PASSWORDS) in {None, -32700, -32600, -32601, -32602}


@given(JSON | REQUESTS)
@MANY
def test_arbitrary_json_is_understood_or_refused_by_the_table(message: Any) -> None:
    assert refused_with(post(json.dumps(message).encode()), PASSWORDS) in {None, -32600, -32601, -32602}


@given(
    st.none()
    | st.text()
    | st.text().map("Basic ".__add__)
    | st.binary().map(lambda raw: "Basic " + b64encode(raw).decode())
)
@MANY
def test_arbitrary_credentials_are_refused_and_nothing_else(authorization: str | None) -> None:
    assert not heard(authorization)
