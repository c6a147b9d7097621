"""The handlers: one request in, one response out, in the request's own thread."""

from flask import Request, Response
from werkzeug.wsgi import get_input_stream

from paytechuz_core.handler import CONSUMED, JSON
from paytechuz_core.inbound import BODY_LIMIT, Inbound
from paytechuz_core.observe import log
from paytechuz_core.sql import ClickSettings, PaymeSettings, SqlHandler


class Webhook(SqlHandler):
    """What both providers' handlers share."""

    def handle_webhook(self, request: Request) -> Response:
        """Answer one request: always HTTP 200, as the providers want it."""
        return Response(self.respond(read(request)), content_type=JSON)


class PaymeWebhookHandler(PaymeSettings, Webhook):
    """Payme's calls. Subclass it, override the hooks, make one for each request."""


class ClickWebhookHandler(ClickSettings, Webhook):
    """Click's calls. Subclass it, override the hooks, make one for each request."""


def read(request: Request) -> Inbound:
    """Read a request, and no more of its body than may be read, whatever its length is said to be."""
    method, headers = request.method, {name.lower(): value for name, value in request.headers}
    peer = request.remote_addr
    touched = "stream" in vars(request)  # by a `before_request` function
    body = bytearray()
    try:
        # Untouched, it is read past MAX_CONTENT_LENGTH, which would answer 413.
        stream = request.stream if touched else get_input_stream(request.environ)
        while chunk := stream.read(BODY_LIMIT + 1 - len(body)):
            body += chunk
        if touched and not body:
            body += request.get_data()  # what was read before, unless it was read as a form
    except Exception:  # noqa: BLE001 - each server has its own for a client that goes away, or sends no proper chunks
        return Inbound(method, headers, None, peer)
    if not body and request.content_length:
        log.error(CONSUMED)
        return Inbound(method, headers, None, peer)
    return Inbound(method, headers, bytes(body) if len(body) <= BODY_LIMIT else None, peer)
