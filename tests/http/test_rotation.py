"""Keys change under load, on a real server: in three steps no call is refused, in the wrong order calls are.

The shop is told the new key beside the old one; the provider changes to the new one, each of its workers when it gets
to it; the shop forgets the old one.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import SIZE
from tests.core import click_wire
from tests.http.click import Click
from tests.http.clients import KEY, PATIENCE, SECRET, TIYIN, Client, basic

Open = Callable[..., Client]

CALLERS = 5
ENOUGH = 2 * SIZE
"""How many payments each caller makes between two steps."""

NEW, NEW_SECRET = "canary#New:key", "canary#New:secret"


@dataclass
class Provider:
    """Payme and Click, with callers that pay order after order until they are told to stop."""

    shop: Client
    orders: Iterator[tuple[int, Any]]
    payme_key: str = KEY
    click_secret: str = SECRET
    refused: Counter[int] = field(default_factory=Counter)
    paid: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(CALLERS), 0))
    went_wrong: list[BaseException] = field(default_factory=list)
    over: bool = False
    lock: threading.Condition = field(default_factory=threading.Condition)

    def call(self, caller: int) -> None:
        """Pay one order after the other, half with Payme, half with Click."""
        try:
            while not self.over:
                with self.lock:
                    number, order = next(self.orders)
                (self.by_payme if number % 2 else self.by_click)(number, order)
                with self.lock:
                    self.paid[caller] += 1
                    self.lock.notify_all()
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            with self.lock:
                self.went_wrong.append(error)
                self.lock.notify_all()
        finally:
            self.shop.leave_thread()

    def by_payme(self, number: int, order: Any) -> None:
        """Let Payme pay. It takes the key anew for every call."""
        id, account = f"{number:024}", {"order_id": str(order)}
        created = {"id": id, "time": self.shop.clock.now, "amount": TIYIN, "account": account}
        for method, params in (
            ("CheckPerformTransaction", {"amount": TIYIN, "account": account}),
            ("CreateTransaction", created),
            ("PerformTransaction", {"id": id}),
            ("CheckTransaction", {"id": id}),
        ):
            message = {"id": 1, "method": method, "params": params}
            answer = self.shop.message(message, {"Authorization": basic(self.payme_key)})
            self.note(answer.code)

    def by_click(self, number: int, order: Any) -> None:
        """Let Click pay."""
        click = Click(self.shop)
        for made in (click_wire.prepare, click_wire.complete):
            form = made(self.click_secret, click_trans_id=number, click_paydoc_id=number, merchant_trans_id=order)
            self.note(click.form(form).error or None)

    def note(self, code: int | None) -> None:
        if code is not None:
            with self.lock:
                self.refused[code] += 1

    def go_on(self, payments: int = ENOUGH) -> None:
        """Wait until each caller has begun and ended so many payments more."""
        with self.lock:
            goal = {caller: paid + payments + 1 for caller, paid in self.paid.items()}
            reached = self.lock.wait_for(
                lambda: self.went_wrong or all(self.paid[caller] >= goal[caller] for caller in goal), PATIENCE
            )
            assert reached, f"the callers got no further than {self.paid}"
            assert not self.went_wrong, self.went_wrong


@dataclass
class Keys:
    """What the shop takes for valid; read at every call."""

    payme: list[str]
    click: list[str]


@pytest.fixture
def keys() -> Keys:
    return Keys([KEY], [SECRET])


@pytest.fixture
def provider(open_shop: Open, keys: Keys) -> Iterator[Provider]:
    """The provider, calling."""
    shop = open_shop(settings={"payme_key": lambda: keys.payme}, click_settings={"secret_key": lambda: keys.click})
    assert shop.app
    provider = Provider(shop, ((number, shop.database.order()) for number in range(1, 10**6)))
    threads = [threading.Thread(target=provider.call, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    yield provider
    provider.over = True
    for thread in threads:
        thread.join()


@pytest.mark.slow
@pytest.mark.every_database(but="sqlite")
def test_in_three_steps_keys_change_and_no_call_fails(provider: Provider, keys: Keys) -> None:
    provider.go_on()
    keys.payme, keys.click = [NEW, KEY], [NEW_SECRET, SECRET]
    provider.go_on()
    provider.payme_key = NEW
    provider.go_on(1)
    provider.click_secret = NEW_SECRET
    provider.go_on()
    keys.payme, keys.click = [NEW], [NEW_SECRET]
    provider.go_on()
    assert not provider.refused
    answer = provider.shop.message({"id": 1, "method": "CheckTransaction", "params": {"id": "a"}})
    assert answer.code == -32504, "the old key is forgotten"


@pytest.mark.slow
@pytest.mark.every_database(but="sqlite")
def test_in_the_wrong_order_calls_are_refused(provider: Provider, keys: Keys) -> None:
    """The negative control: what the three steps are for."""
    provider.go_on()
    keys.payme, keys.click = [NEW], [NEW_SECRET]
    provider.go_on()
    assert provider.refused.keys() == {-32504, -1}
