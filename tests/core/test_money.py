"""Money is counted exactly, or not at all."""

import math
from decimal import ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import som_to_tiyin, tiyin_to_som


@given(st.integers(-(10**30), 10**30))
def test_tiyin_survive_the_way_to_som_and_back(tiyin: int) -> None:
    som = tiyin_to_som(tiyin)
    assert som_to_tiyin(som) == som_to_tiyin(str(som)) == tiyin
    assert str(som).partition(".")[2].isdigit()
    assert len(str(som).partition(".")[2]) == 2


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_amount_of_som_is_counted_exactly_or_refused(som: Decimal) -> None:
    try:
        tiyin = som_to_tiyin(som)
    except ValueError:
        numerator, denominator = som.as_integer_ratio()
        assert numerator * 100 % denominator or abs(som) > 10**30
    else:
        numerator, denominator = som.as_integer_ratio()
        assert tiyin * denominator == numerator * 100
        assert type(tiyin) is int


@pytest.mark.parametrize(
    ("som", "tiyin"),
    [
        ("9" * 38 + ".99", int("9" * 40)),
        ("8.20", 820),
        ("4.35", 435),
        ("0.1", 10),
        ("0", 0),
        (5000, 500_000),
        (Decimal("5000.00"), 500_000),
        ("5E+3", 500_000),
        (Decimal("8.2000"), 820),
        ("-0.01", -1),
        (Decimal("999999999999.99"), 99_999_999_999_999),
    ],
)
def test_som_becomes_tiyin(som: Decimal | int | str, tiyin: int) -> None:
    assert som_to_tiyin(som) == tiyin


@pytest.mark.parametrize("som", [8.2, 5000.0, math.nan, True, False, None, b"8.20", [8], 8 + 0j])
def test_a_float_is_refused_wherever_money_enters(som: object) -> None:
    with pytest.raises(ValueError, match="must be a Decimal"):
        som_to_tiyin(som)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "som", ["", "som", "8,20", "0x10", "1e999999", "1e-999999", Decimal("sNaN"), "1" * 41 + ".005", "9" * 39 + ".99"]
)
def test_what_is_no_number_of_som_is_refused(som: Decimal | str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        som_to_tiyin(som)


@pytest.mark.parametrize("som", ["0.001", "8.205", "NaN", "Infinity", "-Infinity", Decimal("0.0000001")])
def test_a_fraction_of_a_tiyin_and_what_is_not_finite_are_refused(som: Decimal | str) -> None:
    with pytest.raises(ValueError, match="finite number of whole tiyin"):
        som_to_tiyin(som)


def test_the_precision_that_a_program_sets_for_itself_does_not_round_payments() -> None:
    with localcontext() as context:
        context.prec, context.rounding = 3, ROUND_UP
        assert som_to_tiyin(Decimal("12345678.90")) == 1_234_567_890
        assert str(tiyin_to_som(1_234_567_890)) == "12345678.90"
