"""Reports: what stands in them, and what cannot."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytechuz_core.report import COLUMNS, csv_lines, harmless, table_lines, timed_by, window_of
from paytechuz_core.transaction import Account, Reason, Transaction, create

BORN = 1_767_225_845_678  # 2026-01-01 00:04:05.678 UTC
ACCOUNT = Account(id=42, amount_tiyin=500_000, hold="orders:42")
FRESH = create(
    now=BORN, gateway="payme", transaction_id="5f1e2d3c4b5a69788796a5b4", account=ACCOUNT, amount_tiyin=500_000,
    received={"order_id": "42"}, provider_time=BORN - 1000,
).after  # fmt: skip
PAID = FRESH.perform(BORN + 60_000).after
REFUNDED = PAID.cancel(BORN + 120_000, Reason.REFUND).after


def read(*transactions: Transaction, zone: str = "Asia/Tashkent") -> list[dict[str, str]]:
    text = "".join(csv_lines(transactions, ZoneInfo(zone)))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_csv_says_amounts_exactly_and_times_with_their_offset() -> None:
    assert read(REFUNDED) == [
        {
            "gateway": "payme",
            "transaction_id": "5f1e2d3c4b5a69788796a5b4",
            "account_id": "42",
            "amount": "5000.00",
            "state": "CANCELLED",
            "reason": "5",
            "provider_time": "2026-01-01T05:04:04.678+05:00",
            "created_at": "2026-01-01T05:04:05.678+05:00",
            "performed_at": "2026-01-01T05:05:05.678+05:00",
            "cancelled_at": "2026-01-01T05:06:05.678+05:00",
            "account": '{"order_id": "42"}',
        }
    ]


def test_times_are_utc_by_default_and_what_did_not_happen_is_empty() -> None:
    (line,) = csv.DictReader(csv_lines([replace(FRESH, provider_time=None)]))
    assert line["created_at"] == "2026-01-01T00:04:05.678+00:00"
    assert line["provider_time"] == line["performed_at"] == line["cancelled_at"] == line["reason"] == ""


def test_no_transactions_are_a_head() -> None:
    assert list(csv_lines([])) == [",".join(COLUMNS) + "\r\n"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+998901234567", "'+998901234567"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r1", "'\r1"),
        (" =1", "' =1"),
        ('"=1', "'\"=1"),
        ("＝1", "'＝1"),
        ("1;=1", "1;'=1"),
        ("1\n=1", "1\n'=1"),
        ("42", "42"),
        ("A-42", "A-42"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_text_is_never_a_formula(typed: str, shown: str) -> None:
    assert harmless(typed) == shown
    assert read(replace(FRESH, account_id=typed))[0]["account_id"] == shown


@given(st.text(alphabet='=+-@;,"\t\r\n 1'))
def test_no_cell_is_a_formula_wherever_a_spreadsheet_cuts(typed: str) -> None:
    lines = list(csv_lines([replace(FRESH, account_id=typed, account={"order_id": typed})]))
    assert formulas("".join(lines)) == []


def test_formulas_are_noticed_where_they_are() -> None:
    assert formulas('payme,"1;=2"\r\n') == ['=2"']
    assert formulas('payme," -2"\r\n') == [" -2"]


def formulas(text: str) -> list[str]:
    """Give the cells that a spreadsheet would compute, whether it cuts at commas or at semicolons."""
    rows = [row for cut in ",;" for row in csv.reader(io.StringIO(text, newline=""), delimiter=cut)]
    return [cell for row in rows for cell in row if cell.lstrip('" \t\r\n')[:1] in {*"=+-@"}]


def test_reports_are_written_as_the_transactions_come() -> None:
    given: list[int] = []

    def transactions() -> Iterator[Transaction]:
        for number in range(1_000_000):
            given.append(number)
            yield FRESH

    for lines in (csv_lines(transactions()), table_lines(transactions())):
        given.clear()
        next(lines)
        next(lines)
        assert given == [0]


def test_a_table_is_for_people_and_says_what_was_paid() -> None:
    wallet = replace(PAID, gateway="click", transaction_id="1234567", account_id="+998 90", amount_tiyin=123_456_789)
    head, *rows, total = table_lines([PAID, wallet, REFUNDED], ZoneInfo("Asia/Tashkent"))
    assert head.split() == ["created", "provider", "id", "order", "som", "state", "reason"]
    assert [line.split("  ")[0] for line in rows] == ["2026-01-01 05:04:05"] * 3
    assert [line.split()[-2:] for line in rows][1] == ["1,234,567.89", "SUCCESSFULLY"]
    assert rows[2].split()[-2:] == ["CANCELLED", "5"]
    assert len({line.index("SUCCESSFULLY") for line in rows[:2]}) == 1
    assert total == "3 transactions; 2 of them paid, 1,239,567.89 som"


def test_no_text_commands_the_terminal() -> None:
    rows = list(table_lines([replace(FRESH, account_id="\x1b[2J\r\u202e1")]))
    assert all(line.isprintable() for line in rows)
    assert r"\x1b[2J\r\u202e1" in rows[1]


def millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def in_tashkent(moment: datetime) -> datetime:
    return moment.replace(tzinfo=ZoneInfo("Asia/Tashkent"))


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-11-27", "2026-11-27", "2026-11-27T00:00:00+05:00", "2026-11-27T23:59:59.999+05:00"),
        ("2026-12-31", "2027-01-01", "2026-12-31T00:00:00+05:00", "2027-01-01T23:59:59.999+05:00"),
        ("2026-11-27T10:00", "2026-11-27 10:30:05", "2026-11-27T10:00:00+05:00", "2026-11-27T10:30:05+05:00"),
        ("2026-11-27T10:00Z", "2026-11-27T10:00-01:00", "2026-11-27T10:00:00+00:00", "2026-11-27T11:00:00+00:00"),
        ("1795766400000", "1795766400001", "2026-11-27T08:00:00+00:00", "2026-11-27T08:00:00.001+00:00"),
    ],
)
def test_a_report_goes_from_the_first_millisecond_of_a_day_to_the_last(
    start: str, end: str, first: str, last: str
) -> None:
    assert window_of(start, end, in_tashkent) == (millis(first), millis(last))


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    def in_berlin(moment: datetime) -> datetime:
        return moment.replace(tzinfo=ZoneInfo("Europe/Berlin"))

    start, end = window_of("2026-03-29", "2026-03-29", in_berlin)
    assert end - start == 23 * 3_600_000 - 1


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "27.11.2026", "1795766400", "20261127T25", "9999-12-31", "١٧٩٥٧٦٦٤٠٠٠٠٠"]
)
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"no date \(2026-11-27\)"):
        window_of("2026-01-01", text, lambda moment: moment.replace(tzinfo=UTC))


def test_payme_counts_by_its_own_time_and_click_which_tells_none_by_ours() -> None:
    assert [timed_by("payme"), timed_by("click")] == ["provider_time", "created_at"]
