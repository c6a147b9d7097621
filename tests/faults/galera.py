"""A MariaDB Galera cluster with one writer, that is killed, cut off, left alone, or dies with all others under load.

Three nodes; a COMMIT is confirmed when all of them have it. The shop's engine writes to the first that is ready, and
looks for another when that one dies (−9) or says that it is not ready any more. What is acknowledged must be there
afterwards, on every node. A node that comes back tells how far it had come, and is sent what it has missed.

Two writers at once are not what we advise, and happen all the same while a shop's processes find the next one: storms
of equal and of rival calls then end as anywhere else, because what two nodes have both written fails at COMMIT (1213).

Two halves that both take payments must be seen to lose: they are told to ignore that they are no majority.
"""

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, Final

import pymysql  # type: ignore[import-untyped]
from fastapi import FastAPI
from sqlalchemy import Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError

from paytechuz_core.testing import Till, over_http
from tests.core.wire import KEY
from tests.faults.books import Ledger, audit, read
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.grounds import RIVALS, Ground
from tests.faults.payers import Payers, paying
from tests.faults.servers import (
    LOOPBACK,
    SHOP,
    Server,
    Site,
    data,
    free_port,
    install,
    lacking,
    mariadb_server,
    no_mariadb,
    search,
    shop_at,
    site,
    wait_until,
)
from tests.faults.shop import DATABASE, FASTAPI, app_on, furnish, served
from tests.faults.storms import STORMS, Sky, under

DRIVER: Final = "mysql+pymysql"

SETTINGS: Final = (
    "wsrep-on=ON",
    "binlog-format=ROW",
    "innodb-autoinc-lock-mode=2",
    "innodb-flush-log-at-trx-commit=1",
)
"""Those of docs/how-to/high-availability.md that are not a place's."""

# A merchant leaves these at 5 and 15 seconds; we do not wait that long.
TIMES: Final = {
    "evs.keepalive_period": "PT0.5S",
    "evs.inactive_check_period": "PT0.25S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT5S",
    "evs.install_timeout": "PT5S",
}

ORDERS: Final = 10_000
"""More than they can pay in the time."""

NOT_READY: Final = 1047
"""What a node answers that is no part of the majority."""


# The shop, as docs/how-to/high-availability.md advises


CAUSAL: Final = {"init_command": "SET SESSION wsrep_sync_wait = 1"}
"""Read nothing before what is confirmed has arrived at this node."""


def one_writer(engine: Engine, nodes: Sequence[tuple[str, int]]) -> None:
    """Let an engine write to the first node that is ready, and leave it when it is not ready any more."""

    def ready(connection: Any) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
            return bool(cursor.fetchone() == ("wsrep_ready", "ON"))

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: Any, settings: dict[str, Any]) -> Any:
        for host, port in nodes:
            with suppress(dialect.loaded_dbapi.OperationalError):
                connection = dialect.connect(*arguments, **{**settings, "host": host, "port": port})
                if ready(connection):
                    return connection
                connection.close()
        raise dialect.loaded_dbapi.OperationalError(2003, "no node of the cluster is ready")

    @event.listens_for(engine, "checkout")
    def check(connection: Any, *_: Any) -> None:
        try:
            still = ready(connection)
        except engine.dialect.loaded_dbapi.Error:
            still = False
        if not still:
            raise DisconnectionError


def engine_at(urls: str, **settings: Any) -> Engine:
    """Make an engine for nodes whose URLs stand one after the other, the preferred one first."""
    nodes = [make_url(url) for url in urls.split()]
    engine = create_engine(nodes[0], connect_args={**CAUSAL, "connect_timeout": 3}, **settings)
    one_writer(engine, [(str(node.host), node.port or 3306) for node in nodes])
    return engine


def make_app() -> FastAPI:
    """Build the application; uvicorn calls it in the shop's process."""
    return app_on(engine_at(os.environ[DATABASE]))


# The cluster


@contextmanager
def cluster(place: Site, names: Sequence[str] = ("one", "two", "three"), **options: str) -> Iterator[list[Server]]:
    """Start the nodes, the first of which founds the cluster; `options` are Galera's, with _ for a dot."""
    ports = [f"{LOOPBACK}:{free_port()}" for _ in names]
    nodes = [node(place, name, port, ports, options) for name, port in zip(names, ports, strict=True)]
    install(nodes[0])
    nodes[0].start("--wsrep-new-cluster")
    nodes[0].ask(f"CREATE DATABASE {SHOP} CHARACTER SET utf8mb4")
    for each in nodes[1:]:
        data(each).mkdir()
        place.give(data(each))
        each.launch()
        await_status(each, wsrep_local_state_comment="Synced")
    yield nodes


def node(place: Site, name: str, port: str, ports: Sequence[str], options: Mapping[str, str]) -> Server:
    """Describe a node that has no data yet; it gets them from another."""
    own = {
        **TIMES,
        "gmcast.listen_addr": f"tcp://{port}",
        "ist.recv_addr": f"{LOOPBACK}:{free_port()}",
        **{option.replace("_", ".", 1): value for option, value in options.items()},
    }
    return mariadb_server(
        place,
        name,
        *SETTINGS,
        f"wsrep-provider={provider()}",
        f"wsrep-provider-options={';'.join(f'{option}={value}' for option, value in own.items())}",
        "wsrep-cluster-name=faults",
        f"wsrep-cluster-address=gcomm://{','.join(ports)}",
        f"wsrep-node-name={name}",
        f"wsrep-node-address={LOOPBACK}",
        f"wsrep-sst-receive-address={LOOPBACK}:{free_port()}",
        "wsrep-sst-method=rsync",
        "wsrep-slave-threads=2",
    )


def recovered(node: Server) -> str:
    """Ask a dead node how far it had come, as Debian's unit does before each start: `cluster:number`."""
    node.site.start(node.name, *node.command, "--wsrep-recover").wait()
    *_, position = re.findall(r"Recovered position: (\S+)", node.site.log(node.name).read_text(errors="replace"))
    return str(position)


def rejoin(node: Server) -> None:
    """Start a dead node again; it is sent what it has missed."""
    node.launch(f"--wsrep-start-position={recovered(node)}")
    await_status(node, wsrep_local_state_comment="Synced")


def found_anew(node: Server, position: str) -> None:
    """Start the cluster from this node, when all are dead."""
    state = data(node) / "grastate.dat"
    state.write_text(state.read_text().replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1"))
    node.start("--wsrep-new-cluster", f"--wsrep-start-position={position}")


def await_status(node: Server, **values: str) -> None:
    """Wait until a node's status is this."""

    def there() -> bool:
        if node.process and node.process.poll() is not None:
            raise RuntimeError(node.story(f"{node.name} has ended"))
        with suppress(pymysql.OperationalError):
            status = dict(told(node, "SHOW STATUS LIKE 'wsrep%'"))
            return values.items() <= status.items()
        return False

    wait_until(there, lambda: node.story(f"{node.name} never had {values}"))


def told(node: Server, sql: str) -> Sequence[Any]:
    """Ask a node, which may be cut off: there SQLAlchemy's own first words on a connection are refused."""
    asked = pymysql.connect(host=LOOPBACK, port=node.port, user="root", connect_timeout=3)
    with asked, asked.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def set_option(node: Server, option: str) -> None:
    """Set one of Galera's own options."""
    told(node, f"SET GLOBAL wsrep_provider_options = '{option}'")


def not_ready(node: Server) -> bool:
    """Tell whether a node that is no part of the majority says so to whoever reads payments there."""
    try:
        told(node, "SELECT count(*) FROM shop.payments")
    except pymysql.OperationalError as error:
        return bool(error.args[0] == NOT_READY)
    return False


def writer_of(nodes: Sequence[Server]) -> Server:
    """Find the node that has most of the shop's connections."""
    connections = "SELECT count(*) FROM information_schema.processlist WHERE db = 'shop'"
    return max(nodes, key=lambda each: int(each.ask(connections)))


# What happens to it; each lasts until payments have gone on, and is over then


Fault = Callable[[Server, Sequence[Server], Till], AbstractContextManager[None]]


@contextmanager
def killed(writer: Server, others: Sequence[Server], till: Till) -> Iterator[None]:
    """Kill the writer, and let it come back."""
    del others, till
    writer.kill()
    yield
    rejoin(writer)


@contextmanager
def cut_off(writer: Server, others: Sequence[Server], till: Till) -> Iterator[None]:
    """Let the writer live, and neither hear the others nor be heard."""
    del others, till
    set_option(writer, "gmcast.isolate=1")
    await_status(writer, wsrep_cluster_status="non-Primary")
    assert not_ready(writer), "a node without a majority answers"
    yield
    set_option(writer, "gmcast.isolate=0")
    await_status(writer, wsrep_local_state_comment="Synced")


@contextmanager
def left_alone(writer: Server, others: Sequence[Server], till: Till) -> Iterator[None]:
    """Kill all others: the writer takes nothing any more, until an administrator says that it is the cluster now."""
    for each in others:
        each.kill()
    await_status(writer, wsrep_cluster_status="non-Primary")
    assert not_ready(writer), "a node without a majority answers"
    answer = till.call("CheckTransaction", {"id": "none"})
    assert answer.code == -32400, f"without a majority the shop answers {answer.message}"
    set_option(writer, "pc.bootstrap=1")
    yield
    for each in others:
        rejoin(each)


@contextmanager
def all_killed(writer: Server, others: Sequence[Server], till: Till) -> Iterator[None]:
    """Kill all, and found the cluster anew from the one that had come furthest."""
    del till
    nodes = [writer, *others]
    for each in nodes:
        each.kill()
    positions = [recovered(each) for each in nodes]
    furthest = max(range(len(nodes)), key=lambda each: int(positions[each].rpartition(":")[2]))
    found_anew(nodes[furthest], positions[furthest])
    yield
    for each in nodes:
        if each is not nodes[furthest]:
            rejoin(each)


FAULTS: Final[Mapping[str, Fault]] = {
    "writers killed": killed,
    "writers cut off": cut_off,
    "writers left alone": left_alone,
    "clusters killed": all_killed,
}


ON_GALERA: Final = replace(FASTAPI, app=f"{__name__}:make_app")
"""The shop, on an engine that finds the writer."""

# The experiments


def under_load(rounds: int, tick: Tick) -> Tally:
    """Let one fault happen after the other while payers pay."""
    dice, tally = random.Random(DRIVER), Tally()
    with site() as place, cluster(place) as nodes:
        urls = " ".join(shop_at(each, DRIVER) for each in nodes)
        furnish(engine_at(urls, poolclass=NullPool), ORDERS)
        with served(urls, framework=ON_GALERA) as shop, paying(Payers([shop.webhook])) as payers:
            till = Till(over_http(shop.webhook, payers.timeout), KEY)
            for what, fault in islice(cycle(FAULTS.items()), rounds):
                writer = writer_of(nodes)
                others = [each for each in nodes if each is not writer]
                with ExitStack() as until_healed:
                    strike = partial(until_healed.enter_context, fault(writer, others, till))
                    payers.outlast(strike, what, dice, tally)
                tick()
        tally.add(agreed(nodes, payers.ledger))
    return tally


def agreed(nodes: Sequence[Server], ledger: Ledger) -> Tally:
    """Read the books of every node, which must be the same."""
    engines = [engine_at(shop_at(each, DRIVER), poolclass=NullPool) for each in nodes]
    first, *others = map(read, engines)
    assert all(each == first for each in others), "the nodes do not say the same"
    return audit(engines[0], ledger)


@dataclass(frozen=True, slots=True)
class TwoWriters(Ground):
    """A cluster whose nodes get connections in turn."""

    nodes: Sequence[Server] = ()

    @property
    def refuses(self) -> bool:
        """Two nodes collide more often than a call is tried again at once; Payme then asks again."""
        return True

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Make an engine that connects to one node after the other."""
        engine = create_engine(shop_at(self.nodes[0], DRIVER), pool_size=RIVALS, connect_args=CAUSAL)
        turns = cycle(self.nodes)

        @event.listens_for(engine, "do_connect")
        def connect(*arguments: Any) -> None:
            *_, settings = arguments
            settings["port"] = next(turns).port

        yield engine
        engine.dispose()


def every_storm(sky: Sky) -> None:
    """Release one of each."""
    for storm, _ in STORMS.values():
        storm(sky)


def conflicts_at(node: Server) -> int:
    """Count what this node took back, because another node had written first."""
    status = dict(told(node, "SHOW STATUS LIKE 'wsrep_local%'"))
    return int(status["wsrep_local_cert_failures"]) + int(status["wsrep_local_bf_aborts"])


def two_writers(rounds: int, tick: Tick) -> Tally:
    """Let storms loose on two nodes at once."""
    with site() as place, cluster(place, ("one", "two")) as nodes:
        tally = under(TwoWriters(DRIVER, nodes=nodes), every_storm, rounds, tick)
        agreed(nodes, Ledger())
        conflicts = sum(conflicts_at(each) for each in nodes)
    assert conflicts, "the two writers never met, so this proves nothing"
    tally.did["conflicts between nodes"] = conflicts
    return tally


def two_halves(rounds: int, tick: Tick) -> Tally:
    """Cut two nodes off from each other, each of which believes to be all that is left, and read the books of one."""
    tally = Tally()
    with site() as place, cluster(place, ("one", "two"), pc_ignore_quorum="true", pc_ignore_sb="true") as (one, two):
        furnish(engine := create_engine(shop_at(one, DRIVER), poolclass=NullPool), ORDERS)
        set_option(two, "gmcast.isolate=1")
        for each in (one, two):
            await_status(each, wsrep_cluster_size="1", wsrep_ready="ON")
        with served(shop_at(one, DRIVER)) as here, served(shop_at(two, DRIVER)) as there:
            halves = Payers([here.webhook]), Payers([there.webhook], orders=count(ORDERS // 2))
            with paying(halves[0]), paying(halves[1]):
                for half in halves:
                    half.wait_for(rounds * 20)
        tally.did["partitions"] += 1
        tick()
        tally.add(audit(engine, Ledger([move for half in halves for move in half.ledger.moves])))
    return tally


def no_galera() -> str | None:
    """Say what this machine lacks to run a Galera cluster."""
    return no_mariadb() or lacking({"galera-4": [provider()], "rsync": [search("rsync")]})


@cache
def provider() -> Path | None:
    """Find Galera's library."""
    folders = ("/usr/lib/galera", "/usr/lib64/galera-4")
    return next((path for folder in folders if (path := Path(folder, "libgalera_smm.so")).exists()), None)


EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    Experiment(
        name="a Galera cluster whose writer is killed, cut off, left alone, or dies with all others",
        ground="MariaDB, three nodes",
        promise="whatever was acknowledged is there on every node, once, and a node without a majority takes nothing",
        run=under_load,
        rounds={Size.CI: 1, Size.FULL: 3 * len(FAULTS)},
        missing=no_galera,
    ),
    Experiment(
        name="storms on two writers of a Galera cluster",
        ground="MariaDB, two nodes",
        promise="what two nodes both write is written once, and all calls are answered as on one server",
        run=two_writers,
        rounds={Size.CI: 1, Size.FULL: 50},
        missing=no_galera,
    ),
    Experiment(
        name="a Galera cluster whose halves both take payments",
        ground="MariaDB, pc.ignore_quorum and pc.ignore_sb",
        promise="the loss is seen",
        run=two_halves,
        rounds={Size.CI: 1, Size.FULL: 1},
        missing=no_galera,
        control=True,
    ),
)
