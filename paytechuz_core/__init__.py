"""paytechuz_core: what a payment may do, decided by pure functions.

Start with `transaction` (a transaction's life), then `payme.gateway` (a provider's protocol), then `engine` (how a
request is answered). `repository` is the interface to implement for a storage of your own.
"""

from paytechuz_core.addresses import PAYME_ADDRESSES
from paytechuz_core.click import Click, payment_link
from paytechuz_core.decision import Refused
from paytechuz_core.engine import arespond, respond
from paytechuz_core.hooks import Hooks, call_hook
from paytechuz_core.inbound import Inbound
from paytechuz_core.memory import Memory
from paytechuz_core.money import som_to_tiyin, tiyin_to_som
from paytechuz_core.payme import Payme, checkout_link
from paytechuz_core.repository import AsyncRepository, ConfigurationError, Conflict, Repository
from paytechuz_core.transaction import Account, Change, Reason, State, Transaction

__all__ = [
    "PAYME_ADDRESSES",
    "Account",
    "AsyncRepository",
    "Change",
    "Click",
    "ConfigurationError",
    "Conflict",
    "Hooks",
    "Inbound",
    "Memory",
    "Payme",
    "Reason",
    "Refused",
    "Repository",
    "State",
    "Transaction",
    "arespond",
    "call_hook",
    "checkout_link",
    "payment_link",
    "respond",
    "som_to_tiyin",
    "tiyin_to_som",
]
