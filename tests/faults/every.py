"""Every experiment, in the order of the promises that they hold."""

from typing import Final

from tests.faults import errors, failover, galera, patroni, pgbouncer, processes, server_kills, storms
from tests.faults.experiment import Experiment

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *storms.EXPERIMENTS,
    *errors.EXPERIMENTS,
    *pgbouncer.EXPERIMENTS,
    *processes.EXPERIMENTS,
    *server_kills.EXPERIMENTS,
    *failover.EXPERIMENTS,
    *patroni.EXPERIMENTS,
    *galera.EXPERIMENTS,
)
