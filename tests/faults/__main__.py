"""`make faults`: every experiment, with progress bars, a table, and a report in build/faults/.

    python -m tests.faults [--size short|ci|full] [--only WORD] [--workers 2] [--output FOLDER]

What this machine lacks is named with the way to have it, and is a failure where PAYTECHUZ_REQUIRE_DATABASES is 1.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.conduct import conduct_all
from tests.faults.every import EXPERIMENTS
from tests.faults.experiment import Size
from tests.faults.report import table, write

OUTPUT: Final = Path(__file__).parents[2] / "build" / "faults"


def main() -> int:
    """Run what is asked for; exit 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Break things, and look for payments.")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--only", default="", help="a part of the names to run")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="how many are run at once")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder for the report")
    given = parser.parse_args()
    fit = ((number, each) for number, each in enumerate(EXPERIMENTS) if given.size in each.rounds)
    chosen = [number for number, each in fit if given.only in str(each)]
    if not chosen:
        parser.error(f"no experiment of this size has {given.only!r} in its name")
    console = Console()
    columns = TextColumn("{task.description:<60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        outcomes = conduct_all(chosen, given.size, given.workers, progress)
    console.print(table(outcomes))
    for outcome in outcomes:
        if outcome.failure is not None:
            console.print(f"\n{outcome.experiment}: {outcome.failure}", style="red", markup=False, highlight=False)
    console.print(f"\nThe report: {write(outcomes, given.size, given.output)}", highlight=False)
    return int(any(outcome.failure is not None for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
