"""Every experiment, in the order of the promises that they hold."""

from typing import Final

from tests.faults import (
    commits,
    errors,
    failover,
    galera,
    hooks,
    patroni,
    pgbouncer,
    processes,
    races,
    server_kills,
    storms,
    workers,
)
from tests.faults.experiment import Experiment

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *storms.EXPERIMENTS,
    *races.EXPERIMENTS,
    *hooks.EXPERIMENTS,
    *errors.EXPERIMENTS,
    *commits.EXPERIMENTS,
    *pgbouncer.EXPERIMENTS,
    *processes.EXPERIMENTS,
    *workers.EXPERIMENTS,
    *server_kills.EXPERIMENTS,
    *failover.EXPERIMENTS,
    *patroni.EXPERIMENTS,
    *galera.EXPERIMENTS,
)
