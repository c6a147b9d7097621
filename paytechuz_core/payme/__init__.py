"""Payme (Paycom): the Merchant API as a gateway, and the checkout link."""

from paytechuz_core.payme.checkout import checkout_link
from paytechuz_core.payme.gateway import Payme

__all__ = ["Payme", "checkout_link"]
