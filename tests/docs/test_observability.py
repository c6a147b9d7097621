"""The page about logs, traces and metrics: its table is the code's, and its recipes do what it says."""

import json
import logging
import logging.config
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any, Final, get_type_hints

import pytest

from paytechuz_core.record import LIMIT, MOVED, Record
from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS, ROOT, blocks, write_files

PAGE: Final = DOCS / "how-to/observability.md"
TEXT: Final = PAGE.read_text()


def test_the_table_has_every_field_with_its_type_in_the_order_of_the_code() -> None:
    rows = re.findall(r"^\| `paytechuz_(\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE)
    types = get_type_hints(Record)
    assert rows == [(field.name, written(types[field.name])) for field in fields(Record)]


def written(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else " or ".join(each.__name__ for each in kind.__args__).replace(
        "NoneType", "None"
    )  # fmt: skip


def test_the_page_says_every_move_and_the_limit() -> None:
    (row,) = re.findall(r"^\| `paytechuz_moved` .*", TEXT, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {"paytechuz_moved", *MOVED.values()}
    assert f"at most {LIMIT} characters" in TEXT


def test_the_line_reads_as_the_page_shows_it() -> None:
    record = Record(
        gateway="payme", method="PerformTransaction", transaction_id="5305e3bab097f420a62ced0b", account="42", code=0,
        milliseconds=3.214, replay=False, state=2, moved="paid", evicted=None, conflict=False, attempts=1, error=None,
    )  # fmt: skip
    assert str(record) == blocks(PAGE, "text")[0].text.strip()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The library's logger, which is afterwards as it was before."""
    loggers = [logging.getLogger(name) for name in ("paytechuz", "paytechuz.calls")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    yield loggers[0]
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.mark.usefixtures("logger")
def test_the_lines_as_json_have_every_field_and_a_failure_its_traceback(
    shop: TutorialShop, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(PAGE, shop.folder)
    logging.config.dictConfig(import_module("logs").LOGGING)

    class Failing(vars(shop.payments)["ShopPayme"]):  # type: ignore[misc]
        def transaction_created(self, *arguments: Any) -> None:
            del arguments
            raise ZeroDivisionError

    till, order = shop.till(Failing), shop.order()
    till.perform()
    till.create(order_id=order)
    refused, failure, failed = map(json.loads, capsys.readouterr().err.splitlines())
    names = {f"paytechuz_{field.name}" for field in fields(Record)}
    assert refused.keys() == failed.keys() == {"time", "level", "logger", "message"} | names
    assert (refused["logger"], refused["level"], refused["paytechuz_code"]) == ("paytechuz.calls", "INFO", -31003)
    assert (failed["paytechuz_code"], failed["paytechuz_error"]) == (-32400, "ZeroDivisionError")
    assert (failure["logger"], failure["level"]) == ("paytechuz", "ERROR")
    assert failure["exception"].endswith("ZeroDivisionError")


@pytest.mark.usefixtures("logger")
def test_django_s_logging_prints_a_line_for_each_call(shop: TutorialShop, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [each for each in blocks(PAGE, "python") if each.file is None]
    names: dict[str, Any] = {}
    exec(block.compile(), names)  # noqa: S102 - which is what this test is about
    logging.config.dictConfig(names["LOGGING"])
    shop.till(vars(shop.payments)["ShopPayme"]).perform()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r" INFO paytechuz.calls payme PerformTransaction transaction_id='A' code=-31003 ", line)


def test_opentelemetry_set_up_as_the_page_says_prints_spans_and_metrics(shop: TutorialShop) -> None:
    write_files(PAGE, shop.folder)
    program = (
        "import tracing, payments; from paytechuz_core import Inbound; from shop import *\n"
        "with SessionLocal() as db:\n"
        "    handler = payments.ShopPayme(db, payments.PAYME_ID, payments.PAYME_KEY, Order, 'order_id')\n"
        "    handler.respond(Inbound('GET', {}, b''))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=shop.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert '"name": "payme other"' in run.stdout
    assert '"name": "paytechuz.calls"' in run.stdout
    assert '"paytechuz.code": -32300' in run.stdout


def test_the_page_names_every_metric_with_its_unit_and_attributes() -> None:
    from paytechuz_core.telemetry import Telemetry  # noqa: PLC0415

    made: dict[str, str] = {}

    class Meter:
        def create(self, name: str, unit: str, description: str) -> None:
            assert description
            made[name] = unit

        create_counter = create_histogram = create

    Telemetry(None, Meter())  # type: ignore[arg-type]
    rows = re.findall(r"^\| `(paytechuz\.[\w.]+)` \| \w+ \| (\w+) \|", TEXT, re.MULTILINE)
    assert {name: unit.removesuffix("s") if unit != "ms" else unit for name, unit in rows} == {
        name: unit.strip("{}") for name, unit in made.items()
    }


class Metric:
    """Stands in for a metric of `prometheus_client`, which the tests need not have."""

    def __init__(self, name: str, documentation: str, labels: list[str], buckets: tuple[int, ...] = ()) -> None:
        assert documentation
        self.name, self.names, self.buckets = name, labels, buckets
        self.seen: Counter[tuple[str, ...]] = Counter()

    def labels(self, *values: Any) -> "Metric":
        assert len(values) == len(self.names)
        self.chosen = tuple(map(str, values))
        return self

    def inc(self) -> None:
        self.seen[self.chosen] += 1

    def observe(self, value: float) -> None:
        assert value >= 0
        self.seen[self.chosen] += 1


@pytest.mark.usefixtures("logger")
def test_the_handler_counts_calls_and_no_method_that_somebody_made_up(
    shop: TutorialShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = ModuleType("prometheus_client")
    vars(stand_in).update(Counter=Metric, Histogram=Metric)
    monkeypatch.setitem(sys.modules, "prometheus_client", stand_in)
    write_files(PAGE, shop.folder)
    counting = import_module("counting")
    till, order = shop.till(vars(shop.payments)["ShopPayme"]), shop.order()
    till.create(order_id=order)
    till.create(order_id=order)
    till.call("Foo")
    logging.getLogger("paytechuz").error("not a call")
    assert counting.CALLS.seen == {
        ("payme", "CreateTransaction", "0", "false"): 1,
        ("payme", "CreateTransaction", "0", "true"): 1,
        ("payme", "other", "-32601", "false"): 1,
    }
    assert counting.DURATION.seen == {("payme", "CreateTransaction"): 2, ("payme", "other"): 1}
    assert counting.CONFLICTS.seen == {}
    told = {
        "paytechuz_gateway": "click",
        "paytechuz_method": "complete",
        "paytechuz_code": -9,
        "paytechuz_replay": False,
    }
    more = {"paytechuz_attempts": 1, "paytechuz_milliseconds": 1.0, "paytechuz_conflict": True}
    logging.getLogger("paytechuz.calls").info("a conflict", extra=told | more)
    assert counting.CONFLICTS.seen == {("click", "complete"): 1}


def test_the_alerts_ask_for_metrics_labels_and_methods_that_there_are() -> None:
    (rules,) = (block.text for block in blocks(PAGE, "yaml"))
    (counting,) = (block.text for block in blocks(PAGE, "python") if block.file == "counting.py")
    named = {
        name.removesuffix("_total").removesuffix("_bucket") for name in re.findall(r"paytechuz_\w+(?=\{|\[)", rules)
    }
    assert named == set(re.findall(r'(?:Counter|Histogram)\(\s*"(\w+)"', counting))
    assert set(re.findall(r"(paytechuz_\w+)=", rules)) <= set(re.findall(r'"(paytechuz_\w+)"', counting))


def test_sentry_is_told_to_send_neither_locals_nor_bodies(shop: TutorialShop, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    stand_in = ModuleType("sentry_sdk")
    vars(stand_in)["init"] = lambda **options: given.update(options)
    monkeypatch.setitem(sys.modules, "sentry_sdk", stand_in)
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example/1")
    write_files(PAGE, shop.folder)
    import_module("errors")
    assert given == {
        "dsn": "https://key@sentry.example/1", "include_local_variables": False, "max_request_body_size": "never",
    }  # fmt: skip
