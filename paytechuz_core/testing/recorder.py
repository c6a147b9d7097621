"""What was said between a provider and a shop, written down: to show it, to keep it, to say it again.

    send = Recorder(over_http("http://127.0.0.1:8000/payments/payme/webhook"))
    ...
    for exchange in send.exchanges:
        print(exchange.asked, exchange.status, exchange.answer)

No key is ever written down: Payme's stands in a header, and headers are not kept; Click's is in no request.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count

from paytechuz_core.outbound import Send
from paytechuz_core.transaction import Millis


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and what came back: `status` 0 and the reason in `answer` where nothing did.

    `at` is when it was sent, in milliseconds since 1970; `took` how long the answer took, in milliseconds. Bodies are
    text by UTF-8, in which bytes that are none stand as lone surrogates: `asked.encode(errors="surrogateescape")`.
    """

    number: int
    path: str
    asked: str
    status: int
    answer: str
    at: Millis
    took: float

    def __str__(self) -> str:
        """Write it as one line of JSON."""
        strange = not (self.asked + self.answer).isprintable()  # surrogates, which no file takes as they are
        return json.dumps(asdict(self), ensure_ascii=strange)


class Recorder:
    """A way to call that remembers, in a list of its own or in one that several share. Threads may call at once."""

    def __init__(self, send: Send, path: str = "", exchanges: list[Exchange] | None = None) -> None:
        self.send = send
        self.path = path
        self.exchanges: list[Exchange] = [] if exchanges is None else exchanges
        self._numbers = count(1)

    def __repr__(self) -> str:
        """Show whom it calls."""
        return f"Recorder({self.send!r})"

    def __call__(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        """Send, and write down what was said."""
        number, at, started = next(self._numbers), time.time_ns() // 1_000_000, time.perf_counter()
        status, answer = 0, b""
        try:
            status, answer = self.send(body, headers)
        except OSError as error:
            answer = (str(error) or type(error).__name__).encode()
            raise
        finally:
            took = round((time.perf_counter() - started) * 1000, 1)
            self.exchanges.append(Exchange(number, self.path, text(body), status, text(answer), at, took))
        return status, answer


def text(body: bytes) -> str:
    """Read bytes as text, whatever they are."""
    return body.decode(errors="surrogateescape")
