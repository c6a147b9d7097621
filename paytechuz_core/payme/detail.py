"""What a merchant adds to Payme's answers: fiscal lines and receivers, checked before they leave.

https://developer.help.paycom.uz/metody-merchant-api/checktransaction (`detail`) and /createtransaction (`receivers`).
Nobody states that the lines must add up to the amount, and a receipt that does not is the merchant's to explain; so it
is enforced.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from paytechuz_core.money import Tiyin
from paytechuz_core.transaction import Fields


class Line(BaseModel):
    """One line of a receipt; `price` of one unit and `discount` of the whole line in tiyin."""

    model_config = ConfigDict(strict=True, extra="allow")

    title: str = Field(min_length=1)
    price: int = Field(ge=0)
    count: int = Field(gt=0)
    code: str = Field(min_length=1)
    vat_percent: int = Field(ge=0)
    package_code: str = Field(min_length=1)
    discount: int = Field(default=0, ge=0)


class Shipping(BaseModel):
    """The delivery's price, in tiyin."""

    model_config = ConfigDict(strict=True, extra="allow")

    title: str
    price: int = Field(ge=0)


class Detail(BaseModel):
    """The fiscal `detail` of CheckPerformTransaction's answer."""

    model_config = ConfigDict(strict=True, extra="allow")

    receipt_type: int
    items: list[Line] = Field(min_length=1)
    shipping: Shipping | None = None

    @property
    def total(self) -> Tiyin:
        """What the lines add up to."""
        shipping = 0 if self.shipping is None else self.shipping.price
        return shipping + sum(line.price * line.count - line.discount for line in self.items)


class Receiver(BaseModel):
    """One cash register's share of a split payment, in tiyin."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: str = Field(min_length=1)
    amount: int = Field(gt=0)


RECEIVERS = TypeAdapter(list[Receiver])


def check_data(answer: Any, amount: Tiyin) -> Fields:
    """Check what `get_check_data` returned; ValueError says what is wrong with it."""
    if not isinstance(answer, Mapping) or "allow" in answer:
        message = "get_check_data must return a dict of further members ('additional', 'detail') or None"
        raise ValueError(message)
    json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    if (detail := answer.get("detail")) is not None:
        total = Detail.model_validate(detail).total
        if total != amount:
            message = f"the lines of detail add up to {total} tiyin, but the payment is of {amount}"
            raise ValueError(message)
    return answer


def split(answer: Any, amount: Tiyin) -> tuple[Fields, ...]:
    """Check what `get_receivers` returned; ValueError says what is wrong with it."""
    shares = RECEIVERS.validate_python(answer)
    if sum(share.amount for share in shares) != amount:
        message = f"receivers must add up to the amount of {amount} tiyin"
        raise ValueError(message)
    return tuple(share.model_dump() for share in shares)
