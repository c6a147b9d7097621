"""Payme's acceptance suite as plain functions: a way to call, a shop to order from, and what must be answered.

    till = Till(over_http("http://127.0.0.1:8000/payments/payme/webhook"), key="…")
    for step in play(ONE_TIME, till, shop):
        print(step.scenario, step.call, step.expected, step.got, step.ok)

A scenario is one page of the provider's suite: it orders, calls and yields a `Step` for every answer. `ONE_TIME` is for
orders that are paid once, `TOP_UP` for accounts that are paid again and again. Beside what Payme's sandbox tests
(https://developer.help.paycom.uz/pesochnitsa) they hold what it leaves out and what costs money: calls that come too late,
a cancelled payment called back to life, a retry after a failed debit, unknown ids, requests that are none.

Every write is sent twice, byte for byte, as the sandbox does, and the two answers must be the same, byte for byte.

The numbers here are read from the provider's pages, not from the gateway that they examine. Nothing here needs pytest.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from secrets import token_hex
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

Fields: TypeAlias = Mapping[str, Any]
Millis: TypeAlias = int
Tiyin: TypeAlias = int


class Send(Protocol):
    """A way to call: POST these bytes with these headers, give the HTTP status and the body that came back.

    Raise OSError (ConnectionError, TimeoutError) where nothing came back. Follow no redirect: Payme follows none.
    """

    def __call__(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        """Send one request."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something to pay for: the account fields as Payme sends them (`{"id": "42"}`), and the price in tiyin."""

    account: Fields
    amount_tiyin: Tiyin


class Shop(Protocol):
    """A shop to order from, seen from inside; a test, a demo or a command line brings its own."""

    def new_order(self) -> Order:
        """Place an order that awaits payment; for `TOP_UP`, a new account with a balance of 0."""

    def status(self, order: Order) -> str:
        """Say what the shop itself believes.

        For `ONE_TIME`: exactly `paid` while the order is paid, any other word otherwise; a shop that counts says
        `paid twice` where it was told twice. For `TOP_UP`: the balance in tiyin, as text.
        """

    def advance(self, milliseconds: Millis) -> None:
        """Let time pass: a test moves an injected clock, a demo waits."""

    def now(self) -> Millis:
        """Give the time that both sides agree on, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Step:
    """One answer, judged. `why` says in one sentence why a wrong one costs money and how to mend it."""

    scenario: str
    call: str
    expected: str
    got: str
    ok: bool
    why: str


# The provider's numbers

NOT_JSON: Final = -32700
BAD_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
NOT_ALLOWED: Final = -32504
WRONG_AMOUNT: Final = -31001
TRANSACTION_NOT_FOUND: Final = -31003
CANNOT_PERFORM: Final = -31008
ACCOUNT_RANGE: Final = range(-31099, -31049)

LIFETIME: Final[Millis] = 43_200_000
"""How long an unpaid transaction lives, counted from its `time`."""

NEARLY_EXPIRED: Final[Millis] = LIFETIME - 1500
"""The age of a transaction that is created in time and expires during the next two seconds."""

DEBIT_FAILED: Final = 2
TIMEOUT: Final = 4
REFUND: Final = 5

SANDBOX_PASSWORD: Final = "Uzcard:someRandomString1545343543545"  # noqa: S105 - what the sandbox itself sends as a wrong key
"""The password of the sandbox's own bad-credentials test; with the colon, so only the first colon of the header splits."""


# What is expected


@dataclass(frozen=True, slots=True)
class Some:
    """A value of which only the kind is known beforehand; `text` describes it, or is empty where it goes without saying."""

    text: str
    fits: Callable[[Any], bool]


def is_time(value: object) -> bool:
    """Tell whether `value` is a time as Payme writes it: an integer of 13 digits, milliseconds."""
    return isinstance(value, int) and not isinstance(value, bool) and 10**12 <= value < 10**13


def near(millis: Millis) -> Some:
    """Expect a time within an hour of `millis`: enough for two clocks, too little for a time zone."""
    return Some("now", lambda value: is_time(value) and abs(value - millis) < 60 * 60 * 1000)


TIME: Final = Some("a time", is_time)
NUMBER: Final = Some("", lambda value: isinstance(value, str) and value != "")
"""The merchant's own number for the transaction: a text of free format, so nothing to read in a table."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must be: how to say it, and how to tell."""

    text: str
    holds: Callable[["Answer"], bool]


def result(**members: Any) -> Expected:
    """Expect a result with these members at least: values, or `Some` kind of value."""
    told = [
        f"{name} {show(value)}".strip() for name, value in members.items() if not isinstance(value, Some) or value.text
    ]

    def holds(answer: "Answer") -> bool:
        given = answer.result
        return all(
            name in given and (want.fits(given[name]) if isinstance(want, Some) else alike(want, given[name]))
            for name, want in members.items()
        )

    return Expected(", ".join(told), holds)


def error(code: int) -> Expected:
    """Expect an error with this code."""
    return Expected(str(code), lambda answer: answer.code == code)


def account_error(account: Iterable[str], *, or_code: int | None = None) -> Expected:
    """Expect an error in the account range whose `data` names one of the account's fields; or the code `or_code`."""
    names = list(account)

    def holds(answer: "Answer") -> bool:
        return (answer.code in ACCOUNT_RANGE and answer.error.get("data") in names) or (
            or_code is not None and answer.code == or_code
        )

    return Expected("-31099 … -31050" if or_code is None else f"-31099 … -31050, or {or_code}", holds)


ALLOWED: Final = result(allow=True)
REFUSED: Final = Expected("an error", lambda answer: answer.code is not None)


# What was answered


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call, and for its repetition where it was sent twice."""

    call: str
    echo: Any
    status: int
    body: bytes
    repeated: tuple[int, bytes] | None = None
    message: Any = field(init=False)

    def __post_init__(self) -> None:
        """Read the body once."""
        try:
            message = json.loads(self.body)
        except ValueError:
            message = None
        object.__setattr__(self, "message", message)

    @property
    def result(self) -> Mapping[str, Any]:
        """The result, empty where there is none."""
        return self._object("result")

    @property
    def error(self) -> Mapping[str, Any]:
        """The error, empty where there is none."""
        return self._object("error")

    @property
    def code(self) -> int | None:
        """The error's code, or None."""
        code = self.error.get("code")
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    def _object(self, name: str) -> Mapping[str, Any]:
        value = self.message.get(name) if isinstance(self.message, dict) else None
        return value if isinstance(value, dict) else {}

    def expect(self, expected: Expected, why: str) -> Step:
        """Judge the answer: first what every answer must be, then what this one must be."""
        text = f"{expected.text}, twice" if self.repeated is not None else expected.text
        for faulty, got, reason in self._faults():
            if faulty:
                return Step("", self.call, text, got, ok=False, why=reason)
        ok = expected.holds(self)
        return Step("", self.call, text, self.summary if ok else shorten(show(self.error or self.result)), ok, why)

    def _faults(self) -> Iterator[tuple[bool, str, str]]:
        """Go through what is wrong with an answer of any method."""
        yield (
            self.status != HTTPStatus.OK,
            f"HTTP {self.status} {shorten(self.body.decode(errors='replace'))}".strip(),
            "Payme takes every HTTP status but 200 for a system failure, repeats the call and suspends the payment: answer"
            " errors, refused credentials and crashes with 200 too, and see that no redirect or middleware answers first.",
        )
        whole = isinstance(self.message, dict) and bool(self.result) != bool(self.error)
        yield (
            not whole or (bool(self.error) and self.code is None),
            f"not an answer: {shorten(self.body.decode(errors='replace'))}",
            "Payme cannot read it, so a payment that was taken stays open: answer one JSON object with either `result` or"
            " `error`, and in `error` an integer `code`.",
        )
        yield (
            not alike(self.message.get("id") if whole else None, self.echo),
            f"id {show(self.message.get('id') if whole else None)} instead of {show(self.echo)}",
            "An answer to another question may be taken for this one: echo the request's `id`, in its own JSON type, and null"
            " where the request could not be read.",
        )
        yield (
            self.repeated is not None and self.repeated != (self.status, self.body),
            f"at first {self.summary}; repeated: {shorten(self._again)}",
            "Payme repeats what it got no answer to, and two answers to one call mean two payments or a lost one: find the"
            " transaction by its id first, and answer what was stored, to the millisecond.",
        )
        worded = self.error.get("message")
        yield (
            self.code in ACCOUNT_RANGE
            and not (isinstance(worded, dict) and all(worded.get(each) for each in ("ru", "uz", "en"))),
            f"{self.code} with the message {shorten(show(worded))}",
            "The payer reads this message and gives up where it is empty: send an object with the texts `ru`, `uz` and `en`.",
        )

    @property
    def _again(self) -> str:
        status, body = self.repeated or (0, b"")
        return f"HTTP {status} {body.decode(errors='replace')}"

    @property
    def summary(self) -> str:
        """The answer in a few words, for a table."""
        if self.code is not None:
            worded = self.error.get("message")
            text = worded.get("en", "") if isinstance(worded, dict) else worded
            return f"{self.code} {shorten(str(text or ''))}".strip()
        rows = self.result.get("transactions")
        if isinstance(rows, list):
            states = ", ".join(show(row.get("state")) if isinstance(row, dict) else "?" for row in rows)
            return f"{len(rows)} in states {states}" if rows else "none"
        told = {name: value for name, value in self.result.items() if name not in ("transaction", "receivers")}
        return ", ".join(f"{name} {shorten(show(value))}" for name, value in told.items())


class Till:
    """Payme's side of the wire: one cash register with its key. Writes are sent twice.

    `login` is `Paycom` for every cash register. `new_id` makes transaction ids as Payme does, 24 hexadecimal digits.
    """

    def __init__(
        self, send: Send, key: str, *, login: str = "Paycom", new_id: Callable[[], str] = lambda: token_hex(12)
    ) -> None:
        self.send = send
        self.key = key
        self.login = login
        self.new_id = new_id
        self._numbers = count(100_001)

    def __repr__(self) -> str:
        """Show no key."""
        return f"Till({self.send!r})"

    def check_perform(self, order: Order, amount: Tiyin | None = None, *, note: str = "", **changed: Any) -> Answer:
        """May this order be paid? With another `amount`, or with other account fields, where given."""
        params = {"amount": order.amount_tiyin if amount is None else amount, "account": dict(order.account), **changed}
        return self.call("CheckPerformTransaction", params, note=note)

    def create(
        self, transaction: str, time: Millis, order: Order, amount: Tiyin | None = None, *, note: str = "", **changed: Any
    ) -> Answer:  # fmt: skip
        """Reserve this order."""
        amount = order.amount_tiyin if amount is None else amount
        params = {"id": transaction, "time": time, "amount": amount, "account": dict(order.account), **changed}
        return self.call("CreateTransaction", params, note=note, twice=True)

    def perform(self, transaction: str, *, note: str = "") -> Answer:
        """Tell that the money arrived."""
        return self.call("PerformTransaction", {"id": transaction}, note=note, twice=True)

    def cancel(self, transaction: str, reason: int, *, note: str = "") -> Answer:
        """Give it up, or give the money back."""
        return self.call("CancelTransaction", {"id": transaction, "reason": reason}, note=note, twice=True)

    def check(self, transaction: str, *, note: str = "") -> Answer:
        """Ask which state it is in."""
        return self.call("CheckTransaction", {"id": transaction}, note=note)

    def statement(self, start: Millis, end: Millis, *, note: str = "") -> Answer:
        """Ask which transactions there were."""
        return self.call("GetStatement", {"from": start, "to": end}, note=note)

    def call(
        self, method: str, params: Fields, *, note: str = "", twice: bool = False, authorization: str | None = "",
    ) -> Answer:  # fmt: skip
        """Call a method. `authorization` replaces the header; None leaves it out."""
        echo = next(self._numbers)
        message = {"jsonrpc": "2.0", "id": echo, "method": method, "params": params}
        named = f"{method}, {note}" if note else method
        return self.post(json.dumps(message).encode(), named, echo=echo, twice=twice, authorization=authorization)

    def post(
        self, body: bytes, call: str, *, echo: Any = None, twice: bool = False, authorization: str | None = "",
    ) -> Answer:  # fmt: skip
        """Send any bytes; `call` is how a table names them, `echo` the `id` that must come back."""
        headers = {"Content-Type": "application/json; charset=UTF-8", "Test-Operation": "Paycom"}
        if authorization is not None:
            headers["Authorization"] = authorization or self.authorization()
        status, answer = self.send(body, headers)
        return Answer(call, echo, status, answer, self.send(body, headers) if twice else None)

    def authorization(self, password: str | None = None) -> str:
        """Give the header's value, with another `password` where given."""
        return "Basic " + b64encode(f"{self.login}:{self.key if password is None else password}".encode()).decode()


# The provider's pages


@dataclass(frozen=True, slots=True)
class Scenario:
    """One page of the suite. Call it with a till and a shop, and it yields its steps as they happen."""

    name: str
    about: str
    steps: Callable[[Till, Shop], Iterator[Step]]

    def __call__(self, till: Till, shop: Shop) -> Iterator[Step]:
        """Play it. An endpoint that falls silent ends it, with a step that says so."""
        try:
            for step in self.steps(till, shop):
                yield replace(step, scenario=self.name)
        except (OSError, HTTPException) as lost:
            yield Step(self.name, "any call", "an answer", f"none: {shorten(repr(lost))}", ok=False, why=SILENCE)


def scenario(steps: Callable[[Till, Shop], Iterator[Step]]) -> Scenario:
    """Make a scenario of a generator of steps; its name is the scenario's."""
    about = (steps.__doc__ or "").partition("\n")[0]
    return Scenario(steps.__name__.replace("_", " "), about, steps)


def play(scenarios: Iterable[Scenario], till: Till, shop: Shop) -> Iterator[Step]:
    """Play one scenario after another."""
    for each in scenarios:
        yield from each(till, shop)


SILENCE: Final = (
    "Payme suspends a payment that gets no answer until somebody finishes it by hand: see why the endpoint fell silent."
)
TRUST: Final = (
    "Whoever gets past this can mark any order as paid: compare login and key with the header, split at its first colon,"
    " before anything else is looked at, and answer -32504."
)
EXACT: Final = (
    "A payer could set the price: compare the amount with the order's own, in whole tiyin, and answer -31001."
)
EXISTS: Final = (
    "Money for an order that nobody knows must be sought and sent back by hand: answer -31050…-31099 with the account field's"
    " name in `data`, before the amount is looked at."
)
FREE: Final = "A customer who may pay and is turned away is a sale lost: allow what awaits payment."
ONE_LIVE: Final = (
    "Two payers would be debited for one order: let one live transaction hold it, by a unique key in the database, and answer"
    " -31050…-31099 to any other id."
)
PAID_ONCE: Final = "The order would be paid twice: a paid order takes no other transaction; answer -31050…-31099."
BORN: Final = (
    "Payme debits the card only after this answer: store the transaction before answering, and give back `create_time`"
    " (13 digits, milliseconds, UTC), your `transaction` as a text and `state` 1."
)
MONEY: Final = (
    "This call alone says that the money has left the payer's card: set state 2 and mark the order paid in one database"
    " transaction, and answer the stored `perform_time`."
)
DELIVERED: Final = (
    "Goods go out, or a balance grows, by this and nothing else: run the paid hook once for each move to state 2, in the same"
    " database transaction, and never for a repeated call."
)
LOOK: Final = "Payme decides by this answer what to do with the payer's money: give all six members as stored, unset times as 0, an unset reason as null."
GIVE_UP: Final = (
    "A cancel that fails leaves the payer's money blocked and the order reserved: move 1 to -1 and 2 to -2, store time and"
    " reason once, and answer these ever after."
)
DEAD: Final = "A cancelled payment that comes back delivers goods nobody paid for: no call leads out of a negative state; answer -31008."
LATE: Final = (
    "After 12 hours Payme has given the money back: where `time` is more than 43 200 000 ms ago, Perform and a repeated Create"
    " must cancel (state -1, reason 4), save that, and answer -31008."
)
RELEASED: Final = (
    "An abandoned or failed attempt must not close the order to the payer's next one: release it with state -1."
)
LISTED: Final = (
    "Payme compares its books with this list, and a missing row is a payment nobody vouches for: select by Payme's own `time`,"
    " both ends included, ascending, every state."
)
UNHEARD_OF: Final = (
    "Any other code makes Payme believe that the transaction exists: answer -31003 for an id never created."
)
READ: Final = "A request that cannot be understood must change nothing and say so in Payme's terms; a crash is answered as -32400 and repeated for hours."


# Invalid data


@scenario
def bad_credentials(till: Till, shop: Shop) -> Iterator[Step]:
    """Turn away everybody but Payme, whatever is asked (A1)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    stranger = till.authorization("not the key")
    params = {
        "id": transaction,
        "time": moment,
        "amount": order.amount_tiyin,
        "account": order.account,
        "reason": REFUND,
    }
    for header, note in (
        (till.authorization(SANDBOX_PASSWORD), "as the sandbox calls"),
        (None, "no Authorization"),
        ("Basic", "no credentials"),
        ("Basic oops!", "not base64"),
        ("Bearer " + till.key, "another scheme"),
        (till.authorization(""), "empty key"),
        (till.authorization(till.key + ":"), "key and a colon"),
        (till.authorization(till.key[:-1]), "key cut short"),
    ):
        asked = till.call("CheckPerformTransaction", {"amount": 1, "account": {}}, note=note, authorization=header)
        yield asked.expect(error(NOT_ALLOWED), TRUST)
    for method in (
        "CheckPerformTransaction",
        "CreateTransaction",
        "PerformTransaction",
        "CancelTransaction",
        "CheckTransaction",
    ):
        yield till.call(method, params, note="wrong key", authorization=stranger).expect(error(NOT_ALLOWED), TRUST)
    window = {"from": moment - LIFETIME, "to": moment}
    yield till.call("GetStatement", window, note="wrong key", authorization=stranger).expect(error(NOT_ALLOWED), TRUST)
    yield till.check(transaction, note="created with a wrong key").expect(error(TRANSACTION_NOT_FOUND), TRUST)


@scenario
def wrong_amount(till: Till, shop: Shop) -> Iterator[Step]:
    """Take an order's exact price and no other, to the tiyin (A2)."""
    order, moment = shop.new_order(), shop.now()
    price = order.amount_tiyin
    for amount, note in (
        (3, "3 tiyin"),
        (price - 1, "a tiyin less"),
        (price + 1, "a tiyin more"),
        (price * 100, "a hundredfold"),
        (-price, "negative"),
    ):
        transaction = till.new_id()
        yield till.check_perform(order, amount, note=note).expect(error(WRONG_AMOUNT), EXACT)
        yield till.create(transaction, moment, order, amount, note=note).expect(error(WRONG_AMOUNT), EXACT)
        yield till.check(transaction, note=note).expect(error(TRANSACTION_NOT_FOUND), EXACT)
    yield till.check_perform(order, note="the right amount").expect(ALLOWED, FREE)
    yield status(shop, order, paid=False, why=EXACT)


@scenario
def unknown_account(till: Till, shop: Shop) -> Iterator[Step]:
    """Turn away money for what nobody ordered, and say which field is wrong (A3)."""
    order, moment = shop.new_order(), shop.now()
    names = tuple(order.account)
    for account, note in (
        (dict.fromkeys(names, "999999999"), "unknown"),
        (dict.fromkeys(names, "no such thing"), "unknown text"),
        (dict.fromkeys(names, "9" * 200), "200 digits"),
        (dict.fromkeys(names, "1.5"), "a fraction"),
        (dict.fromkeys(names, " "), "blank"),
        (dict.fromkeys(names), "null"),
        ({}, "field missing"),
    ):
        transaction = till.new_id()
        yield till.check_perform(order, note=note, account=account).expect(account_error(names), EXISTS)
        yield till.create(transaction, moment, order, note=note, account=account).expect(account_error(names), EXISTS)
        yield till.check(transaction, note=note).expect(error(TRANSACTION_NOT_FOUND), EXISTS)
    stranger = dict.fromkeys(names, "999999999")
    both = till.check_perform(order, 1, note="unknown, and a wrong amount", account=stranger)
    yield both.expect(account_error(names), EXISTS)


# Scenario 1 and scenario 2


@scenario
def create_and_cancel(till: Till, shop: Shop) -> Iterator[Step]:
    """Reserve an order, and give it up before it is paid (scenario 1, B1 to B9)."""
    order, transaction = shop.new_order(), till.new_id()
    yield from reserve(till, shop, order, transaction)
    cancelled = till.cancel(transaction, DEBIT_FAILED)
    yield cancelled.expect(result(state=-1, cancel_time=near(shop.now()), transaction=NUMBER), GIVE_UP)
    yield till.check(transaction).expect(
        result(
            state=-1, create_time=TIME, perform_time=0, cancel_time=kept(cancelled, "cancel_time"), reason=DEBIT_FAILED
        ),
        LOOK,
    )
    again = till.cancel(transaction, REFUND, note="another reason")
    yield again.expect(result(state=-1, cancel_time=kept(cancelled, "cancel_time")), GIVE_UP)
    yield till.check(transaction).expect(result(state=-1, reason=DEBIT_FAILED), GIVE_UP)
    yield till.perform(transaction, note="after the cancel").expect(error(CANNOT_PERFORM), DEAD)
    yield status(shop, order, paid=False, why=DEAD)


@scenario
def perform_and_refund(till: Till, shop: Shop) -> Iterator[Step]:
    """Reserve an order, take its payment and give it back (scenario 2, C1 to C12)."""
    order, transaction = shop.new_order(), till.new_id()
    yield from reserve(till, shop, order, transaction)
    yield status(shop, order, paid=False, why=MONEY)
    performed = till.perform(transaction)
    yield performed.expect(result(state=2, perform_time=near(shop.now()), transaction=NUMBER), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)
    yield till.check(transaction).expect(
        result(state=2, create_time=TIME, perform_time=kept(performed, "perform_time"), cancel_time=0, reason=None),
        LOOK,
    )
    yield till.create(transaction, shop.now(), order, note="after the payment").expect(error(CANNOT_PERFORM), PAID_ONCE)
    refunded = till.cancel(transaction, REFUND)
    yield refunded.expect(result(state=-2, cancel_time=near(shop.now()), transaction=NUMBER), GIVE_UP)
    kept_times = {"perform_time": kept(performed, "perform_time"), "cancel_time": kept(refunded, "cancel_time")}
    yield till.check(transaction).expect(result(state=-2, create_time=TIME, **kept_times, reason=REFUND), LOOK)
    yield status(shop, order, paid=False, why=GIVE_UP)
    yield till.perform(transaction, note="after the refund").expect(error(CANNOT_PERFORM), DEAD)
    yield till.check(transaction).expect(result(state=-2, **kept_times, reason=REFUND), DEAD)
    yield status(shop, order, paid=False, why=DEAD)


def reserve(till: Till, shop: Shop, order: Order, transaction: str) -> Iterator[Step]:
    """Begin as both scenarios do: check, create, look, and turn another transaction away (B1 to B6)."""
    moment = shop.now()
    yield till.check_perform(order).expect(ALLOWED, FREE)
    created = till.create(transaction, moment, order)
    yield created.expect(result(state=1, create_time=near(moment), transaction=NUMBER), BORN)
    unset = {"perform_time": 0, "cancel_time": 0, "reason": None}
    yield till.check(transaction).expect(
        result(state=1, create_time=kept(created, "create_time"), **unset, transaction=NUMBER), LOOK
    )
    # The provider's page says -31008 here, its sandbox insists on the account range: either turns the second payer away.
    rival = till.create(till.new_id(), moment, order, note="a second id")
    yield rival.expect(account_error(order.account, or_code=CANNOT_PERFORM), ONE_LIVE)


# Orders in other states


@scenario
def held_order(till: Till, shop: Shop) -> Iterator[Step]:
    """Close an order to others while one transaction is paying for it (D2)."""
    order, transaction, rival, moment = shop.new_order(), till.new_id(), till.new_id(), shop.now()
    yield till.create(transaction, moment, order).expect(result(state=1), BORN)
    yield till.check_perform(order, note="held").expect(account_error(order.account), ONE_LIVE)
    yield till.check_perform(order, order.amount_tiyin + 1, note="held, wrong amount").expect(
        error(WRONG_AMOUNT), EXACT
    )
    second = till.create(rival, moment, order, note="a second id")
    yield second.expect(account_error(order.account, or_code=CANNOT_PERFORM), ONE_LIVE)
    yield till.perform(rival, note="the second id").expect(error(TRANSACTION_NOT_FOUND), ONE_LIVE)
    yield till.perform(transaction, note="the first id").expect(result(state=2), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def paid_order(till: Till, shop: Shop) -> Iterator[Step]:
    """Close a paid order, and a refunded one, for good (D3)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    yield till.create(transaction, moment, order).expect(result(state=1), BORN)
    yield till.perform(transaction).expect(result(state=2), MONEY)
    for state in ("paid", "refunded"):
        rival = till.new_id()
        yield till.check_perform(order, note=state).expect(account_error(order.account), PAID_ONCE)
        second = till.create(rival, moment, order, note=f"a second id, {state}")
        yield second.expect(account_error(order.account, or_code=CANNOT_PERFORM), PAID_ONCE)
        yield till.perform(rival, note="the second id").expect(error(TRANSACTION_NOT_FOUND), PAID_ONCE)
        yield status(shop, order, paid=state == "paid", why=PAID_ONCE)
        if state == "paid":
            yield till.cancel(transaction, REFUND).expect(result(state=-2), GIVE_UP)


@scenario
def retry_after_a_cancelled_attempt(till: Till, shop: Shop) -> Iterator[Step]:
    """Let an order whose debit failed be paid by the next transaction, and by that one only."""
    order, failed, retry, moment = shop.new_order(), till.new_id(), till.new_id(), shop.now()
    yield till.create(failed, moment, order).expect(result(state=1), BORN)
    cancelled = till.cancel(failed, DEBIT_FAILED)
    yield cancelled.expect(result(state=-1), GIVE_UP)
    yield till.check_perform(order, note="after a failed debit").expect(ALLOWED, RELEASED)
    yield till.create(retry, moment, order, note="a new id").expect(result(state=1), RELEASED)
    yield till.create(failed, moment, order, note="the failed id").expect(error(CANNOT_PERFORM), DEAD)
    yield till.perform(failed, note="the failed id").expect(error(CANNOT_PERFORM), DEAD)
    yield status(shop, order, paid=False, why=DEAD)
    yield till.perform(retry, note="the new id").expect(result(state=2), MONEY)
    kept_time = kept(cancelled, "cancel_time")
    yield till.cancel(failed, REFUND, note="the failed id").expect(result(state=-1, cancel_time=kept_time), GIVE_UP)
    yield status(shop, order, paid=True, why=DELIVERED)


# What the sandbox leaves out


@scenario
def expired_transaction(till: Till, shop: Shop) -> Iterator[Step]:
    """Never perform a transaction that is 12 hours old: end it when Payme next speaks of it."""
    late, repeated = till.new_id(), till.new_id()
    order, other = shop.new_order(), shop.new_order()
    moment = shop.now() - NEARLY_EXPIRED
    yield till.create(late, moment, order, note="nearly 12 hours old").expect(result(state=1), BORN)
    yield till.create(repeated, moment, other, note="nearly 12 hours old").expect(result(state=1), BORN)
    shop.advance(2000)
    yield till.check(late, note="past 12 hours").expect(
        result(state=1, perform_time=0, cancel_time=0, reason=None), LOOK
    )
    yield till.perform(late, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    ended = result(state=-1, perform_time=0, cancel_time=near(shop.now()), reason=TIMEOUT)
    yield till.check(late).expect(ended, LATE)
    yield till.create(repeated, moment, other, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    yield till.check(repeated).expect(ended, LATE)
    for each in (order, other):
        yield status(shop, each, paid=False, why=LATE)
    yield till.check_perform(order, note="after the timeout").expect(ALLOWED, RELEASED)
    stillborn = till.new_id()
    yield till.create(stillborn, shop.now() - LIFETIME - 2000, order, note="past 12 hours").expect(
        error(CANNOT_PERFORM), LATE
    )
    yield till.check(stillborn).expect(error(TRANSACTION_NOT_FOUND), LATE)


@scenario
def expired_holder(till: Till, shop: Shop) -> Iterator[Step]:
    """Give an order that was abandoned for 12 hours to the next transaction."""
    order, abandoned, successor = shop.new_order(), till.new_id(), till.new_id()
    yield till.create(abandoned, shop.now() - NEARLY_EXPIRED, order, note="nearly 12 hours old").expect(
        result(state=1), BORN
    )
    yield till.check_perform(order, note="held").expect(account_error(order.account), ONE_LIVE)
    shop.advance(2000)
    yield till.check_perform(order, note="the holder expired").expect(ALLOWED, RELEASED)
    yield till.create(successor, shop.now(), order, note="a new id").expect(result(state=1), RELEASED)
    yield till.check(abandoned).expect(result(state=-1, perform_time=0, cancel_time=TIME, reason=TIMEOUT), LATE)
    yield till.perform(abandoned, note="the old id").expect(error(CANNOT_PERFORM), DEAD)
    yield till.perform(successor, note="the new id").expect(result(state=2), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def statement(till: Till, shop: Shop) -> Iterator[Step]:
    """List what was created, in every state, by Payme's time (E2)."""
    start = shop.now() - 60 * 60 * 1000
    # Created in another order than that of their times, so that no clock of the shop's own can put them right.
    times = {start + 30: 1, start + 10: 2, start + 40: -1, start + 20: -2}
    rows: dict[Millis, Mapping[str, Any]] = {}
    for time, state in times.items():
        order, transaction = shop.new_order(), till.new_id()
        answer = till.create(transaction, time, order)
        yield answer.expect(result(state=1), BORN)
        if state not in (1, -1):
            answer = till.perform(transaction)
            yield answer.expect(result(state=2), MONEY)
        if state < 0:
            answer = till.cancel(transaction, REFUND)
            yield answer.expect(result(state=state), GIVE_UP)
        checked = till.check(transaction)
        yield checked.expect(result(state=state), LOOK)
        rows[time] = {
            **checked.result,
            "id": transaction,
            "time": time,
            "amount": order.amount_tiyin,
            "account": dict(order.account),
        }
    refused = till.create(till.new_id(), start + 25, shop.new_order(), 0, note="refused")
    yield refused.expect(REFUSED, EXACT)
    for first, last, note in (
        (start + 10, start + 40, "both ends included"),
        (start + 11, start + 39, "a millisecond less"),
        (start + 20, start + 20, "one millisecond"),
        (start + 1, start + 9, "nothing there"),
        (start + 40, start + 10, "from after to"),
    ):
        wanted = [rows[time] for time in sorted(rows) if first <= time <= last]
        yield till.statement(first, last, note=note).expect(listing(wanted), LISTED)


@scenario
def unknown_transaction(till: Till, shop: Shop) -> Iterator[Step]:
    """Know no transaction that was never created, by any method."""
    del shop
    unknown = till.new_id()
    yield till.perform(unknown).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)
    yield till.cancel(unknown, REFUND).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)
    yield till.check(unknown).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)


@scenario
def malformed_requests(till: Till, shop: Shop) -> Iterator[Step]:
    """Answer what is no request with Payme's own errors, and change nothing."""
    for body, note in ((b"{oops", "broken JSON"), (b"", "empty body"), (b"\xff", "not UTF-8")):
        yield till.post(body, note).expect(error(NOT_JSON), READ)
    for body, note in (
        (b"[]", "a list"),
        (b'"CheckTransaction"', "a text"),
        (b'{"params": {}}', "no method"),
        (b'{"method": "CheckTransaction", "params": []}', "params a list"),
    ):
        yield till.post(body, note).expect(error(BAD_REQUEST), READ)
    unknown = till.call("PayTransaction", {})
    yield unknown.expect(
        Expected(
            "-32601 with its name", lambda it: (it.code, it.error.get("data")) == (UNKNOWN_METHOD, "PayTransaction")
        ),
        READ,
    )
    order, transaction = shop.new_order(), till.new_id()
    yield till.call("PerformTransaction", {}, note="without an id").expect(error(BAD_REQUEST), READ)
    whole = {"id": transaction, "time": shop.now(), "amount": order.amount_tiyin, "account": order.account}
    for name in whole:
        params = {key: value for key, value in whole.items() if key != name}
        yield till.call("CreateTransaction", params, note=f"without {name}").expect(error(BAD_REQUEST), READ)
    for wrong in (str(order.amount_tiyin), order.amount_tiyin + 0.5, True, None):
        created = till.call("CreateTransaction", {**whole, "amount": wrong}, note=f"amount {show(wrong)}")
        yield created.expect(error(BAD_REQUEST), READ)
    yield till.check(transaction).expect(error(TRANSACTION_NOT_FOUND), READ)
    for echo in ("a text", 0, None):
        asked = json.dumps({"id": echo, "method": "CheckTransaction", "params": {"id": transaction}}).encode()
        yield till.post(asked, f"id {show(echo)}, no jsonrpc", echo=echo).expect(error(TRANSACTION_NOT_FOUND), READ)


# Accounts that are paid again and again


@scenario
def top_up(till: Till, shop: Shop) -> Iterator[Step]:
    """Take several payments for one balance at once, and count each of them once (D5)."""
    order, moment = shop.new_order(), shop.now()
    amount = order.amount_tiyin
    first, second = till.new_id(), till.new_id()
    yield till.check_perform(order).expect(ALLOWED, FREE)
    created = till.create(first, moment, order)
    yield created.expect(result(state=1, create_time=near(moment), transaction=NUMBER), BORN)
    yield till.check(first).expect(result(state=1, create_time=kept(created, "create_time"), perform_time=0), LOOK)
    yield till.check_perform(order, amount + 1, note="while one is live").expect(ALLOWED, FREE)
    yield till.create(second, moment, order, amount + 1, note="a second id").expect(result(state=1), FREE)
    yield balance(shop, order, 0, MONEY)
    yield till.perform(second, note="the second id").expect(result(state=2, perform_time=near(shop.now())), MONEY)
    yield balance(shop, order, amount + 1, DELIVERED)
    yield till.check(first).expect(result(state=1), FREE)
    yield till.perform(first, note="the first id").expect(result(state=2, perform_time=near(shop.now())), MONEY)
    yield balance(shop, order, amount + amount + 1, DELIVERED)
    yield till.cancel(first, REFUND).expect(result(state=-2, cancel_time=near(shop.now())), GIVE_UP)
    yield balance(shop, order, amount + 1, GIVE_UP)
    yield till.perform(first, note="after the refund").expect(error(CANNOT_PERFORM), DEAD)
    yield balance(shop, order, amount + 1, DEAD)
    given_up = till.new_id()
    yield till.create(given_up, moment, order, note="after a refund").expect(result(state=1), FREE)
    yield till.cancel(given_up, DEBIT_FAILED, note="before the payment").expect(result(state=-1), GIVE_UP)
    yield balance(shop, order, amount + 1, GIVE_UP)


@scenario
def top_up_of_nothing(till: Till, shop: Shop) -> Iterator[Step]:
    """Take any amount for a balance, but an amount it must be."""
    order = shop.new_order()
    for amount in (0, -1):
        yield till.check_perform(order, amount, note=f"{amount} tiyin").expect(error(WRONG_AMOUNT), EXACT)
        refused = till.create(till.new_id(), shop.now(), order, amount, note=f"{amount} tiyin")
        yield refused.expect(error(WRONG_AMOUNT), EXACT)
    yield balance(shop, order, 0, EXACT)


@scenario
def expired_top_up(till: Till, shop: Shop) -> Iterator[Step]:
    """Credit nothing for a top-up that is 12 hours old."""
    order, transaction = shop.new_order(), till.new_id()
    yield till.create(transaction, shop.now() - NEARLY_EXPIRED, order, note="nearly 12 hours old").expect(
        result(state=1), BORN
    )
    shop.advance(2000)
    yield till.perform(transaction, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    yield till.check(transaction).expect(
        result(state=-1, perform_time=0, cancel_time=near(shop.now()), reason=TIMEOUT), LATE
    )
    yield balance(shop, order, 0, LATE)


ONE_TIME: Final[tuple[Scenario, ...]] = (
    bad_credentials, wrong_amount, unknown_account, create_and_cancel, perform_and_refund, held_order, paid_order,
    retry_after_a_cancelled_attempt, expired_transaction, expired_holder, statement, unknown_transaction, malformed_requests,
)  # fmt: skip
"""For orders that are paid once, for their exact price."""

TOP_UP: Final[tuple[Scenario, ...]] = (
    bad_credentials, unknown_account, top_up, top_up_of_nothing, expired_top_up, statement, unknown_transaction, malformed_requests,
)  # fmt: skip
"""For accounts that are paid any number of times, any amount."""


# Small words


def kept(answer: Answer, name: str) -> Some:
    """Expect the member that an earlier answer gave."""
    value = answer.result.get(name)
    return Some("as before", lambda other: value is not None and alike(value, other))


def listing(rows: Sequence[Mapping[str, Any]]) -> Expected:
    """Expect a statement of exactly these rows, in this order; a row may have further members, as `receivers`."""
    states = ", ".join(show(row.get("state")) for row in rows)

    def holds(answer: Answer) -> bool:
        given = answer.result.get("transactions")
        return (
            isinstance(given, list)
            and len(given) == len(rows)
            and all(
                isinstance(row, dict) and all(name in row and alike(value, row[name]) for name, value in want.items())
                for row, want in zip(given, rows, strict=True)
            )
        )

    return Expected(f"{len(rows)} in states {states}" if rows else "none", holds)


def status(shop: Shop, order: Order, *, paid: bool, why: str) -> Step:
    """Ask the shop whether it believes that the order is paid."""
    word = shop.status(order)
    return Step("", "the order's status", "paid" if paid else "not paid", word, (word == "paid") is paid, why)


def balance(shop: Shop, order: Order, tiyin: Tiyin, why: str) -> Step:
    """Ask the shop for the account's balance."""
    word = shop.status(order)
    return Step("", "the balance", str(tiyin), word, word == str(tiyin), why)


def alike(one: object, other: object) -> bool:
    """Compare as JSON does: `True` is not 1, and 0 is not 0.0; the order of members does not matter."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def show(value: object) -> str:
    """Write a value as the wire has it."""
    return value.text if isinstance(value, Some) else json.dumps(value, ensure_ascii=False)


def shorten(text: str, limit: int = 200) -> str:
    """Keep a long text from filling a table."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


# A way to call


def over_http(url: str, timeout: float = 20) -> Send:
    """Call an endpoint over HTTP or HTTPS, as Payme does: no proxy is used and no redirect followed."""
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
        finally:
            connection.close()

    return send
