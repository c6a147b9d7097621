"""Every tool notices what it is for: all that is in `tests.proof.broken` is found out, by each tool that should."""

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import pytest

from paytechuz_core import Change, Conflict, Memory, Payme, State
from paytechuz_core.click import Click
from paytechuz_core.testing.explore import (
    CHECKS,
    ORDERS,
    WITH_A_WALLET,
    Model,
    agrees_with_the_oracle,
    explore,
    wander,
)
from paytechuz_core.testing.messages import CLICK, PAYME, Registers
from paytechuz_core.testing.races import Race, every_schedule_is_serial, of_one_order, pairs
from paytechuz_core.testing.simulator import Trial, simulate
from paytechuz_core.transaction import HALF_DAY
from tests.core import test_click_decide as of_click
from tests.core import test_payme_decide as of_payme
from tests.core.click_wire import complete, prepare, rejected
from tests.core.strategies import lived
from tests.core.test_memory import check_one_winner, shop
from tests.core.wire import NOW, check_perform, create
from tests.proof import broken
from tests.proof.verify import Task, timed

# What is broken runs into errors that tracing would only slow down.
pytestmark = pytest.mark.no_cover

Tool: TypeAlias = Callable[[Trial], object]

SMALL: Final = ({"p1": PAYME, "p2": PAYME}, {"p1": PAYME, "2": CLICK}, {"1": CLICK, "2": CLICK})
OWN_CHECKS: Final = tuple(check for check in CHECKS if check is not agrees_with_the_oracle)


def small(trial: Trial) -> tuple[dict[str, str], ...]:
    """The casts in which the broken gateway has a part."""
    return SMALL if type(trial.registers.click) is Click else SMALL[1:]


def model(trial: Trial) -> None:
    """All that two payments can come to, held against the invariants alone."""
    for cast in small(trial):
        explore(Model(cast, WITH_A_WALLET, trial.registers, checks=OWN_CHECKS))


def oracle(trial: Trial) -> None:
    """The same, held against the second reading of the rules alone."""
    for cast in small(trial):
        explore(Model(cast, ORDERS, trial.registers, symmetric=True, checks=(agrees_with_the_oracle,)))


def wallet(trial: Trial) -> None:
    """The second reading again, where two attempts are at one top-up."""
    explore(Model(SMALL[2], WITH_A_WALLET, trial.registers, checks=(agrees_with_the_oracle,)))


def walks(trial: Trial) -> None:
    for seed in range(300):
        wander(Model(SMALL[seed % 3], registers=trial.registers), seed, 60)


def races(trial: Trial) -> None:
    for rows in of_one_order(Registers())[:12]:
        for messages in pairs():
            every_schedule_is_serial(Race(rows, messages, ORDERS, trial.registers, trial.storage, trial.engine))


def simulator(trial: Trial) -> None:
    for seed in range(1500):
        simulate(seed, trial)


# The tests of each gateway by itself


def matrix(trial: Trial) -> None:
    for cell in of_payme.CELLS:
        stored, age, message, answer, after = cell.values
        of_payme.check_cell(trial.registers.payme, stored, age, message, (answer, after))  # type: ignore[arg-type]


def limit(trial: Trial) -> None:
    of_payme.check_limit(trial.registers.payme)


def doubts(trial: Trial) -> None:
    for message in (check_perform, create):
        of_payme.check_order_of_doubts(trial.registers.payme, message)


def everywhere(invariant: of_payme.Invariant, trial: Trial) -> None:
    for situation in of_payme.small_world(trial.registers.payme):
        invariant(situation)


def table(trial: Trial) -> None:
    for cell in of_click.CELLS:
        stored, form, expected = cell.values
        of_click.check_cell(trial.registers.click, stored, form, expected)  # type: ignore[arg-type]


def holders(trial: Trial) -> None:
    for who in of_click.HOLDERS:
        of_click.check_holder(trial.registers.click, who)


def click_doubts(trial: Trial) -> None:
    of_click.check_order_of_doubts(trial.registers.click)


def completes(trial: Trial) -> None:
    of_click.check_complete_in_order(trial.registers.click)


def histories(trial: Trial) -> None:
    of_click.check_short_histories(trial.registers.click)


def signatures(trial: Trial) -> None:
    for make in (prepare, complete):
        for error in (0, of_click.NO_MONEY):
            forged = {**make(error=error), "sign_string": "0" * 32}
            assert rejected(forged, trial.registers.click)["error"] == -1


INVARIANTS: Final[dict[str, Tool]] = {each.__name__: partial(everywhere, each) for each in of_payme.INVARIANTS}
(THE_SAME,) = (tool for name, tool in INVARIANTS.items() if "decided_the_same_every_time" in name)
(OWN_ERRORS,) = (tool for name, tool in INVARIANTS.items() if "errors_of_its_own_page" in name)
(REPEATED,) = (tool for name, tool in INVARIANTS.items() if "what_is_decided_can_be_saved" in name)
(ONE_PAYMENT,) = (tool for name, tool in INVARIANTS.items() if "never_has_two_payments" in name)

FOUND_OUT: Final[list[tuple[Any, list[Tool]]]] = [
    # Payme
    (broken.Payable(**broken.PAYME), [model, oracle, simulator, doubts, limit, REPEATED]),
    (broken.Unheld(**broken.PAYME), [model, simulator, ONE_PAYMENT]),
    (broken.HolderFirst(**broken.PAYME), [oracle, doubts]),
    (broken.Unnamed(**broken.PAYME), [OWN_ERRORS]),
    (Payme(**broken.PAYME, timeout=HALF_DAY - 1), [walks, limit]),
    (Payme(**broken.PAYME, timeout=HALF_DAY + 1), [walks, limit]),
    (broken.Patient(**broken.PAYME), [model, oracle, simulator, limit]),
    (broken.FiresAgain(**broken.PAYME), [model, oracle, simulator, matrix]),
    (broken.Revives(**broken.PAYME), [model, oracle, simulator, matrix]),
    (broken.ForgetsExpiry(**broken.PAYME), [oracle, simulator, matrix]),
    (broken.OverwritesReason(**broken.PAYME), [model, oracle, simulator, matrix, REPEATED]),
    (broken.StateByReason(**broken.PAYME), [model, oracle, simulator]),
    (broken.LosesPerformTime(**broken.PAYME), [model, simulator]),
    (broken.AnswersNow(**broken.PAYME), [oracle, simulator, matrix]),
    (broken.CreatesAgain(**broken.PAYME), [oracle, simulator, matrix]),
    (broken.ChecksAndWrites(**broken.PAYME), [model, oracle, simulator, matrix]),
    (broken.CreatesThenEvicts(**broken.PAYME), [model, oracle, simulator, REPEATED]),
    (broken.Silent(**broken.PAYME), [model, oracle, simulator, matrix]),
    (broken.Dicing(**broken.PAYME), [oracle, matrix, THE_SAME]),
    (broken.OwnClock(**broken.PAYME), [walks]),
    (broken.Rounded(**broken.PAYME), [model, oracle]),
    (broken.AnyAccount(**broken.PAYME), [model, oracle]),
    (broken.AnyAmount(**broken.PAYME), [model, oracle]),
    (broken.Unclamped(**broken.PAYME), [model, walks, simulator]),
    # Click
    (broken.PaysAgain(**broken.CLICK), [model, oracle, simulator, table, histories]),
    (broken.PreparesPaid(**broken.CLICK), [oracle, table, histories]),
    (broken.Unlocked(**broken.CLICK), [model, oracle, simulator, holders, click_doubts, histories]),
    (broken.Elbows(**broken.CLICK), [oracle, holders, click_doubts]),
    (broken.AnyPrepareId(**broken.CLICK), [oracle, completes]),
    (broken.AnyOrder(**broken.CLICK), [model, oracle, completes]),
    (broken.CompletesUnprepared(**broken.CLICK), [model, oracle, table]),
    (broken.UnsignedCancel(**broken.CLICK), [signatures, histories]),
    (broken.Underpaid(**broken.CLICK), [model, oracle, click_doubts]),
    (broken.CancelIsFine(**broken.CLICK), [oracle, table, histories]),
    (broken.SaysReversed(**broken.CLICK), [oracle, simulator, table, histories]),
    (broken.Mute(**broken.CLICK), [oracle, table]),
    (broken.TakesThenEvicts(**broken.CLICK), [model, simulator, holders, histories]),
    (broken.Uncounted(**broken.CLICK), [wallet]),
    # Engines
    (broken.tells_after_the_commit, [races, simulator]),
    (broken.rolls_errors_back, [simulator]),
    (broken.answers_what_was_not_saved, [races, simulator]),
    (broken.never_starts_over, [races]),
    (broken.writes_in_another, [races, simulator]),
    # Storages
    (broken.LostUpdates, [races, simulator]),
    (broken.TwoHolders, [races, simulator]),
    (broken.DirtyRollback, [races, simulator]),
    (broken.Seconds, [simulator]),
    (broken.Forgetful, [simulator]),
]
"""What is broken, and who must notice."""


def trial_with(wrong: Any) -> Trial:
    match wrong:
        case Payme():
            return Trial(Registers(payme=wrong))
        case Click():
            return Trial(Registers(click=wrong))
        case type():
            return Trial(storage=broken.stored_in(wrong))
        case _:
            return Trial(engine=wrong)


def name_of(value: object) -> str:
    """Name a broken thing or a tool."""
    if isinstance(value, Payme) and value.timeout != HALF_DAY:
        return f"Limit{value.timeout - HALF_DAY:+}"
    return getattr(value, "__name__", type(value).__name__)


@pytest.mark.parametrize(
    ("wrong", "tool"),
    [pytest.param(wrong, tool, id=f"{name_of(wrong)}-{name_of(tool)}") for wrong, tools in FOUND_OUT for tool in tools],
)
def test_what_is_broken_is_found_out_by_every_tool_that_should(wrong: Any, tool: Tool) -> None:
    with pytest.raises((AssertionError, Conflict, LookupError, ValueError, pytest.fail.Exception)):
        tool(trial_with(wrong))


@pytest.mark.parametrize(
    ("storage", "check"),
    [(broken.LostUpdates, check_one_winner), (broken.TwoHolders, check_one_winner)],
    ids=name_of,
)
def test_a_storm_of_threads_finds_a_broken_storage_too(storage: type[Memory], check: Callable[[Memory], None]) -> None:
    check(shop())
    with pytest.raises(AssertionError):
        check(storage(shop().find_account))


@pytest.mark.parametrize("tool", [model, races, simulator], ids=name_of)
def test_what_is_found_in_another_process_is_told_in_this_one(tool: Tool) -> None:
    trial = Trial(Registers(payme=broken.Revives(**broken.PAYME)))
    with pytest.raises(AssertionError) as found:
        timed(Task("control", tool, (trial,), 0))  # type: ignore[arg-type]
    assert "\n" in str(pickle.loads(pickle.dumps(found.value)))  # noqa: S301 - our own


def test_nothing_is_broken_in_vain() -> None:
    wrong = {each for each in vars(broken).values() if isinstance(each, type) and each.__module__ == broken.__name__}
    kinds = {each.__name__ for each in wrong if issubclass(each, Payme | Click | Memory)}
    assert kinds <= {name_of(each) for each, _ in FOUND_OUT}


@pytest.mark.parametrize(
    "tool",
    [matrix, limit, doubts, table, holders, click_doubts, completes, signatures, OWN_ERRORS, REPEATED, ONE_PAYMENT],
    ids=name_of,
)
def test_what_is_right_passes(tool: Tool) -> None:
    """The model, the races and the simulator have their own tests for that."""
    registers = Registers(Payme(**broken.PAYME), Click(**broken.CLICK))
    tool(Trial(registers))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": State.SUCCESSFULLY, "cancel_time": None, "reason": None, "perform_time": NOW + 1000},
        {"reason": 5},
        {"cancel_time": NOW + 1001},
        {"hold": "orders:42"},
    ],
    ids=str,
)
def test_a_broken_gateway_cannot_even_build_its_change(wrong: dict[str, Any]) -> None:
    change = broken.forged(lived(State.CANCELLED_DURING_INIT), **wrong)
    with pytest.raises(ValueError, match=r"no transaction moves|may not touch|hold may be given up"):
        Change(change.before, change.after)
