"""The page about the command line: what it shows is what a reader sees who types it."""

import re
import shlex
import tomllib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import NullPool, create_engine, insert

from paytechuz.cli.database import WEBHOOKS
from paytechuz.cli.init import SHOPS, START, Framework
from paytechuz_core.sql import PaymentTransaction
from paytechuz_core.transaction import HALF_DAY
from tests.cli import plain, run
from tests.docs.pages import DOCS, Block, blocks

PAGE: Final = DOCS / "how-to/command-line.md"
PAID: Final = datetime(2026, 11, 27, 5, tzinfo=UTC)


def shown() -> list[tuple[str, str]]:
    """Give each command whose output stands below it, with that output."""
    found = blocks(PAGE)
    return [(asked.text, said.text) for asked, said in pairwise(found) if said.language == "text"]


def pay() -> None:
    """Store the one payment that the page shows."""
    engine = create_engine("sqlite:///shop.db", poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(
            insert(PaymentTransaction).values(
                gateway="payme",
                transaction_id="5f1e2d3c4b5a69788796a5b4",
                account_id="1",
                amount_tiyin=500_000,
                account={"order_id": "1"},
                state=2,
                extra_data={},
                created_at=PAID,
                updated_at=PAID,
                performed_at=PAID,
                provider_time=round(PAID.timestamp() * 1000),
                lifetime=HALF_DAY,
                version=1,
            )
        )


def test_every_output_on_the_page_is_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = []
    for asked, said in shown():
        name, command, *arguments = shlex.split(asked)
        assert name == "paytechuz"
        assert run(command, *arguments) == said
        seen.append(command)
        if command == "migrate":
            pay()
    assert seen == ["link", "link", "migrate", "doctor", "statement"]


def test_a_shop_is_begun_as_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = blocks(PAGE, "sh")[1:3]
    said = run(*shlex.split(first.text)[1:])
    assert second.text.splitlines() == [
        "cd first-shop",
        "pip install -r requirements.txt",
        *START[Framework.FASTAPI],
    ]
    assert all(f"    {line}\n" in said for line in second.text.splitlines())
    (table,) = blocks(PAGE, "toml")
    for framework in Framework:
        settings = tomllib.loads((SHOPS / framework / "pyproject.toml").read_text())
        assert settings["tool"]["paytechuz"] == tomllib.loads(table.text)["tool"]["paytechuz"]


def lines() -> list[tuple[Block, list[str]]]:
    """Give every line that calls the command, as words."""
    typed = [(block, shlex.split(line)) for block in blocks(PAGE, "sh") for line in block.text.splitlines()]
    return [(block, words[words.index("paytechuz") :]) for block, words in typed if "paytechuz" in words]


def test_every_option_on_the_page_is_there() -> None:
    checked = 0
    for block, (_, command, *words) in lines():
        group = words[:1] if command == "link" else []
        known = plain(run(command, *group, "--help"))
        for option in (word for word in words if word.startswith("--")):
            assert option in known, f"{block.where}: {option}"
            checked += 1
    assert checked > 10
    for command, options in {"link payme": "--test --language --return-url --qr", "doctor": "--orders --table"}.items():
        known = plain(run(*command.split(), "--help"))
        assert all(option in known for option in options.split())
    assert "--card-type" in plain(run("link", "click", "--help"))


def test_the_page_names_where_endpoints_are() -> None:
    assert all(f"`{path}`" in PAGE.read_text() for path in WEBHOOKS.values())


def test_every_command_is_in_the_table_of_the_page() -> None:
    commands = set(re.findall(r"^│ (\w+) ", run("--help"), re.MULTILINE))
    named = PAGE.read_text().split("\n## ")[0]
    assert {each for each in commands if f"paytechuz {each}" in named or f"`{each}`" in named} == commands
    assert commands >= {"init", "link", "migrate", "doctor", "statement"}
