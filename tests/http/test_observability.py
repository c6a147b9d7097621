"""Every framework tells of every request once: in the log, and to OpenTelemetry inside the request's own span."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from paytechuz_core.record import NAMES
from tests.core.test_telemetry import Observed, attributes, observed
from tests.http.click import Click
from tests.http.clients import HALF_DAY, KEY, SECRET, Client, Row, basic
from tests.http.every_error import CONTRARY, every_error

Open = Callable[..., Client]


def told(caplog: pytest.LogCaptureFixture) -> list[Row]:
    """Give the fields of every line since it was last asked."""
    records = [record for record in caplog.records if record.name == "paytechuz.calls"]
    caplog.clear()
    assert {record.levelno for record in records} <= {logging.INFO}
    return [{name: vars(record)[f"paytechuz_{name}"] for name in NAMES} for record in records]


def told_once(caplog: pytest.LogCaptureFixture, *names: str) -> tuple[Any, ...]:
    """Give these fields of the only line."""
    (fields,) = told(caplog)
    return tuple(fields[name] for name in names)


def test_a_payment_is_told_call_by_call_and_what_is_repeated_is_told_apart(
    shop: Client, caplog: pytest.LogCaptureFixture
) -> None:
    order = shop.database.order()
    story: list[tuple[Callable[[], Any], tuple[Any, ...]]] = [
        (lambda: shop.check_perform(order), ("CheckPerformTransaction", None, str(order), 0, None, None, False)),
        (lambda: shop.create("a", order), ("CreateTransaction", "a", str(order), 0, 1, "created", False)),
        (lambda: shop.create("a", order), ("CreateTransaction", "a", str(order), 0, 1, None, True)),
        (lambda: shop.perform("a"), ("PerformTransaction", "a", str(order), 0, 2, "paid", False)),
        (lambda: shop.perform("a"), ("PerformTransaction", "a", str(order), 0, 2, None, True)),
        (lambda: shop.check("a"), ("CheckTransaction", "a", str(order), 0, 2, None, False)),
        (lambda: shop.cancel("a"), ("CancelTransaction", "a", str(order), 0, -2, "refunded", False)),
        (lambda: shop.cancel("a"), ("CancelTransaction", "a", str(order), 0, -2, None, True)),
        (lambda: shop.perform("a"), ("PerformTransaction", "a", str(order), -31008, -2, None, False)),
    ]
    names = "method", "transaction_id", "account", "code", "state", "moved", "replay"
    for call, fields in story:
        call()
        assert told_once(caplog, "gateway", *names, "attempts", "error") == ("payme", *fields, 1, None)


def test_click_s_payment_is_told_alike(shop: Client, caplog: pytest.LogCaptureFixture) -> None:
    order, click = shop.database.order(), Click(shop)
    story: list[tuple[Callable[[], Any], tuple[Any, ...]]] = [
        (lambda: click.prepare(7, order), ("prepare", 0, 1, "created", False, False)),
        (lambda: click.complete(7, order), ("complete", 0, 2, "paid", False, False)),
        (lambda: click.complete(7, order), ("complete", -4, 2, None, True, False)),
        (lambda: click.abort(7, order), ("complete", -9, -2, "refunded", False, False)),
        (lambda: click.complete(7, order), ("complete", -9, -2, None, False, True)),
        (lambda: click.send(b""), (None, -8, None, None, False, False)),
    ]
    for call, fields in story:
        call()
        assert told_once(caplog, "gateway", "method", "code", "state", "moved", "replay", "conflict") == (
            "click",
            *fields,
        )


def test_every_error_of_the_table_is_one_line_with_its_code(open_shop: Open, caplog: pytest.LogCaptureFixture) -> None:
    shop = open_shop(habits=CONTRARY)
    for code, ask in every_error(shop):
        caplog.clear()
        ask()
        failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert told_once(caplog, "code") == (code,)
        assert len(failures) == (code == -32400)


def test_a_wrong_key_is_told_without_the_key_and_without_what_was_asked(
    shop: Client, caplog: pytest.LogCaptureFixture
) -> None:
    shop.message({"method": "PerformTransaction", "params": {"id": "a"}}, {"Authorization": basic("wrong#canary")})
    (record,) = [record for record in caplog.records if record.name == "paytechuz.calls"]
    assert told_once(caplog, "method", "transaction_id", "code") == (None, None, -32504)
    assert not any(canary in str(vars(record)) for canary in ("wrong#canary", KEY, SECRET, "Basic"))


def test_nobody_forges_a_line_with_an_account(shop: Client, caplog: pytest.LogCaptureFixture) -> None:
    shop.check_perform("1\nINFO payme PerformTransaction code=0")
    (record,) = [record for record in caplog.records if record.name == "paytechuz.calls"]
    assert record.getMessage().isprintable()
    assert told_once(caplog, "account") == (r"1\nINFO payme PerformTransaction code=0",)


def test_of_rivals_at_once_every_one_is_told_once(shop: Client, caplog: pytest.LogCaptureFixture) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    caplog.clear()
    shop.at_once([lambda: shop.perform("a")] * 8)
    lines = told(caplog)
    assert len(lines) == 8
    assert {(line["code"], line["state"]) for line in lines} == {(0, 2)}
    assert sorted(line["replay"] for line in lines) == [False] + [True] * 7
    assert [line["moved"] for line in lines].count("paid") == 1


def test_what_nobody_paid_is_told_when_it_is_expired(shop: Client, caplog: pytest.LogCaptureFixture) -> None:
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    caplog.clear()
    assert shop.expire() == (1, 0)
    named = "method", "transaction_id", "account", "code", "state", "moved"
    assert told_once(caplog, *named) == ("Expire", "a", str(order), 0, -1, "cancelled")


# OpenTelemetry


def parents(spans: list[ReadableSpan]) -> dict[str, str | None]:
    """Give the name of each span's parent."""
    by_id = {span.context.span_id: span.name for span in spans if span.context is not None}
    return {span.name: None if span.parent is None else by_id[span.parent.span_id] for span in spans}


def test_a_call_stands_inside_the_request_s_span_and_its_hooks_inside_the_call_s(
    open_shop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    otel: Observed = observed(monkeypatch)
    tracer = otel.tracer.get_tracer("shop")

    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del self, params, transaction
        tracer.start_span("delivery").end()

    shop = open_shop(habits=[successfully_payment])
    shop.create("a", shop.database.order()).ok()
    otel.took()
    with tracer.start_as_current_span("POST /payme"):
        shop.perform("a").ok()
    assert parents(otel.took()) == {
        "delivery": "payme PerformTransaction",
        "payme PerformTransaction": "POST /payme",
        "POST /payme": None,
    }
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_calls_at_once_are_counted_and_each_has_a_span_of_its_own(
    shop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    otel: Observed = observed(monkeypatch)
    shop.create("a", shop.database.order()).ok()
    shop.at_once([lambda: shop.perform("a")] * 8)
    spans = otel.took()
    assert sorted(span.name for span in spans) == ["payme CreateTransaction"] + ["payme PerformTransaction"] * 8
    assert {span.parent for span in spans} == {None}
    assert otel.counts("paytechuz.calls") == {
        attributes("CreateTransaction", 0): 1,
        attributes("PerformTransaction", 0): 1,
        attributes("PerformTransaction", 0, replay=True): 7,
    }
