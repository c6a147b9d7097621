"""An async storage, driven by sync laws: a loop in a thread of its own, and one task for each database transaction.

The laws of a repository stand once, as sync functions. `Bridge.begin` makes a `Begin` of an `AsyncBegin`: what the law
asks is put to the task that opened the database transaction, because an `async with` must be left by the task that
entered it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutine
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from paytechuz_core.repository import AsyncBegin, AsyncRepository, Repository
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction

T = TypeVar("T")
Step: TypeAlias = Callable[[AsyncRepository], Awaitable[Any]]
Request: TypeAlias = tuple[Step, "Future[Any]"]


class Bridge:
    """A running event loop. `bridge(coroutine)` runs something on it and gives the result."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever, name="laws", daemon=True)
        self._thread.start()

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop: what a storage needs to be set up and taken down."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def wait(self, what: Any) -> Any:
        """Give what a function returned: where that is a coroutine, run it on the loop."""
        return self(what) if iscoroutine(what) else what

    def close(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @contextmanager
    def begin(self, begin: AsyncBegin) -> Iterator[Repository]:
        """Open one database transaction of an async storage for sync use."""
        requests: asyncio.Queue[Request | BaseException | None] = asyncio.Queue()

        async def serve() -> None:
            async with begin() as repository:
                while (request := await requests.get()) is not None:
                    if isinstance(request, BaseException):
                        raise request
                    step, future = request
                    try:
                        future.set_result(await step(repository))
                    except BaseException as error:  # noqa: BLE001 - it is raised where the law asked
                        future.set_exception(error)

        served = asyncio.run_coroutine_threadsafe(serve(), self.loop)

        def put(request: Request | BaseException | None) -> None:
            self.loop.call_soon_threadsafe(requests.put_nowait, request)

        def ask(step: Step) -> Any:
            future: Future[Any] = Future()
            put((step, future))
            wait((served, future), return_when=FIRST_COMPLETED)
            return future.result() if future.done() else served.result()

        try:
            yield Bridged(ask)
        except BaseException as error:
            put(error)
            served.result()
            raise
        put(None)
        served.result()


@dataclass(frozen=True, slots=True)
class Bridged:
    """An `AsyncRepository` as a `Repository`: every line asks the task that has the database transaction open."""

    ask: Callable[[Step], Any]

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """See `Repository.find_transactions`."""
        found: Sequence[Transaction] = self.ask(
            lambda repository: repository.find_transactions(gateway, transaction_id, hold, for_update=for_update)
        )
        return found

    def find_account(self, fields: Fields) -> Account | None:
        """See `Repository.find_account`."""
        account: Account | None = self.ask(lambda repository: repository.find_account(fields))
        return account

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """See `Repository.list_transactions`."""
        listed: Sequence[Transaction] = self.ask(lambda repository: repository.list_transactions(gateway, start, end))
        return listed

    def save(self, change: Change) -> Transaction:
        """See `Repository.save`."""
        stored: Transaction = self.ask(lambda repository: repository.save(change))
        return stored
