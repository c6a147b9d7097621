"""Flask: request in, response out.

    class ShopPayme(PaymeWebhookHandler):
        def successfully_payment(self, params, transaction): ...

    @app.post("/payments/payme/webhook")
    def payme_webhook():
        return ShopPayme(db=db.session, payme_id=…, payme_key=…, account_model=Order).handle_webhook(request)

`db` is Flask-SQLAlchemy's session or any other `Session` that is the request's own. `PayTechUZ(app)` makes the routes
from `app.config["PAYTECHUZ"]` for you.
"""

from paytechuz_core import (
    ConfigurationError,
    Reason,
    Refused,
    State,
    Transaction,
    checkout_link,
    payment_link,
)
from paytechuz_core.sql import PaymentMixin, PaymentTransaction, run_migrations
from paytechuz_flask.extension import PayTechUZ
from paytechuz_flask.webhook import ClickWebhookHandler, PaymeWebhookHandler

__all__ = [
    "ClickWebhookHandler",
    "ConfigurationError",
    "PayTechUZ",
    "PaymeWebhookHandler",
    "PaymentMixin",
    "PaymentTransaction",
    "Reason",
    "Refused",
    "State",
    "Transaction",
    "checkout_link",
    "payment_link",
    "run_migrations",
]
