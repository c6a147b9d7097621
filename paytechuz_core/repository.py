"""Where transactions live: the one small interface to implement for a storage of your own.

Four laws make an implementation correct; `paytechuz_core.testing.RepositoryLaws` checks them on yours:

1. Keys compare byte for byte. (MariaDB's default collation finds `ABC`, `abc ` and `àbc` to be one key.)
2. `(gateway, transaction_id)` is unique, and so is a `hold` that is not None.
3. `save` updates only while the stored transaction is still `change.before`: same state, same version. Else `Conflict`.
4. All within one `begin()` commits or vanishes together, and a commit that did not happen raises.

Nothing else is asked: no lock is needed for correctness, and reads may be as weak as READ COMMITTED.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol, TypeAlias

from paytechuz_core.transaction import Account, Change, Fields, Millis, Transaction


class Conflict(Exception):  # noqa: N818 - says what happened
    """Another request wrote first, or the outcome of a commit is unknown: roll back and start over."""


class ConfigurationError(Exception):
    """The merchant's set-up cannot work. The message names the setting and the fix.

    `setting` is the one at fault, where it is one, as a handler's constructor calls it; None elsewhere.
    """

    def __init__(self, message: str, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class Repository(Protocol):
    """A storage within one database transaction."""

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Give the transactions that have this id at this gateway, or this hold at any: none, one or two.

        Either may be None and then finds nothing. `for_update` may lock the row found, to save rivals a retry; with a
        hold it is never set, because locking a row that does not exist yet deadlocks rivals on some databases.
        """

    def find_account(self, fields: Fields) -> Account | None:
        """Give the merchant's account that the provider's fields name, or None. Asked where no transaction is known."""

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give the transactions whose `provider_time` is from `start` to `end`, both ends included."""

    def save(self, change: Change) -> Transaction:
        """Insert (`before` is None) or update, or raise `Conflict` by the laws. Gives it as stored."""


class AsyncRepository(Protocol):
    """The same, awaited."""

    async def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """See `Repository.find_transactions`."""

    async def find_account(self, fields: Fields) -> Account | None:
        """See `Repository.find_account`."""

    async def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """See `Repository.list_transactions`."""

    async def save(self, change: Change) -> Transaction:
        """See `Repository.save`."""


Begin: TypeAlias = Callable[[], AbstractContextManager[Repository]]
"""Opens one database transaction: commits on exit, rolls back on error."""

AsyncBegin: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncRepository]]
