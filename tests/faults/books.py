"""What the providers were told, and what is stored: every acknowledgement must be found again, once.

A provider keeps a `Ledger` of the moves that the shop has acknowledged. `audit` reads payments and effects, and says
what is lost and what is doubled.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Final

from sqlalchemy import Engine, select

from paytechuz_core import Transaction
from paytechuz_core.rows import transaction_of
from paytechuz_core.transaction import Millis
from tests.faults.experiment import Tally
from tests.sql.shop import PAYMENTS, Effect

TIMES: Final = {1: "create_time", 2: "perform_time", -1: "cancel_time", -2: "cancel_time"}
"""Where an answer, and a transaction, say when a payment came into a state."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A move that was answered with success: whose, into which state, the shop's time of it, and when we heard."""

    transaction_id: str
    state: int
    stamp: Millis
    heard: float


@dataclass(slots=True)
class Ledger:
    """What the providers know. Any number of threads may write into it."""

    moves: list[Acknowledged] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    """Repetitions that were answered otherwise than the first time."""
    _lock: Lock = field(default_factory=Lock)

    def note(self, transaction_id: str, state: int, stamp: Millis) -> None:
        """Write down an acknowledgement."""
        with self._lock:
            self.moves.append(Acknowledged(transaction_id, state, stamp, time.monotonic()))

    def contradict(self, story: str) -> None:
        """Write down an answer that is not what it was."""
        with self._lock:
            self.contradictions.append(story)

    def recovery(self, moment: float) -> float | None:
        """Give the seconds from a moment to the next acknowledgement, or None where there was none."""
        return min((move.heard - moment for move in self.moves if move.heard > moment), default=None)

    def silence(self, since: float) -> float:
        """Give the longest time, in seconds, that passed without an acknowledgement from a moment on."""
        heard = [since, *sorted(move.heard for move in self.moves if move.heard > since)]
        return max((later - earlier for earlier, later in pairwise(heard)), default=0.0)


def audit(engine: Engine, ledger: Ledger) -> Tally:
    """Hold what is stored against what was acknowledged."""
    with engine.connect() as connection:
        payments = {row.transaction_id: transaction_of(row, int) for row in connection.execute(select(PAYMENTS))}
        effects = Counter(
            (row.kind, row.transaction_id) for row in connection.execute(select(Effect.kind, Effect.transaction_id))
        )
    return Tally(
        acknowledged=len(ledger.moves),
        lost=[*lost(payments, effects, ledger)],
        doubled=[*ledger.contradictions, *doubled(payments, effects)],
    )


def lost(payments: dict[str, Transaction], effects: Counter[tuple[str, str]], ledger: Ledger) -> Iterator[str]:
    """Name each acknowledged move that is not stored as it was told, and each move whose effect is missing."""
    for move in ledger.moves:
        payment = payments.get(move.transaction_id)
        if payment is None:
            yield f"{move.transaction_id} was acknowledged in state {move.state} and is not there"
        elif getattr(payment, TIMES[move.state]) != move.stamp:
            yield f"{move.transaction_id} was acknowledged in state {move.state} at {move.stamp}: {payment}"
    for name, payment in payments.items():
        for kind, happened in (("paid", payment.perform_time), ("cancelled", payment.cancel_time)):
            if happened is not None and not effects[kind, name]:
                yield f"{name} is {kind} and the shop was never told"


def doubled(payments: dict[str, Transaction], effects: Counter[tuple[str, str]]) -> Iterator[str]:
    """Name each effect that came twice or from nowhere, and each order with two live payments."""
    for (kind, name), times in effects.items():
        payment = payments.get(name)
        happened = payment and (payment.perform_time if kind == "paid" else payment.cancel_time)
        if times > 1 or happened is None:
            yield f"{name} took effect as {kind} {times} times: {payment}"
    live = Counter(payment.account_id for payment in payments.values() if payment.state.value > 0)
    for order, number in live.items():
        if number > 1:
            yield f"order {order} has {number} live payments"
