"""What a provider's gateway is: a question, a decision, an answer. No I/O anywhere.

A request goes one way. `parse` turns bytes into a call; `lookup` says what the call must know; the engine reads it
into a `Snapshot`; `decide` says what to answer, what to write and which hooks to call; `render` turns the answer into
bytes. A decision may be an error *and* carry a write: an expired transaction is cancelled and refused in one breath.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from paytechuz_core.inbound import Inbound
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction


class Hook(StrEnum):
    """The hooks a decision may name. The docstrings of `paytechuz_core.hooks.Hooks` say what each is for."""

    BEFORE_CHECK_PERFORM_TRANSACTION = "before_check_perform_transaction"
    GET_CHECK_DATA = "get_check_data"
    GET_RECEIVERS = "get_receivers"
    CAN_REVERSE = "can_reverse"
    CHANGE_PASSWORD = "change_password"  # noqa: S105 - a hook's name, no password
    TRANSACTION_CREATED = "transaction_created"
    TRANSACTION_ALREADY_EXISTS = "transaction_already_exists"
    SUCCESSFULLY_PAYMENT = "successfully_payment"
    CANCELLED_PAYMENT = "cancelled_payment"
    PAYMENT_CONFLICT = "payment_conflict"
    CHECK_TRANSACTION = "check_transaction"
    GET_STATEMENT = "get_statement"
    AFTER_COMMIT = "after_commit"


ACCOUNT_CODES = range(-31099, -31049)
"""The codes by which Payme knows that the account, not the merchant's server, is at fault."""

MOVES = frozenset({Hook.TRANSACTION_CREATED, Hook.SUCCESSFULLY_PAYMENT, Hook.CANCELLED_PAYMENT})
"""The hooks that tell of a move; the others tell of a call."""


@dataclass(frozen=True, slots=True)
class Event:
    """A hook to call, and what it is about. `after` is the move that an `after_commit` follows."""

    hook: Hook
    transaction: Transaction | None = None
    account: Account | None = None
    transactions: Sequence[Transaction] | None = None
    after: Hook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was read for one call: the transaction it names, its account, whoever holds that account, a statement."""

    transaction: Transaction | None = None
    account: Account | None = None
    holder: Transaction | None = None
    transactions: Sequence[Transaction] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a call must know before it can be decided.

    `transaction_id` and `hold` are read together; `for_update` locks the row only to save rivals a retry. The account
    is read where no transaction is known yet. `hold` is given where it follows from the request alone; where it comes
    with the account, the holder is read after it. `window` asks for a statement: provider's time, both ends included.
    """

    gateway: str
    transaction_id: str | None = None
    hold: str | None = None
    for_update: bool = False
    account: Fields | None = None
    window: tuple[Millis, Millis] | None = None

    @property
    def named(self) -> bool:
        """Tell whether there is any key to find a transaction by."""
        return self.transaction_id is not None or self.hold is not None

    def snapshot(self, found: Sequence[Transaction], account: Account | None = None) -> Snapshot:
        """Sort what was found into the transaction that the call names and the rival that holds its account."""
        known = [each for each in found if (each.gateway, each.transaction_id) == (self.gateway, self.transaction_id)]
        # A holder that is this very transaction is no rival: our own retry committed between two reads.
        rivals = [each for each in found if each.hold is not None and each not in known]
        return Snapshot(transaction=first(known), account=account, holder=first(rivals))


ReplyT = TypeVar("ReplyT")
CallT = TypeVar("CallT")


@dataclass(frozen=True, slots=True)
class Decision(Generic[ReplyT]):
    """What to answer, what to write, and which hooks to call.

    `asks` are put to the merchant before anything is written: each may refuse, and `Gateway.amend` puts what it
    returns into the decision. `changes` are written in their order; `events` are told afterwards, in the same database
    transaction. A `replay` changes nothing, because the same call was answered before.
    """

    reply: ReplyT
    changes: tuple[Change, ...] = ()
    events: tuple[Event, ...] = ()
    asks: tuple[Event, ...] = ()
    replay: bool = False

    @property
    def aftermath(self) -> tuple[Event, ...]:
        """The events to tell after COMMIT: one for each move."""
        return tuple(
            Event(Hook.AFTER_COMMIT, event.transaction, after=event.hook)
            for event in self.events
            if event.hook in MOVES
        )

    def created(self, transaction: Transaction, reply: ReplyT) -> "Decision[ReplyT]":
        """Say the same of a new transaction that the merchant's answer has completed."""
        *earlier, last = self.changes
        events = tuple(
            replace(event, transaction=transaction) if event.transaction is last.after else event
            for event in self.events
        )
        return replace(self, reply=reply, changes=(*earlier, Change(None, transaction)), events=events)


class Subject(NamedTuple):
    """What a request is about, as far as a log may be told: as it came, and never a secret.

    `account` is what the provider calls the account. A method that is not `known` is anybody's invention.
    """

    method: str | None = None
    transaction_id: str | None = None
    account: str | None = None
    known: bool = True


class Rejected(Exception):  # noqa: N818 - says what happened to the request
    """The request never became a call. Carries the bytes to answer; for the log their code, and what they are about."""

    def __init__(self, body: bytes, code: int, subject: Subject) -> None:
        super().__init__("the request was rejected before it became a call")
        self.body = body
        self.code = code
        self.subject = subject


class Refused(Exception):  # noqa: N818 - says what the merchant did
    """Raise it in a hook to refuse what the provider asks; nothing is saved.

    `message` is a text, or texts by language `{"ru": …, "uz": …, "en": …}`; the payer may read it. `code` is the
    merchant's own in Payme's account range −31050…−31099, used where the method allows one (CheckPerformTransaction,
    CreateTransaction); elsewhere the method's own error is answered. `data` names the account field, the first by
    default.
    """

    def __init__(self, message: str | dict[str, str], code: int = -31099, data: str | None = None) -> None:
        if code not in ACCOUNT_CODES:
            error = f"a refusal's code must be from -31050 to -31099, not {code}"
            raise ValueError(error)
        texts = {"ru": message, "uz": message, "en": message} if isinstance(message, str) else dict(message)
        if (
            not texts
            or not all(isinstance(text, str) for text in texts.values())
            or not texts.keys() <= {"ru", "uz", "en"}
        ):
            error = "a refusal's message must be a text, or texts under 'ru', 'uz' and 'en'"
            raise ValueError(error)
        fallback = next(iter(texts.values()))
        super().__init__(texts.get("en", fallback))
        self.message = {language: texts.get(language, fallback) for language in ("ru", "uz", "en")}
        self.code = code
        self.data = data


class Gateway(Protocol[CallT, ReplyT]):
    """One provider's protocol and nothing else. Implemented by `paytechuz_core.payme.Payme`."""

    @property
    def name(self) -> str:
        """The `gateway` of its transactions."""

    def parse(self, inbound: Inbound) -> CallT:
        """Turn a request into a call, credentials first; raise `Rejected` with the answer where it is none."""

    def lookup(self, call: CallT) -> Lookup:
        """Say what must be read before `call` can be decided."""

    def decide(self, call: CallT, snapshot: Snapshot, now: Millis) -> Decision[ReplyT]:
        """Decide what to answer, write and tell."""

    def amend(self, call: CallT, decision: Decision[ReplyT], ask: Event, answer: Any) -> Decision[ReplyT]:
        """Put the merchant's answer to one of `decision.asks` into the decision."""

    def refuse(self, call: CallT, refusal: Refused) -> ReplyT:
        """Answer for a hook that refused."""

    def fail(self, call: CallT | None) -> ReplyT:
        """Answer for a bug or an outage: nothing was saved."""

    def expiry(self, transaction: Transaction, now: Millis) -> CallT | None:
        """Give our own call that ends a transaction past its time, or None; an empty reply says that it was not."""

    def params(self, call: CallT) -> dict[str, Any]:
        """Give the provider's parameters as the hooks receive them."""

    def secret(self, call: CallT) -> bool:
        """Tell whether `call` carries a secret, which an error's text may quote and the log must not."""

    def subject(self, call: CallT, transaction: Transaction | None) -> Subject:
        """Say what `call` is about, for the log; `transaction` is the one it names, where that is known."""

    def code(self, reply: ReplyT) -> int:
        """Give the error's code in the provider's protocol, or 0."""

    def render(self, call: CallT | None, reply: ReplyT) -> bytes:
        """Turn an answer into the bytes to send."""


T = TypeVar("T")


def first(items: Sequence[T]) -> T | None:
    """Give the first of `items`, or None."""
    return items[0] if items else None
