"""Speed, as ratios within one run: `python -m benchmarks`. What is measured, and why, is in README.md."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One line of the table: a ratio to something measured in the same run, and its limit on either side."""

    what: str
    ratio: float
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the limit is kept."""
        return (self.at_most is None or self.ratio <= self.at_most) and (
            self.at_least is None or self.ratio >= self.at_least
        )

    @property
    def measured(self) -> str:
        """Write what was measured."""
        return f"{self.ratio:.2f}" + (f" ({self.detail})" if self.detail else "")

    @property
    def limit(self) -> str:
        """Write the limit."""
        return f"≥ {self.at_least:.2f}" if self.at_least is not None else f"≤ {self.at_most:.2f}"


def timed(work: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> float:
    """Give the seconds that `work` takes. `process_time` counts only our own: right where nobody else is waited for."""
    started = clock()
    work()
    return clock() - started
