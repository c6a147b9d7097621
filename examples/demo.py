"""Payme and Click, played against an example shop over HTTP: `make demo`.

    python -m examples.demo [fastapi] [--record FILE]

Starts the shop under a real server on loopback, with an SQLite file in a temporary folder, and plays the providers'
acceptance suites and more against it: Payme's with each write sent twice, as its sandbox does, then the 15 scenarios of
Click's tool. Then it shows every call, what was expected and what came back, what became of the orders, and the
transactions stored. `--record` keeps what the providers asked and were answered besides, one exchange a line. Exit
status 0 only if every answer was right.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Numeric, column, create_engine, select, table
from sqlalchemy.orm import Session

from examples.serve import CLICK_WEBHOOK, KEY, SECRET, SERVICE, SHOPS, WEBHOOK, Running, database, shop
from paytechuz_core import State
from paytechuz_core.sql import PaymentTransaction
from paytechuz_core.testing import CLICK, ONE_TIME, ClickTill, Order, Scenario, Step, Till

WIDTH_WITHOUT_A_TERMINAL: Final = 160

# Whatever a shop is written with, it has this table, and the table of payments.
ORDERS: Final = table("orders", column("id"), column("amount", Numeric(12, 2)), column("status"))


class DemoShop:
    """The running shop, as the scenarios see one: it takes orders over HTTP, and time passes by waiting."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def new_order(self) -> Order:
        """Order something for 5000 som."""
        return Order({"id": str(self.running.order("5000.00"))}, 500_000)

    def status(self, order: Order) -> str:
        """Look at the order."""
        return self.running.status(int(order.account["id"]))

    def advance(self, milliseconds: int) -> None:
        """Wait."""
        time.sleep(milliseconds / 1000)

    def now(self) -> int:
        """Look at the clock."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Part:
    """What one provider plays."""

    title: str
    scenarios: Sequence[Scenario[Any]]
    till: Callable[[Running], Any]


def parts() -> tuple[Part, ...]:
    """Give both providers, each with its scenarios and a till to call a shop."""
    return (
        Part("Payme's calls, each write sent twice", ONE_TIME, lambda running: Till(running.caller(WEBHOOK), KEY)),
        Part("Click's calls", CLICK, lambda running: ClickTill(running.caller(CLICK_WEBHOOK), SECRET, SERVICE)),
    )


def play(part: Part, running: Running, console: Console) -> list[Step]:
    """Play every scenario, with a progress bar where there is a terminal and a line for each where there is none."""
    till, customer = part.till(running), DemoShop(running)
    steps: list[Step] = []
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(part.scenarios))
        for scenario in part.scenarios:
            progress.update(task, description=scenario.name)
            played = list(scenario(till, customer))
            steps += played
            progress.advance(task)
            if not console.is_terminal:
                console.print(f"{scenario.name}: {sum(step.ok for step in played)} of {len(played)}")
        progress.update(task, description="")
    return steps


def table_of(title: str, steps: Sequence[Step]) -> Table:
    """Show every call, what was expected and what came back."""
    shown = Table("", "call", "expected", "got", title=title)
    for name, played in groupby(steps, key=lambda step: step.scenario):
        shown.add_section()
        shown.add_row("", f"[bold]{name}[/bold]")
        for step in played:
            mark = "[green]ok[/green]" if step.ok else "[red]NO[/red]"
            shown.add_row(mark, escape(step.call), escape(step.expected), escape(step.got))
    return shown


def orders(session: Session) -> Table:
    """Show what became of the orders."""
    shown = Table("order", "price, som", "status", "its transactions end in", title="The shop's orders")
    payments = session.scalars(select(PaymentTransaction).order_by(PaymentTransaction.id)).all()
    for order in session.execute(select(ORDERS).order_by(ORDERS.c.id)):
        ends = [State(each.state).name for each in payments if each.account_id == str(order.id)]
        shown.add_row(str(order.id), str(order.amount), order.status, ", ".join(ends))
    return shown


def transactions(session: Session) -> Table:
    """Show the stored transactions."""
    names = (
        "gateway",
        "transaction_id",
        "account_id",
        "amount",
        "state",
        "reason",
        "created_at",
        "performed_at",
        "cancelled_at",
    )
    shown = Table(*names, title="The table payments")
    for each in session.scalars(select(PaymentTransaction).order_by(PaymentTransaction.id)):
        moments = (each.created_at, each.performed_at, each.cancelled_at)
        shown.add_row(
            each.gateway,
            each.transaction_id,
            each.account_id,
            str(each.amount),
            str(each.state),
            "" if each.reason is None else str(each.reason),
            *("" if moment is None else f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}" for moment in moments),
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, show, and tell whether every answer was right."""
    parser = argparse.ArgumentParser(description="Play Payme and Click against an example shop.")
    parser.add_argument("shop", nargs="?", choices=SHOPS, default="fastapi", help="the framework; fastapi by default")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write what was asked and answered there, as lines of JSON"
    )
    given = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_A_TERMINAL)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with shop(given.shop, folder) as running:
            console.print(f"The shop runs at {running.url}; Payme calls {WEBHOOK} and Click calls {CLICK_WEBHOOK}")
            played = {part.title: play(part, running, console) for part in parts()}
        engine = create_engine(database(folder))
        with Session(engine) as session:
            tables = [table_of(title, steps) for title, steps in played.items()]
            shown = *tables, orders(session), transactions(session)
        engine.dispose()
    if given.record is not None:
        given.record.write_text("".join(f"{exchange}\n" for exchange in running.exchanges))
    for each in shown:
        console.print(each)
    steps = [step for each in played.values() for step in each]
    for step in steps:
        if not step.ok:
            console.print(f"[red]{escape(step.scenario)}: {escape(step.call)}[/red]: {escape(step.why)}")
    right = sum(step.ok for step in steps)
    console.print(f"demo: {right} of {len(steps)} answers right, in {time.monotonic() - started:.1f} s")
    return 0 if right == len(steps) else 1


if __name__ == "__main__":
    sys.exit(main())
