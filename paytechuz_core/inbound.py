"""What arrives: one HTTP request as plain values, and the strict readers of what is in it.

No JSON library refuses all that a payment endpoint must refuse, so `decode_json` says no to: anything but UTF-8, a
byte order mark, duplicate keys, NaN and Infinity and numbers that overflow, integers of more than 18 digits, nesting
deeper than 32, lone surrogates and U+0000 (no database stores them all).
"""

import binascii
import json
import math
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

BODY_LIMIT: Final = 64 * 1024
HEADER_LIMIT: Final = 1024
DEPTH_LIMIT: Final = 32
DIGITS_LIMIT: Final = 18


@dataclass(frozen=True, slots=True)
class Inbound:
    """One HTTP request, free of any framework.

    `headers` answers lower-case names; one that came several times is joined by commas. `body` is None where it was
    longer than BODY_LIMIT: adapters stop reading there. `peer` is the address at the other end of the connection, None
    where that has none. What may hold a key is not shown: whatever reports errors shows what it finds in their frames.
    """

    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    peer: str | None = None

    @property
    def readable(self) -> bytes | None:
        """The body where it may be read at all: not too long, and not encoded."""
        if self.body is None or self.headers.get("content-encoding", "identity").lower() != "identity":
            return None
        return self.body


def decode_json(body: bytes) -> Any:
    """Read strict JSON; raise ValueError for everything listed above."""
    text = body.decode("utf-8")
    try:
        value = READER.decode(text)
    except RecursionError:
        message = "nested too deep"
        raise ValueError(message) from None
    # The two walks cost more than the parse, so they are taken only where the text could contain what they look for.
    if text.count("{") + text.count("[") > DEPTH_LIMIT and any(depth > DEPTH_LIMIT for depth, _ in walk(value)):
        message = "nested too deep"
        raise ValueError(message)
    if "\\u" in text:
        for _, each in walk(value):
            refuse_unstorable(each)
    return value


def basic_credentials(header: str | None) -> tuple[bytes, bytes] | None:
    """Read `Authorization: Basic …` into login and password as bytes, or None for anything else.

    The scheme may be in any case, base64 is strict, and only the first colon splits: a key may contain more of them.
    """
    if header is None or len(header) > HEADER_LIMIT:
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = b64decode(encoded.strip().encode("ascii"), validate=True)
        decoded.decode("utf-8")
    except (binascii.Error, UnicodeError):
        return None
    login, colon, password = decoded.partition(b":")
    return (login, password) if colon else None


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; two readers of a duplicate key would see two different payments."""
    built = dict(pairs)
    if len(built) != len(pairs):
        message = "duplicate key"
        raise ValueError(message)
    return built


def short_integer(digits: str) -> int:
    """Read an integer that any 64-bit column can hold."""
    if len(digits.lstrip("-")) > DIGITS_LIMIT:
        message = "too many digits"
        raise ValueError(message)
    return int(digits)


def finite_float(text: str) -> float:
    """Read a number with a point or an exponent; `1e999` is no number."""
    number = float(text)
    if not math.isfinite(number):
        message = "not finite"
        raise ValueError(message)
    return number


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which are not JSON."""
    raise ValueError(name)


READER: Final = json.JSONDecoder(
    object_pairs_hook=unique_keys,
    parse_int=short_integer,
    parse_float=finite_float,
    parse_constant=refuse_constant,
)


def refuse_unstorable(value: Any) -> None:
    """Refuse the characters that JSON can spell and storage or UTF-8 cannot."""
    texts = value if isinstance(value, dict) else [value]
    for text in texts:
        if isinstance(text, str):
            text.encode("utf-8")
            if "\0" in text:
                message = "U+0000"
                raise ValueError(message)


def walk(value: Any) -> Iterator[tuple[int, Any]]:
    """Visit every value with the depth it stands at."""
    stack = [(0, value)]
    while stack:
        depth, each = stack.pop()
        match each:
            case dict():
                yield depth + 1, each
                stack.extend((depth + 1, child) for child in each.values())
            case list():
                yield depth + 1, each
                stack.extend((depth + 1, child) for child in each)
            case _:
                yield depth, each
