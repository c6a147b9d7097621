"""The merchant's hooks: their work commits together with the transaction's state, or not at all.

`habits` are what people do in hooks, the documentation's example first. Each is tried in every move of a payment, with
a `Session` and with an `AsyncSession`, on every database.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from paytechuz import Refused
from tests.http.clients import (
    EXAMPLE,
    FASTAPI,
    HALF_DAY,
    KEY,
    NOON,
    PATIENCE,
    TIYIN,
    Answer,
    AsgiClient,
    Client,
    Clock,
    FlaskSync,
    Habit,
    Order,
)  # fmt: skip
from tests.http.django import DjangoClient
from tests.http.habits import (
    BAD,
    BAD_OF_A_SESSION,
    BEFORE_A_STOP,
    CANCELLED,
    CREATED,
    DISPUTED_OF_A_SESSION,
    ENDS,
    GOOD,
    GOOD_OF_A_SESSION,
    MOVES,
    PAID,
    REFUNDED,
    STOPS,
    Broken,
    Move,
    Steps,
    closes_the_session,
    commits,
    commits_then_changes_more_and_raises,
    commits_then_raises,
    hook,
    leaves_a_unique_violation_for_the_end,
    leaves_its_changes_uncommitted,
    make,
    only_flushes,
    raises,
    rolls_back,
    rolls_back_then_commits,
    stopped_by,
    stored,
    swallows_a_failed_commit,
    violates_a_unique_key,
)

Open = Callable[..., Client]


def of_a_session(habit: Habit) -> Any:
    """Leave a habit out where the shop's ORM is not SQLAlchemy."""
    return pytest.param(habit, marks=pytest.mark.session, id=habit.__name__)


@pytest.mark.every_database
@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("habit", [*GOOD, *map(of_a_session, GOOD_OF_A_SESSION)])
def test_what_a_hook_does_is_committed_with_the_state(open_shop: Open, move: Move, habit: Habit) -> None:
    shop = open_shop(habits=[hook(move.hook, habit)])
    order = move.prepare(shop)
    assert make(shop, move.call, order).result["state"] == move.state
    found = shop.database.find(order)
    assert (shop.database.states(), found.status, found.paid) == ({"a": move.state}, "touched", 1)
    make(shop, move.call, order).ok()
    assert (shop.database.find(order), shop.hooks) == (found, [move.hook])


@pytest.mark.every_database
@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("habit", [*BAD, *map(of_a_session, BAD_OF_A_SESSION)])
def test_a_hook_whose_work_is_lost_leaves_nothing_and_the_repetition_can_succeed(
    open_shop: Open, move: Move, habit: Habit
) -> None:
    shop = open_shop(habits=[hook(move.hook, habit, times=1)])
    shop.database.order(voucher="taken")
    order = move.prepare(shop)
    before = stored(shop)
    assert make(shop, move.call, order).code == -32400
    assert stored(shop) == before
    assert make(shop, move.call, order).result["state"] == move.state
    found = shop.database.find(order)
    assert (shop.database.states(), found.status, found.paid) == ({"a": move.state}, "touched", 1)


ASKS = (
    Move("is_payable", (), "create", 1),
    Move("before_check_perform_transaction", (), "create", 1),
    Move("can_reverse", ("create", "perform"), "cancel", -2),
)
"""Not moves, but asked while one is decided: what is done then is saved with it, too."""


@pytest.mark.every_database
@pytest.mark.parametrize("move", ASKS, ids=str)
@pytest.mark.parametrize(
    "habit", [commits, of_a_session(leaves_its_changes_uncommitted), of_a_session(rolls_back_then_commits)]
)
def test_what_a_hook_does_that_is_asked_is_committed_with_the_state(open_shop: Open, move: Move, habit: Habit) -> None:
    test_what_a_hook_does_is_committed_with_the_state(open_shop, move, habit)


@pytest.mark.every_database
@pytest.mark.parametrize("move", ASKS, ids=str)
@pytest.mark.parametrize(
    "habit", [commits_then_raises, *map(of_a_session, (rolls_back, closes_the_session, swallows_a_failed_commit))]
)
def test_a_hook_that_is_asked_and_whose_work_is_lost_leaves_nothing(open_shop: Open, move: Move, habit: Habit) -> None:
    test_a_hook_whose_work_is_lost_leaves_nothing_and_the_repetition_can_succeed(open_shop, move, habit)


@pytest.mark.session
@pytest.mark.every_database
@pytest.mark.parametrize("move", [PAID, REFUNDED], ids=str)
@pytest.mark.parametrize("habit", DISPUTED_OF_A_SESSION)
def test_a_success_is_whole_and_a_system_error_is_nothing(open_shop: Open, move: Move, habit: Habit) -> None:
    shop = open_shop(habits=[hook(move.hook, habit)])
    shop.database.order(voucher="taken")
    order = move.prepare(shop)
    before = stored(shop)
    answer = make(shop, move.call, order)
    if answer.code is None:
        found = shop.database.find(order)
        assert (shop.database.states(), found.status, found.paid) == ({"a": move.state}, "touched", 1)
    else:
        assert answer.code == -32400
        assert stored(shop) == before


@pytest.mark.session
@pytest.mark.every_database
def test_a_hook_that_swallows_every_error_is_never_a_silent_rollback(open_shop: Open) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, and no error, where a statement failed before."""

    def swallows_everything(self: Any, transaction: Any) -> Steps:
        yield from only_flushes(self, transaction)
        for statement in (text("SELECT no_such_column FROM shop_orders"), update(Order).values(paid=7)):
            with suppress(Exception):
                yield self.db.execute(statement)
        with suppress(Exception):
            yield self.db.commit()

    shop = open_shop(habits=[hook("successfully_payment", swallows_everything)])
    order = PAID.prepare(shop)
    before = stored(shop)
    if shop.perform("a").code is None:
        found = shop.database.find(order)
        assert (shop.database.states(), found.status, found.paid) == ({"a": 2}, "touched", 7)
    else:
        assert stored(shop) == before


@pytest.mark.session
@pytest.mark.every_database(but="sqlite")  # whose one writer never meets a deadlock
def test_a_deadlock_inside_a_hook_starts_the_call_over_even_where_the_hook_swallows_it(open_shop: Open) -> None:
    both_have_one = threading.Barrier(2)
    tries: list[str] = []

    def successfully_payment(self: Any, params: Any, transaction: Any) -> Steps:
        del params
        keys = [orders[transaction.transaction_id], *orders.values()]
        tries.append(transaction.transaction_id)
        yield self.db.execute(update(Order).where(Order.id == keys[0]).values(paid=Order.paid + 1))
        if tries.count(transaction.transaction_id) == 1:
            yield self.wait(both_have_one)
        (other,) = {*keys} - {keys[0]}
        with suppress(DBAPIError):
            yield self.db.execute(update(Order).where(Order.id == other).values(paid=Order.paid + 1))

    shop = open_shop(habits=[successfully_payment])
    orders = {name: shop.database.order() for name in ("a", "b")}
    for name, order in orders.items():
        shop.create(name, order).ok()
    answers = shop.at_once([lambda: shop.perform("a"), lambda: shop.perform("b")])
    assert [answer.code for answer in answers] == [None, None]
    assert [shop.database.find(order).paid for order in orders.values()] == [2, 2]
    assert len(tries) > 2, "the database saw no deadlock"


@pytest.mark.every_database
@pytest.mark.parametrize("gone", STOPS)
@pytest.mark.parametrize("done", BEFORE_A_STOP)
def test_a_hook_that_stops_the_worker_leaves_nothing(open_shop: Open, done: Habit, gone: type[BaseException]) -> None:
    """Before its work, after it, and after a commit of its own."""
    shop = open_shop(habits=[hook("successfully_payment", stopped_by(gone, done), times=1)])
    order = PAID.prepare(shop)
    before = stored(shop)
    with pytest.raises(gone):
        shop.perform("a")
    assert stored(shop) == before
    assert shop.perform("a").result["state"] == 2
    assert shop.database.find(order).paid == 1


@pytest.mark.clients(FlaskSync, DjangoClient)
@pytest.mark.every_database
@pytest.mark.parametrize("gone", ENDS)
@pytest.mark.parametrize("done", BEFORE_A_STOP)
def test_a_hook_that_ends_the_process_leaves_nothing(open_shop: Open, done: Habit, gone: type[BaseException]) -> None:
    test_a_hook_that_stops_the_worker_leaves_nothing(open_shop, done, gone)


@pytest.mark.clients(*FASTAPI)  # the others have a thread for each request, which nobody cancels
@pytest.mark.every_database
@pytest.mark.parametrize("move", [CREATED, PAID], ids=str)
def test_a_request_cancelled_while_its_hook_runs_is_done_entirely_or_not_at_all(
    open_shop: Callable[..., AsgiClient], move: Move
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def waits(self: Any, transaction: Any) -> Steps:
        yield from commits(self, transaction)
        entered.set()
        assert (yield self.wait(leave))

    shop = open_shop(habits=[hook(move.hook, waits)])
    order = move.prepare(shop)
    with pytest.raises(asyncio.CancelledError), shop.hung_up_on(entered, leave):
        make(shop, move.call, order)
    found = shop.database.find(order)
    if shop.database.states().get("a") == move.state:
        assert (found.status, found.paid) == ("touched", 1)
    else:
        assert (found.status, found.paid) == ("pending", 0)
    assert make(shop, move.call, order).result["state"] == move.state
    assert shop.database.find(order).paid == 1


@pytest.mark.every_database
def test_the_eviction_of_an_expired_holder_commits_with_the_newcomer_or_not_at_all(open_shop: Open) -> None:
    bad = hook("transaction_created", commits_then_raises)
    shop = open_shop(habits=[*EXAMPLE])
    order = shop.database.order()
    shop.create("a", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    failing = open_shop(habits=[*EXAMPLE, bad], clock=shop.clock)
    before = stored(shop)
    assert failing.create("b", order).code == -32400
    assert failing.hooks == ["cancelled_payment", "transaction_created"]
    assert stored(shop) == before
    assert shop.create("b", order).result["state"] == 1
    assert (shop.database.states(), shop.database.find(order).returned) == ({"a": -1, "b": 1}, 1)


# The session


@pytest.mark.session
@pytest.mark.every_database
def test_a_session_that_its_dependency_has_already_used_is_refreshed(open_shop: Open) -> None:
    dearer = []

    def uses(db: Any) -> Steps:
        found = (yield db.execute(select(Order))).scalars().all()
        for each in found:
            if each.id in dearer:  # changed by someone else, after this session has read it
                shop.database.change(each.id, amount=7000)

    shop = open_shop(prepare=uses)
    order, other = shop.database.order(), shop.database.order()
    shop.pay("a", order)
    assert (shop.database.find(order).status, shop.database.states()) == ("paid", {"a": 2})
    dearer.append(other)
    assert shop.check_perform(other).code == -31001
    assert shop.create("b", other, 700_000).result["state"] == 1


def adds(db: Any) -> Steps:
    db.add(Order(amount=1))
    yield None


def edits(db: Any) -> Steps:
    order = (yield db.execute(select(Order).limit(1))).scalar_one()
    order.status = "edited"


def deletes(db: Any) -> Steps:
    order = (yield db.execute(select(Order).limit(1))).scalar_one()
    yield db.delete(order)


def begins(db: Any) -> Steps:
    yield db.begin()


@pytest.mark.session
@pytest.mark.parametrize("prepare", [adds, edits, deletes, begins])
def test_a_session_whose_work_would_be_lost_is_refused_and_the_log_names_the_fix(
    open_shop: Open, prepare: Habit, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop(prepare=prepare)
    order = shop.database.order()
    before = stored(shop)
    assert (shop.check_perform(order).code, shop.create("a", order).code) == (-32400, -32400)
    assert stored(shop) == before
    assert "Depends(get_db)" in caplog.text


@pytest.mark.session
@pytest.mark.every_database
def test_a_session_can_still_be_used_after_the_handler(open_shop: Open) -> None:
    """The dependency's own end, such as `db.commit()` after `yield`, finds a session that works."""
    seen = []

    def finishes(db: Any) -> Steps:
        seen.append((yield db.execute(select(Order.status))).scalar_one())
        yield db.commit()

    shop = open_shop(finish=finishes)
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.perform("unknown").code == -31003
    assert seen == ["pending", "paid", "paid"]


@pytest.mark.session
@pytest.mark.every_database
@pytest.mark.parametrize("habit", [raises, commits_then_changes_more_and_raises, leaves_a_unique_violation_for_the_end])
def test_a_dependency_that_commits_at_its_end_saves_nothing_of_what_failed(open_shop: Open, habit: Habit) -> None:
    ends = []

    def finishes(db: Any) -> Steps:
        yield db.commit()
        ends.append((yield db.execute(select(Order.paid).order_by(Order.id.desc()))).scalars().first())

    shop = open_shop(habits=[hook("successfully_payment", habit, times=1)], finish=finishes)
    shop.database.order(voucher="taken")
    PAID.prepare(shop)
    before = stored(shop)
    assert shop.perform("a").code == -32400
    assert stored(shop) == before
    assert shop.perform("a").result["state"] == 2
    assert ends == [0, 0, 1]


@pytest.mark.session
@pytest.mark.every_database(asynchronous=False)  # which needs no threads
def test_a_session_that_waits_for_a_thread_keeps_no_connection_from_the_call_that_has_it(open_shop: Open) -> None:
    """Two requests have used their sessions and wait; the one that runs needs one of the only two connections."""
    waiting = threading.Semaphore(0)

    def uses(db: Any) -> Steps:
        if len(prepared) < 1:
            prepared.append(db)  # the first comes with an unused session
            return
        (yield db.execute(select(Order))).all()
        waiting.release()

    def keys() -> str:
        """Asked for by each call, in its thread and before it connects."""
        if not calls:
            calls.append(1)
            running.set()
            for _ in range(2):
                assert waiting.acquire(timeout=PATIENCE)
        return KEY

    prepared: list[Any] = []
    calls: list[int] = []
    running = threading.Event()
    shop = open_shop(prepare=uses, settings={"threads": 1, "payme_key": keys})
    order = shop.database.order()

    def later() -> Answer:
        assert running.wait(PATIENCE)
        return shop.check_perform(order)

    with shop.database.only_connections(2):
        answers = shop.at_once([lambda: shop.check_perform(order), later, later])
    assert [answer.code for answer in answers] == [None] * 3


# What hooks are given, and what they give


def test_hooks_hear_of_moves_and_calls_once_each_and_replays_are_no_moves(open_shop: Open) -> None:
    shop = open_shop(habits=[silent(name) for name in ALL_HOOKS])
    order = shop.database.order()
    calls: dict[str, Callable[[], Answer]] = {
        "check": lambda: shop.check_perform(order),
        "create": lambda: shop.create("a", order, time=NOON),
        "perform": lambda: shop.perform("a"),
        "status": lambda: shop.check("a"),
        "statement": lambda: shop.call("GetStatement", start=NOON, end=NOON),
        "cancel": lambda: shop.cancel("a"),
    }
    heard: dict[tuple[str, str], list[str]] = {}
    for name, call in calls.items():
        for turn in ("first", "again"):
            shop.heard.clear()
            call().ok()
            heard[name, turn] = shop.hooks
    check = ["before_check_perform_transaction", "get_check_data"]
    assert heard == {
        ("check", "first"): check,
        ("check", "again"): check,
        ("create", "first"): [
            "before_check_perform_transaction", "get_receivers", "transaction_created", "after_commit",
        ],
        ("create", "again"): ["transaction_already_exists"],
        ("perform", "first"): ["successfully_payment", "after_commit"],
        ("perform", "again"): [],
        ("status", "first"): ["check_transaction"],
        ("status", "again"): ["check_transaction"],
        ("statement", "first"): ["get_statement"],
        ("statement", "again"): ["get_statement"],
        ("cancel", "first"): ["can_reverse", "cancelled_payment", "after_commit"],
        ("cancel", "again"): [],
    }  # fmt: skip


ALL_HOOKS = (
    "before_check_perform_transaction", "get_check_data", "get_receivers", "can_reverse", "transaction_created",
    "transaction_already_exists", "successfully_payment", "cancelled_payment", "check_transaction", "get_statement",
    "after_commit",
)  # fmt: skip


def silent(name: str, returns: Any = None) -> Habit:
    """A hook that says nothing of its own."""

    def run(*arguments: Any) -> Any:
        del arguments
        return True if name == "can_reverse" else returns

    run.__name__ = name
    return run


@pytest.mark.every_database
def test_hooks_are_given_the_params_and_a_detached_transaction_and_the_shops_own_order(open_shop: Open) -> None:
    seen: dict[str, Any] = {}

    def transaction_created(self: Any, params: Any, transaction: Any, account: Any) -> Steps:
        account.status = "awaiting"
        yield self.db.commit()
        seen.update(created=transaction, account=account, params=params)
        names = (
            "id",
            "gateway",
            "transaction_id",
            "account_id",
            "amount",
            "amount_tiyin",
            "state",
            "reason",
            "extra_data",
        )
        times = ("created_at", "updated_at", "performed_at", "cancelled_at")
        seen["after a commit"] = {name: getattr(transaction, name) for name in (*names, *times)}

    shop = open_shop(habits=[transaction_created])
    order = shop.database.order()
    shop.create("a", order).ok()
    found = seen["after a commit"]
    assert (found["account_id"], type(found["account_id"])) == (order, int)
    assert (str(found["amount"]), found["amount_tiyin"], found["state"]) == ("5000.00", TIYIN, 1)
    assert (found["created_at"].timestamp() * 1000, found["performed_at"]) == (NOON, None)
    assert (found["id"], found["gateway"]) == (shop.database.payment("a")["id"], "payme")
    assert isinstance(seen["account"], shop.model)
    assert seen["params"] == {"id": "a", "time": NOON, "amount": TIYIN, "account": {"order_id": str(order)}}
    if shop.has_session:
        assert shop.database.find(order).status == "awaiting", "the order given is the session's own, and may be edited"


@pytest.mark.every_database
def test_what_hooks_put_into_extra_data_is_saved_and_given_to_the_next(open_shop: Open) -> None:
    def note(name: str) -> Habit:
        def run(self: Any, params: Any, transaction: Any, account: Any = None) -> None:
            del self, params, account
            transaction.extra_data.setdefault("heard", []).append(name)

        run.__name__ = name
        return run

    names = (
        "transaction_created",
        "transaction_already_exists",
        "successfully_payment",
        "check_transaction",
        "cancelled_payment",
    )
    shop = open_shop(habits=[note(name) for name in names])
    order = shop.database.order()
    for _ in range(2):
        shop.create("a", order).ok()
    for call in (shop.perform, shop.perform, shop.check, shop.cancel, shop.cancel):
        call("a").ok()
    assert shop.database.payment("a")["extra_data"] == {"heard": list(names)}


@pytest.mark.every_database
def test_what_five_hooks_put_into_extra_data_at_once_is_all_kept(open_shop: Open) -> None:
    def check_transaction(self: Any, params: Any, transaction: Any) -> None:
        del self
        transaction.extra_data.setdefault("asked", []).append(params["number"])

    shop = open_shop(habits=[check_transaction])
    shop.create("a", shop.database.order()).ok()
    numbers = range(5)
    shop.at_once([partial(shop.call, "CheckTransaction", id="a", number=number) for number in numbers])
    assert sorted(shop.database.payment("a")["extra_data"]["asked"]) == [*numbers]


@pytest.mark.every_database(but="sqlite")  # where the second call could not even read before the first is done
def test_a_call_that_read_before_a_rival_wrote_starts_over_and_its_hook_runs_once(open_shop: Open) -> None:
    """A repeated Create finds the transaction past its time, while Cancel has it and has not yet committed."""
    cancelling, read = threading.Event(), threading.Event()

    def waits(self: Any, transaction: Any) -> Steps:
        yield from commits(self, transaction)
        cancelling.set()
        assert (yield self.wait(read))

    class Watched(Clock):
        """Asked by each call once it has read."""

        def __call__(self) -> int:
            if cancelling.is_set():
                read.set()
            return super().__call__()

    shop = open_shop(habits=[hook("cancelled_payment", waits)], clock=Watched())
    order = CANCELLED.prepare(shop)
    shop.clock.advance(HALF_DAY + 1)

    def create_again() -> Answer:
        assert cancelling.wait(PATIENCE)
        return shop.create("a", order, time=NOON)

    cancelled, again = shop.at_once([lambda: shop.cancel("a", 3), create_again])
    assert (cancelled.result["state"], again.code) == (-1, -31008)
    assert (shop.database.payment("a")["reason"], shop.database.find(order).paid, len(shop.heard)) == (3, 1, 1)


@pytest.mark.every_database
@pytest.mark.parametrize(
    "name", ["before_check_perform_transaction", "get_check_data", "check_transaction", "get_statement"]
)
@pytest.mark.session
def test_what_the_hooks_of_a_reading_call_write_is_committed_and_payments_is_not(open_shop: Open, name: str) -> None:
    def run(self: Any, *_: Any) -> Steps:
        self.db.add(Order(amount=1, voucher=name))
        yield None

    run.__name__ = name
    shop = open_shop(habits=[run])
    order = shop.database.order()
    calls = {
        "check_transaction": lambda: shop.check("a"),
        "get_statement": lambda: shop.call("GetStatement", start=NOON, end=NOON),
    }
    if name in calls:
        shop.create("a", order).ok()
    before = shop.database.payments()
    calls.get(name, lambda: shop.check_perform(order))().ok()
    assert shop.database.payments() == before
    assert [row.voucher for row in stored(shop)[1]] == [None, name]


TEXTS = {"ru": "Нет", "uz": "Yo‘q", "en": "No"}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (Refused("No"), (-31099, {"ru": "No", "uz": "No", "en": "No"}, "order_id")),
        (Refused(TEXTS, code=-31077, data="phone"), (-31077, TEXTS, "phone")),
        (Refused({"uz": "Yo‘q"}, -31050), (-31050, dict.fromkeys(TEXTS, "Yo‘q"), "order_id")),
    ],
)
def test_a_refusal_before_payment_is_answered_in_the_merchants_words(
    open_shop: Open, refusal: Refused, expected: tuple[int, dict[str, str], str]
) -> None:
    def before_check_perform_transaction(self: Any, params: Any, account: Any) -> Steps:
        del params
        account.status = "considered"
        yield self.db.commit()
        raise refusal

    shop = open_shop(habits=[before_check_perform_transaction])
    order = shop.database.order()
    for answer in (shop.check_perform(order), shop.create("a", order)):
        error = answer.error
        assert (error["code"], error["message"], error["data"]) == expected
    assert (shop.database.payments(), shop.database.find(order).status) == ([], "pending")


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("move", "code"), [(CREATED, -31077), (PAID, -31008), (CANCELLED, -31007), (REFUNDED, -31007)], ids=str
)
def test_a_refusal_of_a_move_is_the_methods_own_error_and_nothing_is_saved(
    open_shop: Open, move: Move, code: int
) -> None:
    def refuses(self: Any, transaction: Any) -> Steps:
        yield from commits(self, transaction)
        raise Refused(TEXTS, code=-31077)

    shop = open_shop(habits=[hook(move.hook, refuses, times=1)])
    order = move.prepare(shop)
    before = stored(shop)
    error = make(shop, move.call, order).error
    assert (error["code"], error["message"]) == (code, TEXTS)
    assert stored(shop) == before
    assert make(shop, move.call, order).result["state"] == move.state


@pytest.mark.parametrize("code", [-31049, -31100, 0, -32400])
def test_a_refusals_code_outside_the_account_range_is_a_value_error(code: int) -> None:
    with pytest.raises(ValueError, match="-31050"):
        Refused("No", code=code)


@pytest.mark.every_database
def test_after_commit_hears_once_of_what_is_already_committed(open_shop: Open) -> None:
    seen = []

    def after_commit(self: Any, event: str, params: Any, transaction: Any) -> None:
        del self
        seen.append((event, transaction.state, shop.database.states(), params["id"]))

    shop = open_shop(habits=[*EXAMPLE, after_commit])
    order = shop.database.order()
    for _ in range(2):
        shop.create("a", order).ok()
    for call in (shop.perform, shop.perform, shop.check, shop.cancel, shop.cancel):
        call("a").ok()
    late = shop.database.order()
    shop.create("b", late).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert shop.perform("b").code == -31008
    assert seen == [
        ("transaction_created", 1, {"a": 1}, "a"),
        ("successfully_payment", 2, {"a": 2}, "a"),
        ("cancelled_payment", -2, {"a": -2}, "a"),
        ("transaction_created", 1, {"a": -2, "b": 1}, "b"),
        ("cancelled_payment", -1, {"a": -2, "b": -1}, "b"),
    ]


def test_an_error_in_after_commit_is_only_logged(open_shop: Open, caplog: pytest.LogCaptureFixture) -> None:
    def after_commit(self: Any, event: str, params: Any, transaction: Any) -> Steps:
        del event, params
        yield self.db.get(self.model, transaction.account_id)
        raise Broken

    shop = open_shop(habits=[*EXAMPLE, after_commit])
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.database.find(order).paid == 1
    failures = [record for record in caplog.records if record.name == "paytechuz" and record.levelno >= logging.ERROR]
    assert [record.exc_info and record.exc_info[0] for record in failures] == [Broken, Broken]


@pytest.mark.every_database
def test_after_commit_may_use_the_session_and_commits_for_itself(open_shop: Open) -> None:
    def after_commit(self: Any, event: str, params: Any, transaction: Any) -> Steps:
        del params
        order = yield self.db.get(self.model, transaction.account_id)
        order.status = f"told of {transaction.state}"
        yield self.db.commit()
        if event == "successfully_payment":
            raise Broken

    shop = open_shop(habits=[*EXAMPLE, after_commit])
    order = shop.database.order()
    shop.pay("a", order)
    assert (shop.database.states(), shop.database.find(order).status) == ({"a": 2}, "told of 2")
    shop.cancel("a").ok()
    assert shop.database.find(order).status == "told of -2"


def test_after_commit_hears_nothing_of_what_failed(open_shop: Open) -> None:
    shop = open_shop(habits=[hook("successfully_payment", raises), silent("after_commit")])
    PAID.prepare(shop)
    assert shop.perform("a").code == -32400
    assert shop.hooks.count("after_commit") == 1, "of Create alone"


@pytest.mark.session
@pytest.mark.every_database
def test_a_unique_violation_inside_a_hook_is_the_shops_bug_and_not_tried_again(open_shop: Open) -> None:
    shop = open_shop(habits=[hook("successfully_payment", violates_a_unique_key)])
    shop.database.order(voucher="taken")
    PAID.prepare(shop)
    assert shop.perform("a").code == -32400
    assert shop.hooks == ["successfully_payment"]


@pytest.mark.every_database
def test_a_refunded_order_may_be_reopened(open_shop: Open) -> None:
    def cancelled_payment(self: Any, params: Any, transaction: Any) -> Steps:
        del params
        yield self.reopen(transaction)

    shop = open_shop(habits=[cancelled_payment])
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.check_perform(order).code == -31052
    shop.cancel("a").ok()
    shop.pay("b", order)
    assert shop.database.states() == {"a": -2, "b": 2}
    assert shop.create("c", order).code == -31052


@pytest.mark.every_database
def test_a_payment_may_be_split_among_receivers(open_shop: Open) -> None:
    shares = [
        {"id": "5305e3bab097f420a62ced0b", "amount": 200_000},
        {"id": "4215e6bab097f420a62ced01", "amount": 300_000},
    ]
    shop = open_shop(habits=[silent("get_receivers", shares)])
    order = shop.database.order()
    first = shop.create("a", order)
    assert first.result["receivers"] == shares
    assert shop.create("a", order).body == first.body
    assert [row["receivers"] for row in shop.statement(NOON, NOON)] == [shares]


def test_receivers_that_do_not_add_up_are_the_shops_bug(open_shop: Open) -> None:
    shop = open_shop(habits=[silent("get_receivers", [{"id": "5305e3bab097f420a62ced0b", "amount": 1}])])
    assert shop.create("a", shop.database.order()).code == -32400
    assert shop.database.payments() == []


@pytest.mark.every_database(but="sqlite")  # which has one writer at a time, so there a waiting hook holds up everyone
def test_a_hook_that_waits_delays_no_other_call(open_shop: Open) -> None:
    """Nine hooks wait, of ten threads, until another call has been answered; were it delayed, none would ever go on."""
    answered = threading.Event()
    waiting = threading.Barrier(10)

    def check_transaction(self: Any, params: Any, transaction: Any) -> Steps:
        del params
        if transaction.transaction_id.startswith("slow"):
            yield self.wait(waiting)
            assert (yield self.wait(answered))

    shop = open_shop(habits=[check_transaction])
    for name in ("quick", *(f"slow-{number}" for number in range(9))):
        shop.create(name, shop.database.order()).ok()

    def quick() -> Answer:
        waiting.wait(PATIENCE)
        answer = shop.check("quick")
        answered.set()
        return answer

    answers = shop.at_once([quick, *((lambda name=f"slow-{number}": shop.check(name)) for number in range(9))])
    assert [answer.code for answer in answers] == [None] * 10


@pytest.mark.session
def test_the_documented_example_runs_as_it_stands(open_shop: Open) -> None:
    def successfully_payment(self: Any, params: Any, transaction: Any) -> Steps:
        del params
        if hasattr(self.db, "query"):
            order = self.db.query(Order).filter(Order.id == transaction.account_id).first()
        else:
            order = (yield self.db.execute(select(Order).filter(Order.id == transaction.account_id))).scalars().first()
        if order:
            order.status = "paid"
            yield self.db.commit()

    shop = open_shop(habits=[successfully_payment], settings={"one_time_payment": False})
    order = shop.database.order()
    shop.pay("a", order)
    assert shop.database.find(order).status == "paid"
