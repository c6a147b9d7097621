"""A request taken step by step: the engine's own code, stopped before each thing it does to the storage.

`ahandle` is a coroutine, and a coroutine does nothing until it is sent on. So no thread, no sleep and no luck is needed
to let two requests meet at a chosen place: `Request.step` lets one go on to its next stop. There it may also fail
(`fail`) or be cut off for good (`crash`), as a process that is killed. The stops are each call of the repository,
"commit" before and "committed" after the commit, and "started".

`Desk` is the shop's side: any `Begin`, the gateways, a clock, and the hooks' effects, which are committed with the
database transaction that they belong to. At every commit it looks whether effects and moves are the same.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import coroutine
from typing import Any, Final, TypeAlias

from paytechuz_core.decision import MOVES, Event, Hook, Refused
from paytechuz_core.engine import ahandle
from paytechuz_core.hooks import Drafts
from paytechuz_core.memory import Memory
from paytechuz_core.repository import AsyncRepository, Begin, Repository
from paytechuz_core.testing import invariants
from paytechuz_core.testing.invariants import Broken
from paytechuz_core.testing.messages import FIELD, NOW, Message, Registers
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction

Effect: TypeAlias = tuple[str, str]
"""The hook that had it, and the transaction's id."""

COMMITTED: Final = "committed"


@coroutine
def stop(where: str) -> Generator[str, None, None]:
    """Stop here until the request is sent on."""
    yield where


Engine: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]
"""`paytechuz_core.engine.ahandle`, or one that is to be found wrong."""

Stored: TypeAlias = Callable[[], Sequence[Transaction]]
Storage: TypeAlias = Callable[[Mapping[str, Account], Sequence[Transaction]], tuple[Begin, Stored]]
"""Makes a new storage of a shop with these accounts where these transactions are stored, and what reads all it has."""


def in_memory(accounts: Mapping[str, Account], rows: Sequence[Transaction] = ()) -> tuple[Begin, Stored]:
    """Make a `Memory`."""
    memory = Memory(lambda fields: accounts.get(fields[FIELD]))
    memory.transactions = {(row.gateway, row.transaction_id): row for row in rows}
    return memory.begin, lambda: list(memory.transactions.values())


@dataclass(slots=True)
class Work:
    """What one database transaction has written and effected so far."""

    now: Millis = NOW
    changes: list[Change] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


class Stepped:
    """A repository that stops before each call."""

    def __init__(self, repository: Repository, work: Work) -> None:
        self.repository = repository
        self.work = work

    async def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find by id or by hold."""
        await stop("find_transactions")
        return self.repository.find_transactions(gateway, transaction_id, hold, for_update=for_update)

    async def find_account(self, fields: Fields) -> Account | None:
        """Find the account."""
        await stop("find_account")
        return self.repository.find_account(fields)

    async def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        await stop("list_transactions")
        return self.repository.list_transactions(gateway, start, end)

    async def save(self, change: Change) -> Transaction:
        """Write."""
        await stop("save")
        stored = self.repository.save(change)
        self.work.changes.append(change)
        return stored


@dataclass(slots=True)
class Desk:
    """A shop that answers: its storage, its gateways, its clock, and what its hooks have done that is committed."""

    begin: Begin
    registers: Registers = field(default_factory=Registers)
    now: Millis = NOW
    engine: Engine = ahandle
    effects: list[Effect] = field(default_factory=list)
    on_commit: Callable[[Work], None] | None = None

    def committed(self, work: Work) -> None:
        """Take the effects of what is committed; they must be those of its moves, and its moves must be allowed."""
        self.effects += work.effects
        moves = [
            (hook, change.after.transaction_id)
            for change in work.changes
            for hook in [invariants.TELLERS.get((change.before.state if change.before else 0, change.after.state))]
            if hook is not None
        ]
        broken = [
            rule
            for change in work.changes
            for rule in (*invariants.of_a_move(change.before, change.after), *invariants.of_time(change, work.now))
        ]
        if moves != work.effects:
            broken.append(f"committed are the moves {moves} and the effects {work.effects}")
        if broken:
            raise Broken(broken[0])
        if self.on_commit is not None:
            self.on_commit(work)


class Request:
    """One message on its way through the engine."""

    def __init__(self, desk: Desk, message: Message) -> None:
        self.desk = desk
        self.message = message
        self.work = Work()
        self.at = "started"
        self.vetoed = False
        self.refused = False
        self.done = False
        self.reply: Any = None
        self.error: BaseException | None = None
        self.failing: BaseException | None = None
        gateway, call = desk.registers.read(message)
        self._coroutine = desk.engine(gateway, call, self._begin, self._fire, self._clock, no_pause)

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncRepository]:
        self.work = work = Work()
        with self.desk.begin() as repository:
            yield Stepped(repository, work)
            await stop("commit")
        self.desk.committed(work)
        await stop(COMMITTED)

    def _clock(self) -> Millis:
        self.work.now = self.desk.now
        return self.desk.now

    async def _fire(self, event: Event, drafts: Drafts) -> Any:
        del drafts
        if event.hook is Hook.CAN_REVERSE:
            return not self.vetoed
        if event.hook in MOVES and event.transaction is not None:
            if self.failing is not None:
                error, self.failing = self.failing, None
                self.refused = isinstance(error, Refused)
                raise error
            self.work.effects.append((event.hook.value, event.transaction.transaction_id))
        return None

    def step(self) -> bool:
        """Go on to the next stop; tell whether the request is done."""
        return self._go_on(self._coroutine.send, None)

    def fail(self, error: BaseException) -> bool:
        """Let what the request is about to do fail, and go on to the next stop."""
        return self._go_on(self._coroutine.throw, error)

    def crash(self) -> None:
        """Cut it off: nothing of it happens any more."""
        self._coroutine.close()
        self.done = True
        self.error = self.error or ConnectionAbortedError("crashed")

    def finish(self) -> Any:
        """Go on to the end; give the reply, or raise what went wrong."""
        while not self.done:
            self.step()
        if self.error is not None:
            raise self.error
        return self.reply

    def _go_on(self, way: Callable[[Any], str], value: Any) -> bool:
        try:
            self.at = way(value)
        except StopIteration as stopped:
            self.reply, self.done = stopped.value, True
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001 - it is the request's answer: a system error
            self.error, self.done = error, True
        return self.done


async def no_pause(attempt: int) -> None:
    """Start over at once: who goes first is for the schedule to say."""
    del attempt
