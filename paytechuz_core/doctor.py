"""What a doctor finds in a shop, whatever its framework: plain data in, findings out.

Each function looks at one thing and says what it saw, whether that is right, and what to do where it is not. Nothing
here connects to anything: who has the database describes the table, and who can reach the endpoint gives a `Send`.
No finding ever shows a key.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median_low
from textwrap import wrap
from typing import Any, Final, NamedTuple, TypeAlias

from paytechuz_core.outbound import Send
from paytechuz_core.report import printable
from paytechuz_core.rows import INDEXES, TEXT_KEYS, TIMES, Seen, misfit
from paytechuz_core.transaction import Millis

MINUTE: Final[Millis] = 60_000
HOUR: Final[Millis] = 60 * MINUTE
CLOCK_LIMIT: Final = 5 * MINUTE
"""How far apart Payme's clock and the shop's may be; a call's own way takes seconds."""

RECENT: Final = 20
"""How many of the latest transactions tell what the clock is like now."""


class Health(StrEnum):
    """How what was looked at is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, what was seen, and the fix where there is one to make."""

    about: str
    health: Health
    seen: str
    fix: str = ""


def ok(about: str, seen: str) -> Finding:
    """Find that something is as it should be."""
    return Finding(about, Health.OK, seen)


def warning(about: str, seen: str, fix: str) -> Finding:
    """Find what works, but not as it should."""
    return Finding(about, Health.WARNING, seen, fix)


def wrong(about: str, seen: str, fix: str) -> Finding:
    """Find what will lose payments, or money."""
    return Finding(about, Health.WRONG, seen, fix)


# The keys


def look_at_keys(about: str, setting: str, keys: Callable[[], Iterable[Any]]) -> Finding:
    """Look at the keys that `setting` gives now."""
    try:
        valid = [key for key in keys() if key]
    except Exception as error:  # noqa: BLE001 - the shop's own code, whose text could quote a key
        return wrong(
            about, f"{setting} raises {type(error).__name__}", "call it in a shell: it must always give the keys"
        )
    if not all(isinstance(key, str) for key in valid):
        return wrong(about, f"{setting} gives what is no text", f"let {setting} give the key, or a list of keys")
    if not valid:
        return wrong(about, f"{setting} gives no key, so every call is refused", f"let {setting} give the valid keys")
    if any(map(is_placeholder, valid)):
        return warning(about, f"{setting} looks like an example, not like a key", REAL_KEY)
    return ok(about, "1 key is valid" if len(valid) == 1 else f"{len(valid)} keys are valid: remove the old ones soon")


REAL_KEY: Final = "take the key from the provider's cabinet, and keep it out of the code: in an environment variable"

TELLING: Final = re.compile(r"change|dummy|example|fake|fixme|insert|placeholder|replace|sample|todo|your")
PLAIN: Final = re.compile(
    r"(?:api|cash|click|for|id|key|live|merchant|my|of|pass|password|paycom|payme|paytechuz|prod|production|register|"
    r"sandbox|secret|service|shop|test|testing|the|token|uz|value|[^a-z])+"
)


def is_placeholder(key: str) -> bool:
    """Tell whether a key is one that somebody wrote instead of it: "your_payme_key", "secret", "xxx", "12345"."""
    text = key.lower()
    return (
        TELLING.search(text) is not None
        or (PLAIN.fullmatch(text) is not None and re.search("[a-z]{3}", text) is not None)
        or len(set(text)) == 1
        or "1234567890".startswith(text)
    )


# The table


Query: TypeAlias = Callable[[str, tuple[str | None, str]], Sequence[Any]]
"""Asks MariaDB or MySQL about a table, with its schema (None is the connection's own) and its name; gives the rows."""

COLUMNS_OF: Final = (
    "SELECT column_name, collation_name, datetime_precision FROM information_schema.columns"
    " WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s"
)
ENGINE_OF: Final = (
    "SELECT engine FROM information_schema.tables WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s"
)
BYTEWISE: Final = re.compile(r"\w+_nopad_bin|utf8mb4_0900_bin|binary")
WITHOUT_TRANSACTIONS: Final = frozenset({"ARCHIVE", "ARIA", "BLACKHOLE", "CSV", "MEMORY", "MRG_MYISAM", "MYISAM"})


def with_mysqls_own(seen: Seen, query: Query, table: str, schema: str | None = None) -> Seen:
    """Add what only MariaDB and MySQL have."""
    rows = query(COLUMNS_OF, (schema, table))
    return replace(
        seen,
        collations={name: collation for name, collation, _ in rows if collation is not None},
        digits={name: digits for name, _, digits in rows if digits is not None},
    )


def engine_of(query: Query, table: str, schema: str | None = None) -> str | None:
    """Ask MariaDB or MySQL for the storage engine of a table; a view has none."""
    rows = query(ENGINE_OF, (schema, table))
    return rows[0][0] if rows else None


def look_at_table(seen: Seen, columns: Iterable[str], fix: str) -> Iterator[Finding]:
    """Look at the table of payments; `columns` must be there, `fix` is how the table is made: "run `migrate`"."""
    about = f"table {seen.name}"
    if (error := misfit(seen, columns, fix)) is not None:
        yield wrong(about, str(error), "")
        return
    yield ok(about, f"{len(seen.columns)} columns, and both unique keys")
    slow = [wanted for wanted in INDEXES if not any(tuple(each[: len(wanted)]) == wanted for each in seen.indexes)]
    for each in slow:
        names = ", ".join(each)
        fix = f"CREATE INDEX ix_{seen.name}_{each[-1]} ON {seen.name} ({names})"
        yield warning(about, f"no index on ({names}), so some calls are slow", fix)
    if not slow:
        yield ok(about, "both indexes")
    yield from look_at_mysql_table(about, seen)


def look_at_mysql_table(about: str, seen: Seen) -> Iterator[Finding]:
    """Look at what MariaDB and MySQL may have otherwise."""
    loose = {name: kind for name, kind in seen.collations.items() if name in TEXT_KEYS and not BYTEWISE.fullmatch(kind)}
    if loose:
        shown = ", ".join(f"{name} ({kind})" for name, kind in sorted(loose.items()))
        yield wrong(
            about,
            f"the collation of {shown} finds different texts equal, so one payment could be taken for another",
            "change these columns to utf8mb4_nopad_bin (MariaDB) or utf8mb4_0900_bin (MySQL)",
        )
    elif seen.collations:
        yield ok(about, "its texts compare byte for byte")
    if coarse := sorted(name for name in TIMES.values() if seen.digits.get(name, 3) < 3):  # noqa: PLR2004 - milliseconds
        yield wrong(
            about,
            f"{', '.join(coarse)} cannot hold milliseconds, so a repeated call would get another answer",
            "change these columns to DATETIME(3)",
        )


def look_at_transactions(database: str, problem: str | None, engines: Mapping[str, str | None]) -> Finding:
    """Look at what makes payment and order one: `problem` is the framework's word, `engines` are MySQL's, by table."""
    about = f"database {database}"
    if problem is not None:
        return wrong(about, problem, "")
    bad = sorted(table for table, engine in engines.items() if engine and engine.upper() in WITHOUT_TRANSACTIONS)
    if bad:
        fix = "; ".join(f"ALTER TABLE {table} ENGINE=InnoDB" for table in bad)
        return wrong(about, f"no database transactions in {', '.join(bad)} ({engines[bad[0]]})", fix)
    return ok(about, "has database transactions: a payment and what your hook writes are saved together")


# The clock


def look_at_clock(times: Sequence[tuple[Millis, Millis]]) -> Finding:
    """Compare Payme's `provider_time` and our own `create_time` of the latest transactions.

    By the median: a call that Payme had to repeat comes late, and what was stored before the clock was mended is old.
    """
    if not times:
        return ok("clock", "no transaction of Payme's yet to compare it with")
    off = median_low([ours - theirs for theirs, ours in times])
    by = f"by the median of the latest {len(times)}"
    if abs(off) <= CLOCK_LIMIT:
        return ok("clock", f"agrees with Payme's, {by}")
    hint = " (five hours is Tashkent: local time taken for UTC)" if abs(abs(off) - 5 * HOUR) <= CLOCK_LIMIT else ""
    return wrong(
        "clock",
        f"{span(abs(off))} {'ahead of' if off > 0 else 'behind'} Payme's, {by}{hint}",
        "set the server's clock by NTP (`timedatectl set-ntp true`) and let it keep UTC: the 12 hours of an unpaid "
        "payment are counted by it",
    )


def span(millis: Millis) -> str:
    """Write a span of time for people."""
    hours, minutes = divmod(millis // MINUTE, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


# The endpoint


class Probe(NamedTuple):
    """A call with a wrong key that changes nothing even where no key is asked for, and how it must be refused."""

    provider: str
    body: bytes
    headers: Mapping[str, str]
    refusals: tuple[int, ...]
    failure: int


PROBES: Final[Mapping[str, Probe]] = {
    "payme": Probe(
        "Payme",
        b'{"jsonrpc":"2.0","id":1,"method":"CheckTransaction","params":{"id":"paytechuz-doctor"}}',
        {
            "Content-Type": "application/json",
            "Authorization": f"Basic {b64encode(b'Paycom:a wrong key of the doctor').decode()}",
        },
        refusals=(-32504,),
        failure=-32400,
    ),
    "click": Probe(
        "Click",
        b"click_trans_id=1&service_id=1&click_paydoc_id=1&merchant_trans_id=paytechuz-doctor&amount=1.00&action=0"
        b"&error=0&error_note=&sign_time=2026-01-01+00%3A00%3A00&sign_string=00000000000000000000000000000000",
        {"Content-Type": "application/x-www-form-urlencoded"},
        refusals=(-1, -8),
        failure=-7,
    ),
}
"""By the gateway's name."""

REDIRECT: Final = (
    "providers follow no redirect: give the cabinet the address as it is routed, slash and https included; behind a "
    "proxy tell the framework that the call came by https (Django: SECURE_PROXY_SSL_HEADER)"
)
BEHIND: Final = "the server behind the proxy does not answer: is it running, and does the proxy know where?"
STATUSES: Final[Mapping[int, str]] = {
    301: REDIRECT,
    302: f"is it a login page? Nobody logs in to a webhook; else {REDIRECT}",
    303: REDIRECT,
    307: REDIRECT,
    308: REDIRECT,
    400: "the framework refuses the request itself: does it know this host name (Django: ALLOWED_HOSTS)?",
    401: "something asks for a login of its own before the handler: leave this path out of it",
    403: "CSRF protection, a permission or a firewall answers before the handler: leave this path out of it (Django: "
    "decorate neither the view nor its dispatch; Flask-WTF: csrf.exempt)",
    404: "this path is not routed: compare it, slash and prefix included, with the routes and with the cabinet",
    405: "this path does not take POST: is it the webhook's?",
    413: "a proxy refuses the body: leave its limit alone, the library has one",
    415: "something asks for another content type before the handler: leave this path out of it",
    429: "a rate limit answers before the handler: leave this path out of it",
    500: "an exception outside the handler: see the server's own log",
    502: BEHIND,
    503: BEHIND,
    504: BEHIND,
}
"""What answers in place of the handler, by the HTTP status."""

ELSEWHERE: Final = "something answers before the handler: leave this path out of it"


def look_at_endpoint(gateway: str, where: str, send: Send) -> Finding:
    """Call an endpoint with a wrong key: it must say no, in the provider's own words and with HTTP 200."""
    probe = PROBES[gateway]
    try:
        status, body = send(probe.body, probe.headers)
    except OSError as error:
        fix = "is the server running, and is its name, port and certificate what the provider calls?"
        return wrong(where, f"no answer to a call ({type(error).__name__})", fix)
    if status != 200:  # noqa: PLR2004 - HTTP's own number
        return wrong(where, f"HTTP {status} to a call with a wrong key", STATUSES.get(status, ELSEWHERE))
    match code_in(body):
        case None:
            return wrong(where, f"an answer of {probe.provider}'s form is missing: {what_is(body)}", ELSEWHERE)
        case code if code in probe.refusals:
            return ok(where, f"refuses a wrong key as {probe.provider} wants it ({code})")
        case code if code == probe.failure:
            return wrong(where, f"a system error ({code}) before the key is looked at", "see the log `paytechuz`")
        case code:
            return wrong(
                where,
                f"a call with a wrong key was let in (answered {code})",
                "take the endpoint offline, and route a handler of paytechuz there: anybody can mark orders paid",
            )


def code_in(body: bytes) -> int | None:
    """Find the code of an answer: Payme's result counts as 0; None where it is no answer of either provider."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    match answer:
        case {"error": {"code": int(code)}} | {"error": int(code)}:
            return code
        case {"result": dict()}:
            return 0
        case _:
            return None


def what_is(body: bytes) -> str:
    """Say what came in place of an answer; only a page's title is ever quoted."""
    text = body.decode(errors="replace")
    if title := re.search(r"<title>\s*(.{1,80}?)\s*</title>", text, re.IGNORECASE | re.DOTALL):
        return f'an HTML page, "{printable(title[1])}"'
    if "<html" in text.lower():
        return "an HTML page"
    return f"{len(body)} bytes of something else" if body else "an empty body"


# The report


def lines(findings: Iterable[Finding], width: int = 110) -> Iterator[str]:
    """Write a report: one finding after another, aligned, with the fixes; then how many are bad."""
    found = list(findings)
    left = max((len(each.about) for each in found), default=0)
    margin = " " * (9 + left + 2)
    for each in found:
        head = f"{each.health:9}{each.about:{left}}  "
        fix = f"Fix: {each.fix}" if each.fix else ""
        first, *rest = [line for text in (each.seen, fix) for line in wrap(text, max(width - len(margin), 40))]
        yield head + first
        yield from (margin + line for line in rest)
    bad = [sum(each.health is health for each in found) for health in (Health.WRONG, Health.WARNING)]
    yield f"{bad[0]} wrong, {bad[1]} to mind." if any(bad) else "All is well."


MEND: Final = "mend what is WRONG above"
"""What a command says that ends with a failure."""


def is_sick(findings: Iterable[Finding]) -> bool:
    """Tell whether anything is wrong; a warning is not."""
    return any(each.health is Health.WRONG for each in findings)
