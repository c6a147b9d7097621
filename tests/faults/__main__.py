"""`make faults`: every experiment in turn, with a progress bar, a table, and a report in build/faults/.

    python -m tests.faults [--size short|ci|full] [--only WORD] [--output FOLDER]

What this machine lacks is named with the way to have it, and is a failure where PAYTECHUZ_REQUIRE_DATABASES is 1.
"""

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.databases import REQUIRED
from tests.faults.every import EXPERIMENTS
from tests.faults.experiment import Experiment, Size, Tally
from tests.faults.report import Outcome, table, write

OUTPUT: Final = Path(__file__).parents[2] / "build" / "faults"


def conduct(experiment: Experiment, rounds: int, tick: Callable[[], None]) -> Outcome:
    """Run one experiment, and judge it."""
    began = time.monotonic()
    if (missing := experiment.missing()) is not None:
        return Outcome(experiment, Tally(), 0, skipped=missing, failure=missing if REQUIRED else None)
    try:
        tally = experiment.run(rounds, tick)
    except Exception as error:  # noqa: BLE001 - the others are run, and this one's story is told
        story = "".join(traceback.format_exception(error)[-3:])
        return Outcome(experiment, Tally(), time.monotonic() - began, failure=story)
    return Outcome(experiment, tally, time.monotonic() - began, failure=experiment.failure(tally))


def main() -> int:
    """Run what is asked for; exit 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break things, and look for payments.")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--only", default="", help="a part of the names to run")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder for the report")
    given = parser.parse_args()
    chosen = [each for each in EXPERIMENTS if given.only in str(each) and given.size in each.rounds]
    if not chosen:
        parser.error(f"no experiment of this size has {given.only!r} in its name")
    logging.getLogger("paytechuz").addHandler(logging.NullHandler())  # what we break on purpose is no news
    console, outcomes = Console(), list[Outcome]()
    columns = TextColumn("{task.description:<60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        whole = progress.add_task("all", total=len(chosen))
        for experiment in chosen:
            rounds = experiment.rounds[given.size]
            bar = progress.add_task(str(experiment), total=rounds)

            def tick(bar: int = bar) -> None:
                progress.advance(bar)  # type: ignore[arg-type] # rich's TaskID is an int

            outcomes.append(outcome := conduct(experiment, rounds, tick))
            progress.update(bar, visible=False)
            progress.advance(whole)
            console.print(outcome.line, highlight=False)
    console.print(table(outcomes))
    for outcome in outcomes:
        if outcome.failure is not None:
            console.print(f"\n{outcome.experiment}: {outcome.failure}", style="red", markup=False, highlight=False)
    console.print(f"\nThe report: {write(outcomes, given.size, given.output)}", highlight=False)
    return int(any(outcome.failure is not None for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
