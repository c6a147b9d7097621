"""The extension: routes made from `app.config["PAYTECHUZ"]`, and checked before the first call comes.

    app.config["PAYTECHUZ"] = {
        "PAYME": {"PAYME_ID": "…", "PAYME_KEY": "…", "ACCOUNT_MODEL": "shop.models:Order", "HANDLER": ShopPayme},
        "CLICK": {"SERVICE_ID": 12345, "SECRET_KEY": "…", "ACCOUNT_MODEL": Order, "HANDLER": "shop.payments:ShopClick"},
    }
    PayTechUZ(app)

The settings are the handlers', in capitals. `HANDLER` is the merchant's subclass; like `ACCOUNT_MODEL` it may be the
path of one. `URL` is the route, `SESSION` what gives each request its session.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import isgeneratorfunction, unwrap
from typing import Any, Final

from flask import Blueprint, Flask, Response, request
from sqlalchemy.orm import Session, scoped_session

from paytechuz_core.handler import OTHER_METHODS
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.settings import keywords_of, named, sections
from paytechuz_flask.commands import commands
from paytechuz_flask.webhook import ClickWebhookHandler, PaymeWebhookHandler

CONFIG: Final = 'app.config["PAYTECHUZ"]'
PROVIDERS: Final[Mapping[str, type[Any]]] = {"PAYME": PaymeWebhookHandler, "CLICK": ClickWebhookHandler}


class PayTechUZ:
    """Payments in a Flask application: `PayTechUZ(app)`, or `payments = PayTechUZ()` and `payments.init_app(app)`.

    The routes answer every HTTP method, as the protocols want it. They are the blueprint `paytechuz`, with the
    endpoints `paytechuz.payme` and `paytechuz.click`. Flask-SQLAlchemy, where it is used, is set up first.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make the routes; `ConfigurationError` names a setting that cannot work, and its fix."""
        blueprint, routes = Blueprint("paytechuz", __name__), {}
        for provider, given in sections(CONFIG, app.config.get("PAYTECHUZ") or None).items():
            routes[provider] = route = route_of(app, provider, given)
            name, methods = provider.lower(), ["POST", *OTHER_METHODS]
            blueprint.add_url_rule(route.url, name, route.answer, methods=methods, provide_automatic_options=False)
        app.register_blueprint(blueprint)
        app.cli.add_command(commands)
        app.extensions["paytechuz"] = routes


@dataclass(frozen=True, eq=False)
class Route:
    """One provider's route; `answer` is its view."""

    url: str
    handler: type[Any]
    session: Callable[[], Any]
    settings: Mapping[str, Any] = field(repr=False)

    def answer(self) -> Response:
        """Answer the request with a handler and a session of its own."""
        with self.made() as handler:
            response: Response = handler.handle_webhook(request)
            return response

    @contextmanager
    def made(self) -> Iterator[Any]:
        """Make a handler with a session of its own."""
        with opened(self.session) as db:
            yield self.handler(db, **self.settings)


@contextmanager
def opened(session: Callable[[], Any]) -> Iterator[Any]:
    """Give the request's session, and close it unless it is a scoped one, which its owner removes."""
    db = session if isinstance(session, scoped_session) else session()
    try:
        yield db
    finally:
        if isinstance(db, Session):
            db.close()


def route_of(app: Flask, provider: str, given: Mapping[str, Any]) -> Route:
    """Read and check one provider's settings."""
    where, base, url = f"PAYTECHUZ[{provider!r}]", PROVIDERS[provider], f"/payments/{provider.lower()}/webhook"
    told = keywords_of(base, {"URL": url, "SESSION": None, **given}, where, also=("handler", "session", "url"))
    handler, session, url = named(f"{where} HANDLER", told.pop("handler")), told.pop("session"), told.pop("url")
    for model in {"account_model", "payment_model"} & told.keys():
        told[model] = named(f"{where} {model.upper()}", told[model])
    if not (isinstance(handler, type) and issubclass(handler, base)):
        message = f"{where} HANDLER must be a subclass of paytechuz_flask.{base.__name__}, not {handler!r}"
        raise ConfigurationError(message)
    if session is None:
        session = getattr(app.extensions.get("sqlalchemy"), "session", None)
    if not callable(session) or isgeneratorfunction(unwrap(session)):  # a FastAPI dependency, or a @contextmanager
        message = (
            f"{where} SESSION must give each request a session, such as sessionmaker(bind=engine), not {session!r}; "
            "with Flask-SQLAlchemy it may be left out, and db.init_app(app) comes before PayTechUZ(app)"
        )
        raise ConfigurationError(message)
    if not (isinstance(url, str) and url.startswith("/")):
        message = f"{where} URL must be a path that begins with '/', not {url!r}"
        raise ConfigurationError(message)
    handler(Session(), **told)  # made once for nothing, so that a wrong setting is told at start
    return Route(url, handler, session, told)
