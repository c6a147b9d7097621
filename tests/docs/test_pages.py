"""What holds for every page: its Python is Python, its links lead somewhere, and what it promises is there."""

import asyncio
import json
import re
import unicodedata
from base64 import b64encode
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask

from paytechuz import checkout_link
from paytechuz_core.decision import Hook
from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS, README, ROOT, blocks, pages, write_files

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
GOING_LIVE = DOCS / "how-to/going-live.md"
CALL = {"id": 1, "method": "CheckTransaction", "params": {"id": "A"}}
KEY = {"Authorization": "Basic " + b64encode(b"Paycom:your_payme_key").decode()}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_python_is_python_and_json_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            block.compile()
        if block.language == "json":
            json.loads(block.text)
        assert block.language, f"{block.where} does not say what it is written in"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for text, target in LINK.findall(prose(page)):
        assert "://" not in target, "a page must be readable without a network"
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"
        if there.suffix == ".py" and text.startswith("`"):
            name = text.strip("`")
            assert name in there.read_text() or name in there.as_posix(), f"{page.name}: {name} is not in {target}"


def test_every_page_is_reached_from_the_index_and_the_readme() -> None:
    for start, folder in ((DOCS / "index.md", DOCS), (README, ROOT)):
        linked = {(folder / target.partition("#")[0]).resolve() for _, target in LINK.findall(prose(start))}
        assert linked >= {page for page in pages() if page not in (README, DOCS / "index.md")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_names_only_targets_that_make_has(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)) <= targets


def test_the_readme_names_every_hook() -> None:
    told = re.findall(r"^\| `(\w+)\(", README.read_text(), re.MULTILINE)
    assert sorted(told) == sorted([*Hook, "is_payable"])


def test_the_readmes_shop_takes_a_payment(shop: TutorialShop) -> None:
    names = shop.read(README)
    till, order = shop.till(names["ShopPayme"], account_field="id"), shop.order()
    till.call("CreateTransaction", id="A", time=shop.now, amount=500_000, account={"id": order})
    assert till.perform()["state"] == 2
    assert shop.status(order) == "paid"
    assert till.cancel()["state"] == -2
    assert shop.status(order) == "cancelled"


def test_the_readmes_route_and_router_answer(shop: TutorialShop) -> None:
    names: dict[str, Any] = {}
    for block in blocks(README, "python"):
        # Each with an application of its own: they are alternatives.
        names["app"] = vars(shop.module)["app"] = FastAPI()
        if block.file is not None:
            continue  # Flask's, below
        exec(block.compile(), names)  # noqa: S102 - which is what this test is about
        if "click_router" in block.text:
            assert asyncio.run(answered_to_click(names["app"])) == (200, -8)
        else:
            assert asyncio.run(answered(names["app"])) == (200, -31003)


def test_the_readmes_flask_application_answers(shop: TutorialShop) -> None:
    app = vars(shop.module)["app"] = Flask("shop")
    write_files(README, shop.folder)
    import_module("flask_payments")
    answer = app.test_client().post("/payments/payme/webhook", json=CALL, headers=KEY)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (200, -31003)


async def answered_to_click(app: FastAPI) -> tuple[int, int]:
    """Say what an application answers to a form without any field."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        answer = await client.post("/payments/click/webhook", content=b"")
    return answer.status_code, answer.json()["error"]


async def answered(app: FastAPI) -> tuple[int, int]:
    """Say what an application answers to CheckTransaction."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        answer = await client.post("/payments/payme/webhook", json=CALL, headers=KEY)
    return answer.status_code, answer.json()["error"]["code"]


def test_the_checkout_link_is_the_one_shown(
    shop: TutorialShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYME_ID", "587f72c72cac0d162c722ae2")
    monkeypatch.setenv("PAYME_KEY", "key")
    names = shop.read(GOING_LIVE)
    shown = [block.text for block in blocks(GOING_LIVE, "text")]
    assert capsys.readouterr().out == shown[0]
    assert names["pay_link"](1, "5000.00") == shown[0].strip()
    assert checkout_link("m", 1, {"id": 1}, test=True).startswith("https://test.paycom.uz/")


def test_what_nobody_paid_is_expired_as_going_live_says(shop: TutorialShop, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(GOING_LIVE, shop.folder)
    order = shop.order()
    shop.till(vars(shop.payments)["ShopPayme"]).create(order_id=order)  # on New Year's Day of 2026, by the shop's clock
    import_module("expire")
    assert capsys.readouterr().out == "1 expired, 0 failed\n"
    assert shop.status(order) == "pending", "the tutorial's hook leaves it open"


def prose(page: Path) -> str:
    """Give a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def anchor(heading: str) -> str:
    """Turn a heading into its anchor."""
    kept = (each for each in heading.lower() if each in " -_" or unicodedata.category(each)[0] in "LN")
    return "".join(kept).replace(" ", "-")
