"""`paytechuz migrate`, `doctor` and `statement`: every database, by the URLs that shops really have."""

import csv
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, insert, inspect, make_url, text

from paytechuz.cli import database
from paytechuz.cli.engines import reachable, table_named
from paytechuz_core.sql import PaymentTransaction, run_migrations
from paytechuz_core.transaction import HALF_DAY
from tests.cli import ROOT, plain, run
from tests.databases import MARIADB, POSTGRESQL

PAYMENTS: Final[Any] = PaymentTransaction.__table__
DAY: Final = datetime(2026, 11, 27, tzinfo=UTC)
WHOLE: Final = ("--from", "2026-11-27T00:00Z", "--to", "2026-11-27T23:59:59.999Z")
CANARY: Final = "c4n4ry"
ANSWERS: Final[Mapping[str, Any]] = {
    "/payments/payme/webhook": {"error": {"code": -32504}},
    "/payments/click/webhook": {"error": -1},
    "/other": {"error": {"code": -32504}},
    "/open": {"result": {}},
}


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database with the table of payments, once on each."""
    engine = create_engine(url, poolclass=NullPool)
    run_migrations(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """The same on SQLite alone."""
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}", poolclass=NullPool)
    run_migrations(engine)
    yield engine
    engine.dispose()


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def payment(id: str, at: datetime = DAY, late: timedelta = timedelta(), **values: Any) -> dict[str, Any]:
    """A payment that Payme made at `at`, and that the shop stored `late`."""
    return {
        "gateway": "payme",
        "transaction_id": id,
        "account_id": "1",
        "amount_tiyin": 500_000,
        "account": {"order_id": "1"},
        "state": 1,
        "extra_data": {},
        "created_at": at + late,
        "updated_at": at + late,
        "provider_time": round(at.timestamp() * 1000),
        "lifetime": HALF_DAY,
        "version": 1,
        **values,
    }


def store(engine: Engine, payments: Sequence[dict[str, Any]], table: Any = PAYMENTS) -> None:
    with engine.begin() as connection:
        connection.execute(insert(table), payments)


# The URL


ALIASES: Final = {
    "sqlite": ("sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"),
    "postgresql": ("postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"),
    "mysql": ("mysql", "mariadb", "mysql+asyncmy", "mysql+aiomysql", "mysql+pymysql"),
}


def test_a_shops_url_is_taken_as_it_stands(url: str) -> None:
    backend = make_url(url).get_backend_name()
    for name in ALIASES[backend]:
        run("migrate", make_url(url).set(drivername=name).render_as_string(hide_password=False))
    assert "All is well" in run("doctor", environment={"DATABASE_URL": f" {url}\n"})


def test_an_async_drivers_own_options_are_translated() -> None:
    given = "postgresql+asyncpg://u:p@h/d?ssl=require&prepared_statement_cache_size=0&application_name=shop"
    assert reachable(given).query == {"sslmode": "require", "application_name": "shop"}
    assert reachable("mysql+asyncmy://u:p@h/d?charset=utf8mb4").query == {"charset": "utf8mb4"}


REFUSED: Final = {
    "nonsense": (CANARY, "this is no database's URL"),
    "port": (f"postgresql://shop:{CANARY}@h:{CANARY}/d", "this is no database's URL"),
    "two at": (f"postgresql://shop:x@{CANARY}@h/d", "write @ as %40"),
    "unsupported": (f"oracle://shop:{CANARY}@h/d", "not oracle"),
    "no such driver": (f"postgresql+best://shop:{CANARY}@h/d", "knows no driver postgresql+best"),
    "not installed": (
        f"postgresql+pg8000://shop:{CANARY}@h/d",
        "postgresql+pg8000 is not installed: install it, or write postgresql://…",
    ),
    "in memory": ("sqlite://", "new and empty each time"),
    "wrong option": (f"mysql://shop:{CANARY}@127.0.0.1:1/d?colour={CANARY}", "colour"),
    "no server": (f"postgresql://shop:{CANARY}@127.0.0.1:1/d?application_name={CANARY}", "shop:***@127.0.0.1:1/d says"),
    "no mariadb": (f"mysql://shop:{CANARY}@127.0.0.1:1/d", "shop:***@127.0.0.1:1/d says"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("command", ["migrate", "doctor", "statement"])
def test_a_url_that_cannot_be_used_is_told_without_the_password(case: str, command: str) -> None:
    given, said = REFUSED[case]
    told = run(command, given, *(WHOLE if command == "statement" else ()), code=1 if command == "doctor" else 2)
    assert said in told
    assert CANARY not in told


@pytest.mark.parametrize("server", [POSTGRESQL, MARIADB], ids=["postgresql", "mariadb"])
def test_what_a_server_says_holds_no_password(request: pytest.FixtureRequest, server: Any) -> None:
    request.getfixturevalue("postgresql" if server is POSTGRESQL else "mariadb")  # skipped where none answers
    url = server.set(database=f"no_such_{CANARY}", password=f"no_such_{CANARY}").render_as_string(hide_password=False)
    told = run("migrate", url, code=2)
    assert "***" in told
    assert f"no_such_{CANARY}" not in told.replace(f"/no_such_{CANARY}", "").replace(f'"no_such_{CANARY}"', "")


def test_a_file_that_is_not_there_is_made_by_migrate_alone(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    assert "there is no file" in run("doctor", f"sqlite:///{file}", code=1)
    assert "there is no file" in run("statement", f"sqlite:///{file}", *WHOLE, code=2)
    assert not file.exists()
    run("migrate", f"sqlite:///{file}")
    assert "All is well" in run("doctor", f"sqlite:///file:{file}?mode=ro&uri=true")


BLOCKED: Final = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from paytechuz.cli import main
main()
"""


@pytest.mark.parametrize(
    ("missing", "url", "said"),
    [
        ("sqlalchemy", "sqlite:///shop.db", 'pip install "paytechuz[fastapi]"'),
        ("alembic", "sqlite:///shop.db", 'pip install "paytechuz[fastapi]"'),
        ("psycopg,psycopg2", "postgres://h/d", 'a driver for postgresql is missing: pip install "psycopg[binary]"'),
        ("pymysql,MySQLdb", "mysql://h/d", "a driver for mysql is missing: pip install pymysql"),
    ],
    ids=["sqlalchemy", "alembic", "postgresql", "mysql"],
)
@pytest.mark.parametrize("command", ["migrate", "doctor", "statement"])
def test_what_is_not_installed_is_told_with_the_fix(missing: str, url: str, said: str, command: str) -> None:
    arguments = [sys.executable, "-c", BLOCKED, missing, command, url, *(WHOLE if command == "statement" else ())]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
    finding = command == "doctor" and missing not in ("sqlalchemy", "alembic")  # the doctor can still speak
    assert ended.returncode == (1 if finding else 2), ended
    assert said in plain(ended.stdout + ended.stderr)
    assert "Traceback" not in ended.stderr


def test_the_driver_that_is_installed_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert reachable("postgresql://h/d").drivername == "postgresql+psycopg2"
    monkeypatch.undo()
    assert reachable("postgresql+asyncpg://h/d").drivername == "postgresql+psycopg"


def test_nobody_needs_sqlalchemy_for_the_other_commands() -> None:
    look = "import sys, paytechuz.cli.app; print('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == "False\n"


# migrate


def test_migrate_says_what_it_did(url: str) -> None:
    said = run("migrate", url)
    assert "made the table payments (paytechuz_0001)" in said
    assert inspect(create_engine(url, poolclass=NullPool)).has_table("payments")
    assert "is up to date (paytechuz_0001)" in run("migrate", url)
    assert (make_url(url).password or "no password") not in said


def test_migrate_takes_over_a_table_that_somebody_made(url: str) -> None:
    PAYMENTS.metadata.create_all(create_engine(url, poolclass=NullPool))
    assert "was there, and is right; from now on its version is kept (paytechuz_0001)" in run("migrate", url)
    assert "is up to date" in run("migrate", url)


def test_migrate_leaves_another_programs_table_alone(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE payments (id INTEGER)"))
    assert "another program's" in run("migrate", url_of(engine), code=2)
    assert [each["name"] for each in inspect(engine).get_columns("payments")] == ["id"]


def test_an_upgrade_is_told_by_its_versions() -> None:
    said = database.done("paytechuz_0001", "paytechuz_0002", "sqlite:///shop.db", there=True)
    assert said == "sqlite:///shop.db: upgraded the table payments from paytechuz_0001 to paytechuz_0002"


# doctor


def test_a_right_database_is_well(engine: Engine) -> None:
    store(engine, [payment("a", late=timedelta(seconds=1))])
    said = run("doctor", url_of(engine)).splitlines()
    assert {line.split()[0] for line in said[:-1] if not line.startswith(" ")} == {"ok"}
    assert said[-1] == "All is well."
    for about in ("database", "table payments", "clock"):
        assert any(about in line for line in said), about


def test_what_is_wrong_in_a_database_is_told(engine: Engine) -> None:
    store(engine, [payment("a", late=timedelta(hours=5))])
    assert "5 h 0 min ahead of Payme's" in run("doctor", url_of(engine), code=1)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE payments"))
    said = run("doctor", url_of(engine), code=1)
    assert "there is no table 'payments': run `paytechuz migrate`" in said
    assert "mend what is WRONG above" in said


@pytest.mark.parametrize("url", ["mysql+pymysql"], indirect=True)
def test_orders_that_cannot_commit_with_payments_are_told(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER) ENGINE=MyISAM"))
    assert "All is well" in run("doctor", url_of(engine))
    assert "no database transactions in orders" in run("doctor", url_of(engine), "--orders", "orders", code=1)


@pytest.fixture
def empty(url: str) -> str:
    """The URL of a database that is there, without a table."""
    if (parts := make_url(url)).get_backend_name() == "sqlite":
        Path(parts.database or "").touch()
    return url


def test_a_table_of_another_name_is_looked_at(empty: str) -> None:
    url = empty
    engine = create_engine(url, poolclass=NullPool)
    assert "there is no table 'paid': make it as" in run("doctor", url, "--table", "paid", code=1)
    paid = table_named("paid")
    paid.create(engine)
    store(engine, [payment("a")], paid)
    schema = inspect(engine).default_schema_name
    for name in ("paid", f"{schema}.paid"):
        assert "All is well" in run("doctor", url, "--table", name)
        assert ids(url, "--table", name) == ["a"]


class Endpoints(BaseHTTPRequestHandler):
    """Answers as `ANSWERS` says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = ANSWERS.get(self.path)
        body = json.dumps(answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the endpoints on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoints) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_endpoints_are_called_where_a_site_is_named(sqlite: Engine) -> None:
    with served() as site:
        said = run("doctor", "--url", site)
        assert said.count("refuses a wrong key") == 2
        assert "database" not in said
        assert run("doctor", url_of(sqlite), "--url", f"{site}/").count("\nok") == 5
        assert run("doctor", "--url", site, "--payme-path", "other").count("refuses a wrong key") == 1
        assert "was let in" in run("doctor", "--url", site, "--payme-path", "/open", code=1)
        assert "HTTP 404" in run("doctor", "--url", site, "--click-path", "/nowhere", code=1)
    assert "ConnectionRefusedError" in run("doctor", "--url", site, code=1)


def test_a_doctor_needs_something_to_look_at() -> None:
    assert "give DATABASE_URL, --url, or both" in run("doctor", code=2)
    assert "beside --url" in run("doctor", "sqlite:///x", "--payme-path", "/x", code=2)
    assert "not an address" in run("doctor", "--url", "shop.example", code=2)


# statement


def ids(url: str, *arguments: str) -> list[str]:
    """Name the payments in a statement."""
    said = run("statement", url, *WHOLE, "--csv", *arguments)
    return [row["transaction_id"] for row in csv.DictReader(io.StringIO(said, newline=""))]


def test_a_statement_has_every_state_by_paymes_time_and_both_ends(engine: Engine) -> None:
    day = timedelta(days=1)
    store(
        engine,
        [
            payment("next day", DAY + day),
            payment("last", DAY + day - timedelta(milliseconds=1), state=-2, reason=5),
            payment("paid", DAY + timedelta(hours=2), late=2 * day, state=2),
            payment("first", state=-1, reason=4),
            payment("day before", DAY - timedelta(milliseconds=1)),
            payment("click", gateway="click", provider_time=None),
        ],
    )
    url = url_of(engine)
    assert ids(url) == ["first", "paid", "last"]
    assert ids(url, "--gateway", "click") == ["click"]
    table = run("statement", *WHOLE, environment={"DATABASE_URL": url}).splitlines()
    assert (len(table), table[-1]) == (5, "3 transactions; 1 of them paid, 5,000.00 som")


def test_a_date_is_a_whole_day_of_the_zone_that_is_named(sqlite: Engine) -> None:
    tashkent = DAY - timedelta(hours=5)
    day, moment = timedelta(days=1), timedelta(milliseconds=1)
    store(
        sqlite, [payment("first", tashkent), payment("last", tashkent + day - moment), payment("next", tashkent + day)]
    )
    asked = ("statement", url_of(sqlite), "--from", "2026-11-27", "--to", "2026-11-27", "--zone")
    said = run(*asked, "Asia/Tashkent", "--csv")
    assert [row["transaction_id"] for row in csv.DictReader(io.StringIO(said))] == ["first", "last"]
    assert "2026-11-27T00:00:00.000+05:00" in said
    assert "2026-11-26 " not in run(*asked, "Asia/Tashkent")
    assert "2 transactions" in run(*asked, "UTC")
    assert "no time zone" in run(*asked, "Tashkent", code=2)
    assert "'soon' is no date" in run("statement", url_of(sqlite), "--from", "soon", "--to", "2026-11-27", code=2)


def test_a_date_is_a_whole_day_of_this_machine_s_otherwise(sqlite: Engine) -> None:
    midnight = datetime(2026, 11, 27).astimezone()
    store(sqlite, [payment("first", midnight), payment("next", midnight + timedelta(days=1))])
    assert "1 transactions" in run("statement", url_of(sqlite), "--from", "2026-11-27", "--to", "2026-11-27")


def test_a_statement_without_a_table_is_told(empty: str) -> None:
    assert "there is no table 'payments': run `paytechuz migrate`" in run("statement", empty, *WHOLE, code=2)


def is_streamed(cursor: Any) -> bool:
    """Tell whether a driver's cursor leaves the rows at the server: psycopg's have names, pymysql's another class."""
    return getattr(cursor, "name", None) is not None or type(cursor).__name__ == "SSCursor"


@pytest.mark.parametrize("sync_url", ["postgresql+psycopg2", "postgresql+psycopg", "mysql+pymysql"], indirect=True)
def test_the_rows_of_a_statement_stay_at_the_server(sync_url: str) -> None:
    engine = create_engine(sync_url, poolclass=NullPool)
    run_migrations(engine)
    store(engine, [payment(str(number)) for number in range(3)])
    seen: dict[bool, set[str]] = {True: set(), False: set()}

    def listen(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        del connection
        seen[is_streamed(cursor)].add(" ".join(statement.split()))

    event.listen(Engine, "after_cursor_execute", listen)
    try:
        assert ids(sync_url) == ["0", "1", "2"]
    finally:
        event.remove(Engine, "after_cursor_execute", listen)
    (streamed,) = seen[True]
    assert re.search("FROM payments .*ORDER BY", streamed)
    assert seen[False], "what is no statement is not streamed, or this test could not tell"


MANY: Final = """
INSERT INTO payments (gateway, transaction_id, account_id, amount_tiyin, account, state, extra_data, created_at,
                      updated_at, provider_time, lifetime, version)
WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :count)
SELECT 'payme', number, '1', 500000, '{"order_id": "1"}', 2, '{}', '2026-11-27 00:00:00.000000',
       '2026-11-27 00:00:00.000000', :first + number, 43200000, 1 FROM numbers
"""


MEASURED: Final = """
import re
import sys
from pathlib import Path
from paytechuz.cli.app import app
from paytechuz_core.sql import reports
if sys.argv.pop(1) == "whole":  # a statement that is read before it is written
    streamed = reports.statement
    reports.statement = lambda *asked: iter(list(streamed(*asked)))
app(standalone_mode=False)
sys.stderr.write(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak(folder: Path, count: int, *, read: str = "streamed") -> int:
    """Give the most memory, in KiB, that a process ever had whose statement is of so many transactions."""
    engine = create_engine(f"sqlite:///{folder / f'{count}.db'}", poolclass=NullPool)
    if not inspect(engine).has_table("payments"):
        run_migrations(engine)
        with engine.begin() as connection:
            connection.execute(text(MANY), {"count": count, "first": round(DAY.timestamp() * 1000)})
    command = [sys.executable, "-c", MEASURED, read, "statement", url_of(engine), *WHOLE, "--csv"]
    with (folder / "statement").open("w") as file:
        ended = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    with (folder / "statement").open() as file:
        assert sum(1 for _ in file) == count + 1
    return int(ended.stderr)


BOUND: Final = 4_000
"""KiB: what a statement that is read whole needs for some five thousand transactions."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process needed")
def test_a_statement_of_any_length_needs_the_same_memory(tmp_path: Path) -> None:
    small, large = (peak(tmp_path, count) for count in (10_000, 60_000))
    assert large - small < BOUND
    assert peak(tmp_path, 10_000, read="whole") - small > BOUND, "what is read whole must be found out"


def test_who_reads_no_further_sees_no_traceback(engine: Engine) -> None:
    store(engine, [payment(str(number), DAY + timedelta(milliseconds=number)) for number in range(5_000)])
    command = [sys.executable, "-m", "paytechuz", "statement", url_of(engine), *WHOLE, "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"gateway,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("command", ["migrate", "doctor", "statement"])
def test_the_help_shows_an_example(command: str) -> None:
    said = run(command, "--help")
    assert re.search(rf"\n +paytechuz {command} .*sqlite:///shop.db", said)
    assert "DATABASE_URL" in said
