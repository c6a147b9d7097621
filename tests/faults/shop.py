"""The shop that suffers: the documentation's handler, served by processes that may be killed.

Its tables are those of `tests.sql.shop`: orders, and one effect for each time that a hook was called. Here it is
written with FastAPI, in `flask_shop` and `django_shop` with the others.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session

from examples.serve import GUNICORN, UVICORN, address
from paytechuz.integrations.fastapi import PaymeWebhookHandler, run_migrations
from tests.core.wire import KEY
from tests.sql.shop import Base, Counts, Order

WEBHOOK: Final = "/payments/payme/webhook"
DATABASE: Final = "PAYTECHUZ_FAULTS_DATABASE"
"""The environment variable that names the shop's database to its processes."""

SETTINGS: Final[dict[str, Any]] = {
    "payme_id": "faults",
    "payme_key": KEY,
    "account_model": Order,
    "account_field": "order_id",
    "one_time_payment": True,
}

ROOT: Final = Path(__file__).parents[2]


class ShopPayme(Counts, PaymeWebhookHandler):
    """The documentation's handler; its hooks also count."""


def make_app() -> FastAPI:
    """Build the application; uvicorn calls it in the shop's process."""
    # The pool asks before it lends: a merchant whose servers fail over is told to.
    return app_on(create_engine(os.environ[DATABASE], pool_pre_ping=True))


def app_on(engine: Engine) -> FastAPI:
    """Build the application on an engine."""
    app = FastAPI()

    def get_db() -> Iterator[Session]:
        with Session(engine) as db:
            yield db

    @app.post(WEBHOOK)
    async def payme_webhook(request: Request, db: Annotated[Session, Depends(get_db)]) -> Response:
        return await ShopPayme(db=db, **SETTINGS).handle_webhook(request)

    return app


@dataclass(frozen=True, slots=True)
class Framework:
    """What the shop is written with: its name, the server that serves it, and where its application is."""

    name: str
    server: Sequence[str]
    app: str

    def __str__(self) -> str:
        """Name it."""
        return self.name

    def command(self, workers: int, port: int) -> list[str]:
        """Serve it with so many workers."""
        return [
            sys.executable,
            "-m",
            *(word.format(port=port) for word in self.server),
            f"--workers={workers}",
            self.app,
        ]


FASTAPI: Final = Framework("FastAPI", (*UVICORN, "--factory"), "tests.faults.shop:make_app")
FLASK: Final = Framework("Flask", GUNICORN, "tests.faults.flask_shop:make_app()")
DJANGO: Final = Framework("Django", GUNICORN, "tests.faults.django_shop:make_app()")


def furnish(engine: Engine, orders: int, framework: Framework = FASTAPI) -> None:
    """Make the tables, and orders with the numbers 1, 2, …"""
    if framework is DJANGO:
        from tests.faults.django_shop import migrate_tables  # noqa: PLC0415 - it configures Django

        migrate_tables(engine.url)
    else:
        run_migrations(engine)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Order), [{"id": number} for number in range(1, orders + 1)])


@dataclass(frozen=True, slots=True)
class Served:
    """A shop's process: where it listens, and the process."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def webhook(self) -> str:
        """Where Payme calls."""
        return self.url + WEBHOOK

    def kill(self) -> None:
        """Let it die without a word, and everything it has started too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def workers(self) -> list[int]:
        """The processes that answer calls, by their numbers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [
            int(child) for child in children if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
        ]


@contextmanager
def served(database: str, *, framework: Framework = FASTAPI, workers: int = 1, port: int = 0) -> Iterator[Served]:
    """Serve a shop on loopback from a process of its own, with this many workers; end it after."""
    with tempfile.TemporaryDirectory(prefix="paytechuz-shop-") as folder:
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                framework.command(workers, port),
                cwd=ROOT,
                env={**os.environ, DATABASE: database, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Served(address(process, log), process, log)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
