"""The whole proof by one command: `make verify`, or with more histories `make verify EVENTS=500000000`.

What is exhaustive is the same at every size; only the simulated events grow. Work is shared among all processors; the
first thing that is wrong ends the run with its story. `make test` runs a part of it, see `tests.proof`.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from paytechuz_core.testing.explore import CASTS, ORDERS, WITH_A_WALLET, Model, explore, verify_twins, wander
from paytechuz_core.testing.messages import Registers
from paytechuz_core.testing.oracle import RULES, Rule
from paytechuz_core.testing.races import Race, every_schedule_is_serial, of_one_order, pairs
from paytechuz_core.testing.simulator import Trial, simulate
from paytechuz_core.transaction import Account

EVENTS: Final = 2_000_000
HISTORIES: Final = 500
"""Simulated by one task; about fifty events each."""

WALKS: Final = 200
"""Random walks of a task, of sixty messages each."""

PINNED: Final = {
    "states": 22_932,
    "edges": 1_684_580,
    "twins": 20_225,
    "races": 5775,
    "schedules": 80_921,
    "rules": 81,
}
"""What the exhaustive part must come to: a number that changes means that a rule or the model has changed."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do in another process; `weight` is about the seconds it takes."""

    part: str
    do: Callable[..., "Seen"]
    arguments: tuple[Any, ...]
    weight: float


@dataclass(slots=True)
class Seen:
    """What tasks have counted."""

    counts: dict[str, int]
    rules: frozenset[Rule] = frozenset()


def model(number: int, accounts: Mapping[str, Account]) -> Seen:
    """Visit every state of three transactions, and show that a state is all that matters."""
    it = Model(CASTS[number], accounts)
    found = explore(it)
    counts = {"states": found.states, "edges": found.edges, "twins": verify_twins(it, found)}
    return Seen(counts, frozenset(found.rules))


def walks(number: int, accounts: Mapping[str, Account], seeds: int = WALKS) -> Seen:
    """Walk at random where the model does not go."""
    it = Model(CASTS[number], accounts)
    found = [wander(it, seed, 60) for seed in range(seeds)]
    return Seen({"messages": sum(each.edges for each in found)}, frozenset().union(*(each.rules for each in found)))


def races(start: int, step: int) -> Seen:
    """Play every schedule of every race that begins in every `step`-th situation of one order."""
    registers = Registers()
    schedules = [
        every_schedule_is_serial(Race(rows, messages, ORDERS, registers))
        for rows in of_one_order(registers)[start::step]
        for messages in pairs()
    ]
    return Seen({"races": len(schedules), "schedules": sum(schedules)})


def histories(first: int, number: int) -> Seen:
    """Simulate some seeds."""
    trial = Trial()
    events = [simulate(seed, trial) for seed in range(first, first + number)]
    return Seen({"histories": len(events), "events": sum(events)})


def exhaustive() -> Iterator[Task]:
    """Give what is the same at every size."""
    for number in range(len(CASTS)):
        for accounts in (ORDERS, WITH_A_WALLET):
            yield Task("model check", model, (number, accounts), 25)
            yield Task("random walks", walks, (number, accounts), 1)
    yield from (Task("races", races, (start, 11), 2.5) for start in range(11))


def main(events: int) -> int:
    """Run it all, and say what it came to."""
    console, seen, spent = Console(), dict[str, int](), dict[str, float]()
    rules: set[Rule] = set()
    began = time.monotonic()
    columns = TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        tasks = sorted(exhaustive(), key=lambda task: -task.weight)
        simulated = (Task("simulator", histories, (HISTORIES * number, HISTORIES), 1) for number in count())
        parts = Counter(task.part for task in tasks)
        bars = {part: progress.add_task(part, total=total) for part, total in parts.items()}
        bars["simulator"] = progress.add_task("simulator", total=events)
        waiting = {pool.submit(timed, task): task for task in tasks}
        while waiting:
            done = next(as_completed(waiting))
            task = waiting.pop(done)
            try:
                result, seconds = done.result()
            except AssertionError as wrong:
                pool.shutdown(cancel_futures=True)
                progress.stop()
                console.print(f"[bold red]{task.part}:[/] {escape(str(wrong))}", highlight=False)
                return 1
            for name, number in result.counts.items():
                seen[name] = seen.get(name, 0) + number
            rules |= result.rules
            spent[task.part] = spent.get(task.part, 0) + seconds
            progress.advance(bars[task.part], result.counts.get("events", 1))
            # A few simulations ahead of the processors, and no more: there may be very many.
            free = 2 * (os.cpu_count() or 1) - len(waiting)
            if free > 0 and seen.get("events", 0) < events:
                waiting |= {pool.submit(timed, each): each for each in islice(simulated, free)}
    seen["rules"] = len(rules)
    console.print(summary(seen, spent))
    differing = {name: seen[name] for name, pinned in PINNED.items() if seen[name] != pinned}
    if differing:
        console.print(f"[bold red]Not as pinned in tests/proof/verify.py:[/] {differing}")
    console.print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} processors")
    return 1 if differing else 0


def timed(task: Task) -> tuple[Seen, float]:
    """Do a task, and say how long it took."""
    began = time.process_time()
    try:
        return task.do(*task.arguments), time.process_time() - began
    except AssertionError as wrong:
        # Of the errors that tell a story, only the text is sure to reach another process.
        raise AssertionError(str(wrong)) from None


def summary(seen: dict[str, int], spent: dict[str, float]) -> Table:
    """Write down what was done."""
    table = Table("what", "how much", "processor seconds")
    parts = {
        "model check": ("states", "edges", "twins"),
        "random walks": ("messages",),
        "races": ("races", "schedules"),
        "simulator": ("histories", "events"),
    }
    for part, names in parts.items():
        words = ", ".join(f"{seen.get(name, 0):,} {name}" for name in names)
        table.add_row(part, words.replace(",", " ").replace("  ", ", "), f"{spent.get(part, 0):.0f}")
    table.add_row("oracle", f"{seen['rules']} of {len(RULES)} rules met", "")
    return table


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
