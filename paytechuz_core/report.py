"""Transactions as a report: `csv_lines` for a spreadsheet, `table_lines` for a terminal.

Both take transactions one by one and give lines one by one, so that a year of payments needs no more memory than a day.
What a payer typed stands in a report, so both see to it that a text stays a text: no formula, no escape sequence.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from paytechuz_core.money import tiyin_to_som
from paytechuz_core.transaction import Millis, State, Transaction, datetime_to_millis, millis_to_datetime

COLUMNS: Final = (
    "gateway",
    "transaction_id",
    "account_id",
    "amount",
    "state",
    "reason",
    "provider_time",
    "created_at",
    "performed_at",
    "cancelled_at",
    "account",
)
"""The columns of the CSV, named as a transaction's attributes."""

FORMULA: Final = re.compile(r'(^|[;\t\r\n])(?=["\s]*[=+\-@＝＋－＠])|^(?=[\t\r\n])')
"""Where a spreadsheet may begin to read a formula: at the start of a cell, and where a cell may be cut in two.

A program set to Russian or Uzbek cuts at semicolons, whatever is quoted.
"""


MILLIS: Final = re.compile(r"[0-9]{13}", re.ASCII)
DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Line:
    """What `csv.writer` writes to: gives the line back instead of keeping it."""

    def write(self, line: str) -> str:
        """Give it back."""
        return line


def window_of(start: str, end: str, aware: Callable[[datetime], datetime]) -> tuple[Millis, Millis]:
    """Read from when to when a report goes, both ends included.

    Each is a date (the whole day), a date and time by ISO 8601, or 13 digits of milliseconds since 1970. `aware` gives
    a time without an offset its zone. Raises ValueError.
    """
    return moment_of(start, aware), moment_of(end, aware, last=True)


def moment_of(text: str, aware: Callable[[datetime], datetime], *, last: bool = False) -> Millis:
    """Read a moment; of a date, its first millisecond or its `last`."""
    if MILLIS.fullmatch(text):
        return int(text)
    try:
        if not DATE.fullmatch(text):
            moment = datetime.fromisoformat(text)
            return datetime_to_millis(moment if moment.tzinfo else aware(moment))
        midnight = datetime.fromisoformat(text)
        return datetime_to_millis(aware(midnight + timedelta(days=last))) - last
    except (ValueError, OverflowError) as error:
        message = (
            f"{text!r} is no date (2026-11-27), no time (2026-11-27T10:00, with +05:00 or without) and no milliseconds "
            "since 1970 (1795766400000)"
        )
        raise ValueError(message) from error


def timed_by(gateway: str) -> str:
    """Name the column that puts a gateway's transactions in order: Click tells no time of its own."""
    return "provider_time" if gateway == "payme" else "created_at"


def csv_lines(transactions: Iterable[Transaction], zone: tzinfo | None = UTC) -> Iterator[str]:
    r"""Give the lines of a CSV (RFC 4180), each with its line end; the first has the names of the columns.

    Amounts are exact som (`5000.00`), times ISO 8601 with their offset (`2026-01-02T08:04:05.678+05:00` for `zone`
    Asia/Tashkent). A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    writer: Any = csv.writer(Line())
    yield writer.writerow(COLUMNS)
    for each in transactions:
        yield writer.writerow(
            (
                harmless(each.gateway),
                harmless(each.transaction_id),
                harmless(str(each.account_id)),
                each.amount,
                State(each.state).name,
                each.reason,
                iso(each.provider_time, zone),
                iso(each.create_time, zone),
                iso(each.perform_time, zone),
                iso(each.cancel_time, zone),
                harmless(json.dumps(each.account, ensure_ascii=False)),
            )
        )


def harmless(text: str) -> str:
    """Let no spreadsheet take a text for a formula."""
    return FORMULA.sub(r"\1'", text)


def iso(moment: Millis | None, zone: tzinfo | None) -> str:
    """Write a time exactly, or nothing where there is none."""
    return "" if moment is None else local(moment, zone).isoformat(timespec="milliseconds")


def table_lines(transactions: Iterable[Transaction], zone: tzinfo | None = UTC) -> Iterator[str]:
    """Give the lines of a table, without line ends: a head, the transactions, and how many of them are paid how much.

    Columns have fixed widths, because what comes is not known before it is written; a longer text moves its line's rest
    to the right.
    """
    count = paid = tiyin = 0
    yield row("created", "provider", "id", "order", "som", "state", "reason")
    for each in transactions:
        count += 1
        if each.state is State.SUCCESSFULLY:
            paid += 1
            tiyin += each.amount_tiyin
        yield row(
            f"{local(each.create_time, zone):%Y-%m-%d %H:%M:%S}",
            printable(each.gateway),
            printable(each.transaction_id),
            printable(str(each.account_id)),
            f"{each.amount:,}",
            State(each.state).name,
            "" if each.reason is None else str(each.reason),
        )
    yield f"{count} transactions; {paid} of them paid, {tiyin_to_som(tiyin):,} som"


def row(created: str, provider: str, id: str, order: str, som: str, state: str, reason: str) -> str:
    """Write one line of the table."""
    return f"{created:19}  {provider:8}  {id:24}  {order:12}  {som:>18}  {state:21}  {reason}".rstrip()


def printable(text: str) -> str:
    """Let no text command the terminal that shows it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def local(moment: Millis, zone: tzinfo | None) -> datetime:
    """Give a time in a zone; None is the server's own."""
    return millis_to_datetime(moment).astimezone(zone)
