"""What a payer typed is a key of the merchant's account, in its one spelling, or no account at all."""

from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core.accounts import parse_key, restore_key
from paytechuz_core.transaction import Key
from tests.core.strategies import JSON

BIGINT: Final = 2**63 - 1


@given(st.integers(0, 10**18 - 1), st.integers(0, BIGINT))
def test_a_number_is_a_key_up_to_the_largest_that_its_column_holds(number: int, limit: int) -> None:
    expected = number if number <= limit else None
    assert parse_key(int, number, limit) == expected
    assert parse_key(int, str(number), limit) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "007",
        "00",
        "1.5",
        "1e3",
        "+1",
        "-1",
        -1,
        " 7",
        "7 ",
        "7\n",
        "",
        "²",
        "٣",
        "\uff17",
        "0x7",
        "1_000",
        "9" * 20,
        "7" * 300,
    ],
    ids=ascii,
)
def test_a_number_has_one_spelling(typed: object) -> None:
    assert parse_key(int, typed, BIGINT) is None


@pytest.mark.parametrize("kind", [int, str, UUID])
@pytest.mark.parametrize("value", [None, True, False, 1.0, [], {}, ["7"]])
def test_only_text_and_whole_numbers_can_be_keys(kind: type, value: object) -> None:
    assert parse_key(kind, value, BIGINT) is None


@given(st.uuids())
def test_a_uuid_has_one_spelling(key: UUID) -> None:
    assert parse_key(UUID, str(key), 36) == key
    for other in (str(key).upper(), key.hex, f"{{{key}}}", key.urn, f" {key}", str(key)[:-1]):
        assert parse_key(UUID, other, 36) in (None, key if other == str(key) else None)


@pytest.mark.parametrize("typed", ["", "7", 7, "not-a-uuid", "g" * 32, "6f9619ff-8b86-d011-b42d-00c04fc964f٣"])
def test_what_is_no_uuid_is_no_key(typed: object) -> None:
    assert parse_key(UUID, typed, 36) is None


@given(st.text(min_size=1, max_size=300), st.integers(1, 300))
def test_a_text_is_a_key_as_long_as_its_column_holds_it(text: str, limit: int) -> None:
    assert parse_key(str, text, limit) == (text if len(text) <= min(limit, 255) else None)


def test_no_text_key_is_longer_than_the_column_that_stores_it() -> None:
    assert parse_key(str, "x" * 255, 4000) == "x" * 255
    assert parse_key(str, "x" * 256, 4000) is None


def test_a_text_key_may_look_like_a_number_and_stays_a_text() -> None:
    assert parse_key(str, 7, 10) == "7"
    assert parse_key(str, "007", 10) == "007"
    assert parse_key(str, "", 10) is None


@given(
    st.sampled_from([int, str, UUID]), JSON | st.text() | st.integers() | st.uuids().map(str), st.integers(1, BIGINT)
)
def test_whatever_is_typed_is_a_key_of_its_type_or_none(kind: type, typed: Any, limit: int) -> None:
    key = parse_key(kind, typed, limit)
    assert key is None or (type(key) is kind and str(key) == str(typed))


@given(st.integers(0, BIGINT) | st.text() | st.uuids())
def test_a_key_stored_as_text_comes_back_in_its_own_type(key: Key) -> None:
    restored = restore_key(type(key), str(key))
    assert restored == key
    assert type(restored) is type(key)


@pytest.mark.parametrize("text", ["", "an-order", "007", " 7", "+7", "1_000", "\uff17", "1.5", "{7}"], ids=ascii)
@pytest.mark.parametrize("kind", [int, UUID])
def test_a_text_that_is_no_key_of_this_handler_stays_a_text(kind: type, text: str) -> None:
    """It is another handler's account, whose transactions stand in the same statement: `007` is not its 7."""
    assert restore_key(kind, text) == text
