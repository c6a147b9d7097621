"""What a payment did, told after COMMIT to whoever listens.

    @receiver(payment_succeeded)
    def send_receipt(sender, transaction, params, **kwargs): ...

`sender` is the view class, `transaction` a detached `Transaction`, `params` the provider's request. A signal is sent at
most once, and an error in a receiver is only logged (by `django.dispatch`): what must commit together with the payment
belongs into a hook of the view.
"""

from collections.abc import Mapping
from typing import Final

from django.dispatch import Signal

from paytechuz_core.decision import Hook

payment_created = Signal()
payment_succeeded = Signal()
payment_cancelled = Signal()

BY_MOVE: Final[Mapping[Hook, Signal]] = {
    Hook.TRANSACTION_CREATED: payment_created,
    Hook.SUCCESSFULLY_PAYMENT: payment_succeeded,
    Hook.CANCELLED_PAYMENT: payment_cancelled,
}
"""Which move each of them tells of, by the hook that tells of it before COMMIT."""
