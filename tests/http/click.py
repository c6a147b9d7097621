"""Click, calling a shop of `tests.http.clients`: forms, signed as its page says, and answers that are well formed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.core import click_wire
from tests.core.click_wire import Form, encoded, read
from tests.http.clients import KEY, SECRET, Client, Row


@dataclass(frozen=True)
class Answer:
    """An answer to Click, already known to be well formed."""

    body: bytes
    json: Row

    @property
    def error(self) -> int:
        """The result code: 0, or −1 to −9."""
        return int(self.json["error"])


def read_answer(response: httpx.Response) -> Answer:
    """Check what every answer must be: HTTP 200, JSON, five fields, and no secret."""
    assert response.status_code == 200, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    assert SECRET not in response.text
    assert KEY not in response.text
    return Answer(response.content, read(response.content))


@dataclass(frozen=True)
class Click:
    """Click, as one shop meets it."""

    shop: Client
    path: str = "/click"

    def send(
        self,
        content: bytes | Iterable[bytes],
        method: str = "POST",
        headers: Mapping[str, str | bytes] | None = None,
        path: str | None = None,
    ) -> Answer:
        """Send one raw request."""
        given = {"Content-Type": "application/x-www-form-urlencoded"} if headers is None else headers
        return read_answer(self.shop.request(content, given, method, self.path if path is None else path))

    def form(self, form: Form) -> Answer:
        """Send a form."""
        return self.send(encoded(form))

    def prepare(self, trans: int, order: Any, **other: Any) -> Answer:
        """May the customer be debited?"""
        return self.form(click_wire.prepare(click_trans_id=trans, merchant_trans_id=order, **other))

    def complete(self, trans: int, order: Any, **other: Any) -> Answer:
        """The customer was debited."""
        return self.form(click_wire.complete(click_trans_id=trans, merchant_trans_id=order, **other))

    def abort(self, trans: int, order: Any, error: int = -5017, **other: Any) -> Answer:
        """The customer was not debited, or wants the money back."""
        return self.complete(trans, order, error=error, **other)

    def pay(self, trans: int, order: Any, **other: Any) -> None:
        """Take a payment from the first call to the last."""
        assert [self.prepare(trans, order, **other).error, self.complete(trans, order, **other).error] == [0, 0]
