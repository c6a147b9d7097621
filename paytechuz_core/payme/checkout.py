"""The link that takes a payer to Payme's checkout page.

https://developer.help.paycom.uz/initsializatsiya-platezhey/otpravka-cheka-po-metodu-get. A link is not signed: whoever
has it may change it, so it proves nothing, and CheckPerformTransaction checks account and amount again.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final, Literal

from paytechuz_core.money import Tiyin

CHECKOUT: Final = "https://checkout.paycom.uz"
TEST_CHECKOUT: Final = "https://test.paycom.uz"


def checkout_link(
    payme_id: str,
    amount_tiyin: Tiyin,
    account: Mapping[str, str | int],
    *,
    language: Literal["ru", "uz", "en"] | None = None,
    return_url: str | None = None,
    return_after: int | None = None,
    currency: str | int | None = None,
    test: bool = False,
) -> str:
    """Build the link to pay `amount_tiyin` for `account`.

    `payme_id` is the cash register's id or alias, `return_url` where the payer goes afterwards, `return_after` how
    many milliseconds after success, `currency` an ISO code (860 for som). `test` leads to the sandbox. Raises
    ValueError for an amount that is no positive integer, no account, and a `;` in any value: the format knows no way
    to write one, and it would add parameters to the link.
    """
    if type(amount_tiyin) is not int or amount_tiyin <= 0:  # True is an int too, and one tiyin is no price
        message = "amount_tiyin must be a positive integer: 5000 som are 500000 tiyin (see som_to_tiyin)"
        raise ValueError(message)
    if not payme_id or not account or any(value in (None, "") for value in account.values()):
        message = "a checkout link needs payme_id and at least one account field, and a value for each"
        raise ValueError(message)
    parameters = {
        "m": payme_id,
        **{f"ac.{name}": value for name, value in account.items()},
        "a": amount_tiyin,
        "l": language,
        "c": return_url,
        "ct": return_after,
        "cr": currency,
    }
    given = {name: str(value) for name, value in parameters.items() if value is not None}
    for name, value in given.items():
        if ";" in name + value or "=" in name:
            message = f"{name} cannot be put into a checkout link: ';' separates its parameters"
            raise ValueError(message)
    text = ";".join(f"{name}={value}" for name, value in given.items())
    return f"{TEST_CHECKOUT if test else CHECKOUT}/{b64encode(text.encode()).decode()}"
