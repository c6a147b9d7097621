"""What people read: `_` marks a text for translation; states, reasons and what happened to a payment, in words.

Translations are in `locale/`; `make messages` brings them up to date with the code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import pgettext_lazy

from paytechuz_core.click.gateway import SUPERSEDED
from paytechuz_core.money import Tiyin, tiyin_to_som
from paytechuz_core.transaction import Fields, Millis, Reason, State, Transaction

_ = partial(pgettext_lazy, "paytechuz")
"""A text in the reader's language. The context keeps it apart: a text of the shop's, "order", stays the shop's."""

PROVIDERS: Final = {"payme": "Payme", "click": "Click"}

STATES: Final[Mapping[int, Any]] = {
    State.INITIATING: _("Waiting for payment"),
    State.SUCCESSFULLY: _("Paid"),
    State.CANCELLED: _("Refunded"),
    State.CANCELLED_DURING_INIT: _("Cancelled"),
}

REASONS: Final[Mapping[int, Any]] = {
    Reason.RECEIVER_INACTIVE: _("a receiver of the split payment is unknown or inactive"),
    Reason.DEBIT_FAILED: _("the card could not be debited"),
    Reason.EXECUTION_FAILED: _("the transaction could not be executed"),
    Reason.TIMEOUT: _("it was not paid in time"),
    Reason.REFUND: _("the money was given back"),
    Reason.UNKNOWN: _("no reason was given"),
    SUPERSEDED: _("the payer started anew, and the later attempt took its place"),
}


@dataclass(frozen=True)
class Moment:
    """One thing that happened, or will: when, what, and what it means; with the fiscal receipt that belongs to it."""

    time: Millis
    what: Any
    note: Any = ""
    receipt: Fields | None = None
    state: State | None = None


def name_of(gateway: str) -> str:
    """Give a provider's name."""
    return PROVIDERS.get(gateway, gateway)


def in_som(tiyin: Tiyin) -> str:
    """Write an amount as the reader's language does: exact, in groups of three digits, without the unit."""
    return number_format(tiyin_to_som(tiyin), decimal_pos=2, force_grouping=True)


def with_unit(tiyin: Tiyin) -> str:
    """Write an amount with its unit."""
    return say(_("{amount} som"), amount=in_som(tiyin))


def say(text: Any, **values: Any) -> str:
    """Write a text in the reader's language with its values."""
    return str(text).format(**values)


def reason_of(transaction: Transaction) -> Any:
    """Say why a transaction was cancelled."""
    match transaction.reason:
        case int(code) if code in REASONS:
            return REASONS[code]
        case int(code) if code < 0:
            return say(_("Click ended it, with its error {code}"), code=code)
        case code:
            return say(_("reason {code}"), code=code)


def moments(transaction: Transaction, now: Millis) -> Iterator[Moment]:
    """Tell what happened to a transaction, in its order; of one that waits, also until when."""
    name = name_of(transaction.gateway)
    yield Moment(
        transaction.create_time,
        say(_("{provider} asked for the payment"), provider=name),
        state=State.INITIATING,
    )
    if transaction.perform_time is not None:
        yield Moment(
            transaction.perform_time, STATES[State.SUCCESSFULLY], "", transaction.fiscal_perform, State.SUCCESSFULLY
        )
    if transaction.cancel_time is not None:
        yield Moment(
            transaction.cancel_time, STATES[transaction.state], reason_of(transaction), transaction.fiscal_cancel,
            transaction.state,
        )  # fmt: skip
    if transaction.state is State.INITIATING:
        yield Moment(transaction.deadline, *prospect(transaction, now))


def prospect(transaction: Transaction, now: Millis) -> tuple[Any, Any]:
    """Say what the end of its time means to a transaction that waits; to one of Click's it is no end."""
    match transaction.gateway, transaction.expired(now):
        case "click", expired:
            what = _("Keeps its order no longer") if expired else _("Keeps its order until then")
            return what, _("Click may complete it later too, unless another payment has taken its place")
        case _, False:
            return _("May be paid until then"), ""
        case _:
            return _("Was not paid in time"), _("it can no longer be paid; paytechuz_expire cancels it")
