"""The life of a transaction: what may be written, and what can never be."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import Account, Change, Reason, State, Transaction
from paytechuz_core.transaction import (
    AMENDABLE,
    BIRTHMARKS,
    EPOCH,
    HALF_DAY,
    NAMES,
    TRANSITIONS,
    Millis,
    alike,
    create,
    datetime_to_millis,
    millis_to_datetime,
)
from tests.core.strategies import JSON, REASONS, STEPS, STORED_STATES, born, lived, lives, transactions
from tests.core.wire import NOW, ORDER, WALLET

LATER: Final = NOW + 10 * HALF_DAY
NAN: Final = float("nan")

LEGAL_MOVES: Final = {
    (State.CREATED, State.INITIATING),
    (State.INITIATING, State.SUCCESSFULLY),
    (State.INITIATING, State.CANCELLED_DURING_INIT),
    (State.SUCCESSFULLY, State.CANCELLED),
}

OTHER_VALUES: Final[dict[str, Any]] = {
    "gateway": "another",
    "transaction_id": "another",
    "account_id": 43,
    "amount_tiyin": 1,
    "account": {"order_id": "43"},
    "state": State.CREATED,
    "create_time": NOW - 1,
    "lifetime": 1,
    "update_time": LATER,
    "provider_time": NOW - 1,
    "perform_time": NOW + 5,
    "cancel_time": NOW + 5,
    "reason": 10,
    "hold": "orders:43",
    "receivers": ({"id": "another", "amount": 1},),
    "fiscal_perform": {"receipt_id": 9},
    "fiscal_cancel": {"receipt_id": 9},
    "extra_data": {"note": "another"},
    "id": 9,
    "version": 9,
}


def moves() -> list[Change]:
    """Each legal move of a stored transaction once."""
    unpaid, paid = lived(State.INITIATING), lived(State.SUCCESSFULLY)
    return [unpaid.perform(LATER), unpaid.cancel(LATER, 3), paid.cancel(LATER, 5)]


# Moves


def test_the_table_of_moves_is_payme_s_diagram() -> None:
    assert {(a, b) for a, following in TRANSITIONS.items() for b in following} == LEGAL_MOVES
    assert TRANSITIONS.keys() == set(State)


def test_states_and_reasons_are_payme_s_numbers() -> None:
    assert {state.name: state.value for state in State} == {
        "CREATED": 0,
        "INITIATING": 1,
        "SUCCESSFULLY": 2,
        "CANCELLED": -2,
        "CANCELLED_DURING_INIT": -1,
    }
    assert {reason.name: reason.value for reason in Reason} == {
        "RECEIVER_INACTIVE": 1,
        "DEBIT_FAILED": 2,
        "EXECUTION_FAILED": 3,
        "TIMEOUT": 4,
        "REFUND": 5,
        "UNKNOWN": 10,
    }


@pytest.mark.parametrize("after", State)
@pytest.mark.parametrize("before", State)
def test_only_legal_moves_can_be_built(before: State, after: State) -> None:
    earlier = None if before is State.CREATED else lived(before)
    later = replace(lived(after), state=after, update_time=LATER)
    if (before, after) in LEGAL_MOVES or (earlier is not None and before is after):
        assert Change(earlier, later).after is later
    else:
        with pytest.raises(ValueError, match=r"no transaction moves|amendment may not touch"):
            Change(earlier, later)


@pytest.mark.parametrize("state", STORED_STATES)
def test_methods_make_the_moves_of_the_table_and_no_others(state: State) -> None:
    transaction = lived(state)
    reached = set()
    for move in (partial(transaction.perform, LATER), partial(transaction.cancel, LATER, 1)):
        with suppress(ValueError):
            reached.add(move().after.state)
    assert reached == TRANSITIONS[state]


@given(lives())
def test_a_life_has_one_birth_at_most_one_payment_and_at_most_one_end(life: list[Change]) -> None:
    moved = [
        change.after.state for change in life if change.before is None or change.before.state is not change.after.state
    ]
    assert moved in (
        [State.INITIATING],
        [State.INITIATING, State.SUCCESSFULLY],
        [State.INITIATING, State.CANCELLED_DURING_INIT],
        [State.INITIATING, State.SUCCESSFULLY, State.CANCELLED],
    )


# What never changes


def test_its_birthmarks_are_what_identifies_a_payment() -> None:
    assert {
        "gateway",
        "transaction_id",
        "provider_time",
        "amount_tiyin",
        "account_id",
        "account",
        "create_time",
    } <= set(BIRTHMARKS)
    assert OTHER_VALUES.keys() == set(NAMES)


@pytest.mark.parametrize("name", BIRTHMARKS)
@pytest.mark.parametrize("change", moves(), ids=lambda change: change.after.state.name)
def test_no_move_can_change_a_birthmark(change: Change, name: str) -> None:
    with pytest.raises(ValueError, match="keeps for ever"):
        Change(change.before, replace(change.after, **{name: OTHER_VALUES[name]}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("state", STORED_STATES)
def test_an_amendment_touches_only_receipts_and_the_merchant_s_data(state: State, name: str) -> None:
    before = lived(state)
    after = replace(before, **{"update_time": LATER, name: OTHER_VALUES[name]})
    if name in {"extra_data", "fiscal_perform", "fiscal_cancel", "update_time", "version"}:
        assert name in Change(before, after).differing
    else:
        with pytest.raises(ValueError, match=r"may not touch|hold may be given up|no transaction moves"):
            Change(before, after)


@given(lives())
def test_paid_and_cancelled_times_and_the_reason_are_written_once(life: list[Change]) -> None:
    for name in ("perform_time", "cancel_time", "reason"):
        values = [getattr(change.after, name) for change in life]
        assert len({value for value in values if value is not None}) <= 1
        assert values == sorted(values, key=lambda value: value is not None), f"{name} was unset again"


def test_a_refund_cannot_rewrite_when_the_payment_was_performed() -> None:
    refund = lived(State.SUCCESSFULLY).cancel(LATER, 5)
    with pytest.raises(ValueError, match="perform_time"):
        Change(refund.before, replace(refund.after, perform_time=NOW + 5))


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("perform_time", {State.SUCCESSFULLY, State.CANCELLED}),
        ("cancel_time", {State.CANCELLED_DURING_INIT, State.CANCELLED}),
        ("reason", {State.CANCELLED_DURING_INIT, State.CANCELLED}),
    ],
)
@pytest.mark.parametrize("change", [Change(None, born()), *moves()], ids=lambda change: change.after.state.name)
def test_times_and_reason_are_set_exactly_in_their_states(change: Change, name: str, states: set[State]) -> None:
    assert (getattr(change.after, name) is not None) == (change.after.state in states)
    flipped: Any = None if change.after.state in states else 1
    with pytest.raises(ValueError, match=name):
        Change(change.before, replace(change.after, **{name: flipped}))


@pytest.mark.parametrize("amount", [0, -1, -500_000])
def test_no_transaction_is_born_without_money(amount: int) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        Change(None, replace(born(), amount_tiyin=amount))


# The clock


@given(lives())
def test_times_never_run_backwards_even_when_the_clock_does(life: list[Change]) -> None:
    last = life[-1].after
    stamps = [last.create_time, last.perform_time, last.cancel_time, last.update_time]
    known = [stamp for stamp in stamps if stamp is not None]
    assert known == sorted(known)
    updates = [change.after.update_time for change in life]
    assert updates == sorted(updates)


@given(transactions(), STEPS, REASONS)
def test_a_move_is_stamped_with_the_clock_unless_it_jumped_back(
    transaction: Transaction, step: int, reason: int
) -> None:
    now = transaction.update_time + step
    stamp = max(now, transaction.update_time)
    if transaction.state is State.INITIATING:
        paid = transaction.perform(now).after
        assert (paid.perform_time, paid.update_time, paid.cancel_time) == (stamp, stamp, None)
    if transaction.state in (State.INITIATING, State.SUCCESSFULLY):
        ended = transaction.cancel(now, reason).after
        assert (ended.cancel_time, ended.update_time, ended.reason) == (stamp, stamp, reason)
        assert ended.perform_time == transaction.perform_time


def test_a_change_that_runs_backwards_cannot_be_built() -> None:
    paid = lived(State.SUCCESSFULLY)
    with pytest.raises(ValueError, match="time runs backwards"):
        Change(paid, replace(paid, extra_data={"n": 1}, update_time=paid.update_time - 1))


@given(lives())
def test_every_write_is_counted(life: list[Change]) -> None:
    assert [change.after.version for change in life] == list(range(1, len(life) + 1))


# Expiry


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_it_lives_for_its_limit_to_the_millisecond_by_the_earlier_clock(skew: Millis, limit: Millis) -> None:
    transaction = replace(born(at=NOW, time=NOW + skew), lifetime=limit)
    earlier = min(NOW, NOW + skew)
    assert not transaction.expired(earlier + limit)
    assert transaction.expired(earlier + limit + 1)


def test_the_limit_is_twelve_hours() -> None:
    assert not born().expired(NOW + 43_200_000)
    assert born().expired(NOW + 43_200_001)


def test_without_a_provider_s_time_the_merchant_s_own_counts() -> None:
    transaction = replace(born(), provider_time=None)
    assert not transaction.expired(NOW + HALF_DAY)
    assert transaction.expired(NOW + HALF_DAY + 1)


@pytest.mark.parametrize("state", [state for state in STORED_STATES if state is not State.INITIATING])
def test_what_was_paid_or_cancelled_never_expires(state: State) -> None:
    assert not lived(state).expired(NOW + 1000 * HALF_DAY)


# The hold


def test_a_transaction_holds_its_account_from_the_first_moment() -> None:
    assert born(ORDER).hold == "orders:42"
    assert born(WALLET).hold is None


def test_a_cancel_before_payment_releases_the_order() -> None:
    assert born().cancel(LATER, Reason.DEBIT_FAILED).after.hold is None


def test_a_payment_and_its_refund_keep_the_order() -> None:
    paid = born().perform(LATER).after
    assert paid.hold == "orders:42"
    assert paid.cancel(LATER, Reason.REFUND).after.hold == "orders:42"


@pytest.mark.parametrize("hold", [None, "orders:42", "orders:43"])
@pytest.mark.parametrize("change", moves(), ids=lambda change: change.after.state.name)
def test_no_move_can_take_or_lose_a_hold_but_the_cancel_before_payment(change: Change, hold: str | None) -> None:
    after = replace(change.after, hold=hold)
    if hold == change.after.hold:
        assert Change(change.before, after).after == after
    else:
        with pytest.raises(ValueError, match="hold"):
            Change(change.before, after)


def test_reopening_a_refunded_order_gives_up_its_hold_and_nothing_else() -> None:
    change = lived(State.CANCELLED).reopen(LATER)
    assert change.after.hold is None
    assert change.differing == {"hold", "update_time", "version"}


@pytest.mark.parametrize("state", [State.INITIATING, State.SUCCESSFULLY])
def test_a_live_transaction_cannot_be_reopened(state: State) -> None:
    with pytest.raises(ValueError, match="only a refunded order's hold"):
        lived(state).reopen(LATER)


@pytest.mark.parametrize("state", [State.CANCELLED, State.CANCELLED_DURING_INIT])
def test_a_hold_that_was_given_up_is_never_taken_back(state: State) -> None:
    free = replace(lived(state), hold=None)
    with pytest.raises(ValueError, match="only a refunded order's hold"):
        free.amend(LATER, hold="orders:42")


# Amendments


@given(transactions())
def test_amending_nothing_writes_nothing(transaction: Transaction) -> None:
    same = {name: getattr(transaction, name) for name in ("extra_data", "hold", "fiscal_perform", "fiscal_cancel")}
    assert transaction.amend(LATER, **same) is None


@given(JSON)
def test_data_that_reads_the_same_is_not_written_again(value: Any) -> None:
    transaction = replace(born(), extra_data={"note": value})
    assert transaction.amend(LATER, extra_data=json.loads(json.dumps({"note": value}))) is None


@given(transactions(), st.integers(10, 19), STEPS)
def test_an_amendment_leaves_the_state_and_says_what_it_writes(
    transaction: Transaction, receipt: int, step: int
) -> None:
    change = transaction.amend(transaction.update_time + step, fiscal_cancel={"receipt_id": receipt})
    assert change is not None
    assert change.after.state is transaction.state
    assert {"fiscal_cancel", "version"} <= change.differing <= AMENDABLE
    assert change.after.fiscal_perform == transaction.fiscal_perform


def test_one_amendment_may_touch_all_that_may_be_amended() -> None:
    receipts = {"fiscal_perform": {"receipt_id": 1}, "fiscal_cancel": {"receipt_id": 2}}
    change = lived(State.CANCELLED).amend(LATER, hold=None, extra_data={"note": 1}, **receipts)
    assert change is not None
    assert change.differing == AMENDABLE


@pytest.mark.parametrize(("stored", "written"), [(1, True), (0, False), (1, 1.0), (True, 1)])
def test_values_that_only_look_equal_to_python_are_written(stored: object, written: object) -> None:
    """`True == 1` in Python, but not in the JSON that is stored."""
    change = replace(born(), extra_data={"sent": [stored]}).amend(LATER, extra_data={"sent": [written]})
    assert change is not None
    assert "extra_data" in change.differing


def test_a_new_transaction_writes_every_field() -> None:
    assert Change(None, born()).differing == set(NAMES)


@given(transactions())
def test_only_what_differs_is_written(transaction: Transaction) -> None:
    change = transaction.amend(LATER, extra_data={"only": "this"}, hold=transaction.hold)
    assert change is not None
    assert change.differing == {"extra_data", "update_time", "version"}


# What a hook reads


def test_creation_stores_what_was_asked() -> None:
    account = Account(id="a-1", hold="wallets:a-1")
    change = create(
        now=NOW,
        gateway="payme",
        transaction_id="t",
        account=account,
        amount_tiyin=820,
        received={"x": 1},
        provider_time=NOW - 7,
    )
    assert change.before is None
    assert change.after == Transaction(
        gateway="payme",
        transaction_id="t",
        account_id="a-1",
        amount_tiyin=820,
        account={"x": 1},
        state=State.INITIATING,
        create_time=NOW,
        update_time=NOW,
        provider_time=NOW - 7,
        hold="wallets:a-1",
    )


def test_a_hook_reads_exact_som_and_times_in_utc() -> None:
    refunded = replace(lived(State.CANCELLED), amount_tiyin=820)
    assert refunded.amount == Decimal("8.20")
    assert str(refunded.amount) == "8.20"
    assert refunded.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert refunded.performed_at == refunded.created_at + timedelta(seconds=1)
    assert refunded.cancelled_at == refunded.created_at + timedelta(seconds=2)
    assert refunded.updated_at == refunded.cancelled_at
    assert refunded.created_at.tzinfo is UTC


def test_times_that_have_not_come_are_none() -> None:
    assert (born().performed_at, born().cancelled_at) == (None, None)


def test_milliseconds_are_whole() -> None:
    moment = millis_to_datetime(NOW) + timedelta(microseconds=999)
    assert (datetime_to_millis(moment), type(datetime_to_millis(moment))) == (NOW, int)


@given(st.integers(0, 10**14))
def test_milliseconds_survive_the_way_to_a_datetime_and_back(millis: Millis) -> None:
    moment = millis_to_datetime(millis)
    assert datetime_to_millis(moment) == millis
    assert moment - EPOCH == timedelta(milliseconds=millis)


@given(st.integers(0, 10**14), st.integers(-12, 14))
def test_a_moment_is_the_same_in_every_time_zone(millis: Millis, offset: int) -> None:
    tashkent = timezone(timedelta(hours=offset))
    assert datetime_to_millis(millis_to_datetime(millis).astimezone(tashkent)) == millis


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.5, float("1.5"), True),
        (True, 1, False),
        (1, 1.0, False),
        (NAN, NAN, True),
        ([{"a": 1.5}], [{"a": float("1.5")}], True),
        ([{"a": 1}], [{"a": True}], False),
    ],
)
def test_what_a_hook_put_back_as_it_was_is_no_change(one: object, other: object, *, same: bool) -> None:
    """Python takes 1, 1.0 and True for equal, JSON does not; NaN is not even equal to itself."""
    assert alike(one, other) is same
