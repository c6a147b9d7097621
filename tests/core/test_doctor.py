"""What the doctor says of what it is shown: each finding from a mistake that causes it, and none from a right shop."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from paytechuz_core.click import Click
from paytechuz_core.click.calls import Call as ClickCall
from paytechuz_core.click.calls import read_form
from paytechuz_core.decision import Gateway, Rejected, Snapshot
from paytechuz_core.doctor import (
    COLUMNS_OF,
    PROBES,
    STATUSES,
    Finding,
    Health,
    engine_of,
    is_placeholder,
    is_sick,
    lines,
    look_at_clock,
    look_at_endpoint,
    look_at_keys,
    look_at_table,
    look_at_transactions,
    ok,
    warning,
    with_mysqls_own,
    wrong,
)
from paytechuz_core.inbound import Inbound
from paytechuz_core.payme.calls import METHODS
from paytechuz_core.payme.calls import Call as PayCall
from paytechuz_core.rows import INDEXES, TEXT_KEYS, TIMES, UNIQUE_KEYS, Seen
from tests.core.wire import NOW, PAYME

MINUTE, HOUR = 60_000, 3_600_000
KEY: Final = "k8SJ#sj:dk?s"
COLUMNS: Final = ("id", *TEXT_KEYS, *TIMES.values(), "provider_time")
RIGHT: Final = Seen(
    name="payments",
    columns=COLUMNS,
    unique=[*UNIQUE_KEYS, ("id",)],
    indexes=[*INDEXES, ("gateway", "transaction_id")],
)
ON_MARIADB: Final = replace(
    RIGHT, collations=dict.fromkeys(TEXT_KEYS, "utf8mb4_nopad_bin"), digits=dict.fromkeys(TIMES.values(), 3)
)


def bad(findings: Sequence[Finding]) -> list[tuple[str, Health, str]]:
    """Give what is not right, with what to do."""
    return [(each.seen, each.health, each.fix) for each in findings if each.health is not Health.OK]


# The keys


@pytest.mark.parametrize(
    ("keys", "health"),
    [
        ([KEY], Health.OK),
        ([KEY, "", "m3J@a"], Health.OK),
        (["your_payme_key"], Health.WARNING),
        ([], Health.WRONG),
        ([""], Health.WRONG),
        ([KEY, 5], Health.WRONG),
    ],
)
def test_keys_are_real_texts_and_at_least_one(keys: list[Any], health: Health) -> None:
    found = look_at_keys("/payme", "payme_key", lambda: keys)
    assert found.health is health
    assert KEY not in repr(found)
    assert bool(found.fix) is (health is not Health.OK)


def test_a_function_of_keys_that_raises_is_told_without_its_text() -> None:
    def keys() -> list[str]:
        raise LookupError(KEY)

    found = look_at_keys("/payme", "payme_key", keys)
    assert (found.health, found.seen) == (Health.WRONG, "payme_key raises LookupError")


@pytest.mark.parametrize(
    "key",
    [
        "your_payme_key", "YOUR-KEY", "<payme-key>", "secret", "test", "TEST_KEY", "change-me", "xxxxxxxx", "12345",
        "replace_me", "example", "payme key 1", "mySecretKey",
    ],
)  # fmt: skip
def test_a_key_that_somebody_wrote_instead_of_it_is_noticed(key: str) -> None:
    assert is_placeholder(key)


@pytest.mark.parametrize(
    "key", [KEY, "D@hMFzJ3Nd?y5rKmS2xvQ0wbtYc&7eUg1pA%", "8aQx3nq1Zk", "93847501", "F6e1", "keyboardcat77", "1324"]
)
def test_a_key_of_a_cabinet_is_none_of_these(key: str) -> None:
    assert not is_placeholder(key)


# The table


@pytest.mark.parametrize("seen", [RIGHT, ON_MARIADB])
def test_a_right_table_has_nothing_wrong(seen: Seen) -> None:
    assert bad(list(look_at_table(seen, COLUMNS, "migrate"))) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(RIGHT, columns=()), "there is no table 'payments': migrate"),
        (replace(RIGHT, columns=COLUMNS[1:]), "it has no ['id']"),
        (replace(RIGHT, unique=UNIQUE_KEYS[:1]), "no unique keys"),
        (replace(RIGHT, unique=UNIQUE_KEYS[1:]), "no unique keys"),
        (replace(RIGHT, unique=[("gateway",), ("transaction_id",), ("hold",)]), "no unique keys"),
    ],
)
def test_a_table_that_cannot_hold_payments_is_wrong_and_nothing_else_of_it_is_looked_at(seen: Seen, said: str) -> None:
    (found,) = look_at_table(seen, COLUMNS, "migrate")
    assert found.health is Health.WRONG
    assert said in found.seen
    assert "migrate" in found.seen


@pytest.mark.parametrize(
    ("indexes", "fixes"),
    [
        ([("account_id",)], ["CREATE INDEX ix_payments_provider_time ON payments (gateway, provider_time)"]),
        ([("gateway", "provider_time", "id")], ["CREATE INDEX ix_payments_account_id ON payments (account_id)"]),
        ([("provider_time", "gateway"), ("id", "account_id")], [
            "CREATE INDEX ix_payments_provider_time ON payments (gateway, provider_time)",
            "CREATE INDEX ix_payments_account_id ON payments (account_id)",
        ]),
    ],
)  # fmt: skip
def test_an_index_that_is_missing_is_a_warning_with_the_statement_that_makes_it(
    indexes: list[tuple[str, ...]], fixes: list[str]
) -> None:
    found = bad(list(look_at_table(replace(RIGHT, indexes=indexes), COLUMNS, "migrate")))
    assert [(health, fix) for _, health, fix in found] == [(Health.WARNING, fix) for fix in fixes]


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_0900_as_cs", "latin1_bin"])
def test_a_collation_that_finds_different_texts_equal_is_wrong(collation: str) -> None:
    seen = replace(ON_MARIADB, collations={**ON_MARIADB.collations, "hold": collation, "note": "utf8mb4_general_ci"})
    ((said, health, fix),) = bad(list(look_at_table(seen, COLUMNS, "migrate")))
    assert health is Health.WRONG
    assert f"hold ({collation})" in said
    assert "note" not in said, "the shop's own columns are the shop's"
    assert "utf8mb4_nopad_bin" in fix


@pytest.mark.parametrize("collation", ["utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "utf8mb4_0900_bin", "binary"])
def test_a_collation_that_compares_byte_for_byte_is_right(collation: str) -> None:
    seen = replace(ON_MARIADB, collations=dict.fromkeys(TEXT_KEYS, collation))
    assert bad(list(look_at_table(seen, COLUMNS, "migrate"))) == []


def test_times_that_are_cut_to_seconds_are_wrong() -> None:
    seen = replace(ON_MARIADB, digits={**ON_MARIADB.digits, "performed_at": 0})
    ((said, health, _),) = bad(list(look_at_table(seen, COLUMNS, "migrate")))
    assert (health, said.partition(" ")[0]) == (Health.WRONG, "performed_at")


def test_what_only_mariadb_has_is_asked_by_schema_and_name() -> None:
    asked = []

    def query(sql: str, table: tuple[str | None, str]) -> list[tuple[Any, ...]]:
        asked.append(table)
        if sql == COLUMNS_OF:
            return [("hold", "utf8mb4_bin", None), ("created_at", None, 3), ("id", None, None)]
        return [("InnoDB",)] if table == ("shop", "orders") else []

    seen = with_mysqls_own(RIGHT, query, "payments")
    assert (seen.collations, seen.digits) == ({"hold": "utf8mb4_bin"}, {"created_at": 3})
    assert [engine_of(query, "orders", "shop"), engine_of(query, "a_view")] == ["InnoDB", None]
    assert asked == [(None, "payments"), ("shop", "orders"), (None, "a_view")]


# The database transactions


@pytest.mark.parametrize("engines", [{}, {"payments": "InnoDB", "orders": "RocksDB", "a_view": None}])
def test_a_database_with_transactions_is_right(engines: Mapping[str, str | None]) -> None:
    assert look_at_transactions("shop", None, engines).health is Health.OK


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_orders_in_an_engine_without_transactions_are_wrong(engine: str) -> None:
    found = look_at_transactions("shop", None, {"payments": "InnoDB", "orders": engine})
    assert (found.health, found.fix) == (Health.WRONG, "ALTER TABLE orders ENGINE=InnoDB")


def test_what_the_framework_says_of_transactions_is_told() -> None:
    assert look_at_transactions("shop", "AUTOCOMMIT", {}) == wrong("database shop", "AUTOCOMMIT", "")


# The clock


def created(*late: int) -> list[tuple[int, int]]:
    return [(1_700_000_000_000 + place, 1_700_000_000_000 + place + each) for place, each in enumerate(late)]


@pytest.mark.parametrize(
    "late", [(), (800,), (-300,), (5 * MINUTE,), (-5 * MINUTE,), (900, 300, 5 * HOUR, 400, 200), (-100, 0, 100)]
)
def test_a_clock_that_agrees_with_paymes_is_right_even_where_a_call_came_late(late: tuple[int, ...]) -> None:
    assert look_at_clock(created(*late)).health is Health.OK


@pytest.mark.parametrize(
    ("late", "said"),
    [
        ((5 * MINUTE + 1,), "5 min ahead of Payme's"),
        ((-6 * MINUTE, -6 * MINUTE + 100), "6 min behind Payme's"),
        ((5 * HOUR + 700, 5 * HOUR + 300, 200), "5 h 0 min ahead of Payme's"),
        ((-5 * HOUR + 700,), "4 h 59 min behind Payme's"),
    ],
)
def test_a_clock_that_is_off_is_wrong(late: tuple[int, ...], said: str) -> None:
    found = look_at_clock(created(*late))
    assert found.health is Health.WRONG
    assert found.seen.startswith(said)
    assert ("Tashkent" in found.seen) is ("h " in said)
    assert "NTP" in found.fix


# The endpoint


class Endpoint:
    """An endpoint that always answers the same, and remembers what it was asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self.answer = status, body
        self.asked: list[tuple[bytes, Mapping[str, str]]] = []

    def __call__(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        self.asked.append((body, headers))
        return self.answer


def look(gateway: str, status: int, body: bytes) -> Finding:
    return look_at_endpoint(gateway, "/webhook", Endpoint(status, body))


def served_by(gateway: Gateway[Any, Any]) -> Any:
    """Answer as this gateway does, but for a call that it lets in."""

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        try:
            gateway.parse(Inbound("POST", {name.lower(): each for name, each in headers.items()}, body))
        except Rejected as rejected:
            return 200, rejected.body
        pytest.fail("the doctor's key was taken for a right one")

    return send


@pytest.mark.parametrize(
    ("name", "gateway"),
    [
        ("payme", PAYME),
        *(("click", Click(secrets=lambda: [KEY], service_id=1, action=action)) for action in (None, 0, 1)),
    ],
)
def test_our_own_gateways_refuse_the_call_as_the_doctor_expects(name: str, gateway: Gateway[Any, Any]) -> None:
    found = look_at_endpoint(name, "/webhook", served_by(gateway))
    assert (found.health, found.about) == (Health.OK, "/webhook")
    assert f"({PROBES[name].refusals[0]})" in found.seen


def test_the_calls_change_nothing_in_a_shop_that_asks_for_no_key() -> None:
    of_payme = json.loads(PROBES["payme"].body)
    asked = PayCall(1, METHODS[of_payme["method"]].model_validate(of_payme["params"]), of_payme["params"])
    assert PAYME.decide(asked, Snapshot(), NOW).changes == ()
    of_click = ClickCall(read_form(PROBES["click"].body))
    assert Click(secrets=lambda: [KEY], service_id=1).decide(of_click, Snapshot(), NOW).changes == ()


@pytest.mark.parametrize("gateway", PROBES)
@pytest.mark.parametrize("status", [*STATUSES, 418, 204])
def test_another_status_than_200_is_wrong_and_explained(gateway: str, status: int) -> None:
    found = look(gateway, status, b'{"error":{"code":-32504}}')
    assert (found.health, found.seen) == (Health.WRONG, f"HTTP {status} to a call with a wrong key")
    assert found.fix


def test_the_likeliest_statuses_name_their_cause() -> None:
    fixes = {status: look("payme", status, b"").fix for status in (301, 403, 404, 429, 500, 400)}
    for status, word in {
        301: "slash",
        403: "CSRF",
        404: "routed",
        429: "rate",
        500: "log",
        400: "ALLOWED_HOSTS",
    }.items():
        assert word in fixes[status]


@pytest.mark.parametrize(
    ("gateway", "body", "code"),
    [
        ("payme", b'{"error":{"code":-31003}}', -31003),
        ("payme", b'{"result":{"state":1}}', 0),
        ("payme", b'{"id":1,"error":{"code":-32600,"message":{}}}', -32600),
        ("click", b'{"error":0}', 0),
        ("click", b'{"error":-5,"error_note":"no"}', -5),
    ],
)
def test_an_endpoint_that_lets_the_wrong_key_in_is_to_be_taken_offline(gateway: str, body: bytes, code: int) -> None:
    found = look(gateway, 200, body)
    assert found.health is Health.WRONG
    assert f"let in (answered {code})" in found.seen
    assert "offline" in found.fix


@pytest.mark.parametrize(
    ("gateway", "body"), [("payme", b'{"error":{"code":-32400}}'), ("click", b'{"error":-7,"error_note":""}')]
)
def test_an_endpoint_that_fails_before_it_can_refuse_is_wrong(gateway: str, body: bytes) -> None:
    found = look(gateway, 200, body)
    assert (found.health, "system error" in found.seen) == (Health.WRONG, True)
    assert "log" in found.fix


@pytest.mark.parametrize("gateway", PROBES)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><head><TITLE>\n Log in \x1b[2J</title>", 'an HTML page, "Log in \\x1b[2J"'),
        (b"<!doctype html><html lang=en>", "an HTML page"),
        (b"", "an empty body"),
        (b"OK", "2 bytes of something else"),
        (b"[]", "2 bytes of something else"),
        (b"\xff\xfe", "2 bytes of something else"),
        (b'{"error":"denied"}', "18 bytes of something else"),
    ],
)
def test_another_page_in_its_place_is_wrong_and_its_title_is_told(gateway: str, body: bytes, said: str) -> None:
    found = look(gateway, 200, body)
    assert found.health is Health.WRONG
    assert found.seen.endswith(f"is missing: {said}")


def test_an_endpoint_that_is_not_there_is_wrong() -> None:
    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        del body, headers
        raise TimeoutError

    found = look_at_endpoint("payme", "/webhook", send)
    assert (found.health, found.seen) == (Health.WRONG, "no answer to a call (TimeoutError)")


# The report


def test_a_report_is_aligned_and_says_how_much_is_wrong() -> None:
    found = [ok("clock", "agrees"), warning("/payme", "slow " * 12, "faster"), wrong("table", "gone", "make it")]
    assert list(lines(found, width=60)) == [
        "ok       clock   agrees",
        "warning  /payme  slow slow slow slow slow slow slow slow",
        "                 slow slow slow slow",
        "                 Fix: faster",
        "WRONG    table   gone",
        "                 Fix: make it",
        "1 wrong, 1 to mind.",
    ]
    assert is_sick(found)


def test_where_nothing_is_wrong_the_report_says_so() -> None:
    assert list(lines([ok("clock", "agrees")])) == ["ok       clock  agrees", "All is well."]
    assert list(lines([])) == ["All is well."]
    assert not is_sick([ok("clock", "agrees"), warning("table", "slow", "")])
