"""What databases call a conflict, and what a duplicate: read off a driver's own error, whatever ORM wraps it.

A conflict means that another request won: roll back and start over. A duplicate means that a unique key is taken; of
our own insert it is a conflict, inside a hook it is the merchant's bug.
"""

from typing import Final

CONFLICTING_STATES: Final = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization failure, deadlock."""

CONFLICTING_NUMBERS: Final = frozenset({1020, 1047, 1205, 1213})
"""MariaDB and MySQL: record changed since read, node not ready, lock wait timeout, deadlock."""

SQLITE_BUSY_OR_LOCKED: Final = frozenset({5, 6})

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
