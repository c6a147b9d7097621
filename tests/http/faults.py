"""Ways to make a real database fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine

BREAK: Final = {
    "sqlite": ("CREATE TRIGGER broken BEFORE UPDATE ON payments BEGIN SELECT RAISE(FAIL, 'no disk'); END",),
    "postgresql": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no disk'; END $$",
        "CREATE TRIGGER broken BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION broken()",
    ),
    "mysql": ("CREATE TRIGGER broken BEFORE UPDATE ON payments FOR EACH ROW SIGNAL SQLSTATE '45000'",),
}
MEND: Final = {
    "sqlite": ("DROP TRIGGER broken",),
    "postgresql": ("DROP FUNCTION broken CASCADE",),
    "mysql": ("DROP TRIGGER broken",),
}


@contextmanager
def broken_updates(engine: Engine) -> Iterator[None]:
    """Let every update of a payment fail in the database itself."""
    name = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
    run(engine, BREAK[name])
    try:
        yield
    finally:
        run(engine, MEND[name])


def run(engine: Engine, statements: tuple[str, ...]) -> None:
    """Run some DDL."""
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
