"""The link to Click's payment page: the documented parameters, each exactly as given, and nothing else."""

from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import payment_link
from paytechuz_core.money import som_to_tiyin

SERVICE, MERCHANT = 12345, 6789
BASE: Final = "https://my.click.uz/services/pay"


def parameters(link: str) -> dict[str, str]:
    """Read a link as Click does; every parameter must come once."""
    parts = urlsplit(link)
    assert (f"{parts.scheme}://{parts.netloc}{parts.path}", parts.fragment) == (BASE, "")
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_a_link_is_as_the_page_writes_it() -> None:
    assert payment_link(SERVICE, MERCHANT, 500_000, "ORD-77") == (
        f"{BASE}?service_id=12345&merchant_id=6789&amount=5000.00&transaction_param=ORD-77"
    )


def test_everything_that_is_optional_may_be_given() -> None:
    link = payment_link(
        SERVICE, MERCHANT, 500_000, 77, return_url="https://shop.uz/paid?order=77&x=1#done", card_type="humo",
        merchant_user_id=11,
    )  # fmt: skip
    assert parameters(link) == {
        "service_id": "12345",
        "merchant_id": "6789",
        "amount": "5000.00",
        "transaction_param": "77",
        "return_url": "https://shop.uz/paid?order=77&x=1#done",
        "card_type": "humo",
        "merchant_user_id": "11",
    }


@pytest.mark.parametrize(
    ("tiyin", "som"),
    [(1, "0.01"), (10, "0.10"), (100, "1.00"), (435, "4.35"), (820, "8.20"), (100_000_001, "1000000.01"),
     (10**17 + 1, "1000000000000000.01"), (10**12, "10000000000.00")],
)  # fmt: skip
def test_the_amount_has_a_point_and_two_digits_and_no_exponent(tiyin: int, som: str) -> None:
    assert parameters(payment_link(SERVICE, MERCHANT, tiyin, "1"))["amount"] == som


@given(st.integers(1, 10**20))
def test_the_amount_is_exact(tiyin: int) -> None:
    assert som_to_tiyin(parameters(payment_link(SERVICE, MERCHANT, tiyin, "1"))["amount"]) == tiyin


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), st.text(max_size=20))
def test_no_order_and_no_return_address_can_add_or_change_a_parameter(order: str, url: str) -> None:
    url = url.encode("utf-8", "ignore").decode()
    found = parameters(payment_link(SERVICE, MERCHANT, 1, order, return_url=url))
    assert found == {
        "service_id": "12345",
        "merchant_id": "6789",
        "amount": "0.01",
        "transaction_param": order,
        "return_url": url,
    }


@pytest.mark.parametrize("order", ["1&amount=1", "1;amount=1", "1#", "1?x", "a b", "заказ-№7", "100%", "a+b"])
def test_an_order_with_signs_of_its_own_stays_one_order(order: str) -> None:
    assert parameters(payment_link(SERVICE, MERCHANT, 500_000, order))["transaction_param"] == order


@pytest.mark.parametrize("amount", [0, -1, 5000.0, "500000", True, None])
def test_what_is_no_number_of_tiyin_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="5000 som are 500000 tiyin"):
        payment_link(SERVICE, MERCHANT, amount, "1")


@pytest.mark.parametrize("order", ["", " ", "\t\n"])
def test_a_link_without_an_order_is_refused(order: str) -> None:
    with pytest.raises(ValueError, match="needs the order"):
        payment_link(SERVICE, MERCHANT, 1, order)
