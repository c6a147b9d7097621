"""What Payme is answered, what is written, and which hooks are told: the decisions, without any storage."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields, replace
from itertools import pairwise, product
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytechuz_core import Account, Change, Memory, Payme, State, Transaction
from paytechuz_core.decision import MOVES, Decision, Event, Hook, Lookup, Snapshot
from paytechuz_core.payme.errors import ERRORS, Error
from paytechuz_core.payme.replies import Reply
from paytechuz_core.transaction import HALF_DAY, Millis
from tests import SIZE
from tests.core.strategies import STORED_STATES, Situation, born, lived, situations, transactions
from tests.core.wire import (
    AMOUNT,
    EVERY_METHOD,
    ID,
    KEY,
    NOW,
    ORDER,
    PAYME,
    RIVAL,
    WALLET,
    Params,
    Wire,
    call,
    cancel,
    change_password,
    check,
    check_perform,
    create,
    fiscal,
    perform,
    post,
    refusal,
    rejection,
    sent,
    statement,
)

TOO_LATE: Final = NOW + HALF_DAY + 1
ACCOUNT_ERRORS: Final = frozenset({-31050, -31051, -31052})
PASSWORDS: Final = Payme(keys=lambda: (KEY, "older"), fields=("order_id",), changes_password=True)


def decided(message: Wire, *, gateway: Payme = PAYME, now: Millis = NOW, **snapshot: Any) -> Decision[Reply]:
    return gateway.decide(call(message, gateway), Snapshot(**snapshot), now)


def code(decision: Decision[Reply]) -> int | None:
    """The error's code, or None for a result."""
    return decision.reply.code if isinstance(decision.reply, Error) else None


def hooks(decision: Decision[Reply]) -> list[Hook]:
    return [event.hook for event in decision.events]


# The replay matrix

STORED: Final = "stored"
"""The answer that was given the first time, to the byte."""

Cell: TypeAlias = tuple[int | str, State | None]
"""The error code or the state answered, and the state stored afterwards."""

UNPAID, PAID = State.INITIATING, State.SUCCESSFULLY
FAILED, REFUNDED = State.CANCELLED_DURING_INIT, State.CANCELLED

MATRIX: Final[dict[tuple[State | None, str], tuple[Cell, Cell, Cell, Cell]]] = {
    #                     Create again      Perform           Cancel              Check
    (None, "fresh"): ((UNPAID, UNPAID), (-31003, None), (-31003, None), (-31003, None)),
    (None, "late"): ((-31008, None), (-31003, None), (-31003, None), (-31003, None)),
    (UNPAID, "fresh"): ((STORED, UNPAID), (PAID, PAID), (FAILED, FAILED), (STORED, UNPAID)),
    (UNPAID, "late"): ((-31008, FAILED), (-31008, FAILED), (FAILED, FAILED), (STORED, UNPAID)),
    (PAID, "fresh"): ((-31008, PAID), (STORED, PAID), (REFUNDED, REFUNDED), (STORED, PAID)),
    (PAID, "late"): ((-31008, PAID), (STORED, PAID), (REFUNDED, REFUNDED), (STORED, PAID)),
    (FAILED, "fresh"): ((-31008, FAILED), (-31008, FAILED), (STORED, FAILED), (STORED, FAILED)),
    (FAILED, "late"): ((-31008, FAILED), (-31008, FAILED), (STORED, FAILED), (STORED, FAILED)),
    (REFUNDED, "fresh"): ((-31008, REFUNDED), (-31008, REFUNDED), (STORED, REFUNDED), (STORED, REFUNDED)),
    (REFUNDED, "late"): ((-31008, REFUNDED), (-31008, REFUNDED), (STORED, REFUNDED), (STORED, REFUNDED)),
}
METHODS: Final = (create(), perform(), cancel(reason=10), check())
CELLS: Final = [
    pytest.param(stored, age, message, *cell, id=f"{message[0]}-{stored.name if stored else 'unknown'}-{age}")
    for (stored, age), row in MATRIX.items()
    for message, cell in zip(METHODS, row, strict=True)
]
TELLS: Final = {
    UNPAID: Hook.TRANSACTION_CREATED,
    PAID: Hook.SUCCESSFULLY_PAYMENT,
    FAILED: Hook.CANCELLED_PAYMENT,
    REFUNDED: Hook.CANCELLED_PAYMENT,
}


def result_of(method: str, it: Transaction) -> Params:
    """What the provider's pages say that a transaction is answered with."""
    known = {"transaction": it.transaction_id, "state": int(it.state)}
    match method:
        case "CreateTransaction":
            return {**known, "create_time": it.create_time}
        case "PerformTransaction":
            return {**known, "perform_time": it.perform_time}
        case "CancelTransaction":
            return {**known, "cancel_time": it.cancel_time}
        case _:
            times = {"create_time": it.create_time, "perform_time": it.perform_time or 0}
            return {**known, **times, "cancel_time": it.cancel_time or 0, "reason": it.reason}


def check_cell(gateway: Payme, stored: State | None, age: str, message: Wire, cell: Cell) -> None:
    """Hold one cell of the matrix against `gateway`."""
    answer, after = cell
    transaction = None if stored is None else lived(stored)
    now = NOW + 5000 if age == "fresh" else TOO_LATE
    decision = decided(message, gateway=gateway, now=now, transaction=transaction, account=ORDER)
    left = decision.changes[-1].after if decision.changes else transaction

    assert (None if left is None else left.state) is after
    assert bool(decision.changes) is (after is not stored)
    if isinstance(answer, int) and answer < -2:
        assert sent(decision.reply)["code"] == answer
    else:
        assert left is not None
        assert sent(decision.reply) == result_of(message[0], left)
        assert answer in (STORED, left.state)

    if decision.changes:
        (change,) = decision.changes
        assert change.before == transaction
        assert decision.events[0].transaction == change.after
        assert change.after.cancel_time == (now if after in (FAILED, REFUNDED) else None)
        assert change.after.reason == ((4 if answer == -31008 else 10) if after in (FAILED, REFUNDED) else None)
        assert after is not PAID or change.after.perform_time == now
        assert change.after.update_time == now
    assert hooks(decision) == (
        [TELLS[change.after.state] for change in decision.changes]
        or ([Hook.TRANSACTION_ALREADY_EXISTS] if (message[0], answer) == ("CreateTransaction", STORED) else [])
        + ([Hook.CHECK_TRANSACTION] if (message[0], answer) == ("CheckTransaction", STORED) else [])
    )


@pytest.mark.parametrize(("stored", "age", "message", "answer", "after"), CELLS)
def test_every_cell_of_the_replay_matrix(
    stored: State | None, age: str, message: Wire, answer: int | str, after: State | None
) -> None:
    check_cell(PAYME, stored, age, message, (answer, after))


def check_limit(gateway: Payme) -> None:
    """Hold the twelve hours against `gateway`, to the millisecond."""
    unpaid = born()
    for message, in_time in ((create(), None), (perform(), None)):
        assert code(decided(message, gateway=gateway, now=NOW + 43_200_000, transaction=unpaid)) is in_time
        assert code(decided(message, gateway=gateway, now=NOW + 43_200_001, transaction=unpaid)) == -31008
    new: dict[str, Any] = {"account": ORDER, "gateway": gateway}
    assert code(decided(create(), now=NOW + 43_200_000, **new)) is None
    assert code(decided(create(), now=NOW + 43_200_001, **new)) == -31008
    holder = {"holder": born(transaction_id=RIVAL), **new}
    assert code(decided(create(time=NOW + 43_200_000), now=NOW + 43_200_000, **holder)) == -31051
    assert code(decided(create(time=NOW + 43_200_001), now=NOW + 43_200_001, **holder)) is None


def test_twelve_hours_are_in_time_and_a_millisecond_more_is_not() -> None:
    check_limit(PAYME)


@pytest.mark.parametrize("message", [create(), perform()], ids=lambda message: str(message[0]))
def test_after_the_limit_the_first_call_cancels_and_every_later_one_repeats_the_answer(message: Wire) -> None:
    first = decided(message, now=TOO_LATE, transaction=born(), account=ORDER)
    again = decided(message, now=TOO_LATE + 9, transaction=first.changes[0].after, account=ORDER)
    assert (again.reply, again.changes, again.events) == (first.reply, (), ())


def test_a_forged_future_time_does_not_let_a_transaction_live_for_ever() -> None:
    assert code(decided(perform(), now=TOO_LATE, transaction=born(time=NOW * 10))) == -31008


# The order of doubts


def check_order_of_doubts(gateway: Payme, message: Callable[..., Wire]) -> None:
    """Start with everything wrong, and mend one thing after another."""
    price, held = ORDER.amount_tiyin, born(transaction_id=RIVAL)
    closed = replace(ORDER, payable=False)
    late: dict[str, Any] = {"now": NOW, "gateway": gateway}
    time = {"time": NOW - HALF_DAY - 1} if message is create else {}
    doubts = [
        code(decided(message(amount=1, order="", **time), account=closed, holder=held, **late)),
        code(decided(message(amount=1, **time), account=None, holder=held, **late)),
        code(decided(message(amount=1, **time), account=closed, holder=held, **late)),
        code(decided(message(amount=price, **time), account=closed, holder=held, **late)),
        code(decided(message(amount=price, **time), account=ORDER, holder=held, **late)),
        code(decided(message(amount=price, **time), account=ORDER, **late)),
        code(decided(message(amount=price), account=ORDER, **late)),
    ]
    assert doubts == [-31050, -31050, -31001, -31052, -31051, -31008 if time else None, None]


@pytest.mark.parametrize("message", [check_perform, create])
def test_account_then_amount_then_payable_then_holder_then_time(message: Callable[..., Wire]) -> None:
    check_order_of_doubts(PAYME, message)


def test_a_known_id_comes_before_every_doubt_about_its_account() -> None:
    """The order may be gone, closed, dearer or held by now: a repeated Create is still answered as it was."""
    transaction = born()
    for account in (None, replace(ORDER, payable=False), replace(ORDER, amount_tiyin=1)):
        decision = decided(create(), transaction=transaction, account=account, holder=born(transaction_id=RIVAL))
        assert sent(decision.reply) == result_of("CreateTransaction", transaction)


# The same id with other parameters


@given(
    transactions(),
    st.sampled_from([{"amount": AMOUNT + 1}, {"amount": AMOUNT - 1}, {"amount": 0}, {"order": "43"}, {"order": None}]),
    st.integers(0, 3 * HALF_DAY),
)
def test_the_same_id_with_other_parameters_is_an_error_and_changes_nothing(
    transaction: Transaction, other: dict[str, Any], later: Millis
) -> None:
    decision = decided(create(**other), now=NOW + later, transaction=transaction, account=ORDER)
    assert sent(decision.reply)["code"] == (-31001 if "amount" in other else -31050)
    assert sent(decision.reply).get("data") == (None if "amount" in other else "order_id")
    assert (decision.changes, decision.events, decision.asks) == ((), (), ())


@pytest.mark.parametrize("order", [42, "42"])
@pytest.mark.parametrize("stored", [42, "42"])
def test_a_number_and_its_digits_name_the_same_account(stored: object, order: object) -> None:
    transaction = born(received={"order_id": stored})
    assert code(decided(create(order=order), transaction=transaction)) is None


@pytest.mark.parametrize(("stored", "received"), [("None", None), ("True", True), ("1.5", 1.5), ("[]", [])])
def test_what_only_reads_like_the_account_is_another_account(stored: str, received: object) -> None:
    transaction = born(received={"order_id": stored})
    assert code(decided(create(order=received), transaction=transaction)) == -31050


# Amounts


@pytest.mark.parametrize("amount", [AMOUNT + 1, AMOUNT - 1, AMOUNT * 100, AMOUNT // 100, 1, 0, -1, -AMOUNT])
@pytest.mark.parametrize("message", [check_perform, create])
def test_an_order_is_paid_in_full_to_the_tiyin(message: Callable[..., Wire], amount: int) -> None:
    assert code(decided(message(amount=amount), account=ORDER)) == -31001
    assert code(decided(message(amount=AMOUNT), account=ORDER)) is None


@pytest.mark.parametrize("price", [0, -500])
def test_an_order_without_a_price_cannot_be_paid_with_nothing(price: int) -> None:
    free = replace(ORDER, amount_tiyin=price)
    assert code(decided(check_perform(amount=price), account=free)) == -31001


@given(st.integers(-5, 3000), st.none() | st.integers(0, 3000), st.integers(-5, 3000))
def test_a_wallet_takes_any_amount_between_its_bounds(low: int, high: int | None, amount: int) -> None:
    gateway = replace(PAYME, minimum=low, maximum=high)
    fits = amount > 0 and low <= amount and (high is None or amount <= high)
    assert code(decided(create(amount=amount, order="7"), account=WALLET, gateway=gateway)) == (
        None if fits else -31001
    )


@pytest.mark.parametrize(("amount", "answer"), [(0, -31001), (1, None), (2, None), (3, -31001)])
def test_a_wallet_s_bounds_are_amounts_that_it_takes(amount: int, answer: int | None) -> None:
    gateway = replace(PAYME, minimum=1, maximum=2)
    assert code(decided(create(amount=amount, order="7"), account=WALLET, gateway=gateway)) == answer


def test_the_smallest_price_is_a_tiyin() -> None:
    assert code(decided(check_perform(amount=1), account=replace(ORDER, amount_tiyin=1))) is None


def test_bounds_are_for_wallets_and_not_for_orders() -> None:
    gateway = replace(PAYME, minimum=AMOUNT + 1)
    assert code(decided(create(), account=ORDER, gateway=gateway)) is None


# Accounts


@pytest.mark.parametrize("value", ["", "  ", "\t\n", None, True, False, 1.5, [], {}, ["42"], "x" * 256])
@pytest.mark.parametrize("message", [check_perform, create])
def test_an_account_value_is_short_text_or_a_whole_number(message: Callable[..., Wire], value: object) -> None:
    """Even a shop that finds an order for it is not asked."""
    decision = decided(message(order=value), account=ORDER)
    assert (sent(decision.reply)["code"], sent(decision.reply)["data"]) == (-31050, "order_id")


@pytest.mark.parametrize("value", ["42", 42, 0, -1, "x" * 255, " 42"])
def test_whether_a_well_formed_value_is_an_account_is_the_shop_s_to_say(value: object) -> None:
    assert code(decided(check_perform(order=value), account=ORDER)) is None
    assert code(decided(check_perform(order=value), account=None)) == -31050


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        ({}, "city"),
        ({"phone": "1"}, "city"),
        ({"city": "1"}, "phone"),
        ({"city": "1", "phone": ""}, "phone"),
        ({"city": None, "phone": True}, "city"),
        ({"city": "1", "phone": 2}, None),
        ({"city": "1", "phone": 2, "else": []}, None),
    ],
)
def test_an_error_names_the_first_account_field_that_is_wrong(account: Params, missing: str | None) -> None:
    gateway = replace(PAYME, fields=("city", "phone"))
    decision = decided(
        ("CheckPerformTransaction", {"amount": AMOUNT, "account": account}), gateway=gateway, account=ORDER
    )
    assert sent(decision.reply).get("data") == missing


# Who holds the order


@pytest.mark.parametrize("gateway", ["payme", "click"])
@pytest.mark.parametrize(("state", "answer"), [(UNPAID, -31051), (PAID, -31052), (REFUNDED, -31052)])
@pytest.mark.parametrize("message", [check_perform, create])
def test_an_order_that_another_transaction_holds_is_refused_whoever_holds_it(
    message: Callable[..., Wire], state: State, answer: int, gateway: str
) -> None:
    decision = decided(message(), account=ORDER, holder=lived(state, transaction_id=RIVAL, gateway=gateway))
    assert (sent(decision.reply)["code"], sent(decision.reply)["data"]) == (answer, "order_id")
    assert (decision.changes, decision.events, decision.asks) == ((), (), ())


def test_a_cash_register_may_insist_on_minus_31008_for_a_held_order_in_create_alone() -> None:
    gateway = replace(PAYME, held_code=-31008)
    held, paid = born(transaction_id=RIVAL), lived(PAID, transaction_id=RIVAL)
    assert code(decided(create(), gateway=gateway, account=ORDER, holder=held)) == -31008
    assert code(decided(check_perform(), gateway=gateway, account=ORDER, holder=held)) == -31051
    assert code(decided(create(), gateway=gateway, account=ORDER, holder=paid)) == -31052
    assert code(decided(create(), gateway=gateway, account=None)) == -31050


@pytest.mark.parametrize("gateway", ["payme", "click"])
def test_an_expired_holder_is_cancelled_before_the_newcomer_is_created(gateway: str) -> None:
    abandoned = born(transaction_id=RIVAL, gateway=gateway)
    decision = decided(create(time=TOO_LATE), now=TOO_LATE, account=ORDER, holder=abandoned)
    evicted, birth = decision.changes
    assert (evicted.before, evicted.after.state, evicted.after.reason) == (abandoned, FAILED, 4)
    assert (evicted.after.hold, evicted.after.cancel_time) == (None, TOO_LATE)
    assert (birth.before, birth.after.state, birth.after.hold) == (None, UNPAID, "orders:42")
    assert decision.events == (
        Event(Hook.CANCELLED_PAYMENT, evicted.after),
        Event(Hook.TRANSACTION_CREATED, birth.after, ORDER),
    )
    assert sent(decision.reply) == result_of("CreateTransaction", birth.after)


def test_an_expired_holder_does_not_forbid_a_payment() -> None:
    decision = decided(check_perform(), now=TOO_LATE, account=ORDER, holder=born(transaction_id=RIVAL))
    assert (sent(decision.reply), decision.changes) == ({"allow": True}, ())


def test_a_wallet_may_be_topped_up_again_and_again() -> None:
    first = decided(create(order="7"), account=WALLET).changes[0].after
    second = decided(create(RIVAL, order="7"), account=WALLET).changes[0].after
    assert (first.hold, second.hold) == (None, None)


def test_what_is_created_is_what_was_asked_for() -> None:
    account = Account(id="a-1", amount_tiyin=AMOUNT, hold="orders:a-1")
    (birth,) = decided(create(time=NOW - 7), account=account).changes
    assert birth.after == Transaction(
        gateway="payme",
        transaction_id=ID,
        account_id="a-1",
        amount_tiyin=AMOUNT,
        account={"order_id": "42"},
        state=UNPAID,
        create_time=NOW,
        update_time=NOW,
        provider_time=NOW - 7,
        hold="orders:a-1",
    )


# Cancel, check, statement, receipts, password


@pytest.mark.parametrize("reason", [1, 2, 3, 4, 5, 10, 0, -7, 2**31 - 1])
@pytest.mark.parametrize(("stored", "ended"), [(UNPAID, FAILED), (PAID, REFUNDED)])
def test_the_present_state_decides_how_a_cancel_ends_and_never_the_reason(
    stored: State, ended: State, reason: int
) -> None:
    (change,) = decided(cancel(reason=reason), now=NOW + 5000, transaction=lived(stored)).changes
    assert (change.after.state, change.after.reason) == (ended, reason)
    assert change.after.perform_time == lived(stored).perform_time


def test_only_a_refund_is_put_to_the_shop() -> None:
    paid = lived(PAID)
    assert decided(cancel(), transaction=paid).asks == (Event(Hook.CAN_REVERSE, paid),)
    assert decided(cancel(), transaction=born()).asks == ()


def test_a_statement_tells_everything_about_every_transaction_in_the_order_given() -> None:
    receivers = ({"id": "a", "amount": AMOUNT},)
    split = replace(
        lived(UNPAID, transaction_id="1", received={"order_id": "42", "note": ["ч"]}, time=NOW - 3), receivers=receivers
    )
    listed = [
        split,
        lived(PAID, transaction_id="2"),
        lived(FAILED, transaction_id="3"),
        lived(REFUNDED, transaction_id="4"),
    ]
    decision = decided(statement(), transactions=listed)
    own = {"amount": AMOUNT, "account": {"order_id": "42"}, "create_time": NOW}
    assert sent(decision.reply) == {
        "transactions": [
            {"id": "1", "transaction": "1", "time": NOW - 3, **own, "account": {"order_id": "42", "note": ["ч"]},
             "perform_time": 0, "cancel_time": 0, "state": 1, "reason": None, "receivers": [*receivers]},
            {"id": "2", "transaction": "2", "time": NOW, **own,
             "perform_time": NOW + 1000, "cancel_time": 0, "state": 2, "reason": None},
            {"id": "3", "transaction": "3", "time": NOW, **own,
             "perform_time": 0, "cancel_time": NOW + 1000, "state": -1, "reason": 3},
            {"id": "4", "transaction": "4", "time": NOW, **own,
             "perform_time": NOW + 1000, "cancel_time": NOW + 2000, "state": -2, "reason": 5},
        ]
    }  # fmt: skip
    assert decision.events == (Event(Hook.GET_STATEMENT, transactions=listed),)


def test_an_empty_statement_is_an_empty_list() -> None:
    assert sent(decided(statement()).reply) == {"transactions": []}


@pytest.mark.parametrize("state", STORED_STATES)
def test_two_receipts_are_kept_apart_and_neither_is_a_move(state: State) -> None:
    transaction = lived(state)
    performed = decided(fiscal(data={"receipt_id": 1, "terminal_id": "EP1"}), transaction=transaction)
    (first,) = performed.changes
    cancelled = decided(fiscal(kind="CANCEL", data={"receipt_id": "2"}), transaction=first.after)
    (second,) = cancelled.changes
    assert sent(performed.reply) == sent(cancelled.reply) == {"success": True}
    assert (performed.events, cancelled.events) == ((), ())
    assert second.after.fiscal_perform == {"receipt_id": 1, "terminal_id": "EP1"}
    assert second.after.fiscal_cancel == {"receipt_id": "2"}
    assert second.after.state is state


def test_the_same_receipt_is_stored_once_and_a_corrected_one_replaces_it() -> None:
    (first,) = decided(fiscal(data={"receipt_id": 1}), transaction=lived(PAID)).changes
    assert decided(fiscal(data={"receipt_id": 1}), transaction=first.after).changes == ()
    (second,) = decided(fiscal(data={"receipt_id": 2}), transaction=first.after).changes
    assert second.after.fiscal_perform == {"receipt_id": 2}


def test_a_receipt_of_no_transaction_is_refused() -> None:
    assert code(decided(fiscal())) == -32001


@pytest.mark.parametrize(("password", "answer"), [("new", None), (" new", None), ("", -31050), (" \t", -31050)])
def test_a_new_key_is_not_blank(password: str, answer: int | None) -> None:
    decision = decided(change_password(password), gateway=PASSWORDS)
    assert code(decision) == answer
    assert hooks(decision) == ([Hook.CHANGE_PASSWORD] if answer is None else [])
    assert answer is None or sent(decision.reply)["data"] == "password"


# What is read


@pytest.mark.parametrize(
    ("message", "reads"),
    [
        (check_perform(), Lookup(gateway="payme", hold="of 42", account={"order_id": "42"})),
        (check_perform(order=""), Lookup(gateway="payme")),
        (create(), Lookup(gateway="payme", transaction_id=ID, hold="of 42", account={"order_id": "42"})),
        (create(order=""), Lookup(gateway="payme", transaction_id=ID)),
        (perform(), Lookup(gateway="payme", transaction_id=ID, for_update=True)),
        (cancel(), Lookup(gateway="payme", transaction_id=ID, for_update=True)),
        (check(), Lookup(gateway="payme", transaction_id=ID)),
        (statement(3, 5), Lookup(gateway="payme", window=(3, 5))),
        (fiscal(), Lookup(gateway="payme", transaction_id=ID, for_update=True)),
        (change_password(), Lookup(gateway="payme")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_only_what_a_call_needs_is_read(message: Wire, reads: Lookup) -> None:
    """A Create never locks: locking a row that does not exist yet deadlocks rivals on some databases."""
    gateway = replace(PASSWORDS, hold_for=lambda fields: f"of {fields['order_id']}")
    assert gateway.lookup(call(message, gateway)) == reads
    assert not (reads.for_update and reads.hold)


def test_a_hold_is_left_to_the_account_by_default() -> None:
    assert PAYME.lookup(call(create())).hold is None


def test_a_holder_that_is_this_very_transaction_is_no_rival() -> None:
    """Our own retry committed between two reads."""
    lookup = Lookup(gateway="payme", transaction_id=ID, hold="orders:42")
    mine, rival, twin = born(), born(transaction_id=RIVAL), born(gateway="click")
    assert lookup.snapshot([mine], ORDER) == Snapshot(transaction=mine, account=ORDER)
    assert lookup.snapshot([rival]) == Snapshot(holder=rival)
    assert lookup.snapshot([twin]) == Snapshot(holder=twin)
    released = replace(mine.cancel(NOW, 3).after, amount_tiyin=1)
    assert lookup.snapshot([released, rival]) == Snapshot(transaction=released, holder=rival)
    assert lookup.snapshot([]) == Snapshot()


# What the merchant says


def amended(decision: Decision[Reply], message: Wire, hook: Hook, *, answer: Any) -> Decision[Reply]:
    (ask,) = [ask for ask in decision.asks if ask.hook is hook]
    return PAYME.amend(call(message), decision, ask, answer)


def test_further_data_stands_beside_allow() -> None:
    decision = decided(check_perform(), account=ORDER)
    told = amended(decision, check_perform(), Hook.GET_CHECK_DATA, answer={"additional": {"name": "Aziz"}})
    assert sent(told.reply) == {"allow": True, "additional": {"name": "Aziz"}}


def test_a_receipt_that_adds_up_to_the_amount_stands_beside_allow() -> None:
    line = {"title": "Tea", "count": 1, "code": "0", "vat_percent": 12, "package_code": "1"}
    detail = {"receipt_type": 0, "items": [{**line, "price": AMOUNT}]}
    decision = decided(check_perform(), account=ORDER)
    told = amended(decision, check_perform(), Hook.GET_CHECK_DATA, answer={"detail": detail})
    assert sent(told.reply) == {"allow": True, "detail": detail}


def test_a_split_is_stored_with_the_transaction_and_told_to_everyone() -> None:
    shares = [{"id": "a", "amount": AMOUNT - 1}, {"id": "b", "amount": 1}]
    decision = decided(create(time=TOO_LATE), now=TOO_LATE, account=ORDER, holder=born(transaction_id=RIVAL))
    told = amended(decision, create(), Hook.GET_RECEIVERS, answer=shares)
    evicted, birth = told.changes
    assert evicted == decision.changes[0]
    assert birth.after == replace(decision.changes[1].after, receivers=tuple(shares))
    assert sent(told.reply)["receivers"] == shares
    assert [event.transaction for event in told.events] == [evicted.after, birth.after]
    assert told.events[1].account is ORDER


@pytest.mark.parametrize("message", [check_perform(), create()], ids=lambda message: str(message[0]))
def test_a_merchant_who_has_nothing_to_add_adds_nothing(message: Wire) -> None:
    decision = decided(message, account=ORDER)
    assert decision.asks[0].hook is Hook.BEFORE_CHECK_PERFORM_TRANSACTION
    for ask in decision.asks:
        assert ask.account is ORDER
        assert PAYME.amend(call(message), decision, ask, None) == decision


@pytest.mark.parametrize("answer", [False, None, 0])
def test_a_refund_that_the_shop_does_not_allow_writes_nothing(answer: object) -> None:
    decision = decided(cancel(), transaction=lived(PAID))
    refused = amended(decision, cancel(), Hook.CAN_REVERSE, answer=answer)
    assert code(refused) == -31007
    assert (refused.changes, refused.events, refused.asks) == ((), (), ())
    assert amended(decision, cancel(), Hook.CAN_REVERSE, answer=True) == decision


@pytest.mark.parametrize(
    ("message", "answer"),
    list(zip(EVERY_METHOD, (-31060, -31060, -31008, -31007, -32400, -32400, -32400, -32400), strict=True)),
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_a_refusal_is_answered_with_the_error_that_the_method_knows_in_the_merchant_s_words(
    message: Wire, answer: int
) -> None:
    told = sent(PASSWORDS.refuse(call(message, PASSWORDS), refusal(-31060)))
    assert told["code"] == answer
    assert told["message"] == {"ru": "Нет в наличии", "uz": "Qolmagan", "en": "Out of stock"}
    assert told.get("data") == ("order_id" if answer == -31060 else None)


def test_a_refusal_names_the_field_that_it_is_about() -> None:
    assert sent(PAYME.refuse(call(create()), refusal(data="city")))["data"] == "city"


@pytest.mark.parametrize("given_call", [None, call(perform())], ids=["before a call", "after"])
def test_a_bug_is_a_system_error_and_says_no_more(given_call: Any) -> None:
    assert sent(PAYME.fail(given_call))["code"] == -32400
    assert "data" not in sent(PAYME.fail(given_call))


# Every code of the provider's list is reached by the situation it is for

SITUATIONS: Final[dict[int, Callable[[], Any]]] = {
    -32300: lambda: rejection(replace(post(b"{}"), method="GET"))["code"],
    -32700: lambda: rejection(post(b"{oops"))["code"],
    -32600: lambda: rejection(post(b"[]"))["code"],
    -32601: lambda: rejection(post(b'{"method": "Pay", "params": {}}'))["code"],
    -32504: lambda: rejection(post(b"{}", authorization=None))["code"],
    -32400: lambda: sent(PAYME.fail(None))["code"],
    -31001: lambda: code(decided(create(amount=AMOUNT + 1), account=ORDER)),
    -31003: lambda: code(decided(perform())),
    -31007: lambda: code(amended(decided(cancel(), transaction=lived(PAID)), cancel(), Hook.CAN_REVERSE, answer=False)),
    -31008: lambda: code(decided(perform(), transaction=lived(FAILED))),
    -31050: lambda: code(decided(create(), account=None)),
    -31051: lambda: code(decided(create(), account=ORDER, holder=born(transaction_id=RIVAL))),
    -31052: lambda: code(decided(create(), account=replace(ORDER, payable=False))),
    -31099: lambda: sent(PAYME.refuse(call(create()), refusal(-31099)))["code"],
    -32001: lambda: code(decided(fiscal())),
    -32602: lambda: rejection(post(b'{"method": "SetFiscalData", "params": {}}'))["code"],
}


@pytest.mark.parametrize("wanted", SITUATIONS)
def test_every_code_of_the_table_is_reached(wanted: int) -> None:
    assert SITUATIONS[wanted]() == wanted


def test_the_table_has_no_code_that_nothing_reaches() -> None:
    assert SITUATIONS.keys() == {error.code for error in ERRORS}


@pytest.mark.parametrize(
    "value",
    [
        PAYME,
        ORDER,
        born(),
        Change(None, born()),
        call(perform()),
        PAYME.lookup(call(perform())),
        Snapshot(),
        decided(perform()),
        Event(Hook.GET_STATEMENT),
        ERRORS[0],
        post(b""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_decision_is_made_of_cannot_be_changed(value: Any) -> None:
    name = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, getattr(value, name))
    assert not hasattr(value, "__dict__")


# Whatever call arrives at whatever shop

CODES: Final = {
    "CheckPerformTransaction": {-31001, *ACCOUNT_ERRORS},
    "CreateTransaction": {-31001, -31008, *ACCOUNT_ERRORS},
    "PerformTransaction": {-31003, -31008},
    "CancelTransaction": {-31003},
    "CheckTransaction": {-31003},
    "GetStatement": set[int](),
    "SetFiscalData": {-32001},
    "ChangePassword": {-31050},
}
READS: Final = {"CheckPerformTransaction", "CheckTransaction", "GetStatement", "ChangePassword"}
"""The methods that write no transaction."""

MANY: Final = settings(max_examples=200 * SIZE)

Invariant: TypeAlias = Callable[[Situation], None]
INVARIANTS: Final[list[Invariant]] = []


def in_any_situation(invariant: Invariant) -> Callable[[], None]:
    """A test of `invariant` in every situation of a small world, and in many drawn from a large one."""

    @given(situations())
    @MANY
    def drawn(situation: Situation) -> None:
        invariant(situation)

    def test() -> None:
        for situation in small_world(PAYME):
            invariant(situation)
        drawn()

    INVARIANTS.append(invariant)
    test.__name__ = test.__qualname__ = invariant.__name__
    return test


def small_world(gateway: Payme) -> Iterator[Situation]:
    """Every call, with every state of its transaction, its order and whoever else holds that order."""
    late = -HALF_DAY - 1
    mine = [None, *(lived(state, at=NOW + age) for state in STORED_STATES for age in (-5000, late))]
    rivals = [None, born(transaction_id=RIVAL, at=NOW + late), born(transaction_id=RIVAL, gateway="click")]
    rivals += [lived(state, transaction_id=RIVAL, at=NOW - 5000) for state in STORED_STATES]
    accounts = [None, ORDER, replace(ORDER, payable=False), replace(WALLET, id=42)]
    asked = [call(message, gateway) for message in (perform(), cancel(), check(), fiscal(), statement())]
    for it, each in product(mine, asked):
        yield Situation(gateway, shop_of(ORDER, it), each, NOW)
    for it, rival, account in product(mine, rivals, accounts):
        if it is None or rival is None or it.hold is None or rival.hold is None:
            shop = shop_of(account, it, rival)
            for amount, order in ((AMOUNT, "42"), (AMOUNT + 1, "42"), (AMOUNT, "")):
                yield Situation(gateway, shop, call(check_perform(amount, order), gateway), NOW)
                for time in {NOW, NOW + late, NOW if it is None else it.provider_time}:
                    asking = call(create(amount=amount, order=order, time=time), gateway)
                    yield Situation(gateway, shop_of(account, it, rival), asking, NOW)


def shop_of(account: Account | None, *stored: Transaction | None) -> Memory:
    shop = Memory(lambda _: account)
    shop.transactions = {(each.gateway, each.transaction_id): each for each in stored if each is not None}
    return shop


def method(situation: Situation) -> str:
    return type(situation.call.request).__name__


def outcome(situation: Situation) -> Decision[Reply]:
    return situation.gateway.decide(situation.call, situation.snapshot, situation.now)


def save(situation: Situation, decision: Decision[Reply]) -> None:
    with situation.shop.begin() as repository:
        for change in decision.changes:
            repository.save(change)


@in_any_situation
def test_every_call_is_decided_the_same_every_time_and_nothing_it_was_given_is_touched(situation: Situation) -> None:
    snapshot, untouched = situation.snapshot, situation.snapshot
    params = deepcopy(situation.call.params)
    first = situation.gateway.decide(situation.call, snapshot, situation.now)
    again = situation.gateway.decide(situation.call, snapshot, situation.now)
    assert first == again
    assert situation.gateway.render(situation.call, first.reply) == situation.gateway.render(
        situation.call, again.reply
    )
    assert repr((snapshot, situation.call.params)) == repr((untouched, params))


@in_any_situation
def test_a_method_answers_with_errors_of_its_own_page_and_an_account_error_names_its_field(
    situation: Situation,
) -> None:
    decision = outcome(situation)
    if isinstance(decision.reply, Error):
        assert decision.reply.code in CODES[method(situation)]
        if decision.reply.code in ACCOUNT_ERRORS:
            assert decision.reply.data in {*situation.gateway.fields, "password"}


@in_any_situation
def test_nothing_is_written_by_looking_and_an_error_writes_nothing_but_an_expiry(situation: Situation) -> None:
    decision = outcome(situation)
    if method(situation) in READS:
        assert decision.changes == ()
    elif isinstance(decision.reply, Error) and decision.changes:
        (change,) = decision.changes
        assert decision.reply.code == -31008
        assert (change.after.state, change.after.reason) == (FAILED, 4)


@in_any_situation
def test_a_hook_is_told_of_every_move_that_is_written_in_order_and_of_no_other(situation: Situation) -> None:
    decision = outcome(situation)
    moves = [
        change for change in decision.changes if change.before is None or change.before.state != change.after.state
    ]
    told = [event for event in decision.events if event.hook in MOVES]
    assert [(event.hook, event.transaction) for event in told] == [(TELLS[c.after.state], c.after) for c in moves]
    assert [(event.after, event.transaction) for event in decision.aftermath] == [(e.hook, e.transaction) for e in told]
    assert all(event.hook is Hook.AFTER_COMMIT for event in decision.aftermath)
    assert not (decision.asks and isinstance(decision.reply, Error))


@in_any_situation
def test_what_is_decided_can_be_saved_and_a_repeated_call_gets_the_same_answer_and_changes_nothing(
    situation: Situation,
) -> None:
    first = outcome(situation)
    save(situation, first)
    again = outcome(situation)
    assert situation.gateway.render(situation.call, again.reply) == situation.gateway.render(
        situation.call, first.reply
    )
    assert again.changes == ()
    assert not MOVES.intersection(hooks(again))


@in_any_situation
def test_an_order_never_has_two_payments_and_the_one_it_has_holds_it(situation: Situation) -> None:
    save(situation, outcome(situation))
    order = situation.shop.find_account({"order_id": "42"})
    if order is not None and order.hold is not None:
        stored = situation.shop.transactions.values()
        live = [each for each in stored if each.state in (UNPAID, PAID) and each.account_id == order.id]
        assert [each.hold for each in live] in ([], [order.hold])


@given(situations("PerformTransaction", "CancelTransaction"), st.integers(0, 100 * HALF_DAY))
@MANY
def test_a_payment_or_a_cancel_is_answered_as_it_was_for_ever(situation: Situation, later: Millis) -> None:
    first = outcome(situation)
    save(situation, first)
    again = outcome(replace(situation, now=situation.now + later))
    assert (again.reply, again.changes, again.events) == (first.reply, (), ())


@given(
    transactions(), st.lists(st.sampled_from([create(), perform(), cancel(), check(), fiscal()]), min_size=2), st.data()
)
def test_no_row_of_calls_breaks_a_transaction_s_life(
    transaction: Transaction, calls: list[Wire], data: st.DataObject
) -> None:
    """Its birthmarks stay, its states go one way, each time and the reason is written once."""
    history, now = [transaction], NOW
    for message in calls:
        now += data.draw(st.integers(-(10**6), HALF_DAY))
        decision = decided(message, now=now, transaction=history[-1], account=ORDER)
        history += [change.after for change in decision.changes]
    legal = {(UNPAID, PAID), (UNPAID, FAILED), (PAID, REFUNDED), *((state, state) for state in STORED_STATES)}
    for before, after in pairwise(history):
        assert (before.state, after.state) in legal
        assert Change(before, after).before is before
        for stamp in ("perform_time", "cancel_time", "reason"):
            assert getattr(before, stamp) in (None, getattr(after, stamp))
