"""What must be true of every payment, whatever arrives, as functions that name what is broken.

Each gives the sentences that do not hold, so an empty answer is a proof for what it was asked about. They know nothing
of a gateway or a storage: they judge moves, what is stored, and what was told and answered.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from paytechuz_core.decision import Event
from paytechuz_core.transaction import Account, Change, Millis, State, Transaction


class Broken(AssertionError):  # noqa: N818 - says what happened
    """What must be true is not. The first line says which rule, any others tell the story."""


MOVES = {(0, 1), (1, 2), (1, -1), (2, -2)}
"""The only ways that a state may go; written here a second time, so that a broken table is noticed."""

KEPT = "gateway", "transaction_id", "account_id", "amount_tiyin", "account", "provider_time", "create_time", "lifetime"
ONCE = "perform_time", "cancel_time", "reason"
TELLERS = {
    (0, 1): "transaction_created",
    (1, 2): "successfully_payment",
    (1, -1): "cancelled_payment",
    (2, -2): "cancelled_payment",
}
"""The hook that tells of each move."""


def of_a_move(before: Transaction | None, after: Transaction) -> Iterator[str]:  # noqa: C901 - one `if` a rule
    """Judge one write: only four moves, what identifies a payment stays, each stamp once and in order."""
    was, now = 0 if before is None else before.state.value, after.state.value
    if was != now and (was, now) not in MOVES:
        yield f"a transaction moves from {was} to {now}"
    if (after.perform_time is not None) != (now in {2, -2}):
        yield f"perform_time is {after.perform_time} in state {now}"
    if (after.cancel_time is not None) != (now < 0) or (after.reason is not None) != (now < 0):
        yield f"cancel_time is {after.cancel_time} and reason {after.reason} in state {now}"
    stamps = [each for each in (after.create_time, after.perform_time, after.cancel_time) if each is not None]
    if stamps != sorted(stamps):
        yield f"times run backwards: {stamps}"
    if type(after.amount_tiyin) is not int or after.amount_tiyin <= 0:
        yield f"money is {after.amount_tiyin!r}"
    if now == State.CANCELLED_DURING_INIT and after.hold is not None:
        yield "a cancelled transaction holds its order"
    if before is not None:
        for name in KEPT:
            if getattr(before, name) != getattr(after, name):
                yield f"{name} changes from {getattr(before, name)} to {getattr(after, name)}"
        for name in ONCE:
            if getattr(before, name) not in {None, getattr(after, name)}:
                yield f"{name} is written a second time"


def of_what_is_stored(rows: Iterable[Transaction], accounts: Mapping[object, Account]) -> Iterator[str]:
    """Judge all that is stored: an order has one live payment, and it holds it; nothing is stored twice.

    `accounts` are the shop's by their own key (`Account.id`).
    """
    stored = list(rows)
    for named, count in Counter((row.gateway, row.transaction_id) for row in stored).items():
        if count > 1:
            yield f"{named} is stored {count} times"
    live = Counter(row.account_id for row in stored if row.state > 0 and accounts[row.account_id].hold is not None)
    for key, count in live.items():
        if count > 1:
            yield f"{count} transactions are live for order {key}"
    for row in stored:
        account = accounts[row.account_id]
        if row.state > 0 and account.hold not in {None, row.hold}:
            yield f"{row.transaction_id} is live and does not hold order {row.account_id}"
        if account.amount_tiyin not in {None, row.amount_tiyin}:
            yield f"{row.transaction_id} pays {row.amount_tiyin} for a price of {account.amount_tiyin}"


def of_what_is_told(changes: Sequence[Change], events: Sequence[Event]) -> Iterator[str]:
    """Judge the hooks of one call: each move is told once, in its order, and no other is."""
    moves = [(0 if change.before is None else change.before.state.value, change.after) for change in changes]
    expected = [
        (TELLERS[was, after.state.value], after.transaction_id)
        for was, after in moves
        if (was, after.state.value) in TELLERS
    ]
    tellers = set(TELLERS.values())
    told = [
        (event.hook.value, event.transaction.transaction_id)
        for event in events
        if event.hook.value in tellers and event.transaction is not None
    ]
    if expected != told:
        yield f"the writes are {expected}, and the hooks are told {told}"


def of_time(change: Change, now: Millis) -> Iterator[str]:
    """Judge the limit: what is past it is not paid. Click's attempts have none: the money is taken already."""
    before, after = change.before, change.after
    if before is None or before.gateway != "payme" or (before.state, after.state) != (1, 2):
        return
    age = now - min(before.create_time, before.provider_time or before.create_time)
    if age > before.lifetime:
        yield f"paid {age - before.lifetime} ms after its limit"
