"""What OpenTelemetry is told of a call: one span, and numbers with few attributes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from paytechuz_core import Conflict, Inbound
from paytechuz_core.observe import telemetry_here
from paytechuz_core.telemetry import TELEMETRY, Telemetry
from tests.core import click_wire
from tests.core.click_wire import CLICK, complete, prepare
from tests.core.test_engine import PASSWORDS, fails_with
from tests.core.wire import EVERY_METHOD, ID, KEY, change_password, check, create, encoded, perform, post, refusal
from tests.core.world import ENGINES, Engine, World


@dataclass
class Observed:
    """What OpenTelemetry was told."""

    tracer: TracerProvider
    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader

    def took(self) -> list[ReadableSpan]:
        """The spans that ended since they were last looked at."""
        ended = list(self.spans.get_finished_spans())
        self.spans.clear()
        return ended

    def points(self, name: str) -> dict[frozenset[Any], Any]:
        """The points of a metric, by their attributes."""
        data = self.metrics.get_metrics_data()
        metrics = [] if data is None else [
            metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        ]  # fmt: skip
        return {
            frozenset((point.attributes or {}).items()): point
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def counts(self, name: str) -> dict[frozenset[Any], Any]:
        return {attributes: point.value for attributes, point in self.points(name).items()}


def observed(monkeypatch: pytest.MonkeyPatch, **ways: Any) -> Observed:
    """Let OpenTelemetry be set up as an application does, for this test alone."""
    tracer, spans, metrics = TracerProvider(**ways), InMemorySpanExporter(), InMemoryMetricReader()
    tracer.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = Telemetry(tracer.get_tracer("paytechuz"), MeterProvider([metrics]).get_meter("paytechuz"))
    monkeypatch.setattr("paytechuz_core.observe.telemetry_here", lambda: telemetry)
    return Observed(tracer, spans, metrics)


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch) -> Observed:
    return observed(monkeypatch)


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> World:
    engine: Engine = request.param
    return World(engine, PASSWORDS)


@pytest.fixture(autouse=True)
def _the_context_is_left_as_it_was() -> Iterator[None]:
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN


def attributes(method: str, code: int, *, replay: bool = False, gateway: str = "payme") -> frozenset[Any]:
    """What a call is counted by."""
    return frozenset({
        "paytechuz.gateway": gateway, "paytechuz.method": method, "paytechuz.code": code, "paytechuz.replay": replay,
    }.items())  # fmt: skip


def named(method: str, gateway: str = "payme") -> frozenset[Any]:
    """What rare things are counted by."""
    return frozenset({"paytechuz.gateway": gateway, "paytechuz.method": method}.items())


def test_every_call_is_one_span_with_what_a_log_is_told(world: World, otel: Observed) -> None:
    world.ask(create())
    world.ask(perform())
    first, span = otel.took()
    assert (first.name, span.name, span.kind) == (
        "payme CreateTransaction",
        "payme PerformTransaction",
        SpanKind.INTERNAL,
    )
    told = dict(span.attributes or {})
    milliseconds = told.pop("paytechuz.milliseconds")
    assert isinstance(milliseconds, float)
    assert milliseconds >= 0
    assert told == {
        "paytechuz.gateway": "payme", "paytechuz.method": "PerformTransaction", "paytechuz.transaction_id": ID,
        "paytechuz.account": "42", "paytechuz.code": 0, "paytechuz.replay": False, "paytechuz.state": 2,
        "paytechuz.moved": "paid", "paytechuz.conflict": False, "paytechuz.attempts": 1,
    }  # fmt: skip


def test_a_call_stands_inside_the_server_s_span_and_what_a_hook_does_inside_the_call_s(
    world: World, otel: Observed
) -> None:
    tracer = otel.tracer.get_tracer("the shop")
    world.on("transaction_created", lambda *_: tracer.start_span("delivery").end())
    with tracer.start_as_current_span("POST /payme"):
        world.ask(create())
    delivery, call, server = otel.took()
    assert [span.name for span in (delivery, call, server)] == ["delivery", "payme CreateTransaction", "POST /payme"]
    assert (delivery.parent, call.parent, server.parent) == (call.context, server.context, None)


def test_a_refused_call_is_no_error_and_a_system_error_is_one_without_its_text(world: World, otel: Observed) -> None:
    world.ask(check())
    world.on("before_check_perform_transaction", fails_with(refusal()))
    world.ask(create())
    world.answer(Inbound("GET", {}, b""))
    assert [span.status.status_code for span in otel.took()] == [StatusCode.UNSET] * 3
    world.on("before_check_perform_transaction", fails_with(OSError("a text that may quote anything")))
    world.ask(create())
    (span,) = otel.took()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "OSError")
    assert (span.attributes or {})["paytechuz.error"] == "OSError"
    assert "may quote" not in span.to_json()


def test_calls_are_counted_and_timed_by_gateway_method_code_and_replay(world: World, otel: Observed) -> None:
    for message in (create(), perform(), perform(), perform(), check("nobody's")):
        world.ask(message)
    expected = {
        attributes("CreateTransaction", 0): 1,
        attributes("PerformTransaction", 0): 1,
        attributes("PerformTransaction", 0, replay=True): 2,
        attributes("CheckTransaction", -31003): 1,
    }
    assert otel.counts("paytechuz.calls") == expected
    durations = otel.points("paytechuz.call.duration")
    assert {each: point.count for each, point in durations.items()} == expected
    assert otel.counts("paytechuz.lost_races") == otel.counts("paytechuz.payment_conflicts") == {}


def test_lost_races_are_counted_by_their_attempts(world: World, otel: Observed) -> None:
    world.faults["commit"] = [Conflict("a rival")] * 2
    world.ask(create())
    assert otel.counts("paytechuz.lost_races") == {named("CreateTransaction"): 2}


def test_money_for_an_attempt_that_is_over_is_counted(otel: Observed) -> None:
    world = World(gateway=CLICK)
    for form in (prepare(), complete(error=-5017), complete(), complete()):
        world.answer(click_wire.post(click_wire.encoded(form)))
    assert otel.counts("paytechuz.payment_conflicts") == {named("complete", "click"): 2}


def test_no_metric_has_a_value_that_somebody_made_up(world: World, otel: Observed) -> None:
    for method in ("Foo", "Bar", "Expire"):
        world.answer(post(encoded((method, {}))))
    world.answer(Inbound("GET", {}, b""))
    assert otel.counts("paytechuz.calls") == {attributes("other", -32601): 3, attributes("other", -32300): 1}
    assert [span.name for span in otel.took()] == ["payme other"] * 4
    clicks = World(world.engine, CLICK)
    clicks.answer(click_wire.post(click_wire.encoded(click_wire.form("7", click_wire.SECRET, {}))))
    assert attributes("other", -3, gateway="click") in otel.counts("paytechuz.calls")


def test_no_transaction_and_no_account_is_an_attribute_of_a_metric(world: World, otel: Observed) -> None:
    for message in EVERY_METHOD:
        world.ask(message)
    names = ("paytechuz.calls", "paytechuz.call.duration")
    keys = {key for name in names for point in otel.points(name) for key, _ in point}
    assert keys == {f"paytechuz.{name}" for name in ("gateway", "method", "code", "replay")}


def test_no_key_is_in_a_span(world: World, otel: Observed) -> None:
    world.on("change_password", fails_with(OSError("new#canary")))
    world.ask(change_password("new#canary"))
    for message in EVERY_METHOD:
        world.ask(message)
    text = "".join(span.to_json() for span in otel.took())
    assert "ChangePassword" in text
    assert KEY not in text
    assert "new#canary" not in text


class Stopped(BaseException):
    """What ends a process."""


def test_the_span_of_a_call_that_was_stopped_ends_without_a_code(world: World, otel: Observed) -> None:
    world.on("transaction_created", fails_with(Stopped()))
    with pytest.raises(Stopped):
        world.ask(create())
    (span,) = otel.took()
    assert "paytechuz.code" not in (span.attributes or {})


def test_where_a_call_is_not_sampled_it_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    otel = observed(monkeypatch, sampler=ALWAYS_OFF)
    world.ask(create())
    assert otel.took() == []
    assert otel.counts("paytechuz.calls") == {attributes("CreateTransaction", 0): 1}


class Broken(SpanProcessor):
    """An exporter that fails."""

    def __init__(self, step: str) -> None:
        self.step = step

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        del span, parent_context
        self.reach("on_start")

    def on_end(self, span: Any) -> None:
        del span
        self.reach("on_end")

    def reach(self, step: str) -> None:
        if step == self.step:
            raise OSError(step)


@pytest.mark.parametrize("step", ["on_start", "on_end"])
def test_an_exporter_that_fails_costs_no_answer(
    world: World, otel: Observed, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    otel.tracer.add_span_processor(Broken(step))
    assert world.ask(create())["state"] == 1
    assert world.ask(perform())["state"] == 2
    failures = [record for record in caplog.records if record.name == "paytechuz"]
    assert len(failures) == 2
    assert all("OSError" in record.getMessage() for record in failures)


def test_an_opentelemetry_that_is_set_up_wrong_costs_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", fails_with(ValueError("no such provider")))
    assert world.ask(create())["state"] == 1
    assert "ValueError" in caplog.text


def test_a_call_that_cannot_be_told_of_ends_its_span_all_the_same(
    world: World, otel: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paytechuz_core.observe.printable", fails_with(ValueError("broken")))
    assert world.ask(create())["state"] == 1
    (span,) = otel.took()
    assert (span.name, span.attributes) == ("payme", {})
    assert otel.counts("paytechuz.calls") == {}


# With and without the API


def test_it_is_told_where_an_application_has_set_up_spans_or_metrics_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert telemetry_here() is None
    for api, name, provider in (
        (trace, "get_tracer_provider", TracerProvider()),
        (metrics, "get_meter_provider", MeterProvider()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(api, name, lambda provider=provider: provider)
            assert telemetry_here() is TELEMETRY


PROGRAM: Final = """
import logging, sys
if "absent" in sys.argv:
    sys.modules["opentelemetry"] = None
import paytechuz_core
from paytechuz_core import Memory, Hooks, Payme, Inbound, call_hook, respond
from functools import partial
assert not sys.modules.get("opentelemetry"), "it is imported before anybody calls"
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stdout)
shop = Payme(keys=lambda: ["key"]), Inbound("GET", {}, b""), Memory(lambda _: None).begin, partial(call_hook, Hooks())
assert b"-32300" in respond(*shop)
print("opentelemetry.trace" in sys.modules)
"""


@pytest.mark.parametrize(("installed", "imported"), [("absent", "False"), ("present", "True")])
def test_the_core_works_without_opentelemetry_and_imports_it_at_the_first_call(installed: str, imported: str) -> None:
    run = [sys.executable, "-c", PROGRAM, installed]
    told, found = subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told.startswith("paytechuz.calls payme - code=-32300 milliseconds=")
    assert found == imported
