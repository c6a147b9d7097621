"""The documented path of the Django adapter: `from paytechuz.integrations.django import PaymeWebhookView`."""

from paytechuz_core import (
    ConfigurationError,
    Reason,
    Refused,
    State,
    Transaction,
    checkout_link,
    payment_link,
)
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.signals import payment_cancelled, payment_created, payment_succeeded
from paytechuz_django.views import ClickWebhookView, PaymeWebhookView

__all__ = [
    "ClickWebhookView",
    "ConfigurationError",
    "PaymeWebhookView",
    "PaymentTransaction",
    "Reason",
    "Refused",
    "State",
    "Transaction",
    "checkout_link",
    "payment_cancelled",
    "payment_created",
    "payment_link",
    "payment_succeeded",
]
