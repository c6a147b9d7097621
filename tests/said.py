"""What a database says when a statement fails, and what that means to a call; and how to let it say so."""

from typing import Final

LOST: Final = "another request won"
"""Start over."""

GONE: Final = "this server is none any more"
"""Start over, on a new connection."""

BUG: Final = "something is wrong"
"""Answer a system error, and let the log say what."""

SAID: Final[dict[str, dict[str, str]]] = {
    "postgresql": {
        "40001": LOST, "40P01": LOST,
        "08000": GONE, "08003": GONE, "08006": GONE, "08007": GONE, "40003": GONE, "57P01": GONE, "57P02": GONE,
        "55P03": BUG, "57014": BUG, "53300": BUG, "23505": BUG, "23514": BUG, "22003": BUG, "25P02": BUG, "P0001": BUG,
    },
    "mariadb": {
        "1020": LOST, "1205": LOST, "1213": LOST,
        "1047": GONE, "1053": GONE, "1927": GONE, "2006": GONE, "2013": GONE,
        "1062": BUG, "1290": BUG, "1305": BUG, "1040": BUG, "1064": BUG, "1264": BUG, "1644": BUG, "4025": BUG,
    },
}  # fmt: skip
"""By SQLSTATE on PostgreSQL, by number on MariaDB."""

READ_ONLY: Final = {
    "postgresql": [("25006", "cannot execute INSERT in a read-only transaction")],
    "mariadb": [
        ("1290", "The MariaDB server is running with the --read-only option so it cannot execute this statement"),
        ("1290", "running with the LOCK_WRITE_GROWTH or READ_ONLY option"),
        ("1836", "Running in read-only mode"),
    ],
}


def saying(database: str, code: str, words: str = "said so") -> str:
    """Write the statement with which a database raises an error of its own."""
    if database == "postgresql":
        return f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{code}'; END $$"
    return f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = '{words}'"
