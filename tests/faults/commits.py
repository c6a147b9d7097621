"""A network that fails at COMMIT, when nobody who asked can know whether it was heard.

Between the shop and its database stands a network of our own, which knows a COMMIT when it carries one. It cuts the
connection before the server hears it, and nothing is stored; or once the server has obeyed, and all of it is; or it
keeps the answer to itself and the connection open, until the driver's own timeout. To the shop all three look alike.

A COMMIT that is cut once costs nothing: the call starts over, reads what is stored, and is answered right. Where every
COMMIT is cut the call gives up, and says the protocol's "try again". When the network has healed, the same call gets
its final answer, twice alike, and took effect once. A hook that writes past the database transaction is the negative
control.
"""

import socket
import socketserver
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import cycle, islice
from select import select
from threading import Thread
from typing import Final

from sqlalchemy import URL, Engine, create_engine, make_url

from tests.core.wire import Params
from tests.databases import SYNC, database_of
from tests.faults.books import Ledger, audit
from tests.faults.errors import (
    AGAIN,
    GROUNDS,
    STORED,
    OnSession,
    Struck,
    on_session,
    plain,
    quick_and_quiet,
)
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import database, missing
from tests.faults.processes import MOVES, PAID_ALREADY, Move, OnItsOwn
from tests.sql.shop import Shop


class Fate(StrEnum):
    """What becomes of a COMMIT."""

    LOST = "COMMITs lost"
    UNANSWERED = "answers to COMMIT lost"
    SILENCE = "answers to COMMIT withheld"


COMMITS: Final = (
    b"Q\x00\x00\x00\x0bCOMMIT\x00",  # PostgreSQL's Query, as libpq sends it
    b"Q\x00\x00\x00\x0cCOMMIT;\x00",  # and asyncpg
    b"\x07\x00\x00\x00\x03COMMIT",  # MariaDB's COM_QUERY
)
"""A client waits for every answer before it commits, so its COMMIT travels alone."""

WISHES: Final = (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"\x00\x00\x00\x08\x04\xd2\x16\x30")
"""With these a client of PostgreSQL asks for TLS or GSSAPI. We say no, because we must be able to read."""

CHUNK: Final = 65536


@dataclass
class Network:
    """Carries bytes to a server and back; while a `fate` is set, it befalls the next COMMIT, or every one."""

    server: URL
    fate: Fate | None = None
    lasts: bool = False
    befallen: int = 0

    def dial(self) -> socket.socket:
        """Connect to the server, which may listen on a socket of the file system."""
        folder = self.server.query.get("host")
        if isinstance(folder, str) and folder.startswith("/"):
            dialled = socket.socket(socket.AF_UNIX)
            dialled.connect(f"{folder}/.s.PGSQL.{self.server.port or 5432}")
            return dialled
        standard = {"postgresql": 5432, "mysql": 3306}[self.server.get_backend_name()]
        return socket.create_connection((self.server.host or "127.0.0.1", self.server.port or standard))

    def carry(self, client: socket.socket) -> None:
        """Carry everything between a client and the server, until one hangs up or a COMMIT meets its fate."""
        with suppress(ConnectionError), client, self.dial() as server:
            while True:
                ready, _, _ = select([client, server], [], [])
                sender = ready[0]
                if not (data := sender.recv(CHUNK)):
                    return
                if sender is server:
                    client.sendall(data)
                elif data in WISHES:
                    client.sendall(b"N")
                elif data in COMMITS and (fate := self.due()) is not None:
                    befall(fate, data, client, server)
                    return
                else:
                    server.sendall(data)

    def due(self) -> Fate | None:
        """Say what befalls a COMMIT, if anything does."""
        fate = self.fate
        if fate is not None:
            self.befallen += 1
            self.fate = fate if self.lasts else None
        return fate

    @contextmanager
    def failing(self, fate: Fate, *, lasts: bool) -> Iterator[None]:
        """Fail once, or as long as this lasts."""
        self.fate, self.lasts, self.befallen = fate, lasts, 0
        yield
        self.fate = None


def befall(fate: Fate, commit: bytes, client: socket.socket, server: socket.socket) -> None:
    """Let a COMMIT meet its fate; when this returns, both connections are cut."""
    if fate is Fate.LOST:
        return
    server.sendall(commit)
    assert server.recv(CHUNK), "the server has not answered COMMIT"
    if fate is Fate.SILENCE:
        while client.recv(CHUNK):  # until the client loses patience
            pass


class Exchange(socketserver.ThreadingTCPServer):
    """Where clients call in; each has a thread."""

    daemon_threads = True

    def __init__(self, network: Network) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.network = network

    def finish_request(self, request: object, client_address: object) -> None:
        """Connect a client."""
        del client_address
        assert isinstance(request, socket.socket)
        self.network.carry(request)


@contextmanager
def network_to(url: str) -> Iterator[tuple[Network, str]]:
    """Put a network before a server; give it, and the URL that leads through it."""
    server = make_url(url)
    network = Network(server)
    with Exchange(network) as exchange:
        thread = Thread(target=partial(exchange.serve_forever, poll_interval=0.01))
        thread.start()
        through = server.set(host="127.0.0.1", port=exchange.server_address[1], query={})
        try:
            yield network, through.render_as_string(hide_password=False)
        finally:
            exchange.shutdown()
            thread.join()


# The experiments


@dataclass
class Trial:
    """One shop behind a network: what it acknowledged, and what was done to it."""

    shop: Struck
    network: Network
    books: Engine
    ledger: Ledger = field(default_factory=Ledger)
    tally: Tally = field(default_factory=Tally)
    number: int = 1000

    def cut(self, name: str, fate: Fate, *, lasts: bool) -> None:
        """Let the COMMIT of a call meet its fate, and then repeat the call on a network that has healed."""
        move, where = MOVES[name], (name, fate, lasts)
        self.number += 2
        *before, last = move.calls(self.shop.order(), self.number)
        for call in before:
            call.note(self.shop.ask(call), self.ledger)
        stored = self.stored()
        with self.network.failing(fate, lasts=lasts):
            answer = self.shop.ask(last)
        assert self.network.befallen, (where, "no COMMIT was sent")
        self.tally.did[fate] += self.network.befallen
        if lasts:
            assert answer.get("code", answer.get("error")) in AGAIN, (where, answer)
            assert (self.stored() == stored) is (fate is Fate.LOST), (where, "stored, or not")
            answer = self.shop.ask(last)
        self.settle(name, move, answer, self.shop.ask(last))
        last.note(answer, self.ledger)

    def settle(self, name: str, move: Move, answer: Params, again: Params) -> None:
        """See that a call has its final answer, twice alike."""
        assert move.answers(answer), (name, answer)
        assert move.answers(again), (name, again)
        # Payme is answered the same for ever; Click that what it completes is paid already.
        if again != ({"error": PAID_ALREADY} if name == "Complete" else answer):
            self.ledger.contradict(f"{name}: first {answer}, then {again}")

    def stored(self) -> object:
        """Say what is stored in a way that any write would change."""
        with self.books.connect() as connection:
            return connection.execute(STORED).one()


CUTS: Final = tuple((fate, lasts) for fate in (Fate.LOST, Fate.UNANSWERED) for lasts in (False, True))


def at_commit(
    driver: str,
    open_shop: Callable[[str], AbstractContextManager[Struck]],
    names: tuple[str, ...],
    cuts: tuple[tuple[Fate, bool], ...],
    rounds: int,
    tick: Tick,
) -> Tally:
    """Let a call of each round meet every cut."""
    books_driver = SYNC[database_of(driver)][0]
    with database(driver) as url, network_to(url) as (network, through), quick_and_quiet():
        books = create_engine(make_url(url).set(drivername=books_driver), isolation_level="AUTOCOMMIT")
        with open_shop(through) as shop:
            trial = Trial(shop, network, books)
            for name in islice(cycle(names), rounds):
                for fate, lasts in cuts:
                    trial.cut(name, fate, lasts=lasts)
                tick()
        trial.tally.add(audit(books, trial.ledger))
        books.dispose()
    return trial.tally


@contextmanager
def outside(url: str) -> Iterator[Struck]:
    """Open a shop whose hooks commit over a connection of their own."""
    engine = create_engine(url, connect_args=plain(url))
    yield OnSession(Shop(engine, OnItsOwn).open())
    engine.dispose()


@contextmanager
def impatient(url: str) -> Iterator[Struck]:
    """Open a shop that waits half a second for MariaDB; its tables are made by one that is patient."""
    with on_session(url):
        pass
    engine = create_engine(url, connect_args={**plain(url), "read_timeout": 0.5})
    yield OnSession(Shop(engine))
    engine.dispose()


def from_(start: int) -> tuple[str, ...]:
    """Give all moves, beginning with another one."""
    return (*[*MOVES][start:], *[*MOVES][:start])


SIZES: Final[Mapping[Size, int]] = {Size.SHORT: 3, Size.CI: 50, Size.FULL: 50}

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    *(
        Experiment(
            name="a connection cut at COMMIT",
            ground=f"{database_of(driver)}, {orm}",
            promise="whether COMMIT was heard or not, the call is answered right or asked for again, and done once",
            # Shops begin with different calls, so that the shortest runs are of both providers.
            run=partial(at_commit, driver, open_shop, from_(2 * place), CUTS),
            rounds=SIZES,
            missing=missing(driver),
        )
        for place, (driver, orm, open_shop) in enumerate(GROUNDS)
        if database_of(driver) != "sqlite"
    ),
    Experiment(
        name="a server silent at COMMIT",
        ground="mariadb, SQLAlchemy",
        promise="the driver's own timeout ends the wait, and the call is answered right, and done once",
        run=partial(at_commit, "mysql+pymysql", impatient, from_(1), ((Fate.SILENCE, False),)),
        rounds={Size.SHORT: 1, Size.CI: len(MOVES), Size.FULL: 50},
        missing=missing("mysql+pymysql"),
    ),
    Experiment(
        name="a connection cut at COMMIT, with hooks outside the database transaction",
        ground="postgresql, SQLAlchemy",
        promise="an effect that is committed on its own takes place twice",
        run=partial(at_commit, "postgresql+psycopg2", outside, ("Perform",), CUTS),
        rounds=SIZES,
        missing=missing("postgresql+psycopg2"),
        control=True,
    ),
)
