"""The link that takes a payer to the checkout page."""

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import checkout_link

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=";"), min_size=1, max_size=20)
NAMES = st.text(st.characters(categories=["L", "N"], include_characters="_"), min_size=1, max_size=8)


def parameters(link: str) -> list[tuple[str, str]]:
    """Read a link as the checkout page does."""
    text = b64decode(link.rpartition(".uz/")[2], validate=True).decode()
    return [(name, value) for name, _, value in (pair.partition("=") for pair in text.split(";"))]


def test_it_is_the_official_example() -> None:
    link = checkout_link("587f72c72cac0d162c722ae2", 500, {"order_id": 197})
    assert link == "https://checkout.paycom.uz/bT01ODdmNzJjNzJjYWMwZDE2MmM3MjJhZTI7YWMub3JkZXJfaWQ9MTk3O2E9NTAw"


def test_the_sandbox_has_a_host_of_its_own() -> None:
    assert checkout_link("m", 1, {"id": 1}, test=True).startswith("https://test.paycom.uz/")


def test_everything_that_the_page_knows_can_be_said() -> None:
    link = checkout_link(
        "m1",
        820,
        {"id": "a", "branch": 0},
        language="uz",
        return_url="https://shop.uz/?x=1",
        return_after=0,
        currency=860,
    )
    assert parameters(link) == [
        ("m", "m1"),
        ("ac.id", "a"),
        ("ac.branch", "0"),
        ("a", "820"),
        ("l", "uz"),
        ("c", "https://shop.uz/?x=1"),
        ("ct", "0"),
        ("cr", "860"),
    ]


@given(PLAIN, st.integers(1, 10**15), st.dictionaries(NAMES, PLAIN | st.integers(), min_size=1, max_size=3))
def test_the_page_reads_what_was_put_in(payme_id: str, amount: int, account: dict[str, str | int]) -> None:
    read = parameters(checkout_link(payme_id, amount, account))
    assert read == [
        ("m", payme_id),
        *((f"ac.{name}", str(value)) for name, value in account.items()),
        ("a", str(amount)),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"payme_id": "m;a=1"},
        {"account": {"id": "1;a=1"}},
        {"account": {"id;a": "1"}},
        {"account": {"id=1;a": "1"}},
        {"account": {"id=1": "1"}},
        {"return_url": "https://shop.uz/;a=1"},
        {"currency": "860;a=1"},
        {"language": "ru;a=1"},
    ],
    ids=str,
)
def test_nothing_in_a_link_can_add_or_override_another_parameter(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"payme_id": "m", "amount_tiyin": 500, "account": {"id": 1}, **wrong}
    with pytest.raises(ValueError, match="';' separates"):
        checkout_link(**given)


@pytest.mark.parametrize("amount", [0, -1, 5000.0, "500", True, None])
def test_a_link_asks_for_a_positive_number_of_whole_tiyin(amount: Any) -> None:
    with pytest.raises(ValueError, match="5000 som are 500000 tiyin"):
        checkout_link("m", amount, {"id": 1})


@pytest.mark.parametrize(
    ("payme_id", "account"), [("", {"id": 1}), ("m", {}), ("m", {"id": None}), ("m", {"id": 1, "branch": ""})]
)
def test_a_link_names_the_cash_register_and_the_account(payme_id: str, account: dict[str, Any]) -> None:
    """An order that is not saved yet has the id None."""
    with pytest.raises(ValueError, match="at least one account field"):
        checkout_link(payme_id, 500, account)
