"""One call, as logs, traces and metrics tell of it, and never a secret: what may be told is named here, field by field.

The texts in it come from outside, some before anybody is trusted. So they are short and printable: nobody can forge a
line of the log with an account or a method that he made up.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

from paytechuz_core.transaction import Change, State

LIMIT: Final = 128
"""The most characters that are told of a text from outside."""

MOVED: Final = {
    State.INITIATING: "created",
    State.SUCCESSFULLY: "paid",
    State.CANCELLED_DURING_INIT: "cancelled",
    State.CANCELLED: "refunded",
}
"""What a move is called, by the state that it leads to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is told of one call. Each field is `paytechuz_<name>` in a log record and `paytechuz.<name>` in a span.

    `code` is 0 or the protocol's error, and None where nobody was answered; `state` is the transaction's after the
    call. `evicted` is the rival that had to give up its hold on the same order; `conflict` tells that Click took money
    for an attempt that was over; `error` is the class of the exception behind a system error.
    """

    gateway: str
    method: str | None
    transaction_id: str | None
    account: str | None
    code: int | None
    milliseconds: float
    replay: bool
    state: int | None
    moved: str | None
    evicted: str | None
    conflict: bool
    attempts: int
    error: str | None

    def told(self, prefix: str) -> dict[str, Any]:
        """Give every field, under its name for others."""
        return {prefix + name: getattr(self, name) for name in NAMES}

    def __str__(self) -> str:
        """Say it in one line. What may look like anything stands in quotes."""
        method = self.method or "-"
        shown = [self.gateway, method if method == "-" or method.isidentifier() else repr(method)]
        for name in NAMES[2:]:
            value = getattr(self, name)
            if value is not None and value is not False:
                shown.append(f"{name}={value!r}" if name in QUOTED else f"{name}={value}")
        return " ".join(shown)


NAMES: Final = tuple(field.name for field in fields(Record))
QUOTED: Final = frozenset({"transaction_id", "account", "evicted"})


def moved(change: Change | None) -> str | None:
    """Say what a change did to its transaction: an amendment is no move."""
    if change is None or (change.before is not None and change.before.state is change.after.state):
        return None
    return MOVED[change.after.state]


def printable(text: str | None) -> str | None:
    r"""Make a text from outside fit for a log: short, and what does not print escaped, a line break as `\n`."""
    if text is None or (len(text) <= LIMIT and text.isprintable()):
        return text
    escaped = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[: LIMIT + 1]
    )
    return escaped if len(escaped) <= LIMIT else escaped[: LIMIT - 1] + "…"
