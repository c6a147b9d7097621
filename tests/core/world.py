"""A shop in memory that answers through the engine: synchronously, awaited, and awaited with `async def` hooks.

Everything that happens is written into `journal` in its order, and `faults` makes any of it fail.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from typing import Any, Final, Literal, TypeAlias

from paytechuz_core import Account, Hooks, Inbound, Memory, Repository, Transaction, arespond, respond
from paytechuz_core.decision import Event, Gateway, Hook
from paytechuz_core.engine import ahandle, handle
from paytechuz_core.hooks import Drafts, call_hook
from paytechuz_core.payme.replies import Reply
from paytechuz_core.repository import AsyncRepository
from paytechuz_core.transaction import Change, Fields, Millis
from tests.core.wire import ID, NOW, ORDER, PAYME, WALLET, Params, Wire, call, encoded, error_in, post, result_in

Engine: TypeAlias = Literal["sync", "async", "async hooks"]
ENGINES: Final[tuple[Engine, ...]] = ("sync", "async", "async hooks")


class World:
    """A shop, its cash register and its clock."""

    def __init__(self, engine: Engine = "sync", gateway: Gateway[Any, Any] = PAYME) -> None:
        self.engine = engine
        self.gateway: Any = gateway
        self.accounts: dict[str, Account] = {"42": ORDER, "7": WALLET}
        self.memory = Memory(lambda fields: self.accounts.get(str(fields["order_id"])))
        self.hooks = Hooks()
        self.drafts = Drafts({})
        self.now: Millis = NOW
        self.journal: list[str] = []
        self.told: list[tuple[Any, ...]] = []
        self.faults: dict[str, list[BaseException]] = {}
        self.pauses: list[int] = []

    # What the provider does

    def ask(self, message: Wire) -> Params:
        """Send a request; give its result or its error."""
        envelope = json.loads(self.answer(post(encoded(message))))
        return error_in(envelope) if "error" in envelope else result_in(envelope)

    def answer(self, inbound: Inbound) -> bytes:
        if self.engine == "sync":
            return respond(self.gateway, inbound, self.begin, self.fire, self.clock, self.pauses.append)
        return asyncio.run(arespond(self.gateway, inbound, self.abegin, self.afire, self.clock, self.apause))

    def handle(self, message: Wire) -> Reply:
        """Answer a call without the net of `respond`."""
        asked = call(message, self.gateway)
        reply: Reply
        if self.engine == "sync":
            reply = handle(self.gateway, asked, self.begin, self.fire, self.clock, self.pauses.append)
        else:
            reply = asyncio.run(ahandle(self.gateway, asked, self.abegin, self.afire, self.clock, self.apause))
        return reply

    # What the merchant does

    def on(self, hook: str, answer: Callable[..., Any] = lambda *_: None) -> None:
        """Override a hook."""

        def overridden(*arguments: Any) -> Any:
            self.journal.append(hook)
            self.told.append((hook, *arguments))
            return answer(*arguments)

        async def awaited(*arguments: Any) -> Any:
            await asyncio.sleep(0)
            return overridden(*arguments)

        setattr(self.hooks, hook, awaited if self.engine == "async hooks" else overridden)

    def listen(self) -> None:
        """Override every hook and let it do nothing."""
        for hook in Hook:
            self.on(hook, lambda *_, hook=hook: True if hook is Hook.CAN_REVERSE else None)

    # What is stored

    def stored(self) -> Transaction:
        """The transaction that the calls are about."""
        return self.memory.transactions["payme", ID]

    def written(self) -> str:
        """Everything that is committed, to compare."""
        return repr(sorted(self.memory.transactions.items()))

    # What the engine is given

    def clock(self) -> Millis:
        return self.now

    async def apause(self, attempt: int) -> None:
        self.pauses.append(attempt)

    def fire(self, event: Event, drafts: Drafts) -> Any:
        self.drafts = drafts
        return call_hook(self.hooks, event, drafts)

    async def afire(self, event: Event, drafts: Drafts) -> Any:
        returned = self.fire(event, drafts)
        return await returned if isawaitable(returned) else returned

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        self.happens("begin")
        with self.memory.begin() as repository:
            yield Watched(self, repository)
            self.happens("commit")
        self.journal.append("committed")

    @asynccontextmanager
    async def abegin(self) -> AsyncIterator[AsyncRepository]:
        with self.begin() as repository:
            yield Awaited(repository)

    def happens(self, step: str) -> None:
        self.journal.append(step)
        if self.faults.get(step):
            raise self.faults[step].pop(0)


class Watched:
    """A repository that writes into the journal, and fails where it is told to."""

    def __init__(self, world: World, repository: Repository) -> None:
        self.world = world
        self.repository = repository

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        self.world.happens("lock" if for_update else "find_transactions")
        return self.repository.find_transactions(gateway, transaction_id, hold, for_update=for_update)

    def find_account(self, fields: Fields) -> Account | None:
        self.world.happens("find_account")
        return self.repository.find_account(fields)

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        self.world.happens("list_transactions")
        return self.repository.list_transactions(gateway, start, end)

    def save(self, change: Change) -> Transaction:
        self.world.happens("save")
        return self.repository.save(change)


class Awaited:
    """The same, awaited: every step lets other tasks run."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    async def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        await asyncio.sleep(0)
        return self.repository.find_transactions(gateway, transaction_id, hold, for_update=for_update)

    async def find_account(self, fields: Fields) -> Account | None:
        await asyncio.sleep(0)
        return self.repository.find_account(fields)

    async def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        await asyncio.sleep(0)
        return self.repository.list_transactions(gateway, start, end)

    async def save(self, change: Change) -> Transaction:
        await asyncio.sleep(0)
        return self.repository.save(change)
