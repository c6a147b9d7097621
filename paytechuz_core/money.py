"""Money: whole tiyin inside, exact som at the edges.

Everything in the core counts in *tiyin* (1 som = 100 tiyin), as plain integers. What people read and type is *som*, as
`Decimal`. A float is refused wherever money enters: `8.20` is not eight som and twenty tiyin, it is
8.199999999999999289457264239899814128875732421875.
"""

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Final, TypeAlias

Tiyin: TypeAlias = int

TIYIN_IN_SOM = 100

EXACT: Final = Context(prec=40, Emin=-40, Emax=40, traps=[InvalidOperation, Inexact, Overflow])
"""Arithmetic that is exact or raises, whatever precision the program around it has set."""


def som_to_tiyin(som: Decimal | int | str) -> Tiyin:
    """Turn an exact amount in som into tiyin: `som_to_tiyin("8.20") == 820`.

    Raises ValueError for what no number of whole tiyin can be: floats, fractions of a tiyin, NaN, infinity, other text.
    """
    if isinstance(som, (float, bool)) or not isinstance(som, (Decimal, int, str)):
        message = f"money must be a Decimal, an int or their text, not {type(som).__name__}"
        raise ValueError(message)
    try:
        tiyin = EXACT.multiply(Decimal(som), TIYIN_IN_SOM)
    except DecimalException:
        message = "money must be a number"
        raise ValueError(message) from None
    if not tiyin.is_finite() or tiyin != (whole := int(tiyin)):
        message = "money must be a finite number of whole tiyin: at most two digits after the point"
        raise ValueError(message)
    return whole


def tiyin_to_som(tiyin: Tiyin) -> Decimal:
    """Turn tiyin into exact som with two digits after the point: `tiyin_to_som(820) == Decimal("8.20")`."""
    return EXACT.scaleb(Decimal(tiyin), -2)
