"""`paytechuz init`: from nothing to a shop that both providers accept, on each framework."""

import base64
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from paytechuz.cli.config import read_variables
from paytechuz.cli.init import SHOPS, START, Framework, files_of
from paytechuz_core.doctor import is_placeholder
from tests import EVERY_CELL
from tests.cli import ROOT, run

PATIENCE: Final = 60
FIVE_MINUTES: Final = 300
framework = pytest.mark.parametrize("framework", list(Framework))
one_framework = pytest.mark.parametrize("framework", list(Framework) if EVERY_CELL else [Framework.FASTAPI])
"""For what takes long, and is much the same for all."""


def init(framework: Framework, folder: Path) -> Path:
    run("init", framework.value, str(folder))
    return folder


def variables(folder: Path) -> dict[str, str]:
    return read_variables(folder / ".env")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is written


@framework
def test_the_shops_files_are_copied_as_they_stand(framework: Framework, tmp_path: Path) -> None:
    shop = tree(init(framework, tmp_path / "new" / "shop"))
    made = {".env", ".gitignore"}
    assert {name: content for name, content in shop.items() if name not in made} == {
        str(path): content for path, content in files_of(SHOPS / framework)
    }
    assert shop.keys() >= {*made, "README.md", "pyproject.toml", "requirements.txt", "tests/test_payments.py"}
    assert ".env" in shop[".gitignore"].decode().splitlines()


@framework
def test_what_tests_leave_in_a_shop_is_not_copied(framework: Framework, tmp_path: Path) -> None:
    shop = tmp_path / "template"
    shutil.copytree(SHOPS / framework, shop, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    clean = dict(files_of(shop))
    for name in (".pytest_cache/README.md", "__pycache__/main.cpython-311.pyc", "tests/__pycache__/x.pyc", ".env"):
        (shop / name).parent.mkdir(exist_ok=True)
        (shop / name).write_text("left")
    assert dict(files_of(shop)) == clean


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    names = tree(init(Framework.DJANGO, tmp_path / "first"))
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("mine")
        said = run("init", "django", str(folder), code=2)
        assert f"has {name} already" in said.replace(" /", "/")
        assert tree(folder) == {name: b"mine"}


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "main.py").symlink_to(tmp_path / "elsewhere.py")
    assert "main.py already" in run("init", "fastapi", str(folder), code=2)
    assert not (tmp_path / "elsewhere.py").exists()


def test_a_folder_that_has_other_files_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert tree(init(Framework.FLASK, tmp_path))["notes.txt"] == b"mine"


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in run("init", "flask", str(tmp_path / "file" / "shop"), code=2)


@framework
def test_keys_are_random_and_nobody_elses_to_read(framework: Framework, tmp_path: Path) -> None:
    first, second = (init(framework, tmp_path / name) for name in ("first", "second"))
    switches = {"PAYME_SANDBOX", "SHOP_DEBUG"}
    for name, key in variables(first).items():
        if name not in switches:
            assert key != variables(second)[name], name
            assert not is_placeholder(key) or key.isdigit(), name
            assert all(key.encode() not in content for file, content in tree(first).items() if file != ".env"), name
    assert stat.S_IMODE((first / ".env").stat().st_mode) == 0o600


@framework
def test_a_plain_check_knows_the_shop(framework: Framework, tmp_path: Path) -> None:
    shop = init(framework, tmp_path)
    table = tomllib.loads((shop / "pyproject.toml").read_text())["tool"]["paytechuz"]
    assert table["env-file"] == ".env"
    wanted = [value for each in ("payme", "click") for name, value in table[each].items() if name.endswith("-env")]
    assert sorted(wanted) == ["CLICK_SECRET_KEY", "CLICK_SERVICE_ID", "PAYME_KEY"]
    assert set(wanted) <= variables(shop).keys()


def start_of(shop: Path) -> list[str]:
    """Give the lines of the README that start the shop, from where its libraries are there."""
    (block,) = re.findall(r"## Start it\n\n```sh\n(.*?)```", (shop / "README.md").read_text(), re.DOTALL)
    lines: list[str] = block.splitlines()
    assert lines[:2] == ["python3 -m venv .venv && . .venv/bin/activate", "pip install -r requirements.txt"]
    return lines[2:]


@framework
def test_the_command_and_the_readme_say_the_same(framework: Framework, tmp_path: Path) -> None:
    said = run("init", framework.value, str(tmp_path))
    assert tuple(start_of(tmp_path)) == START[framework]
    for line in (*START[framework], "pip install -r requirements.txt", "paytechuz check"):
        assert f"    {line}\n" in said


# That it works


def words(line: str) -> list[str]:
    """Read a command, to be run with the Python and the paytechuz of this test."""
    first, *others = shlex.split(line)
    return [sys.executable, *others] if first == "python" else [sys.executable, "-m", first, *others]


ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def did(shop: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in the shop's folder."""
    return subprocess.run(words(line), cwd=shop, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def started(shop: Path) -> Iterator[str]:
    """Start a shop as its README says, at a free port."""
    port = str(free_port())
    settings = shop / "pyproject.toml"
    settings.write_text(settings.read_text().replace("8000", port))
    *first, server = (line.replace("8000", port) for line in start_of(shop))
    for line in first:
        ended = did(shop, line)
        assert ended.returncode == 0, ended
    with (shop / "log").open("w") as log:
        # A session of its own, because Django's server has a child that outlives it.
        running = subprocess.Popen(
            words(server), cwd=shop, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(int(port), running, shop / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            running.wait(PATIENCE)


def wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the shop listens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert running.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"the shop does not listen: {log.read_text()}")


@pytest.mark.slow
@one_framework
def test_from_nothing_to_a_green_check_in_under_five_minutes(framework: Framework, tmp_path: Path) -> None:
    began = time.monotonic()
    shop = init(framework, tmp_path / "shop")
    with started(shop) as url:
        checked = did(shop, "paytechuz check")
        assert checked.returncode == 0, (checked.stdout, (shop / "log").read_text())
        assert time.monotonic() - began < FIVE_MINUTES
        right = re.search(r"(\d+) of (\d+) answers right", checked.stdout)
        assert right is not None
        assert right[1] == right[2]
        look_at_pages(url, variables(shop))
    diagnosis = did(shop, "paytechuz doctor sqlite:///shop.db")
    assert diagnosis.returncode == 0, diagnosis
    tested = did(shop, "python -m pytest -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout


def look_at_pages(url: str, keys: dict[str, str]) -> None:
    """Place an order as a customer does, and follow the links as far as the provider's door."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))

    def page(path: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        with browser.open(f"{url}{path}", None if form is None else urlencode(form).encode(), PATIENCE) as answer:
            return answer.url, answer.read().decode()

    _, orders = page("/")
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', orders))
    address, order = page("/orders", {**hidden, "amount": "5000.50"})
    number = address.rpartition("/")[2]
    links = [unescape(each) for each in re.findall(r'href="(https:[^"]+)"', order)]
    payme, click = links
    assert urlsplit(payme).hostname == "test.paycom.uz"
    told = base64.b64decode(urlsplit(payme).path[1:]).decode().split(";")
    assert told == [f"m={keys['PAYME_ID']}", f"ac.order_id={number}", "a=500050", f"c={address}"]
    asked = {name: value for name, (value,) in parse_qs(urlsplit(click).query).items()}
    assert asked == {
        "service_id": keys["CLICK_SERVICE_ID"],
        "merchant_id": keys["CLICK_MERCHANT_ID"],
        "amount": "5000.50",
        "transaction_param": number,
        "return_url": address,
    }


@pytest.mark.slow
@framework
def test_a_hook_that_forgets_the_order_is_found_by_the_shops_own_tests(framework: Framework, tmp_path: Path) -> None:
    shop = init(framework, tmp_path)
    (payments,) = shop.rglob("payments.py")
    payments.write_text(payments.read_text().replace('"paid"', '"pending"'))
    tested = did(shop, "python -m pytest -p no:cacheprovider -k refunded")
    assert tested.returncode == 1
    assert "test_an_order_is_paid_and_refunded" in tested.stdout


LENIENT: Final = {Framework.DJANGO: " --disable-error-code var-annotated"}
"""What a field holds, Django's stubs know with a plugin only."""


@pytest.mark.slow
@one_framework
def test_a_shop_is_typed(framework: Framework, tmp_path: Path) -> None:
    shop = init(framework, tmp_path)
    cache = ROOT / ".mypy_cache" / "shops" / framework.value  # so that a second run has less to read
    ended = did(shop, f"mypy --strict --cache-dir {cache}{LENIENT.get(framework, '')} .")
    assert ended.returncode == 0, ended.stdout
