"""The page about security: its applications run, and do what it says of keys and addresses."""

import asyncio
from importlib import import_module
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from paytechuz_core import Payme
from paytechuz_core.settings import keywords_of
from paytechuz_flask import PaymeWebhookHandler
from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS, blocks, write_files
from tests.http.clients import basic

PAGE = DOCS / "how-to/security.md"
CALL = {"id": 1, "method": "CheckTransaction", "params": {"id": "A"}}


def code(app: FastAPI, key: str, peer: str = "127.0.0.1", **headers: str) -> int:
    """Say what an application answers to CheckTransaction."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            sent = {"Authorization": basic(key), **{name.replace("_", "-"): value for name, value in headers.items()}}
            return await client.post("/payments/payme/webhook", json=CALL, headers=sent)

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    found: int = answer.json()["error"]["code"]
    return found


@pytest.mark.parametrize(
    ("step", "valid", "refused"),
    [("new-key old-key", ["new-key", "old-key"], ["", "new-key old-key"]), ("new-key", ["new-key"], ["old-key"])],
)
def test_a_key_changes_in_the_steps_of_the_page(
    shop: TutorialShop, monkeypatch: pytest.MonkeyPatch, step: str, valid: list[str], refused: list[str]
) -> None:
    assert f'PAYME_KEYS="{step}"' in PAGE.read_text()
    monkeypatch.setenv("PAYME_KEYS", step)
    write_files(PAGE, shop.folder)
    app = vars(import_module("rotating"))["app"]
    assert [code(app, key) for key in valid] == [-31003] * len(valid)
    assert [code(app, key) for key in refused] == [-32504] * len(refused)


def test_only_payme_may_call_the_pages_shop(shop: TutorialShop) -> None:
    write_files(PAGE, shop.folder)
    app, key = vars(import_module("listed"))["app"], vars(shop.payments)["PAYME_KEY"]
    payme = "185.234.113.9"
    assert code(app, key, payme) == -31003
    assert code(app, key, X_Forwarded_For=payme) == -31003
    assert code(app, key) == -32504
    assert code(app, key, X_Forwarded_For=f"{payme}, 203.0.113.9") == -32504
    assert code(app, key, "203.0.113.9", X_Forwarded_For=payme) == -32504


def test_the_pages_configuration_names_settings_that_there_are(
    shop: TutorialShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYME_ID", "id")
    monkeypatch.setenv("PAYME_KEYS", "new old")
    config: dict[str, Any] = shop.read(PAGE)["PAYTECHUZ"]["PAYME"]
    told = keywords_of(PaymeWebhookHandler, config, "PAYTECHUZ")
    with shop.module.SessionLocal() as db:
        handler = PaymeWebhookHandler(db, **{**told, "account_model": shop.module.Order})
    assert isinstance(handler.gateway, Payme)
    assert handler.gateway.callers.proxies
    assert len(blocks(PAGE, "nginx")) == 2
