"""Database servers that may be killed: our own, in a temporary folder, on free ports of loopback.

    with site() as place, postgresql(place) as server:
        server.kill()      # −9, the postmaster and every backend
        server.start()     # returns when it answers again

Durability is what is tested, so nothing is switched off that a merchant leaves on. What is killed is the process: the
machine stays, and with it what the system has taken to write. That a disk keeps its word is nobody's test here.

Whatever happens to the test, no server outlives it: see `tests.faults.undertaker`.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tests.faults import undertaker

PATIENCE: Final = 60.0
"""Seconds that a server has to start, or to become what it should."""

LOOPBACK: Final = "127.0.0.1"
SHOP: Final = "shop"
"""The database's name."""


@dataclass(frozen=True, slots=True)
class Site:
    """A temporary folder, the user who owns it where we are root, and what was started in it."""

    folder: Path
    user: str | None
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def run(self, *command: str | Path) -> None:
        """Run a command to its end."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self.who())
        if done.returncode:
            message = f"{command[0]} failed:\n{done.stdout}{done.stderr}"
            raise RuntimeError(message)

    def start(self, name: str, *command: str | Path) -> "subprocess.Popen[bytes]":
        """Start a process that works in the folder called `name` and logs beside it."""
        place = self.place(name)
        with self.log(name).open("ab") as log:
            started = subprocess.Popen(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self.who(),
            )
        self.processes.append(started)
        return started

    def place(self, name: str) -> Path:
        """Give a folder below, for one server."""
        place = self.folder / name
        if not place.exists():
            place.mkdir(mode=0o700)
            self.give(place)
        return place

    def give(self, path: Path) -> None:
        """Let the servers own what we have written."""
        if self.user:
            shutil.chown(path, self.user, self.user)

    def log(self, name: str) -> Path:
        """Say where the process that works in `name` logs."""
        return self.folder / f"{name}.log"

    def who(self) -> dict[str, Any]:
        """Tell `subprocess` who runs it, and in which language it speaks."""
        user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        return {"env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **user}


@contextmanager
def site() -> Iterator[Site]:
    """Make a folder for servers; end them and remove it after, however the test ends."""
    folder = Path(tempfile.mkdtemp(prefix="paytechuz-servers-"))
    guard = subprocess.Popen(
        [sys.executable, undertaker.__file__, folder], stdin=subprocess.PIPE, start_new_session=True
    )
    place = Site(folder, "postgres" if os.geteuid() == 0 else None)  # PostgreSQL refuses to run as root
    place.give(folder)
    try:
        yield place
    finally:
        guard.communicate()
        for process in place.processes:
            process.wait()


@dataclass(slots=True)
class Server:
    """One server: where it works, which port it has, how it is started, and who may ask it anything."""

    site: Site
    name: str
    port: int
    command: list[str | Path]
    administrator: URL
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, *more: str) -> None:
        """Start it, and wait until it answers."""
        self.launch(*more)
        self.wait_until("SELECT 1")

    def launch(self, *more: str) -> None:
        """Start it."""
        self.process = self.site.start(self.name, *self.command, *more)

    def kill(self) -> None:
        """Let it die without a word, with all its processes."""
        undertaker.bury(self.site.place(self.name))
        if self.process:
            self.process.wait()

    def ask(self, sql: str) -> Any:
        """Ask it one thing, on a connection of its own."""
        engine = create_engine(
            self.administrator, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 3}
        )
        with engine.connect() as connection:
            result = connection.execute(text(sql))
            return result.scalar() if result.returns_rows else None

    def wait_until(self, sql: str) -> None:
        """Wait until it answers this with something true."""

        def answered() -> bool:
            if self.process and self.process.poll() is not None:
                raise RuntimeError(self.story(f"{self.name} has ended"))
            with suppress(DBAPIError):
                return bool(self.ask(sql))
            return False

        wait_until(answered, lambda: self.story(f"{self.name} never said yes to {sql}"))

    def story(self, what: str) -> str:
        """Say what went wrong, with the end of its log."""
        log = self.site.log(self.name).read_text(errors="replace")
        return f"{what}:\n{log[-3000:]}"


def wait_until(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Wait until something holds; say what went wrong where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise())
        time.sleep(0.02)


@contextmanager
def postgresql(place: Site, *settings: str, name: str = "postgresql") -> Iterator[Server]:
    """Make and start a PostgreSQL server with an empty database; `settings` are such as `fsync=on`."""
    server = postgresql_server(place, name, *settings)
    place.run(tool("initdb"), "-D", data(server), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N")
    server.start()
    server.ask(f"CREATE DATABASE {SHOP}")
    try:
        yield server
    finally:
        server.kill()


def postgresql_server(place: Site, name: str, *settings: str) -> Server:
    """Describe a PostgreSQL server that has no data yet."""
    port = free_port()
    place.place(name)
    command: list[str | Path] = [
        tool("postgres"),
        "-D",
        place.folder / name / "data",
        "-h",
        LOOPBACK,
        "-p",
        str(port),
        "-k",
        "",
    ]
    for setting in ("shared_buffers=32MB", "max_connections=60", "wal_keep_size=256MB", *settings):
        command += ["-c", setting]
    administrator = make_url(f"postgresql+psycopg2://postgres@{LOOPBACK}:{port}/postgres")
    return Server(place, name, port, command, administrator)


def data(server: Server) -> Path:
    """Say where a server keeps what it must not lose."""
    return server.site.folder / server.name / "data"


def follow(standby: Server, primary: Server) -> None:
    """Make a server a standby of another, from a copy of it, and start it."""
    shutil.rmtree(data(standby), ignore_errors=True)
    origin = ["-h", LOOPBACK, "-p", str(primary.port), "-U", "postgres"]
    standby.site.run(
        tool("pg_basebackup"), "-D", data(standby), *origin, "-R", "--checkpoint=fast", "--wal-method=stream", "-N"
    )
    standby.start()
    primary.wait_until("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")


def promote(standby: Server) -> None:
    """Make a standby the primary."""
    standby.ask("SELECT pg_promote(true)")
    standby.wait_until("SELECT NOT pg_is_in_recovery()")


def several(servers: "list[Server]", driver: str) -> str:
    """Give the URL that finds whichever of these PostgreSQL servers takes writes."""
    hosts = "".join(f"host={LOOPBACK}:{server.port}&" for server in servers)
    return f"{driver}://postgres@/{SHOP}?{hosts}target_session_attrs=read-write&connect_timeout=3"


@contextmanager
def mariadb(place: Site, *settings: str, name: str = "mariadb") -> Iterator[Server]:
    """Make and start a MariaDB server with an empty database; `settings` are such as `innodb-flush-method=fsync`."""
    server = mariadb_server(place, name, *settings)
    install(server)
    server.start()
    server.ask(f"CREATE DATABASE {SHOP} CHARACTER SET utf8mb4")
    try:
        yield server
    finally:
        server.kill()


def mariadb_server(place: Site, name: str, *settings: str) -> Server:
    """Describe a MariaDB server that has no data yet."""
    port = free_port()
    home = place.place(name)
    options = [
        f"datadir={home / 'data'}",
        f"socket={home / 'socket'}",
        f"pid-file={home / 'pid'}",
        f"bind-address={LOOPBACK}",
        f"port={port}",
        "innodb-buffer-pool-size=64M",
        "innodb-log-file-size=32M",
        *settings,
    ]
    command: list[str | Path] = [found("mariadbd"), "--no-defaults", *(f"--{option}" for option in options)]
    administrator = make_url(f"mysql+pymysql://root@{LOOPBACK}:{port}/mysql")
    return Server(place, name, port, command, administrator)


def install(server: Server) -> None:
    """Give a MariaDB server its first data."""
    options = [f"--datadir={data(server)}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    server.site.run(found("mariadb-install-db"), "--no-defaults", *options)


def shop_at(server: Server, driver: str) -> str:
    """Give the URL of a server's database for a driver."""
    return server.administrator.set(drivername=driver, database=SHOP).render_as_string(hide_password=False)


def no_postgresql() -> str | None:
    """Say what this machine lacks to run PostgreSQL servers of our own."""
    return lacking({"postgresql": [*map(look_up, ("initdb", "postgres", "pg_basebackup"))]}) or not_linux()


def no_mariadb() -> str | None:
    """Say what this machine lacks to run MariaDB servers of our own."""
    return lacking({"mariadb-server": [*map(search, ("mariadbd", "mariadb-install-db"))]}) or not_linux()


def not_linux() -> str | None:
    """Say that processes are found by /proc."""
    return None if Path("/proc/self/cwd").exists() else "Linux, whose /proc shows who works in a folder"


def lacking(packages: dict[str, list[Path | None]]) -> str | None:
    """Name the packages of which something was not found."""
    names = [name for name, files in packages.items() if None in files]
    return f"apt install {' '.join(names)}" if names else None


def tool(name: str) -> Path:
    """Find one of PostgreSQL's programs."""
    path = look_up(name)
    assert path, name
    return path


def found(name: str) -> Path:
    """Find a program."""
    path = search(name)
    assert path, name
    return path


@cache
def look_up(name: str) -> Path | None:
    """Find one of PostgreSQL's programs; Debian keeps those of the server off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True)
    if config := shutil.which("pg_config"):
        folders.append(
            Path(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
        )
    return next((folder / name for folder in folders if (folder / name).exists()), None) or search(name)


@cache
def search(name: str) -> Path | None:
    """Find a program on the PATH or where administrators have theirs."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return Path(path) if path else None


def free_port() -> int:
    """Find a free port below those that clients get: no client may take it while the server is dead."""
    for port in random.sample(range(12_000, 32_000), 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    message = "no port is free"
    raise RuntimeError(message)
