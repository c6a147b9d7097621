"""The life of a transaction.

A *transaction* is one attempt to pay for one account, known to its provider by an id that never changes. It is born
when the provider asks the merchant to reserve the order (INITIATING), and then exactly one of two things happens: the
money arrives (SUCCESSFULLY), or it does not (CANCELLED_DURING_INIT). A payment that arrived may be given back
(CANCELLED). The two cancelled states are ends: nothing leaves them, so a cancelled payment is never revived and a
refunded one is never refunded again. CREATED is the moment before a transaction exists; it is never stored and never
sent.

Everything that may happen is in TRANSITIONS below, five rows, and every write is a `Change` that refuses to be built
unless its move is in that table. So whatever a provider's gateway decides, wrong moves cannot reach a database. What
identifies a transaction (its ids, its provider's time, its amount, its account) is fixed at birth. Its times are
stamped once each and never run backwards, even when the server's clock does.

While a transaction lives it may *hold* its account: the hold is a key such as `orders:42` that only one transaction may
have, across all providers, and the storage's unique constraint on it is what makes "one order, one payment" true under
any race. A cancel before payment releases the hold, because a failed debit must not kill the order. A refund keeps it,
because a refunded order must not be payable again, until the merchant reopens it.

Values here are immutable. A method such as `transaction.perform(now)` does nothing: it returns the `Change` to be
saved. Times are milliseconds since 1970 in UTC; money is tiyin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from operator import attrgetter
from typing import Any, Final, TypeAlias
from uuid import UUID

from paytechuz_core.money import Tiyin, tiyin_to_som

Millis: TypeAlias = int
Key: TypeAlias = int | str | UUID
Fields: TypeAlias = Mapping[str, Any]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HALF_DAY: Final[Millis] = 12 * 60 * 60 * 1000
"""How long an unpaid transaction lives: 43 200 000 ms, counted from its creation in the provider's system."""


class State(IntEnum):
    """Where a transaction is in its life. The numbers are Payme's."""

    CREATED = 0
    INITIATING = 1
    SUCCESSFULLY = 2
    CANCELLED = -2
    CANCELLED_DURING_INIT = -1


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.CREATED: frozenset({State.INITIATING}),
    State.INITIATING: frozenset({State.SUCCESSFULLY, State.CANCELLED_DURING_INIT}),
    State.SUCCESSFULLY: frozenset({State.CANCELLED}),
    State.CANCELLED_DURING_INIT: frozenset(),
    State.CANCELLED: frozenset(),
}


class Reason(IntEnum):
    """Why a transaction was cancelled, by Payme's list. Another integer is stored as it came."""

    RECEIVER_INACTIVE = 1
    DEBIT_FAILED = 2
    EXECUTION_FAILED = 3
    TIMEOUT = 4
    REFUND = 5
    UNKNOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a merchant's order, invoice or wallet looks like to the core.

    `amount_tiyin` is the exact price, or None for an account that takes any amount. `hold` is the key that only one
    live transaction may have, or None for an account that may be topped up again and again. `payable` is False for an
    account that the shop has closed. `model` is the merchant's own object, handed to the hooks untouched.
    """

    id: Key
    amount_tiyin: Tiyin | None = None
    hold: str | None = None
    payable: bool = True
    model: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One payment as stored, and what every hook receives: a detached value, never a database row.

    `transaction_id` is the provider's id, `account_id` the primary key of the merchant's account in its own type,
    `account` the account object as the provider sent it. `extra_data` is the merchant's: what a hook puts into it is
    saved with the call. `id` is the row's number once stored; `version` counts its writes.
    """

    gateway: str
    transaction_id: str
    account_id: Key
    amount_tiyin: Tiyin
    account: Fields
    state: State
    create_time: Millis
    update_time: Millis
    provider_time: Millis | None = None
    perform_time: Millis | None = None
    cancel_time: Millis | None = None
    reason: int | None = None
    hold: str | None = None
    lifetime: Millis = HALF_DAY
    receivers: tuple[Fields, ...] | None = None
    fiscal_perform: Fields | None = None
    fiscal_cancel: Fields | None = None
    extra_data: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    version: int = 1

    @property
    def amount(self) -> Decimal:
        """The amount in som, exact."""
        return tiyin_to_som(self.amount_tiyin)

    @property
    def created_at(self) -> datetime:
        """When the merchant stored the transaction, in UTC."""
        return millis_to_datetime(self.create_time)

    @property
    def updated_at(self) -> datetime:
        """When it was last written, in UTC."""
        return millis_to_datetime(self.update_time)

    @property
    def performed_at(self) -> datetime | None:
        """When it was paid, in UTC, or None."""
        return None if self.perform_time is None else millis_to_datetime(self.perform_time)

    @property
    def cancelled_at(self) -> datetime | None:
        """When it was cancelled, in UTC, or None."""
        return None if self.cancel_time is None else millis_to_datetime(self.cancel_time)

    @property
    def deadline(self) -> Millis:
        """The last millisecond of its `lifetime`, counted by either clock.

        The provider's time counts; our own backs it up, so that a forged or skewed future time cannot live for ever.
        """
        born = self.create_time if self.provider_time is None else min(self.provider_time, self.create_time)
        return born + self.lifetime

    def expired(self, now: Millis) -> bool:
        """Tell whether an unpaid transaction is past its `deadline`: strictly later."""
        return self.state is State.INITIATING and now > self.deadline

    def perform(self, now: Millis) -> Change:
        """Pay it: 1 → 2. The hold stays: a paid order is held for good."""
        now = self._stamp(now)
        return self._write(now, state=State.SUCCESSFULLY, perform_time=now)

    def cancel(self, now: Millis, reason: int) -> Change:
        """Cancel it: 1 → −1 gives up the hold, 2 → −2 keeps it. The present state decides, never the reason."""
        now = self._stamp(now)
        if self.state is State.INITIATING:
            return self._write(now, state=State.CANCELLED_DURING_INIT, cancel_time=now, reason=reason, hold=None)
        return self._write(now, state=State.CANCELLED, cancel_time=now, reason=reason)

    def reopen(self, now: Millis) -> Change:
        """Release a refunded order's hold, so that it may be paid again."""
        return self._write(self._stamp(now), hold=None)

    def amend(self, now: Millis, **values: Any) -> Change | None:
        """Write what leaves the state alone: `extra_data`, `hold`, fiscal data. None where nothing differs."""
        if all(alike(getattr(self, name), value) for name, value in values.items()):
            return None
        return self._write(self._stamp(now), **values)

    def __deepcopy__(self, memo: dict[int, Any]) -> Transaction:
        # Only these can be written into; to copy all the rest takes longer than to decide a call.
        return replace(self, **{name: copied(getattr(self, name)) for name in OBJECTS})

    def _stamp(self, now: Millis) -> Millis:
        # A clock that jumps back must not make a payment end before it began.
        return max(now, self.update_time)

    def _write(self, now: Millis, **values: Any) -> Change:
        return Change(self, replace(self, update_time=now, version=self.version + 1, **values))


BIRTHMARKS: Final = (
    "gateway",
    "transaction_id",
    "account_id",
    "amount_tiyin",
    "account",
    "create_time",
    "provider_time",
    "lifetime",
    "receivers",
    "id",
)
"""What a transaction is born with and never changes."""

OBJECTS: Final = ("account", "receivers", "fiscal_perform", "fiscal_cancel", "extra_data")
"""The fields that hold JSON objects."""

AMENDABLE: Final = frozenset({"extra_data", "hold", "fiscal_perform", "fiscal_cancel", "update_time", "version"})
"""What may be written while the state stays."""

NAMES: Final = tuple(each.name for each in fields(Transaction))
all_values: Final = attrgetter(*NAMES)


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `before` as it was read (None for a new transaction), `after` as it shall be stored.

    Building one that breaks the life of a transaction raises ValueError: it is a bug, and it must not reach storage.
    """

    before: Transaction | None
    after: Transaction

    def __post_init__(self) -> None:
        """Refuse what must never be written."""
        before, after, differing = self.before, self.after, self.differing
        state = State.CREATED if before is None else before.state
        if after.state is state:
            refuse_unless(differing <= AMENDABLE, "an amendment may not touch", differing - AMENDABLE)
            refuse_unless(
                before is None or before.hold == after.hold or (after.hold is None and state is State.CANCELLED),
                "only a refunded order's hold may be given up, not that of state",
                state,
            )
        else:
            refuse_unless(after.state in TRANSITIONS[state], "no transaction moves", (state, after.state))
            refuse_unless(after.amount_tiyin > 0, "not an amount:", after.amount_tiyin)
            kept = None if before is None or after.state is State.CANCELLED_DURING_INIT else before.hold
            refuse_unless(
                before is None or after.hold == kept,
                "a move keeps or releases the hold as its state says, not",
                after.hold,
            )
        if before is not None:
            touched = differing.intersection(BIRTHMARKS)
            refuse_unless(not touched, "a transaction keeps for ever its", touched)
            refuse_unless(
                before.perform_time in (None, after.perform_time),
                "a refund keeps perform_time, not",
                after.perform_time,
            )
            refuse_unless(before.update_time <= after.update_time, "time runs backwards to", after.update_time)
        performed, cancelled = (after.perform_time is not None, after.cancel_time is not None)
        refuse_unless(
            performed is (after.state in (State.SUCCESSFULLY, State.CANCELLED)), "wrong perform_time in", after
        )
        refuse_unless(cancelled is (after.state < State.CREATED), "wrong cancel_time in", after)
        refuse_unless(cancelled is (after.reason is not None), "wrong reason in", after)

    @property
    def differing(self) -> frozenset[str]:
        """The names of the fields that this change writes; all of them for a new transaction."""
        if self.before is None:
            return frozenset(NAMES)
        pairs = zip(NAMES, all_values(self.before), all_values(self.after), strict=True)
        # Most fields are the very same object in both: `replace` made one from the other.
        return frozenset(name for name, one, other in pairs if one is not other and not alike(one, other))


def create(
    *, now: Millis, gateway: str, transaction_id: str, account: Account, amount_tiyin: Tiyin, received: Fields,
    provider_time: Millis | None = None,
    lifetime: Millis = HALF_DAY,
) -> Change:  # fmt: skip
    """Begin a transaction: 0 → 1, holding its account."""
    return Change(
        None,
        Transaction(
            gateway=gateway,
            transaction_id=transaction_id,
            account_id=account.id,
            amount_tiyin=amount_tiyin,
            account=received,
            state=State.INITIATING,
            create_time=now,
            update_time=now,
            provider_time=provider_time,
            lifetime=lifetime,
            hold=account.hold,
        ),
    )


def millis_to_datetime(millis: Millis) -> datetime:
    """Turn milliseconds since 1970 into an aware datetime in UTC, exactly."""
    return EPOCH + timedelta(milliseconds=millis)


def datetime_to_millis(moment: datetime) -> Millis:
    """Turn an aware datetime into milliseconds since 1970, exactly (what is finer than a millisecond is dropped)."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def alike(one: object, other: object) -> bool:
    """Tell whether two values are stored alike: `True`, `1` and `1.0` are equal to Python, but not in JSON."""
    match one, other:
        case _ if one is other:
            return True
        case dict(), dict():
            return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(alike, one, other))
        case _:
            return one == other and (type(one) is type(other) or {type(one), type(other)}.isdisjoint({bool, float}))


def copied(value: Any) -> Any:
    """Copy a JSON value to the bottom; `copy.deepcopy`, which must expect anything, takes five times as long."""
    match value:
        case dict():
            return {key: copied(each) for key, each in value.items()}
        case list() | tuple():
            return type(value)(map(copied, value))
        case _:
            return value


def refuse_unless(holds: bool, what: str, seen: object) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise ValueError where a rule of a transaction's life does not hold."""
    if not holds:
        message = f"{what} {seen}"
        raise ValueError(message)
