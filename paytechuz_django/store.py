"""One database transaction, ours, with the merchant's hooks inside it; and the repository that reads and writes in it.

The library owns COMMIT: `unit_of_work` is an outermost `atomic()`, each hook runs in an inner one, a savepoint. What a
hook has lost (a swallowed error, `set_rollback`, a closed connection) is found out before anything is answered.
What another request won is a `Conflict` (start over); `paytechuz_core.drivers` lists what databases call that. A lost
connection is one too, even while committing: starting over reads what was really stored. So is a server that takes no
writes any more, to which the connection is closed. A connection that cannot be made was never lost.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import (
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from paytechuz_core.drivers import is_conflict, is_duplicate, is_gone, is_read_only
from paytechuz_core.handler import PAGE
from paytechuz_core.observe import log
from paytechuz_core.report import timed_by
from paytechuz_core.repository import ConfigurationError, Conflict
from paytechuz_core.rows import Seen, misfit, transaction_of, values_of
from paytechuz_core.transaction import Account, Change, Fields, Key, Millis, State, Transaction, millis_to_datetime
from paytechuz_django.models import PaymentTransaction

NESTED: Final = (
    "the webhook is called inside a database transaction of the shop's own, so nothing it answers would be committed: "
    "let no middleware or decorator wrap it in atomic() (ATOMIC_REQUESTS spares it by itself)"
)
LOCK_SQLITE: Final = "UPDATE payments SET state = state WHERE id IS NULL"
MIGRATE: Final = "run `manage.py migrate`"
ON_COMMIT: Final = "an on_commit callback of a hook failed; the payment itself is saved"


class Unit:
    """One database transaction on one connection, and what is known of it."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.connection: BaseDatabaseWrapper = connections[using]
        self.driver: Any = None  # the driver's own connection that all of this is on
        self.conflicted = False
        self.dead = False  # the connection leads nowhere, even where it looks alive
        self.hooked = False
        self.committing = False
        self.committed = False

    @contextmanager
    def hook(self, *, savepoint: bool) -> Iterator[None]:
        """Surround the merchant's code: what it did is there afterwards, or this raises."""
        self.hooked = savepoint
        with transaction.atomic(using=self.using) if savepoint else nullcontext():
            yield
            self.settle()
        self.hooked = False

    def settle(self) -> None:
        """Raise where work is lost though nobody raised."""
        if self.conflicted:  # swallowed by the hook, but the database has undone its work, and ours
            message = "a conflict inside a hook"
            raise Conflict(message)
        if transaction.get_rollback(using=self.using):
            message = (
                "a hook has undone the library's database transaction: by an error that it caught (put an atomic() of "
                "its own around what may fail), by set_rollback(True) (let it raise) or by closing the connection"
            )
            raise RuntimeError(message)

    def watch(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        """Remember a conflict, whoever handles or swallows the error."""
        try:
            return execute(sql, params, many, context)
        except Error as error:
            self.note(error.__cause__)
            raise

    def note(self, error: BaseException | None) -> None:
        """Remember what an error of the driver means for the call and for the connection."""
        gone, read_only = is_gone(error), is_read_only(error)
        self.dead = self.dead or gone or read_only
        # A hook may have asked for a read-only database transaction itself: then starting over changes nothing.
        self.conflicted = self.conflicted or is_conflict(error) or gone or (read_only and not self.hooked)

    def note_commit(self) -> None:
        """Remember that COMMIT has succeeded: whatever fails now cannot undo it."""
        self.committed = True


@contextmanager
def unit_of_work(using: str) -> Iterator[Unit]:
    """Open one unit: commit on exit, roll back on error, name a conflict `Conflict`."""
    unit = Unit(using)
    try:
        with ExitStack() as stack:
            begin(unit, stack)
            stack.enter_context(unit.connection.execute_wrapper(unit.watch))
            yield unit
            unit.settle()
            unit.committing = True
    except Exception as error:
        if unit.committed:  # Django runs on_commit callbacks while the outermost atomic() is left
            log.exception(ON_COMMIT)
        elif (told := translate(unit, error)) is error:
            raise
        else:
            raise told from error


def begin(unit: Unit, stack: ExitStack) -> None:
    """Begin the database transaction, which nobody else may be in."""
    connection = unit.connection
    check_commits(connection)
    outermost = not connection.in_atomic_block
    # MySQL's backend can only ask a connection that is there: after one that was refused there is none.
    there = outermost and connection.connection is not None
    if there and connection.errors_occurred and not connection.is_usable():
        connection.close()  # an attempt before this one has lost it
    unit.driver = connection.connection
    try:
        # Durable: none is around it, but for the one that a TestCase keeps around each test.
        stack.enter_context(transaction.atomic(using=unit.using, durable=True))
    except RuntimeError as nested:
        raise ConfigurationError(NESTED) from nested
    unit.driver = connection.connection
    if outermost:
        transaction.on_commit(unit.note_commit, using=unit.using)
    if connection.vendor == "sqlite":
        # Take the write lock at once: a database transaction that read first cannot take it later (BUSY_SNAPSHOT).
        with connection.cursor() as cursor:
            cursor.execute(LOCK_SQLITE)


def check_commits(connection: BaseDatabaseWrapper) -> None:
    """Refuse a connection on which Django leaves COMMIT to the shop."""
    if not connection.settings_dict.get("AUTOCOMMIT", True):
        where = f"DATABASES[{connection.alias!r}]['AUTOCOMMIT']"
        message = f"{where} is False, so nothing would ever be committed: remove it"
        raise ConfigurationError(message, "AUTOCOMMIT")
    if connection.connection is not None and not connection.in_atomic_block and not connection.get_autocommit():
        message = (
            "the webhook is called after set_autocommit(False), with work that it would lose: use atomic() instead"
        )
        raise ConfigurationError(message, "AUTOCOMMIT")


def translate(unit: Unit, error: Exception) -> Exception:
    """Give what the engine should see instead of `error`: start over, a fix for the merchant, or the error itself."""
    # What a hook raises may have any cause; only Django's own errors have the driver's.
    said = error.__cause__ if isinstance(error, Error) else None
    if unit.committing:
        unit.note(said)
    conflicted = unit.conflicted or is_conflict(said) or is_lost(unit, error)
    if unit.dead and not unit.connection.in_atomic_block:
        unit.connection.close()
    if conflicted:
        return Conflict(str(error))
    connects = unit.driver is not None and not unit.connection.in_atomic_block
    if connects and isinstance(error, (OperationalError, ProgrammingError)):
        return misfit_of(unit.connection) or error
    return error


def is_lost(unit: Unit, error: Exception) -> bool:
    """Tell whether an error means that the connection is gone; one that could not be made was never there to lose."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    now = unit.connection.connection  # another one where Django has noticed the loss itself
    return unit.driver is not None and (now is not unit.driver or not unit.connection.is_usable())


def misfit_of(connection: BaseDatabaseWrapper) -> ConfigurationError | None:
    """Say what is wrong with the table of payments, if anything is."""
    return misfit(seen_of(connection), columns(), MIGRATE)


def columns() -> list[str]:
    """Name the columns that the table of payments must have."""
    return [field.column or field.name for field in PaymentTransaction._meta.concrete_fields]  # noqa: SLF001 - documented under this name


def seen_of(connection: BaseDatabaseWrapper) -> Seen:
    """Look at the table of payments as the database has it."""
    table = PaymentTransaction._meta.db_table  # noqa: SLF001 - as above
    with connection.cursor() as cursor:
        exists = table in connection.introspection.table_names(cursor)
        there = connection.introspection.get_table_description(cursor, table) if exists else []
        constraints = connection.introspection.get_constraints(cursor, table).values() if exists else ()
    return Seen(
        name=table,
        columns=[column.name for column in there],
        unique=[each["columns"] for each in constraints if each["unique"]],
        indexes=[each["columns"] for each in constraints if each["index"] or each["unique"]],
    )


def statement(using: str, gateway: str, start: Millis, end: Millis) -> Iterator[Transaction]:
    """Give a statement of any length, a page at a time: MySQL's drivers would keep the whole of it in memory."""
    column = timed_by(gateway)
    window = (start, end) if column == "provider_time" else (millis_to_datetime(start), millis_to_datetime(end))
    payments = PaymentTransaction._base_manager.using(using)  # noqa: SLF001 - as above
    found = payments.filter(**{"gateway": gateway, f"{column}__range": window}).order_by(column, "id")
    page = list(found[:PAGE])
    while page:
        yield from (transaction_of(row, str) for row in page)
        last = getattr(page[-1], column)
        page = list(found.filter(Q(**{f"{column}__gt": last}) | Q(**{column: last, "id__gt": page[-1].pk}))[:PAGE])


@dataclass(frozen=True)
class DjangoRepository:
    """One database transaction on the database `using`.

    `accounts` finds the merchant's account; `key` turns a stored account id back into the type of the account's own
    key.
    """

    using: str
    accounts: Callable[[Fields], Account | None]
    key: Callable[[str], Key] = str

    @property
    def payments(self) -> QuerySet[PaymentTransaction]:
        """The table, at the writer: what a replica says may be old."""
        return PaymentTransaction._base_manager.using(self.using)  # noqa: SLF001 - documented under this name

    def find_transactions(
        self, gateway: str, transaction_id: str | None, hold: str | None, *, for_update: bool
    ) -> Sequence[Transaction]:
        """Find by id, by hold, or by both in one read."""
        named, holding = Q(gateway=gateway, transaction_id=transaction_id), Q(hold=hold)
        match transaction_id, hold:
            case None, None:
                return ()
            case None, _:
                found = self.payments.filter(holding)
            case _, None:
                found = self.payments.filter(named)
            case _:
                found = self.payments.filter(named | holding)
        return self._read(found.select_for_update() if for_update else found)

    def find_account(self, fields: Fields) -> Account | None:
        """Ask the merchant."""
        return self.accounts(fields)

    def list_transactions(self, gateway: str, start: Millis, end: Millis) -> Sequence[Transaction]:
        """Give a statement."""
        window = self.payments.filter(gateway=gateway, provider_time__gte=start, provider_time__lte=end)
        return self._read(window.order_by("provider_time", "id"))

    def list_unpaid(self, gateway: str, after: int, limit: int) -> Sequence[Transaction]:
        """Give a page of the transactions that nobody has paid or cancelled."""
        unpaid = self.payments.filter(gateway=gateway, state=State.INITIATING.value, id__gt=after)
        return self._read(unpaid.order_by("id")[:limit])

    def save(self, change: Change) -> Transaction:
        """Insert or update; `Conflict` where another request wrote first."""
        values = values_of(change)
        if change.before is None:
            try:
                row = self.payments.create(**values)
            except IntegrityError as error:
                if not is_duplicate(error.__cause__):
                    raise
                raise Conflict(str(error)) from error
            return replace(change.after, id=row.pk)
        seen = self.payments.filter(id=change.before.id, state=int(change.before.state), version=change.before.version)
        if seen.update(**values) != 1:
            message = "another request wrote first"
            raise Conflict(message)
        return change.after

    def _read(self, found: QuerySet[PaymentTransaction]) -> Sequence[Transaction]:
        return [transaction_of(row, self.key) for row in found]
