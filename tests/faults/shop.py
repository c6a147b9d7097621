"""The shop that suffers: FastAPI with the documentation's handler, served by processes that may be killed.

Its tables are those of `tests.sql.shop`: orders, and one effect for each time that a hook was called.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session

from paytechuz.integrations.fastapi import PaymeWebhookHandler, run_migrations
from tests.core.wire import KEY
from tests.sql.shop import Base, Counts, Order

WEBHOOK: Final = "/payments/payme/webhook"
DATABASE: Final = "PAYTECHUZ_FAULTS_DATABASE"
"""The environment variable that names the shop's database to its processes."""

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0
LISTENS: Final = re.compile(r"Uvicorn running on (http://[\w.:]+)")


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
        handler = ShopPayme(
            db=db,
            payme_id="faults",
            payme_key=KEY,
            account_model=Order,
            account_field="order_id",
            one_time_payment=True,
        )
        return await handler.handle_webhook(request)

    return app


def furnish(engine: Engine, orders: int) -> None:
    """Make the tables, and orders with the numbers 1, 2, …"""
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


@contextmanager
def served(
    database: str, *, workers: int = 1, port: int = 0, app: str = "tests.faults.shop:make_app"
) -> Iterator[Served]:
    """Serve a shop on loopback from a process of its own, with this many workers; end it after."""
    with tempfile.TemporaryDirectory(prefix="paytechuz-shop-") as folder:
        log = Path(folder, "server.log")
        command = ["uvicorn", "--factory", app, f"--port={port}", f"--workers={workers}", "--no-access-log"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--no-use-colors"],
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


def address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the server has written where it listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if found := LISTENS.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    message = f"the shop did not start:\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)
