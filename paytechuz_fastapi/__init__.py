"""FastAPI: request in, response out.

    class ShopPayme(PaymeWebhookHandler):
        def successfully_payment(self, params, transaction): ...

    @router.post("/payments/payme/webhook")
    async def payme_webhook(request: Request, db: Session = Depends(get_db)):
        return await ShopPayme(db=db, payme_id=…, payme_key=…, account_model=Order).handle_webhook(request)

With a `Session` the database work runs in threads of the adapter's own, so the event loop never waits; with an
`AsyncSession` use `AsyncPaymeWebhookHandler` and `async def` hooks. Either way the work, once begun, is finished even
when the request is cancelled: half a payment is not an option. `payme_router` makes the route for you.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from paytechuz_core import (
    ConfigurationError,
    Inbound,
    Reason,
    Refused,
    State,
    Transaction,
    checkout_link,
    payment_link,
)
from paytechuz_core.handler import CONSUMED, JSON, OTHER_METHODS
from paytechuz_core.inbound import BODY_LIMIT
from paytechuz_core.observe import log
from paytechuz_core.sql import (
    AsyncSqlHandler,
    ClickSettings,
    PaymentMixin,
    PaymentTransaction,
    PaymeSettings,
    SqlHandler,
    arun_migrations,
    run_migrations,
)
from paytechuz_fastapi.openapi import CLICK_ROUTE, PAYME_ROUTE

__all__ = [
    "AsyncClickWebhookHandler",
    "AsyncPaymeWebhookHandler",
    "ClickWebhookHandler",
    "ConfigurationError",
    "PaymeWebhookHandler",
    "PaymentMixin",
    "PaymentTransaction",
    "Reason",
    "Refused",
    "State",
    "Transaction",
    "arun_migrations",
    "checkout_link",
    "click_router",
    "payme_router",
    "payment_link",
    "run_migrations",
]

T = TypeVar("T")


class ThreadedWebhook(SqlHandler):
    """Answers with a `Session`, in threads of its own."""

    async def handle_webhook(self, request: Request) -> Response:
        """Answer one request: always HTTP 200, as the providers want it."""
        inbound = await read(request)
        if self.db.in_transaction():
            # Its connection may be what a running call waits for, and that call's thread what this one would wait for.
            await finish(to_thread.run_sync(self.release, limiter=limiter_of(inf)))
        limiter = limiter_of(self.threads)
        return Response(await finish(to_thread.run_sync(self.respond, inbound, limiter=limiter)), media_type=JSON)


class AwaitedWebhook(AsyncSqlHandler):
    """Answers with an `AsyncSession`."""

    async def handle_webhook(self, request: Request) -> Response:
        """Answer one request: always HTTP 200, as the providers want it."""
        return Response(await finish(self.respond(await read(request))), media_type=JSON)


class PaymeWebhookHandler(PaymeSettings, ThreadedWebhook):
    """Payme's calls with a `Session`. Subclass it, override the hooks, make one for each request."""


class AsyncPaymeWebhookHandler(PaymeSettings, AwaitedWebhook):
    """Payme's calls with an `AsyncSession`; the hooks may be `async def`."""


class ClickWebhookHandler(ClickSettings, ThreadedWebhook):
    """Click's calls with a `Session`. Subclass it, override the hooks, make one for each request."""


class AsyncClickWebhookHandler(ClickSettings, AwaitedWebhook):
    """Click's calls with an `AsyncSession`; the hooks may be `async def`."""


def payme_router(
    handler: type[PaymeWebhookHandler | AsyncPaymeWebhookHandler],
    get_db: Callable[..., Any],
    *,
    path: str = "/payments/payme/webhook",
    **settings: Any,
) -> APIRouter:
    """Make the route: `app.include_router(payme_router(ShopPayme, get_db, payme_id=…, payme_key=…,
    account_model=Order))`.

    `settings` are the handler's; what cannot work is said here, at start. The route answers every HTTP method, as the
    protocol wants it, and describes itself in OpenAPI.
    """
    return router_of(handler, get_db, path, settings, PAYME_ROUTE)


def click_router(
    handler: type[ClickWebhookHandler | AsyncClickWebhookHandler],
    get_db: Callable[..., Any],
    *,
    path: str = "/payments/click/webhook",
    **settings: Any,
) -> APIRouter:
    """Make the route: `click_router(ShopClick, get_db, service_id=…, secret_key=…, account_model=Order)`.

    One URL serves both actions; for one each, make two routers with `action=0` and `action=1`. Otherwise as
    `payme_router`.
    """
    return router_of(handler, get_db, path, settings, CLICK_ROUTE)


def router_of(
    handler: type[Any], get_db: Callable[..., Any], path: str, settings: dict[str, Any], route: dict[str, Any]
) -> APIRouter:
    """Make a provider's route."""
    router = APIRouter()
    # Made once for nothing, so that a wrong setting is told at start.
    handler(AsyncSession() if issubclass(handler, AsyncSqlHandler) else Session(), **settings)

    async def webhook(request: Request, db: Any = Depends(get_db)) -> Response:  # noqa: B008 - FastAPI's own way
        response: Response = await handler(db, **settings).handle_webhook(request)
        return response

    router.add_api_route(path, webhook, methods=["POST"], **route)
    router.add_api_route(path, webhook, methods=list(OTHER_METHODS), include_in_schema=False)
    return router


async def read(request: Request) -> Inbound:
    """Read a request, and no more of its body than may be read."""
    method, headers, body = request.method, joined(request.headers), bytearray()
    peer = None if request.client is None else request.client.host
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                return Inbound(method, headers, None, peer)
    except ClientDisconnect:
        pass  # nobody is left to read the answer, which an unfinished body gets all the same
    except RuntimeError:
        log.error(CONSUMED)
        return Inbound(method, headers, None, peer)
    return Inbound(method, headers, bytes(body), peer)


def joined(headers: Headers) -> dict[str, str]:
    """Join what came several times, of which Starlette would show the first: what the client wrote, not the proxy."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even where the request is cancelled meanwhile, and only then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with CancelScope(shield=True):  # against anyio's cancellation, which would be repeated
            while not task.done():
                with suppress(asyncio.CancelledError):  # against asyncio's: a second one must not end it either
                    await asyncio.wait({task})
        raise


_limiters: "RunVar[dict[float, CapacityLimiter]]" = RunVar("paytechuz_limiters")


def limiter_of(threads: float) -> CapacityLimiter:
    """Give the library's own threads: in FastAPI's, calls would wait for connections that wait for threads."""
    limiters = _limiters.get({})
    _limiters.set(limiters)
    if threads not in limiters:
        limiters[threads] = CapacityLimiter(threads)
    return limiters[threads]
