"""Histories with every fault at once end with books that agree; the same seed always tells the same story."""

import pytest

from paytechuz_core.testing.messages import Registers
from paytechuz_core.testing.simulator import Failure, Simulation, Trial, simulate
from tests.proof import broken
from tests.proof.verify import histories

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("first", range(0, 4_000, 500))
def test_the_books_agree_whatever_fails(first: int) -> None:
    """A few of what `.ci/run` simulates."""
    assert histories(first, 500).counts["events"] > 24_000


def story(seed: int) -> list[str]:
    simulation = Simulation(seed, Trial(), telling=True)
    for _ in range(60):
        simulation.happen(simulation.draw())
    simulation.calm()
    return simulation.story


def test_the_same_seed_tells_the_same_story() -> None:
    assert story(7) == story(7)
    assert story(7) != story(8)


def test_every_fault_strikes_everywhere() -> None:
    told = "\n".join(line for seed in range(300) for line in story(seed))
    for where in ("find_transactions", "find_account", "save", "commit"):
        for fault in ("the database fails", "is cut off"):
            assert f"{fault} before {where}" in told
    for fault in ("the database fails after the commit", "is cut off after the commit", "its answer will be lost"):
        assert fault in told
    for fault in ("its hook will raise", "its hook will refuse", "will take nothing back"):
        assert fault in told
    for what in ("the process dies", "the clock jumps by -", "the clock jumps by +12", "a system error, simulated"):
        assert what in told


def test_a_failure_is_a_short_story_and_its_seed() -> None:
    trial = Trial(Registers(payme=broken.Revives(**broken.PAYME)))

    def until_it_fails() -> None:
        for seed in range(1000):
            simulate(seed, trial)

    with pytest.raises(Failure) as caught:
        until_it_fails()
    failure = caught.value
    assert len(failure.events) <= 8
    assert str(failure).startswith(f"seed {failure.seed}: ")
    assert failure.story[-1].startswith("payme Perform")
    with pytest.raises(Failure) as again:
        simulate(failure.seed, trial)
    assert str(again.value) == str(failure)
