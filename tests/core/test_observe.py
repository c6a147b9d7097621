"""What is told of a call: one line of the log for each, the same fields in every line, and never a secret.

Every test runs on `respond` and on `arespond`, with plain hooks and with `async def` hooks.
"""

import asyncio
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core import Conflict, Inbound
from paytechuz_core.engine import ATTEMPTS, aundertake, undertake
from paytechuz_core.observe import Careful, Observation, calls, found_telemetry, log, telemetry_here
from paytechuz_core.record import LIMIT, NAMES, printable
from paytechuz_core.transaction import HALF_DAY
from tests.core import click_wire
from tests.core.click_wire import CLICK, complete, prepare
from tests.core.test_engine import PASSWORDS, fails_with
from tests.core.wire import (
    EVERY_METHOD,
    ID,
    KEY,
    PAYME,
    RIVAL,
    Wire,
    basic,
    cancel,
    change_password,
    check,
    check_perform,
    create,
    encoded,
    fiscal,
    perform,
    post,
    refusal,
    statement,
)
from tests.core.world import ENGINES, Engine, World

Told = dict[str, Any]


class Lines:
    """What the logger of the calls was told since it was last looked at."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog

    def records(self) -> list[logging.LogRecord]:
        found = [record for record in self.caplog.records if record.name == "paytechuz.calls"]
        self.caplog.clear()
        return found

    def one(self) -> Told:
        """The fields of the only line."""
        (record,) = self.records()
        assert (record.levelno, record.exc_info) == (logging.INFO, None)
        fields = {name: vars(record)[f"paytechuz_{name}"] for name in NAMES}
        assert fields.pop("milliseconds") >= 0
        return fields


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine, PASSWORDS)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    with caplog.at_level(logging.INFO, "paytechuz.calls"):
        yield Lines(caplog)


def told(method: str | None, code: int | None = 0, **others: Any) -> Told:
    """The fields of a call of Payme's about the usual transaction, but for `others`."""
    return {
        "gateway": "payme", "method": method, "transaction_id": ID, "account": "42", "code": code, "replay": False,
        "state": None, "moved": None, "evicted": None, "conflict": False, "attempts": 1, "error": None, **others,
    }  # fmt: skip


# One line for each call


def test_a_payment_is_told_from_its_first_call_to_its_refund_and_a_repeated_call_is_told_apart(
    world: World, lines: Lines
) -> None:
    expected: list[tuple[Wire, Told]] = [
        (check_perform(), told("CheckPerformTransaction", transaction_id=None)),
        (create(), told("CreateTransaction", state=1, moved="created")),
        (create(), told("CreateTransaction", state=1, replay=True)),
        (perform(), told("PerformTransaction", state=2, moved="paid")),
        (perform(), told("PerformTransaction", state=2, replay=True)),
        (create(), told("CreateTransaction", -31008, state=2)),
        (check(), told("CheckTransaction", state=2)),
        (statement(), told("GetStatement", transaction_id=None, account=None)),
        (fiscal(), told("SetFiscalData", state=2)),
        (fiscal(), told("SetFiscalData", state=2, replay=True)),
        (cancel(), told("CancelTransaction", state=-2, moved="refunded")),
        (cancel(), told("CancelTransaction", state=-2, replay=True)),
        (perform(), told("PerformTransaction", -31008, state=-2)),
        (change_password(), told("ChangePassword", transaction_id=None, account=None)),
    ]
    for message, fields in expected:
        world.ask(message)
        assert lines.one() == fields


def test_a_payment_of_click_is_told_alike(engine: Engine, lines: Lines) -> None:
    world = World(engine, CLICK)
    usual = {"gateway": "click", "transaction_id": str(click_wire.TRANS)}
    expected: list[tuple[click_wire.Form, Told]] = [
        (prepare(), told("prepare", state=1, moved="created")),
        (prepare(), told("prepare", state=1, replay=True)),
        (complete(), told("complete", state=2, moved="paid")),
        (complete(), told("complete", -4, state=2, replay=True)),
        (complete(error=-5017), told("complete", -9, state=-2, moved="refunded")),
        (complete(error=-5017), told("complete", -9, state=-2, replay=True)),
        (complete(), told("complete", -9, state=-2, conflict=True)),
        (complete(amount="1.00"), told("complete", -2, state=-2)),
    ]
    for form, fields in expected:
        world.answer(click_wire.post(click_wire.encoded(form)))
        assert lines.one() == {**fields, **usual}


def test_the_rival_that_loses_the_order_is_named(world: World, lines: Lines) -> None:
    world.ask(create())
    world.now += HALF_DAY + 1
    lines.records()
    world.ask(create(RIVAL, time=world.now))
    assert lines.one() == told("CreateTransaction", transaction_id=RIVAL, state=1, moved="created", evicted=ID)


def test_what_is_too_late_is_told_as_cancelled_and_refused(world: World, lines: Lines) -> None:
    world.ask(create())
    world.now += HALF_DAY + 1
    lines.records()
    world.ask(perform())
    assert lines.one() == told("PerformTransaction", -31008, state=-1, moved="cancelled")


UNKNOWN: Final = told(None, transaction_id=None, account=None, attempts=0)


@pytest.mark.parametrize(
    ("inbound", "fields"),
    [
        (Inbound("GET", {}, b""), {"code": -32300}),
        (post(encoded(perform()), basic(password="wrong")), {"code": -32504}),
        (post(encoded(perform()), None), {"code": -32504}),
        (post(None), {"code": -32600}),
        (post(b"{"), {"code": -32700}),
        (post(b"[]"), {"code": -32600}),
        (post(b'{"method": 5, "params": {}}'), {"code": -32600}),
        (post(encoded(("Foo", {"account": [5]}))), {"code": -32601, "method": "Foo"}),
        (
            post(encoded(create(amount="5"))),
            {"code": -32600, "method": "CreateTransaction", "transaction_id": ID, "account": "42"},
        ),
        (post(encoded(perform(5))), {"code": -32600, "method": "PerformTransaction"}),
        (post(encoded(fiscal(kind="A"))), {"code": -32602, "method": "SetFiscalData", "transaction_id": ID}),
        (post(encoded(change_password(KEY))), {"code": -32504, "method": "ChangePassword"}),
    ],
)
def test_a_request_that_never_became_a_call_is_told_with_what_was_read_of_it(
    world: World, lines: Lines, inbound: Inbound, fields: Told
) -> None:
    world.answer(inbound)
    assert lines.one() == {**UNKNOWN, **fields}


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (None, {"code": -8}),
        (b"", {"code": -8}),
        (click_wire.encoded(prepare("wrong")), {"code": -1, "method": "prepare"}),
        (click_wire.encoded(click_wire.form("7", click_wire.SECRET, {})), {"code": -3, "method": "7"}),
        (click_wire.encoded(complete(service_id=1)), {"code": -8, "method": "complete"}),
    ],
)
def test_a_form_that_never_became_a_call_is_told_with_what_was_read_of_it(
    engine: Engine, lines: Lines, content: bytes | None, fields: Told
) -> None:
    World(engine, CLICK).answer(click_wire.post(content))
    named = {"transaction_id": str(click_wire.TRANS), "account": "42"} if "method" in fields else {}
    assert lines.one() == {**UNKNOWN, "gateway": "click", **named, **fields}


def test_several_account_fields_are_told_by_their_names(engine: Engine, lines: Lines) -> None:
    world = World(engine, replace(PAYME, fields=("order_id", "shop")))
    world.ask(("CheckPerformTransaction", {"amount": 1, "account": {"shop": 3, "order_id": "42", "more": 1}}))
    assert lines.one()["account"] == "order_id=42, shop=3"
    world.ask(("CheckPerformTransaction", {"amount": 1, "account": {"shop": 3, "more": 1}}))
    assert lines.one()["account"] == "shop=3"


def test_a_hook_that_refuses_is_told_with_its_code(world: World, lines: Lines) -> None:
    world.ask(create())
    lines.records()
    world.on("successfully_payment", fails_with(refusal()))
    assert world.ask(perform())["code"] == -31008
    assert lines.one() == told("PerformTransaction", -31008)


def test_a_system_error_has_its_line_besides_the_error_in_full(world: World, lines: Lines) -> None:
    world.ask(create())
    world.on("successfully_payment", fails_with(OSError("disk full")))
    lines.records()
    world.ask(perform())
    (error,) = (record for record in lines.caplog.records if record.name == "paytechuz")
    assert (error.levelno, error.exc_info and error.exc_info[0]) == (logging.ERROR, OSError)
    assert lines.one() == told("PerformTransaction", -32400, error="OSError")


def test_keys_that_cannot_be_read_are_told_as_a_system_error(engine: Engine, lines: Lines) -> None:
    world = World(engine, replace(PAYME, keys=fails_with(OSError("no vault"))))
    world.ask(perform())
    assert lines.one() == {**UNKNOWN, "code": -32400, "error": "OSError"}


def test_every_attempt_of_a_lost_race_is_counted(world: World, lines: Lines) -> None:
    world.faults["commit"] = [Conflict("a rival")] * 2
    world.ask(create())
    assert lines.one() == told("CreateTransaction", state=1, moved="created", attempts=3)
    world.faults["commit"] = [Conflict("a rival")] * ATTEMPTS
    world.ask(perform())
    assert lines.one() == told("PerformTransaction", -32400, attempts=ATTEMPTS, error="Conflict")


class Stopped(BaseException):
    """What ends a process."""


def test_a_call_that_was_stopped_has_a_line_and_no_code(world: World, lines: Lines) -> None:
    world.on("transaction_created", fails_with(Stopped()))
    with pytest.raises(Stopped):
        world.ask(create())
    assert lines.one() == told("CreateTransaction", None)


def test_a_step_of_our_own_has_its_line_too(world: World, lines: Lines) -> None:
    world.ask(create())
    world.now += HALF_DAY + 1
    call = world.gateway.expiry(world.stored(), world.now)
    lines.records()
    assert take(world, call)
    assert lines.one() == told("Expire", state=-1, moved="cancelled")
    assert take(world, call) == {}
    assert lines.one() == told("Expire", state=-1)
    world.faults["begin"] = [OSError("no database")]
    assert take(world, call) is None
    assert lines.one() == told("Expire", None, account=None, error="OSError")


def take(world: World, call: Any) -> Any:
    if world.engine == "sync":
        return undertake(world.gateway, call, world.begin, world.fire, world.clock)
    return asyncio.run(aundertake(world.gateway, call, world.abegin, world.afire, world.clock))


def test_the_time_taken_is_told_in_milliseconds(world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000_000, 4_214_159])
    monkeypatch.setattr("paytechuz_core.observe.perf_counter_ns", lambda: next(ticks))
    world.ask(check())
    (record,) = lines.records()
    assert vars(record)["paytechuz_milliseconds"] == 3.214


# How the line reads


def test_the_line_says_what_there_is_to_say(world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paytechuz_core.observe.perf_counter_ns", lambda: 0)
    for message in (create(), perform(), perform(), check("nobody's")):
        world.ask(message)
    world.answer(Inbound("GET", {}, b""))
    world.answer(post(encoded(("no\nmethod code=0", {}))))
    named, end = f"transaction_id='{ID}' account='42' code=0 milliseconds=0.0", "attempts=1"
    assert [record.getMessage() for record in lines.records()] == [
        f"payme CreateTransaction {named} state=1 moved=created {end}",
        f"payme PerformTransaction {named} state=2 moved=paid {end}",
        f"payme PerformTransaction {named} replay=True state=2 {end}",
        f'payme CheckTransaction transaction_id="nobody\'s" code=-31003 milliseconds=0.0 {end}',
        "payme - code=-32300 milliseconds=0.0 attempts=0",
        r"payme 'no\\nmethod code=0' code=-32601 milliseconds=0.0 attempts=0",
    ]


HOSTILE: Final = (
    "42\n2026-01-01 ERROR forged", "42\r\nforged", "\x1b[2J", "a\u2028b", "a\u202eb", "\x85", "\x7f", "x" * 10_000,
    "\n" * 10_000, "' code=0 moved=paid '", '" code=0', "\\n",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_account_no_id_and_no_method_can_forge_a_line(world: World, lines: Lines, text: str) -> None:
    world.answer(post(encoded(create(order=text))))
    world.answer(post(encoded(create(text))))
    world.answer(post(encoded((text, {}))))
    for record in lines.records():
        message = record.getMessage()
        assert message.isprintable()
        assert len(message) < 600
        for name in ("account", "transaction_id", "method"):
            value = vars(record)[f"paytechuz_{name}"]
            assert value is None or (value.isprintable() and 0 < len(value) <= LIMIT)
        unquoted = re.sub(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", "…", message)
        assert (unquoted.count("code="), unquoted.count("moved=paid")) == (1, 0)


@given(st.text())
def test_a_text_from_outside_is_told_short_and_printable_and_as_it_is_where_it_may_be(text: str) -> None:
    shown = printable(text)
    assert shown is not None
    assert shown.isprintable()
    assert len(shown) <= LIMIT
    if text.isprintable() and len(text) <= LIMIT:
        assert shown == text


def test_a_text_is_told_to_the_limit_and_no_further() -> None:
    assert printable(None) is None
    assert printable("x" * LIMIT) == "x" * LIMIT
    assert printable("x" * (LIMIT + 1)) == "x" * (LIMIT - 1) + "…"
    assert printable("\n" + "x" * (LIMIT - 2)) == r"\n" + "x" * (LIMIT - 2)
    assert printable("\n" + "x" * (LIMIT - 1)) == r"\n" + "x" * (LIMIT - 3) + "…"


def test_what_a_line_calls_its_fields_is_taken_by_nothing_of_python_s(world: World, lines: Lines) -> None:
    world.ask(check())
    (record,) = lines.records()
    own = vars(logging.LogRecord("", 0, "", 0, "", (), None)).keys()
    assert {name for name in vars(record) if name.startswith("paytechuz_")} == {f"paytechuz_{name}" for name in NAMES}
    assert own.isdisjoint(f"paytechuz_{name}" for name in NAMES)


# Never a secret


def test_no_key_old_or_new_is_told_whatever_happens(world: World, lines: Lines) -> None:
    secret = "new#canary"
    world.on("change_password", fails_with(OSError(secret)))
    world.ask(change_password(secret))
    for message in (*EVERY_METHOD, change_password(KEY), change_password(5)):
        world.ask(message)
        world.answer(post(encoded(message), basic(password="wrong#canary")))
    assert len(lines.caplog.records) > 2 * len(EVERY_METHOD)
    for record in lines.caplog.records:
        text = json.dumps({name: str(value) for name, value in vars(record).items()}) + record.getMessage()
        assert not any(canary in text for canary in (KEY, secret, "wrong#canary", "Basic "))


def test_no_signature_is_told(engine: Engine, lines: Lines) -> None:
    world, form = World(engine, CLICK), prepare()
    for sent in (form, prepare("wrong#canary"), {**form, "action": "5"}):
        world.answer(click_wire.post(click_wire.encoded(sent)))
    for record in lines.records():
        assert not any(text in str(vars(record)) for text in (form["sign_string"], click_wire.SECRET, "canary"))


# Whatever goes wrong in the telling


class Broken(logging.Handler):
    """A handler of the merchant's that always raises."""

    def handle(self, record: logging.LogRecord) -> bool:
        message = f"cannot write {record.getMessage()}"
        raise OSError(message)


@contextmanager
def broken_log() -> Iterator[None]:
    """Let nothing be logged for a while."""
    handler, logger = Broken(), logging.getLogger("paytechuz")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


ALL: Final = (*EVERY_METHOD[:3], perform("nobody's"), *EVERY_METHOD[3:])


@pytest.mark.usefixtures("lines")
def test_a_log_that_cannot_be_written_costs_no_answer(world: World) -> None:
    silent = World(world.engine, PASSWORDS)
    for shop in (world, silent):
        shop.on("after_commit", fails_with(RuntimeError("no mail server")))
        shop.on("change_password", fails_with(RuntimeError("no disk")))
    with broken_log():
        with pytest.raises(OSError, match="cannot write"):
            calls.info("the handler is broken indeed")
        given = [world.answer(post(encoded(message))) for message in ALL]
    assert given == [silent.answer(post(encoded(message))) for message in ALL]
    assert world.written() == silent.written()


@pytest.mark.parametrize("broken", ["paytechuz_core.observe.printable", "paytechuz_core.payme.Payme.subject"])
def test_a_call_that_cannot_be_told_of_is_answered_and_the_log_says_where_it_broke(
    world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(broken, fails_with(ValueError("a text that may quote anything")))
    assert world.ask(create())["state"] == 1
    (error,) = (record for record in lines.caplog.records if record.name == "paytechuz")
    assert error.levelno == logging.ERROR
    assert "in fails_with" not in error.getMessage()
    assert "ValueError\n" in error.getMessage()
    assert "may quote" not in error.getMessage()
    assert lines.records() == []


def test_what_ends_a_process_ends_it_while_it_is_logged_too(
    world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "info", lambda *_, **__: fails_with(Stopped())())
    with pytest.raises(Stopped):
        world.ask(create())
    assert lines.records() == []


def test_a_careful_logger_names_the_line_that_logs(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(log, Careful)
    log.error("here")
    log.exception("and here")
    assert {record.filename for record in caplog.records} == {"test_observe.py"}


# What nobody listens to


def test_nothing_is_made_of_a_call_that_nobody_listens_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Observation[Any, Any]] = []
    monkeypatch.setattr("paytechuz_core.observe.telemetry_here", lambda: None)
    monkeypatch.setattr(Observation, "_record", lambda seen, *_: made.append(seen))
    assert world.ask(create())["state"] == 1
    assert made == []


def test_where_opentelemetry_is_not_installed_calls_are_logged_all_the_same(
    world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paytechuz_core.telemetry", None)
    found_telemetry.cache_clear()
    try:
        assert telemetry_here() is None
        world.ask(create())
        assert lines.one() == told("CreateTransaction", state=1, moved="created")
    finally:
        found_telemetry.cache_clear()
