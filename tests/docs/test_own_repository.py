"""The repository of one's own: the page's files keep the laws, and its shop takes a payment."""

import io
import json
import re
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from paytechuz_core import testing
from tests.docs.pages import DOCS, blocks, imports_from, write_files

PAGE = DOCS / "how-to/your-own-repository.md"
CREDENTIALS = "Basic " + b64encode(b"Paycom:your_payme_key").decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's files, saved."""
    write_files(PAGE, tmp_path)
    return tmp_path


def laws(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command that the page shows."""
    (command,) = blocks(PAGE, "sh")
    words = [sys.executable, "-m", *command.text.split(), "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *options]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_store_keeps_the_laws(folder: Path) -> None:
    done = laws(folder)
    assert done.returncode == 0, done.stdout
    count = len([name for name in vars(testing.RepositoryLaws) if name.startswith("test_")])
    assert f"{count} passed" in done.stdout


def test_a_store_that_breaks_a_law_is_found_out(folder: Path) -> None:
    store, law = folder / "store.py", "    hold TEXT UNIQUE,"
    assert law in store.read_text()
    store.write_text(store.read_text().replace(law, "    hold TEXT,"))
    assert re.search(r"[1-9]\d* failed", laws(folder, "-x").stdout)


@pytest.fixture
def application(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's shop, with one order."""
    monkeypatch.chdir(folder)
    with imports_from(folder):
        shop = import_module("shop_wsgi")
        with shop.begin("shop.db") as store:
            store.connection.execute("INSERT INTO orders (id, price_tiyin) VALUES (1, 500000)")
        yield shop.application


def call(application: Any, method: str, **params: Any) -> Any:
    body = json.dumps({"id": 1, "method": method, "params": params}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": CREDENTIALS,
        "wsgi.input": io.BytesIO(body),
    }
    started = []
    (answer,) = application(environ, lambda *start: started.append(start))
    assert started[0][0] == "200 OK"
    found = json.loads(answer)
    return found.get("result") or found["error"]["code"]


def test_the_shop_is_paid_and_refunded(application: Any, folder: Path) -> None:
    def status() -> str:
        with closing(sqlite3.connect(folder / "shop.db")) as connection:
            text: str = connection.execute("SELECT status FROM orders").fetchone()[0]
        return text

    account = {"order_id": "1"}
    assert call(application, "CheckPerformTransaction", amount=500_000, account=account) == {"allow": True}
    assert call(application, "CheckPerformTransaction", amount=1, account=account) == -31001
    assert call(application, "CheckPerformTransaction", amount=1, account={"order_id": "01"}) == -31050
    now = 4_000_000_000_000
    created = call(application, "CreateTransaction", id="A", time=now, amount=500_000, account=account)
    assert created["state"] == 1
    assert call(application, "CreateTransaction", id="A", time=now, amount=500_000, account=account) == created
    assert call(application, "CreateTransaction", id="B", time=now, amount=500_000, account=account) == -31051
    performed = call(application, "PerformTransaction", id="A")
    assert call(application, "PerformTransaction", id="A") == performed
    assert status() == "paid"
    assert call(application, "CancelTransaction", id="A", reason=5)["state"] == -2
    assert status() == "cancelled"
    (listed,) = call(application, "GetStatement", **{"from": now, "to": now})["transactions"]
    assert (listed["id"], listed["state"], listed["account"]) == ("A", -2, account)


def test_the_laws_on_the_page_are_the_laws_in_the_code() -> None:
    page, code = PAGE.read_text(), (testing.__file__, "repository.py")
    told = (Path(code[0]).parents[1] / code[1]).read_text()
    assert len(re.findall(r"^\d\. ", page, re.MULTILINE)) == len(re.findall(r"^\d\. ", told, re.MULTILINE))
