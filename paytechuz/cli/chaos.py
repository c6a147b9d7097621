"""`paytechuz chaos`: many payers at once, on a network that loses, doubles and delays what is said.

Each payer has a story: reserve, pay, perhaps take the money back. Every call is sent several times at once, some
answers are thrown away (the connection is closed before they arrive, and the provider asks again), and old calls come
once more when later ones have been answered. Afterwards the books are compared: what was acknowledged must be stored,
as it was acknowledged, and an order must know its payment once.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from threading import Lock
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

import typer
from rich.markup import escape
from rich.progress import Progress
from typer import Option

from paytechuz.cli.check import reach, shop_of
from paytechuz.cli.config import read_config
from paytechuz.cli.endpoint import Endpoint, endpoints
from paytechuz.cli.options import (
    Account,
    Amount,
    ConfigFile,
    Gateway,
    Key,
    Login,
    NewOrder,
    Remote,
    ServiceId,
    Status,
    Timeout,
    TopUp,
    Url,
)
from paytechuz.cli.orders import Customer
from paytechuz.cli.shown import console, told
from paytechuz_core.testing import Attempt, ClickTill, Lacking, Order, Till, over_http
from paytechuz_core.testing.suite import at_once

PATIENCE: Final = 30
"""How often a provider asks again before it gives up."""

Payments = Annotated[int, Option(min=1, help="How many payers come.")]
Duplicate = Annotated[int, Option(min=1, help="How often each call is sent, all at once.")]
Reorder = Annotated[bool, Option("--reorder", help="Old calls come once more after later ones.")]
LoseAnswers = Annotated[float, Option(min=0, max=0.9, help="Which part of the answers is lost: 0.2 is one in five.")]
Parallel = Annotated[int, Option(min=1, help="How many payers are served at a time.")]
Seed = Annotated[int | None, Option(help="Play the same stories again.", show_default=False)]


@dataclass(slots=True)
class Books:
    """What the providers were told, and what is wrong with it."""

    calls: int = 0
    lost_answers: int = 0
    acknowledged: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def note(self, *, calls: int = 0, lost_answers: int = 0, acknowledged: int = 0) -> None:
        """Count."""
        with self.lock:
            self.calls += calls
            self.lost_answers += lost_answers
            self.acknowledged += acknowledged

    def complain(self, text: str) -> None:
        """Write down what is wrong."""
        with self.lock:
            self.wrong.append(text)


def chaos(
    url: Url = None,
    *,
    gateway: Gateway = None,
    key: Key = None,
    login: Login = None,
    service_id: ServiceId = None,
    account: Account = None,
    amount: Amount = None,
    new_order: NewOrder = None,
    status: Status = None,
    top_up: TopUp = False,
    payments: Payments = 50,
    duplicate: Duplicate = 3,
    reorder: Reorder = False,
    lose_answers: LoseAnswers = 0.2,
    parallel: Parallel = 8,
    seed: Seed = None,
    timeout: Timeout = None,
    remote: Remote = False,
    config_file: ConfigFile = None,
) -> None:
    """Let many pay at once, on a network that loses, doubles and delays.

    [bold]paytechuz chaos --payments 200 --duplicate 5 --reorder --lose-answers 0.2 --parallel 16[/bold]

    Payers reserve, pay, give up and take their money back. Then the books are compared: every payment that was
    acknowledged must be stored, as it was acknowledged, and (with --status) each order must know it once. The exit
    status is 1 where anything is lost, doubled or contradicts itself.
    """
    with told():
        config = read_config(config_file)
        given: dict[str, Any] = {"key": key, "login": login, "service_id": service_id, "timeout": timeout}
        asked = endpoints(config, gateway, url, remote=remote, **given)
        shop = shop_of(config, account, amount, new_order, status, top_up=top_up)
        out, number = console(), seed if seed is not None else random.SystemRandom().randrange(10**6)
        books = Books()
        weather = Weather(books, duplicate, lose_answers, reorder=reorder)
        stories = list(told_by(asked, shop, payments, random.Random(number), weather))  # noqa: S311 - stories, no secrets
        for each in asked:
            reach(each.url)
        with (
            Progress(console=out, disable=not out.is_terminal, transient=True) as progress,
            ThreadPoolExecutor(parallel) as pool,
        ):
            for _ in progress.track(pool.map(Story.live, stories), total=len(stories)):
                pass
        for story in stories:
            story.audit(shop)
    out.print(
        f"{len(stories)} payers, {books.calls} calls, {books.lost_answers} answers lost on the way, "
        f"{books.acknowledged} moves acknowledged; seed {number}.",
        highlight=False,
    )
    for line in books.wrong:
        out.print(f"[red]{escape(line)}[/]", highlight=False)
    out.print(
        f"[red]{len(books.wrong)} things are wrong.[/]" if books.wrong else "[green]Nothing lost, nothing doubled.[/]"
    )
    raise typer.Exit(bool(books.wrong))


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to calls on their way."""

    books: Books
    duplicate: int
    lose: float
    reorder: bool


def told_by(
    asked: Sequence[Endpoint], shop: Customer, payments: int, dice: random.Random, weather: Weather
) -> Iterator["Story"]:
    """Make the payers' stories, as many as there are orders for."""
    for index in range(payments):
        endpoint = asked[index % len(asked)]
        try:
            order = shop.new_order()
        except Lacking:
            return
        end = dice.choice(("paid", "paid", "given up", "refunded"))
        kind = PaymeStory if endpoint.gateway == "payme" else ClickStory
        yield kind(endpoint, order, end, random.Random(dice.random()), weather)  # noqa: S311 - as above


class Story:
    """One payer's: the calls of a provider, each until it is answered, and what was answered."""

    calls: ClassVar[Mapping[str, Sequence[str]]]

    def __init__(self, endpoint: Endpoint, order: Order, end: str, dice: random.Random, weather: Weather) -> None:
        self.endpoint = endpoint
        self.order = order
        self.end = end
        self.dice = dice
        self.weather = weather
        self.answers: dict[str, Any] = {}
        self.broken = False

    def live(self) -> None:
        """Live it. What goes wrong is written down, and ends it."""
        done: list[str] = []
        for call in self.calls[self.end]:
            for _ in range(PATIENCE):
                if self.attempt(call):
                    break
                if self.broken:
                    return
            else:
                self.complain(f"{call} was not answered, though it was repeated {PATIENCE} times")
                return
            if self.weather.reorder and done:
                self.attempt(self.dice.choice(done), late=True)
            done.append(call)

    def attempt(self, call: str, *, late: bool = False) -> bool:
        """Send a call so many times at once; tell whether an answer arrived that settles it."""
        lost = [self.dice.random() < self.weather.lose for _ in range(self.weather.duplicate)]
        self.weather.books.note(calls=len(lost), lost_answers=sum(lost))
        answers = at_once([partial(self.send, call, lose=each) for each in lost])
        if late:
            return False  # of an old call any answer will do that changes nothing: the audit sees whether it did
        settled = [self.judge(call, answer) for answer in answers if answer is not None]  # each of them is looked at
        return any(settled)

    def way(self, *, lose: bool) -> Any:
        """Give a way to call: over HTTP, or into a network that loses the answer."""
        return losing(self.endpoint.url) if lose else over_http(self.endpoint.url, self.endpoint.timeout)

    def send(self, call: str, *, lose: bool) -> Any:
        """Send it once; give the answer, None where none arrived."""
        raise NotImplementedError

    def judge(self, call: str, answer: Any) -> bool:
        """Tell whether an answer settles the call, and write down what is wrong with it."""
        raise NotImplementedError

    def audit(self, shop: Customer) -> None:
        """Compare what was acknowledged and what is stored."""
        if self.broken:
            return
        word = shop.status(self.order)
        if word is None or shop.top_up:
            return
        if (word == "paid") is not (self.end == "paid"):
            self.complain(f"the payment is {self.end}, and the order is {word}")

    def settled(self, call: str, told: Any) -> bool:
        """Remember the first answer that settles a call; every later one must be the same."""
        if call not in self.answers:
            self.weather.books.note(acknowledged=1)
        first = self.answers.setdefault(call, told)
        if first != told:
            self.complain(f"{call} was answered with {told}, and before with {first}")
        return True

    def complain(self, text: str) -> None:
        """Write down what is wrong with this payer's payment."""
        self.broken = True
        self.weather.books.complain(f"{self.endpoint.gateway}, {self}: {text}")

    def __str__(self) -> str:
        """Name the order."""
        return ", ".join(f"{name} {value}" for name, value in self.order.account.items())


class PaymeStory(Story):
    """Payme's."""

    calls: ClassVar = {
        "paid": ("CheckPerformTransaction", "CreateTransaction", "PerformTransaction"),
        "given up": ("CreateTransaction", "CancelTransaction"),
        "refunded": ("CreateTransaction", "PerformTransaction", "CancelTransaction"),
    }
    states: ClassVar = {"paid": 2, "given up": -1, "refunded": -2}

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.id = f"{self.dice.getrandbits(96):024x}"
        self.moment = time.time_ns() // 1_000_000
        paid = {"amount": self.order.amount_tiyin, "account": dict(self.order.account)}
        self.params: dict[str, dict[str, Any]] = {
            "CheckPerformTransaction": paid,
            "CreateTransaction": {"id": self.id, "time": self.moment, **paid},
            "PerformTransaction": {"id": self.id},
            "CancelTransaction": {"id": self.id, "reason": 5 if self.end == "refunded" else 2},
        }

    def send(self, call: str, *, lose: bool) -> Any:
        """Send it once."""
        till = Till(self.way(lose=lose), self.endpoint.key, login=self.endpoint.login)
        try:
            return till.call(call, self.params[call])
        except OSError:
            return None

    def judge(self, call: str, answer: Any) -> bool:
        """A system error and silence are repeated; a result is the same for ever."""
        if answer.code == -32400:  # noqa: PLR2004 - Payme's number
            return False
        if (fault := answer.fault()) is not None or answer.error:
            self.complain(f"{call} was answered with {fault[0] if fault else answer.summary}")
            return False
        return self.settled(call, dict(answer.result))

    def audit(self, shop: Customer) -> None:
        """The state, the times and the statement are those that were acknowledged."""
        super().audit(shop)
        if self.broken:
            return
        till = Till(over_http(self.endpoint.url, self.endpoint.timeout), self.endpoint.key, login=self.endpoint.login)
        try:
            stored = till.check(self.id).result
            listed = till.statement(self.moment, self.moment).result.get("transactions", ())
        except OSError as error:
            self.complain(f"no answer after the storm: {error}")
            return
        if stored.get("state") != self.states[self.end]:
            self.complain(f"the payment is {self.end}, and CheckTransaction says state {stored.get('state')}")
        for acknowledged in self.answers.values():
            for name, value in acknowledged.items():
                if name.endswith("_time") and stored.get(name) != value:
                    self.complain(f"{name} was acknowledged as {value} and is stored as {stored.get(name)}")
        if [each["id"] for each in listed if isinstance(each, dict)].count(self.id) != 1:
            self.complain("GetStatement does not list it once")


class ClickStory(Story):
    """Click's."""

    calls: ClassVar = {"paid": ("Prepare", "Complete"), "given up": ("Prepare", "Cancel"),
                    "refunded": ("Prepare", "Complete", "Cancel")}  # fmt: skip
    settling: ClassVar = {"Prepare": (0,), "Complete": (0, -4), "Cancel": (-9,)}

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.first = self.till(lose=False).attempt(self.order)

    def till(self, *, lose: bool) -> ClickTill:
        """Open a till."""
        return ClickTill(self.way(lose=lose), self.endpoint.key, self.endpoint.service_id)

    def send(self, call: str, *, lose: bool) -> Any:
        """Send it once."""
        attempt = Attempt(self.till(lose=lose), self.order, self.first.number, self.first.payment)
        attempt.prepare_id = self.first.prepare_id
        try:
            match call:
                case "Prepare":
                    answer = attempt.prepare()
                    self.first.prepare_id = attempt.prepare_id if answer.error == 0 else self.first.prepare_id
                    return answer
                case "Complete":
                    return attempt.complete()
                case _:
                    return attempt.complete(-5017)
        except OSError:
            return None

    def judge(self, call: str, answer: Any) -> bool:
        """-7 and silence are repeated; of one Complete the first answer is 0 and every other -4."""
        if answer.error == -7:  # noqa: PLR2004 - Click's number
            return False
        if (fault := answer.fault()) is not None or answer.error not in self.settling[call]:
            self.complain(f"{call} was answered with {fault[0] if fault else answer.summary}")
            return False
        if call == "Complete" and answer.error == 0:
            if "success" in self.answers:
                self.complain("Complete was answered with success twice")
            self.answers["success"] = None
        return self.settled(call, answer.prepare_id if call == "Prepare" else None)


def losing(url: str) -> Any:
    """Call, and close the connection before the answer comes: the shop goes on, and nobody hears what it says."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        connection = kind(parts.netloc.rpartition("@")[2], timeout=10)
        try:
            connection.request(
                "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, dict(headers)
            )
        finally:
            connection.close()
        raise ConnectionAbortedError

    return send
