"""What no input may do, whoever sends it. Each target takes bytes, and raises where it finds what may not be.

Nothing is said about which answer is right for a valid call: the oracle and the model check do that. Said is what must
hold for *any* bytes: one answer, of the class that the input deserves; nothing read or written for who is not trusted;
no key in what is answered. What an input deserves is found a second time, by other means than the core's.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from logging import Handler, LogRecord, getLogger
from random import Random
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from paytechuz_core import PAYME_ADDRESSES, Account, Hooks, Inbound, Memory, Repository, State, Transaction, respond
from paytechuz_core.addresses import Callers, callers_of
from paytechuz_core.decision import Gateway
from paytechuz_core.hooks import call_hook
from paytechuz_core.inbound import HEADER_LIMIT, basic_credentials, decode_json
from paytechuz_core.payme.errors import ERRORS, MERCHANT_REFUSED, SYSTEM_ERROR
from paytechuz_core.testing.invariants import Broken, of_a_move, of_what_is_stored
from paytechuz_core.transaction import HALF_DAY, Fields
from tests.core import click_wire, wire
from tests.core.strategies import lived
from tests.core.wire import AMOUNT, NOW
from tests.fuzz import messages
from tests.fuzz.messages import ATTEMPTS, KNOWN, read

Target = Callable[[bytes], str]
"""Judges one input, and names what became of it, so that a run can tell how deep it came."""

AnyGateway = Gateway[Any, Any]


def claim(holds: object, what: str, *about: object) -> None:
    """Hold something against an input."""
    if not holds:
        raise Broken(": ".join([what, *map(repr, about)]))


# The readers


def json_target(data: bytes, decode: Callable[[bytes], Any] = decode_json) -> str:
    """Strict JSON is read, and everything else is a ValueError."""
    try:
        value = decode(data)
    except ValueError:
        claim(not is_strict(data), "good JSON is refused", data)
        return "refused"
    claim(is_strict(data), "bad JSON is read", data)
    claim(json.loads(data) == value, "JSON is read as something else", data)
    json.dumps(value, ensure_ascii=False).encode()
    return f"a {type(value).__name__}"


def is_strict(data: bytes) -> bool:
    """Read JSON a second time, and look for each of the flaws that strict JSON may not have."""
    flaws: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            flaws.append("a name twice")
        return dict(pairs)

    def number(text: str) -> float:
        flaws.extend(["too large"] * (abs(float(text)) == float("inf")))
        return float(text)

    def integer(text: str) -> int:
        flaws.extend(["too long"] * (sum(map(str.isdigit, text)) > 18))
        return 0 if flaws else int(text)

    try:
        text = data.decode()
        value = json.loads(
            text, object_pairs_hook=members, parse_float=number, parse_int=integer, parse_constant=flaws.append
        )
    except (ValueError, RecursionError):
        return False
    return not flaws and sound(value, 32)


def sound(value: Any, depth: int) -> bool:
    """Tell whether a value is no deeper than `depth`, and holds no text that cannot be stored."""
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
        case list():
            return depth > 0 and all(sound(each, depth - 1) for each in value)
        case dict():
            return depth > 0 and all(sound(name, 0) and sound(each, depth - 1) for name, each in value.items())
        case _:
            return True


BEHIND: Final = callers_of(PAYME_ADDRESSES, ("10.0.0.0/24", "unix"))

Credentials = tuple[bytes, bytes] | None


def header_target(data: bytes, credentials: Callable[[str | None], Credentials] = basic_credentials) -> str:
    """A header is login and password, or nothing; and what a client writes is read as it was meant."""
    header = data.decode("utf-8", "surrogateescape")
    found = credentials(header)
    if found is not None:
        login, password = found
        scheme, encoded = header.split()
        claim(len(header) <= HEADER_LIMIT, "a long header is read", header)
        claim(scheme.lower() == "basic", "another scheme is read", header)
        claim(b64decode(encoded) == login + b":" + password, "something else is read", header, found)
        claim(b":" not in login, "a colon is in the login", header)
        (login + password).decode()
    # The bytes themselves as login and password, in a header that is right.
    meant = "Basic " + b64encode(data).decode()
    try:
        data.decode()
    except UnicodeError:
        right = None
    else:
        login, colon, password = data.partition(b":")
        right = (login, password) if colon and len(meant) <= HEADER_LIMIT else None
    claim(credentials(meant) == right, "a header is misread", meant)
    return "read" if found else "refused"


def address_target(data: bytes, callers: Callers = BEHIND) -> str:
    """Whatever a stranger writes, nobody takes him for another; and a trusted proxy is believed about its own hop."""
    peer, _, forwarded = data.decode("latin-1").partition("\n")
    admitted = callers.admit(Inbound("POST", {"x-forwarded-for": forwarded}, b"", peer))
    named = data.decode("latin-1").lower()
    listed = any(address in named for address in PAYME_ADDRESSES) or "ffff" in named  # as IPv6, in hexadecimal
    claim(listed or not admitted, "somebody is let in who named no address of the list", data)
    for who, hops in (("203.0.113.9", forwarded), ("10.0.0.1", f"{forwarded},203.0.113.9"), (None, "203.0.113.9")):
        stranger = Inbound("POST", {"x-forwarded-for": hops}, b"", who)
        claim(not callers.admit(stranger), "a stranger is let in", who, hops)
    payme = Inbound("POST", {"x-forwarded-for": f"{forwarded},{PAYME_ADDRESSES[0]}"}, b"", "10.0.0.1")
    claim(callers.admit(payme), "Payme is sent away", forwarded)
    return "admitted" if admitted else "refused"


# The shop: an order in every state, a wallet, nobody's order


def order(number: int) -> Account:
    return Account(id=number, amount_tiyin=AMOUNT, hold=f"orders:{number}", model=f"order {number}")


ACCOUNTS: Final = {**{str(number): order(number) for number in range(42, 48)}, "7": wire.WALLET}


def past(number: int, state: State, *, age: int = 60_000, click: int | None = None) -> Transaction:
    """Store a transaction for an order, so old."""
    account, at = ACCOUNTS[str(number)], NOW - age
    if click is None:
        return lived(state, account, transaction_id=KNOWN[number - 42], at=at)
    form = click_wire.prepare(click_trans_id=click, merchant_trans_id=number)
    received = {
        name: form[name] for name in ("merchant_trans_id", "service_id", "click_paydoc_id", "amount", "sign_time")
    }
    made = lived(state, account, transaction_id=str(click), at=at, gateway="click", received=received)
    return replace(made, provider_time=None)


def numbered(*rows: Transaction) -> dict[tuple[str, str], Transaction]:
    return {(row.gateway, row.transaction_id): replace(row, id=number) for number, row in enumerate(rows, 1)}


BOOKS: Final = {
    "payme": numbered(
        past(43, State.INITIATING),
        past(44, State.SUCCESSFULLY),
        past(45, State.CANCELLED_DURING_INIT),
        past(46, State.CANCELLED),
        past(47, State.INITIATING, age=HALF_DAY + 1),
    ),
    "click": numbered(
        past(43, State.INITIATING, click=ATTEMPTS[0]),
        past(44, State.SUCCESSFULLY, click=ATTEMPTS[1]),
        past(45, State.CANCELLED_DURING_INIT, click=ATTEMPTS[2]),
        past(46, State.CANCELLED, click=ATTEMPTS[3]),
        past(47, State.INITIATING),  # Payme's
    ),
}
"""What is stored when a call comes, by provider."""


class Shop(Memory):
    """A shop in memory that says whether anybody opened its books."""

    def __init__(self, gateway: AnyGateway) -> None:
        super().__init__(self.account_of)
        self.gateway = gateway
        self.before = self.transactions = dict(BOOKS[gateway.name])
        self.opened = False

    def account_of(self, fields: Fields) -> Account | None:
        return ACCOUNTS.get(str(fields["order_id"]))

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        self.opened = True
        with super().begin() as repository:
            yield repository

    def answer(self, inbound: Inbound) -> bytes:
        """Answer a request; what was answered as a system error is raised."""
        with raising():
            return respond(self.gateway, inbound, self.begin, partial(call_hook, Hooks()), lambda: NOW)

    def judge(self) -> None:
        """Hold what is stored now against the rules."""
        if self.transactions == self.before:
            return
        for named, row in self.transactions.items():
            broken = list(of_a_move(self.before.get(named), row))
            claim(not broken, "a rule is broken", broken)
        broken = list(of_what_is_stored(self.transactions.values(), {each.id: each for each in ACCOUNTS.values()}))
        claim(not broken, "a rule is broken", broken)


class Raise(Handler):
    """Raises what the engine logs."""

    def emit(self, record: LogRecord) -> None:
        raise Broken(record.getMessage()) from (record.exc_info or (None, None))[1]


@contextmanager
def raising() -> Iterator[None]:
    """Let nothing be swallowed: whatever the engine would answer with a system error is a bug here."""
    log, handler = getLogger("paytechuz"), Raise()
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


# Payme, from request to answer

PAYME: Final = replace(wire.PAYME, changes_password=True)
CODES: Final = {error.code for error in ERRORS} - {SYSTEM_ERROR.code, MERCHANT_REFUSED.code}
"""Every error that a request can deserve of a shop without hooks."""

BEFORE_A_CALL: Final = {-32300, -32504, -32700, -32600, -32601, -32602}
READING: Final = ("CheckPerformTransaction", "CheckTransaction", "GetStatement", "ChangePassword")


def payme_target(data: bytes, gateway: AnyGateway = PAYME) -> str:
    """Whatever comes, Payme's side gets one answer, of the class that it deserves."""
    inbound, shop = read(data), Shop(gateway)
    answer = one_object(shop.answer(inbound), {"jsonrpc", "id"})
    outcome = answer.keys() - {"jsonrpc", "id"}
    claim(answer["jsonrpc"] == "2.0" and outcome in ({"result"}, {"error"}), "no result, or no error", answer)
    code = answer["error"]["code"] if "error" in answer else None
    if code is not None:
        claim(code in CODES, "a code that nothing here deserves", answer)
        claim(answer["error"]["message"].keys() == {"ru", "uz", "en"}, "a language is missing", answer)
        claim(answer["error"].keys() <= {"code", "message", "data"}, "an error says more than it may", answer)

    sent = payme_message(inbound)
    gate = payme_gate(inbound, sent)
    if gate is not None:
        claim(code == gate, "another class of error", gate, answer)
    else:
        claim(code not in {-32300, -32700}, "another class of error", answer)
        changes = sent["method"] == "ChangePassword"
        claim(code != -32504 or changes, "a trusted caller is sent away", answer)
    if isinstance(sent, dict) and inbound.method == "POST":
        claim(answer["id"] == sent.get("id"), "the id is not echoed", answer)
    else:
        claim(answer["id"] is None, "an id comes from nowhere", answer)

    if code in BEFORE_A_CALL:
        claim(not shop.opened, "books are opened for what is no call", answer)
    if not (isinstance(sent, dict) and sent.get("method") not in READING and code in {None, -31008}):
        claim(shop.transactions == shop.before, "something is written", answer)
    shop.judge()
    silent(answer, wire.KEY, sent)
    return "a result" if code is None else str(code)


def payme_message(inbound: Inbound) -> Any:
    """Read the message, or give an ellipsis where there is none."""
    body, encoding = inbound.body, inbound.headers.get("content-encoding", "identity")
    return json.loads(body) if body is not None and encoding.lower() == "identity" and is_strict(body) else ...


def payme_gate(inbound: Inbound, sent: Any) -> int | None:
    """Say at which gate a request must end, or None where it must come through."""
    header, right = inbound.headers.get("authorization", ""), wire.basic().removeprefix("Basic ")
    given = re.fullmatch(rf"\s*basic \s*([a-z0-9+/]{{{len(right) - 2}}}==)\s*", header, re.IGNORECASE)
    if inbound.method != "POST":
        return -32300
    # Base64 has several texts for the same bytes, which differ in what its last letter says beyond them.
    if given is None or len(header) > HEADER_LIMIT or b64decode(given[1]) != b64decode(right):
        return -32504
    if inbound.body is None or inbound.headers.get("content-encoding", "identity").lower() != "identity":
        return -32600
    if sent is ...:
        return -32700
    shaped = isinstance(sent, dict) and isinstance(sent.get("method"), str) and isinstance(sent.get("params"), dict)
    return None if shaped else -32600


# Click, from form to answer

CLICK: Final = click_wire.CLICK


def click_target(data: bytes, gateway: AnyGateway = CLICK) -> str:
    """Whatever comes, Click's side gets one answer, of the class that it deserves."""
    inbound, shop = read(data), Shop(gateway)
    answer = one_object(shop.answer(inbound), {"click_trans_id", "merchant_trans_id", "error", "error_note"})
    click_wire.read(json.dumps(answer).encode())
    code = answer["error"]
    claim(code != -7, "a system error", answer)

    form = click_form(inbound)
    if form is None:
        claim(code == -8, "what is no form is no error in the request", answer)
    elif form.get("sign_string", "").lower() != click_wire.signature(form):
        claim(code in {-1, -8}, "an unsigned form is answered", answer)
    elif form.get("action") not in {"0", "1"}:
        claim(code in {-3, -8}, "an action that there is not is answered", answer)
    else:
        claim(code not in {-1, -3}, "a signed form is sent away", answer)
    if form is not None:
        claim(answer["merchant_trans_id"] == form.get("merchant_trans_id", ""), "the order is not echoed", answer)

    if code in {-1, -3, -8} and shop.opened:  # a repeated Prepare for another order is an error in the request too
        claim(code == -8 and shop.transactions == shop.before, "books are opened for what is no call", answer)
    if code not in {0, -9}:
        claim(shop.transactions == shop.before, "something is written", answer)
    shop.judge()
    silent(answer, click_wire.SECRET, form)
    return str(code)


def click_form(inbound: Inbound) -> dict[str, str] | None:
    """Read a form by other means, or give None where there is none."""
    body, encoding = inbound.body, inbound.headers.get("content-encoding", "identity")
    if inbound.method != "POST" or body is None or encoding.lower() != "identity" or not body.isascii():
        return None
    pieces = [piece.split(b"=", 1) for piece in body.replace(b"+", b" ").split(b"&")]
    if len(pieces) > 64 or not all(len(piece) == 2 for piece in pieces):
        return None
    try:
        pairs = [(unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()) for name, value in pieces]
    except UnicodeError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) and not any("\0" in value for value in form.values()) else None


# What is true of both


def one_object(body: bytes, members: set[str]) -> dict[str, Any]:
    """Read an answer: one JSON object with these members at least."""
    claim(is_answer := isinstance(body, bytes), "no answer", body)
    answer: dict[str, Any] = json.loads(body) if is_answer else {}
    claim(isinstance(answer, dict) and answer.keys() >= members, "no object, or not all of it", body)
    return answer


def silent(answer: dict[str, Any], key: str, sent: Any) -> None:
    """Search an answer for the key, unless the caller said it."""
    if key in json.dumps(answer, ensure_ascii=False):
        claim(key in str(sent), "the answer tells the key", answer)


@dataclass(frozen=True)
class Fuzzed:
    """One thing that is fuzzed: what it is called, its property, how its inputs are spoiled, and its part of a run."""

    name: str
    target: Target
    spoil: Callable[[bytes, Random], bytes]
    share: int
    longest: int = 4096


FUZZED: Final = (
    Fuzzed("json", json_target, messages.spoiled_json, 20),
    Fuzzed("header", header_target, messages.spoiled_header, 15, 1100),
    Fuzzed("address", address_target, messages.spoiled_address, 5, 600),
    Fuzzed("payme", payme_target, messages.spoiled_payme, 35),
    Fuzzed("click", click_target, messages.spoiled_click, 25),
)
