"""An experiment: one promise on one ground, while something is broken on purpose; and what was seen."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Tick: TypeAlias = Callable[[], None]
"""Tells that one round is over."""


class Size(StrEnum):
    """How long a run is: in `make test`, in `.ci/run`, and in `make faults`."""

    SHORT = "short"
    CI = "ci"
    FULL = "full"


@dataclass(slots=True)
class Tally:
    """What an experiment did and saw.

    `did` counts what was done, by a word in the plural ("kills", "storms"). `acknowledged` counts moves of payments
    that were answered with success; `lost` and `doubled` say, in a line each, which of them are not stored, and what
    took effect twice or without a payment. `recovered` is the longest silence after each fault, in seconds.
    """

    did: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Everything that breaks the promise."""
        return [*(f"lost: {each}" for each in self.lost), *(f"doubled: {each}" for each in self.doubled)]

    def add(self, other: "Tally") -> None:
        """Take over what another one did and saw."""
        self.did += other.did
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.doubled += other.doubled
        self.recovered += other.recovered


@dataclass(frozen=True, slots=True)
class Experiment:
    """One promise on one ground.

    `run(rounds, tick)` breaks the thing `rounds` times; what must hold besides lost and doubled, it asserts. `rounds`
    says how many there are at each size; a size that is not named leaves the experiment out. `missing` says what this
    machine lacks and how to have it, or None. `control` is for what must be seen to lose or double.
    """

    name: str
    ground: str
    promise: str
    run: Callable[[int, Tick], Tally]
    rounds: Mapping[Size, int]
    missing: Callable[[], str | None] = lambda: None
    control: bool = False

    def __str__(self) -> str:
        """Name it."""
        return f"{self.name}, {self.ground}"

    def failure(self, tally: Tally) -> str | None:
        """Say how the promise was broken, or that a control was not seen to break it; None where all is well."""
        if self.control:
            return None if tally.wrong else "the negative control lost and doubled nothing, so this proves nothing"
        if not tally.acknowledged:
            return "nothing was acknowledged, so this proves nothing"
        return "; ".join(tally.wrong) or None
