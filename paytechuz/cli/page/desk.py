"""What the page can ask for, apart from HTTP: settings, scenarios, single calls, the checkout, repeats.

A `Desk` is one person's work at the page. What takes time gives events as they happen, each a mapping that becomes one
line of JSON. Keys stay in here: no event holds one, whatever the endpoint answers.
"""

import json
from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from threading import Event, Lock
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from paytechuz.cli.config import GATEWAYS, Config, Wrong
from paytechuz.cli.endpoint import Endpoint, Playing, endpoint
from paytechuz.cli.orders import Customer, customer
from paytechuz.cli.page import calls, checkout
from paytechuz.cli.page.checkout import is_whole
from paytechuz.cli.page.watch import Said, Watch, account_key, parsed, pretty, read_request
from paytechuz_core.money import Tiyin, som_to_tiyin, tiyin_to_som
from paytechuz_core.testing import ClickTill, Exchange, Lacking, Order, Scenario, Step
from paytechuz_core.testing.recorder import text
from paytechuz_core.testing.suite import SILENCE

SHOWN: Final = 30_000
"""How many characters of an answer the page is given: an endpoint may answer anything."""

REMEMBERED: Final = 5_000
"""How many exchanges can be repeated."""

LONG_ENOUGH: Final = 6
"""From how many characters on a key is looked for in what is shown: a shorter one stands in many words."""

HIDDEN: Final = "•••"
BUSY: Final = "something is being played; stop it first"
NO_URL: Final = "Say where the shop listens."
NO_KEY: Final = "Say by which key the provider is known to the shop."
NO_SERVICE: Final = "Say for which service Click calls: a whole number."
NO_ORDERS: Final = "Say which orders await payment, and their price."
NO_LINK: Final = "open a payer's link first"
NEW_ORDER: Final = "a new order"
AGAIN: Final = "said again"
EDITED: Final = "edited and said"
SAME: Final = "the same answer as before, byte for byte"
OTHER: Final = "another answer than before"

Told: TypeAlias = dict[str, Any]
"""What the page is told: one line of JSON."""


@dataclass(slots=True)
class Source:
    """Where orders come from, by the command line or pyproject.toml. A page may name no function and no command."""

    new_order: str | None = None
    status: str | None = None


@dataclass(slots=True)
class Provider:
    """What was set for one provider on the page, over what pyproject.toml says. Numbers as they were typed."""

    url: str = ""
    key: str = field(default="", repr=False)
    login: str = ""
    service_id: str = ""


@dataclass(slots=True)
class Settings:
    """What stands in the page's form: who is played, and for which order."""

    gateway: str = "payme"
    account: list[tuple[str, str]] = field(default_factory=list)
    amount: str = ""
    top_up: bool = False


class Speaker:
    """Who plays a provider, with all that was said; it remembers the headers, so that it can say a thing again."""

    def __init__(self, playing: Playing) -> None:
        self.playing = playing
        self.headers: dict[bytes, dict[str, str]] = {}
        self._send = playing.record.send
        self._told = 0
        playing.record.send = self

    def __call__(self, body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        """Send, as the recorder asks."""
        self.headers[body] = dict(headers)
        if len(self.headers) > REMEMBERED:
            del self.headers[next(iter(self.headers))]
        return self._send(body, headers)

    def news(self) -> list[Exchange]:
        """Give what was said since this was last asked."""
        exchanges = self.playing.record.exchanges[self._told :]
        self._told += len(exchanges)
        return exchanges


@dataclass(frozen=True, slots=True)
class Heard:
    """An exchange that the page was shown, and who spoke."""

    exchange: Exchange
    speaker: Speaker


class Desk:
    """One person's work at the page."""

    def __init__(self, config: Config, source: Source, settings: Settings, *, remote: bool = False) -> None:
        self.config = config
        self.source = source
        self.settings = settings
        self.remote = remote
        self.providers = {name: Provider() for name in GATEWAYS}
        self.watch = Watch()
        self.attempts: calls.Attempts = {}
        self.heard: dict[int, Heard] = {}
        self.prices: dict[str, Tiyin] = {}
        self.keys: set[str] = set()
        self.link: checkout.Link | None = None
        self.stopping = Event()
        self._numbers = count(1)
        self._busy = Lock()
        self._speaker: Speaker | None = None
        self._customer: Customer | None = None

    def __repr__(self) -> str:
        """Show no key."""
        return f"Desk({self.settings!r})"

    # The settings

    def about(self) -> Told:
        """Say what is set, what can be played, and what stands in the way. Of a key only whether it is known."""
        settings = self.settings
        return {
            "gateway": settings.gateway,
            "providers": {name: self.provider(name) for name in GATEWAYS},
            "account": settings.account,
            "amount": settings.amount,
            "top_up": settings.top_up,
            "new_order": self.source.new_order,
            "status": self.source.status,
            "scenarios": [{"name": each.name, "about": each.about} for each in self.scenarios()],
            "calls": calls.PAYME_CALLS if settings.gateway == "payme" else calls.CLICK_CALLS,
            "problem": self.problem(),
        }

    def provider(self, gateway: str) -> Told:
        """Say what is set for a provider."""
        typed, told = self.providers[gateway], dict[str, Any]()
        key = "key" if gateway == "payme" else "secret-key"
        for name in ("url", "login", "service-id", key):
            with suppress(Wrong):  # a variable that is not set: it is as if nothing were said
                told[name] = self.config.of(gateway, name)
        return {
            "url": typed.url or told.get("url") or "",
            "login": typed.login or told.get("login") or "Paycom",
            "service_id": typed.service_id or str(told.get("service-id") or ""),
            "key_known": bool(typed.key or told.get(key)),
        }

    def problem(self) -> str:
        """Say why nothing can be called as things are set, in the words of the command; nothing where all is well."""
        try:
            self.speaker()
        except Wrong as wrong:
            return str(wrong)
        return ""

    def set(self, given: Mapping[str, Any]) -> Told:
        """Take the page's form, and say what is set then. Raises `Wrong` where the form is none."""
        gateway = one_of(given, "gateway", GATEWAYS)
        account = [(word(each, "name").strip(), word(each, "value").strip()) for each in listed(given, "account")]
        settings = Settings(gateway, account, word(given, "amount").strip(), given.get("top_up") is True)
        typed = Provider(
            word(given, "url").strip(), word(given, "key") or self.providers[gateway].key,
            word(given, "login").strip(), word(given, "service_id").strip(),
        )  # fmt: skip
        with self.turn():
            if settings != self.settings:
                self.settings, self._customer = settings, None
            if typed != self.providers[gateway] or gateway != self.playing_gateway:
                self.providers[gateway], self._speaker = typed, None
        return self.about()

    @property
    def playing_gateway(self) -> str | None:
        """Which provider is played; None where none is yet."""
        return None if self._speaker is None else self._speaker.playing.endpoint.gateway

    def speaker(self) -> Speaker:
        """Give who plays the provider. Raises `Wrong`, also where the endpoint may not be called."""
        if self._speaker is None:
            gateway = self.settings.gateway
            typed = self.providers[gateway]
            told = self.provider(gateway)
            service = told["service_id"] if gateway == "click" else "0"
            for lacking, text in (
                (not told["url"], NO_URL),
                (not told["key_known"], NO_KEY),
                (not is_whole(service), NO_SERVICE),
            ):
                if lacking:
                    raise Wrong(text)
            found = endpoint(
                self.config, gateway, told["url"], remote=self.remote, key=typed.key or None, login=told["login"],
                service_id=int(service),
            )  # fmt: skip
            self.keys.add(found.key)
            self._speaker = Speaker(found.till())
        return self._speaker

    def customer(self) -> Customer:
        """Give who orders. Raises `Wrong` where nobody said where orders come from."""
        if self._customer is None:
            settings = self.settings
            listed = settings.amount and any(name and value for name, value in settings.account)
            if not (self.source.new_order or listed):
                raise Wrong(NO_ORDERS)
            self._customer = customer(
                self.source.new_order, self.source.status,
                [f"{name}={value}" for name, value in settings.account if name],
                f"{tiyin_to_som(tiyin_of(settings.amount))}som" if settings.amount else None,
                self.config.folder, top_up=settings.top_up,
            )  # fmt: skip
        return self._customer

    def scenarios(self) -> tuple[Scenario[Any], ...]:
        """Give the scenarios of the chosen provider, for the chosen type of account."""
        return Endpoint(self.settings.gateway, "", "").scenarios(top_up=self.settings.top_up)

    # What takes time, one at a time

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take the desk. Raises `Wrong` while something is being played."""
        if not self._busy.acquire(blocking=False):
            raise Wrong(BUSY)
        try:
            self.stopping.clear()
            yield
        finally:
            self._busy.release()

    def stop(self) -> None:
        """Let what is being played end with its next step."""
        self.stopping.set()

    def play(self, names: Sequence[str]) -> Iterator[Told]:
        """Play scenarios by their names, step by step."""
        with self.turn():
            known = {each.name: each for each in self.scenarios()}
            if unknown := [name for name in names if name not in known]:
                message = f"there is no scenario {unknown[0]!r}"
                raise Wrong(message)
            self.speaker()  # which may say what is lacking
            customer = self.customer()
            for name in names:
                yield from self.played(known[name], customer)
                if self.stopping.is_set():
                    break

    def played(self, scenario: Scenario[Any], customer: Customer) -> Iterator[Told]:
        """Play one."""
        speaker = self.speaker()
        yield {"kind": "scenario", "name": scenario.name, "about": scenario.about}
        speaker.news()
        for played in speaker.playing.play(scenario, customer):
            yield self.step(speaker, played.step)
            if self.stopping.is_set():
                return

    def call(self, given: Mapping[str, Any]) -> Iterator[Told]:
        """Make one call of the provider's."""
        with self.turn():
            speaker = self.speaker()
            account = {word(each, "name").strip(): word(each, "value") for each in listed(given, "account")}
            price = self.prices.get(account_key(account), tiyin_of(self.settings.amount or word(given, "amount")))
            yield {"kind": "scenario", "name": word(given, "call"), "about": ""}
            speaker.news()
            asked = calls.Asked(
                Order(account, price), one_of(given, "state", calls.STATES), self.settings.top_up, given, self.watch,
                self.attempts,
            )  # fmt: skip
            yield self.step(speaker, calls.made(speaker.playing.till, asked))

    def order(self, state: str) -> Iterator[Told]:
        """Place an order and bring it into a state of Payme's sandbox, so that single calls meet it there."""
        with self.turn():
            speaker, placed = self.speaker(), self.customer().new_order()
            if state == "unknown":
                placed = Order(dict.fromkeys(placed.account, calls.NOBODYS), placed.amount_tiyin)
            self.prices[account_key(placed.account)] = placed.amount_tiyin
            if state in ("held", "paid"):
                yield {"kind": "scenario", "name": NEW_ORDER, "about": ""}
                speaker.news()
                for step in calls.brought(speaker.playing.till, placed, state):
                    yield self.step(speaker, step)
            account, amount = list(placed.account.items()), str(tiyin_to_som(placed.amount_tiyin))
            yield {"kind": "order", "account": account, "amount": amount, "state": state}

    def open_link(self, link: str) -> Told:
        """Read a payer's link, and play its provider. Raises `Wrong`."""
        with self.turn():
            self.link = checkout.read_link(link)
            if self.link.gateway != self.settings.gateway:
                self.settings = replace(self.settings, gateway=self.link.gateway)
                self._speaker = self._customer = None
            service = self.provider(self.link.gateway)["service_id"]
            return {"link": checkout.shown(self.link, service), "about": self.about()}

    def pay(self, action: str) -> Iterator[Told]:
        """Do what a payer may do at the checkout."""
        with self.turn():
            if self.link is None or self.link.order is None:
                raise Wrong(NO_LINK)
            order, till = self.link.order, self.speaker().playing.till
            visit = checkout.Visit(self.watch, self.attempts, self.settings.top_up)
            payer = Customer(lambda: order, lambda _: None)
            yield from self.played(checkout.scenario_of(till, action, visit), payer)

    def repeat(self, number: int) -> Iterator[Told]:
        """Say something again, byte for byte."""
        with self.turn():
            heard = self.known(number)
            yield from self.said_again(heard, heard.exchange.asked, AGAIN)

    def send(self, number: int, body: str, *, sign: bool) -> Iterator[Told]:
        """Say something else in place of what was said; where `sign` asks for it, a form of Click's is signed anew."""
        with self.turn():
            heard = self.known(number)
            till = heard.speaker.playing.till
            if sign and isinstance(till, ClickTill):
                form = dict(parse_qsl(body, keep_blank_values=True, errors="surrogateescape"))
                form["sign_string"] = till.signature(form)
                body = urlencode(form, errors="surrogateescape")
            yield from self.said_again(heard, body, EDITED)

    def known(self, number: int) -> Heard:
        """Give an exchange of the conversation."""
        if number not in self.heard:
            message = f"exchange {number} is not remembered any more"
            raise Wrong(message)
        return self.heard[number]

    def said_again(self, heard: Heard, asked: str, how: str) -> Iterator[Told]:
        """Send, and compare the answer with the one before."""
        before, speaker = heard.exchange, heard.speaker
        call = read_request(speaker.playing.endpoint.gateway, asked).call
        yield {"kind": "scenario", "name": how, "about": ""}
        speaker.news()
        headers = speaker.headers.get(encoded(before.asked), {})
        try:
            status, answer = speaker.playing.record(encoded(asked), headers)
        except OSError as lost:
            yield self.step(speaker, Step("", call, "an answer", f"none: {lost}", ok=False, why=SILENCE))
        else:
            same = (status, text(answer)) == (before.status, before.answer)
            got = SAME if same else OTHER
            yield self.step(speaker, Step("", call, calls.ANY, got, ok=True, why="", skipped=True))

    # What the page is told

    def step(self, speaker: Speaker, step: Step) -> Told:
        """Tell a step, with what was said for it."""
        said = [self.exchange(each, speaker) for each in speaker.news()]
        return {"kind": "step", **asdict(step), "exchanges": said}

    def exchange(self, exchange: Exchange, speaker: Speaker) -> Told:
        """Tell an exchange, and remember it under a number of the page's own."""
        number, gateway = next(self._numbers), speaker.playing.endpoint.gateway
        self.heard[number] = Heard(exchange, speaker)
        if len(self.heard) > REMEMBERED:
            del self.heard[next(iter(self.heard))]
        move, said = self.watch.see(gateway, exchange), read_request(gateway, exchange.asked)
        known = self.watch.transactions.get((gateway, said.transaction))
        account = said.account or (known.account if known else "")
        answer = exchange.answer if len(exchange.answer) <= SHOWN else exchange.answer[:SHOWN] + "…"
        return {
            "number": number,
            "gateway": gateway,
            "path": exchange.path,
            "call": said.call,
            "asked": exchange.asked,
            "asked_pretty": pretty(exchange.asked),
            "status": exchange.status,
            "answer_pretty": pretty(answer),
            "took": exchange.took,
            "account": account,
            "account_state": self.watch.account_state(account),
            "transaction": said.transaction,
            "prepare_id": self.prepare_id(gateway, said, exchange.answer),
            "move": None if move is None else asdict(move),
        }

    def prepare_id(self, gateway: str, said: Said, answer: str) -> int | None:
        """Keep the number that Prepare was answered, for a Complete by hand."""
        if gateway != "click" or said.call != "Prepare":
            return None
        number = parsed(answer).get("merchant_prepare_id")
        if not isinstance(number, int):
            return None
        self.attempts[said.transaction] = number
        return number

    def told(self, events: Iterable[Told]) -> Generator[bytes]:
        """Write events as lines of JSON; what goes wrong on the way is the last of them."""
        try:
            for event in events:
                yield self.line(event)
        except (Wrong, Lacking, OSError) as wrong:
            yield self.line({"kind": "error", "text": str(wrong)})
        except Exception as error:  # noqa: BLE001 - of the shop's own function, which whoever wrote it wants to read
            yield self.line({"kind": "error", "text": f"{type(error).__name__}: {error}"})

    def line(self, event: Told) -> bytes:
        """Write one event, without keys."""
        return json.dumps(without(event, self.secrets())).encode() + b"\n"

    def secrets(self) -> list[str]:
        """Give all that must not be shown: keys as they are, as JSON and forms write them, and in Payme's header."""
        keys = [key for key in self.keys | {each.key for each in self.providers.values()} if len(key) >= LONG_ENOUGH]
        logins = {"Paycom", *(each.login for each in self.providers.values() if each.login)}
        headers = {b64encode(f"{login}:{key}".encode()).decode() for key in keys for login in logins}
        written = {form for key in keys for form in (key, json.dumps(key)[1:-1], quote(key, safe=""), quote_plus(key))}
        return sorted(headers | written, key=len, reverse=True)


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Give a value of JSON with every secret hidden."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, HIDDEN)
            return value
        case Mapping():
            return {name: without(each, secrets) for name, each in value.items()}
        case list() | tuple():
            return [without(each, secrets) for each in value]
        case _:
            return value


# What the page sends: JSON, of which nothing is believed


def word(given: Mapping[str, Any], name: str) -> str:
    """Give a text."""
    value = given.get(name, "")
    if not isinstance(value, str):
        message = f"{name} must be a text"
        raise Wrong(message)
    return value


def one_of(given: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
    """Give one of several words."""
    value = word(given, name)
    if value not in known:
        message = f"{name} must be one of {', '.join(known)}"
        raise Wrong(message)
    return value


def listed(given: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Give a list of objects."""
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        message = f"{name} must be a list of objects"
        raise Wrong(message)
    return value


def encoded(asked: str) -> bytes:
    """Give the bytes that a text in an `Exchange` stands for."""
    return asked.encode(errors="surrogateescape")


def tiyin_of(som: str) -> Tiyin:
    """Read an amount in som, of any sign: a wrong one may be wanted."""
    try:
        return som_to_tiyin(som.replace(" ", "").replace("_", "").replace("\u00a0", "").replace(",", "."))
    except ValueError as error:
        message = f"{som!r} is no amount in som: {error}"
        raise Wrong(message) from error
