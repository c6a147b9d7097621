"""The reference repository: transactions in memory, obeying the four laws and no more.

It is the model that property tests hold every other storage against, and all that an example needs. It is as weak as
the weakest database supported: reads see whatever others have committed by then (READ COMMITTED), locks do nothing,
and a rival is noticed when it has written first, at `save` or at commit.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

from paytechuz_core.repository import Conflict, Repository
from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction


class Memory:
    """Transactions of all gateways; `find_account` is the shop's.

    `with memory.begin() as repository` opens one database transaction; `memory.transactions` is what is committed.
    """

    def __init__(self, find_account: Callable[[Fields], Account | None]) -> None:
        self.find_account = find_account
        self.transactions: dict[tuple[str, str], Transaction] = {}
        self.ids = itertools.count(1)
        self._lock = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Repository]:
        """Open one database transaction: commit on exit, vanish on error."""
        session = MemorySession(self)
        yield session
        with self._lock:
            # Checked again, all of them and before any is written: what was true at `save` may be no more.
            written: dict[tuple[str, str], Transaction] = dict(self.transactions)
            for change in session.changes:
                put(written, change)
            self.transactions = written


class MemorySession:
    """One database transaction on a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.changes: list[Change] = []

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find by id or by hold."""
        del for_update
        return [
            deepcopy(each)
            for each in self._visible().values()
            if (each.gateway, each.transaction_id) == (gateway, transaction_id)
            or (hold is not None and each.hold == hold)
        ]

    def find_account(self, fields: Fields) -> Account | None:
        """Ask the shop."""
        return self.memory.find_account(fields)

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        rows = [
            deepcopy(each)
            for each in self._visible().values()
            if each.gateway == gateway and each.provider_time is not None and start <= each.provider_time <= end
        ]
        return sorted(rows, key=lambda each: (each.provider_time, each.id))

    def save(self, change: Change) -> Transaction:
        """Write within this database transaction."""
        if change.before is None:
            change = Change(None, replace(change.after, id=next(self.memory.ids)))
        stored = put(self._visible(), change)
        self.changes.append(change)
        return stored

    def _visible(self) -> dict[tuple[str, str], Transaction]:
        visible = dict(self.memory.transactions)
        for change in self.changes:
            put(visible, change)
        return visible


def put(rows: dict[tuple[str, str], Transaction], change: Change) -> Transaction:
    """Write `change` into `rows` by the laws, or raise `Conflict`."""
    before, after = change.before, change.after
    key = after.gateway, after.transaction_id
    stored = rows.get(key)
    if (None if stored is None else (stored.state, stored.version)) != (
        None if before is None else (before.state, before.version)
    ):
        message = f"{key} was written by another request"
        raise Conflict(message)
    if after.hold is not None and any(each.hold == after.hold and other != key for other, each in rows.items()):
        message = f"{after.hold} is held by another transaction"
        raise Conflict(message)
    rows[key] = deepcopy(after)
    return rows[key]
