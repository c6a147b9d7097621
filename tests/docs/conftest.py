"""The tutorial's shop, for the pages that go on from it."""

import base64
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from paytechuz_core import Inbound
from paytechuz_core.transaction import HALF_DAY
from tests.docs.pages import TUTORIAL, blocks, imports_from, write_files

Answer = dict[str, Any]
NOW = 1_767_225_600_000


class TutorialShop:
    """The shop of the tutorial's files in a folder of its own, and Payme speaking to a handler of it."""

    def __init__(self, folder: Path, module: ModuleType, payments: ModuleType) -> None:
        self.folder = folder
        self.module = module
        self.payments = payments
        self.now = NOW

    def read(self, page: Path) -> dict[str, Any]:
        """Run the blocks of a page one after the other, as a reader would paste them; give the names they define."""
        write_files(page, self.folder)
        names: dict[str, Any] = {"__name__": "page"}
        for block in blocks(page, "python"):
            if block.file is None:
                exec(block.compile(), names)  # noqa: S102 - which is what this test is about
        return names

    def order(self, **values: Any) -> int:
        """Place an order of 5000 som."""
        with self.module.SessionLocal() as db:
            order = self.module.Order(**{"amount": 5000, **values})
            db.add(order)
            db.commit()
            number: int = order.id
        return number

    def status(self, number: int) -> str:
        """Give an order's status."""
        with self.module.SessionLocal() as db:
            status: str = db.get(self.module.Order, number).status
        return status

    def till(self, handler: Callable[..., Any], **settings: Any) -> "Till":
        """Let Payme speak to this handler."""
        return Till(self, handler, settings)


class Till:
    """Payme, speaking to one handler; each call with a session and a handler of its own, as the route makes them."""

    def __init__(self, shop: TutorialShop, handler: Callable[..., Any], settings: dict[str, Any]) -> None:
        self.shop = shop
        self.handler = handler
        defaults = {
            "payme_id": "id",
            "payme_key": "key",
            "account_model": shop.module.Order,
            "account_field": "order_id",
            "clock": lambda: shop.now,
        }
        self.settings = {**defaults, **settings}
        self.key = "key"

    def call(self, method: str, **params: Any) -> Answer:
        """Make one call and give the answer's result, or its error."""
        authorization = base64.b64encode(f"Paycom:{self.key}".encode()).decode()
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        with self.shop.module.SessionLocal() as db:
            handler = self.handler(db=db, **self.settings)
            answer = json.loads(handler.respond(Inbound("POST", {"authorization": f"Basic {authorization}"}, body)))
        found: Answer = answer["result"] if "result" in answer else answer["error"]
        return found

    def check(self, amount: int = 500_000, **account: Any) -> Answer:
        """May this be paid?"""
        return self.call("CheckPerformTransaction", amount=amount, account=account)

    def create(self, id: str = "A", amount: int = 500_000, **account: Any) -> Answer:
        """Reserve it."""
        return self.call("CreateTransaction", id=id, time=self.shop.now, amount=amount, account=account)

    def perform(self, id: str = "A") -> Answer:
        """The money arrived."""
        return self.call("PerformTransaction", id=id)

    def cancel(self, id: str = "A", reason: int = 5) -> Answer:
        """Give it up, or back."""
        return self.call("CancelTransaction", id=id, reason=reason)

    def too_late(self) -> None:
        """Let 12 hours pass, and a millisecond."""
        self.shop.now += HALF_DAY + 1


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TutorialShop]:
    """Give the tutorial's shop."""
    write_files(TUTORIAL, tmp_path)
    monkeypatch.chdir(tmp_path)
    with imports_from(tmp_path):
        made = TutorialShop(tmp_path, import_module("shop"), import_module("payments"))
        yield made
        made.module.engine.dispose()
