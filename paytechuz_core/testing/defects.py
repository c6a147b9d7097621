"""What is wrong with a shop, in a few words: a defect's name for each step that went wrong.

`defect_of` looks at what was answered, so that one fault has one name wherever it shows; where nothing telling is seen,
the rule that was broken gives the name. The step's `why` says what it costs and how to mend it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from paytechuz_core.testing import click, click_till, payme, suite, till
from paytechuz_core.testing.recorder import Exchange
from paytechuz_core.testing.suite import Step

TIMES: Final = ("create_time", "perform_time", "cancel_time")
SECONDS: Final = range(10**9, 10**11)

RULES: Final[Mapping[str, str]] = {
    suite.SILENCE: "no answer",
    # Payme
    till.ALWAYS_200: "an HTTP status other than 200",
    till.ONE_OBJECT: "an answer that is none",
    till.ECHOED: "the request's id is not echoed",
    till.THE_SAME: "a repeated call gets another answer",
    till.READABLE: "an error without words for the payer",
    payme.TRUST: "a call with a wrong key is not refused as it must be",
    payme.EXACT: "a wrong amount is accepted",
    payme.EXISTS: "an unknown account is not refused as it must be",
    payme.FREE: "an order that may be paid is refused",
    payme.ONE_LIVE: "a second transaction is accepted for one order",
    payme.PAID_ONCE: "an order can be paid twice",
    payme.BORN: "a transaction is not created as it must be",
    payme.MONEY: "a payment is not taken as it must be",
    payme.DELIVERED: "a payment and the order's status disagree",
    payme.LOOK: "CheckTransaction does not tell what is stored",
    payme.GIVE_UP: "a cancel or a refund is not done as it must be",
    payme.DEAD: "a cancelled payment is revived",
    payme.LATE: "a transaction older than 12 hours is not ended",
    payme.RELEASED: "an abandoned or failed attempt keeps the order closed",
    payme.LISTED: "GetStatement does not go by Payme's time",
    payme.UNHEARD_OF: "an unknown transaction is not refused as it must be",
    payme.READ: "a malformed request is not refused as it must be",
    # Click
    click_till.ALWAYS_200: "an HTTP status other than 200",
    click_till.ONE_OBJECT: "an answer that is none",
    click_till.ECHOED: "the call's numbers are not echoed",
    click_till.PREPARE_ID: "Prepare gives no usable merchant_prepare_id",
    click_till.CONFIRM_ID: "Complete gives no merchant_confirm_id",
    click.TRUST: "a call with a wrong signature is not refused as it must be",
    click.EXISTS: "an unknown order is not refused as it must be",
    click.RESERVED: "an order that may be paid is refused",
    click.EXACT: "a wrong amount is accepted",
    click.KEPT: "a refused call changes something",
    click.DELIVERED: "a payment and the order's status disagree",
    click.PAID_ONCE: "an order can be paid twice",
    click.REVERSED: "a cancel after the payment is not done as it must be",
    click.NAMED: "Complete is taken for another attempt",
    click.GIVEN_UP: "a cancel before the payment is not done as it must be",
    click.DEAD: "a cancelled payment is revived",
    click.NEGATIVE: "a cancel with an unusual error is not understood",
    click.NO_ACTION: "an unknown action is not refused",
    click.READ: "a malformed form is not refused as it must be",
    click.REPEATED: "a repeated Prepare gets another answer",
    click.SPELLED: "an amount in another spelling is refused",
    click.UTF8: "letters that are not ASCII are not understood",
    click.HEX: "a signature in capitals is refused",
    click.OURS: "another service's payment is accepted",
    click.WIDE: "large numbers are rounded",
    click.SUPERSEDED: "two attempts at one order are both paid",
    click.RELEASED: "a failed attempt keeps the order closed",
    click.CREDITED: "one payment is credited twice",
}
"""What it means that a rule was broken, by the rule's `why`."""


def defect_of(step: Step, exchanges: Sequence[Exchange]) -> str:
    """Name what is wrong with a step that is not ok; `exchanges` is what was said for it."""
    answers = [read(each.answer) for each in exchanges]
    statuses = {each.status for each in exchanges} - {HTTPStatus.OK, 0}
    if statuses:
        bad = " to a bad key" if "credentials" in step.scenario or "signature" in step.scenario else ""
        return f"HTTP {min(statuses)} instead of 200{bad}"
    if step.got == "paid twice":
        return "the paid hook runs twice"
    members = list(all_members(answers))
    times = [value for name, value in members if name in TIMES]
    if any(isinstance(value, int) and value in SECONDS for value in times):
        return "times in seconds instead of milliseconds"
    if any(value is None for value in times):
        return "null instead of 0 for a time that is not set"
    if any(isinstance(value, str | float) for value in times):
        return "times that are no whole numbers"
    if any(isinstance(value, float) for name, value in members if name == "amount"):
        return "amounts as floats"
    return RULES.get(step.why, step.why.partition(":")[0])


def read(answer: str) -> Any:
    """Read an answer, None where it is no JSON."""
    try:
        return json.loads(answer)
    except ValueError:
        return None


def all_members(value: Any) -> Iterable[tuple[str, Any]]:
    """Give every member of every object, however deep."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from all_members(each)
