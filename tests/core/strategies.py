"""What the property tests draw: transactions that lived, shops that hold them, calls that came over the wire.

A transaction here is never made up: it was created and then moved only as transactions move, by a clock that may jump.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from hypothesis import strategies as st

from paytechuz_core import Account, Change, Memory, Payme, State, Transaction
from paytechuz_core.decision import Snapshot
from paytechuz_core.engine import load
from paytechuz_core.payme.calls import Call
from paytechuz_core.transaction import HALF_DAY, Fields, Millis
from paytechuz_core.transaction import create as create_transaction
from tests.core import wire
from tests.core.wire import AMOUNT, ID, KEY, NOW, ORDER, PAYME, RIVAL, WALLET

STORED_STATES: Final = (State.INITIATING, State.SUCCESSFULLY, State.CANCELLED_DURING_INIT, State.CANCELLED)


def born(
    account: Account = ORDER,
    *,
    transaction_id: str = ID,
    at: Millis = NOW,
    time: Millis | None = None,
    gateway: str = "payme",
    received: Fields | None = None,
) -> Transaction:
    """A transaction as stored by its creation."""
    change = create_transaction(
        now=at,
        gateway=gateway,
        transaction_id=transaction_id,
        account=account,
        amount_tiyin=account.amount_tiyin or AMOUNT,
        received={"order_id": str(account.id)} if received is None else received,
        provider_time=at if time is None else time,
    )
    return replace(change.after, id=1)


def lived(state: State, account: Account = ORDER, **birth: Any) -> Transaction:
    """A transaction in `state`: performed or cancelled 1000 ms after its birth, refunded after 2000."""
    new = born(account, **birth)
    match state:
        case State.SUCCESSFULLY:
            return new.perform(new.create_time + 1000).after
        case State.CANCELLED_DURING_INIT:
            return new.cancel(new.create_time + 1000, 3).after
        case State.CANCELLED:
            return lived(State.SUCCESSFULLY, account, **birth).cancel(new.create_time + 2000, 5).after
        case _:
            return new


AGES: Final = st.sampled_from((0, 1, HALF_DAY - 1, HALF_DAY, HALF_DAY + 1, 3 * HALF_DAY)) | st.integers(
    -HALF_DAY, 2 * HALF_DAY
)
STEPS: Final = st.integers(-(10**7), 10**7)
"""How far the clock goes between two writes; it may jump back."""

REASONS: Final = st.sampled_from((1, 2, 3, 4, 5, 10)) | st.integers(-(2**31), 2**31 - 1)
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
"""What strict JSON can say and a database can store."""

JSON_SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON: Final = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


PLANS: Final = (
    ("note",),
    ("perform",),
    ("cancel",),
    ("perform", "cancel"),
    ("perform", "receipt"),
    ("perform", "cancel", "reopen"),
)
"""What a transaction may go through, besides what is noted on the way."""


def usually(common: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Seven times of eight the common, so that most calls get past the first doubt."""
    return st.integers(0, 7).flatmap(lambda number: rare if number == 7 else common)


@st.composite
def lives(draw: st.DrawFn, account: Account = ORDER, transaction_id: str = ID, gateway: str = "payme") -> list[Change]:
    """Every write of one transaction's life so far, in order."""
    now = NOW - draw(AGES)
    birth = create_transaction(
        now=now,
        gateway=gateway,
        transaction_id=transaction_id,
        account=account,
        amount_tiyin=account.amount_tiyin or draw(st.integers(1, 10**9)),
        received={"order_id": str(account.id)},
        provider_time=NOW - draw(AGES),
    )
    changes = [birth]
    for step in draw(st.sampled_from(PLANS)):
        for each in (*draw(st.lists(st.sampled_from(("note", "receipt")), max_size=1)), step):
            now += draw(STEPS)
            change = a_step(draw, each, changes[-1].after, now)
            changes += [] if change is None else [change]
    return changes


def a_step(draw: st.DrawFn, step: str, last: Transaction, now: Millis) -> Change | None:
    """Let something happen to `last`; None where that leaves it as it is."""
    match step:
        case "perform":
            return last.perform(now)
        case "cancel":
            return last.cancel(now, draw(REASONS))
        case "reopen":
            return last.amend(now, hold=None)
        case "receipt":
            return last.amend(now, fiscal_perform={"receipt_id": draw(st.integers(0, 9))})
        case _:
            return last.amend(now, extra_data={"note": draw(JSON_SCALARS)})


def transactions(
    account: Account = ORDER, transaction_id: str = ID, gateway: str = "payme"
) -> st.SearchStrategy[Transaction]:
    """A transaction in any state it can be in."""
    return lives(account, transaction_id, gateway).map(lambda changes: changes[-1].after)


@dataclass(frozen=True, slots=True)
class Situation:
    """A call that arrives at a shop."""

    gateway: Payme
    shop: Memory
    call: Call
    now: Millis

    @property
    def snapshot(self) -> Snapshot:
        """What the engine would read for the call."""
        with self.shop.begin() as repository:
            return load(repository, self.gateway.lookup(self.call))


def hold_of(fields: Fields) -> str | None:
    """A hold that follows from the request alone."""
    return "orders:42" if str(fields["order_id"]) == "42" else None


GATEWAYS: Final = st.sampled_from(
    (
        PAYME,
        Payme(keys=lambda: (KEY,), fields=("order_id",), hold_for=hold_of, held_code=-31008),
        Payme(keys=lambda: (KEY,), fields=("order_id", "branch"), minimum=1000, maximum=AMOUNT, changes_password=True),
        Payme(keys=lambda: (KEY, "old"), fields=("order_id",), timeout=1000, changes_password=True),
    )
)

AMOUNTS: Final = usually(
    st.just(AMOUNT),
    st.sampled_from((AMOUNT - 1, AMOUNT + 1, 999, 1000, 1, 0, -1)) | st.integers(-(10**18) + 1, 10**18 - 1),
)
ORDERS: Final = usually(
    st.sampled_from(("42", "42", 42, "7")),
    st.sampled_from(("404", "", " ", None, True, 1.5, "x" * 255, "x" * 256, [], {})) | JSON_SCALARS,
)
IDS: Final = usually(st.just(ID), st.sampled_from((RIVAL, "unknown")))
TIMES: Final = usually(st.just(NOW), AGES.map(lambda age: NOW - age))


USUAL_METHODS: Final = (
    *(method for method, _ in wire.EVERY_METHOD),
    *("CreateTransaction", "PerformTransaction", "CancelTransaction") * 2,
)


@st.composite
def wires(draw: st.DrawFn, *methods: str) -> wire.Wire:
    """Any well-shaped request, mostly about the order and the transaction that the shop knows."""
    order, branch = {"order_id": draw(ORDERS)}, {"branch": "A"}
    account = draw(usually(st.just({**order, **branch}), st.sampled_from(({}, order, branch, {**order, "branch": ""}))))
    amount, which = draw(AMOUNTS), draw(IDS)
    match draw(st.sampled_from(methods or USUAL_METHODS)):
        case "CheckPerformTransaction":
            return "CheckPerformTransaction", {"amount": amount, "account": account}
        case "CreateTransaction":
            return "CreateTransaction", {"id": which, "time": draw(TIMES), "amount": amount, "account": account}
        case "PerformTransaction":
            return wire.perform(which)
        case "CancelTransaction":
            return wire.cancel(which, draw(REASONS))
        case "CheckTransaction":
            return wire.check(which)
        case "GetStatement":
            return wire.statement(draw(TIMES), draw(TIMES))
        case "SetFiscalData":
            return wire.fiscal(
                which, draw(st.sampled_from(("PERFORM", "CANCEL"))), {"receipt_id": draw(st.integers(0, 9))}
            )
        case _:
            return wire.change_password(draw(st.sampled_from(("new", "newer", "", " "))))


@st.composite
def situations(draw: st.DrawFn, *methods: str) -> Situation:
    """Any call to any shop: whatever the order and the transactions have been through."""
    gateway = draw(GATEWAYS)
    order = replace(ORDER, payable=draw(usually(st.just(True), st.just(False))))  # noqa: FBT003 - a value to draw
    accounts = {"42": order, "7": WALLET}
    shop = Memory(lambda fields: accounts.get(str(fields["order_id"])))
    if draw(st.integers(0, 2)):
        store(shop, draw(lives(draw(st.sampled_from((order, order, WALLET))))))
    held = any(each.hold is not None for each in shop.transactions.values())
    if not held and draw(st.booleans()):
        store(shop, draw(lives(order, RIVAL, draw(st.sampled_from(("payme", "click"))))))
    message = draw(wires(*methods))
    if message[0] == "ChangePassword" and not gateway.changes_password:
        gateway = replace(gateway, changes_password=True)
    return Situation(gateway, shop, wire.call(message, gateway), NOW)


def store(shop: Memory, changes: list[Change]) -> None:
    """Write one life into the shop."""
    for change in changes:
        with shop.begin() as repository:
            known = repository.find_transactions(
                change.after.gateway, change.after.transaction_id, None, for_update=False
            )
            repository.save(rebased(change, known[0].id if known else None))


def rebased(change: Change, row: int | None) -> Change:
    """The same change, of the row that the shop gave it."""
    before = None if change.before is None else replace(change.before, id=row)
    return Change(before, replace(change.after, id=row))
