"""One database transaction, ours, with the merchant's session inside it.

The library owns the connection and the commit; while a call runs, the merchant's session is joined to that connection
by a savepoint. So a hook may commit, as the documented example does, and its work still commits together with the
transaction's new state or not at all: what the hook calls COMMIT releases a savepoint. `settle` runs after each hook
and makes sure that its work is there: flushed, released, not rolled back and not thrown away by a `close()`.

What another request won is a `Conflict` (start over); `paytechuz_core.drivers` lists what databases call that. A lost
connection is one too, even while committing: starting over reads what was really stored. So is a server that takes no
writes any more, and the pool must not keep a connection to it. A connection that cannot be made was never lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Dialect, Engine, Table, Transaction, event, inspect, update
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, StatementError, UnboundExecutionError
from sqlalchemy.orm import Session, SessionTransaction, SessionTransactionOrigin, UOWTransaction
from sqlalchemy.pool import StaticPool

from paytechuz_core.drivers import is_conflict, is_gone, is_read_only
from paytechuz_core.repository import ConfigurationError, Conflict
from paytechuz_core.rows import Seen, misfit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

MIGRATE = "call run_migrations(engine) once, at start"
OWN_SESSION = "(FastAPI: `db: Session = Depends(get_db)`; Flask: `with SessionLocal() as db`)"
T = TypeVar("T")
_claiming = Lock()
_joined: WeakKeyDictionary[Session, Unit | None] = WeakKeyDictionary()
_flushed: WeakSet[Session] = WeakSet()
_units: WeakKeyDictionary[Connection, Unit] = WeakKeyDictionary()
_watched: WeakSet[Dialect] = WeakSet()
_transactional: WeakSet[Engine] = WeakSet()
_shared: WeakKeyDictionary[Engine, Unit] = WeakKeyDictionary()


class Unit:
    """One database transaction and the merchant's session joined to it. `open`, `settle`, then `commit` or `abort`."""

    bind: Engine | Connection
    connection: Connection
    root: Transaction

    def __init__(self, session: Session, model: type, table: Table) -> None:
        self.session = session
        self.model = model
        self.table = table
        self.conflicted = False
        self.hooked = False
        self._lost = False
        self._committing = False

    def open(self) -> None:
        """Begin the database transaction and join the session to it."""
        claim(self.session, self)
        try:
            # Not before the claim: the session of a running call routes to that call's connection.
            self.bind = bind_of(self.session, self.model, self.table)
            check_engine(self.bind.engine)
            self._share()
            let_go(self.session)
            self._begin()
        except BaseException:
            self._give_up()
            self._leave()
            raise
        self._join()

    def commit(self) -> None:
        """Commit all of it, hooks' work included."""
        self.settle()
        self.root.commit()
        self._part()
        if self.session.expire_on_commit:
            self.session.expire_all()
        self._leave()

    def abort(self) -> None:
        """Roll back all of it, and leave nothing of it in the session."""
        with suppress(DBAPIError):
            self.session.rollback()
        self._part()
        self.session.expunge_all()
        self._give_up()
        self._leave()

    @contextmanager
    def hook(self, *, savepoint: bool) -> Iterator[None]:
        """Surround the merchant's code."""
        self.enter(savepoint=savepoint)
        yield
        self.settle()

    def enter(self, *, savepoint: bool) -> None:
        """Let the merchant's code use the session in a savepoint, or our own reading of the model without one."""
        self._lost, self.hooked = False, savepoint
        self.session.join_transaction_mode = "create_savepoint" if savepoint else "rollback_only"

    def settle(self) -> None:
        """Flush and release what the merchant's code left in the session; raise where its work is lost."""
        session = self.session
        if session.in_transaction():
            expire, session.expire_on_commit = session.expire_on_commit, False
            try:
                session.commit()
            finally:
                session.expire_on_commit = expire
        if self.conflicted:  # swallowed by the hook, but the database has undone its work, and ours
            message = "a conflict inside a hook"
            raise Conflict(message)
        if self._lost:
            message = "a hook's last word to its session was rollback() or close(): let it end with commit(), or raise"
            raise RuntimeError(message)
        if not self.root.is_active:
            message = "a hook ended the library's database transaction; commit the session, never its connection"
            raise RuntimeError(message)
        self.hooked = False

    def _share(self) -> None:
        engine = self.bind.engine
        with _claiming:
            # With one shared connection, two calls would be one database transaction.
            if isinstance(engine.pool, StaticPool) and _shared.setdefault(engine, self) is not self:
                message = "the in-memory database is in use"
                raise Conflict(message)

    def _begin(self) -> None:
        bind = self.bind
        self.connection = bind if isinstance(bind, Connection) else bind.connect()
        if not self.connection.in_transaction():
            self.root = self.connection.begin()
            self._prepare()
        else:  # a session bound to a connection, as in a test that rolls everything back
            self._prepare()
            self.root = self.connection.begin_nested()

    def _prepare(self) -> None:
        if self.connection.dialect.name == "sqlite":
            lock_sqlite(self.connection, self.table)
        if self.bind.engine not in _transactional:
            check_transactions(self.connection)
            _transactional.add(self.bind.engine)

    def _give_up(self) -> None:
        if hasattr(self, "root"):
            with suppress(DBAPIError):
                self.root.close()  # not `rollback`, which warns where the session's has rolled it back already

    def _join(self) -> None:
        session, engine = self.session, self.bind.engine
        route = session.get_bind

        def get_bind(*args: Any, **kwargs: Any) -> Engine | Connection:
            found = route(*args, **kwargs)
            return self.connection if found.engine is engine else found

        self._lost = self._committing = False
        self._own_route = vars(session).get("get_bind")
        self._mode = session.join_transaction_mode
        # An attribute of this one session; its class (Flask-SQLAlchemy's, say) still decides which database is meant.
        vars(session)["get_bind"] = get_bind
        if engine.dialect not in _watched:  # what listens to an engine listens to its dialect, which others may share
            event.listen(engine, "handle_error", note_conflict)
            _watched.add(engine.dialect)
        _units[self.connection] = self

    def _part(self) -> None:
        session = self.session
        vars(session).pop("get_bind", None)
        if self._own_route is not None:
            vars(session)["get_bind"] = self._own_route
        session.join_transaction_mode = self._mode

    def _leave(self) -> None:
        if hasattr(self, "bind") and _shared.get(self.bind.engine) is self:
            del _shared[self.bind.engine]
        _joined.pop(self.session, None)
        if hasattr(self, "connection"):
            _units.pop(self.connection, None)
            if self.connection is not self.bind:
                self.connection.close()

    def note_commit(self) -> None:
        """Remember that the session is committing, not rolling back or closing."""
        if not self.session.in_nested_transaction():
            self._committing = True

    def note_end(self, transaction: SessionTransaction) -> None:
        """Remember whether the session's work is lost."""
        if transaction.parent is None:
            # The last one counts: a hook may roll back, do better, and commit.
            self._lost, self._committing = not self._committing, False


# Listeners of every session, because adding them to one session costs more than asking each time whose it is.


@event.listens_for(Session, "after_commit")
def _on_commit(session: Session) -> None:
    if (unit := _joined.get(session)) is not None:
        unit.note_commit()


@event.listens_for(Session, "after_flush")
def _on_flush(session: Session, context: UOWTransaction) -> None:
    del context
    _flushed.add(session)


@event.listens_for(Session, "after_transaction_end")
def _on_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        _flushed.discard(session)
    if (unit := _joined.get(session)) is not None:
        unit.note_end(transaction)


class AsyncUnit:
    """A unit of an `AsyncSession`, as its handler sees it."""

    def __init__(self, session: AsyncSession, unit: Unit) -> None:
        self.session = session
        self.unit = unit

    @asynccontextmanager
    async def hook(self, *, savepoint: bool) -> AsyncIterator[None]:
        """Surround the merchant's code."""
        self.unit.enter(savepoint=savepoint)
        yield
        await in_greenlet(self.session, self.unit.settle)


@contextmanager
def unit_of_work(session: Session, model: type, table: Table) -> Iterator[Unit]:
    """Open one unit on the database of `model`: commit on exit, roll back on error, name a conflict `Conflict`."""
    unit = Unit(session, model, table)
    try:
        unit.open()
        try:
            yield unit
            unit.commit()
        except BaseException:
            unit.abort()
            raise
    except Exception as error:
        if (told := translate(unit, error)) is error:
            raise
        raise told from error


@asynccontextmanager
async def async_unit_of_work(session: AsyncSession, model: type, table: Table) -> AsyncIterator[Unit]:
    """The same, awaited: each step runs in the session's greenlet."""
    unit = Unit(session.sync_session, model, table)
    try:
        await in_greenlet(session, unit.open)
        try:
            yield unit
            await in_greenlet(session, unit.commit)
        except BaseException:
            await in_greenlet(session, unit.abort)
            raise
    except Exception as error:
        if (told := await in_greenlet(session, partial(translate, unit, error))) is error:
            raise
        raise told from error


async def in_greenlet(session: AsyncSession, step: Callable[[], T]) -> T:
    """Run lines written for a `Session` on an `AsyncSession`'s."""
    return await session.run_sync(lambda _: step())


def check_engine(engine: Engine) -> None:
    """Refuse an in-memory SQLite of which every connection is another, empty database."""
    in_memory = engine.dialect.name == "sqlite" and engine.url.database in (None, "", ":memory:")
    if in_memory and not isinstance(engine.pool, StaticPool):
        message = (
            "an in-memory SQLite database is a new one for each connection: use a file, or for tests "
            "create_engine('sqlite://', poolclass=StaticPool, connect_args={'check_same_thread': False})"
        )
        raise ConfigurationError(message)


def check_transactions(connection: Connection) -> None:
    """Refuse an engine that commits every statement by itself: payment and effect would not be saved together."""
    try:
        connection.begin_nested().commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        message = (
            "the engine is set to AUTOCOMMIT: give the webhook handler's session one with database transactions, "
            "create_engine(url) without isolation_level='AUTOCOMMIT' and autocommit"
        )
        raise ConfigurationError(message) from error


def bind_of(session: Session, model: type, table: Table) -> Engine | Connection:
    """Say where a session writes what belongs to `model`."""
    try:
        # As SQLAlchemy's own statements ask: a `get_bind` that knows leader and replicas must give the leader.
        return session.get_bind(inspect(model), clause=update(table))
    except UnboundExecutionError as error:
        message = (
            "the session given to the webhook handler has no engine for the account_model: make it with "
            "sessionmaker(bind=engine)"
        )
        raise ConfigurationError(message) from error


def claim(session: Session, unit: Unit | None) -> None:
    """Make a session one call's own; refuse one that another call is using."""
    with _claiming:
        if session in _joined:
            message = (
                f"another call is using this session: give each request one of its own {OWN_SESSION}, "
                "not a global or a thread's"
            )
            raise ConfigurationError(message)
        _joined[session] = unit


def let_go(session: Session) -> None:
    """Make a session give back its connection; refuse one whose work that would lose."""
    pending = bool(session.new or session.dirty or session.deleted) or session in _flushed
    current = session.get_transaction()
    begun = current is not None and current.origin is not SessionTransactionOrigin.AUTOBEGIN
    if pending or begun:
        message = (
            "the session given to the webhook handler has "
            + ("a database transaction begun by `with db.begin()`" if begun else "pending changes")
            + f": commit before the handler, or give it a session of its own {OWN_SESSION}"
        )
        raise ConfigurationError(message)
    session.rollback()
    session.expire_all()  # what it read before may be old by now, a price too


def give_back(session: Session) -> None:
    """Make a session that no call is using give back its connection; leave it alone where that would lose anything."""
    with suppress(ConfigurationError, DBAPIError):
        claim(session, None)
        try:
            let_go(session)
        finally:
            _joined.pop(session, None)


def lock_sqlite(connection: Connection, table: Table) -> None:
    """Take SQLite's write lock at once: a database transaction that read first cannot take it later (BUSY_SNAPSHOT)."""
    if getattr(connection.connection.driver_connection, "in_transaction", False):
        # The engine's own begin event, or the driver, has opened one: an update of no row takes the lock.
        connection.execute(update(table).where(table.c.id.is_(None)).values(state=table.c.state))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def note_conflict(context: ExceptionContext) -> None:
    """Remember that a unit met a conflict, whoever handles or swallows the error; keep no connection to a dead end."""
    unit = None if context.connection is None else _units.get(context.connection)
    if unit is None:
        return
    error = context.original_exception
    if is_gone(error) or is_read_only(error):
        context.is_disconnect = True  # this connection is closed, and the pool's others are made anew before their use
    if is_read_only(error) and unit.hooked:
        return  # a hook may have asked for a read-only database transaction itself: then starting over changes nothing
    if context.is_disconnect or is_conflict(error):
        unit.conflicted = True


def translate(unit: Unit, error: Exception) -> Exception:
    """Give what the engine should see instead of `error`: start over, a fix for the merchant, or the error itself."""
    hide_parameters(error)
    if unit.conflicted or (isinstance(error, DBAPIError) and is_lost(unit, error)):
        return Conflict(str(error))
    # Only of a server that was there: to ask a dead one would wait for it once more.
    if hasattr(unit, "connection") and isinstance(error, (OperationalError, ProgrammingError)):
        with suppress(DBAPIError), unit.bind.engine.connect() as connection:
            return missing_table(connection, unit.table) or error
    return error


def is_lost(unit: Unit, error: DBAPIError) -> bool:
    """Tell whether an error means that another request won, or that a connection which was there is gone."""
    if is_read_only(error.orig):
        return False  # where it counts, the unit has noted it
    gone = error.connection_invalidated or is_gone(error.orig)
    return is_conflict(error.orig) or (gone and hasattr(unit, "connection"))


def hide_parameters(error: BaseException | None) -> None:
    """Keep the values of SQL statements out of what is logged: one may be a new key."""
    while error is not None:
        if isinstance(error, StatementError):
            error.hide_parameters = True
        error = error.__cause__ or error.__context__


def missing_table(connection: Connection, table: Table) -> ConfigurationError | None:
    """Say what is wrong with the payments table, if anything is."""
    return misfit(seen_of(connection, table), (column.name for column in table.c), MIGRATE)


def seen_of(connection: Connection, table: Table) -> Seen:
    """Look at a table as the database has it."""
    inspector, name, schema = inspect(connection), table.name, table.schema
    exists = inspector.has_table(name, schema)
    unique = inspector.get_unique_constraints(name, schema) if exists else []
    indexes = inspector.get_indexes(name, schema) if exists else []
    return Seen(
        name=table.fullname,
        columns=[column["name"] for column in inspector.get_columns(name, schema)] if exists else [],
        unique=[each["column_names"] for each in unique],
        indexes=[[column or "" for column in each["column_names"]] for each in indexes],
    )
