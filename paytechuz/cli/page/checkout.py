"""A payer's link, and what a payer may do at the checkout: the provider's page, played.

A link is whatever the merchant's own code built, or whatever somebody typed: it is read, shown and paid, and nothing in
it says where to call. The actions are scenarios as those of the acceptance suites are, for the one order of the link.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from paytechuz.cli.config import Wrong
from paytechuz.cli.page.calls import Attempts, or_kept
from paytechuz.cli.page.watch import Watch, account_key
from paytechuz_core.money import som_to_tiyin, tiyin_to_som
from paytechuz_core.testing import Answer, Attempt, ClickAnswer, ClickTill, Order, Scenario, Shop, Step, Till
from paytechuz_core.testing import click as click_suite
from paytechuz_core.testing import payme as suite
from paytechuz_core.testing.till import TIME, account_error, error, result
from paytechuz_core.transaction import Millis, State

PAYME_HOSTS: Final = {"checkout.paycom.uz": False, "test.paycom.uz": True, "checkout.test.paycom.uz": True}
"""Where Payme's links lead, and whether to its sandbox."""

CLICK_HOST: Final = "my.click.uz"
CLICK_PATH: Final = "/services/pay"
LANGUAGES: Final = ("ru", "uz", "en")
LONGEST: Final = 8_000
"""How many characters of a link are read; browsers and servers take no more either."""

NO_LINK: Final = (
    "this is no payer's link: it begins with https://checkout.paycom.uz/, https://test.paycom.uz/ or "
    "https://my.click.uz/services/pay?"
)
NO_BASE64: Final = "What follows the host is no base64 of key=value pairs: Payme shows its payers an error."
NO_MERCHANT: Final = "The link does not say whose cash register it is (m)."
NO_SERVICE: Final = "The link does not say for which service it is (service_id)."
NO_CLICK_MERCHANT: Final = "The link does not name the merchant (merchant_id)."
NO_ACCOUNT: Final = "The link says nothing of what is paid for: Payme needs a field such as ac.order_id."
NO_PARAMETER: Final = "The link does not name the order (transaction_param): Click would bring it back."
NO_AMOUNT: Final = "The link names no amount that could be paid."
SOM_FOR_TIYIN: Final = "Payme counts in tiyin: this link asks for less than one som. Were som written into it?"
OTHER_SERVICE: Final = "The link is for another service than the one in the settings."
UNKNOWN_PART: Final = "The link has parts that its provider does not know."
DOUBLED_PART: Final = "The link says something twice: was there a ; in a value?"
NO_RETURN: Final = "The payer cannot go back: a return address begins with http:// or https://."
NO_LANGUAGE: Final = "The link asks for a language that Payme does not speak: ru, uz or en."

GONE: Final = (
    "The shop turns this payer away, and may be right: the payer reads its message. A customer who may pay and is"
    " turned away is a sale lost."
)

CLICK_PARTS: Final = frozenset(
    {"service_id", "merchant_id", "amount", "transaction_param", "return_url", "card_type", "merchant_user_id"}
)
Attempted: TypeAlias = Generator[Step, None, str | None]
"""Steps that end with the transaction's id, where it was paid."""

ClickAttempted: TypeAlias = Generator[Step, None, Attempt | None]
"""Steps that end with the attempt, where it was paid."""

PAYME_PARTS: Final = frozenset({"m", "a", "l", "c", "ct", "cr"})


@dataclass(frozen=True, slots=True)
class Link:
    """A payer's link, read. `problems` are what its provider or its payer would stumble over."""

    gateway: str
    merchant: str
    order: Order | None
    language: str = ""
    return_url: str = ""
    return_after: str = ""
    sandbox: bool = False
    problems: tuple[str, ...] = ()


def read_link(text: str) -> Link:
    """Read a link of Payme's or Click's, or one that leads to this page in its provider's place. Raises `Wrong`."""
    parts = urlsplit(text.strip()[:LONGEST])
    here = parts.hostname in ("127.0.0.1", "localhost")
    if parts.hostname == CLICK_HOST or (here and parts.path.rstrip("/") == CLICK_PATH):
        if parts.path.rstrip("/") != CLICK_PATH:
            raise Wrong(NO_LINK)
        return click_link(parts.query)
    if parts.hostname in PAYME_HOSTS or (here and parts.path.strip("/")):
        return payme_link(unquote(parts.path.lstrip("/")), sandbox=PAYME_HOSTS.get(parts.hostname or "", False))
    raise Wrong(NO_LINK)


def payme_link(encoded: str, *, sandbox: bool) -> Link:
    """Read what Payme's link encodes: `m=…;ac.order_id=…;a=…`."""
    try:
        text = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return Link("payme", "", None, sandbox=sandbox, problems=(NO_BASE64,))
    pairs = [pair.partition("=")[::2] for pair in text.split(";") if pair]
    told = dict(pairs)
    account = {name.removeprefix("ac."): value for name, value in told.items() if name.startswith("ac.") and value}
    tiyin = int(told["a"]) if is_whole(told.get("a", "")) else 0
    unknown = {name for name in told if not name.startswith("ac.")} - PAYME_PARTS
    problems = found(
        (NO_MERCHANT, not told.get("m")),
        (NO_ACCOUNT, not account),
        (NO_AMOUNT, tiyin <= 0),
        (SOM_FOR_TIYIN, 0 < tiyin < 100),  # noqa: PLR2004 - a som
        (UNKNOWN_PART, bool(unknown)),
        (DOUBLED_PART, len(told) < len(pairs)),
        (NO_LANGUAGE, told.get("l", "ru") not in LANGUAGES),
        (NO_RETURN, not may_return(told.get("c", ""))),
    )
    return Link(
        "payme", told.get("m", ""), Order(account, tiyin) if account and tiyin > 0 else None, told.get("l", ""),
        told.get("c", ""), told.get("ct", ""), sandbox, problems,
    )  # fmt: skip


def click_link(query: str) -> Link:
    """Read what Click's link says in its query."""
    pairs = parse_qsl(query, keep_blank_values=True)
    told = dict(pairs)
    named, service = told.get("transaction_param", ""), told.get("service_id", "")
    try:
        tiyin = som_to_tiyin(told.get("amount", ""))
    except ValueError:
        tiyin = 0
    problems = found(
        (NO_SERVICE, not is_whole(service)),
        (NO_CLICK_MERCHANT, not told.get("merchant_id")),
        (NO_PARAMETER, not named.strip()),
        (NO_AMOUNT, tiyin <= 0),
        (UNKNOWN_PART, not told.keys() <= CLICK_PARTS),
        (DOUBLED_PART, len(told) < len(pairs)),
        (NO_RETURN, not may_return(told.get("return_url", ""))),
    )
    order = Order({"transaction_param": named}, tiyin) if named.strip() and tiyin > 0 else None
    return Link("click", service, order, return_url=told.get("return_url", ""), problems=problems)


def found(*looked_for: tuple[str, bool]) -> tuple[str, ...]:
    """Give the problems that are there."""
    return tuple(problem for problem, there in looked_for if there)


def is_whole(text: str) -> bool:
    """Tell whether a text is a whole number as links have it: digits, and not too many."""
    return text.isascii() and text.isdigit() and len(text) <= 18  # noqa: PLR2004 - what 64 bits hold


def may_return(url: str) -> bool:
    """Tell whether a payer can be shown this address to go back to; there need be none."""
    if not url:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def shown(link: Link, service_id: str) -> dict[str, Any]:
    """Say what the payer would see. The address to go back to only where it is one."""
    other = link.gateway == "click" and bool(link.merchant and service_id) and link.merchant != service_id
    return {
        "gateway": link.gateway,
        "merchant": link.merchant,
        "sandbox": link.sandbox,
        "account": [] if link.order is None else list(link.order.account.items()),
        "amount": "" if link.order is None else str(tiyin_to_som(link.order.amount_tiyin)),
        "language": link.language,
        "return_url": link.return_url if may_return(link.return_url) else "",
        "return_after": link.return_after,
        "problems": [*link.problems, *([OTHER_SERVICE] if other else [])],
        "payable": link.order is not None,
        "actions": list(ACTIONS[link.gateway]),
    }


# What a payer may do


@dataclass(frozen=True, slots=True)
class Visit:
    """What the page knows while somebody stands at the checkout."""

    watch: Watch
    attempts: Attempts
    top_up: bool

    def state(self, order: Order) -> str | None:
        """Say what earlier payments have made of the order; None of one that may be paid as far as is known."""
        state = self.watch.account_state(account_key(order.account))
        return None if self.top_up or state == "awaiting" else state

    def last(self, gateway: str, order: Order) -> tuple[str, int]:
        """Give the last transaction for the order, and its state; 0 where there is none."""
        number = self.watch.newest(gateway, account_key(order.account)) or ""
        return number, self.watch.state(gateway, number) or 0


def scenario_of(till: Till | ClickTill, action: str, visit: Visit) -> Scenario[Any]:
    """Give an action as a scenario. Raises `Wrong` where the provider has no such action."""
    gateway = "payme" if isinstance(till, Till) else "click"
    if action not in ACTIONS[gateway]:
        message = f"a payer of {gateway.capitalize()} cannot {action}"
        raise Wrong(message)
    return Scenario(action, "", partial(ACTIONS[gateway][action], visit))


# A payer of Payme


def pay(visit: Visit, till: Till, shop: Shop) -> Attempted:
    """Pay: may I, reserve, the money has left. Gives the transaction's id where it was paid."""
    order = shop.new_order()
    asked = till.check_perform(order)
    yield at_the_door(asked, order, visit.state(order))
    if asked.result.get("allow") is not True:
        return None
    transaction = till.new_id()
    created = create(till, transaction, shop.now(), order)
    yield created.expect(result(state=1, create_time=TIME), suite.BORN)
    if created.result.get("state") != State.INITIATING:
        return None
    performed = till.call("PerformTransaction", {"id": transaction})
    yield performed.expect(result(state=2, perform_time=TIME), suite.MONEY)
    return transaction if performed.result.get("state") == State.SUCCESSFULLY else None


def cancel(visit: Visit, till: Till, shop: Shop) -> Iterator[Step]:
    """Cancel: give up what is not paid, take back what is; begin to pay first where there is neither."""
    order = shop.new_order()
    transaction, state = visit.last("payme", order)
    if state == State.SUCCESSFULLY:
        refunded = till.call("CancelTransaction", {"id": transaction, "reason": suite.REFUND}, note="the money back")
        yield refunded.expect(or_kept(result(state=-2, cancel_time=TIME)), suite.GIVE_UP)
        return
    if state != State.INITIATING:
        asked, transaction = till.check_perform(order), till.new_id()
        yield at_the_door(asked, order, visit.state(order))
        if asked.result.get("allow") is not True:
            return
        created = create(till, transaction, shop.now(), order)
        yield created.expect(result(state=1, create_time=TIME), suite.BORN)
        if created.result.get("state") != State.INITIATING:
            return
    given_up = till.call("CancelTransaction", {"id": transaction, "reason": suite.DEBIT_FAILED})
    yield given_up.expect(result(state=-1, cancel_time=TIME), suite.GIVE_UP)


def pay_twice(visit: Visit, till: Till, shop: Shop) -> Iterator[Step]:
    """Pay, let Payme tell it twice, and let a second payer come."""
    order = shop.new_order()
    if visit.state(order) is None:
        transaction = yield from pay(visit, till, shop)
        if transaction is None:
            return
        again = till.call("PerformTransaction", {"id": transaction}, note="told again")
        yield again.expect(result(state=2), suite.DELIVERED)
    if visit.top_up:  # a balance takes any number of payments
        yield from pay(visit, till, shop)
        return
    refused = account_error(order.account, or_code=suite.CANNOT_PERFORM)
    yield till.check_perform(order, note="a second payer").expect(refused, suite.PAID_ONCE)
    second = create(till, till.new_id(), shop.now(), order, note="a second payer")
    yield second.expect(refused, suite.PAID_ONCE)


def lose_the_answer(visit: Visit, till: Till, shop: Shop) -> Iterator[Step]:
    """Lose the answer to every write, and ask again as Payme does: both answers must be the same, byte for byte."""
    order = shop.new_order()
    asked = till.check_perform(order)
    yield at_the_door(asked, order, visit.state(order))
    if asked.result.get("allow") is not True:
        return
    transaction = till.new_id()
    created = till.create(transaction, shop.now(), order, note="the first answer is lost")
    yield created.expect(result(state=1, create_time=TIME), suite.BORN)
    performed = till.perform(transaction, note="the first answer is lost")
    yield performed.expect(result(state=2, perform_time=TIME), suite.MONEY)
    yield till.check(transaction).expect(result(state=2), suite.LOOK)


def wait_12_hours(visit: Visit, till: Till, shop: Shop) -> Iterator[Step]:
    """Fall asleep at the checkout, and pay when Payme has given the money back."""
    order = shop.new_order()
    asked = till.check_perform(order)
    yield at_the_door(asked, order, visit.state(order))
    if asked.result.get("allow") is not True:
        return
    transaction = till.new_id()
    created = create(till, transaction, shop.now() - suite.NEARLY_EXPIRED, order, note="nearly 12 hours old")
    yield created.expect(result(state=1, create_time=TIME), suite.BORN)
    shop.advance(2000)
    late = till.call("PerformTransaction", {"id": transaction}, note="past 12 hours")
    yield late.expect(error(suite.CANNOT_PERFORM), suite.LATE)
    yield till.check(transaction).expect(result(state=-1, reason=suite.TIMEOUT), suite.LATE)
    yield till.check_perform(order, note="after the timeout").expect(suite.ALLOWED, suite.RELEASED)


def create(till: Till, transaction: str, moment: Millis, order: Order, *, note: str = "") -> Answer:
    """Reserve the order, once: the till's own `create` asks twice, as the sandbox does."""
    params = {"id": transaction, "time": moment, "amount": order.amount_tiyin, "account": dict(order.account)}
    return till.call("CreateTransaction", params, note=note)


def at_the_door(asked: Answer, order: Order, state: str | None) -> Step:
    """Judge whether the payer is let in: an order that is known to be taken must be closed to him."""
    if state is not None:
        refused = account_error(order.account, or_code=suite.CANNOT_PERFORM)
        return asked.expect(refused, suite.PAID_ONCE if state == "paid" else suite.ONE_LIVE)
    if asked.fault() is None and asked.error:
        return Step("", asked.call, suite.ALLOWED.text, asked.summary, ok=True, why=GONE, skipped=True)
    return asked.expect(suite.ALLOWED, suite.FREE)


# A payer of Click


def click_pay(visit: Visit, till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Pay: Prepare, and Complete once the money has left."""
    yield from click_paid(visit, till, shop)


def click_paid(visit: Visit, till: ClickTill, shop: Shop) -> ClickAttempted:
    """Give the attempt where it was paid."""
    order = shop.new_order()
    attempt = till.attempt(order)
    asked = attempt.prepare()
    yield at_clicks_door(asked, visit.state(order))
    if asked.error != click_suite.SUCCESS:
        return None
    completed = attempt.complete()
    yield completed.expect(click_suite.SUCCESS, click_suite.DELIVERED)
    return attempt if completed.error == click_suite.SUCCESS else None


def click_cancel(visit: Visit, till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Cancel: give up what is not paid, take back what is; begin to pay first where there is neither."""
    order = shop.new_order()
    number, state = visit.last("click", order)
    if state in (State.INITIATING, State.SUCCESSFULLY):
        known = visit.watch.transactions["click", number]
        attempt = till.attempt(order, number=int(number), payment=int(known.payment))
        attempt.prepare_id = visit.attempts.get(number, 1)
    else:
        attempt = till.attempt(order)
        asked = attempt.prepare()
        yield at_clicks_door(asked, visit.state(order))
        if asked.error != click_suite.SUCCESS:
            return
    if state == State.SUCCESSFULLY:
        back = attempt.complete(click_suite.NOT_DEBITED, note="the money back")
        yield back.expect((click_suite.CANCELLED, click_suite.ALREADY_PAID), click_suite.REVERSED)
    else:
        yield attempt.complete(click_suite.NOT_DEBITED).expect(click_suite.CANCELLED, click_suite.GIVEN_UP)


def click_pay_twice(visit: Visit, till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Pay, let Click tell it twice, and let a second payer come."""
    order = shop.new_order()
    if visit.state(order) != "paid":
        attempt = yield from click_paid(visit, till, shop)
        if attempt is None:
            return
        yield attempt.complete(note="told again").expect(click_suite.ALREADY_PAID, click_suite.PAID_ONCE)
    if visit.top_up:  # a balance takes any number of payments
        yield from click_paid(visit, till, shop)
        return
    second = till.attempt(order).prepare(note="a second payer")
    yield second.expect((click_suite.ALREADY_PAID, click_suite.UNKNOWN_ORDER), click_suite.PAID_ONCE)


def click_lose_the_answer(visit: Visit, till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Lose both answers, and ask again as Click does: the same number first, and that it is paid already then."""
    order = shop.new_order()
    attempt = till.attempt(order)
    asked = attempt.prepare(note="the answer is lost")
    yield at_clicks_door(asked, visit.state(order))
    if asked.error != click_suite.SUCCESS:
        return
    again = attempt.prepare(note="asked again")
    yield again.expect(click_suite.SUCCESS, click_suite.REPEATED, prepare_id=asked.prepare_id)
    yield attempt.complete(note="the answer is lost").expect(click_suite.SUCCESS, click_suite.DELIVERED)
    yield attempt.complete(note="told again").expect(click_suite.ALREADY_PAID, click_suite.PAID_ONCE)


def at_clicks_door(asked: ClickAnswer, state: str | None) -> Step:
    """Judge whether the payer is let in: an order that is known to be paid must be closed to him."""
    if state == "paid":
        return asked.expect((click_suite.ALREADY_PAID, click_suite.UNKNOWN_ORDER), click_suite.PAID_ONCE)
    if asked.fault() is None and asked.error != click_suite.SUCCESS:
        return Step("", asked.call, "0", asked.summary, ok=True, why=GONE, skipped=True)
    return asked.expect(click_suite.SUCCESS, click_suite.RESERVED)


ACTIONS: Final[Mapping[str, Mapping[str, Callable[[Visit, Any, Shop], Iterator[Step]]]]] = {
    "payme": {
        "pay": pay, "cancel": cancel, "pay twice": pay_twice, "lose the answer": lose_the_answer,
        "wait 12 hours": wait_12_hours,
    },
    # Click knows no limit of time: an attempt that it prepared may be completed whenever it comes.
    "click": {
        "pay": click_pay, "cancel": click_cancel, "pay twice": click_pay_twice,
        "lose the answer": click_lose_the_answer,
    },
}  # fmt: skip
"""What a payer may do, by provider and name."""
