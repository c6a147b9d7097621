"""How a request is answered: read, decided, written, told, committed, and only then answered.

Every test runs on `respond` and on `arespond`, with plain hooks and with `async def` hooks.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from paytechuz_core import Account, ConfigurationError, Conflict, Hooks, Repository, State
from paytechuz_core.decision import Event, Hook
from paytechuz_core.engine import ATTEMPTS, ainsist, ajitter, epoch_millis, insist, jitter
from paytechuz_core.hooks import Drafts, call_hook, plain
from paytechuz_core.transaction import HALF_DAY
from tests.core.strategies import born, hold_of
from tests.core.wire import (
    AMOUNT,
    ID,
    KEY,
    NOW,
    PAYME,
    RIVAL,
    Params,
    Wire,
    cancel,
    change_password,
    check,
    check_perform,
    create,
    encoded,
    fiscal,
    perform,
    post,
    refusal,
    statement,
)
from tests.core.world import ENGINES, Engine, World

PASSWORDS: Final = replace(PAYME, changes_password=True)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine, PASSWORDS)


def fails_with(error: BaseException) -> Callable[..., Any]:
    def hook(*_: Any) -> Any:
        raise error

    return hook


# A payment from beginning to end


def test_a_payment_is_checked_created_paid_and_refunded(world: World) -> None:
    world.listen()
    assert world.ask(check_perform()) == {"allow": True}
    assert world.ask(create()) == {"create_time": NOW, "transaction": ID, "state": 1}
    world.now += 1000
    assert world.ask(perform()) == {"perform_time": NOW + 1000, "transaction": ID, "state": 2}
    world.now += 1000
    assert world.ask(cancel(reason=5)) == {"cancel_time": NOW + 2000, "transaction": ID, "state": -2}
    assert world.ask(check()) == {
        "create_time": NOW,
        "perform_time": NOW + 1000,
        "cancel_time": NOW + 2000,
        "transaction": ID,
        "state": -2,
        "reason": 5,
    }
    (row,) = world.ask(statement())["transactions"]
    assert (row["id"], row["state"], row["amount"], row["account"]) == (ID, -2, AMOUNT, {"order_id": "42"})


TOLD: Final = [
    (check_perform(), ["before_check_perform_transaction", "get_check_data"]),
    (create(), ["before_check_perform_transaction", "get_receivers", "transaction_created", "after_commit"]),
    (create(), ["transaction_already_exists"]),
    (perform(), ["successfully_payment", "after_commit"]),
    (perform(), []),
    (check(), ["check_transaction"]),
    (statement(), ["get_statement"]),
    (fiscal(), []),
    (cancel(), ["can_reverse", "cancelled_payment", "after_commit"]),
    (cancel(), []),
    (change_password(), ["change_password"]),
]


def test_every_hook_is_told_once_for_what_happened_and_never_for_a_replay(world: World) -> None:
    world.listen()
    for message, hooks in TOLD:
        world.told.clear()
        world.ask(message)
        assert [name for name, *_ in world.told] == hooks, message[0]


def test_a_hook_is_given_the_params_as_they_came_the_transaction_and_the_merchant_s_own_account(world: World) -> None:
    world.listen()
    for message, hooks in TOLD:
        world.told.clear()
        world.ask(message)
        for hook, *arguments in world.told:
            if hook == "after_commit":
                assert arguments.pop(0) == hooks[-2]
            assert arguments.pop(0) == message[1]
            if hook in ("before_check_perform_transaction", "get_check_data", "get_receivers", "transaction_created"):
                assert arguments.pop() == "the order"
            for transaction in arguments[0] if hook == "get_statement" else arguments:
                state = State.SUCCESSFULLY if hook == "can_reverse" else world.stored().state
                assert (transaction.transaction_id, transaction.state, transaction.id) == (ID, state, 1)
                assert (transaction.account_id, type(transaction.account_id)) == (42, int)


def test_every_cancel_is_told_whoever_cancels(world: World) -> None:
    world.listen()
    world.ask(create())
    world.now += HALF_DAY + 1
    world.ask(create(RIVAL, time=world.now))
    assert [name for name, *_ in world.told][-4:] == [
        "cancelled_payment",
        "transaction_created",
        "after_commit",
        "after_commit",
    ]
    cancelled, created = ([told for told in world.told if told[0] == "after_commit"])[-2:]
    assert (cancelled[1], cancelled[3].transaction_id) == ("cancelled_payment", ID)
    assert (created[1], created[3].transaction_id) == ("transaction_created", RIVAL)


def test_a_late_perform_is_refused_and_its_cancel_is_committed_and_told(world: World) -> None:
    world.ask(create())
    world.listen()
    world.now += HALF_DAY + 1
    assert world.ask(perform())["code"] == -31008
    assert (world.stored().state, world.stored().reason) == (State.CANCELLED_DURING_INIT, 4)
    assert [name for name, *_ in world.told] == ["cancelled_payment", "after_commit"]


def test_a_shop_without_hooks_is_answered_all_the_same(world: World) -> None:
    for message, _ in TOLD:
        assert "code" not in world.ask(message), message[0]
    assert world.stored().state is State.CANCELLED


@pytest.mark.parametrize("hook", [hook for hook in Hook if hook is not Hook.CAN_REVERSE])
def test_a_hook_that_nobody_wrote_costs_nothing(hook: Hook) -> None:
    """Its arguments are not even built."""
    drafts = Drafts({})
    assert call_hook(Hooks(), Event(hook, born()), drafts) is None
    assert list(drafts.changes(NOW)) == []


def test_the_defaults_of_the_hooks_do_nothing_or_say_yes() -> None:
    hooks: Any = Hooks()
    arguments = {"successfully_payment": 2, "transaction_created": 3, "after_commit": 3, "change_password": 1}
    for hook in Hook:
        given = [None] * arguments.get(hook, 2)
        assert getattr(hooks, hook)(*given) is (True if hook is Hook.CAN_REVERSE else None)
    assert hooks.is_payable(None) is True


# What is read and written

PAID: Final = (create(), perform())
BUDGET: Final[list[tuple[tuple[Wire, ...], Wire, list[str]]]] = [
    ((), check_perform(), ["find_transactions", "find_account"]),
    ((), check_perform(order=""), []),
    ((), create(), ["find_transactions", "find_account", "save"]),
    ((), create(order=""), ["find_transactions"]),
    ((create(),), create(), ["find_transactions"]),
    ((create(),), create(RIVAL), ["find_transactions", "find_account"]),
    ((create(),), perform(), ["lock", "save"]),
    (PAID, perform(), ["lock"]),
    (PAID, check(), ["find_transactions"]),
    (PAID, statement(), ["list_transactions"]),
    (PAID, fiscal(), ["lock", "save"]),
    ((*PAID, fiscal()), fiscal(), ["lock"]),
    (PAID, cancel(), ["lock", "save"]),
    ((*PAID, cancel()), cancel(), ["lock"]),
    ((), change_password(), []),
]


@pytest.mark.parametrize(("earlier", "message", "steps"), BUDGET)
def test_a_call_reads_and_writes_no_more_than_its_budget(
    engine: Engine, earlier: tuple[Wire, ...], message: Wire, steps: list[str]
) -> None:
    world = World(engine, replace(PASSWORDS, hold_for=hold_of))
    for each in earlier:
        world.ask(each)
    world.journal.clear()
    world.ask(message)
    assert world.journal == ["begin", *steps, "commit", "committed"]


def test_a_hold_that_comes_with_the_account_is_read_after_it(world: World) -> None:
    world.ask(create(RIVAL))
    world.journal.clear()
    assert world.ask(create())["code"] == -31051
    assert world.journal == ["begin", "find_transactions", "find_account", "find_transactions", "commit", "committed"]


def test_a_wallet_has_no_holder_to_read(world: World) -> None:
    world.ask(create(order="7"))
    assert world.journal == ["begin", "find_transactions", "find_account", "save", "commit", "committed"]


def test_our_own_retry_that_commits_between_two_reads_is_a_replay(world: World) -> None:
    """At READ COMMITTED the first read may find nothing and the second the twin that another worker has just stored."""
    world.listen()
    twin = World("sync", world.gateway)
    twin.memory = world.memory

    def find_account(fields: Any) -> Account | None:
        if not world.memory.transactions:
            twin.ask(create())
        return world.accounts.get(fields["order_id"])

    world.memory.find_account = twin.memory.find_account = find_account
    world.now += 5
    assert world.ask(create()) == {"create_time": NOW, "transaction": ID, "state": 1}
    assert [name for name, *_ in world.told] == ["transaction_already_exists"]


@pytest.mark.parametrize("inbound", [post(b"{}", None), post(b"{oops"), post(b"[]"), post(encoded(("Pay", {})))])
def test_a_request_that_is_no_call_does_not_touch_the_storage(world: World, inbound: Any) -> None:
    world.listen()
    assert json.loads(world.answer(inbound))["error"]["code"] < -32000
    assert (world.journal, world.told) == ([], [])


# Another request wrote first

STEPS_OF_CREATE: Final = ("begin", "find_transactions", "find_account", "save", "commit")


@pytest.mark.parametrize("rivals", [1, 2, ATTEMPTS - 1])
@pytest.mark.parametrize("step", STEPS_OF_CREATE)
def test_a_lost_race_is_started_over_until_it_is_won(world: World, step: str, rivals: int) -> None:
    world.listen()
    world.faults[step] = [Conflict("a rival")] * rivals
    assert world.ask(create()) == {"create_time": NOW, "transaction": ID, "state": 1}
    assert world.pauses == list(range(rivals + 1))  # before each attempt, the first included
    assert len(world.memory.transactions) == 1
    assert [name for name, *_ in world.told].count("after_commit") == 1


@pytest.mark.parametrize("step", STEPS_OF_CREATE)
def test_after_eight_lost_races_it_is_a_system_error_and_nothing_is_saved(
    world: World, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.faults[step] = [Conflict("a rival")] * ATTEMPTS
    assert world.ask(create())["code"] == -32400
    assert ATTEMPTS == 8
    assert world.journal.count(step) == 8
    assert world.memory.transactions == {}
    assert "nothing was saved" in caplog.text
    assert world.ask(create())["state"] == 1


def test_without_the_net_a_race_lost_for_good_is_a_conflict(world: World) -> None:
    rivals = [Conflict(f"rival {number}") for number in range(ATTEMPTS)]
    world.faults["commit"] = [*rivals]
    with pytest.raises(Conflict, match="8 attempts") as caught:
        world.handle(create())
    assert caught.value.__cause__ is rivals[-1]


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize("rivals", [0, 1, ATTEMPTS - 1, ATTEMPTS])
def test_a_step_of_our_own_is_started_over_as_a_call_is(rivals: int, *, awaits: bool) -> None:
    races, pauses = [Conflict(f"rival {number}") for number in range(rivals)], list[int]()

    def step() -> str:
        if races:
            raise races.pop()
        return "done"

    async def astep() -> str:
        return step()

    async def apause(attempt: int) -> None:
        pauses.append(attempt)

    def take() -> str:
        return asyncio.run(ainsist(astep, apause)) if awaits else insist(step, pauses.append)

    if rivals == ATTEMPTS:
        last = races[0]
        with pytest.raises(Conflict, match="8 attempts") as caught:
            take()
        assert caught.value.__cause__ is last
    else:
        assert take() == "done"
    assert pauses == list(range(min(rivals + 1, ATTEMPTS)))


def test_the_clock_is_read_again_with_every_attempt(world: World) -> None:
    world.faults["commit"] = [Conflict("a rival")]
    world.on("transaction_created", lambda *_: setattr(world, "now", world.now + 1))
    assert world.ask(create())["create_time"] == NOW + 1


def test_what_a_hook_drafted_in_a_lost_attempt_is_forgotten(world: World) -> None:
    world.faults["commit"] = [Conflict("a rival")]

    def count(_: Params, transaction: Any, __: object) -> None:
        transaction.extra_data["calls"] = transaction.extra_data.get("calls", 0) + 1

    world.on("transaction_created", count)
    world.ask(create())
    assert world.stored().extra_data == {"calls": 1}


def test_an_unknown_commit_is_resolved_by_reading_again(world: World) -> None:
    """The connection was lost after COMMIT had been sent, and it had happened."""
    world.listen()
    world.ask(create())
    world.told.clear()
    begin, lost = world.begin, [Conflict("connection lost")]

    @contextmanager
    def losing() -> Iterator[Repository]:
        with begin() as repository:
            yield repository
        if lost:
            raise lost.pop()

    world.begin = losing  # type: ignore[method-assign]
    assert world.ask(perform()) == {"perform_time": NOW, "transaction": ID, "state": 2}
    assert [name for name, *_ in world.told] == ["successfully_payment"]


# A hook says no

REFUSING: Final[list[tuple[tuple[Wire, ...], Wire, str, int]]] = [
    ((), check_perform(), "before_check_perform_transaction", -31060),
    ((), check_perform(), "get_check_data", -31060),
    ((), create(), "before_check_perform_transaction", -31060),
    ((), create(), "get_receivers", -31060),
    ((), create(), "transaction_created", -31060),
    ((create(),), create(), "transaction_already_exists", -31060),
    ((create(),), perform(), "successfully_payment", -31008),
    ((create(),), cancel(), "cancelled_payment", -31007),
    (PAID, cancel(), "can_reverse", -31007),
    (PAID, cancel(), "cancelled_payment", -31007),
    (PAID, check(), "check_transaction", -32400),
    (PAID, statement(), "get_statement", -32400),
    ((), change_password(), "change_password", -32400),
]
HOOKS_OF: Final = [pytest.param(*case, id=f"{case[1][0]}-{case[2]}") for case in REFUSING]


@pytest.mark.parametrize(("earlier", "message", "hook", "code"), HOOKS_OF)
def test_a_hook_that_refuses_is_answered_in_its_words_and_nothing_is_saved(
    world: World, earlier: tuple[Wire, ...], message: Wire, hook: str, code: int
) -> None:
    for each in earlier:
        world.ask(each)
    before = world.written()
    world.on("after_commit")
    world.on(hook, fails_with(refusal(-31060)))
    world.told.clear()
    error = world.ask(message)
    assert (error["code"], error["message"]["en"]) == (code, "Out of stock")
    assert error.get("data") == ("order_id" if code == -31060 else None)
    assert world.written() == before
    assert [name for name, *_ in world.told] == [hook]


def test_a_hook_that_refuses_a_late_perform_leaves_it_unpaid_and_the_next_call_cancels_it(world: World) -> None:
    world.ask(create())
    world.now += HALF_DAY + 1
    world.on("cancelled_payment", fails_with(refusal()))
    assert world.ask(perform())["code"] == -31008
    assert world.stored().state is State.INITIATING
    world.on("cancelled_payment")
    assert world.ask(perform())["code"] == -31008
    assert world.stored().state is State.CANCELLED_DURING_INIT


# A hook fails


@pytest.mark.parametrize(("earlier", "message", "hook", "code"), HOOKS_OF)
def test_a_hook_that_raises_is_a_system_error_nothing_is_saved_and_the_retry_succeeds(
    world: World, earlier: tuple[Wire, ...], message: Wire, hook: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    del code
    for each in earlier:
        world.ask(each)
    before = world.written()
    world.on("after_commit")
    world.on(hook, fails_with(RuntimeError("canary: SELECT password FROM /srv/shop")))
    world.told.clear()
    body = world.answer(post(encoded(message, 5)))
    assert json.loads(body)["error"] == {"code": -32400, "message": PAYME_SAYS}
    assert json.loads(body)["id"] == 5
    assert b"canary" not in body
    assert world.written() == before
    assert [name for name, *_ in world.told] == [hook]
    assert "RuntimeError" in caplog.text
    # What an error says while the key is changed may quote the new one.
    assert ("canary" in caplog.text) is (hook != "change_password")
    world.hooks = Hooks()
    assert "code" not in world.ask(message)


PAYME_SAYS: Final = {
    "ru": "Системная ошибка, повторите запрос позже",
    "uz": "Tizim xatosi, so‘rovni keyinroq takrorlang",
    "en": "System error, please repeat the request later",
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize(("earlier", "message", "hook", "code"), HOOKS_OF)
def test_a_hook_that_is_torn_away_leaves_nothing_behind_and_is_never_answered(
    world: World, earlier: tuple[Wire, ...], message: Wire, hook: str, code: int, error: type[BaseException]
) -> None:
    del code
    for each in earlier:
        world.ask(each)
    before = world.written()
    world.on("after_commit")
    world.on(hook, fails_with(error()))
    world.told.clear()
    with pytest.raises(error):
        world.ask(message)
    assert world.written() == before
    assert [name for name, *_ in world.told] == [hook]


@pytest.mark.parametrize("step", STEPS_OF_CREATE)
@pytest.mark.parametrize("error", [OSError("connection lost"), TimeoutError(), ValueError("bug")], ids=repr)
def test_a_storage_that_fails_anywhere_is_a_system_error_and_nothing_is_saved(
    world: World, step: str, error: Exception
) -> None:
    world.on("after_commit")
    world.faults[step] = [error]
    assert world.ask(create())["code"] == -32400
    assert (world.memory.transactions, world.told) == ({}, [])
    assert world.ask(create())["state"] == 1


def test_keys_that_cannot_be_read_are_a_system_error(engine: Engine) -> None:
    world = World(engine, replace(PAYME, keys=fails_with(OSError("no database"))))
    assert json.loads(world.answer(post(encoded(perform(), 5)))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32400, "message": PAYME_SAYS},
    }
    assert world.journal == []


# What a hook writes


def test_what_a_hook_puts_into_extra_data_is_saved_with_the_call(world: World) -> None:
    world.on("transaction_created", lambda _, it, __: it.extra_data.update(order=[1, {"n": None}]))
    world.on("successfully_payment", lambda _, it: it.extra_data.update(mailed=False))
    world.on("cancelled_payment", lambda _, it: it.extra_data.pop("mailed"))
    world.ask(create())
    assert world.stored().extra_data == {"order": [1, {"n": None}]}
    world.ask(perform())
    assert world.stored().extra_data == {"order": [1, {"n": None}], "mailed": False}
    world.ask(cancel())
    assert world.stored().extra_data == {"order": [1, {"n": None}]}


@pytest.mark.parametrize(
    ("message", "hook"),
    [(create(), "transaction_already_exists"), (check(), "check_transaction"), (statement(), "get_statement")],
)
def test_a_call_that_moves_nothing_saves_what_its_hook_wrote_too(world: World, message: Wire, hook: str) -> None:
    world.ask(create())
    world.on(hook, lambda _, it: (it[0] if isinstance(it, list) else it).extra_data.update(seen=1))
    world.ask(message)
    assert world.stored().extra_data == {"seen": 1}
    assert world.stored().state is State.INITIATING
    assert world.stored().version == 2
    world.ask(message)
    assert world.stored().version == 2


def test_all_hooks_of_a_call_write_into_the_same_extra_data(world: World) -> None:
    world.ask(create())
    world.ask(perform())
    world.on("can_reverse", lambda _, it: it.extra_data.update(asked=1) or True)
    world.on("cancelled_payment", lambda _, it: it.extra_data.update(told=it.extra_data["asked"] + 1))
    world.on("after_commit", lambda _, __, it: it.extra_data.update(late="too late to be saved"))
    world.ask(cancel())
    assert world.stored().extra_data == {"asked": 1, "told": 2}
    assert world.stored().state is State.CANCELLED


def test_after_commit_sees_what_the_hooks_before_it_wrote(world: World) -> None:
    world.on("transaction_created", lambda _, it, __: it.extra_data.update(n=1))
    seen: list[Any] = []
    world.on("after_commit", lambda _, __, it: seen.append((it.extra_data, it.version, it.id)))
    world.ask(create())
    assert seen == [({"n": 1}, 2, 1)]


def test_a_hook_cannot_reach_what_is_stored_but_by_extra_data(world: World) -> None:
    def vandal(params: Params, transaction: Any, *_: Any) -> None:
        params.clear()
        transaction.account["order_id"] = "43"

    for hook in ("before_check_perform_transaction", "get_receivers"):
        world.on(hook, lambda params, _: params.clear())
    world.on("transaction_created", vandal)
    world.on("after_commit", lambda _, params, __: world.told.append(("params", params)))
    world.ask(create())
    assert world.stored().account == {"order_id": "42"}
    assert world.told[-1] == ("params", create()[1])


def test_a_hook_cannot_change_the_answer_through_what_it_was_given(world: World) -> None:
    def vandal(_: Params, listed: Any) -> None:
        for each in listed:
            each.account["order_id"] = each.receivers[0]["id"] = each.fiscal_perform["receipt_id"] = "forged"
        listed.clear()

    world.on("get_receivers", lambda *_: [{"id": "a", "amount": AMOUNT}])
    for message in (*PAID, fiscal()):
        world.ask(message)
    before, told = world.written(), world.ask(statement())
    world.on("get_statement", vandal)
    assert world.ask(statement()) == told
    assert told["transactions"][0]["account"] == {"order_id": "42"}
    assert world.written() == before


def test_a_statement_s_transactions_keep_their_own_extra_data(world: World) -> None:
    world.ask(create())
    world.ask(create(RIVAL, order="7", time=NOW + 1))
    world.on("get_statement", lambda _, listed: [each.extra_data.update(n=n) for n, each in enumerate(listed)])
    world.ask(statement())
    assert [each.extra_data for each in world.memory.transactions.values()] == [{"n": 0}, {"n": 1}]


def test_a_refunded_order_that_the_merchant_reopens_may_be_paid_again(world: World) -> None:
    world.on("cancelled_payment", lambda _, it: world.drafts.reopen(it.gateway, it.transaction_id))
    for message in (*PAID, cancel()):
        world.ask(message)
    assert (world.stored().state, world.stored().hold) == (State.CANCELLED, None)
    assert world.ask(create(RIVAL))["state"] == 1
    assert world.ask(perform(RIVAL))["state"] == 2


def test_a_refunded_order_that_is_not_reopened_stays_closed(world: World) -> None:
    for message in (*PAID, cancel()):
        world.ask(message)
    assert world.ask(check_perform())["code"] == -31052
    assert world.ask(create(RIVAL))["code"] == -31052


def test_only_what_the_call_is_about_can_be_reopened() -> None:
    with pytest.raises(ValueError, match="a hook may reopen the transaction it was given, not another"):
        Drafts({}).reopen("payme", "another")


def test_a_hook_that_nobody_would_await_is_refused_in_words_and_leaves_no_warning() -> None:
    async def hook() -> None: ...

    future: asyncio.Future[None] = asyncio.Future(
        loop=(loop := asyncio.new_event_loop())
    )  # has no `close` as a coroutine has
    loop.close()
    for answer in (hook(), future):
        with pytest.raises(ConfigurationError, match=r"^a hook is async where nobody awaits it: .* an Async… handler$"):
            plain(answer)
    assert plain("an answer") == "an answer"


@pytest.mark.parametrize(("earlier", "message"), [((), create()), ((create(),), perform())])
def test_only_a_refund_can_be_reopened(world: World, earlier: tuple[Wire, ...], message: Wire) -> None:
    for each in earlier:
        world.ask(each)
    before = world.written()
    for hook in ("transaction_created", "successfully_payment"):
        world.on(hook, lambda _, it, *__: world.drafts.reopen(it.gateway, it.transaction_id))
    assert world.ask(message)["code"] == -32400
    assert world.written() == before


# After the commit


def test_after_commit_comes_after_the_commit_and_before_the_answer(world: World) -> None:
    seen: list[Any] = []
    world.on("successfully_payment", lambda *_: seen.append(world.stored().state))
    world.on("after_commit", lambda *_: seen.append(world.stored().state))
    world.ask(create())
    world.journal.clear()
    world.ask(perform())
    assert world.journal == [
        "begin",
        "lock",
        "save",
        "successfully_payment",
        "commit",
        "committed",
        "after_commit",
    ]
    assert seen == [State.INITIATING, State.INITIATING, State.SUCCESSFULLY]


@pytest.mark.parametrize("error", [RuntimeError("canary"), refusal(), Conflict("late")], ids=repr)
def test_an_error_after_the_commit_is_logged_and_the_answer_stays(
    world: World, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    world.on("after_commit", fails_with(error))
    assert world.ask(create())["state"] == 1
    assert world.stored().state is State.INITIATING
    (record,) = [each for each in caplog.records if each.name == "paytechuz"]
    assert record.levelno == logging.ERROR
    assert "after_commit failed after transaction_created" in record.getMessage()
    assert len(world.told) == 1


def test_every_move_is_announced_even_when_an_earlier_announcement_failed(world: World) -> None:
    world.ask(create())
    world.now += HALF_DAY + 1
    world.on("after_commit", fails_with(RuntimeError("no mail server")))
    assert world.ask(create(RIVAL, time=world.now))["state"] == 1
    assert [told[1] for told in world.told] == ["cancelled_payment", "transaction_created"]


@pytest.mark.parametrize("error", [OSError("connection lost"), Conflict("a rival")], ids=repr)
def test_nothing_is_announced_or_acknowledged_before_the_commit_has_happened(world: World, error: Exception) -> None:
    world.ask(create())
    world.on("after_commit")
    world.faults["commit"] = [error] * ATTEMPTS
    assert world.ask(perform())["code"] == -32400
    assert (world.stored().state, world.told) == (State.INITIATING, [])


# What the merchant is asked


def test_what_get_check_data_gives_is_answered(world: World) -> None:
    world.on("get_check_data", lambda *_: {"additional": {"name": "Aziz"}})
    assert world.ask(check_perform()) == {"allow": True, "additional": {"name": "Aziz"}}


def test_receivers_are_stored_and_told_for_ever(world: World) -> None:
    shares = [{"id": "a", "amount": AMOUNT - 1}, {"id": "b", "amount": 1}]
    world.on("get_receivers", lambda *_: shares)
    world.on("transaction_created")
    first = world.ask(create())
    assert first["receivers"] == shares
    assert world.told[-1][2].receivers == tuple(shares)
    assert world.ask(create()) == first
    assert world.ask(statement())["transactions"][0]["receivers"] == shares


@pytest.mark.parametrize(
    ("message", "hook", "answer"),
    [
        (check_perform(), "get_check_data", {"allow": False}),
        (check_perform(), "get_check_data", ["additional"]),
        (check_perform(), "get_check_data", {"additional": object()}),
        (check_perform(), "get_check_data", {"additional": "\ud800"}),
        (check_perform(), "get_check_data", {"detail": {"receipt_type": 0, "items": []}}),
        (create(), "get_receivers", [{"id": "a", "amount": AMOUNT - 1}]),
        (create(), "get_receivers", "a"),
    ],
)
def test_an_answer_that_cannot_be_right_is_a_bug_of_the_shop_and_nothing_is_saved(
    world: World, message: Wire, hook: str, answer: Any
) -> None:
    world.on(hook, lambda *_: answer)
    assert world.ask(message)["code"] == -32400
    assert world.memory.transactions == {}


def test_a_paid_order_is_reversed_only_with_the_shop_s_consent(world: World) -> None:
    for message in PAID:
        world.ask(message)
    before = world.written()
    world.on("cancelled_payment")
    world.on("can_reverse", lambda *_: False)
    assert world.ask(cancel())["code"] == -31007
    assert world.written() == before
    world.on("can_reverse", lambda *_: True)
    assert world.ask(cancel())["state"] == -2
    assert [name for name, *_ in world.told] == ["can_reverse", "can_reverse", "cancelled_payment"]


@pytest.mark.parametrize("message", [check_perform(amount=1), create(amount=1), create(order="404"), create(order="")])
def test_the_shop_is_asked_only_about_what_may_be_paid(world: World, message: Wire) -> None:
    world.listen()
    assert world.ask(message)["code"] in (-31001, -31050)
    assert world.told == []


def test_the_shop_is_asked_before_anything_is_written(world: World) -> None:
    world.listen()
    world.ask(create())
    steps = world.journal
    assert steps.index("before_check_perform_transaction") < steps.index("get_receivers") < steps.index("save")
    assert steps.index("save") < steps.index("transaction_created") < steps.index("commit")


def test_a_new_password_is_handed_to_the_merchant_and_valid_with_the_next_call(engine: Engine) -> None:
    keys = [KEY]
    world = World(engine, replace(PASSWORDS, keys=lambda: keys))
    world.on("change_password", lambda params: keys.__setitem__(0, params["password"]))
    assert world.ask(change_password("new")) == {"success": True}
    assert keys == ["new"]
    assert world.ask(check())["code"] == -32504


def test_a_password_that_could_not_be_stored_stays_as_it_was(world: World) -> None:
    world.on("change_password", fails_with(OSError("disk full")))
    assert world.ask(change_password())["code"] == -32400
    assert world.ask(check())["code"] == -31003


# What is logged where a call fails


def test_a_failure_is_logged_with_its_provider_and_all_that_led_to_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.on("transaction_created", fails_with(RuntimeError("disk full")))
    assert world.ask(create())["code"] == -32400
    (record,) = [each for each in caplog.records if each.name == "paytechuz"]
    assert record.getMessage() == "Payme: answered a system error; nothing was saved"
    assert "disk full" in caplog.text


def test_a_failure_that_may_quote_a_key_is_logged_without_its_texts_but_with_their_places(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def store(params: Params) -> None:
        try:
            int(params["password"])  # which quotes it, as a driver quotes its statement
        except ValueError:
            try:
                params["no such key"]
            except KeyError as error:
                message = f"{params['password']} is not stored"
                raise OSError(message) from error

    world.on("change_password", store)
    assert world.ask(change_password("s3cret"))["code"] == -32400
    (record,) = [each for each in caplog.records if each.name == "paytechuz"]
    first, *places = record.getMessage().splitlines()
    assert first.startswith("Payme: answered a system error; nothing was saved; the texts of the errors are left out")
    assert [line for line in places if not line.startswith(" ")] == ["OSError", "KeyError", "ValueError"]
    assert sum(", in store" in line for line in places) == 3
    assert "s3cret" not in caplog.text


def test_what_is_wrong_with_a_setting_is_logged_in_words_even_then(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.on("change_password", fails_with(ConfigurationError("keys_file must be writable")))
    assert world.ask(change_password())["code"] == -32400
    assert "ConfigurationError: keys_file must be writable" in caplog.text


# Waiting and the clock


def test_a_pause_is_a_few_random_milliseconds_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    for attempt in range(ATTEMPTS):
        jitter(attempt)
        asyncio.run(ajitter(attempt))
    assert len(waits) == 2 * (ATTEMPTS - 1), "the first attempt waits for nobody"
    for place, wait in enumerate(waits):
        assert 0 <= wait <= 0.004 * 2 ** (place // 2)
    assert len(set(waits)) > ATTEMPTS


def test_a_pause_is_twice_as_long_with_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    for attempt in range(1, ATTEMPTS):
        jitter(attempt)
        asyncio.run(ajitter(attempt))
    assert waits == [0.002 * 2**attempt for attempt in range(1, ATTEMPTS) for _ in range(2)]


def test_the_clock_counts_milliseconds_since_1970() -> None:
    assert abs(epoch_millis() - time.time() * 1000) < 5000
    assert type(epoch_millis()) is int
