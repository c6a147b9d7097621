"""Requests as bytes, and how they are spoiled.

An input is a request as it is on the wire: its method, its headers, an empty line, its body.

    POST
    authorization: Basic UGF5Y29tOi4uLg==

    {"id": 1, "method": "CheckTransaction", "params": {"id": "5305e3bab097f420a62ced0b"}}

Bytes at random never get past the first gate. So `spoil` changes a valid call in one place or a few and writes it
anew, a form of Click's with the signature that it then needs.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus

from paytechuz_core import Inbound
from paytechuz_core.inbound import BODY_LIMIT
from tests.core import click_wire, wire

KNOWN: Final = tuple(f"5305e3bab097f420a62ced{number:02d}" for number in range(6))
"""The ids of Payme's transactions that the shop has: one in each state, and one past its time."""

ATTEMPTS: Final = tuple(range(1_000_001, 1_000_006))
"""The numbers of Click's attempts that the shop has."""

ORDERS: Final = ("42", "43", "44", "45", "46", "47", "7", "99")
"""Orders, by who holds them; 7 is a wallet, and 99 is unknown."""

NUMBERS: Final = (
    0, 1, -1, 5, 100, 499_999, wire.AMOUNT, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, 2**63, 10**18 - 1, 10**18,
    wire.NOW, wire.NOW + 43_200_001, 10**30,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "0", "5", "-5", "5e4", "1.5", "5000.00", "05000.00", "5000", "nan", "Infinity", "true", "null", "Paycom",
    "\x7f", "\u2028", "é", "𝟒𝟐", "٤٢", "４２", "\ud800", "a\0b", "x" * 64, "x" * 65, "x" * 256, "' OR 1=1 --",
    "{{7*7}}", "../../etc/passwd", "\r\nx: y",
)  # fmt: skip
CONSTANTS: Final[tuple[Any, ...]] = (None, True, False, 1.5, 5e4, -0.0, [], {}, [[]], {"id": {}}, [1, "2"])
LITERALS: Final = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"1.", b"+1", b"0x10", b"1e5", b"5.0", b"9" * 19,
    b"9" * 5000, b"[" * 40 + b"]" * 40, b"[" * 2000, b'{"a":' * 33 + b"1" + b"}" * 33, b'"\\ud800"', b'"\\u0000"',
    b'"\xff"', b"'x'", b"undefined", b"//", b"",
)  # fmt: skip
"""What stands where a value should: read by some JSON library or other."""

METHODS: Final = (*(method for method, _ in wire.EVERY_METHOD), "Expire", "checktransaction", "", "__init__")
Call = Callable[[Random], bytes]


def read(data: bytes) -> Inbound:
    """Read an input as an adapter reads a request; any bytes are one."""
    head, _, body = data.partition(b"\n\n")
    method, *lines = head.decode("latin-1").split("\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Inbound(method, headers, body if len(body) <= BODY_LIMIT else None)


def write(method: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """Write a request as an input."""
    return "\n".join([method, *(f"{name}: {value}" for name, value in headers)]).encode("latin-1") + b"\n\n" + body


# Payme


def payme_call(random: Random) -> bytes:
    """Write a valid call of Payme's."""
    id, order = random.choice((*KNOWN, wire.RIVAL)), random.choice(ORDERS)
    message = random.choice(
        (
            wire.check_perform(order=order),
            wire.create(id, order=order, time=wire.NOW - random.choice((0, 43_200_000, 43_200_001))),
            wire.perform(id),
            wire.cancel(id, random.choice((1, 2, 3, 4, 5, 10))),
            wire.check(id),
            wire.statement(),
            wire.fiscal(id, random.choice(("PERFORM", "CANCEL"))),
            wire.change_password(),
        )
    )
    return write("POST", [("authorization", wire.basic())], wire.encoded(message, random.choice((1, "a", None))))


def spoiled_payme(data: bytes, random: Random) -> bytes:
    """Spoil a call of Payme's: a member, its text, or who says it."""
    head, _, body = data.partition(b"\n\n")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return payme_call(random)
    if random.random() < 0.1:
        return spoiled_head(head, random) + body
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        message = spoiled_value(message, random)
    written = json.dumps(message, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
    return head + b"\n\n" + (spoiled_text(written, random) if random.random() < 0.2 else written)


def spoiled_value(value: Any, random: Random) -> Any:
    """Change one thing in a JSON value."""
    match value:
        case dict() if value and random.random() < 0.9:
            name = random.choice(list(value))
            match random.randrange(12):
                case 0:
                    return {other: each for other, each in value.items() if other != name}
                case 1:
                    return {**value, random.choice(TEXTS): value[name]}
                case 2:
                    return {**value, name: [value[name]]}
                case _:
                    return {**value, name: spoiled_value(value[name], random)}
        case list() if value and random.random() < 0.7:
            place = random.randrange(len(value))
            return [*value[:place], spoiled_value(value[place], random), *value[place + 1 :]]
        case _:
            return random.choice(random.choice((NUMBERS, TEXTS, CONSTANTS, METHODS, KNOWN, ORDERS)))


def spoiled_text(text: bytes, random: Random) -> bytes:
    """Change the text of a JSON value into what no writer of JSON writes."""
    place = random.randrange(len(text) + 1)
    match random.randrange(6):
        case 0:
            return text.replace(b": 1", b": " + random.choice(LITERALS), 1)
        case 1:
            return text[:place] + random.choice(LITERALS) + text[place:]
        case 2:  # the first member once more
            return text[:1] + text[1:].partition(b",")[0] + b"," + text[1:]
        case 3:
            return text.decode("utf-8", "replace").encode(random.choice(("utf-8-sig", "utf-16", "utf-32", "utf-7")))
        case 4:
            return text[:place]
        case _:
            return text + random.choice((b" ", b"\n", b"\0", b",", b"}", text))


# Click


def click_call(random: Random) -> bytes:
    """Write a valid call of Click's."""
    made = random.choice((click_wire.prepare, click_wire.complete))
    number = random.choice((*ATTEMPTS, click_wire.TRANS))
    error = random.choice((0, 0, -1, -5017)) if made is click_wire.complete else 0
    form = made(click_trans_id=number, merchant_trans_id=random.choice(ORDERS), error=error)
    return write("POST", [], click_wire.encoded(form))


def spoiled_click(data: bytes, random: Random) -> bytes:
    """Spoil a form of Click's: a field, its text, or the signature."""
    head, _, body = data.partition(b"\n\n")
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=None)
    if not pairs:
        return click_call(random)
    if random.random() < 0.05:
        return spoiled_head(head, random) + body
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        spoil_field(pairs, random)
    if random.random() < 0.85:
        signature = click_wire.signature({name: value.encode(errors="replace").decode() for name, value in pairs})
        pairs = [(name, signature if name == "sign_string" else value) for name, value in pairs]
    written = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs).encode()
    return head + b"\n\n" + (spoiled_form(written, random) if random.random() < 0.1 else written)


def spoil_field(pairs: list[tuple[str, str]], random: Random) -> None:
    """Change one field of a form."""
    place = random.randrange(len(pairs))
    name, _ = pairs[place]
    match random.randrange(12):
        case 0 if len(pairs) > 1:
            del pairs[place]
        case 1:
            pairs.append(random.choice(pairs))
        case 2:
            pairs.append((random.choice(TEXTS), random.choice(TEXTS)))
        case 3:
            pairs[place] = random.choice(TEXTS), ""
        case 4:
            pairs[place] = name, str(random.choice(NUMBERS))
        case 5:
            pairs[place] = name, str(random.choice(ATTEMPTS))
        case 6:
            pairs[place] = name, str(click_wire.prepare_id(random.choice(ATTEMPTS)))
        case 7:
            pairs[place] = name, random.choice(ORDERS)
        case _:
            pairs[place] = name, random.choice(TEXTS)


def quoted(text: str) -> str:
    return quote_plus(text, errors="surrogatepass")


def spoiled_form(text: bytes, random: Random) -> bytes:
    """Change the text of a form into what no browser writes."""
    place = random.randrange(len(text) + 1)
    more = random.choice((b"&", b"=", b"%", b"%ff", b"%00", b"%zz", b";", b"\xff", b"\0", b"&a=b" * 100, text))
    return text[:place] + more + text[place:]


# Both


CREDENTIALS: Final = wire.basic(), wire.basic("paycom"), wire.basic("Paycom", "wrong"), wire.basic("Paycom", "")


def spoiled_head(head: bytes, random: Random) -> bytes:
    """Change the method or the headers."""
    method, *lines = head.split(b"\n")
    match random.randrange(6):
        case 0:
            method = random.choice((b"GET", b"post", b"", b"OPTIONS", b"POST "))
        case 1:
            lines = [b"authorization: " + random.choice(CREDENTIALS).encode()]
        case 4:
            lines = [b"authorization: " + spoiled_header(wire.basic().encode(), random)]
        case 2:
            lines.append(b"content-encoding: " + random.choice((b"gzip", b"identity", b"", b"br, gzip")))
        case 3 if lines:
            lines.pop(random.randrange(len(lines)))
        case _:
            lines.append(random.choice((b"authorization: Bearer x", b"x: y", b"authorization: Basic", b"", b":")))
    return b"\n".join([method, *lines]) + b"\n\n"


# What is no request


def spoiled_json(data: bytes, random: Random) -> bytes:
    """Spoil a JSON text."""
    _, _, body = spoiled_payme(b"POST\n\n" + data, random).partition(b"\n\n")
    return spoiled_text(body, random) if random.random() < 0.3 else body


def spoiled_header(data: bytes, random: Random) -> bytes:
    """Spoil an Authorization header."""
    place = random.randrange(len(data) + 1)
    words = (
        b"Basic ", b"bAsIc ", b"Basic", b" ", b"=", b"==", b":", b"\xc3\xa9", b"\xff", b"\t", b"\0", b"Bearer ",
        b"A" * 1024, wire.basic().encode(), wire.basic("", "").encode(), wire.basic("a", "b:c:é").encode(),
    )  # fmt: skip
    return random.choice((data[:place] + random.choice(words) + data[place:], data[:place], random.choice(words)))


def spoiled_address(data: bytes, random: Random) -> bytes:
    """Spoil where a call comes from: its peer, a line end, and X-Forwarded-For."""
    place = random.randrange(len(data) + 1)
    words = (
        b"185.234.113.1", b"203.0.113.9", b"10.0.0.1", b"::ffff:", b"::1", b"[", b"]", b":443", b":", b",", b", ",
        b"\n", b" ", b"/28", b"%eth0", b"unix", b"\xa0", b"\xb2", b".", b"0", b"10.0.0.1\n10.0.0.1, 185.234.113.1",
    )  # fmt: skip
    return random.choice((data[:place] + random.choice(words) + data[place:], data[:place], random.choice(words)))
