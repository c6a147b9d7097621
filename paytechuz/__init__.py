"""Payments in Uzbekistan: Payme and Click on the merchant's own server.

The framework's handlers are in `paytechuz.integrations`; here is what a shop needs besides.
"""

from paytechuz_core import (
    PAYME_ADDRESSES,
    ConfigurationError,
    Reason,
    Refused,
    State,
    Transaction,
    checkout_link,
    payment_link,
    som_to_tiyin,
    tiyin_to_som,
)

__all__ = [
    "PAYME_ADDRESSES",
    "ConfigurationError",
    "Reason",
    "Refused",
    "State",
    "Transaction",
    "checkout_link",
    "payment_link",
    "som_to_tiyin",
    "tiyin_to_som",
]
