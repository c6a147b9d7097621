"""The keys are canaries: sent along every path, and looked for in all that comes out.

In all answers and log lines of the other tests here they are looked for as well (`conftest`); and where a command or
the admin prints, beside its own tests. Here is what nobody prints on purpose: what a log's traceback, an error's text,
a debug page or a tool that reports errors with the variables of each frame would show.
"""

import asyncio
import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from pprint import pformat
from types import TracebackType
from typing import Annotated, Any, Final

import httpx
import pytest
from django.test import RequestFactory, override_settings
from django.views.debug import SafeExceptionReporterFilter, technical_500_response
from fastapi import Depends, FastAPI, Request, Response
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from paytechuz.integrations import django, fastapi, flask
from paytechuz_core import ConfigurationError, Inbound, Refused
from tests.core import click_wire
from tests.http.click import Click
from tests.http.clients import KEY, NOON, SECRET, TIYIN, Client, FlaskSync, Order, WsgiTransport, basic
from tests.http.django import DjangoClient

Open = Callable[..., Client]

NEW: Final = "canary#New:key-that-payme-sends"
"""What ChangePassword brings, a canary too."""

CANARIES: Final = {
    form
    for key in (KEY, SECRET, NEW)
    for form in (key, repr(key)[1:-1], json.dumps(key)[1:-1], b64encode(f"Paycom:{key}".encode()).decode())
}


def found(output: str) -> set[str]:
    """Give the canaries that are in what came out; what HTML escapes has none of our letters but these."""
    plain = output.replace("&amp;", "&").replace("&#x27;", "'").replace("&quot;", '"')
    return {canary for canary in CANARIES if canary in plain}


@pytest.mark.parametrize("output", [f"key={KEY}", repr({"key": SECRET}), json.dumps([NEW]), str({"a": basic(KEY)})])
def test_a_canary_is_found(output: str) -> None:
    """The negative control of all the others."""
    assert found(output)


# What a shop does with its keys


def failing(name: str, error: Callable[[], BaseException]) -> Any:
    """A hook that fails, with everything it has within reach."""

    def hook(self: Any, params: Any, *others: Any) -> Any:
        everything = self, params, others  # noqa: F841 - is in the frame
        raise error()

    hook.__name__ = name
    return hook


def log_of(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """Give all that was logged, as a formatter writes it, and as a tool that collects variables does."""
    formatter = logging.Formatter()
    for record in caplog.get_records("call"):
        if record.name.startswith("paytechuz"):
            yield formatter.format(record)
            if record.exc_info and record.exc_info[2] is not None:
                yield "\n".join(ours(record.exc_info[2]))


def ours(trace: TracebackType | None) -> Iterator[str]:
    """Show the variables of every frame that is the library's own, as tools that report errors show them."""
    for frame, _ in traceback.walk_tb(trace):
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("paytechuz"):
            yield f"{module}.{frame.f_code.co_name}: {pformat(frame.f_locals)}"


def every_path(shop: Client) -> Iterator[str]:
    """Send the keys along every path, and give every answer."""
    order = shop.database.order()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("CheckPerformTransaction", {"amount": TIYIN, "account": {"order_id": str(order)}}),
        ("CreateTransaction", {"id": "a", "time": NOON, "amount": TIYIN, "account": {"order_id": str(order)}}),
        ("PerformTransaction", {"id": "a"}),
        ("CheckTransaction", {"id": "a"}),
        ("CancelTransaction", {"id": "a", "reason": 5}),
        ("GetStatement", {"from": 1, "to": 2}),
        ("SetFiscalData", {"id": "a", "type": "PERFORM", "fiscal_data": {"receipt_id": 1}}),
        ("ChangePassword", {"password": NEW}),
        ("ChangePassword", {"password": KEY}),
        ("ChangePassword", {"password": {"of": NEW}}),
        ("CheckTransaction", {"id": 5}),
        ("Unknown", {}),
    ]
    headers = [
        basic(KEY), basic(KEY, "paycom"), basic(KEY + " "), f"Bearer {KEY}", basic(KEY).replace("=", ""), KEY,
        f"Basic {KEY}",
    ]  # fmt: skip
    for method, params in calls:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        for header in headers:
            yield shop.send(body, {"Authorization": header}).body.decode()
    for body in (b"", b"{", b"[]", b"{}", b'{"id": 1}', b"\xff", b" " * 70_000):
        yield shop.send(body).body.decode()
    yield shop.send(b"{}", {"Authorization": basic(KEY), "Content-Encoding": "gzip"}).body.decode()
    yield shop.send(b"{}", method="GET").body.decode()
    provider = Click(shop)
    for form in (
        click_wire.prepare(SECRET, merchant_trans_id=order),
        click_wire.complete(SECRET, merchant_trans_id=order),
    ):
        for name in form:
            for value in (None, "", "x"):
                spoiled = {key: each for key, each in {**form, name: value}.items() if each is not None}
                yield provider.form(spoiled).body.decode()
        yield provider.form(form).body.decode()


HOOKS: Final = (
    "before_check_perform_transaction", "get_check_data", "get_receivers", "transaction_created",
    "successfully_payment", "cancelled_payment", "check_transaction", "get_statement", "can_reverse", "change_password",
)  # fmt: skip
ERRORS: Final[dict[str, Any]] = {
    "well": None,
    "bug": RuntimeError,
    "refused": lambda: Refused("no"),
    "misconfigured": lambda: ConfigurationError("no"),
}


@pytest.mark.parametrize("how", ERRORS)
def test_no_path_gives_a_key_away(open_shop: Open, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """However the hooks end."""
    habits = [] if ERRORS[how] is None else [failing(name, ERRORS[how]) for name in HOOKS]
    keys = {"settings": {"payme_key": ["old", KEY]}, "click_settings": {"secret_key": ["old", SECRET]}}
    shop = open_shop(habits=habits, **keys)
    answers = "".join(every_path(shop))
    assert "error" in answers
    assert not found(answers)
    assert not found(repr(shop.database.payments()))  # which the admin, statements and exports show
    logged = "\n".join(log_of(caplog))
    assert not found(logged)
    assert ("nothing was saved" in logged) == (how in {"bug", "misconfigured"})


def test_keys_that_cannot_be_read_are_not_told(open_shop: Open, caplog: pytest.LogCaptureFixture) -> None:
    def keys() -> Any:
        raise OSError

    shop = open_shop(settings={"payme_key": keys}, click_settings={"secret_key": keys})
    assert not found("".join(every_path(shop)))
    assert "OSError" in caplog.text
    assert not found(caplog.text)


# What is shown where somebody looks


def shown(thing: Any) -> str:
    return f"{thing!r} {thing} {pformat(thing)}"


def test_a_handler_and_what_it_is_made_of_show_no_key(open_shop: Open) -> None:
    shop = open_shop(settings={"payme_key": [KEY, "other"]})
    with Session(create_engine("sqlite://")) as db:
        for handler, key in ((shop.handler, KEY), (shop.click_handler, SECRET)):
            if isinstance(shop, DjangoClient):
                view = handler(None)
                made = view.view_class(**view.view_initkwargs)
            elif shop.is_async:
                continue
            else:
                made = handler(db)
            valid = made.gateway.keys if key == KEY else made.gateway.secrets
            assert key in valid()
            assert not found(shown(made) + shown(made.gateway) + shown(vars(made)) + shown(made.gateway.callers))


def test_a_request_and_a_call_show_no_key() -> None:
    payme = fastapi_gateway()
    body = json.dumps({"id": 1, "method": "ChangePassword", "params": {"password": NEW}}).encode()
    inbound = Inbound("POST", {"authorization": basic(KEY)}, body)
    call = payme.parse(inbound)
    assert call.request.password == NEW
    assert not found(shown(inbound) + shown(call) + shown(call.request))
    form = click_wire.prepare()
    request = Inbound("POST", {}, click_wire.encoded(form))
    assert form["sign_string"] not in shown(request) + shown(click_wire.CLICK.parse(request))


def fastapi_gateway() -> Any:
    class Shop(fastapi.PaymeWebhookHandler):
        """Stores a new key."""

        def change_password(self, params: Any) -> None:
            """Forget it."""

    with Session() as db:
        return Shop(db=db, payme_id="1", payme_key=KEY, account_model=Order).gateway


# Settings that are wrong, and pages that show errors

WRONG: Final[list[dict[str, Any]]] = [
    {"account_field": ()}, {"account_field": [5]}, {"account_column": "nothing"}, {"account_model": "orders.Order"},
    {"account_model": None}, {"amount_field": "nothing"}, {"one_time_payment": "False"}, {"minimum": 1.5},
    {"minimum": 2, "maximum": 1}, {"clock": 5}, {"allowed_addresses": KEY.split("#")[0]}, {"trusted_proxies": "x"},
]  # fmt: skip
WRONG_PAYME: Final[list[dict[str, Any]]] = [
    {"payme_id": ""}, {"payme_key": [KEY, ""]}, {"payme_key": [KEY, 5]}, {"payme_key": KEY.encode()}, {"login": ""},
    {"held_code": 1}, {"messages": {5: 5}}, {"messages": {5: {"en": "x"}}},
]  # fmt: skip
WRONG_CLICK: Final[list[dict[str, Any]]] = [
    {"service_id": SECRET}, {"secret_key": [SECRET, ""]}, {"secret_key": SECRET.encode()}, {"commission_percent": 1.5},
    {"action": 5}, {"lifetime": 5}, {"account_field": ["a", "b"]},
]  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_PAYME], ids=str)
def test_no_wrong_setting_of_paymes_tells_a_key(open_shop: Open, wrong: dict[str, Any]) -> None:
    shop = open_shop(settings=wrong)
    with pytest.raises(ConfigurationError) as raised, Session(create_engine("sqlite://")) as db:
        made(shop, shop.handler, db)
    assert not found(shown(raised.value))


@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_CLICK], ids=str)
def test_no_wrong_setting_of_clicks_tells_a_key(open_shop: Open, wrong: dict[str, Any]) -> None:
    shop = open_shop(click_settings=wrong)
    with pytest.raises(ConfigurationError) as raised, Session(create_engine("sqlite://")) as db:
        made(shop, shop.click_handler, db)
    assert not found(shown(raised.value))


def made(shop: Client, handler: Callable[[Any], Any], db: Session) -> None:
    """Make a handler, of whatever kind."""
    if shop.is_async:
        from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415 - of this kind only

        handler(AsyncSession())
    elif isinstance(shop, DjangoClient):
        view = handler(None)
        view.view_class(**view.view_initkwargs)
    else:
        handler(db)


@pytest.mark.clients.with_args(DjangoClient)
@pytest.mark.parametrize("where", ["settings", "as_view", "class"])
@pytest.mark.parametrize("wrong", [{"held_code": 1}, {"account_field": ()}, {"unknown": 1}], ids=str)
def test_djangos_debug_page_shows_no_key(shop: Client, where: str, wrong: dict[str, Any]) -> None:
    del shop
    keys = {"payme_key": KEY, "test_key": NEW}
    usual = {"payme_id": "1", "account_model": "shop.Order"}
    places: dict[str, dict[str, Any]] = {"settings": {**usual, **wrong}, "as_view": {}, "class": {}}
    places[where].update(keys)
    config = {"PAYME": {name.upper(): value for name, value in places["settings"].items()}}
    shops: Any = type("ShopPayme", (django.PaymeWebhookView,), places["class"])
    view = shops.as_view(**places["as_view"])
    # Older releases of Django show this header to whoever sees the page.
    hides = "AUTH" in SafeExceptionReporterFilter.hidden_settings.pattern
    headers = {"authorization": basic(KEY)} if hides else {}
    request = RequestFactory().post("/payme", b"{}", "application/json", headers=headers)
    with override_settings(DEBUG=True, PAYTECHUZ=config):
        page = page_of(view, request)
    assert "ConfigurationError" in page
    assert "PAYTECHUZ" in page
    assert not found(page)


def page_of(view: Callable[[Any], Any], request: Any) -> str:
    """Give the page that Django shows; the frames begin with this one, which knows no key."""
    try:
        view(request)
    except ConfigurationError as error:
        return technical_500_response(request, type(error), error, error.__traceback__).content.decode()
    pytest.fail("nothing is wrong")


@pytest.mark.clients.with_args(FlaskSync)
def test_flasks_debugger_shows_no_key(shop: Client) -> None:
    from werkzeug.debug import DebuggedApplication  # noqa: PLC0415 - of this test only

    assert isinstance(shop.app, Flask)
    shop.settings = {"held_code": 1}
    shop.app.config["PROPAGATE_EXCEPTIONS"] = True
    with httpx.Client(transport=WsgiTransport(DebuggedApplication(shop.app)), base_url="http://localhost") as http:
        page = http.post("/payme", content=b"{}", headers={"Authorization": basic(KEY)})
    assert page.status_code == 500
    assert "ConfigurationError" in page.text
    assert not found(page.text)


def test_flasks_extension_shows_no_key() -> None:
    app = Flask("shop")
    session = sessionmaker()
    payme = {
        "PAYME_ID": "1",
        "PAYME_KEY": KEY,
        "ACCOUNT_MODEL": Order,
        "HANDLER": flask.PaymeWebhookHandler,
        "SESSION": session,
    }
    app.config["PAYTECHUZ"] = {"PAYME": payme}
    flask.PayTechUZ(app)
    assert app.extensions["paytechuz"]
    assert not found(shown(app.extensions["paytechuz"]) + shown(app.url_map) + shown(app.view_functions))
    for wrong in ({"HELD_CODE": 1}, {"HANDLER": int}, {"SESSION": 5}, {"URL": "x"}, {"UNKNOWN": 1}, {"PAYME_ID": ""}):
        other = Flask("shop")
        other.config["PAYTECHUZ"] = {"PAYME": {**payme, **wrong}}
        with pytest.raises(ConfigurationError) as raised:
            flask.PayTechUZ(other)
        assert not found(shown(raised.value))


def test_fastapis_debug_page_and_its_document_show_no_key() -> None:
    def get_db() -> Iterator[Session]:
        with Session() as db:
            yield db

    right: dict[str, Any] = {"payme_id": "1", "payme_key": KEY, "account_model": Order}
    router = fastapi.payme_router(fastapi.PaymeWebhookHandler, get_db, **right)
    clicks = fastapi.click_router(
        fastapi.ClickWebhookHandler, get_db, service_id=5, secret_key=SECRET, account_model=Order
    )
    app = FastAPI(debug=True)
    app.include_router(router)
    app.include_router(clicks)
    assert not found(json.dumps(app.openapi()) + shown(app.routes) + shown(router))

    @app.post("/wrong")
    async def webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
        return await fastapi.PaymeWebhookHandler(db, **right, held_code=1).handle_webhook(request)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
            headers = {"Authorization": basic(KEY), "Accept": "text/html"}
            return await http.post("/wrong", content=b"{}", headers=headers)

    page = asyncio.run(ask())
    assert page.status_code == 500
    assert "ConfigurationError" in page.text
    assert not found(page.text)
