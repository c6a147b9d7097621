"""Payme and Click, played against the shop over HTTP: `make demo`.

    python -m examples.fastapi_shop.demo

Starts the shop under uvicorn on loopback, with an SQLite file in a temporary folder, and plays the providers'
acceptance suites and more against it: Payme's with each write sent twice, as its sandbox does, then the 15 scenarios of
Click's tool. Then it shows every call, what was expected and what came back, what became of the orders, and the
transactions stored. Exit status 0 only if every answer
was right.
"""

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
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from examples.fastapi_shop.models import Order as StoredOrder
from examples.fastapi_shop.serve import CLICK_WEBHOOK, KEY, SECRET, SERVICE, WEBHOOK, Running, database, shop
from paytechuz.integrations.fastapi import PaymentTransaction, State
from paytechuz_core.testing import CLICK, ONE_TIME, ClickTill, Order, Scenario, Step, Till, over_http

WIDTH_WITHOUT_A_TERMINAL: Final = 160


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
    till: Callable[[str], Any]


def parts() -> tuple[Part, ...]:
    """Give both providers, each with its scenarios and a till to call the shop at a given address."""
    return (
        Part("Payme's calls, each write sent twice", ONE_TIME, lambda url: Till(over_http(url + WEBHOOK), KEY)),
        Part("Click's calls", CLICK, lambda url: ClickTill(over_http(url + CLICK_WEBHOOK), SECRET, SERVICE)),
    )


def play(part: Part, running: Running, console: Console) -> list[Step]:
    """Play every scenario, with a progress bar where there is a terminal and a line for each where there is none."""
    till, customer = part.till(running.url), DemoShop(running)
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
    table = Table("", "call", "expected", "got", title=title)
    for name, played in groupby(steps, key=lambda step: step.scenario):
        table.add_section()
        table.add_row("", f"[bold]{name}[/bold]")
        for step in played:
            mark = "[green]ok[/green]" if step.ok else "[red]NO[/red]"
            table.add_row(mark, escape(step.call), escape(step.expected), escape(step.got))
    return table


def orders(session: Session) -> Table:
    """Show what became of the orders."""
    table = Table("order", "price, som", "status", "its transactions end in", title="The shop's orders")
    payments = session.scalars(select(PaymentTransaction).order_by(PaymentTransaction.id)).all()
    for order in session.scalars(select(StoredOrder).order_by(StoredOrder.id)):
        ends = [State(each.state).name for each in payments if each.account_id == str(order.id)]
        table.add_row(str(order.id), str(order.amount), order.status, ", ".join(ends))
    return table


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
    table = Table(*names, title="The table payments")
    for each in session.scalars(select(PaymentTransaction).order_by(PaymentTransaction.id)):
        moments = (each.created_at, each.performed_at, each.cancelled_at)
        table.add_row(
            each.gateway,
            each.transaction_id,
            each.account_id,
            str(each.amount),
            str(each.state),
            "" if each.reason is None else str(each.reason),
            *("" if moment is None else f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}" for moment in moments),
        )
    return table


def main() -> int:
    """Play, show, and tell whether every answer was right."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_WITHOUT_A_TERMINAL)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with shop(folder) as running:
            console.print(f"The shop runs at {running.url}; Payme calls {WEBHOOK} and Click calls {CLICK_WEBHOOK}")
            played = {part.title: play(part, running, console) for part in parts()}
        engine = create_engine(database(folder))
        with Session(engine) as session:
            tables = [table_of(title, steps) for title, steps in played.items()]
            shown = *tables, orders(session), transactions(session)
        engine.dispose()
    for table in shown:
        console.print(table)
    steps = [step for each in played.values() for step in each]
    for step in steps:
        if not step.ok:
            console.print(f"[red]{escape(step.scenario)}: {escape(step.call)}[/red]: {escape(step.why)}")
    right = sum(step.ok for step in steps)
    console.print(f"demo: {right} of {len(steps)} answers right, in {time.monotonic() - started:.1f} s")
    return 0 if right == len(steps) else 1


if __name__ == "__main__":
    sys.exit(main())
