"""Measure everything (or the parts named), print one table, and fail where a limit is missed.

python -m benchmarks [decide] [imports] [flat] [http]
"""

import sys
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import Measurement, decide, flat, http, imports
from tests.databases import Unavailable

PARTS: Final[dict[str, Callable[[], Iterator[Measurement]]]] = {
    "decide": decide.measure,
    "imports": imports.measure,
    "flat": flat.measure,
    "http": http.measure,
}


def main(names: list[str]) -> int:
    """Measure, print, and give the exit status."""
    console = Console()
    table = Table("what", "measured", "limit", "verdict", title="Benchmarks: ratios within this run")
    missed = 0
    for name in names or PARTS:
        with console.status(f"Measuring {name} ..."):
            try:
                for each in PARTS[name]():
                    missed += not each.holds
                    table.add_row(each.what, each.measured, each.limit, "holds" if each.holds else "MISSED")
            except Unavailable as reason:
                table.add_row(name, str(reason), "", "skipped")
    console.print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
