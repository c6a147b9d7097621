"""What a merchant adds to Payme's answers must add up before it leaves."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core.payme.detail import check_data, split

LINE: Final[dict[str, Any]] = {
    "title": "Book",
    "price": 250_000,
    "count": 2,
    "code": "00702001001000001",
    "units": 241092,
    "vat_percent": 12,
    "package_code": "123456",
}
DETAIL: Final[dict[str, Any]] = {"receipt_type": 0, "items": [LINE]}


def detail(**line: Any) -> dict[str, Any]:
    return {"detail": {**DETAIL, "items": [{**LINE, **line}]}}


@st.composite
def receipts(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A receipt, and what it adds up to."""
    items, total = [], 0
    for price, count, discount in draw(
        st.lists(st.tuples(*[st.integers(0, 10**6)] * 2, st.integers(0, 10**3)), min_size=1, max_size=4)
    ):
        items.append({**LINE, "price": price, "count": count + 1, "discount": discount})
        total += price * (count + 1) - discount
    shipping = draw(st.none() | st.integers(0, 10**6))
    extra = {} if shipping is None else {"shipping": {"title": "Courier", "price": shipping}}
    return {"receipt_type": 0, "items": items, **extra}, total + (shipping or 0)


@given(receipts(), st.integers(-1, 1))
def test_a_receipt_leaves_exactly_when_its_lines_and_shipping_add_up(
    receipt: tuple[dict[str, Any], int], off: int
) -> None:
    lines, total = receipt
    answer = {"detail": lines, "additional": {"name": "A. Karimov"}}
    if off == 0:
        assert check_data(answer, total) == answer
    else:
        with pytest.raises(ValueError, match=f"add up to {total} tiyin"):
            check_data(answer, total + off)


@pytest.mark.parametrize("answer", [{}, {"additional": {"balance": 5}}, {"detail": None}, {"anything": ["else"]}])
def test_a_receipt_is_not_required(answer: dict[str, Any]) -> None:
    assert check_data(answer, 500_000) == answer


@pytest.mark.parametrize(
    "line",
    [
        {"title": ""},
        {"price": -1},
        {"price": 2500.0},
        {"price": "250000"},
        {"count": 0},
        {"count": 1.5},
        {"count": True},
        {"code": 702},
        {"code": ""},
        {"vat_percent": -1},
        {"vat_percent": None},
        {"package_code": ""},
        {"discount": -1},
        {"discount": 0.5},
    ],
    ids=str,
)
def test_a_line_is_whole_tiyin_and_fully_described(line: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(line))):
        check_data(detail(**line), 500_000)


def test_the_least_of_a_line_is_enough() -> None:
    least = {"title": "A", "price": 0, "count": 1, "code": "0", "vat_percent": 0, "package_code": "0", "discount": 0}
    answer = {"detail": {"receipt_type": 0, "items": [least], "shipping": {"title": "", "price": 0}}}
    assert check_data(answer, 0) == answer


@pytest.mark.parametrize("name", ["title", "price", "count", "code", "vat_percent", "package_code"])
def test_a_line_lacks_nothing(name: str) -> None:
    incomplete = {key: value for key, value in LINE.items() if key != name}
    with pytest.raises(ValueError, match=name):
        check_data({"detail": {**DETAIL, "items": [incomplete]}}, 500_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"items": []},
        {"items": None},
        {"receipt_type": None},
        {"shipping": {"title": "Courier"}},
        {"shipping": {"title": "", "price": -1}},
    ],
)
def test_a_receipt_is_of_a_type_and_has_lines(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        check_data({"detail": {**DETAIL, **wrong}}, 500_000)


@pytest.mark.parametrize(
    "answer", [True, "text", [("detail", DETAIL)], {"allow": False}, {"allow": True, "additional": {}}]
)
def test_a_hook_adds_members_and_never_decides_by_them(answer: Any) -> None:
    """Whether a payment is allowed is no member to set: a hook refuses by raising `Refused`."""
    with pytest.raises(ValueError, match="get_check_data must return"):
        check_data(answer, 500_000)


@pytest.mark.parametrize(
    "value",
    [object(), float("nan"), float("inf"), {1, 2}, b"bytes", "\ud800", {("a",): 1}],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_written_as_json_is_refused_before_anything_is_answered(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        check_data({"additional": {"value": value}}, 500_000)


# Receivers

shares = st.lists(st.tuples(st.text(min_size=1, max_size=24), st.integers(1, 10**9)), min_size=1, max_size=4)


@given(shares, st.integers(-1, 1))
def test_a_split_leaves_exactly_when_it_adds_up(parts: list[tuple[str, int]], off: int) -> None:
    receivers = [{"id": which, "amount": amount} for which, amount in parts]
    total = sum(amount for _, amount in parts)
    if off == 0:
        assert split(receivers, total) == tuple(receivers)
    else:
        with pytest.raises(ValueError, match="must add up"):
            split(receivers, total + off)


@pytest.mark.parametrize(
    "receivers",
    [
        [{"id": "a", "amount": 0}],
        [{"id": "a", "amount": -1}],
        [{"id": "a", "amount": 5.0}],
        [{"id": "a", "amount": "5"}],
        [{"id": "", "amount": 5}],
        [{"id": "a"}],
        [{"amount": 5}],
        [{"id": "a", "amount": 5, "name": "b"}],
        {"id": "a", "amount": 5},
        "a",
        5,
        [None],
    ],
    ids=str,
)
def test_a_receiver_is_a_cash_register_and_a_positive_number_of_tiyin(receivers: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        split(receivers, 5)


def test_a_split_between_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="must add up"):
        split([], 5)
