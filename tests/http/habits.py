"""What merchants do in hooks: good habits, bad ones, and what is in between; and the moves in which a hook is called.

A habit is a generator: see `tests.http.clients`. What names a session's own methods is for those who have one.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from paytechuz import Transaction
from tests.http.clients import Answer, Client, Habit, Order

Steps = Generator[Any, Any, Any]


class Broken(Exception):  # noqa: N818 - named for what it stands for
    """The shop's own bug."""


class Gone(BaseException):
    """What is no `Exception`: a worker that is told to stop."""


# Good habits


def works(self: Any, transaction: Any) -> Steps:
    """Leave a mark on the order, so that all that this hook did can be seen; commits nothing."""
    order = yield self.db.get(self.model, transaction.account_id)
    order.status, order.paid = "touched", order.paid + 1
    return order


def commits(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    yield self.db.commit()


def commits_each_step(self: Any, transaction: Any) -> Steps:
    order = yield self.db.get(self.model, transaction.account_id)
    order.status = "touched"
    yield self.db.commit()
    order = yield self.db.get(self.model, transaction.account_id)
    order.paid += 1
    yield self.db.commit()


def leaves_its_changes_uncommitted(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)


def only_flushes(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    yield self.db.flush()


def rolls_back_then_commits(self: Any, transaction: Any) -> Steps:
    order = yield from works(self, transaction)
    order.paid = 100
    yield self.db.flush()
    yield self.db.rollback()
    yield from commits(self, transaction)


def handles_a_failed_statement_in_a_savepoint(self: Any, transaction: Any) -> Steps:
    savepoint = self.db.begin_nested()
    if hasattr(savepoint, "__await__"):
        savepoint = yield savepoint
    with suppress(IntegrityError):
        yield self.db.execute(insert(Order).values(id=transaction.account_id, amount=1))
    yield savepoint.rollback()
    yield from commits(self, transaction)


def works_in_a_savepoint_of_its_own(self: Any, transaction: Any) -> Steps:
    savepoint = self.db.begin_nested()
    if hasattr(savepoint, "__await__"):
        savepoint = yield savepoint
    yield from works(self, transaction)
    yield savepoint.commit()


def begins_and_commits_by_itself(self: Any, transaction: Any) -> Steps:
    begun = self.db.begin()
    if hasattr(begun, "__await__"):
        begun = yield begun
    yield from works(self, transaction)
    yield begun.commit()


def leaves_a_savepoint_open(self: Any, transaction: Any) -> Steps:
    savepoint = self.db.begin_nested()
    if hasattr(savepoint, "__await__"):
        yield savepoint
    yield from works(self, transaction)


GOOD = (commits, commits_each_step)
GOOD_OF_A_SESSION = (
    leaves_its_changes_uncommitted,
    only_flushes,
    rolls_back_then_commits,
    handles_a_failed_statement_in_a_savepoint,
    works_in_a_savepoint_of_its_own,
    begins_and_commits_by_itself,
    leaves_a_savepoint_open,
)

# Habits whose work is lost


def raises(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    raise Broken


def commits_then_raises(self: Any, transaction: Any) -> Steps:
    yield from commits(self, transaction)
    raise Broken


def commits_then_changes_more_and_raises(self: Any, transaction: Any) -> Steps:
    yield from commits(self, transaction)
    yield from works(self, transaction)
    yield self.db.flush()
    raise Broken


def rolls_back(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    yield self.db.rollback()


def flushes_then_rolls_back(self: Any, transaction: Any) -> Steps:
    yield from only_flushes(self, transaction)
    yield self.db.rollback()


def closes_the_session(self: Any, transaction: Any) -> Steps:
    yield from only_flushes(self, transaction)
    yield self.db.close()


def violates_a_unique_key(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    self.db.add(Order(amount=1, voucher="taken"))
    yield self.db.commit()


def leaves_a_unique_violation_for_the_end(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    self.db.add(Order(amount=1, voucher="taken"))


def swallows_a_failed_commit(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    self.db.add(Order(amount=1, voucher="taken"))
    with suppress(IntegrityError):
        yield self.db.commit()


def swallows_a_failed_commit_and_rolls_back(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    self.db.add(Order(amount=1, voucher="taken"))
    try:
        yield self.db.commit()
    except IntegrityError:
        yield self.db.rollback()


BAD = (raises, commits_then_raises)
BAD_OF_A_SESSION = (
    commits_then_changes_more_and_raises,
    rolls_back,
    flushes_then_rolls_back,
    closes_the_session,
    violates_a_unique_key,
    leaves_a_unique_violation_for_the_end,
    swallows_a_failed_commit,
    swallows_a_failed_commit_and_rolls_back,
)

# Habits that end the task, the thread or the process, whose work is lost too


def nothing(self: Any, transaction: Any) -> Steps:
    del self, transaction
    yield None


def stopped_by(gone: type[BaseException], after: Habit) -> Habit:
    """Do something, and raise what is no `Exception`."""

    def stops(self: Any, transaction: Any) -> Steps:
        yield from after(self, transaction)
        raise gone

    stops.__name__ = f"{after.__name__}_then_{gone.__name__}"
    return stops


BEFORE_A_STOP = (nothing, works, commits)
STOPS = (Gone, asyncio.CancelledError)
ENDS = (SystemExit, KeyboardInterrupt)
"""In an event loop these two end the loop, and all that is in it."""

# Habits that databases see differently, and whose outcome must only be whole


def swallows_a_failed_statement(self: Any, transaction: Any) -> Steps:
    yield from works(self, transaction)
    yield self.db.flush()
    with suppress(IntegrityError):  # PostgreSQL now ignores everything until a rollback; the others go on
        yield self.db.execute(insert(Order).values(amount=1, voucher="taken"))


def swallows_a_failed_statement_first(self: Any, transaction: Any) -> Steps:
    with suppress(IntegrityError):
        yield self.db.execute(insert(Order).values(amount=1, voucher="taken"))
    with suppress(Exception):
        yield from works(self, transaction)


def commits_then_rolls_back(self: Any, transaction: Any) -> Steps:
    yield from commits(self, transaction)
    yield self.db.rollback()


def commits_then_closes_the_session(self: Any, transaction: Any) -> Steps:
    yield from commits(self, transaction)
    yield self.db.close()


def rolls_back_behind_the_sessions_back(self: Any, transaction: Any) -> Steps:
    yield from only_flushes(self, transaction)
    with suppress(DBAPIError):
        yield self.db.execute(text("ROLLBACK"))


def loses_its_connection(self: Any, transaction: Any) -> Steps:
    yield from only_flushes(self, transaction)
    yield self.db.invalidate()


def forgets_its_objects(self: Any, transaction: Any) -> Steps:
    yield from only_flushes(self, transaction)
    self.db.expunge_all()


DISPUTED_OF_A_SESSION = (
    swallows_a_failed_statement,
    swallows_a_failed_statement_first,
    commits_then_rolls_back,
    commits_then_closes_the_session,
    rolls_back_behind_the_sessions_back,
    loses_its_connection,
    forgets_its_objects,
)


@dataclass(frozen=True)
class Asked:
    """What a habit is given where there is no transaction yet."""

    account_id: int


@dataclass(frozen=True)
class Move:
    """One move of a payment: the hook that tells of it, what comes before it, and the call that makes it."""

    hook: str
    before: tuple[str, ...]
    call: str
    state: int

    def __str__(self) -> str:
        return f"{self.hook}-{self.state}"

    def prepare(self, shop: Client) -> Any:
        """Bring an order to just before the move."""
        order = shop.database.order()
        for method in self.before:
            make(shop, method, order).ok()
        return order


CREATED = Move("transaction_created", (), "create", 1)
PAID = Move("successfully_payment", ("create",), "perform", 2)
CANCELLED = Move("cancelled_payment", ("create",), "cancel", -1)
REFUNDED = Move("cancelled_payment", ("create", "perform"), "cancel", -2)
MOVES = (CREATED, PAID, REFUNDED)
"""Each hook that tells of a move once; a cancel before payment calls the same hook as a refund."""


def make(shop: Client, method: str, order: Any) -> Answer:
    """Make one call of the payment "a"."""
    answer: Answer = shop.create("a", order) if method == "create" else getattr(shop, method)("a")
    return answer


def hook(name: str, habit: Callable[[Any, Any], Any], *, times: int = 1000) -> Habit:
    """Make a hook of a habit; after that many calls it only commits, as a shop whose bug is mended."""
    calls = []

    def run(self: Any, *arguments: Any) -> Steps:
        calls.append(arguments)
        found = [each for each in arguments if isinstance(each, Transaction)]
        steps = (habit if len(calls) <= times else commits)(self, found[0] if found else Asked(arguments[-1].id))
        if isinstance(steps, Generator):  # a habit of Django's own has no session whose methods to yield
            yield from steps
        return True  # for those that are asked

    run.__name__ = name
    return run


def stored(shop: Client) -> Any:
    """Everything in the database."""
    with shop.database.engine.connect() as connection:
        return shop.database.payments(), connection.execute(select(Order.__table__).order_by(Order.id)).all()
