"""OpenTelemetry, where its API is installed: a span for each call, and the numbers that alerts are made of.

The span stands inside the framework's own, and what the call does (SQL, where that is instrumented) inside the span. It
has an error status for system errors alone: a refused payment is a correct answer. Names of spans and attributes of
metrics have no more values than the protocols have methods and codes: never a transaction's id, and of a method that
nobody knows only "other". This module is imported at the first call, and never where the API is missing.
"""

from contextvars import Token
from typing import Any, Final, TypeAlias

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from paytechuz_core.record import Record

PREFIX: Final = "paytechuz."
COUNTED: Final = ("gateway", "code", "replay")
OTHER: Final = "other"
IDLE: Final = ("opentelemetry.trace", "opentelemetry.metrics")
"""Where the API's own providers live; those of an SDK live elsewhere."""

Begun: TypeAlias = tuple[Span, "Token[Context]"]


class Telemetry:
    """Tells of calls to one tracer and one meter."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.tracer = tracer
        self.calls = meter.create_counter(
            "paytechuz.calls", "{call}", "Calls of the providers, rejected requests included"
        )
        self.durations = meter.create_histogram("paytechuz.call.duration", "ms", "How long a call took to be answered")
        self.lost_races = meter.create_counter(
            "paytechuz.lost_races", "{attempt}", "Attempts that were started over because another request wrote first"
        )
        self.conflicts = meter.create_counter(
            "paytechuz.payment_conflicts", "{call}", "Money that Click took for an attempt that was over"
        )

    def begin(self, gateway: str) -> Begun:
        """Start a call's span, and let what happens in the call stand inside it."""
        span = self.tracer.start_span(gateway)
        return span, context.attach(trace.set_span_in_context(span))

    def end(self, begun: Begun, record: Record | None, *, known: bool) -> None:
        """End it, and count; without a record, which could not be made, only end it."""
        span, token = begun
        try:
            if record is not None:
                method = OTHER if record.method is None or not known else record.method
                if span.is_recording():
                    describe(span, record, method)
                self.count(record, method)
        finally:
            context.detach(token)
            span.end()

    def count(self, record: Record, method: str) -> None:
        """Add a call to the metrics."""
        attributes: dict[str, Any] = {PREFIX + "method": method}
        attributes |= {PREFIX + name: value for name in COUNTED if (value := getattr(record, name)) is not None}
        self.calls.add(1, attributes)
        named = {PREFIX + "gateway": record.gateway, PREFIX + "method": method}
        self.durations.record(record.milliseconds, attributes)
        if record.attempts > 1:
            self.lost_races.add(record.attempts - 1, named)
        if record.conflict:
            self.conflicts.add(1, named)


def describe(span: Span, record: Record, method: str) -> None:
    """Write a record onto its span."""
    span.update_name(f"{record.gateway} {method}")
    span.set_attributes({name: value for name, value in record.told(PREFIX).items() if value is not None})
    if record.error is not None:
        span.set_status(Status(StatusCode.ERROR, record.error))


TELEMETRY: Final = Telemetry(trace.get_tracer("paytechuz"), metrics.get_meter("paytechuz"))
"""To whatever tracer and meter the application has set up, or will."""


def at_work() -> Telemetry | None:
    """Give TELEMETRY where the application has set anything up: what comes with the API alone throws all away."""
    providers = trace.get_tracer_provider(), metrics.get_meter_provider()
    idle = all(type(each).__module__.startswith(IDLE) for each in providers)
    return None if idle else TELEMETRY
