"""The checks catch what they are for: each gateway and storage here is broken in one way, and is found out."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

import pytest

from paytechuz_core import Change, Conflict, Memory, Payme, State, Transaction, memory
from paytechuz_core.decision import Decision, Event, Hook
from paytechuz_core.payme import errors
from paytechuz_core.payme.calls import CreateTransaction
from paytechuz_core.payme.replies import Reply, cancelled, created, performed
from paytechuz_core.transaction import HALF_DAY, Fields, Millis
from tests.core.strategies import lived
from tests.core.test_memory import check_identical, check_one_winner, shop
from tests.core.test_payme_decide import (
    CELLS,
    INVARIANTS,
    Invariant,
    check_cell,
    check_limit,
    check_order_of_doubts,
    small_world,
)
from tests.core.wire import KEY, NOW, check_perform, create

OWN: Final[dict[str, Any]] = {"keys": lambda: (KEY,), "fields": ("order_id",)}


def holds_the_matrix(gateway: Payme) -> None:
    for cell in CELLS:
        stored, age, message, answer, after = cell.values
        check_cell(gateway, stored, age, message, (answer, after))  # type: ignore[arg-type]


def holds_everywhere(invariant: Invariant, gateway: Payme) -> None:
    for situation in small_world(gateway):
        invariant(situation)


Check: TypeAlias = Callable[[Payme], None]
CHECKS: Final[dict[str, Check]] = {
    "matrix": holds_the_matrix,
    "limit": check_limit,
    "doubts of CheckPerform": partial(check_order_of_doubts, message=check_perform),
    "doubts of Create": partial(check_order_of_doubts, message=create),
    **{each.__name__.removeprefix("test_"): partial(holds_everywhere, each) for each in INVARIANTS},
}
ALWAYS_THE_SAME: Final = "every_call_is_decided_the_same_every_time_and_nothing_it_was_given_is_touched"
OWN_ERRORS: Final = "a_method_answers_with_errors_of_its_own_page_and_an_account_error_names_its_field"
LOOKING: Final = "nothing_is_written_by_looking_and_an_error_writes_nothing_but_an_expiry"
TOLD: Final = "a_hook_is_told_of_every_move_that_is_written_in_order_and_of_no_other"
REPEATED: Final = "what_is_decided_can_be_saved_and_a_repeated_call_gets_the_same_answer_and_changes_nothing"
ONE_PAYMENT: Final = "an_order_never_has_two_payments_and_the_one_it_has_holds_it"


def forged(before: Transaction, **values: Any) -> Change:
    """A change that `Change` itself would refuse to be."""
    change = object.__new__(Change)
    object.__setattr__(change, "before", before)
    object.__setattr__(change, "after", replace(before, version=before.version + 1, **values))
    return change


class Payable(Payme):
    """Ignores who holds the order."""

    def _payable(self, amount: int, fields: Fields, snapshot: Any, now: Millis) -> Any:
        return super()._payable(amount, fields, replace(snapshot, holder=None), now)

    def _create(self, request: CreateTransaction, snapshot: Any, now: Millis) -> Decision[Reply]:
        return super()._create(request, replace(snapshot, holder=None), now)


class HolderFirst(Payme):
    """Says that an order is held before it looks at the amount."""

    def _payable(self, amount: int, fields: Fields, snapshot: Any, now: Millis) -> Any:
        if snapshot.holder is not None and not snapshot.holder.expired(now):
            return errors.ACCOUNT_HELD.about(self.fields[0])
        return super()._payable(amount, fields, snapshot, now)


class Unnamed(Payme):
    """Does not say which account field is wrong."""

    def _payable(self, amount: int, fields: Fields, snapshot: Any, now: Millis) -> Any:
        answer = super()._payable(amount, fields, snapshot, now)
        return answer.about(None) if isinstance(answer, errors.Error) else answer


class FiresAgain(Payme):
    """Tells of the payment with every repeated Perform."""

    def _perform(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        if transaction is not None and transaction.state is State.SUCCESSFULLY:
            return Decision(performed(transaction), events=(Event(Hook.SUCCESSFULLY_PAYMENT, transaction),))
        return super()._perform(transaction, now)


class Revives(Payme):
    """Performs what was cancelled."""

    def _perform(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        if transaction is not None and transaction.state is State.CANCELLED_DURING_INIT:
            change = forged(transaction, state=State.SUCCESSFULLY, perform_time=now, cancel_time=None, reason=None)
            return Decision(performed(change.after), (change,), (Event(Hook.SUCCESSFULLY_PAYMENT, change.after),))
        return super()._perform(transaction, now)


class ForgetsExpiry(Payme):
    """Answers −31008 for an expired transaction and does not cancel it."""

    def _expire(self, transaction: Transaction, now: Millis) -> Decision[Reply]:
        return replace(super()._expire(transaction, now), changes=(), events=())


class OverwritesReason(Payme):
    """Lets a second Cancel replace the reason and the time."""

    def _cancel(self, transaction: Transaction | None, reason: int, now: Millis) -> Decision[Reply]:
        if transaction is not None and transaction.state < 0:
            change = forged(transaction, reason=reason, cancel_time=now, update_time=now)
            return Decision(cancelled(change.after), (change,))
        return super()._cancel(transaction, reason, now)


class AnswersNow(Payme):
    """Answers a repeated Create with the present time."""

    def _create_again(self, request: CreateTransaction, transaction: Transaction, now: Millis) -> Decision[Reply]:
        decision = super()._create_again(request, transaction, now)
        if isinstance(decision.reply, dict):
            return replace(decision, reply={**created(transaction), "create_time": now})
        return decision


class CreatesAgain(Payme):
    """Answers a repeated Create with what is stored, paid and cancelled included."""

    def _create_again(self, request: CreateTransaction, transaction: Transaction, now: Millis) -> Decision[Reply]:
        del request, now
        return Decision(created(transaction))


class ChecksAndWrites(Payme):
    """Cancels an expired transaction when it is only looked at."""

    def decide(self, call: Any, snapshot: Any, now: Millis) -> Decision[Reply]:
        decision = super().decide(call, snapshot, now)
        it = snapshot.transaction
        if isinstance(decision.reply, dict) and "reason" in decision.reply and it.expired(now):
            return replace(decision, changes=(it.cancel(now, 4),))
        return decision


class CreatesThenEvicts(Payme):
    """Writes the newcomer before the expired holder has given up its hold."""

    def _create(self, request: CreateTransaction, snapshot: Any, now: Millis) -> Decision[Reply]:
        decision = super()._create(request, snapshot, now)
        return replace(decision, changes=decision.changes[::-1])


class Silent(Payme):
    """Tells nobody of a cancel."""

    def _cancel(self, transaction: Transaction | None, reason: int, now: Millis) -> Decision[Reply]:
        return replace(super()._cancel(transaction, reason, now), events=())


class Dicing(Payme):
    """Does not decide the same every time."""

    thrown: list[int] = []  # noqa: RUF012 - a broken one

    def _check(self, transaction: Transaction | None) -> Decision[Reply]:
        decision = super()._check(transaction)
        self.thrown.append(1)
        return replace(decision, reply={"thrown": len(self.thrown)}) if isinstance(decision.reply, dict) else decision


class Unheld(Payme):
    """Creates without holding the order."""

    def _create(self, request: CreateTransaction, snapshot: Any, now: Millis) -> Decision[Reply]:
        decision = super()._create(request, snapshot, now)
        if not decision.changes:
            return decision
        birth = replace(decision.changes[-1].after, hold=None)
        return decision.created(birth, decision.reply)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_true_gateway_passes_every_check(check: Check) -> None:
    check(Payme(**OWN))


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        (Payable(**OWN), ["doubts of CheckPerform", "doubts of Create", "limit", REPEATED]),
        (Unheld(**OWN), [ONE_PAYMENT]),
        (HolderFirst(**OWN), ["doubts of CheckPerform", "doubts of Create"]),
        (Unnamed(**OWN), [OWN_ERRORS]),
        (Payme(**OWN, timeout=HALF_DAY - 1), ["limit"]),
        (Payme(**OWN, timeout=HALF_DAY + 1), ["limit"]),
        (FiresAgain(**OWN), ["matrix", TOLD, REPEATED]),
        (Revives(**OWN), ["matrix"]),
        (ForgetsExpiry(**OWN), ["matrix"]),
        (OverwritesReason(**OWN), ["matrix", REPEATED]),
        (AnswersNow(**OWN), ["matrix"]),
        (CreatesAgain(**OWN), ["matrix"]),
        (ChecksAndWrites(**OWN), ["matrix", LOOKING]),
        (CreatesThenEvicts(**OWN), [REPEATED]),
        (Silent(**OWN), ["matrix", TOLD]),
        (Dicing(**OWN), ["matrix", ALWAYS_THE_SAME, REPEATED]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Payme) else "",
)
def test_a_broken_gateway_is_found_out(broken: Payme, checks: list[str]) -> None:
    for name in checks:
        with pytest.raises((AssertionError, Conflict, LookupError)):
            CHECKS[name](broken)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": State.SUCCESSFULLY, "cancel_time": None, "reason": None, "perform_time": NOW + 1000},
        {"reason": 5},
        {"cancel_time": NOW + 1001},
        {"hold": "orders:42"},
    ],
    ids=str,
)
def test_a_broken_gateway_cannot_even_build_its_change(wrong: dict[str, Any]) -> None:
    failed = lived(State.CANCELLED_DURING_INIT)
    change = forged(failed, **wrong)
    with pytest.raises(ValueError, match=r"no transaction moves|may not touch|hold may be given up"):
        Change(change.before, change.after)


# Storages

Put = Callable[[dict[tuple[str, str], Transaction], Change], Transaction]


def without_holds(rows: dict[tuple[str, str], Transaction], change: Change) -> Transaction:
    """Lets two transactions hold one order."""
    key = change.after.gateway, change.after.transaction_id
    if (key in rows) is not (change.before is not None):
        raise Conflict
    rows[key] = deepcopy(change.after)
    return rows[key]


def last_write_wins(rows: dict[tuple[str, str], Transaction], change: Change) -> Transaction:
    """Compares nothing."""
    rows[change.after.gateway, change.after.transaction_id] = deepcopy(change.after)
    return change.after


@pytest.mark.parametrize(
    ("put", "check"),
    [(without_holds, check_one_winner), (last_write_wins, check_identical), (last_write_wins, check_one_winner)],
)
def test_a_storage_that_does_not_keep_its_keys_unique_is_found_out(
    put: Put, check: Callable[[Memory], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(shop())
    monkeypatch.setattr(memory, "put", put)
    with pytest.raises(AssertionError):
        check(shop())
