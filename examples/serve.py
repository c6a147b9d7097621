"""An example shop, left running on loopback with an order to pay: `make serve`, then the curl lines that it prints.

    python -m examples.serve [fastapi] [--port 8000]

Everything is kept in a temporary folder and gone when Ctrl-C stops it.
"""

import argparse
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from paytechuz_core.click.calls import Call
from paytechuz_core.testing import ClickTill, Exchange, Order, Recorder, Send, Till, over_http

ROOT: Final = Path(__file__).parents[1]
WEBHOOK: Final = "/payments/payme/webhook"
KEY: Final = "demo#key:with-a-colon&36-characters!"
CLICK_WEBHOOK: Final = "/payments/click/webhook"
SECRET: Final = "demo#secret&key"
SERVICE: Final = 12345
PATIENCE: Final = 30.0
LISTENS: Final = re.compile(r"(?:Uvicorn running on|Listening at:) (http://[\w.:]+)")


UVICORN: Final = ("uvicorn", "--port={port}", "--no-access-log", "--no-use-colors")
# Preloaded, so that a shop that cannot start says so before it listens.
GUNICORN: Final = (
    "gunicorn", "--bind=127.0.0.1:{port}", "--workers=2", "--threads=4", "--preload", "--graceful-timeout=2",
    "--no-control-socket",
)  # fmt: skip


@dataclass(frozen=True)
class Served:
    """How a shop is served: by which server, from which folder, and what is done first.

    Of those who try it out by hand it may expect more, and show them more.
    """

    server: Sequence[str]
    application: str
    folder: Path = ROOT
    first: Sequence[Sequence[str]] = ()
    for_visitors: Sequence[Sequence[str]] = ()
    look: str = ""

    def command(self, port: int) -> list[str]:
        """Give the command that serves it at this port of loopback, at any free one where it is 0."""
        return ["-m", *(word.format(port=port) for word in self.server), self.application]


DJANGO: Final[Mapping[str, Any]] = {
    "folder": ROOT / "examples/django_shop",
    "first": [("manage.py", "migrate", "--verbosity=0")],
    "for_visitors": [("manage.py", "createsuperuser", "--noinput")],
    "look": "/admin/ for its admin, as admin with the password admin",
}
SHOPS: Final[Mapping[str, Served]] = {
    "fastapi": Served(UVICORN, "examples.fastapi_shop.main:app", look="/docs for its API"),
    "django": Served(GUNICORN, "config.wsgi", **DJANGO),
    "django-asgi": Served(UVICORN, "config.asgi:application", **DJANGO),
    "flask": Served(
        GUNICORN,
        "examples.flask_shop.main:create_app()",
        first=[("-m", "flask", "--app", "examples.flask_shop.main", "init-db")],
    ),
}


class Running:
    """A shop that runs: its address and process, what a customer can do there, and what providers said."""

    def __init__(self, url: str, server: "subprocess.Popen[bytes]") -> None:
        self.url = url
        self.server = server
        self.exchanges: list[Exchange] = []

    def order(self, amount: str) -> int:
        """Place an order of `amount` som and give its number."""
        number: int = self.ask("POST", "/orders", {"amount": amount})["id"]
        return number

    def status(self, number: int) -> str:
        """Look at an order."""
        status: str = self.ask("GET", f"/orders/{number}")["status"]
        return status

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Use one of the shop's own pages."""
        content = None if body is None else json.dumps(body)
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        try:
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            message = f"{method} {path} was answered with HTTP {answer.status}"
            raise ConnectionError(message)
        return json.loads(text)

    def caller(self, path: str) -> Send:
        """Give a provider's way to call one of the endpoints."""
        return Recorder(over_http(self.url + path), path, self.exchanges)


@contextmanager
def shop(name: str, folder: Path, port: int = 0, *, visitors: bool = False) -> Iterator[Running]:
    """Start a shop with an SQLite file in `folder`, on a free port of loopback unless one is given; stop it after."""
    served, log = SHOPS[name], folder / "server.log"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),  # this very paytechuz
        "SHOP_SECRET_KEY": token_hex(32),
        "SHOP_DATABASE": database(folder),
        "PAYME_KEY": KEY,
        "CLICK_SERVICE_ID": str(SERVICE),
        "CLICK_SECRET_KEY": SECRET,
    }
    if visitors:
        environment["SHOP_DEBUG"] = "1"
        environment |= {f"DJANGO_SUPERUSER_{name}": "admin" for name in ("USERNAME", "PASSWORD")}
        environment["DJANGO_SUPERUSER_EMAIL"] = "admin@shop.example"
    with log.open("wb") as output:

        def start(*command: str) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=served.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; the server is told below
            )

        for command in (*served.first, *(served.for_visitors if visitors else ())):
            if start(*command).wait():
                sys.exit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')}")
        server = start(*served.command(port))
    try:
        yield Running(address(server, log), server)
    finally:
        server.terminate()
        try:
            server.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def database(folder: Path) -> str:
    """Give SQLAlchemy's URL of the shop's database."""
    return f"sqlite:///{folder / 'shop.db'}"


def address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the server has written where it listens."""
    # Port 0 and the log, rather than a port that was free a moment ago: another program may take that one meanwhile.
    for _ in range(int(PATIENCE / 0.05)):
        if found := LISTENS.search(log.read_text(errors="replace")):
            return found[1]
        if server.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"the shop did not start:\n{log.read_text(errors='replace')}")


def free(port: int) -> bool:
    """Tell whether nobody listens on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def curl_lines(running: Running, number: int) -> list[tuple[str, str]]:
    """Give what Payme would send, from the first question to the refund, each with a word about it."""
    till = Till(over_http(running.url + WEBHOOK), KEY)
    order = Order({"id": str(number)}, 500_000)
    transaction = {"id": token_hex(12)}
    asked = {"amount": order.amount_tiyin, "account": order.account}
    moment = {"time": time.time_ns() // 1_000_000}
    calls = (
        ("may order and amount be paid?", "CheckPerformTransaction", asked),
        ("reserve the order", "CreateTransaction", {**transaction, **moment, **asked}),
        ("the money arrived", "PerformTransaction", transaction),
        ("which state is it in?", "CheckTransaction", transaction),
        ("give the money back", "CancelTransaction", {**transaction, "reason": 5}),
    )
    lines = []
    for about, method, params in calls:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        header = f"Authorization: {till.authorization()}"
        lines.append((about, f"curl -s {running.url + WEBHOOK} -H {shlex.quote(header)} -d {shlex.quote(body)}"))
    lines.append(("what the shop says", f"curl -s {running.url}/orders/{number}"))
    return lines


def click_lines(running: Running, number: int) -> list[tuple[str, str]]:
    """Give what Click would send, from Prepare to a cancel after the payment."""
    sent: list[str] = []

    def note(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        # Nothing is sent: the answer that Prepare will get is known, because the number follows from the attempt's.
        del headers
        sent.append(body.decode())
        return 200, b"{}"

    attempt = ClickTill(note, SECRET, SERVICE).attempt(Order({"id": str(number)}, 500_000))
    attempt.prepare()
    attempt.prepare_id = Call({"click_trans_id": str(attempt.number)}).prepare_id
    attempt.complete()
    attempt.complete(-5017)
    abouts = ("reserve the order", "the money was taken", "the money was given back")
    url = running.url + CLICK_WEBHOOK
    lines = [(about, f"curl -s {url} -d {shlex.quote(body)}") for about, body in zip(abouts, sent, strict=True)]
    return [*lines, ("what the shop says", f"curl -s {running.url}/orders/{number}")]


def main() -> None:
    """Leave a shop running until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Leave an example shop running, with curl lines to try.")
    parser.add_argument("shop", nargs="?", choices=SHOPS, default="fastapi", help="the framework; fastapi by default")
    parser.add_argument("--port", type=int, default=8000, help="another free one is taken where this is in use")
    given = parser.parse_args()
    port: int = given.port
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped either way, the shop is stopped too
    with (
        tempfile.TemporaryDirectory() as folder,
        shop(given.shop, Path(folder), port if free(port) else 0, visitors=True) as running,
    ):
        number, other = running.order("5000.00"), running.order("5000.00")
        print(f"The shop runs at {running.url}.")
        if look := SHOPS[given.shop].look:
            print(f"See {running.url}{look}.")
        print(f"Order {number} awaits 5000.00 som, and so does order {other}.")
        print(f"\nBe Payme with order {number}, line by line; send any of them twice and see that nothing changes:")
        for about, line in curl_lines(running, number):
            print(f"\n# {about}\n{line}")
        print(
            f"\nBe Click with order {other}; send the second twice, and it says -4 (paid already) and changes nothing:"
        )
        for about, line in click_lines(running, other):
            print(f"\n# {about}\n{line}")
        print("\nCtrl-C stops it.", flush=True)
        try:
            running.server.wait()
        except KeyboardInterrupt:
            print("\nStopped.")


if __name__ == "__main__":
    main()
