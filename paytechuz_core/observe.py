"""Watching a call without taking part in it: one line of the log for each, a span and metrics where OpenTelemetry is.

The logger `paytechuz.calls` has one line at INFO for every request, whatever became of it, with the fields of `Record`
beside the text; the logger `paytechuz` has an ERROR for what went wrong. Nothing in here changes an answer: not a
handler that raises, not an exporter that fails.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cache
from time import perf_counter_ns
from traceback import format_tb
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from paytechuz_core.decision import Decision, Gateway, Hook, Rejected, Snapshot, Subject
from paytechuz_core.record import Record, moved, printable
from paytechuz_core.repository import ConfigurationError

CallT = TypeVar("CallT")
ReplyT = TypeVar("ReplyT")

FAILED: Final = "%s: answered a system error; nothing was saved"
UNQUOTED: Final = FAILED + "; the texts of the errors are left out, because they may quote the new key\n%s"
UNTOLD: Final = "a call was answered, and could not be told of\n%s"


class Careful(logging.LoggerAdapter[logging.Logger]):
    """A logger that never raises: what the merchant's handlers and filters do must cost no answer."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what can be logged."""
        with suppress(Exception):
            self.logger.log(level, msg, *args, **{"stacklevel": 2, **kwargs})


log: Final = Careful(logging.getLogger("paytechuz"))
calls: Final = logging.getLogger("paytechuz.calls")


class Observation(Generic[CallT, ReplyT]):
    """One call, watched from its first byte to its answer; the engine notes here what it comes to know."""

    __slots__ = (
        "_began", "_span", "_telemetry", "attempts", "call", "decision", "error", "gateway", "rejected", "reply",
        "snapshot",
    )  # fmt: skip

    def __init__(self, gateway: Gateway[CallT, ReplyT]) -> None:
        self.gateway = gateway
        self.call: CallT | None = None
        self.rejected: Rejected | None = None
        self.attempts = 0
        self.snapshot: Snapshot | None = None
        self.decision: Decision[ReplyT] | None = None
        self.error: Exception | None = None
        self.reply: ReplyT | None = None
        self._telemetry: Any = None
        self._span: Any = None

    def __enter__(self) -> Self:
        self._began = perf_counter_ns()
        with Harmless():
            self._telemetry = telemetry_here()
            if self._telemetry is not None:
                self._span = self._telemetry.begin(self.gateway.name)
        return self

    def __exit__(self, *_: object) -> None:
        listened = calls.isEnabledFor(logging.INFO)
        if self._span is None and not listened:
            return
        milliseconds = (perf_counter_ns() - self._began) / 1_000_000
        subject, record = Subject(), None
        with Harmless():
            subject = self._subject()
            record = self._record(subject, milliseconds)
            if listened:
                calls.info("%s", record, extra=record.told("paytechuz_"))
        if self._span is not None:
            with Harmless():
                self._telemetry.end(self._span, record, known=subject.known)

    def fails(self, error: Exception) -> None:
        """Note, and log, what went wrong: in full, but for what would quote a secret."""
        self.error = error
        name = type(self.gateway).__name__
        if self.call is None or not self.gateway.secret(self.call):
            log.error(FAILED, name, exc_info=error)
        else:
            log.error(UNQUOTED, name, unquoted(error))

    def _subject(self) -> Subject:
        if self.rejected is not None:
            return self.rejected.subject
        transaction = None if self.snapshot is None else self.snapshot.transaction
        return Subject() if self.call is None else self.gateway.subject(self.call, transaction)

    def _record(self, subject: Subject, milliseconds: float) -> Record:
        decision, known = self.decision, None if self.snapshot is None else self.snapshot.transaction
        changes, events = ((), ()) if decision is None else (decision.changes, decision.events)
        # As the gateways write them: the call's own transaction last, and before it the rival that loses its hold.
        own, rival = changes[-1] if changes else None, changes[0] if len(changes) > 1 else None
        after = own.after if own is not None else known
        return Record(
            gateway=self.gateway.name,
            method=printable(subject.method),
            transaction_id=printable(subject.transaction_id),
            account=printable(subject.account),
            code=self._code(),
            milliseconds=round(milliseconds, 3),
            replay=decision is not None and decision.replay,
            state=None if decision is None or after is None else after.state.value,
            moved=moved(own),
            evicted=None if rival is None else printable(rival.after.transaction_id),
            conflict=any(event.hook is Hook.PAYMENT_CONFLICT for event in events),
            attempts=self.attempts,
            error=None if self.error is None else type(self.error).__name__,
        )

    def _code(self) -> int | None:
        if self.rejected is not None:
            return self.rejected.code
        return None if self.reply is None else self.gateway.code(self.reply)


class Harmless(AbstractContextManager[None]):
    """What is done in here may fail: that is logged, and forgotten."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        log.error(UNTOLD, unquoted(error))
        return True


def telemetry_here() -> Any:
    """Give what tells OpenTelemetry of calls, or None where nobody would hear it."""
    return found_telemetry()()


@cache
def found_telemetry() -> Callable[[], Any]:
    """Look for OpenTelemetry's API, once: at the first call, because to import it takes time."""
    try:
        from paytechuz_core.telemetry import at_work  # noqa: PLC0415 - see above
    except ImportError:
        return lambda: None
    return at_work


def unquoted(error: BaseException | None) -> str:
    """Write an error and what led to it without their texts; our own about settings quote no secret."""
    written = ""
    while error is not None:
        text = f": {error}" if isinstance(error, ConfigurationError) else ""
        written += "".join(format_tb(error.__traceback__)) + f"{type(error).__qualname__}{text}\n"
        error = error.__cause__ or error.__context__
    return written
