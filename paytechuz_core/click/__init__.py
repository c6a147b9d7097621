"""Click: the SHOP API (Prepare and Complete) as a gateway, and the payment link."""

from paytechuz_core.click.gateway import Click
from paytechuz_core.click.link import payment_link

__all__ = ["Click", "payment_link"]
