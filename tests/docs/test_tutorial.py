"""The tutorials, read by a very literal reader: every file saved, every command run, every answer compared."""

import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement

from tests.docs.pages import DJANGO_TUTORIAL, FLASK_TUTORIAL, ROOT, TUTORIAL, Block, blocks, write_files

COMMANDS: Final = [block for page in (TUTORIAL, FLASK_TUTORIAL, DJANGO_TUTORIAL) for block in blocks(page, "sh")]
SHOPS: Final = [block for block in COMMANDS if block.text.startswith(("uvicorn ", "flask "))]
PATIENCE: Final = 60
THIRTEEN_DIGITS: Final = range(10**12, 10**13)


def test_every_command_of_the_tutorial_is_one_that_is_tested() -> None:
    words = [
        line.split()[0]
        for block in COMMANDS
        for line in block.text.replace(" && ", "\n").splitlines()
        if line[0] != " "
    ]
    assert set(words) == {
        "mkdir", "cd", "python3", ".", "pip", "uvicorn", "flask", "curl", "rm", "django-admin", "python",
    }  # fmt: skip


def test_what_the_tutorial_installs_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    development = {Requirement(line).name for line in project["dependency-groups"]["dev"]}
    wanted = [
        word
        for block in COMMANDS
        for line in block.text.splitlines()
        if line.startswith("pip ")
        for word in shlex.split(line)[2:]
    ]
    assert wanted
    for requirement in map(Requirement, wanted):
        if requirement.name == project["project"]["name"]:
            assert requirement.extras <= set(project["project"]["optional-dependencies"])
        else:
            assert requirement.name in development


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.where)
def test_the_calls_of_a_tutorial_are_answered_as_it_shows(shop: Block, tmp_path: Path) -> None:
    write_files(shop.page, tmp_path)
    command = [sys.executable, "-m", *shop.text.removesuffix(" --port 8000\n").split(), "--port", "{port}"]
    with serving(command, tmp_path) as port:
        converse(shop.page, port)


def test_there_are_three_shops_to_start_in_each() -> None:
    assert [shop.text.strip() for shop in SHOPS] == [
        "uvicorn payments:app",
        "uvicorn payments_async:app",
        "uvicorn payments_router:app",
        "flask --app payments run --port 8000",
        "flask --app payments_route run --port 8000",
        "flask --app payments_model run --port 8000",
    ]


def test_an_answer_that_differs_is_noticed() -> None:
    shown = {"id": 1, "result": {"state": 2, "perform_time": 1767225600000}}
    assert alike(shown, {"id": 1, "result": {"state": 2, "perform_time": 1799999999999}})
    assert not alike(shown, {"id": 1, "result": {"state": 2, "perform_time": 1767225600}})
    assert not alike(shown, {"id": 1, "result": {"state": 1, "perform_time": 1767225600000}})
    assert not alike(shown, {"id": 1, "result": {"state": 2}})


@pytest.mark.parametrize(
    "block", [each for each in COMMANDS if each.text.startswith("curl ")], ids=lambda each: each.where
)
def test_without_curl_the_same_bytes_are_sent(block: Any) -> None:
    # What stands in for curl reads the same command, so it must understand all of it.
    request = request_of(block.text)
    assert request.get_method() == "POST" or request.data is None
    if isinstance(request.data, bytes):
        assert json.loads(request.data)["method"]


def converse(page: Path, port: int) -> None:
    """Make the calls of a page, and compare what is answered with what it shows."""
    for block, following in pairwise(blocks(page)):
        if block.text.startswith("curl "):
            assert following.language == "json", f"{block.where} shows no answer"
            seen = run(block.text.replace("localhost:8000", f"127.0.0.1:{port}"))
            assert alike(json.loads(following.text), json.loads(seen)), (
                f"{following.where} shows another answer than {seen}"
            )


@contextmanager
def serving(command: Sequence[str], folder: Path) -> Iterator[int]:
    """Start a shop in a folder, on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.format(port=port) for word in command]
    server = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                pytest.fail(f"{words} did not start:\n{server.communicate()[0]}")
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)


def answers(port: int) -> bool:
    """Tell whether anybody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def run(command: str) -> str:
    """Run a curl command in a shell; where there is no curl, send what it would."""
    if shutil.which("curl"):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env={**os.environ, "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request_of(command), timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text


def request_of(command: str) -> urllib.request.Request:
    """Read a curl command, as far as the tutorial uses it."""
    name, *words = shlex.split(command.replace("'$(date +%s000)'", str(time.time_ns() // 1_000_000)))
    assert name == "curl"
    url, options, flags = "", {}, iter(words)
    for word in flags:
        match word:
            case "-s":
                pass
            case "-X" | "-u" | "-d":
                options[word] = next(flags)
            case _:
                assert not url, f"{word} is not understood"
                url = f"http://{word}"
    data = options["-d"].encode() if "-d" in options else None
    request = urllib.request.Request(url, data=data, method=options.get("-X"))  # noqa: S310 - a page of our own names it
    if "-u" in options:
        request.add_header("Authorization", "Basic " + base64.b64encode(options["-u"].encode()).decode())
    return request


def alike(shown: Any, seen: Any) -> bool:
    """Compare an answer with the one shown; a time in milliseconds is as good as another."""
    match shown, seen:
        case dict(), dict():
            return shown.keys() == seen.keys() and all(alike(value, seen[name]) for name, value in shown.items())
        case list(), list():
            return len(shown) == len(seen) and all(map(alike, shown, seen))
        case int(), int() if shown in THIRTEEN_DIGITS:
            return seen in THIRTEEN_DIGITS
        case _:
            return type(shown) is type(seen) and bool(shown == seen)
