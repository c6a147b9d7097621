"""A call to a webhook, as a provider makes it: bytes out, HTTP status and bytes back."""

from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Protocol
from urllib.parse import urlsplit


class Send(Protocol):
    """A way to call: POST these bytes with these headers, give the HTTP status and the body that came back.

    Raise OSError (ConnectionError, TimeoutError) where nothing came back. Follow no redirect: providers follow none.
    """

    def __call__(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        """Send one request."""


def over_http(url: str, timeout: float = 20) -> Send:
    """Call an endpoint over HTTP or HTTPS, as a provider does: no proxy is used and no redirect followed."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        message = f"not an address to call: {url}"
        raise ValueError(message)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        # A new connection for each call: one kept open may be closed by the server just as the next call is sent.
        connection = kind(parts.netloc.rpartition("@")[2], timeout=timeout)
        try:
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    return send


def over_http_at(site: str) -> Callable[[str], Send]:
    """Call the paths of a site (https://shop.example) over HTTP; raises ValueError where that is no address."""
    over_http(site)
    return lambda path: over_http(site.rstrip("/") + path)
