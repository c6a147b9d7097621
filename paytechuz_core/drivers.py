"""What an error of a database means: read off the driver's own error, whatever ORM wraps it.

A conflict means that another request won: roll back and start over. Where the server is gone, or may not be written to
any more (the primary has moved, and this one stayed behind), start over too, on a new connection: the old one would say
the same for ever. A duplicate means that a unique key is taken. Of our own statements a duplicate is a conflict; inside
a hook a duplicate, and a read-only database transaction, may be the merchant's own doing.
"""

from typing import Final

CONFLICTING_STATES: Final = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization failure, deadlock."""

CONFLICTING_NUMBERS: Final = frozenset({1020, 1205, 1213})
"""MariaDB and MySQL: record changed since read, lock wait timeout, deadlock."""

SQLITE_BUSY_OR_LOCKED: Final = frozenset({5, 6})

GONE_STATES: Final = frozenset({"08000", "08003", "08006", "08007", "40003", "57P01", "57P02"})
"""SQLSTATE: five words for a lost connection, two of which leave the outcome open; the server stops, or has crashed."""

GONE_NUMBERS: Final = frozenset({1047, 1053, 1927, 2006, 2013})
"""MariaDB and MySQL: node left its cluster, server stops, connection killed, server gone, connection lost."""

READ_ONLY_STATE: Final = "25006"
READ_ONLY_NUMBERS: Final = frozenset({1290, 1836})
"""MariaDB and MySQL: an option of the server forbids it (among others `read_only`); the server is read-only."""

DUPLICATE_STATE: Final = "23505"
DUPLICATE_NUMBER: Final = 1062
SQLITE_DUPLICATES: Final = frozenset({1555, 2067})
"""SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE."""


def is_conflict(error: BaseException | None) -> bool:
    """Tell whether a driver's error means that another request won."""
    sqlite = sqlite_code(error)
    return (
        sqlstate(error) in CONFLICTING_STATES
        or number(error) in CONFLICTING_NUMBERS
        or (sqlite is not None and sqlite & 0xFF in SQLITE_BUSY_OR_LOCKED)
    )


def is_gone(error: BaseException | None) -> bool:
    """Tell whether a driver's error means that the server is gone, though the connection may look alive."""
    return sqlstate(error) in GONE_STATES or number(error) in GONE_NUMBERS


def is_read_only(error: BaseException | None) -> bool:
    """Tell whether a driver's error means that nothing can be written there."""
    if number(error) in READ_ONLY_NUMBERS:
        # 1290 has its word for every option that can forbid something.
        return "read-only" in str(error).replace("_", "-").lower()
    return sqlstate(error) == READ_ONLY_STATE


def is_duplicate(error: BaseException | None) -> bool:
    """Tell whether a driver's error means that a unique key is taken."""
    return (
        sqlstate(error) == DUPLICATE_STATE
        or number(error) == DUPLICATE_NUMBER
        or sqlite_code(error) in SQLITE_DUPLICATES
    )


def sqlstate(error: BaseException | None) -> str | None:
    """Give PostgreSQL's code, as psycopg, psycopg2 and asyncpg name it."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def number(error: BaseException | None) -> int | None:
    """Give MariaDB's and MySQL's number."""
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


def sqlite_code(error: BaseException | None) -> int | None:
    """Give SQLite's extended error code."""
    return getattr(error, "sqlite_errorcode", None)
