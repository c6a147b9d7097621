"""One full payment over HTTP (CheckPerform, Create, Perform), to the same payment written by hand for speed.

Both are routes of one application (`shop.py`) under uvicorn with one worker, paid through in turn by `payer.py`.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import create_engine, insert

from benchmarks import Measurement
from benchmarks.shop import DATABASE, PRICE, Base, Order
from paytechuz.integrations.fastapi import run_migrations
from tests.databases import sqlite, throw_away

LIMIT: Final = 0.85
RUNS: Final = 5
BLOCKS: Final = 10
PAYMENTS: Final = 20
CONNECTIONS: Final = 4
PATHS: Final = ("/library", "/by_hand")
ROOT: Final = Path(__file__).parent.parent


def measure() -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        yield compare("SQLite", sqlite(Path(folder)).url("sqlite"))
    with throw_away("postgresql") as (database, _):
        yield compare("PostgreSQL", database.url("postgresql+psycopg"))


def compare(name: str, url: str) -> Measurement:
    """Pay for many orders both ways."""
    fill(url)
    with served(url) as port:
        runs = pay(port)
    count = BLOCKS * PAYMENTS
    ours, theirs = (median(count / seconds for seconds in way) for way in zip(*runs, strict=True))
    return Measurement(
        f"payments a second over HTTP on {name}, to the same by hand",
        median(yours / mine for mine, yours in runs),
        at_least=LIMIT,
        detail=f"{ours:.0f} to {theirs:.0f}",
    )


def fill(url: str) -> None:
    """Make the tables, and an order for each payment; the payer counts on their numbers beginning at 1."""
    engine = create_engine(url)
    run_migrations(engine)
    Base.metadata.create_all(engine)
    orders = (RUNS * BLOCKS + 1) * len(PATHS) * PAYMENTS
    with engine.begin() as connection:
        connection.execute(insert(Order), [{"amount": PRICE} for _ in range(orders)])
    engine.dispose()


@contextmanager
def served(url: str) -> Iterator[int]:
    """Serve the shop on loopback, and give its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.shop:make_app", "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "warning"], cwd=ROOT, env={**os.environ, DATABASE: url})
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the shop answers."""
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    message = "the shop did not start"
    raise RuntimeError(message)


def pay(port: int) -> list[list[float]]:
    """Let the payer pay; give the seconds of each run, by path."""
    numbers = map(str, (port, CONNECTIONS, RUNS, BLOCKS, PAYMENTS))
    payer = [sys.executable, "-m", "benchmarks.payer", *numbers, *PATHS]
    lines = subprocess.run(payer, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [[float(seconds) for seconds in line.split()] for line in lines]
