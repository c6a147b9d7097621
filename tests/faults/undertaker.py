"""Ends what a test has started in a folder, and the folder, when the test is over or dead.

    python undertaker.py FOLDER

waits until its standard input ends, which happens however its parent ends, `kill -9` included. Then every process whose
working directory is in FOLDER is killed, and FOLDER is removed. Servers go into their data folder by themselves, and
what they start stays there; so it finds processes that nobody keeps a number of, such as PostgreSQL's backends.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def bury(folder: Path) -> None:
    """Kill without a word whatever works in a folder, and what it starts meanwhile."""
    while numbers := [*workers(folder)]:
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def workers(folder: Path) -> Iterator[int]:
    """Find the processes that work in a folder or below; the dead work nowhere."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(folder):
                    yield int(entry.name)


if __name__ == "__main__":
    sys.stdin.read()
    bury(Path(sys.argv[1]))
    shutil.rmtree(sys.argv[1], ignore_errors=True)
