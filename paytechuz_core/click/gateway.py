"""Click's SHOP API, decided.

https://docs.click.uz/click-api-request and /click-api-error. Click asks twice: Prepare reserves, then Click debits the
customer, then Complete says that the money was taken (`error` 0) or was not (negative). An *attempt* is one
transaction, named by its `click_trans_id`. Once the money is taken no answer may be an error but −4 (confirmed
already) and −9 (cancelled: Click gives the money back), so a prepared attempt is honoured whenever its Complete comes,
unless another has taken its place.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Final

from paytechuz_core.addresses import EVERYBODY, Callers
from paytechuz_core.click.calls import COMPLETE, PREPARE, Call, read_form, signed, stored, whole
from paytechuz_core.click.codes import Code
from paytechuz_core.decision import Decision, Event, Hook, Lookup, Refused, Rejected, Snapshot, Subject
from paytechuz_core.inbound import Inbound
from paytechuz_core.money import Tiyin
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import HALF_DAY, Account, Fields, Millis, Reason, State, Transaction, create

ACTIONS: Final = {PREPARE: "prepare", COMPLETE: "complete"}
"""What the log calls the two actions."""

SUPERSEDED: Final = -9999
"""The reason of an attempt whose place a later one took; Click's own reasons are the negative `error` it sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its code, the id of an attempt that is known, and a hook's own words instead of the constant."""

    code: Code
    id: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """One service's protocol.

    `secrets` gives every secret key that is valid now. `field` is the name under which `merchant_trans_id` is looked
    up. `hold_for` gives the hold where it follows from the request alone. `minimum` and `maximum` (tiyin) bound what
    an account of no fixed price takes; `commission_percent` is what the customer pays on top of a price. `lifetime` is
    how long a prepared attempt keeps another provider's away. `action` is 0 or 1 for a URL that serves only that one.
    A call from who is none of the `callers` is refused as one with a wrong signature is: Click has no code of its own
    for it, and both say that it is not Click who calls.
    """

    secrets: Callable[[], Iterable[str]]
    service_id: int
    field: str = "id"
    hold_for: Callable[[Fields], str | None] = lambda _: None
    minimum: Tiyin = 1
    maximum: Tiyin | None = None
    commission_percent: Decimal = Decimal(0)
    lifetime: Millis = HALF_DAY
    action: int | None = None
    callers: Callers = EVERYBODY

    name: ClassVar[str] = "click"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if self.action not in (None, 0, 1):
            message = f"action must be 0 (a URL for Prepare), 1 (for Complete) or None (for both), not {self.action}"
            raise ConfigurationError(message, "action")
        if not self.commission_percent.is_finite() or not 0 <= self.commission_percent < 100:  # noqa: PLR2004 - percent
            message = f"commission_percent must be from 0 to below 100, not {self.commission_percent}"
            raise ConfigurationError(message, "commission_percent")

    # What arrives

    def parse(self, inbound: Inbound) -> Call:
        """Turn a request into a call; the order of refusals is the order of the lines."""
        form = _form_in(inbound)
        if form is None or not whole(form):
            raise self._rejected(form, Code.BAD_REQUEST)
        if not self.callers.admit(inbound) or not signed(form, self.secrets()):
            raise self._rejected(form, Code.SIGN_CHECK_FAILED)
        if form["action"] not in ((PREPARE, COMPLETE) if self.action is None else (str(self.action),)):
            raise self._rejected(form, Code.ACTION_NOT_FOUND)
        call = Call(form)
        if call.service_id != self.service_id:
            raise self._rejected(form, Code.BAD_REQUEST)
        return call

    def _rejected(self, form: Fields | None, code: Code) -> Rejected:
        return Rejected(_encode(form or {}, Reply(code)), code.number, _about(form or {}))

    # What must be known

    def lookup(self, call: Call) -> Lookup:
        """Say what must be read: the attempt, for Prepare also who holds the order, and an unknown attempt's order."""
        known = Lookup(gateway=self.name, transaction_id=call.transaction_id, account={self.field: call.order})
        if call.action == COMPLETE:
            return replace(known, for_update=True)
        return replace(known, hold=self.hold_for({self.field: call.order}) or self._payment(call))

    def _payment(self, call: Call) -> str:
        # An account that may be topped up is credited once for each payment, whatever attempts Click makes at it.
        return f"click:{call.service_id}:{call.order}:{call.paydoc_id}"

    # What is decided

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        """Decide one call."""
        match snapshot.transaction:
            case None if call.action == PREPARE:
                return self._prepare(call, snapshot, now)
            case None if snapshot.account is None:
                return Decision(Reply(Code.ACCOUNT_NOT_FOUND))
            case None:
                return Decision(Reply(Code.TRANSACTION_NOT_FOUND))
            case attempt if call.action == PREPARE:
                return self._prepare_again(call, attempt)
            case attempt if not (self._same_order(call, attempt) and call.prepared):
                return Decision(Reply(Code.TRANSACTION_NOT_FOUND))
            case Transaction(amount_tiyin=amount) if amount != call.amount:
                return Decision(Reply(Code.INCORRECT_AMOUNT))
            case attempt if call.error < 0:
                return self._abort(call, attempt, now)
            case attempt:
                return self._complete(call, attempt, now)

    def _prepare(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        account = snapshot.account
        if account is None:
            return Decision(Reply(Code.ACCOUNT_NOT_FOUND))
        match snapshot.holder:
            case _ if call.error < 0:
                return Decision(Reply(Code.CANCELLED))
            case Transaction(state=State.SUCCESSFULLY):
                return Decision(Reply(Code.ALREADY_PAID))
            case Transaction(state=State.CANCELLED):  # refunded, and not reopened
                return Decision(Reply(Code.ACCOUNT_NOT_FOUND))
            case _ if not account.payable:
                return Decision(Reply(Code.ACCOUNT_NOT_FOUND))
            case _ if not self._fits(call.amount, account):
                return Decision(Reply(Code.INCORRECT_AMOUNT))
            case Transaction(gateway=other) as holder if other != self.name and not holder.expired(now):
                return Decision(Reply(Code.CANCELLED))
            case holder:
                return self._begin(call, account, holder, now)

    def _begin(self, call: Call, account: Account, older: Transaction | None, now: Millis) -> Decision[Reply]:
        # The older attempt gives up its hold before the newcomer takes it; its late Complete will be told −9.
        reason = SUPERSEDED if older is not None and older.gateway == self.name else Reason.TIMEOUT
        evictions = () if older is None else (older.cancel(now, reason),)
        birth = create(
            now=now,
            gateway=self.name,
            transaction_id=call.transaction_id,
            account=replace(account, hold=account.hold or self._payment(call)),
            amount_tiyin=call.amount or 0,
            received=stored(call),
            lifetime=self.lifetime,
        )
        told = (Event(Hook.CANCELLED_PAYMENT, eviction.after) for eviction in evictions)
        return Decision(
            Reply(Code.SUCCESS, call.prepare_id),
            changes=(*evictions, birth),
            events=(*told, Event(Hook.TRANSACTION_CREATED, birth.after, account)),
            asks=(Event(Hook.BEFORE_CHECK_PERFORM_TRANSACTION, account=account),),
        )

    def _prepare_again(self, call: Call, attempt: Transaction) -> Decision[Reply]:
        match attempt:
            case _ if not self._same_order(call, attempt):
                return Decision(Reply(Code.BAD_REQUEST))
            case Transaction(amount_tiyin=amount) if amount != call.amount:
                return Decision(Reply(Code.INCORRECT_AMOUNT))
            case Transaction(state=State.SUCCESSFULLY):
                return Decision(Reply(Code.ALREADY_PAID, call.prepare_id))
            case Transaction(state=State.INITIATING) if call.error == 0:
                told = Event(Hook.TRANSACTION_ALREADY_EXISTS, attempt)
                return Decision(Reply(Code.SUCCESS, call.prepare_id), events=(told,), replay=True)
            case _:
                return Decision(Reply(Code.CANCELLED, call.prepare_id))

    def _complete(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        match attempt:
            case Transaction(state=State.SUCCESSFULLY):
                return Decision(Reply(Code.ALREADY_PAID, call.prepare_id), replay=True)
            case Transaction(state=State.INITIATING):
                change = attempt.perform(now)
                told = Event(Hook.SUCCESSFULLY_PAYMENT, change.after)
                return Decision(Reply(Code.SUCCESS, call.prepare_id), (change,), (told,))
            case (
                _
            ):  # the money was taken for an attempt that is over: Click must give it back, and a human should see to it
                told = Event(Hook.PAYMENT_CONFLICT, attempt)
                return Decision(Reply(Code.CANCELLED, call.prepare_id), events=(told,))

    def _abort(self, call: Call, attempt: Transaction, now: Millis) -> Decision[Reply]:
        match attempt:
            case Transaction(state=State.CANCELLED | State.CANCELLED_DURING_INIT):  # the first reason stays
                return Decision(Reply(Code.CANCELLED, call.prepare_id), replay=True)
            case Transaction(state=State.SUCCESSFULLY):
                change = attempt.cancel(now, call.error)
                told, ask = Event(Hook.CANCELLED_PAYMENT, change.after), Event(Hook.CAN_REVERSE, attempt)
                return Decision(Reply(Code.CANCELLED, call.prepare_id), (change,), (told,), (ask,))
            case _:
                change = attempt.cancel(now, call.error)
                told = Event(Hook.CANCELLED_PAYMENT, change.after)
                return Decision(Reply(Code.CANCELLED, call.prepare_id), (change,), (told,))

    def _same_order(self, call: Call, attempt: Transaction) -> bool:
        return attempt.account.get("merchant_trans_id") == call.order

    def _fits(self, amount: Tiyin | None, account: Account) -> bool:
        if amount is None or amount <= 0:
            return False
        if account.amount_tiyin is not None:
            return account.amount_tiyin > 0 and amount == self._with_commission(account.amount_tiyin)
        return self.minimum <= amount and (self.maximum is None or amount <= self.maximum)

    def _with_commission(self, price: Tiyin) -> Tiyin:
        # In whole numbers, half a tiyin up: Decimals would be rounded as the program around us has set its context.
        part, of = self.commission_percent.as_integer_ratio()
        return (2 * price * (100 * of + part) + 100 * of) // (200 * of)

    # What the merchant's hooks say

    def amend(self, call: Call, decision: Decision[Reply], ask: Event, answer: Any) -> Decision[Reply]:
        """Put a hook's answer into the decision."""
        if ask.hook is Hook.CAN_REVERSE and not answer:
            return Decision(Reply(Code.ALREADY_PAID, call.prepare_id))
        return decision

    def refuse(self, call: Call, refusal: Refused) -> Reply:
        """Answer for a hook that refused: Prepare says no; to Complete nothing was saved, and Click repeats it."""
        if call.action == COMPLETE:
            return Reply(Code.FAILED_TO_UPDATE, call.prepare_id)
        return Reply(Code.ACCOUNT_NOT_FOUND, note=refusal.message["en"])

    def fail(self, call: Call | None) -> Reply:
        """Answer for a bug or an outage: Click repeats the call."""
        del call
        return Reply(Code.FAILED_TO_UPDATE)

    # What leaves

    def expiry(self, transaction: Transaction, now: Millis) -> None:
        """Expire nothing: the customer may have been debited, so an attempt is honoured whenever its Complete comes."""
        del transaction, now

    def params(self, call: Call) -> dict[str, Any]:
        """Give the form as the hooks receive it: without the signature, which is nobody's business."""
        return {name: text for name, text in call.form.items() if name != "sign_string"}

    def secret(self, call: Call) -> bool:
        """Tell whether the call carries a secret: none does that an error could quote."""
        del call
        return False

    def subject(self, call: Call, transaction: Transaction | None) -> Subject:
        """Say what a call is about, for the log."""
        del transaction
        return _about(call.form)

    def code(self, reply: Reply) -> int:
        """Give the result's number."""
        return reply.code.number

    def render(self, call: Call | None, reply: Reply) -> bytes:
        """Write the answer."""
        return _encode({} if call is None else call.form, reply)


def _about(form: Mapping[str, str]) -> Subject:
    action = form.get("action")
    return Subject(
        method=None if action is None else ACTIONS.get(action, action),
        transaction_id=form.get("click_trans_id"),
        account=form.get("merchant_trans_id"),
        known=action in ACTIONS,
    )


def _form_in(inbound: Inbound) -> dict[str, str] | None:
    if inbound.method != "POST" or inbound.readable is None:
        return None
    try:
        return read_form(inbound.readable)
    except ValueError:
        return None


def _encode(form: Fields, reply: Reply) -> bytes:
    number = form.get("click_trans_id", "")
    mine = (
        {"merchant_confirm_id": reply.id} if form.get("action") == COMPLETE else {"merchant_prepare_id": reply.id or 0}
    )
    answer = {
        "click_trans_id": int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0,  # noqa: PLR2004
        "merchant_trans_id": form.get("merchant_trans_id", ""),
        **mine,
        "error": reply.code.number,
        "error_note": reply.note or reply.code.note,
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
