"""What nobody paid in time is cancelled by the shop itself: `expiry`, and a handler's `expire`, plain and awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import pytest

from paytechuz_core import Conflict, Memory, Refused, Transaction
from paytechuz_core.click import Click
from paytechuz_core.decision import Gateway, Snapshot
from paytechuz_core.engine import ATTEMPTS
from paytechuz_core.handler import PAGE, AsyncHandler, Expiry, SyncHandler
from paytechuz_core.memory import MemorySession
from paytechuz_core.payme.calls import Call, Expire
from paytechuz_core.transaction import HALF_DAY, Account, State
from paytechuz_core.transaction import create as birth
from tests.core.wire import NOW, PAYME
from tests.core.world import Awaited

LATE: Final = NOW + HALF_DAY + 1
CLICK: Final = Click(secrets=lambda: ("a secret",), service_id=1)


def unpaid(id: str, *, gateway: str = "payme", age: int = HALF_DAY + 1) -> Transaction:
    """A transaction that is `age` old at LATE."""
    born = LATE - age
    account = Account(id=id, amount_tiyin=1, hold=f"orders:{gateway}:{id}")
    return birth(
        now=born, gateway=gateway, transaction_id=id, account=account, amount_tiyin=1, received={"id": id},
        provider_time=born,
    ).after  # fmt: skip


# What the gateways say


def test_payme_expires_what_is_unpaid_and_past_its_time_and_not_a_moment_before() -> None:
    assert PAYME.expiry(unpaid("a", age=HALF_DAY), LATE) is None
    assert PAYME.expiry(unpaid("a").perform(NOW).after, LATE) is None
    assert PAYME.expiry(unpaid("a").cancel(NOW, 3).after, LATE) is None
    call = PAYME.expiry(unpaid("a"), LATE)
    assert call == Call(None, Expire(id="a"), {"id": "a", "reason": 4})
    lookup = PAYME.lookup(call)
    assert (lookup.transaction_id, lookup.for_update, lookup.account) == ("a", True, None)


def test_an_expiry_cancels_with_the_hook_unless_someone_was_here_first() -> None:
    call = PAYME.expiry(unpaid("a"), LATE)
    assert call is not None
    decision = PAYME.decide(call, Snapshot(transaction=unpaid("a")), LATE)
    (change,) = decision.changes
    assert (change.after.state, change.after.reason, change.after.hold) == (State.CANCELLED_DURING_INIT, 4, None)
    assert [event.hook for event in decision.events] == ["cancelled_payment"]
    assert decision.reply
    for found in (None, unpaid("a").perform(NOW).after, unpaid("a").cancel(NOW, 3).after, unpaid("a", age=HALF_DAY)):
        decision = PAYME.decide(call, Snapshot(transaction=found), LATE)
        assert (decision.reply, decision.changes, decision.events) == ({}, (), ())


def test_a_refused_expiry_has_failed_because_nobody_is_there_to_be_answered() -> None:
    call = PAYME.expiry(unpaid("a"), LATE)
    assert call is not None
    with pytest.raises(Refused, match="not yet"):
        PAYME.refuse(call, Refused("not yet"))


@pytest.mark.parametrize("age", [0, HALF_DAY + 1, 100 * HALF_DAY])
def test_click_expires_nothing_because_the_customer_may_have_been_debited(age: int) -> None:
    gateway: Gateway[Any, Any] = CLICK
    assert gateway.expiry(unpaid("a", gateway="click", age=age), LATE) is None


# What a handler does


class Store(MemorySession):
    """A repository in memory that can be looked through, and fails where it is told to."""

    pages: list[int]
    conflicts: set[str]

    def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """Give a page."""
        rows = [each for each in self._visible().values() if each.gateway == gateway and each.state == 1]
        page = [each for each in sorted(rows, key=lambda each: each.id or 0) if (each.id or 0) > after][:limit]
        self.pages.append(len(page))
        return page

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find, or lose against a rival."""
        if transaction_id in self.conflicts:
            message = "a rival"
            raise Conflict(message)
        return super().find_transactions(gateway, transaction_id, hold, for_update=for_update)


class AwaitedStore(Awaited):
    """The same, awaited."""

    async def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """Give a page."""
        await asyncio.sleep(0)
        page: Sequence[Transaction] = self.repository.list_unpaid(gateway, after, limit)  # type: ignore[attr-defined]
        return page


class Unit:
    """Surrounds hooks, and does nothing."""

    @contextmanager
    def hook(self, *, savepoint: bool) -> Iterator[None]:
        """Surround one."""
        del savepoint
        yield


class AsyncUnit:
    """The same, awaited."""

    @asynccontextmanager
    async def hook(self, *, savepoint: bool) -> AsyncIterator[None]:
        """Surround one."""
        del savepoint
        yield


class Till:
    """A shop in memory with a handler: what it stores, what its hooks heard, and what they do."""

    def __init__(self, *, awaited: bool, gateway: Any = PAYME) -> None:
        self.memory = Memory(lambda _: None)
        self.heard: list[tuple[str, str]] = []
        self.pages: list[int] = []
        self.conflicts: set[str] = set()
        self.does: Callable[[str], None] = lambda _: None
        self.gateway = gateway
        self.awaited = awaited

    def stores(self, *transactions: Transaction) -> None:
        """Store them, in this order."""
        with self.memory.begin() as repository:
            for each in transactions:
                # A later state is stored as it is: how it came about is no matter here.
                saved = repository.save(birth_of(each))
                if each.state is not State.INITIATING:
                    repository.save(saved.cancel(LATE, 3) if each.state < 0 else saved.perform(LATE))

    def expire(self) -> Expiry:
        """Expire what is past its time."""
        return asyncio.run(self.async_handler().expire()) if self.awaited else self.handler().expire()

    def states(self) -> dict[str, int]:
        """Give the state of every transaction."""
        return {each.transaction_id: each.state.value for each in self.memory.transactions.values()}

    def begin(self) -> Any:
        """Open one database transaction."""
        return begun(self)

    def hear(self, hook: str, transaction: Transaction) -> None:
        """Be a hook."""
        self.heard.append((hook, transaction.transaction_id))
        if hook == "cancelled_payment":
            self.does(transaction.transaction_id)

    def handler(self) -> SyncHandler:
        """Make a handler."""
        till = self

        class Shop(SyncHandler):
            gateway = till.gateway
            clock = staticmethod(lambda: LATE)
            _unit = Unit()

            def begin(self) -> Any:
                return till.begin()

            def cancelled_payment(self, params: Any, transaction: Transaction) -> None:
                assert params == {"id": transaction.transaction_id, "reason": 4}
                till.hear("cancelled_payment", transaction)

            def after_commit(self, event: str, params: Any, transaction: Transaction) -> None:
                del params
                till.hear(f"after {event}", transaction)

        return Shop()

    def async_handler(self) -> AsyncHandler:
        """Make one that is awaited, with hooks that are."""
        till = self

        class Shop(AsyncHandler):
            gateway = till.gateway
            clock = staticmethod(lambda: LATE)
            _unit = AsyncUnit()

            @asynccontextmanager
            async def begin(self) -> AsyncIterator[Any]:
                with till.begin() as store:
                    yield AwaitedStore(store)

            async def cancelled_payment(self, params: Any, transaction: Transaction) -> None:
                assert params == {"id": transaction.transaction_id, "reason": 4}
                await asyncio.sleep(0)
                till.hear("cancelled_payment", transaction)

            async def after_commit(self, event: str, params: Any, transaction: Transaction) -> None:
                del params
                till.hear(f"after {event}", transaction)

        return Shop()


@contextmanager
def begun(till: Till) -> Iterator[Store]:
    """Open one database transaction on a till's memory."""
    with till.memory.begin() as session:
        session.__class__ = Store
        assert isinstance(session, Store)
        session.pages, session.conflicts = till.pages, till.conflicts
        yield session


def birth_of(transaction: Transaction) -> Any:
    """Give the change that stored it."""
    account = Account(id=transaction.account_id, amount_tiyin=1, hold=f"orders:{transaction.transaction_id}")
    return birth(
        now=transaction.create_time, gateway=transaction.gateway, transaction_id=transaction.transaction_id,
        account=account, amount_tiyin=1, received=transaction.account, provider_time=transaction.provider_time,
    )  # fmt: skip


@pytest.fixture(params=["sync", "async"])
def till(request: pytest.FixtureRequest) -> Till:
    """A till of either kind."""
    return Till(awaited=request.param == "async")


def test_only_what_is_unpaid_and_past_its_time_is_expired_each_with_its_hooks(till: Till) -> None:
    till.stores(
        unpaid("late"), unpaid("later", age=2 * HALF_DAY), unpaid("in time", age=HALF_DAY),
        unpaid("paid").perform(NOW).after, unpaid("failed").cancel(NOW, 3).after, unpaid("other", gateway="click"),
    )  # fmt: skip
    assert till.expire() == Expiry(expired=2, failed=0)
    assert till.states() == {"late": -1, "later": -1, "in time": 1, "paid": 2, "failed": -1, "other": 1}
    each = [("cancelled_payment", "late"), ("after cancelled_payment", "late")]
    assert till.heard == [*each, *((hook, "later") for hook, _ in each)]
    assert till.expire() == Expiry(expired=0, failed=0)
    assert len(till.heard) == 4


def test_click_s_handler_expires_nothing(till: Till) -> None:
    till.gateway = CLICK
    till.stores(unpaid("a", gateway="click"), unpaid("b"))
    assert till.expire() == Expiry(expired=0, failed=0)
    assert till.states() == {"a": 1, "b": 1}


def test_any_number_is_looked_through_page_by_page(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAGE == 500
    monkeypatch.setattr("paytechuz_core.handler.PAGE", 4)
    till.stores(*(unpaid(str(number), age=HALF_DAY + number % 2) for number in range(9)))
    assert till.expire() == Expiry(expired=4, failed=0)
    assert till.pages == [4, 4, 1, 0]
    assert sorted(till.states().values()) == [-1] * 4 + [1] * 5


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), Refused("not yet")])
def test_a_hook_that_fails_keeps_its_own_transaction_only_and_the_next_run_tries_again(
    till: Till, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    till.stores(unpaid("a"), unpaid("b"), unpaid("c"))

    def fail(id: str) -> None:
        if id == "b":
            raise error

    till.does = fail
    assert till.expire() == Expiry(expired=2, failed=1)
    assert till.states() == {"a": -1, "b": 1, "c": -1}
    assert ("after cancelled_payment", "b") not in till.heard
    assert type(error).__name__ in caplog.text
    till.does = lambda _: None
    assert till.expire() == Expiry(expired=1, failed=0)
    assert till.states()["b"] == -1


def test_what_another_did_meanwhile_is_not_counted(till: Till) -> None:
    till.stores(unpaid("a"), unpaid("b"), unpaid("c"))

    def meanwhile(id: str) -> None:
        if id == "a":  # while the first is expired, another run expires the second, and Payme cancels the third
            with till.memory.begin() as repository:
                for other, reason in (("b", 4), ("c", 3)):
                    (found,) = repository.find_transactions("payme", other, None, for_update=True)
                    repository.save(found.cancel(LATE, reason))

    till.does = meanwhile
    assert till.expire() == Expiry(expired=1, failed=0)
    assert till.states() == {"a": -1, "b": -1, "c": -1}
    assert till.memory.transactions["payme", "c"].reason == 3
    assert [id for hook, id in till.heard if hook == "cancelled_payment"] == ["a"]


def test_a_race_lost_for_good_is_a_failure_and_the_others_go_on(
    till: Till, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def no_pause(attempt: int) -> None:
        del attempt

    monkeypatch.setattr("paytechuz_core.engine.handle.__defaults__", (lambda: LATE, lambda _: None, None))
    monkeypatch.setattr("paytechuz_core.engine.ahandle.__defaults__", (lambda: LATE, no_pause, None))
    till.stores(unpaid("a"), unpaid("b"))
    till.conflicts = {"a"}
    assert till.expire() == Expiry(expired=1, failed=1)
    assert till.states() == {"a": 1, "b": -1}
    assert f"{ATTEMPTS} attempts" in caplog.text


def test_what_was_done_is_said_in_a_line() -> None:
    assert str(Expiry(expired=3, failed=1)) == "3 expired, 1 failed"
