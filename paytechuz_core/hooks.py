"""The merchant's side of a payment: the hooks to override, and how a decision's events reach them.

A hook runs inside the call's database transaction: what it does to the database through the handler's session commits
together with the transaction's new state, or not at all. It runs once for each *move*, never for a replay. If it
raises, nothing is saved and the provider asks again; to say no, raise `Refused`. `params` is the provider's request as
it came, `transaction` a detached `Transaction`, `account` the merchant's own object. On an async handler a hook may be
`async def`.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from paytechuz_core.decision import Event, Hook
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.transaction import Change, Millis, Transaction, copied

Params: TypeAlias = dict[str, Any]
Nothing: TypeAlias = Awaitable[None] | None


class Hooks:
    """What a merchant may override. Every method has a default that does nothing, or says yes."""

    def successfully_payment(self, params: Params, transaction: Transaction) -> Nothing:
        """Tell that the money arrived (1 → 2): mark the order paid, deliver."""

    def cancelled_payment(self, params: Params, transaction: Transaction) -> Nothing:
        """Tell that a payment was cancelled: unpaid (−1), refunded (−2), or past its 12 hours (−1, reason 4)."""

    def transaction_created(self, params: Params, transaction: Transaction, account: Any) -> Nothing:
        """Tell that a new transaction holds the account: reserve the goods."""

    def transaction_already_exists(self, params: Params, transaction: Transaction) -> Nothing:
        """Tell that the provider repeated its request to create a transaction; the stored answer is given again."""

    def payment_conflict(self, params: Params, transaction: Transaction) -> Nothing:
        """Tell that Click took money for an attempt that is over; it was answered −9, and should give the money back.

        Nothing is delivered and nothing is reversed by the library: let somebody look. It is told at each such call.
        """

    def check_transaction(self, params: Params, transaction: Transaction) -> Nothing:
        """Tell that the provider asked for the transaction's state."""

    def get_statement(self, params: Params, transactions: Sequence[Transaction]) -> Nothing:
        """Tell that the provider was given a statement."""

    def before_check_perform_transaction(self, params: Params, account: Any) -> Nothing:
        """Let a payment be allowed, or raise `Refused`. Asked before CheckPerform allows and before Create creates."""

    def get_check_data(self, params: Params, account: Any) -> Awaitable[dict[str, Any] | None] | dict[str, Any] | None:
        """Give more members for the answer to CheckPerformTransaction: `additional` and `detail` (fiscal lines)."""

    def get_receivers(self, params: Params, account: Any) -> Awaitable[list[Params] | None] | list[Params] | None:
        """Split the payment: `[{"id": <cash register>, "amount": <tiyin>}, …]`, which must add up to the amount."""

    def can_reverse(self, params: Params, transaction: Transaction) -> Awaitable[bool] | bool:
        """Say whether a paid order may still be reversed; False refuses the refund (Payme −31007, Click −4)."""
        del params, transaction
        return True

    def change_password(self, params: Params) -> Nothing:
        """Store `params["password"]` as the new key (Payme's ChangePassword, answered only where this is overridden).

        Give the handler a callable as `payme_key` that reads the stored keys, so that the new one is valid at once.
        """

    def is_payable(self, account: Any) -> Awaitable[bool] | bool:
        """Say whether the shop still takes money for this account; False refuses it (Payme −31052, Click −5)."""
        del account
        return True

    def after_commit(self, event: str, params: Params, transaction: Transaction) -> Nothing:
        """Tell, after COMMIT, that a move is done: the place for what leaves the database (mail, messages, queues).

        `event` is the name of the hook that told of the move. Called at most once; an error here is only logged.
        """


Fire: TypeAlias = Callable[[Event, "Drafts"], Any]
"""Calls the hook that an event names, and gives what it returned."""

AsyncFire: TypeAlias = Callable[[Event, "Drafts"], Awaitable[Any]]


@dataclass(slots=True)
class Drafts:
    """What the hooks of one call are given, and what they make of it.

    Each transaction is given with an `extra_data` of its own to write into, the same one to every hook of the call;
    `changes` then says what must be saved.
    """

    params: Params
    _latest: dict[tuple[str, str], Transaction] = field(default_factory=dict)
    _extra_data: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _reopened: set[tuple[str, str]] = field(default_factory=set)

    def arguments(self, event: Event) -> tuple[Any, ...]:
        """Give the positional arguments of the hook that `event` names."""
        given: list[Any] = [] if event.after is None else [event.after.value]
        given.append(copied(self.params))
        if event.transaction is not None:
            given.append(self.open(event.transaction))
        if event.transactions is not None:
            given.append([self.open(transaction) for transaction in event.transactions])
        if event.account is not None:
            given.append(event.account.model)
        return tuple(given)

    def open(self, transaction: Transaction) -> Transaction:
        """Give a hook its view of `transaction`."""
        key = transaction.gateway, transaction.transaction_id
        # A copy to the bottom: what the hook does to it must reach neither the answer nor another hook.
        view = deepcopy(self.note(transaction))
        shared = self._extra_data.setdefault(key, view.extra_data)
        return view if shared is view.extra_data else replace(view, extra_data=shared)

    def note(self, transaction: Transaction) -> Transaction:
        """Remember `transaction` unless a later version of it is known, and give the later one."""
        key = transaction.gateway, transaction.transaction_id
        known = self._latest.get(key)
        if known is None or known.version < transaction.version:
            self._latest[key] = known = transaction
        return known

    def reopen(self, gateway: str, transaction_id: str) -> None:
        """Give up a refunded order's hold when the call is saved; only of a transaction that this call is about."""
        if (gateway, transaction_id) not in self._latest:
            message = f"a hook may reopen the transaction it was given, not {transaction_id}"
            raise ValueError(message)
        self._reopened.add((gateway, transaction_id))

    def changes(self, now: Millis) -> Iterator[Change]:
        """Say what the hooks have written that is still to be saved."""
        for key, transaction in self._latest.items():
            change = transaction.amend(
                now,
                extra_data=self._extra_data.get(key, transaction.extra_data),
                hold=None if key in self._reopened else transaction.hold,
            )
            if change is not None:
                yield change


def call_hook(hooks: Hooks, event: Event, drafts: Drafts) -> Any:
    """Call the hook that `event` names; the plain `Fire` for a storage that needs nothing around it."""
    if not overrides(hooks, event.hook):
        return event.hook is Hook.CAN_REVERSE or None
    return getattr(hooks, event.hook)(*drafts.arguments(event))


def overrides(hooks: Hooks, name: str) -> bool:
    """Tell whether the merchant wrote this hook. What nobody wrote costs nothing: no arguments, no savepoint."""
    return getattr(type(hooks), name) is not getattr(Hooks, name) or name in vars(hooks)


def plain(answer: Any) -> Any:
    """Refuse what nobody would await: a hook that is `async def` under a decorator would silently never run."""
    if inspect.isawaitable(answer):
        getattr(answer, "close", object)()  # of a coroutine, which would warn that nobody awaited it
        message = "a hook is async where nobody awaits it: make it a plain def, or use an Async… handler"
        raise ConfigurationError(message)
    return answer
