"""Every experiment, in the order of the promises that they hold."""

from typing import Final

from tests.faults import storms
from tests.faults.experiment import Experiment

EXPERIMENTS: Final[tuple[Experiment, ...]] = (*storms.EXPERIMENTS,)
