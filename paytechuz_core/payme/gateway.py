"""Payme's Merchant API, decided.

https://developer.help.paycom.uz/protokol-merchant-api/ and /metody-merchant-api/. The methods stand in the order in
which a payment meets them; each is a `match` whose cases read top to bottom like the flow chart on the method's page.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from paytechuz_core.addresses import EVERYBODY, Callers
from paytechuz_core.decision import Decision, Event, Hook, Lookup, Refused, Rejected, Snapshot, Subject
from paytechuz_core.inbound import Inbound, basic_credentials, decode_json
from paytechuz_core.money import Tiyin
from paytechuz_core.payme import errors
from paytechuz_core.payme.calls import (
    METHODS,
    Call,
    CancelTransaction,
    ChangePassword,
    CheckPerformTransaction,
    CheckTransaction,
    CreateTransaction,
    Expire,
    GetStatement,
    PerformTransaction,
    SetFiscalData,
)
from paytechuz_core.payme.detail import check_data, split
from paytechuz_core.payme.errors import Error
from paytechuz_core.payme.replies import (
    Reply,
    allowed,
    cancelled,
    checked,
    created,
    encode,
    performed,
    statement,
    succeeded,
)
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import HALF_DAY, Account, Change, Fields, Millis, Reason, State, Transaction, create

ACCOUNT_VALUE_LIMIT: Final = 255
NOTHING: Final = Subject()


def held_by_account(fields: Fields) -> str | None:
    """Leave the hold to the account that is found."""
    del fields
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payme:
    """One cash register's protocol.

    `keys` gives every key that is valid now, so that keys can rotate without a refused call. `fields` are the account
    fields set up for the cash register. `hold_for` gives the hold where it follows from the request alone, so that
    Create reads transaction and holder together. `minimum` and `maximum` (tiyin) bound what an account of no fixed
    price takes. `held_code` is what Create answers for an order that another transaction holds: −31051, or −31008 for
    a cash register whose acceptance test insists. `messages` replaces texts by code and language. A call from who is
    none of the `callers` is refused as one with a wrong key is.
    """

    keys: Callable[[], Iterable[str]]
    login: str = "Paycom"
    fields: tuple[str, ...] = ("id",)
    hold_for: Callable[[Fields], str | None] = held_by_account
    minimum: Tiyin = 1
    maximum: Tiyin | None = None
    held_code: int = errors.ACCOUNT_HELD.code
    timeout: Millis = HALF_DAY
    changes_password: bool = False
    messages: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    callers: Callers = EVERYBODY

    name: ClassVar[str] = "payme"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        # A text would be a field for each of its letters.
        if not isinstance(self.fields, tuple) or not all(self.fields) or not self.fields:
            message = "account_field must name at least one account field of the cash register, for example 'order_id'"
            raise ConfigurationError(message, "account_field")
        if self.held_code not in (errors.ACCOUNT_HELD.code, errors.CANNOT_PERFORM.code):
            message = f"held_code must be -31051 or -31008, not {self.held_code}"
            raise ConfigurationError(message, "held_code")
        unknown = self.messages.keys() - {error.code for error in errors.ERRORS}
        if unknown or not all(texts.keys() <= set(errors.LANGUAGES) for texts in self.messages.values()):
            message = "messages must be {code: {'ru': …, 'uz': …, 'en': …}} for codes of the error table"
            raise ConfigurationError(message, "messages")

    # What arrives

    def parse(self, inbound: Inbound) -> Call:
        """Turn a request into a call; the order of refusals is the order of the lines."""
        if inbound.method != "POST":
            raise self._rejected(None, errors.NOT_POST)
        if not self.callers.admit(inbound) or not self._trusts(inbound.headers.get("authorization")):
            raise self._rejected(_id_in(inbound), errors.NOT_ALLOWED)
        body = inbound.readable
        if body is None:
            raise self._rejected(None, errors.BAD_REQUEST)
        try:
            message = decode_json(body)
        except ValueError:
            raise self._rejected(None, errors.NOT_JSON) from None
        match message:
            case {"method": str(method), "params": dict(params)}:
                return self._call(message.get("id"), method, params)
            case _:
                raise self._rejected(message.get("id") if isinstance(message, dict) else None, errors.BAD_REQUEST)

    def _trusts(self, header: str | None) -> bool:
        login, password = basic_credentials(header) or (b"", b"")
        # Every key is always tried, so that the time taken tells nothing about which one is close.
        known = [hmac.compare_digest(password, key.encode()) for key in self._valid_keys() if key]
        return hmac.compare_digest(login, self.login.encode()) & any(known)

    def _valid_keys(self) -> Iterable[str]:
        keys = self.keys()
        # A text is an iterable of its letters: a merchant who gives one key must not have 36 keys of one letter.
        return (keys,) if isinstance(keys, str) else keys

    def _call(self, id: Any, method: str, params: dict[str, Any]) -> Call:
        model = METHODS.get(method)
        if model is None or (model is ChangePassword and not self.changes_password):
            raise self._rejected(id, errors.UNKNOWN_METHOD.about(method), self._about(method, params))
        try:
            request = model.model_validate(params)
        except ValidationError as invalid:
            # What follows the member's name is pydantic's own: the branch of a union.
            where = ".".join(map(str, invalid.errors(include_input=False, include_url=False)[0]["loc"][:2]))
            error = errors.FISCAL_INVALID if model is SetFiscalData else errors.BAD_REQUEST
            raise self._rejected(id, error.about(where), self._about(method, params)) from None
        if isinstance(request, ChangePassword) and request.password in self._valid_keys():
            raise self._rejected(id, errors.NOT_ALLOWED, self._about(method, params))
        return Call(id, request, params)

    def _rejected(self, id: Any, error: Error, subject: Subject = NOTHING) -> Rejected:
        return Rejected(encode(id, error, self.messages), error.code, subject)

    # What must be known

    def lookup(self, call: Call) -> Lookup:
        """Say what must be read; nothing for an account that names nothing."""
        match call.request:
            case CheckPerformTransaction(account=account) if self._misfit(account) is None:
                return Lookup(gateway=self.name, hold=self.hold_for(account), account=account)
            case CreateTransaction(id=id, account=account) if self._misfit(account) is None:
                return Lookup(gateway=self.name, transaction_id=id, hold=self.hold_for(account), account=account)
            case CreateTransaction(id=id) | CheckTransaction(id=id):
                return Lookup(gateway=self.name, transaction_id=id)
            case PerformTransaction(id=id) | CancelTransaction(id=id) | SetFiscalData(id=id) | Expire(id=id):
                return Lookup(gateway=self.name, transaction_id=id, for_update=True)
            case GetStatement(start=start, end=end):
                return Lookup(gateway=self.name, window=(start, end))
            case _:
                return Lookup(gateway=self.name)

    # What is decided

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        """Decide one call."""
        transaction = snapshot.transaction
        match call.request:
            case CheckPerformTransaction(amount=amount, account=fields):
                return self._check_perform(amount, fields, snapshot, now)
            case CreateTransaction() as request:
                if transaction is None:
                    return self._create(request, snapshot, now)
                return self._create_again(request, transaction, now)
            case PerformTransaction():
                return self._perform(transaction, now)
            case CancelTransaction(reason=reason):
                return self._cancel(transaction, reason, now)
            case CheckTransaction():
                return self._check(transaction)
            case GetStatement():
                return Decision(statement(snapshot.transactions), events=(_about_statement(snapshot),))
            case SetFiscalData(type=kind):
                return self._set_fiscal_data(transaction, kind, call.params["fiscal_data"], now)
            case ChangePassword(password=password):
                return self._change_password(password)
            case _:  # our own: Expire
                return self._sweep(transaction, now)

    def _check_perform(self, amount: Tiyin, fields: Fields, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        match self._payable(amount, fields, snapshot, now):
            case Error() as error:
                return Decision(error)
            case account:
                asks = Hook.BEFORE_CHECK_PERFORM_TRANSACTION, Hook.GET_CHECK_DATA
                return Decision(allowed(), asks=tuple(Event(ask, account=account) for ask in asks))

    def _create(self, request: CreateTransaction, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        match self._payable(request.amount, request.account, snapshot, now):
            case Error(code=errors.ACCOUNT_HELD.code) if self.held_code == errors.CANNOT_PERFORM.code:
                return Decision(errors.CANNOT_PERFORM)
            case Error() as error:
                return Decision(error)
            case Account() if now - request.time > self.timeout:  # too late before it began
                return Decision(errors.CANNOT_PERFORM)
            case account:
                return self._begin(request, account, snapshot.holder, now)

    def _begin(
        self, request: CreateTransaction, account: Account, expired: Transaction | None, now: Millis
    ) -> Decision[Reply]:
        # An expired holder gives up its hold before the newcomer takes it.
        evictions = () if expired is None else (expired.cancel(now, Reason.TIMEOUT),)
        birth = create(
            now=now,
            gateway=self.name,
            transaction_id=request.id,
            account=account,
            amount_tiyin=request.amount,
            received=request.account,
            provider_time=request.time,
            lifetime=self.timeout,
        )
        asks = Hook.BEFORE_CHECK_PERFORM_TRANSACTION, Hook.GET_RECEIVERS
        return Decision(
            created(birth.after),
            changes=(*evictions, birth),
            events=(*map(_about_cancel, evictions), Event(Hook.TRANSACTION_CREATED, birth.after, account)),
            asks=tuple(Event(ask, account=account) for ask in asks),
        )

    def _create_again(self, request: CreateTransaction, transaction: Transaction, now: Millis) -> Decision[Reply]:
        match transaction:
            case Transaction(amount_tiyin=amount) if amount != request.amount:
                return Decision(errors.WRONG_AMOUNT)
            case Transaction(account=account) if not self._same(account, request.account):
                return Decision(errors.ACCOUNT_NOT_FOUND.about(self.fields[0]))
            case Transaction(state=State.INITIATING) if transaction.expired(now):
                return self._expire(transaction, now)
            case Transaction(state=State.INITIATING):
                told = Event(Hook.TRANSACTION_ALREADY_EXISTS, transaction)
                return Decision(created(transaction), events=(told,), replay=True)
            case _:
                return Decision(errors.CANNOT_PERFORM)

    def _perform(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        match transaction:
            case None:
                return Decision(errors.TRANSACTION_NOT_FOUND)
            case Transaction(state=State.SUCCESSFULLY):
                return Decision(performed(transaction), replay=True)
            case Transaction(state=State.INITIATING) if transaction.expired(now):
                return self._expire(transaction, now)
            case Transaction(state=State.INITIATING):
                change = transaction.perform(now)
                return Decision(performed(change.after), (change,), (Event(Hook.SUCCESSFULLY_PAYMENT, change.after),))
            case _:
                return Decision(errors.CANNOT_PERFORM)

    def _expire(self, transaction: Transaction, now: Millis) -> Decision[Reply]:
        change = transaction.cancel(now, Reason.TIMEOUT)
        return Decision(errors.CANNOT_PERFORM, (change,), (_about_cancel(change),))

    def _cancel(self, transaction: Transaction | None, reason: int, now: Millis) -> Decision[Reply]:
        match transaction:
            case None:
                return Decision(errors.TRANSACTION_NOT_FOUND)
            case Transaction(state=State.CANCELLED | State.CANCELLED_DURING_INIT):  # the first reason stays
                return Decision(cancelled(transaction), replay=True)
            case Transaction(state=State.SUCCESSFULLY):
                change = transaction.cancel(now, reason)
                asks = (Event(Hook.CAN_REVERSE, transaction),)
                return Decision(cancelled(change.after), (change,), (_about_cancel(change),), asks)
            case _:  # expired or not: Payme gave it up itself
                change = transaction.cancel(now, reason)
                return Decision(cancelled(change.after), (change,), (_about_cancel(change),))

    def _check(self, transaction: Transaction | None) -> Decision[Reply]:
        match transaction:
            case None:
                return Decision(errors.TRANSACTION_NOT_FOUND)
            case _:  # expired or not: looking changes nothing
                return Decision(checked(transaction), events=(Event(Hook.CHECK_TRANSACTION, transaction),))

    def _set_fiscal_data(
        self, transaction: Transaction | None, kind: str, data: Fields, now: Millis
    ) -> Decision[Reply]:
        match transaction:
            case None:
                return Decision(errors.FISCAL_NOT_FOUND)
            case _ if kind == "PERFORM":
                change = transaction.amend(now, fiscal_perform=data)
            case _:
                change = transaction.amend(now, fiscal_cancel=data)
        return Decision(succeeded(), () if change is None else (change,), replay=change is None)

    def _change_password(self, password: str) -> Decision[Reply]:
        match password:
            case _ if not password.strip():
                return Decision(errors.ACCOUNT_NOT_FOUND.about("password"))
            case _:
                return Decision(succeeded(), events=(Event(Hook.CHANGE_PASSWORD),))

    # What no call of Payme's asks for

    def expiry(self, transaction: Transaction, now: Millis) -> Call | None:
        """Give the call that ends a transaction past its time, or None."""
        if not transaction.expired(now):
            return None
        id = transaction.transaction_id
        return Call(None, Expire(id=id), {"id": id, "reason": Reason.TIMEOUT.value})

    def _sweep(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        match transaction:
            case Transaction() if transaction.expired(now):
                return replace(self._expire(transaction, now), reply=succeeded())
            case _:  # Payme, or another sweep, was here first
                return Decision({})

    # What may be paid: account, amount, payable, holder

    def _payable(self, amount: Tiyin, fields: Fields, snapshot: Snapshot, now: Millis) -> Account | Error:
        first = self.fields[0]
        if (misfit := self._misfit(fields)) is not None:
            return errors.ACCOUNT_NOT_FOUND.about(misfit)
        account = snapshot.account
        if account is None:
            return errors.ACCOUNT_NOT_FOUND.about(first)
        match snapshot.holder:
            case _ if not self._fits(amount, account):
                return errors.WRONG_AMOUNT
            case _ if not account.payable:
                return errors.ACCOUNT_CLOSED.about(first)
            case Transaction(state=State.INITIATING) as holder if not holder.expired(now):
                return errors.ACCOUNT_HELD.about(first)
            case Transaction(state=State.SUCCESSFULLY | State.CANCELLED):
                return errors.ACCOUNT_CLOSED.about(first)
            case _:
                return account

    def _fits(self, amount: Tiyin, account: Account) -> bool:
        if account.amount_tiyin is not None:
            return amount == account.amount_tiyin > 0
        return max(self.minimum, 1) <= amount and (self.maximum is None or amount <= self.maximum)

    def _misfit(self, fields: Fields) -> str | None:
        """Name the first account field that is missing, blank, too long, or neither text nor an integer."""
        for name in self.fields:
            match fields.get(name):
                case bool():
                    return name
                case int():
                    pass
                case str(text) if text.strip() and len(text) <= ACCOUNT_VALUE_LIMIT:
                    pass
                case _:
                    return name
        return None

    def _same(self, stored: Fields, received: Fields) -> bool:
        """Tell whether two account objects name the same account; `5` and `"5"` do."""
        return self._misfit(received) is None and all(
            str(stored.get(name)) == str(received[name]) for name in self.fields
        )

    # What the merchant's hooks say

    def amend(self, call: Call, decision: Decision[Reply], ask: Event, answer: Any) -> Decision[Reply]:
        """Put a hook's answer into the decision. A wrong one is the merchant's bug: ValueError, nothing saved."""
        match call.request, ask.hook:
            case _, Hook.CAN_REVERSE if not answer:
                return Decision(errors.CANNOT_CANCEL)
            case CheckPerformTransaction(amount=amount), Hook.GET_CHECK_DATA if answer is not None:
                return replace(decision, reply={**allowed(), **check_data(answer, amount)})
            case _, Hook.GET_RECEIVERS if answer is not None:
                transaction = decision.changes[-1].after
                transaction = replace(transaction, receivers=split(answer, transaction.amount_tiyin))
                return decision.created(transaction, created(transaction))
            case _:
                return decision

    def refuse(self, call: Call, refusal: Refused) -> Reply:
        """Answer for a hook that refused, in the merchant's words, with the error that the method knows."""
        match call.request:
            case CheckPerformTransaction() | CreateTransaction():
                error = replace(errors.MERCHANT_REFUSED, code=refusal.code, data=refusal.data or self.fields[0])
            case PerformTransaction():
                error = errors.CANNOT_PERFORM
            case CancelTransaction():
                error = errors.CANNOT_CANCEL
            case Expire():  # nobody asked, so nobody is answered: it has failed
                raise refusal
            case _:
                error = errors.SYSTEM_ERROR
        return error.saying(refusal.message)

    def fail(self, call: Call | None) -> Reply:
        """Answer for a bug or an outage: Payme repeats the call."""
        del call
        return errors.SYSTEM_ERROR

    # What leaves

    def params(self, call: Call) -> dict[str, Any]:
        """Give the params as the hooks receive them."""
        return call.params

    def secret(self, call: Call) -> bool:
        """Tell whether the call carries a new key."""
        return isinstance(call.request, ChangePassword)

    def subject(self, call: Call, transaction: Transaction | None) -> Subject:
        """Say what a call is about, for the log: a transaction knows the account that it was created for."""
        known = {} if transaction is None else {"account": transaction.account}
        return self._about(type(call.request).__name__, {**known, **call.params})._replace(known=True)

    def _about(self, method: str, params: Fields) -> Subject:
        id, account = params.get("id"), params.get("account")
        values = [(name, account[name]) for name in self.fields if name in account] if isinstance(account, dict) else []
        texts = [str(value) if len(self.fields) == 1 else f"{name}={value}" for name, value in values]
        return Subject(
            method=method,
            transaction_id=id if isinstance(id, str) else None,
            account=", ".join(texts) or None,
            known=method in METHODS,
        )

    def code(self, reply: Reply) -> int:
        """Give the error's code, or 0."""
        return reply.code if isinstance(reply, Error) else 0

    def render(self, call: Call | None, reply: Reply) -> bytes:
        """Write the answer."""
        return encode(None if call is None else call.id, reply, self.messages)


def _about_cancel(change: Change) -> Event:
    return Event(Hook.CANCELLED_PAYMENT, change.after)


def _about_statement(snapshot: Snapshot) -> Event:
    return Event(Hook.GET_STATEMENT, transactions=snapshot.transactions)


def _id_in(inbound: Inbound) -> Any:
    """Find the id to echo to a caller who is not trusted; nothing else of the body is looked at."""
    try:
        message = decode_json(inbound.readable or b"")
    except ValueError:
        return None
    return message.get("id") if isinstance(message, dict) else None
