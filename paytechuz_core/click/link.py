"""The link that takes a payer to Click's payment page.

https://docs.click.uz/click-button. A link is not signed: whoever has it may change it, so it proves nothing, and
Prepare checks order and amount again.
"""

from typing import Final, Literal
from urllib.parse import urlencode

from paytechuz_core.money import Tiyin, tiyin_to_som

PAY: Final = "https://my.click.uz/services/pay"


def payment_link(
    service_id: int,
    merchant_id: int,
    amount_tiyin: Tiyin,
    order: str | int,
    *,
    return_url: str | None = None,
    card_type: Literal["uzcard", "humo"] | None = None,
    merchant_user_id: int | None = None,
) -> str:
    """Build the link to pay `amount_tiyin` for `order`, which comes back as `merchant_trans_id`.

    Raises ValueError for an amount that is no positive integer and for an empty order.
    """
    if type(amount_tiyin) is not int or amount_tiyin <= 0:  # True is an int too, and one tiyin is no price
        message = "amount_tiyin must be a positive integer: 5000 som are 500000 tiyin (see som_to_tiyin)"
        raise ValueError(message)
    if not str(order).strip():
        message = "a payment link needs the order it pays for"
        raise ValueError(message)
    parameters = {
        "service_id": service_id,
        "merchant_id": merchant_id,
        "amount": tiyin_to_som(amount_tiyin),
        "transaction_param": order,
        "return_url": return_url,
        "card_type": card_type,
        "merchant_user_id": merchant_user_id,
    }
    return f"{PAY}?{urlencode({name: value for name, value in parameters.items() if value is not None})}"
