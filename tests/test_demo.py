"""The example shops, as a visitor meets them: `make demo` and `make serve`."""

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import create_engine, inspect

from examples import demo
from examples.serve import CLICK_WEBHOOK, SHOPS, WEBHOOK
from paytechuz_core.testing import CLICK, ONE_TIME

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 60
"""Seconds: what all demos may take at most, and much more than anything else here does."""


# make demo


@dataclass(frozen=True)
class Played:
    """A demo that was played: what it printed where there is no terminal, and what it recorded."""

    output: str
    record: tuple[Mapping[str, Any], ...]


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Every shop's demo."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "demos.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whichever worker comes first plays them, for the others too
        if not (shared / "demos").exists():
            play_all(shared / "demos")
    return {name: read(shared / "demos", name) for name in SHOPS}


def play_all(folder: Path) -> None:
    """Play all demos at once: they spend most of their time waiting."""
    folder.mkdir()
    processes = {}
    for name in SHOPS:
        command = [sys.executable, "-m", "examples.demo", name, "--record", str(folder / f"{name}.jsonl")]
        with (folder / f"{name}.out").open("w") as output:
            processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        for process in processes.values():
            process.wait(PATIENCE)
    finally:
        for name, process in processes.items():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # which stops the shop too
            (folder / f"{name}.status").write_text(str(process.wait(PATIENCE)))


def read(folder: Path, name: str) -> Played:
    """Read what a demo left."""
    status, output = ((folder / f"{name}.{kind}").read_text() for kind in ("status", "out"))
    assert status == "0", output
    lines = (folder / f"{name}.jsonl").read_text().splitlines()
    return Played(output, tuple(json.loads(line) for line in lines))


@pytest.fixture(params=SHOPS)
def output(request: pytest.FixtureRequest, played: dict[str, Played]) -> str:
    """What each demo prints."""
    return played[request.param].output


@pytest.mark.slow
def test_the_demo_plays_every_scenario_and_gets_the_right_answers(output: str) -> None:
    for name in [scenario.name for scenario in ONE_TIME] + [scenario.name for scenario in CLICK]:
        right, played = re.search(rf"^{name}: (\d+) of (\d+)$", output, re.MULTILINE).groups()  # type: ignore[union-attr]
        assert int(right) == int(played) > 0
    closing = re.fullmatch(r"demo: (\d+) of (\d+) answers right, in \d+\.\d s", output.splitlines()[-1])
    assert closing is not None
    assert int(closing[1]) == int(closing[2]) == output.count("│ ok │")


@pytest.mark.slow
def test_each_provider_has_a_table_of_its_own(output: str) -> None:
    titles = [line.strip() for line in output.splitlines() if line.startswith(" ")]
    assert titles == [
        "Payme's calls, each write sent twice",
        "Click's calls",
        "The shop's orders",
        "The table payments",
    ]
    payme, click = (output.index(title) for title in titles[:2])
    for scenario in CLICK:
        assert output.index(f"│ {scenario.name} ") > click > payme


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "expected", "got"),
    [
        ("CheckPerformTransaction, as the sandbox calls", "-32504", "-32504 "),
        ("CreateTransaction, a tiyin less", "-31001, twice", "-31001 "),
        ("CheckPerformTransaction, unknown", "-31099 … -31050", "-31050 "),
        ("CreateTransaction, a second id", "-31099 … -31050, or -31008, twice", "-31051 "),
        ("PerformTransaction, past 12 hours", "-31008, twice", "-31008 "),
        ("PerformTransaction, after the refund", "-31008, twice", "-31008 "),
        ("GetStatement, both ends included", "4 in states 2, -2, 1, -1", "4 in states 2, -2, 1, -1 "),
        ("the order's status", "paid", "paid "),
        ("Prepare, wrong signature", "-1", "-1 "),
        ("Prepare", "0", "0 Success, prepare id "),
        ("Complete, amount 300", "-2", "-2 "),
        ("Complete", "0", "0 "),
        ("Complete, again", "-4", "-4 "),
        ("Complete, error -5017", "-9", "-9 "),
        ("Complete, prepare id 999999999", "-6", "-6 "),
        ("Complete, after the cancel", "-9", "-9 "),
    ],
)
def test_the_demo_shows_call_expected_and_got(output: str, call: str, expected: str, got: str) -> None:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│ ok")]
    assert ["ok", call, expected] in [row[:3] for row in rows]
    assert any(row[1] == call and f"{row[3]} ".startswith(got) for row in rows)


@pytest.mark.slow
def test_the_demo_shows_what_became_of_orders_and_transactions(output: str) -> None:
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]
    orders = {tuple(row[2:]) for row in cells if len(row) == 4 and row[1] == "5000.00"}
    assert orders >= {
        ("pending", ""),
        ("paid", "SUCCESSFULLY"),
        ("cancelled", "CANCELLED"),
        ("cancelled", "CANCELLED_DURING_INIT"),
        ("paid", "CANCELLED_DURING_INIT, SUCCESSFULLY"),
    }
    payments = [row for row in cells if len(row) == 9]
    for gateway in ("payme", "click"):
        assert {row[4] for row in payments if row[0] == gateway} == {"1", "2", "-1", "-2"}
    for _, _, _, amount, state, reason, created, performed, cancelled in payments:
        assert amount == "5000.00"
        assert created
        assert bool(performed) is (state in ("2", "-2"))
        assert bool(cancelled) is bool(reason) is (state in ("-1", "-2"))


def test_the_demo_fails_where_an_answer_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenario,) = (each for each in ONE_TIME if each.name == "unknown transaction")
    monkeypatch.setattr(demo, "ONE_TIME", (scenario,))
    monkeypatch.setattr(demo, "CLICK", CLICK[1:2])
    monkeypatch.setattr(demo, "KEY", "not the shop's key")
    monkeypatch.setattr(demo, "SECRET", "not the shop's secret")
    assert demo.main(["fastapi"]) == 1
    shown = capsys.readouterr().out
    assert "demo: 0 of 4 answers right" in shown
    assert "Any other code makes Payme believe" in shown
    assert "money for an order that nobody knows" in shown


# One core, many shops

TIMES: Final = re.compile(r'("(?:time|create_time|perform_time|cancel_time)":)[1-9]\d{12}(?!\d)')
IDS: Final = re.compile(
    r'("(?:id|transaction)":)"[0-9a-f]{24}"|("(?:click_trans_id|merchant_(?:prepare|confirm)_id)":)\d+'
)
ANSWERED: Final[Any] = {
    "id": 100014,
    "result": {"create_time": 1767225600000, "perform_time": 0, "transaction": "a" * 24, "state": 1},
}
PREPARED: Final[Any] = {
    "click_trans_id": 4000000000,
    "merchant_trans_id": "7",
    "merchant_prepare_id": 1852516354,
    "error": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("shop", [name for name in SHOPS if name != "fastapi"])
def test_all_shops_give_the_same_answers_byte_for_byte_apart_from_times_and_ids(
    shop: str, played: dict[str, Played]
) -> None:
    answered = said(played["fastapi"].record)
    assert {path for path, _, _ in answered} == {WEBHOOK, CLICK_WEBHOOK}
    assert said(played[shop].record) == answered


def test_answers_at_another_time_about_other_transactions_are_the_same() -> None:
    later = {**ANSWERED["result"], "create_time": 1767229200000, "transaction": "b" * 24}
    assert answers(ANSWERED) == answers({**ANSWERED, "result": later})
    assert answers(PREPARED) == answers({**PREPARED, "click_trans_id": 5000000000, "merchant_prepare_id": 704})


@pytest.mark.parametrize(
    "other",
    [
        {**ANSWERED, "id": 100015},
        {**ANSWERED, "result": {**ANSWERED["result"], "state": 2}},
        {**ANSWERED, "result": {**ANSWERED["result"], "create_time": 0}},
        {**ANSWERED, "result": {**ANSWERED["result"], "create_time": 1767225600}},
        {**ANSWERED, "result": {**ANSWERED["result"], "perform_time": 1767225600000}},
        {**ANSWERED, "result": {**ANSWERED["result"], "transaction": 5}},
        {"result": ANSWERED["result"], "id": 100014},
    ],
)
def test_answers_that_differ_in_anything_else_do_not_pass_for_the_same(other: Any) -> None:
    assert answers(ANSWERED) != answers(other)


def test_an_answer_that_names_another_transaction_than_before_does_not_pass_for_the_same() -> None:
    other = {**ANSWERED, "result": {**ANSWERED["result"], "transaction": "b" * 24}}
    assert answers(ANSWERED, ANSWERED) != answers(ANSWERED, other)


def answers(*messages: Any) -> list[Any]:
    texts = (json.dumps(message, separators=(",", ":")) for message in messages)
    return said([{"path": "/", "status": 200, "answer": text} for text in texts])


def said(record: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    """Give all answers, with a word for each time, and for each id the number at which it first appeared."""
    known: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"{found[1] or found[2]}#{known.setdefault(found[0], len(known))}"

    return [(each["path"], each["status"], IDS.sub(number, TIMES.sub(r"\1TIME", each["answer"]))) for each in record]


def test_make_knows_every_shop() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for targets, prefix in (("DEMOS", "demo-"), ("SERVES", "serve-")):
        assert f"{targets} := {' '.join(prefix + name for name in SHOPS)}\n" in makefile


# The project of the Django shop


KEYS: Final = {"PAYME_KEY": "x7#Gq:2Kf&8Zp-Vw4", "CLICK_SECRET_KEY": "R9tB5mYc"}
"""Such as the cabinets give: `manage.py check` warns of an example's."""


def manage(*command: str, **environment: str) -> str:
    """Give what a command of manage.py says; warnings are errors here, too."""
    folder = SHOPS["django"].folder
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *command],
        cwd=folder,
        env={**os.environ, **KEYS, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_django_shop_needs_nothing_but_a_secret_and_no_migration_is_missing(tmp_path: Path) -> None:
    needs = {"SHOP_SECRET_KEY": "a secret", "SHOP_DATABASE": f"sqlite:///{tmp_path / 'shop.db'}"}
    assert manage("check", "--fail-level", "WARNING", **needs).startswith("System check identified no issues")
    assert manage("makemigrations", "--check", **needs) == "No changes detected\n"


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite", "postgresql+psycopg2"], indirect=True)
def test_the_django_shop_keeps_its_tables_in_the_database_that_is_named(url: str) -> None:
    manage("migrate", SHOP_DEBUG="1", SHOP_DATABASE=url)
    engine = create_engine(url)
    assert {"orders", "payments", "django_migrations"} <= set(inspect(engine).get_table_names())
    engine.dispose()


# make serve


@contextmanager
def serving(shop: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "examples.serve", shop, "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def run_curl(line: str) -> Any:
    """Do what a curl line says, on machines without curl too."""
    words = iter(shlex.split(line))
    url, headers, body = "", {}, None
    for word in words:
        match word:
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words).encode()
            case "curl" | "-s":
                pass
            case _:
                url = word
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body, headers), timeout=PATIENCE) as answer:  # noqa: S310 - loopback
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.parametrize("shop", [name for name in SHOPS if name != "django-asgi"])
def test_serve_prints_curl_lines_that_pay_and_refund_orders_until_ctrl_c(shop: str) -> None:
    with serving(shop) as process:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
        curls = [line for line in lines if line.startswith("curl ")]
        for line, member, value in zip(
            curls,
            ("allow", "state", "state", "state", "state"),
            (True, 1, 2, 2, -2),
            strict=False,
        ):
            first, again = run_curl(line), run_curl(line)
            assert first["result"][member] == value
            assert again == first
        assert run_curl(curls[5]) == {"id": 1, "amount": "5000.00", "status": "cancelled"}

        paid, shown = {**run_curl(curls[9]), "status": "paid"}, curls[9]
        for line, error, again in zip(curls[6:9], (0, 0, -9), (0, -4, -9), strict=True):
            assert run_curl(line)["error"] == error
            assert run_curl(line)["error"] == again
            assert (run_curl(shown) == paid) is (again == -4)
        assert run_curl(shown) == {"id": 2, "amount": "5000.00", "status": "cancelled"}
        assert len(curls) == 10

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 0
        assert process.stdout.read() == "\nStopped.\n"
        with pytest.raises(urllib.error.URLError):
            run_curl(curls[-1])
