"""What the providers were told, and what is stored: every acknowledgement must be found again, once.

A provider keeps a `Ledger` of the moves that the shop has acknowledged. `audit` reads payments and effects, and says
what is lost and what is doubled.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Final

from sqlalchemy import Engine, select

from paytechuz_core import State, Transaction
from paytechuz_core.rows import transaction_of
from paytechuz_core.transaction import Key, Millis
from tests.faults.experiment import Tally
from tests.sql.shop import PAYMENTS, Effect, Order

TIMES: Final = {1: "create_time", 2: "perform_time", -1: "cancel_time", -2: "cancel_time"}
"""Where an answer, and a transaction, say when a payment came into a state."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A move that was answered with success: whose, into which state, the shop's time of it, and when we heard.

    Click is told no times.
    """

    transaction_id: str
    state: int
    stamp: Millis | None
    heard: float


@dataclass(slots=True)
class Ledger:
    """What the providers know. Any number of threads may write into it."""

    moves: list[Acknowledged] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    """Repetitions that were answered otherwise than the first time."""
    _lock: Lock = field(default_factory=Lock)

    def note(self, transaction_id: str, state: int, stamp: Millis | None = None) -> None:
        """Write down an acknowledgement."""
        with self._lock:
            self.moves.append(Acknowledged(transaction_id, state, stamp, time.monotonic()))

    def contradict(self, story: str) -> None:
        """Write down an answer that is not what it was."""
        with self._lock:
            self.contradictions.append(story)

    def silence(self, since: float) -> float:
        """Give the longest time, in seconds, that passed without an acknowledgement from a moment on."""
        heard = [since, *sorted(move.heard for move in self.moves if move.heard > since)]
        return max((later - earlier for earlier, later in pairwise(heard)), default=0.0)


@dataclass(frozen=True, slots=True)
class Books:
    """What is stored: every payment, what the shop was told of whom and of how much, which orders it believes paid."""

    payments: Sequence[Transaction]
    effects: Sequence[tuple[str, str, int]]
    paid: set[Key]


def audit(engine: Engine, ledger: Ledger) -> Tally:
    """Hold what is stored against what was acknowledged."""
    books = read(engine)
    return Tally(
        acknowledged=len(ledger.moves),
        lost=[*lost(books, ledger)],
        doubled=[*ledger.contradictions, *doubled(books)],
    )


def check_books(engine: Engine) -> None:
    """Hold what is stored against what the shop was told, and the orders against both."""
    assert audit(engine, Ledger()).wrong == []


def read(engine: Engine) -> Books:
    """Read all of it."""
    effects = select(Effect.kind, Effect.transaction_id, Effect.amount_tiyin)
    with engine.connect() as connection:
        return Books(
            [transaction_of(row, int) for row in connection.execute(select(PAYMENTS))],
            [(kind, name, amount) for kind, name, amount in connection.execute(effects)],
            {*connection.scalars(select(Order.id).where(Order.status == "paid"))},
        )


def due(payments: Iterable[Transaction]) -> Iterator[tuple[str, str, int]]:
    """Say what the shop must have been told: of each payment that it was paid, and of each cancel, once."""
    for payment in payments:
        for kind, happened in (("paid", payment.perform_time), ("cancelled", payment.cancel_time)):
            if happened is not None:
                yield kind, payment.transaction_id, payment.amount_tiyin


def lost(books: Books, ledger: Ledger) -> Iterator[str]:
    """Name each acknowledged move that is not stored as it was told, and each move that the shop does not know of."""
    payments = {payment.transaction_id: payment for payment in books.payments}
    for move in ledger.moves:
        payment = payments.get(move.transaction_id)
        if payment is None:
            yield f"{move.transaction_id} was acknowledged in state {move.state} and is not there"
            continue
        stored = getattr(payment, TIMES[move.state])
        if stored is None or move.stamp not in (None, stored):
            yield f"{move.transaction_id} was acknowledged in state {move.state} at {move.stamp}: {payment}"
    for kind, name, _ in (Counter(due(books.payments)) - Counter(books.effects)).elements():
        yield f"{name} is {kind} and the shop was never told"
    for order in paid(books.payments) - books.paid:
        yield f"order {order} is paid and the shop does not believe it"


def doubled(books: Books) -> Iterator[str]:
    """Name what is there twice or comes from nowhere: payments, effects, and orders that nobody has paid."""
    for key, times in Counter((payment.gateway, payment.transaction_id) for payment in books.payments).items():
        if times > 1:
            yield f"{key} is stored {times} times"
    for (kind, name, amount), times in (Counter(books.effects) - Counter(due(books.payments))).items():
        yield f"{name} took effect as {kind} with {amount} tiyin, {times} times too often"
    # What holds nothing is a top-up, and an account may have any number of those.
    live = Counter(each.account_id for each in books.payments if each.state > 0 and each.hold is not None)
    for order, number in live.items():
        if number > 1:
            yield f"order {order} has {number} live payments"
    for order in books.paid - paid(books.payments):
        yield f"order {order} is believed paid and nobody has paid it"


def paid(payments: Iterable[Transaction]) -> set[Key]:
    """Give the orders that are paid."""
    return {payment.account_id for payment in payments if payment.state is State.SUCCESSFULLY}
