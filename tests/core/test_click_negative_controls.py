"""The checks on Click catch what they are for: each gateway here is broken in one way, and is found out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pytest

from paytechuz_core import Conflict, State, Transaction
from paytechuz_core.click import Click
from paytechuz_core.click.calls import Call
from paytechuz_core.click.codes import Code
from paytechuz_core.click.gateway import Reply
from paytechuz_core.decision import Decision, Event, Hook, Rejected, Snapshot
from paytechuz_core.inbound import Inbound
from paytechuz_core.transaction import Account, Millis
from tests.core.click_wire import SECRET, SERVICE, complete, prepare, rejected
from tests.core.test_click_decide import (
    CELLS,
    HOLDERS,
    NO_MONEY,
    Shop,
    check_cell,
    check_complete_in_order,
    check_history,
    check_holder,
    check_order_of_doubts,
    check_short_histories,
)

OWN: Final[dict[str, Any]] = {"secrets": lambda: (SECRET,), "service_id": SERVICE, "field": "order_id"}


def holds_the_table(gateway: Click) -> None:
    for cell in CELLS:
        stored, form, expected = cell.values
        check_cell(gateway, stored, form, expected)  # type: ignore[arg-type]


def holds_the_holders(gateway: Click) -> None:
    for who in HOLDERS:
        check_holder(gateway, who)


def holds_signatures(gateway: Click) -> None:
    for make in (prepare, complete):
        for error in (0, NO_MONEY):
            assert rejected({**make(error=error), "sign_string": "0" * 32}, gateway)["error"] == -1


def credits_once(gateway: Click) -> None:
    """Two attempts at one payment of a wallet, both completed."""
    one, two = {"merchant_trans_id": "7"}, {"merchant_trans_id": "7", "click_trans_id": 2}
    forms = (prepare(**one), complete(**one), prepare(**two), complete(**two))
    check_history(gateway, [(form, 0) for form in forms])
    shop = Shop("sync", gateway)
    assert [shop.said(form) for form in forms] == [0, 0, -4, -6]


Check: TypeAlias = Callable[[Click], None]
CHECKS: Final[dict[str, Check]] = {
    "table": holds_the_table,
    "holders": holds_the_holders,
    "doubts": check_order_of_doubts,
    "complete": check_complete_in_order,
    "signatures": holds_signatures,
    "histories": check_short_histories,
    "top-ups": credits_once,
}


class PaysAgain(Click):
    """Answers a repeated Complete with 0, and tells of the payment again."""

    def _complete(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        if attempt.state is State.SUCCESSFULLY:
            return Decision(Reply(Code.SUCCESS, call.prepare_id), events=(Event(Hook.SUCCESSFULLY_PAYMENT, attempt),))
        return super()._complete(call, attempt, now)


class PreparesPaid(Click):
    """Answers 0 to a Prepare of whatever it knows, paid and cancelled included: the customer is debited again."""

    def _prepare_again(self, call: Call, attempt: Transaction) -> Decision[Reply]:
        del attempt
        return Decision(Reply(Code.SUCCESS, call.prepare_id))


class Unlocked(Click):
    """Does not look at who holds the order."""

    def _prepare(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        return super()._prepare(call, replace(snapshot, holder=None), now)


class Elbows(Click):
    """Takes the order from Payme while Payme's transaction lives."""

    def _prepare(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        return super()._prepare(call, snapshot, now + 10**9)


class AnyPrepareId(Click):
    """Does not compare the prepare id."""

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        named = {**call.form, "merchant_prepare_id": str(call.prepare_id)}
        return super().decide(Call(named), snapshot, now)


class AnyOrder(Click):
    """Does not compare the order of a known attempt."""

    def _same_order(self, call: Call, attempt: Transaction) -> bool:
        del call, attempt
        return True


class CompletesUnprepared(Click):
    """Pays without any Prepare."""

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        if snapshot.transaction is None and call.action == "1" and call.error == 0:
            return self._prepare(call, snapshot, now)
        return super().decide(call, snapshot, now)


class UnsignedCancel(Click):
    """Lets an error through whoever signed it, as the official examples do."""

    def parse(self, inbound: Inbound) -> Call:
        try:
            return super().parse(inbound)
        except Rejected:
            form = dict(pair.split("=") for pair in (inbound.body or b"").decode().split("&"))
            if form.get("error", "0").startswith("-"):
                return Call(form)
            raise


class Underpaid(Click):
    """Lets less than the price pass."""

    def _fits(self, amount: int | None, account: Account) -> bool:
        return amount is not None and (account.amount_tiyin is None or amount <= account.amount_tiyin)


class CancelIsFine(Click):
    """Answers 0 to a cancel."""

    def _abort(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        return replace(super()._abort(call, attempt, now), reply=Reply(Code.SUCCESS, call.prepare_id))


class SaysReversed(Click):
    """Answers −9 for a paid order and leaves it paid."""

    def _abort(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        return replace(super()._abort(call, attempt, now), changes=(), events=())


class Mute(Click):
    """Tells nobody that money came for an attempt that is over."""

    def _complete(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        decision = super()._complete(call, attempt, now)
        return replace(decision, events=decision.events if decision.changes else ())


class TakesThenEvicts(Click):
    """Writes the newcomer before the older attempt has given up its hold."""

    def _begin(self, call: Call, account: Account, older: Transaction | None, now: Millis) -> Decision[Reply]:
        decision = super()._begin(call, account, older, now)
        return replace(decision, changes=decision.changes[::-1])


class Uncounted(Click):
    """Holds a wallet's payment by its attempt."""

    def _payment(self, call: Call) -> str:
        return f"click:{call.click_trans_id}"


BROKEN: Final[dict[type[Click], list[str]]] = {
    PaysAgain: ["table", "histories"],
    PreparesPaid: ["table", "histories"],
    Unlocked: ["holders", "doubts", "histories"],
    Elbows: ["holders", "doubts"],
    AnyPrepareId: ["complete"],
    AnyOrder: ["complete"],
    CompletesUnprepared: ["table"],
    UnsignedCancel: ["signatures", "histories"],
    Underpaid: ["doubts"],
    CancelIsFine: ["table", "histories"],
    SaysReversed: ["table", "histories"],
    Mute: ["table"],
    TakesThenEvicts: ["holders", "histories"],
    Uncounted: ["top-ups"],
}


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - {"histories"}))
def test_the_true_gateway_passes_every_check(name: str) -> None:
    """The histories, which take longest, it passes in `test_click_decide`."""
    CHECKS[name](Click(**OWN))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_gateway_is_found_out(broken: type[Click]) -> None:
    for name in BROKEN[broken]:
        with pytest.raises((AssertionError, Conflict, pytest.fail.Exception)):
            CHECKS[name](broken(**OWN))
