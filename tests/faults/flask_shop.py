"""The shop that suffers, written with Flask; gunicorn calls `make_app`."""

import os

from flask import Flask, Response, request
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from paytechuz.integrations.flask import PaymeWebhookHandler
from tests.faults.shop import DATABASE, SETTINGS, WEBHOOK
from tests.sql.shop import Counts


class ShopPayme(Counts, PaymeWebhookHandler):
    """The documentation's handler; its hooks also count."""


def make_app() -> Flask:
    """Build the application."""
    engine = create_engine(os.environ[DATABASE], pool_pre_ping=True)
    app = Flask("shop")

    @app.post(WEBHOOK)
    def payme_webhook() -> Response:
        with Session(engine) as db:
            return ShopPayme(db=db, **SETTINGS).handle_webhook(request)

    return app
