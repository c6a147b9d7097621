"""What is broken on purpose, so that every tool can show that it would notice: gateways, engines and storages.

Each is wrong in one way, which its docstring names. Most of them are what somebody has published.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from paytechuz_core import Account, Change, Conflict, Memory, Payme, Repository, State, Transaction
from paytechuz_core.click import Click
from paytechuz_core.click.calls import Call
from paytechuz_core.click.codes import Code
from paytechuz_core.click.gateway import Reply as ClickReply
from paytechuz_core.decision import Decision, Event, Hook, Lookup, Refused, Rejected, Snapshot
from paytechuz_core.engine import aload
from paytechuz_core.hooks import Drafts
from paytechuz_core.inbound import Inbound
from paytechuz_core.memory import MemorySession
from paytechuz_core.payme import errors
from paytechuz_core.payme.calls import CreateTransaction
from paytechuz_core.payme.replies import Reply, cancelled, created, performed, statement
from paytechuz_core.repository import AsyncRepository
from paytechuz_core.testing import messages
from paytechuz_core.testing.steps import Storage, Stored
from paytechuz_core.transaction import Fields, Millis
from tests.core import click_wire, wire

PAYME: Final[dict[str, Any]] = {"keys": lambda: (wire.KEY, messages.KEY), "fields": ("order_id",)}
CLICK: Final[dict[str, Any]] = {
    "secrets": lambda: (click_wire.SECRET, messages.KEY),
    "service_id": click_wire.SERVICE,
    "field": "order_id",
}


# Payme


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


class LosesPerformTime(Payme):
    """Forgets, with a refund, when the payment was performed."""

    def _cancel(self, transaction: Transaction | None, reason: int, now: Millis) -> Decision[Reply]:
        if transaction is not None and transaction.state is State.SUCCESSFULLY:
            change = forged(transaction, state=State.CANCELLED, perform_time=None, cancel_time=now, reason=reason)
            return replace(super()._cancel(transaction, reason, now), changes=(change,))
        return super()._cancel(transaction, reason, now)


class StateByReason(Payme):
    """Takes the new state from the reason: a refund for reason 3 becomes −1."""

    def _cancel(self, transaction: Transaction | None, reason: int, now: Millis) -> Decision[Reply]:
        if transaction is not None and transaction.state is State.SUCCESSFULLY and reason != 5:
            change = forged(transaction, state=State.CANCELLED_DURING_INIT, cancel_time=now, reason=reason, hold=None)
            return replace(super()._cancel(transaction, reason, now), changes=(change,))
        return super()._cancel(transaction, reason, now)


class OwnClock(Payme):
    """Gives a statement by the shop's clock."""

    def decide(self, call: Any, snapshot: Snapshot, now: Millis) -> Decision[Reply]:
        decision = super().decide(call, snapshot, now)
        if isinstance(decision.reply, dict) and "transactions" in decision.reply:
            return replace(
                decision,
                reply=statement(replace(each, provider_time=each.create_time) for each in snapshot.transactions),
            )
        return decision


class Rounded(Payme):
    """Compares amounts as som, rounded."""

    def _fits(self, amount: int, account: Account) -> bool:
        return account.amount_tiyin is None or round(amount / 100) == round(account.amount_tiyin / 100)


class AnyAccount(Payme):
    """Accepts a repeated Create for another account."""

    def _same(self, stored: Fields, received: Fields) -> bool:
        del stored, received
        return True


class AnyAmount(Payme):
    """Accepts a repeated Create with another amount."""

    def _create_again(self, request: CreateTransaction, transaction: Transaction, now: Millis) -> Decision[Reply]:
        meant = request.model_copy(update={"amount": transaction.amount_tiyin})
        return super()._create_again(meant, transaction, now)


class Patient(Payme):
    """Performs whatever its age."""

    def _perform(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        return super()._perform(transaction, now if transaction is None else transaction.create_time)


class Unclamped(Payme):
    """Stamps what the clock says, even if it has jumped back."""

    def _perform(self, transaction: Transaction | None, now: Millis) -> Decision[Reply]:
        decision = super()._perform(transaction, now)
        if decision.changes and transaction is not None and decision.changes[0].after.state is State.SUCCESSFULLY:
            change = forged(transaction, state=State.SUCCESSFULLY, perform_time=now, update_time=now)
            told = (Event(Hook.SUCCESSFULLY_PAYMENT, change.after),)
            return Decision(performed(change.after), (change,), told)
        return decision


# Click


class PaysAgain(Click):
    """Answers a repeated Complete with 0, and tells of the payment again."""

    def _complete(self, call: Call, attempt: Transaction, now: Millis) -> Decision[ClickReply]:
        if attempt.state is State.SUCCESSFULLY:
            return Decision(
                ClickReply(Code.SUCCESS, call.prepare_id), events=(Event(Hook.SUCCESSFULLY_PAYMENT, attempt),)
            )
        return super()._complete(call, attempt, now)


class PreparesPaid(Click):
    """Answers 0 to a Prepare of whatever it knows, paid and cancelled included: the customer is debited again."""

    def _prepare_again(self, call: Call, attempt: Transaction) -> Decision[ClickReply]:
        del attempt
        return Decision(ClickReply(Code.SUCCESS, call.prepare_id))


class Unlocked(Click):
    """Does not look at who holds the order."""

    def _prepare(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[ClickReply]:
        return super()._prepare(call, replace(snapshot, holder=None), now)


class Elbows(Click):
    """Takes the order from Payme while Payme's transaction lives."""

    def _prepare(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[ClickReply]:
        return super()._prepare(call, snapshot, now + 10**9)


class AnyPrepareId(Click):
    """Does not compare the prepare id."""

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[ClickReply]:
        named = {**call.form, "merchant_prepare_id": str(call.prepare_id)}
        return super().decide(Call(named), snapshot, now)


class AnyOrder(Click):
    """Does not compare the order of a known attempt."""

    def _same_order(self, call: Call, attempt: Transaction) -> bool:
        del call, attempt
        return True


class CompletesUnprepared(Click):
    """Pays without any Prepare."""

    def decide(self, call: Call, snapshot: Snapshot, now: Millis) -> Decision[ClickReply]:
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

    def _abort(self, call: Call, attempt: Transaction, now: Millis) -> Decision[ClickReply]:
        return replace(super()._abort(call, attempt, now), reply=ClickReply(Code.SUCCESS, call.prepare_id))


class SaysReversed(Click):
    """Answers −9 for a paid order and leaves it paid."""

    def _abort(self, call: Call, attempt: Transaction, now: Millis) -> Decision[ClickReply]:
        return replace(super()._abort(call, attempt, now), changes=(), events=())


class Mute(Click):
    """Tells nobody that money came for an attempt that is over."""

    def _complete(self, call: Call, attempt: Transaction, now: Millis) -> Decision[ClickReply]:
        decision = super()._complete(call, attempt, now)
        return replace(decision, events=decision.events if decision.changes else ())


class TakesThenEvicts(Click):
    """Writes the newcomer before the older attempt has given up its hold."""

    def _begin(self, call: Call, account: Account, older: Transaction | None, now: Millis) -> Decision[ClickReply]:
        decision = super()._begin(call, account, older, now)
        return replace(decision, changes=decision.changes[::-1])


class Uncounted(Click):
    """Holds a wallet's payment by its attempt."""

    def _payment(self, call: Call) -> str:
        return f"click:{call.click_trans_id}"


# Engines: `ahandle` with one line wrong


async def tells_after_the_commit(
    gateway: Any, call: Any, begin: Any, fire: Any, clock: Callable[[], Millis], pause: Any
) -> Any:
    """Calls the hooks when the database transaction is over."""
    async with begin() as repository:
        decision = await decided(gateway, call, repository, fire, clock)
    for event in decision.events:
        await fire(event, Drafts({}))
    del pause
    return decision.reply


async def rolls_errors_back(
    gateway: Any, call: Any, begin: Any, fire: Any, clock: Callable[[], Millis], pause: Any
) -> Any:
    """Raises errors, so that what an error must write is rolled back with it."""
    del pause
    try:
        async with begin() as repository:
            decision = await decided(gateway, call, repository, fire, clock)
            for event in decision.events:
                await fire(event, Drafts({}))
            if isinstance(decision.reply, errors.Error):
                raise RaisedError(decision.reply)  # noqa: TRY301 - the very mistake
    except RaisedError as raised:
        return raised.args[0]
    except Refused as refusal:
        return gateway.refuse(call, refusal)
    return decision.reply


class RaisedError(Exception):
    """An answer, raised."""


async def answers_what_was_not_saved(
    gateway: Any, call: Any, begin: Any, fire: Any, clock: Callable[[], Millis], pause: Any
) -> Any:
    """Answers as decided though the commit failed."""
    del pause
    decision = None
    try:
        async with begin() as repository:
            decision = await decided(gateway, call, repository, fire, clock)
            for event in decision.events:
                await fire(event, Drafts({}))
    except Conflict:
        if decision is None:
            raise
    except Refused as refusal:
        return gateway.refuse(call, refusal)
    return decision.reply


async def never_starts_over(
    gateway: Any, call: Any, begin: Any, fire: Any, clock: Callable[[], Millis], pause: Any
) -> Any:
    """Gives up where a rival wrote first."""
    del pause
    async with begin() as repository:
        decision = await decided(gateway, call, repository, fire, clock)
        for event in decision.events:
            await fire(event, Drafts({}))
    return decision.reply


async def writes_in_another(
    gateway: Any, call: Any, begin: Any, fire: Any, clock: Callable[[], Millis], pause: Any
) -> Any:
    """Decides in one database transaction and writes in the next."""
    del pause
    async with begin() as repository:
        decision = await decided(gateway, call, Reader(repository), fire, clock)
    async with begin() as repository:
        for change in decision.changes:
            stored = await repository.find_transactions(
                change.after.gateway, change.after.transaction_id, None, for_update=True
            )
            before = stored[0] if stored else None
            version = 1 if before is None else before.version + 1
            await repository.save(unchecked(before, replace(change.after, version=version)))
        for event in decision.events:
            await fire(event, Drafts({}))
    return decision.reply


async def decided(gateway: Any, call: Any, repository: Any, fire: Any, clock: Callable[[], Millis]) -> Decision[Any]:
    """Do what is right in all of them."""
    lookup: Lookup = gateway.lookup(call)
    decision: Decision[Any] = gateway.decide(call, await aload(repository, lookup), clock())
    for ask in decision.asks:
        decision = gateway.amend(call, decision, ask, await fire(ask, Drafts({})))
    for change in decision.changes:
        await repository.save(change)
    return decision


class Reader:
    """A repository that writes nothing."""

    def __init__(self, repository: AsyncRepository) -> None:
        self.find_transactions = repository.find_transactions
        self.find_account = repository.find_account
        self.list_transactions = repository.list_transactions

    async def save(self, change: Change) -> Transaction:
        return change.after


def unchecked(before: Transaction | None, after: Transaction) -> Change:
    """A change that `Change` itself might refuse to be."""
    change = object.__new__(Change)
    object.__setattr__(change, "before", before)
    object.__setattr__(change, "after", after)
    return change


# Storages


class LostUpdates(Memory):
    """Compares nothing: the last write wins."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        session = MemorySession(self)
        yield session
        for change in session.changes:
            self.transactions[change.after.gateway, change.after.transaction_id] = change.after


class TwoHolders(Memory):
    """Has no unique key on the hold."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        session = WithoutHolds(self)
        yield session
        for change in session.changes:
            stored = self.transactions.get((change.after.gateway, change.after.transaction_id))
            if (stored and stored.version) != (change.before and change.before.version):
                raise Conflict
            self.transactions[change.after.gateway, change.after.transaction_id] = change.after


class WithoutHolds(MemorySession):
    """Notices no rival before the commit."""

    def save(self, change: Change) -> Transaction:
        self.changes.append(change)
        return change.after


class DirtyRollback(Memory):
    """Keeps what was written though the database transaction failed."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        session = MemorySession(self)
        try:
            yield session
        finally:
            for change in session.changes:
                self.transactions[change.after.gateway, change.after.transaction_id] = change.after


class Seconds(Memory):
    """Stores times without their milliseconds."""

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        with super().begin() as repository:
            yield repository
        self.transactions = {key: cut(row) for key, row in self.transactions.items()}


class Forgetful(Memory):
    """Loses every twentieth commit without a word."""

    commits = 0

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        before = self.transactions
        with super().begin() as repository:
            yield repository
        self.commits += 1
        if self.commits % 20 == 0:
            self.transactions = before


def cut(row: Transaction) -> Transaction:
    names = "create_time", "update_time", "perform_time", "cancel_time"
    times = {name: getattr(row, name) // 1000 * 1000 for name in names if getattr(row, name) is not None}
    return replace(row, **times)


def stored_in(kind: type[Memory]) -> Storage:
    """Make storages of a kind."""

    def storage(accounts: Mapping[str, Account], rows: Sequence[Transaction]) -> tuple[Any, Stored]:
        memory = kind(lambda fields: accounts.get(fields[messages.FIELD]))
        memory.transactions = {(row.gateway, row.transaction_id): row for row in rows}
        return memory.begin, lambda: list(memory.transactions.values())

    return storage
