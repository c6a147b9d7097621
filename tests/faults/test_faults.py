"""Every experiment at its shortest, on whatever databases there are; and the books find what they are for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, create_engine, delete, insert, update

from paytechuz_core.transaction import Millis
from tests.core.wire import NOW, create, perform
from tests.databases import REQUIRED
from tests.faults.books import Ledger, audit, doubled, read
from tests.faults.conduct import conduct
from tests.faults.every import EXPERIMENTS
from tests.faults.experiment import Experiment, Size, Tally
from tests.faults.races import in_turn, serial_outcomes
from tests.faults.report import html, markdown
from tests.sql.shop import PAYMENTS, Effect, Order, Shop

SHORT = [experiment for experiment in EXPERIMENTS if Size.SHORT in experiment.rounds]


@pytest.mark.parametrize("experiment", SHORT, ids=str)
def test_nothing_is_lost_and_nothing_doubled(experiment: Experiment) -> None:
    if (missing := experiment.missing()) is not None:
        (pytest.fail if REQUIRED else pytest.skip)(missing)
    tally = experiment.run(experiment.rounds[Size.SHORT], lambda: None)
    assert experiment.failure(tally) is None


def test_every_experiment_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(map(str, EXPERIMENTS)).items() if times > 1] == []


# What the books find


@pytest.fixture
def paid(tmp_path: object) -> tuple[Engine, Ledger]:
    """Two orders, one of them paid, and a ledger that knows it."""
    shop, ledger = Shop(create_engine(f"sqlite:///{tmp_path}/books.db")).open(), Ledger()
    for name in "ab":
        ledger.note(name, 1, shop.ask(create(name, order=shop.order()))["create_time"])
    ledger.note("a", 2, shop.ask(perform("a"))["perform_time"])
    return shop.engine, ledger


def test_books_that_balance_have_nothing_to_say(paid: tuple[Engine, Ledger]) -> None:
    engine, ledger = paid
    tally = audit(engine, ledger)
    assert (tally.acknowledged, tally.wrong) == (3, [])
    engine.dispose()


A, B = PAYMENTS.c.transaction_id == "a", PAYMENTS.c.transaction_id == "b"
LOSSES = {
    "the payment is gone": delete(PAYMENTS).where(A),
    "the payment is as it was before": update(PAYMENTS).where(A).values(state=1, performed_at=None),
    "the effect is gone": delete(Effect),
    "the effect is of less money": update(Effect).values(amount_tiyin=Effect.amount_tiyin - 1),
    "the order is believed unpaid": update(Order).values(status="pending"),
}
DOUBLES = {
    "the effect is there twice": insert(Effect).values(kind="paid", transaction_id="a", amount_tiyin=1),
    "an effect came from nowhere": insert(Effect).values(kind="paid", transaction_id="b", amount_tiyin=1),
    "an order is believed paid": update(Order).values(status="paid"),
    "two live payments for one order": update(PAYMENTS).where(B).values(account_id="1"),
}


@pytest.mark.parametrize("what", [*LOSSES, *DOUBLES])
def test_whatever_is_wrong_is_in_the_books(paid: tuple[Engine, Ledger], what: str) -> None:
    engine, ledger = paid
    with engine.begin() as connection:
        connection.execute({**LOSSES, **DOUBLES}[what])
    tally = audit(engine, ledger)
    assert tally.lost if what in LOSSES else tally.doubled
    engine.dispose()


def test_a_payment_that_is_stored_twice_is_in_the_books(paid: tuple[Engine, Ledger]) -> None:
    engine, _ = paid
    books = read(engine)
    first, *_ = books.payments
    assert [*doubled(replace(books, payments=[*books.payments, first]))]
    engine.dispose()


@pytest.mark.parametrize(("state", "stamp"), [(2, NOW), (1, NOW + 1)])
def test_what_was_acknowledged_otherwise_than_stored_is_lost(
    paid: tuple[Engine, Ledger], state: int, stamp: Millis
) -> None:
    engine, ledger = paid
    ledger.note("b", state, stamp)
    assert audit(engine, ledger).lost
    engine.dispose()


# What the races find


def test_an_outcome_of_no_order_is_found() -> None:
    possible = serial_outcomes("nothing", ("create a", "create b"))
    assert len(possible) == 2
    (first, _), states, effects = in_turn("nothing", ("create a", "create b"))
    (second, _), *_ = in_turn("nothing", ("create b", "create a"))
    assert ((first, second), (*states, ("b1", 1)), effects) not in possible  # two holders of one order
    possible = serial_outcomes("created", ("perform a", "cancel a"))
    answers, states, effects = in_turn("created", ("perform a", "cancel a"))
    assert (answers, states, effects) in possible
    assert (answers, states, (*effects, ("paid", "a1"))) not in possible  # paid twice
    assert (answers, states, effects[1:]) not in possible  # a refund that the shop was not told of
    assert (answers, (("a1", 2),), effects) not in possible  # a refund that is answered and not stored


# How an experiment is judged


def experiment(run: Callable[[], Tally], *, control: bool = False) -> Experiment:
    return Experiment("A name", "a <ground>", "A promise", lambda *_: run(), {Size.SHORT: 1}, control=control)


def broken() -> Tally:
    message = "the server did not come back"
    raise AssertionError(message)


@pytest.mark.parametrize(
    ("tried", "verdict"),
    [
        (experiment(lambda: Tally(acknowledged=1)), "held"),
        (experiment(Tally), "BROKEN"),
        (experiment(lambda: Tally(acknowledged=1, lost=["a"])), "BROKEN"),
        (experiment(lambda: Tally(acknowledged=1, doubled=["a"])), "BROKEN"),
        (experiment(broken), "BROKEN"),
        (experiment(lambda: Tally(acknowledged=1, lost=["a"]), control=True), "control: seen"),
        (experiment(lambda: Tally(acknowledged=1), control=True), "BROKEN"),
    ],
)
def test_a_promise_holds_where_payments_were_taken_and_none_lost_or_doubled(tried: Experiment, verdict: str) -> None:
    outcome = conduct(tried, 1, lambda: None)
    assert outcome.verdict == verdict
    assert verdict in markdown([outcome], Size.SHORT)
    page = html([outcome], Size.SHORT)
    assert verdict in page
    assert "a <ground>" not in page
