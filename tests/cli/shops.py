"""Shops in memory that listen on loopback, for whoever calls over HTTP. Their clock is that of `other_shop`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from paytechuz_core.transaction import Millis
from tests.cli.other_shop import now
from tests.core import test_click_scenarios as click
from tests.core import test_scenarios as payme


class PaymeShop(payme.MemoryShop):
    def now(self) -> Millis:
        return now()


class PaymeWallets(payme.MemoryWallets):
    def now(self) -> Millis:
        return now()


class ClickShop(click.MemoryShop):
    def now(self) -> Millis:
        return now()


class ClickWallets(click.MemoryWallets):
    def now(self) -> Millis:
        return now()


@contextmanager
def listening(send: Callable[[bytes, Mapping[str, str]], tuple[int, bytes]]) -> Iterator[str]:
    """Let a way to call be called over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = send(body, dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/webhook"


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Run a server in a thread of its own."""
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
