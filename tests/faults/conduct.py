"""Runs experiments, several at once: each worker is a process that takes one after another.

They share nothing but the database servers, where each has databases of its own.
"""

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from threading import Thread

from rich.progress import Progress

from tests.databases import REQUIRED
from tests.faults.every import EXPERIMENTS
from tests.faults.experiment import Experiment, Size, Tally
from tests.faults.report import Outcome


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


class Bench:
    """What a worker has: where it tells that a round of an experiment is over."""

    rounds_over: "SimpleQueue[int | None]"

    @staticmethod
    def lay_out(rounds_over: "SimpleQueue[int | None]") -> None:
        """Make a process a worker."""
        logging.getLogger("paytechuz").addHandler(logging.NullHandler())  # what we break on purpose is no news
        Bench.rounds_over = rounds_over


def work(number: int, size: Size) -> tuple[Tally, float, str | None, str | None]:
    """Run an experiment in a worker. Its functions stay where they are, what it saw is sent."""
    experiment = EXPERIMENTS[number]
    outcome = conduct(experiment, experiment.rounds[size], partial(Bench.rounds_over.put, number))
    return outcome.tally, outcome.seconds, outcome.failure, outcome.skipped


def conduct_all(chosen: Sequence[int], size: Size, workers: int, progress: Progress) -> list[Outcome]:
    """Run experiments, as many at once as there are workers, and say how each went as soon as it is over."""
    spawned = get_context("spawn")
    rounds_over: SimpleQueue[int | None] = spawned.SimpleQueue()
    whole = progress.add_task("all", total=len(chosen))
    bars = {n: progress.add_task(str(EXPERIMENTS[n]), total=EXPERIMENTS[n].rounds[size], visible=False) for n in chosen}

    def watch() -> None:
        while (number := rounds_over.get()) is not None:
            if (bar := bars.get(number)) is not None:  # it may be over already
                progress.update(bar, advance=1, visible=True)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    outcomes: dict[int, Outcome] = {}
    with ProcessPoolExecutor(workers, spawned, Bench.lay_out, (rounds_over,)) as pool:
        running = {pool.submit(work, number, size): number for number in chosen}
        for future in as_completed(running):
            number = running[future]
            outcomes[number] = Outcome(EXPERIMENTS[number], *future.result())
            progress.update(bars.pop(number), visible=False)
            progress.advance(whole)
            progress.console.print(outcomes[number].line, highlight=False)
    rounds_over.put(None)
    watcher.join()
    return [outcomes[number] for number in chosen]
