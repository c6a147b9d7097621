"""A Patroni cluster whose leader dies under load: whatever was acknowledged is there under the next one.

Three nodes, one etcd, `synchronous_mode`. The leader's machine is gone at once: Patroni and its PostgreSQL are killed
(−9). The others wait for its lock to run out (`ttl`), the one that confirmed every COMMIT takes over, and the dead one
comes back and rewinds. The shop's URL names all three and wants the one that takes writes.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.request import urlopen

from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from tests.faults.books import audit
from tests.faults.experiment import Experiment, Size, Tally, Tick
from tests.faults.payers import Payers, paying
from tests.faults.server_kills import ORDERS
from tests.faults.servers import (
    LOOPBACK,
    SHOP,
    Server,
    Site,
    found,
    free_port,
    lacking,
    no_postgresql,
    search,
    several,
    site,
    tool,
    wait_until,
)
from tests.faults.shop import furnish, served

NODES: Final = ("one", "two", "three")

# As docs/how-to/high-availability.md says. A merchant counts these times in half minutes; we do not wait that long.
CLUSTER: Final[dict[str, Any]] = {
    "ttl": 5,
    "loop_wait": 1,
    "retry_timeout": 2,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "primary_start_timeout": 0,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {
            "synchronous_commit": "on",
            "wal_log_hints": True,
            "shared_buffers": "32MB",
            "max_connections": 60,
        },
    },
}


def leaders_deaths(driver: str, rounds: int, tick: Tick) -> Tally:
    """Kill the leader under load, as often as there are rounds."""
    dice, tally = random.Random(driver), Tally()
    with site() as place, cluster(place) as nodes:
        url = several(nodes, driver)
        furnish(engine := create_engine(url, poolclass=NullPool), ORDERS)
        with served(url) as shop, paying(Payers([shop.webhook])) as payers:
            for _ in range(rounds):
                leader = leader_of(nodes)
                payers.outlast(leader.kill, "failovers", dice, tally)
                leader.launch()
                await_synchrony(nodes)
                tick()
        tally.add(audit(engine, payers.ledger))
    return tally


@contextmanager
def cluster(place: Site) -> Iterator[list[Server]]:
    """Start etcd and three nodes; wait until one leads and another confirms its every COMMIT."""
    etcd = f"{LOOPBACK}:{free_port()}"
    urls = [f"--{side}-client-urls=http://{etcd}" for side in ("listen", "advertise")]
    place.start("etcd", found("etcd"), "--data-dir=data", *urls, f"--listen-peer-urls=http://{LOOPBACK}:{free_port()}")
    nodes = [node(place, name, etcd) for name in NODES]
    nodes[0].launch()
    wait_until(lambda: leads(nodes[0]), lambda: nodes[0].story("no leader"))
    for each in nodes[1:]:
        each.launch()
    await_synchrony(nodes)
    nodes[0].ask(f"CREATE DATABASE {SHOP}")
    yield nodes


def node(place: Site, name: str, etcd: str) -> Server:
    """Describe a node: Patroni, which starts PostgreSQL."""
    port, rest, home = free_port(), f"{LOOPBACK}:{free_port()}", place.place(name)
    settings = {
        "scope": "faults",
        "name": name,
        "etcd3": {"host": etcd},
        "restapi": {"listen": rest, "connect_address": rest},
        "bootstrap": {"dcs": CLUSTER, "initdb": [{"auth": "trust"}, {"encoding": "UTF8"}, {"locale": "C"}, "no-sync"]},
        "postgresql": {
            "listen": f"{LOOPBACK}:{port}",
            "connect_address": f"{LOOPBACK}:{port}",
            "data_dir": str(home / "data"),
            "bin_dir": str(tool("postgres").parent),
            "pgpass": str(home / "pgpass"),
            "basebackup": [{"checkpoint": "fast"}],
            "parameters": {"unix_socket_directories": str(home)},
            "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "postgres"}},
        },
    }
    written = home / "patroni.yml"
    written.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    place.give(written)
    administrator = make_url(f"postgresql+psycopg2://postgres@{LOOPBACK}:{port}/postgres")
    return Server(place, name, port, [found("patroni"), written], administrator)


def leads(node: Server) -> bool:
    """Tell whether a node takes writes."""
    with suppress(DBAPIError):
        return not node.ask("SELECT pg_is_in_recovery()")
    return False


def leader_of(nodes: list[Server]) -> Server:
    """Find the node that takes writes."""
    return next(each for each in nodes if leads(each))


def may_take_over(node: Server) -> bool:
    """Tell whether etcd knows that a node confirms what the leader commits: only such a one may take over."""
    settings = json.loads((node.site.place(node.name) / "patroni.yml").read_text(encoding="utf-8"))
    with suppress(OSError), urlopen(f"http://{settings['restapi']['listen']}/synchronous", timeout=3) as answer:
        return bool(answer.status == HTTPStatus.OK)
    return False


def await_synchrony(nodes: list[Server]) -> None:
    """Wait until every node is there, and one of them may take over."""
    # What PostgreSQL says is not enough: in strict mode it waits for any standby while etcd still names none.
    complete = "SELECT count(*) = 2 AND bool_or(sync_state = 'sync') FROM pg_stat_replication"

    def synchronous() -> bool:
        with suppress(DBAPIError, StopIteration):
            return bool(leader_of(nodes).ask(complete)) and any(map(may_take_over, nodes))
        return False

    wait_until(synchronous, lambda: "\n".join(each.story(f"{each.name} is not in step") for each in nodes))


def no_patroni() -> str | None:
    """Say what this machine lacks to run a Patroni cluster."""
    needs = {"patroni": [search("patroni")], "etcd-server": [search("etcd")]}
    return no_postgresql() or lacking(needs)


EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    Experiment(
        name="kill -9 of a Patroni cluster's leader under load",
        ground="PostgreSQL, three nodes, synchronous_mode",
        promise="whatever was acknowledged is there under the next leader, once",
        run=partial(leaders_deaths, "postgresql+psycopg2"),
        rounds={Size.CI: 1, Size.FULL: 5},
        missing=no_patroni,
    ),
)
