"""Ways to call an application without a server: an ASGI or a WSGI application in this process, or a URL.

    with callers(app) as call:
        send = call("/payments/payme/webhook")

What the application raises is HTTP 500, as under a server; the body then says what it was. Calls arrive as a provider's
do behind a proxy: by HTTPS, from loopback.
"""

import asyncio
import inspect
import io
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from paytechuz_core.outbound import Send, over_http
from paytechuz_core.testing.bridge import Bridge

HOST: Final = "localhost"
PATIENCE: Final = 60.0
"""Seconds until an application that gives no answer has fallen silent."""

Message: TypeAlias = dict[str, Any]
Asgi: TypeAlias = Callable[..., Awaitable[None]]


@contextmanager
def callers(app: Any, host: str = HOST) -> Iterator[Callable[[str], Send]]:
    """Give a way to call each path of an application; `app` is ASGI, WSGI or the URL of one that runs."""
    if isinstance(app, str):
        yield lambda path: over_http(app.rstrip("/") + path)
    elif inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004
        with asgi(app, host) as call:
            yield call
    else:
        yield lambda path: over_wsgi(app, path, host)


def over_wsgi(app: Callable[..., Any], path: str, host: str = HOST) -> Send:
    """Call a WSGI application, in the caller's thread."""

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        environ = {
            "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_NAME": host, "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": host, "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0), "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        started: list[str] = []

        def start_response(status: str, headers: object, error: object = None) -> Callable[[bytes], None]:
            del headers, error
            started.append(status)
            return written.append

        written: list[bytes] = []
        try:
            answer = app(environ, start_response)
            try:
                written.extend(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
        except Exception as error:  # noqa: BLE001 - as a server does
            return raised(error)
        return int(started[-1].split()[0]), b"".join(written)

    return send


@contextmanager
def asgi(app: Asgi, host: str = HOST) -> Iterator[Callable[[str], Send]]:
    """Start an ASGI application on a loop of its own in another thread, call it, and shut it down."""
    with closing(Bridge()) as bridge:
        lifespan = Lifespan(app)
        bridge(lifespan.start())
        try:
            yield lambda path: over_asgi(app, path, host, bridge, lifespan.state)
        finally:
            bridge(lifespan.stop())


def over_asgi(app: Asgi, path: str, host: str, bridge: Bridge, state: Message) -> Send:
    """Call an ASGI application that has been started."""

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        lines = {
            "host": host,
            "content-length": str(len(body)),
            **{name.lower(): each for name, each in headers.items()},
        }
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "POST", "scheme": "https", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": [(name.encode(), each.encode()) for name, each in lines.items()],
            "client": ("127.0.0.1", 50_000), "server": (host, 443), "state": dict(state),
        }  # fmt: skip
        try:
            return bridge(asyncio.wait_for(answered(app, scope, body), PATIENCE))
        except Exception as error:  # noqa: BLE001 - as a server does
            return raised(error)

    return send


async def answered(app: Asgi, scope: Message, body: bytes) -> tuple[int, bytes]:
    """Let an application answer one request."""
    sent: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    over = asyncio.Event()
    status, written = HTTPStatus.INTERNAL_SERVER_ERROR.value, bytearray()

    async def receive() -> Message:
        if sent:
            return sent.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            written.extend(message.get("body", b""))
            if not message.get("more_body", False):
                over.set()

    await app(scope, receive, send)
    return status, bytes(written)


class Lifespan:
    """An application's start and end, where it cares for them."""

    def __init__(self, app: Asgi) -> None:
        self.app = app
        self.state: Message = {}
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._reports: asyncio.Queue[Message] = asyncio.Queue()

    async def start(self) -> None:
        """Let it start; raise RuntimeError where it says that it cannot."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.ensure_future(self.app(scope, self._orders.get, self._reports.put))
        await self._tell("startup")

    async def stop(self) -> None:
        """Let it end."""
        await self._tell("shutdown")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self, what: str) -> None:
        if self._task.done():
            return
        await self._orders.put({"type": f"lifespan.{what}"})
        report = asyncio.ensure_future(self._reports.get())
        await asyncio.wait({self._task, report}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        if not report.done():  # it ended without a word, or raised: then it knows nothing of lifespans
            report.cancel()
        elif report.result()["type"] == f"lifespan.{what}.failed":
            message = f"the application's {what} failed: {report.result().get('message', '')}"
            raise RuntimeError(message)


def raised(error: Exception) -> tuple[int, bytes]:
    """Answer as a server does for an application that raises, but with words."""
    return HTTPStatus.INTERNAL_SERVER_ERROR.value, f"the application raised {type(error).__name__}: {error}".encode()
