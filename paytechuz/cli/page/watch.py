"""What is read from an exchange: which call it is, which transaction it moves, and how to show it.

Requests are our own, answers come from an endpoint under test: they may be anything, and are believed in nothing but
what they say of a state.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from paytechuz_core.testing import Exchange
from paytechuz_core.transaction import TRANSITIONS, Millis, State

PARTS: Final = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+')
INDENT: Final = "  "

Id: TypeAlias = tuple[str, str]
"""A provider and its id of a transaction."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says: the provider's name of the call, and what of it matters here.

    `failed` is Click's negative `error`: the customer was not debited. `payment` is its number of the payment.
    """

    call: str
    transaction: str = ""
    account: str = ""
    time: Millis | None = None
    failed: bool = False
    payment: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A transaction is in this state now. `before` is None where nobody knew it before; not every move is `allowed`."""

    transaction: str
    before: int | None
    after: int
    allowed: bool


@dataclass(slots=True)
class Known:
    """A transaction as the answers have told it: its account, Payme's time of it, its state, Click's payment."""

    account: str
    time: Millis | None
    state: int
    payment: str = ""


@dataclass(slots=True)
class Watch:
    """All transactions that were seen since the page was opened."""

    transactions: dict[Id, Known] = field(default_factory=dict)

    def see(self, gateway: str, exchange: Exchange) -> Move | None:
        """Take note of an exchange; give the transaction's state where the answer tells it."""
        said = read_request(gateway, exchange.asked)
        known = self.transactions.get((gateway, said.transaction))
        after = state_told(gateway, said, exchange.answer, None if known is None else known.state)
        if not said.transaction or after is None:
            return None
        if known is None:
            self.transactions[gateway, said.transaction] = Known(said.account, said.time, after, said.payment)
            # Whoever asks for the first time cannot know where it came from; only a reservation begins.
            return Move(said.transaction, 0 if after == State.INITIATING else None, after, allowed=True)
        before, known.state = known.state, after
        return Move(said.transaction, before, after, before == after or after in TRANSITIONS[State(before)])

    def state(self, gateway: str, transaction: str) -> int | None:
        """Give a transaction's state; None where it was never seen."""
        known = self.transactions.get((gateway, transaction))
        return None if known is None else known.state

    def newest(self, gateway: str, account: str) -> str | None:
        """Give the transaction for an account that was begun last."""
        numbers = [
            number for (name, number), known in self.transactions.items() if (name, known.account) == (gateway, account)
        ]
        return numbers[-1] if numbers else None

    def account_state(self, account: str) -> str | None:
        """Say what its transactions have made of an account, in the words of Payme's sandbox; None of an unseen one."""
        states = {known.state for known in self.transactions.values() if known.account == account}
        if states & {State.SUCCESSFULLY, State.CANCELLED}:
            return "paid"
        if State.INITIATING in states:
            return "held"
        return "awaiting" if states else None


def account_key(account: Mapping[str, Any]) -> str:
    """Name an account as both providers do: Click knows its value only, and no field."""
    return str(next(iter(account.values()), ""))


# Requests and answers


def read_request(gateway: str, asked: str) -> Said:
    """Understand a request, as far as it is one."""
    if gateway == "payme":
        message = parsed(asked)
        params = message.get("params")
        given = params if isinstance(params, dict) else {}
        account, time = given.get("account"), given.get("time")
        return Said(
            str(message.get("method") or "?"), text_of(given.get("id")),
            account_key(account) if isinstance(account, dict) else "",
            time if isinstance(time, int) else None,
        )  # fmt: skip
    form = dict(parse_qsl(asked, keep_blank_values=True, errors="surrogateescape"))
    call = {"0": "Prepare", "1": "Complete"}.get(form.get("action", ""), "?")
    failed = form.get("error", "").startswith("-")
    return Said(
        call,
        form.get("click_trans_id", ""),
        form.get("merchant_trans_id", ""),
        None,
        failed,
        form.get("click_paydoc_id", ""),
    )


def state_told(gateway: str, said: Said, answer: str, before: int | None) -> int | None:
    """Give the state that an answer tells, directly as Payme's do, or by what it means as Click's."""
    message = parsed(answer)
    if gateway == "payme":
        result = message.get("result")
        state = result.get("state") if isinstance(result, dict) else None
        return state if type(state) is int and state in (1, 2, -1, -2) else None
    match said.call, whole(message.get("error")), said.failed:
        case "Prepare", 0, False:
            return State.INITIATING
        case "Complete", 0, False:
            return State.SUCCESSFULLY
        case "Complete", -9, _ if before == State.SUCCESSFULLY:
            return State.CANCELLED
        case "Complete", -9, _ if before == State.INITIATING:
            return State.CANCELLED_DURING_INIT
        case _:
            return None


def parsed(text: str) -> Mapping[str, Any]:
    """Give the JSON object that a text is, or none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def whole(value: object) -> int | None:
    """Give a whole number of JSON: `True` is not 1."""
    return value if type(value) is int else None


def text_of(value: object) -> str:
    """Give an id that is a text."""
    return value if isinstance(value, str) else ""


# To look at


def pretty(text: str) -> str:
    """Lay JSON out over lines, each part as it was written: no number is rounded, no doubled member hidden.

    A form becomes a line for each field. Anything else stays as it is.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return form_lines(text)
    return "".join(laid_out(text))


def laid_out(text: str) -> Iterator[str]:
    """Give the parts of a JSON text with the white space that a reader wants."""
    depth, parts = 0, PARTS.findall(text)
    for index, part in enumerate(parts):
        follows = parts[index + 1] if index + 1 < len(parts) else ""
        if part in ("{", "["):
            empty = follows in ("}", "]")
            depth += 1
            yield part if empty else part + "\n" + INDENT * depth
        elif part in ("}", "]"):
            depth -= 1
            yield part if parts[index - 1] in ("{", "[") else "\n" + INDENT * depth + part
        elif part == ",":
            yield ",\n" + INDENT * depth
        else:
            yield ": " if part == ":" else part


def form_lines(text: str) -> str:
    """Show a form's fields, decoded; what is no form stays as it is."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="surrogateescape")
    except ValueError:
        return text
    return "\n".join(f"{name} = {value}" for name, value in pairs)
