"""The page over HTTP, on loopback and for nobody else.

Whoever may have this server call the shop could pay its orders, so three things are asked of every request. The Host
header must name this very address: a name that leads here by DNS is refused. What does anything must carry the token of
this run, which stands in the page alone: no other site can read it, and no form can send it. And a browser that says
where a request comes from must say: from here. The page may load nothing from elsewhere, run nothing but its own files,
and stand in no frame.

Nothing is logged: requests hold keys.
"""

import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from paytechuz.cli.config import Wrong
from paytechuz.cli.page.calls import STATES
from paytechuz.cli.page.checkout import CLICK_PATH
from paytechuz.cli.page.desk import Desk, Told, one_of, word

LOOPBACK: Final = "127.0.0.1"
WEB: Final = Path(__file__).parent / "web"
TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".css": "text/css; charset=UTF-8",
    ".json": "application/json; charset=UTF-8",
    ".svg": "image/svg+xml",
}
FILES: Final[Mapping[str, Path]] = {f"/{path.name}": path for path in sorted(WEB.iterdir()) if path.suffix in TYPES}
"""What the page is made of, by its path: nothing else on this machine can be asked for."""

BODY_LIMIT: Final = 256 * 1024
"""Bytes: more than any request that a provider makes, and room for one that is too large on purpose."""

IDLE: Final = 10
"""Seconds until a connection on which nothing is asked is closed."""

TOKEN_HEADER: Final = "X-Paytechuz-Token"  # noqa: S105 - a name
"""A header that a form cannot send, and a script of another site only after asking, which is refused."""

PLACE_OF_THE_TOKEN: Final = b"__TOKEN__"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: HTTPStatus
    text: str


@dataclass(frozen=True, slots=True)
class Door:
    """Who is let in: this run's token, and the port that it listens on."""

    token: str
    port: int

    def refuses(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Say why a request is not served; None where it is."""
        hosts = {f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"}
        headers = {name.lower(): value for name, value in headers.items()}
        if headers.get("host") not in hosts:
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"this page is at http://{LOOPBACK}:{self.port}/ only")
        if method == "GET":
            return None
        if method != "POST":
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET or POST")
        if headers.get("origin") not in {None, *(f"http://{host}" for host in hosts)}:
            return Refusal(HTTPStatus.FORBIDDEN, "another page asks")
        if not compare_digest((headers.get(TOKEN_HEADER.lower()) or "").encode(), self.token.encode()):
            return Refusal(HTTPStatus.FORBIDDEN, "this page is of an earlier run: load it again")
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or headers.get("transfer-encoding") is not None:
            return Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length says how long the body is")
        if len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
            return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_LIMIT} bytes")
        return None


def file_for(path: str) -> Path | None:
    """Give the file for a path: the page itself too where a payer's link leads to it, as to its provider."""
    if path in FILES:
        return FILES[path]
    wanted = path.removeprefix("/")
    link = path.rstrip("/") == CLICK_PATH or (wanted and all(each.isalnum() or each in "+/=-_%" for each in wanted))
    return FILES["/index.html"] if not wanted or link else None


# What the page asks for


def names(given: Mapping[str, Any]) -> list[str]:
    """Give the scenarios' names."""
    value = given.get("names")
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        message = "names must be a list of texts"
        raise Wrong(message)
    return value


def number(given: Mapping[str, Any]) -> int:
    """Give an exchange's number."""
    value = given.get("number")
    if type(value) is not int:
        message = "number must be a whole number"
        raise Wrong(message)
    return value


def stop(desk: Desk, given: Mapping[str, Any]) -> Told:
    """Stop what is being played."""
    del given
    desk.stop()
    return {}


ASKED: Final[Mapping[str, Callable[[Desk, Mapping[str, Any]], Told | Iterator[Told]]]] = {
    "/api/about": lambda desk, _: desk.about(),
    "/api/settings": lambda desk, given: desk.set(given),
    "/api/link": lambda desk, given: desk.open_link(word(given, "link")),
    "/api/stop": stop,
    "/api/play": lambda desk, given: desk.play(names(given)),
    "/api/call": lambda desk, given: desk.call(given),
    "/api/order": lambda desk, given: desk.order(one_of(given, "state", STATES)),
    "/api/pay": lambda desk, given: desk.pay(word(given, "action")),
    "/api/repeat": lambda desk, given: desk.repeat(number(given)),
    "/api/send": lambda desk, given: desk.send(number(given), word(given, "body"), sign=given.get("sign") is True),
}
"""What the page may ask for, by path: the first four are answered at once, the others as it happens."""


# HTTP


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server_version = "paytechuz"
    sys_version = ""
    timeout = IDLE
    desk: ClassVar[Desk]
    door: ClassVar[Door]

    def do_GET(self) -> None:
        """Give a file of the page."""
        if self._admitted():
            path = file_for(urlsplit(self.path).path)
            if path is None:
                self._say(HTTPStatus.NOT_FOUND, b"no such page", "text/plain")
                return
            content = path.read_bytes()
            if path.suffix == ".html":
                content = content.replace(PLACE_OF_THE_TOKEN, self.door.token.encode())
            self._say(HTTPStatus.OK, content, TYPES[path.suffix])

    def do_POST(self) -> None:
        """Do what the page asks."""
        if not self._admitted():
            return
        try:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            self._say(HTTPStatus.BAD_REQUEST, b"a JSON object", "text/plain")
            return
        do = ASKED.get(urlsplit(self.path).path)
        if do is None:
            self._say(HTTPStatus.NOT_FOUND, b"no such thing", "text/plain")
            return
        try:
            told = do(self.desk, given)
        except Wrong as wrong:
            told = {"kind": "error", "text": str(wrong)}
        if isinstance(told, dict):
            self._say(HTTPStatus.OK, self.desk.line(told), TYPES[".json"])
        else:
            with closing(self.desk.told(told)) as lines:
                self._stream(lines)

    def _admitted(self) -> bool:
        refusal = self.door.refuses(self.command, dict(self.headers))
        if refusal is not None:
            self._say(refusal.status, refusal.text.encode(), "text/plain")
        return refusal is None

    def _say(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._head(status, kind, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, more: Mapping[str, str]) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Type": kind, **more, **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, lines: Iterable[bytes]) -> None:
        """Write lines as they come. A page that is closed ends what it watched."""
        self._head(HTTPStatus.OK, "application/x-ndjson", {"Transfer-Encoding": "chunked"})
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class PageServer(ThreadingHTTPServer):
    """Listens on loopback. A browser that goes away in the middle is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet about connections that broke; say of the rest where it was, without its values."""
        del request, client_address
        if not isinstance(error := sys.exception(), OSError):
            sys.stderr.write(where(error) + "\n")


def where(error: BaseException | None) -> str:
    """Say what went wrong, and where: a message may hold what was being handled."""
    return "".join([*traceback.format_tb(error.__traceback__ if error else None), type(error).__name__])


def page_server(desk: Desk, port: int = 0) -> PageServer:
    """Make the server; `serve_forever` runs it. Raises OSError where the port is taken."""
    server = PageServer((LOOPBACK, port), Handler)
    door = Door(token_urlsafe(32), server.server_port)
    server.RequestHandlerClass = type("DeskHandler", (Handler,), {"desk": desk, "door": door})
    return server
