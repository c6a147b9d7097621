"""What may be read from a request: strict JSON, and credentials that are written as they should be."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import Inbound
from paytechuz_core.inbound import BODY_LIMIT, basic_credentials, decode_json
from tests.core.strategies import JSON

# JSON


@given(value=JSON, ascii_only=st.booleans())
def test_every_value_that_json_can_say_is_read_as_it_was_written(value: Any, *, ascii_only: bool) -> None:
    assert repr(decode_json(json.dumps(value, ensure_ascii=ascii_only).encode())) == repr(value)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"{oops", "no JSON"),
        (b"{} {}", "two values"),
        (b"{'id': 1}", "single quotes"),
        (b'{"id": 1,}', "trailing comma"),
        (b'\xef\xbb\xbf{"id": 1}', "byte order mark"),
        ('{"id": 1}'.encode("utf-16"), "UTF-16"),
        ('"сум"'.encode("cp1251"), "not UTF-8"),
        (b'"\xed\xa0\x80"', "a surrogate in UTF-8"),
        (b'{"id": 1, "id": 2}', "duplicate key"),
        (b'{"id": 1, "\\u0069d": 2}', "duplicate key in disguise"),
        (b'[{"a": [{"id": 1, "id": 1}]}]', "duplicate key below"),
        (b"NaN", "NaN"),
        (b"Infinity", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "overflow"),
        (b"[-1e999]", "overflow"),
        (b"1" * 19, "19 digits"),
        (b"-" + b"1" * 19, "-19 digits"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate in a key"),
        (b'[[{"a": ["\\ud83d"]}]]', "lone surrogate below"),
        (b'"\\u0000"', "U+0000"),
        (b'{"a\\u0000": 1}', "U+0000 in a key"),
        (b'"a\x00"', "a raw U+0000"),
        (b"[" * 33 + b"]" * 33, "33 lists deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "33 objects deep"),
        (b"[" * 33 + b"1" + b"]" * 33, "33 lists deep around a number"),
        (b"[" * 60_000, "60 000 lists, never closed"),
        (b"[" * 30_000 + b"]" * 30_000, "30 000 lists deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_payment_endpoint_may_read_is_refused(body: bytes, why: str) -> None:
    del why
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, it is refused
        decode_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"9" * 18, int("9" * 18)),
        (b"-" + b"9" * 18, -int("9" * 18)),
        (b"1e300", 1e300),
        (b' {"id" : 1}\n', {"id": 1}),
        (b'"\\ud83d\\ude00 \\u0431"', "😀 б"),
        (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
        (b'["' + b"[" * 100 + b'"]', ["[" * 100]),
        (b"[" + b"[]," * 100 + b"[]]", [[]] * 101),
        (b"[" * 32 + b"]" * 31 + b",[]]", [*json.loads("[" * 32 + "]" * 32), []]),
        (b'{"a":' * 32 + b"1" + b"}" * 31 + b',"b":{}}', {**json.loads('{"a":' * 32 + "1" + "}" * 32), "b": {}}),
    ],
)
def test_limits_are_exact_and_brackets_in_a_text_are_not_nesting(body: bytes, value: object) -> None:
    assert decode_json(body) == value


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()[:-1]))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        value = decode_json(body)
    except ValueError:
        return
    assert json.loads(body) == value


# Credentials


def credentials(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@given(st.text(max_size=20).filter(lambda login: ":" not in login), st.text(max_size=80))
def test_any_login_and_any_key_are_read_and_only_the_first_colon_splits(login: str, key: str) -> None:
    try:
        expected = login.encode(), key.encode()
    except UnicodeEncodeError:
        return
    assert basic_credentials(credentials(f"{login}:{key}")) == expected


@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC ", "bAsIc ", "Basic   ", "  Basic "])
def test_the_scheme_may_be_in_any_case(scheme: str) -> None:
    assert basic_credentials(credentials("Paycom:key").replace("Basic ", scheme)) == (b"Paycom", b"key")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Paycom:key",
        credentials("Paycom:key").removeprefix("Basic "),
        credentials("Paycom:key").replace("Basic", "Bearer"),
        credentials("Paycom:key").replace(" ", ""),
        credentials("Paycom:key").replace(" ", "\t"),
        credentials("Paycom"),
        "Basic !!!!",
        "Basic UGF5Y29tOmtle",
        credentials("Paycom:key") + "=",
        credentials("Paycom:key") + "\n=",
        credentials("Paycom:key")[:12] + " " + credentials("Paycom:key")[12:],
        "Basic " + b64encode(b"Paycom:\xff\xfe").decode(),
        "Basic " + b64encode(b"Paycom:~~~???>>>").decode().replace("+", "-").replace("/", "_"),
        "Basic ключ",
        "Basic \udcff",
        credentials("Paycom:" + "k" * 1024),
    ],
    ids=ascii,
)
def test_a_header_that_is_not_exactly_basic_credentials_is_none(header: str | None) -> None:
    assert basic_credentials(header) is None


def test_a_header_may_be_a_kilobyte_and_no_byte_longer() -> None:
    header = credentials("Paycom:" + "k" * 753)
    assert len(header) == 1022
    assert basic_credentials(header + "  ") is not None
    assert basic_credentials(header + "   ") is None


@given(
    st.text(max_size=60)
    | st.text(max_size=60).map("Basic ".__add__)
    | st.binary(max_size=60).map(lambda raw: "Basic " + b64encode(raw).decode())
)
def test_any_header_at_all_is_credentials_or_none(header: str) -> None:
    read = basic_credentials(header)
    assert read is None or b":" not in read[0]


# The request


@pytest.mark.parametrize(
    ("headers", "readable"),
    [
        ({}, True),
        ({"content-encoding": "identity"}, True),
        ({"content-encoding": "Identity"}, True),
        ({"content-type": "text/plain"}, True),
        ({"content-encoding": "gzip"}, False),
        ({"content-encoding": "br"}, False),
    ],
)
def test_an_encoded_body_is_never_read(headers: dict[str, str], *, readable: bool) -> None:
    assert Inbound("POST", headers, b"{}").readable == (b"{}" if readable else None)


def test_a_body_over_the_limit_is_not_there() -> None:
    assert Inbound("POST", {}, None).readable is None
    assert BODY_LIMIT == 65_536


def test_a_request_shows_neither_its_headers_nor_its_body() -> None:
    shown = repr(Inbound("POST", {"authorization": "Basic canary"}, b"canary"))
    assert shown == "Inbound(method='POST', peer=None)"
