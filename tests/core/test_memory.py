"""The reference repository: races of real threads end as one of them alone would have ended them."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import pytest

from paytechuz_core import Conflict, Hooks, Memory, Repository, State, respond
from paytechuz_core.hooks import call_hook
from paytechuz_core.transaction import Change
from tests.core.strategies import born, lived
from tests.core.wire import (
    ID,
    NOW,
    ORDER,
    PAYME,
    RIVAL,
    WALLET,
    Params,
    Wire,
    cancel,
    check,
    create,
    encoded,
    perform,
    post,
)

RIVALS: Final = 16


class Starts:
    """Holds everybody's first attempt at the same step until all have reached it, so that every attempt collides."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties, timeout=20)
        self.waited = threading.local()

    def wait(self) -> None:
        if not getattr(self.waited, "once", False):
            self.waited.once = True
            self.barrier.wait()


@contextmanager
def together(memory: Memory, starts: Starts) -> Iterator[Repository]:
    """A database transaction that waits for its rivals just before it commits."""
    with memory.begin() as repository:
        yield repository
        starts.wait()


def storm(memory: Memory, messages: list[Wire], hooks: Hooks) -> list[Params]:
    """Send all at once, each from a thread of its own; give the answers."""
    starts = Starts(len(messages))

    def send(message: Wire) -> Params:
        begin, fire = partial(together, memory, starts), partial(call_hook, hooks)
        answer: Params = json.loads(respond(PAYME, post(encoded(message)), begin, fire, lambda: NOW, lambda _: None))
        return answer

    with ThreadPoolExecutor(len(messages)) as threads:
        return list(threads.map(send, messages))


class Counting(Hooks):
    """Counts after the commit, where nothing is taken back."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []

    def after_commit(self, event: str, params: Params, transaction: Any) -> None:
        del params
        self.done.append((event, transaction.transaction_id))


def check_identical(memory: Memory) -> None:
    """Sixteen identical Creates leave one row, and sixteen equal answers."""
    hooks = Counting()
    answers = storm(memory, [create()] * RIVALS, hooks)
    assert (
        answers == [{"jsonrpc": "2.0", "id": 1, "result": {"create_time": NOW, "transaction": ID, "state": 1}}] * RIVALS
    )
    assert list(memory.transactions) == [("payme", ID)]
    assert hooks.done == [("transaction_created", ID)]


def check_one_winner(memory: Memory) -> None:
    """Of sixteen payments for one order one wins, and the others are told that it is held."""
    hooks = Counting()
    answers = storm(memory, [create(f"{number}") for number in range(RIVALS)], hooks)
    codes = sorted(answer["error"]["code"] if "error" in answer else 0 for answer in answers)
    assert codes == [-31051] * (RIVALS - 1) + [0]
    assert len(memory.transactions) == len(hooks.done) == 1


def shop() -> Memory:
    return Memory(lambda fields: {"42": ORDER, "7": WALLET}.get(fields["order_id"]))


def with_paid() -> Memory:
    memory = shop()
    memory.transactions["payme", ID] = lived(State.SUCCESSFULLY)
    return memory


def with_unpaid() -> Memory:
    memory = shop()
    memory.transactions["payme", ID] = born()
    return memory


# Storms


def test_sixteen_identical_creates_are_one_transaction_and_sixteen_equal_answers() -> None:
    check_identical(shop())


def test_of_sixteen_payments_for_one_order_one_wins() -> None:
    check_one_winner(shop())


def test_sixteen_top_ups_of_one_wallet_are_sixteen_payments() -> None:
    memory, hooks = shop(), Counting()
    answers = storm(memory, [create(f"{number}", order="7") for number in range(RIVALS)], hooks)
    assert all(answer["result"]["state"] == 1 for answer in answers)
    assert len(memory.transactions) == len(hooks.done) == RIVALS
    assert sorted(each.id or 0 for each in memory.transactions.values()) == list(range(1, RIVALS + 1))


def test_sixteen_performs_pay_once_and_answer_alike() -> None:
    memory, hooks = with_unpaid(), Counting()
    answers = storm(memory, [perform()] * RIVALS, hooks)
    assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
    assert answers[0]["result"] == {"transaction": ID, "perform_time": NOW, "state": 2}
    assert hooks.done == [("successfully_payment", ID)]


def test_perform_against_cancel_ends_as_one_of_them_came_first() -> None:
    for _ in range(20):
        memory, hooks = with_unpaid(), Counting()
        paid, cancelled = storm(memory, [perform(), cancel()], hooks)
        final = memory.transactions["payme", ID].state
        assert cancelled["result"]["state"] == final
        if "result" in paid:
            assert (final, [event for event, _ in hooks.done]) == (-2, ["successfully_payment", "cancelled_payment"])
        else:
            assert (paid["error"]["code"], final, hooks.done) == (-31008, -1, [("cancelled_payment", ID)])


def test_a_refund_against_everything_else_is_done_once() -> None:
    memory, hooks = with_paid(), Counting()
    storm(memory, [cancel(reason=5), cancel(reason=3), perform(), check(), create()], hooks)
    assert hooks.done == [("cancelled_payment", ID)]
    assert memory.transactions["payme", ID].state is State.CANCELLED


# One database transaction


def save(memory: Memory, change: Change) -> None:
    with memory.begin() as repository:
        repository.save(change)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_all_within_one_begin_vanishes_together(error: type[BaseException]) -> None:
    memory = shop()

    def saves_and_fails() -> None:
        with memory.begin() as repository:
            repository.save(Change(None, born()))
            repository.save(Change(None, born(WALLET, transaction_id=RIVAL)))
            raise error

    with pytest.raises(error):
        saves_and_fails()
    assert memory.transactions == {}


def test_all_within_one_begin_is_seen_by_itself_at_once_and_by_others_after_it() -> None:
    memory = shop()
    with memory.begin() as writer, memory.begin() as reader:
        stored = writer.save(Change(None, born()))
        assert writer.find_transactions("payme", ID, None, for_update=True) == [stored]
        assert writer.list_transactions("payme", NOW, NOW) == [stored]
        assert reader.find_transactions("payme", ID, "orders:42", for_update=False) == []
    with memory.begin() as reader:
        assert reader.find_transactions("payme", ID, "orders:42", for_update=False) == [stored]


def commits_meanwhile(memory: Memory, change: Callable[[], Change], rival: Callable[[], Change]) -> None:
    """Save `change` while `rival` is saved and committed before its commit."""
    with memory.begin() as repository:
        repository.save(change())
        save(memory, rival())


LATER: Final = NOW + 1


@pytest.mark.parametrize(
    ("stored", "mine", "rival"),
    [
        (None, lambda: Change(None, born()), lambda: Change(None, born())),
        (None, lambda: Change(None, born()), lambda: Change(None, born(transaction_id=RIVAL))),
        (None, lambda: Change(None, born()), lambda: Change(None, born(gateway="click"))),
        (State.INITIATING, lambda: born().perform(LATER), lambda: born().cancel(LATER, 3)),
        (State.INITIATING, lambda: born().perform(LATER), lambda: born().perform(LATER)),
        (State.INITIATING, lambda: born().perform(LATER), lambda: born().amend(LATER, extra_data={"n": 1})),
        (State.INITIATING, lambda: born().amend(LATER, extra_data={"n": 1}), lambda: born().cancel(LATER, 3)),
    ],
)
def test_a_rival_that_commits_first_is_noticed_at_the_commit(
    stored: State | None, mine: Callable[[], Change], rival: Callable[[], Change]
) -> None:
    memory = shop() if stored is None else with_unpaid()
    with pytest.raises(Conflict):
        commits_meanwhile(memory, mine, rival)
    (left,) = memory.transactions.values()
    assert left.state is rival().after.state


@pytest.mark.parametrize(
    "change",
    [
        Change(None, born()),
        Change(None, born(transaction_id=RIVAL)),
        born().perform(LATER),
        lived(State.INITIATING, transaction_id=RIVAL).perform(LATER),
    ],
    ids=["the same id", "the same hold", "another state", "a row that is not there"],
)
def test_a_rival_that_has_committed_is_noticed_at_the_save(change: Change) -> None:
    memory = with_paid()
    with memory.begin() as repository, pytest.raises(Conflict):
        repository.save(change)
    assert list(memory.transactions.values()) == [lived(State.SUCCESSFULLY)]


def test_a_hold_may_pass_to_a_newcomer_within_one_transaction() -> None:
    memory = with_unpaid()
    with memory.begin() as repository:
        repository.save(born().cancel(LATER, 4))
        repository.save(Change(None, born(transaction_id=RIVAL)))
    assert [each.hold for each in memory.transactions.values()] == [None, "orders:42"]


def test_transactions_are_found_by_id_at_their_gateway_and_by_hold_at_any() -> None:
    memory = with_unpaid()
    save(memory, Change(None, born(WALLET, gateway="click")))
    with memory.begin() as repository:

        def found(*key: str | None) -> list[str]:
            return [each.gateway for each in repository.find_transactions(*key, for_update=False)]  # type: ignore[arg-type]

        assert found("payme", ID, None) == ["payme"]
        assert found("click", ID, None) == ["click"]
        assert found("click", ID, "orders:42") == ["payme", "click"]
        assert found("click", RIVAL, "orders:42") == ["payme"]
        assert found("payme", None, None) == []
        assert found("payme", ID.upper(), "Orders:42") == []


def test_a_statement_takes_both_ends_of_the_provider_s_time_in_its_order() -> None:
    memory = shop()
    for number, time in enumerate((NOW + 2, NOW, NOW + 1, NOW + 1, NOW + 3, NOW - 1)):
        save(memory, Change(None, born(WALLET, transaction_id=f"{number}", time=time)))
    save(memory, Change(None, born(WALLET, gateway="click", time=NOW + 1)))
    with memory.begin() as repository:

        def listed(start: int, end: int) -> list[str]:
            return [each.transaction_id for each in repository.list_transactions("payme", start, end)]

        assert listed(NOW, NOW + 2) == ["1", "2", "3", "0"]
        assert listed(NOW + 1, NOW + 1) == ["2", "3"]
        assert listed(NOW + 2, NOW) == []


def test_what_is_read_is_a_copy_and_writing_into_it_reaches_nobody() -> None:
    memory = shop()
    with memory.begin() as repository:
        stored = repository.save(Change(None, born()))
        stored.extra_data["forged"] = True
    with memory.begin() as repository:
        (read,) = repository.find_transactions("payme", ID, None, for_update=False)
        (listed,) = repository.list_transactions("payme", NOW, NOW)
        read.extra_data["forged"] = listed.extra_data["forged"] = True
    assert memory.transactions["payme", ID].extra_data == {}
