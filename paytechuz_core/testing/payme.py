"""Payme's acceptance suite as plain functions: a way to call, a shop to order from, and what must be answered.

    till = Till(over_http("http://127.0.0.1:8000/payments/payme/webhook"), key="…")
    for step in play(ONE_TIME, till, shop):
        print(step.scenario, step.call, step.expected, step.got, step.ok)

A scenario is one page of the provider's suite: it orders, calls and yields a `Step` for every answer. `ONE_TIME` is for
orders that are paid once, `TOP_UP` for accounts that are paid again and again. Beside what Payme's sandbox tests
(https://developer.help.paycom.uz/pesochnitsa) they hold what it leaves out and what costs money: calls that come too
late, a cancelled payment called back to life, a retry after a failed debit, unknown ids, requests that are none.

Every write is sent twice, byte for byte, as the sandbox does, and the two answers must be the same, byte for byte.

The numbers here are read from the provider's pages, not from the gateway that they examine. Nothing here needs pytest.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from paytechuz_core.testing.suite import Order, Scenario, Shop, Step, at_once, balance, scenario, show, status
from paytechuz_core.testing.till import (
    ACCOUNT_RANGE,
    NUMBER,
    SYSTEM_ERROR,
    TIME,
    Answer,
    Expected,
    Till,
    account_error,
    error,
    kept,
    listing,
    near,
    result,
)
from paytechuz_core.transaction import Millis

# The provider's numbers

NOT_JSON: Final = -32700
BAD_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
NOT_ALLOWED: Final = -32504
WRONG_AMOUNT: Final = -31001
TRANSACTION_NOT_FOUND: Final = -31003
CANNOT_PERFORM: Final = -31008

LIFETIME: Final[Millis] = 43_200_000
"""How long an unpaid transaction lives, counted from its `time`."""

NEARLY_EXPIRED: Final[Millis] = LIFETIME - 1500
"""The age of a transaction that is created in time and expires during the next two seconds."""

DEBIT_FAILED: Final = 2
TIMEOUT: Final = 4
REFUND: Final = 5

SANDBOX_PASSWORD: Final = "Uzcard:someRandomString1545343543545"  # noqa: S105 - no secret, a wrong key
"""The password of the sandbox's own bad-credentials test: only the first colon of a header splits it."""

CROWD: Final = 8
"""How many calls come at once."""

ALLOWED: Final = result(allow=True)

# Why it matters, and how to mend it

TRUST: Final = (
    "Whoever gets past this can mark any order as paid: compare login and key with the header, split at its first"
    " colon, before anything else is looked at, and answer -32504."
)
EXACT: Final = (
    "A payer could set the price: compare the amount with the order's own, in whole tiyin, and answer -31001."
)
EXISTS: Final = (
    "Money for an order that nobody knows must be sought and sent back by hand: answer -31050…-31099 with the account"
    " field's name in `data`, before the amount is looked at."
)
FREE: Final = "A customer who may pay and is turned away is a sale lost: allow what awaits payment."
ONE_LIVE: Final = (
    "Two payers would be debited for one order: let one live transaction hold it, by a unique key in the database, and"
    " answer -31050…-31099 to any other id."
)
PAID_ONCE: Final = "The order would be paid twice: a paid order takes no other transaction; answer -31050…-31099."
BORN: Final = (
    "Payme debits the card only after this answer: store the transaction before answering, and give back `create_time`"
    " (13 digits, milliseconds, UTC), your `transaction` as a text and `state` 1."
)
MONEY: Final = (
    "This call alone says that the money has left the payer's card: set state 2 and mark the order paid in one database"
    " transaction, and answer the stored `perform_time`."
)
DELIVERED: Final = (
    "A hook that runs twice delivers twice, and one that does not run leaves a payer without what was paid for: run the"
    " paid hook once for each move to state 2, in the same database transaction, and never for a repeated call."
)
LOOK: Final = (
    "Payme decides by this answer what to do with the payer's money: give all six members as stored, unset times as"
    " 0, an unset reason as null."
)
GIVE_UP: Final = (
    "A cancel that fails leaves the payer's money blocked and the order reserved: move 1 to -1 and 2 to -2, store time"
    " and reason once, and answer these ever after."
)
DEAD: Final = (
    "A cancelled payment that comes back delivers goods nobody paid for: no call leads out of a negative state;"
    " answer -31008."
)
LATE: Final = (
    "After 12 hours Payme has given the money back: where `time` is more than 43 200 000 ms ago, Perform and a repeated"
    " Create must cancel (state -1, reason 4), save that, and answer -31008."
)
RELEASED: Final = (
    "An abandoned or failed attempt must not close the order to the payer's next one: release it with state -1."
)
LISTED: Final = (
    "Payme compares its books with this list, and a missing row is a payment nobody vouches for: select by Payme's own"
    " `time`, both ends included, ascending, every state."
)
UNHEARD_OF: Final = (
    "Any other code makes Payme believe that the transaction exists: answer -31003 for an id never created."
)
READ: Final = (
    "Payme repeats a call that crashed for hours, and half a request may pay the wrong order: answer what cannot be"
    " read with -32700 and what is no call with -32600, and change nothing."
)


# Invalid data


@scenario
def bad_credentials(till: Till, shop: Shop) -> Iterator[Step]:
    """Turn away everybody but Payme, whatever is asked (A1)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    stranger = till.authorization("not the key")
    params = {
        "id": transaction,
        "time": moment,
        "amount": order.amount_tiyin,
        "account": order.account,
        "reason": REFUND,
    }
    for header, note in (
        (till.authorization(SANDBOX_PASSWORD), "as the sandbox calls"),
        (None, "no Authorization"),
        ("Basic", "no credentials"),
        ("Basic oops!", "not base64"),
        ("Bearer " + till.key, "another scheme"),
        (till.authorization(""), "empty key"),
        (till.authorization(till.key + ":"), "key and a colon"),
        (till.authorization(till.key[:-1]), "key cut short"),
    ):
        asked = till.call("CheckPerformTransaction", {"amount": 1, "account": {}}, note=note, authorization=header)
        yield asked.expect(error(NOT_ALLOWED), TRUST)
    for method in (
        "CheckPerformTransaction",
        "CreateTransaction",
        "PerformTransaction",
        "CancelTransaction",
        "CheckTransaction",
    ):
        yield till.call(method, params, note="wrong key", authorization=stranger).expect(error(NOT_ALLOWED), TRUST)
    window = {"from": moment - LIFETIME, "to": moment}
    yield till.call("GetStatement", window, note="wrong key", authorization=stranger).expect(error(NOT_ALLOWED), TRUST)
    yield till.check(transaction, note="created with a wrong key").expect(error(TRANSACTION_NOT_FOUND), TRUST)


@scenario
def wrong_amount(till: Till, shop: Shop) -> Iterator[Step]:
    """Take an order's exact price and no other, to the tiyin (A2)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    price = order.amount_tiyin
    for amount, note in (
        (3, "3 tiyin"),
        (price - 1, "a tiyin less"),
        (price + 1, "a tiyin more"),
        (price * 100, "a hundredfold"),
        (-price, "negative"),
    ):
        yield till.check_perform(order, amount, note=note).expect(error(WRONG_AMOUNT), EXACT)
        yield till.create(transaction, moment, order, amount, note=note).expect(error(WRONG_AMOUNT), EXACT)
    yield till.check(transaction, note="the refused id").expect(error(TRANSACTION_NOT_FOUND), EXACT)
    yield till.check_perform(order, note="the right amount").expect(ALLOWED, FREE)
    yield status(shop, order, paid=False, why=EXACT)


@scenario
def unknown_account(till: Till, shop: Shop) -> Iterator[Step]:
    """Turn away money for what nobody ordered, and say which field is wrong (A3)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    names = tuple(order.account)
    stranger = dict.fromkeys(names, "999999999")
    for account, note in (
        (stranger, "unknown"),
        (dict.fromkeys(names, "no such thing"), "unknown text"),
        (dict.fromkeys(names, "9" * 200), "200 digits"),
        (dict.fromkeys(names, "1.5"), "a fraction"),
        (dict.fromkeys(names, " "), "blank"),
        (dict.fromkeys(names), "null"),
        ({}, "field missing"),
    ):
        yield till.check_perform(order, note=note, account=account).expect(account_error(names), EXISTS)
        yield till.create(transaction, moment, order, note=note, account=account).expect(account_error(names), EXISTS)
    yield till.check(transaction, note="the refused id").expect(error(TRANSACTION_NOT_FOUND), EXISTS)
    both = till.check_perform(order, 1, note="unknown, and a wrong amount", account=stranger)
    yield both.expect(account_error(names), EXISTS)


# Scenario 1 and scenario 2


@scenario
def create_and_cancel(till: Till, shop: Shop) -> Iterator[Step]:
    """Reserve an order, and give it up before it is paid (scenario 1, B1 to B9)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    yield from reserve(till, order, transaction, moment)
    cancelled = till.cancel(transaction, DEBIT_FAILED)
    yield cancelled.expect(result(state=-1, cancel_time=near(shop.now()), transaction=NUMBER), GIVE_UP)
    yield till.check(transaction).expect(
        result(
            state=-1, create_time=TIME, perform_time=0, cancel_time=kept(cancelled, "cancel_time"), reason=DEBIT_FAILED
        ),
        LOOK,
    )
    again = till.cancel(transaction, REFUND, note="another reason")
    yield again.expect(result(state=-1, cancel_time=kept(cancelled, "cancel_time")), GIVE_UP)
    yield till.check(transaction).expect(result(state=-1, reason=DEBIT_FAILED), GIVE_UP)
    yield till.perform(transaction, note="after the cancel").expect(error(CANNOT_PERFORM), DEAD)
    yield status(shop, order, paid=False, why=DEAD)


@scenario
def perform_and_refund(till: Till, shop: Shop) -> Iterator[Step]:
    """Reserve an order, take its payment and give it back (scenario 2, C1 to C12)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    yield from reserve(till, order, transaction, moment)
    yield status(shop, order, paid=False, why=MONEY)
    performed = till.perform(transaction)
    yield performed.expect(result(state=2, perform_time=near(shop.now()), transaction=NUMBER), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)
    yield till.check(transaction).expect(
        result(state=2, create_time=TIME, perform_time=kept(performed, "perform_time"), cancel_time=0, reason=None),
        LOOK,
    )
    yield till.create(transaction, moment, order, note="after the payment").expect(error(CANNOT_PERFORM), PAID_ONCE)
    refunded = till.cancel(transaction, REFUND)
    yield refunded.expect(result(state=-2, cancel_time=near(shop.now()), transaction=NUMBER), GIVE_UP)
    kept_times = {"perform_time": kept(performed, "perform_time"), "cancel_time": kept(refunded, "cancel_time")}
    yield till.check(transaction).expect(result(state=-2, create_time=TIME, **kept_times, reason=REFUND), LOOK)
    yield status(shop, order, paid=False, why=GIVE_UP)
    yield till.perform(transaction, note="after the refund").expect(error(CANNOT_PERFORM), DEAD)
    yield till.check(transaction).expect(result(state=-2, **kept_times, reason=REFUND), DEAD)
    yield status(shop, order, paid=False, why=DEAD)


def reserve(till: Till, order: Order, transaction: str, moment: Millis) -> Iterator[Step]:
    """Begin as both scenarios do: check, create, look, and turn another transaction away (B1 to B6)."""
    yield till.check_perform(order).expect(ALLOWED, FREE)
    created = till.create(transaction, moment, order)
    yield created.expect(result(state=1, create_time=near(moment), transaction=NUMBER), BORN)
    unset = {"perform_time": 0, "cancel_time": 0, "reason": None}
    yield till.check(transaction).expect(
        result(state=1, create_time=kept(created, "create_time"), **unset, transaction=NUMBER), LOOK
    )
    # The provider's page says -31008 here, its sandbox wants the account range: either turns the second payer away.
    rival = till.create(till.new_id(), moment, order, note="a second id")
    yield rival.expect(account_error(order.account, or_code=CANNOT_PERFORM), ONE_LIVE)


# Orders in other states


@scenario
def held_order(till: Till, shop: Shop) -> Iterator[Step]:
    """Close an order to others while one transaction is paying for it (D2)."""
    order, transaction, rival, moment = shop.new_order(), till.new_id(), till.new_id(), shop.now()
    yield till.create(transaction, moment, order).expect(result(state=1), BORN)
    yield till.check_perform(order, note="held").expect(account_error(order.account), ONE_LIVE)
    yield till.check_perform(order, order.amount_tiyin + 1, note="held, wrong amount").expect(
        error(WRONG_AMOUNT), EXACT
    )
    second = till.create(rival, moment, order, note="a second id")
    yield second.expect(account_error(order.account, or_code=CANNOT_PERFORM), ONE_LIVE)
    yield till.perform(rival, note="the second id").expect(error(TRANSACTION_NOT_FOUND), ONE_LIVE)
    yield till.perform(transaction, note="the first id").expect(result(state=2), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def paid_order(till: Till, shop: Shop) -> Iterator[Step]:
    """Close a paid order, and a refunded one, for good (D3)."""
    order, transaction, moment = shop.new_order(), till.new_id(), shop.now()
    yield till.create(transaction, moment, order).expect(result(state=1), BORN)
    yield till.perform(transaction).expect(result(state=2), MONEY)
    for state in ("paid", "refunded"):
        rival = till.new_id()
        yield till.check_perform(order, note=state).expect(account_error(order.account), PAID_ONCE)
        second = till.create(rival, moment, order, note=f"a second id, {state}")
        yield second.expect(account_error(order.account, or_code=CANNOT_PERFORM), PAID_ONCE)
        yield till.perform(rival, note="the second id").expect(error(TRANSACTION_NOT_FOUND), PAID_ONCE)
        yield status(shop, order, paid=state == "paid", why=PAID_ONCE)
        if state == "paid":
            yield till.cancel(transaction, REFUND).expect(result(state=-2), GIVE_UP)


@scenario
def retry_after_a_cancelled_attempt(till: Till, shop: Shop) -> Iterator[Step]:
    """Let an order whose debit failed be paid by the next transaction, and by that one only."""
    order, failed, retry, moment = shop.new_order(), till.new_id(), till.new_id(), shop.now()
    yield till.create(failed, moment, order).expect(result(state=1), BORN)
    cancelled = till.cancel(failed, DEBIT_FAILED)
    yield cancelled.expect(result(state=-1), GIVE_UP)
    yield till.check_perform(order, note="after a failed debit").expect(ALLOWED, RELEASED)
    yield till.create(retry, moment, order, note="a new id").expect(result(state=1), RELEASED)
    yield till.create(failed, moment, order, note="the failed id").expect(error(CANNOT_PERFORM), DEAD)
    yield till.perform(failed, note="the failed id").expect(error(CANNOT_PERFORM), DEAD)
    yield status(shop, order, paid=False, why=DEAD)
    yield till.perform(retry, note="the new id").expect(result(state=2), MONEY)
    kept_time = kept(cancelled, "cancel_time")
    yield till.cancel(failed, REFUND, note="the failed id").expect(result(state=-1, cancel_time=kept_time), GIVE_UP)
    yield status(shop, order, paid=True, why=DELIVERED)


# What the sandbox leaves out


@scenario
def expired_transaction(till: Till, shop: Shop) -> Iterator[Step]:
    """Never perform a transaction that is 12 hours old: end it when Payme next speaks of it."""
    late, repeated = till.new_id(), till.new_id()
    order, other = shop.new_order(), shop.new_order()
    moment = shop.now() - NEARLY_EXPIRED
    yield till.create(late, moment, order, note="nearly 12 hours old").expect(result(state=1), BORN)
    yield till.create(repeated, moment, other, note="nearly 12 hours old").expect(result(state=1), BORN)
    shop.advance(2000)
    yield till.check(late, note="past 12 hours").expect(
        result(state=1, perform_time=0, cancel_time=0, reason=None), LOOK
    )
    yield till.perform(late, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    ended = result(state=-1, perform_time=0, cancel_time=near(shop.now()), reason=TIMEOUT)
    yield till.check(late).expect(ended, LATE)
    yield till.create(repeated, moment, other, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    yield till.check(repeated).expect(ended, LATE)
    for each in (order, other):
        yield status(shop, each, paid=False, why=LATE)
    yield till.check_perform(order, note="after the timeout").expect(ALLOWED, RELEASED)
    stillborn = till.new_id()
    yield till.create(stillborn, shop.now() - LIFETIME - 2000, order, note="past 12 hours").expect(
        error(CANNOT_PERFORM), LATE
    )
    yield till.check(stillborn).expect(error(TRANSACTION_NOT_FOUND), LATE)


@scenario
def expired_holder(till: Till, shop: Shop) -> Iterator[Step]:
    """Give an order that was abandoned for 12 hours to the next transaction."""
    order, abandoned, successor = shop.new_order(), till.new_id(), till.new_id()
    yield till.create(abandoned, shop.now() - NEARLY_EXPIRED, order, note="nearly 12 hours old").expect(
        result(state=1), BORN
    )
    yield till.check_perform(order, note="held").expect(account_error(order.account), ONE_LIVE)
    shop.advance(2000)
    yield till.check_perform(order, note="the holder expired").expect(ALLOWED, RELEASED)
    yield till.create(successor, shop.now(), order, note="a new id").expect(result(state=1), RELEASED)
    yield till.check(abandoned).expect(result(state=-1, perform_time=0, cancel_time=TIME, reason=TIMEOUT), LATE)
    yield till.perform(abandoned, note="the old id").expect(error(CANNOT_PERFORM), DEAD)
    yield till.perform(successor, note="the new id").expect(result(state=2), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def statement(till: Till, shop: Shop) -> Iterator[Step]:
    """List what was created, in every state, by Payme's time (E2)."""
    start = shop.now() - 60 * 60 * 1000
    # Created in another order than that of their times, so that no clock of the shop's own can put them right.
    times = {start + 30: 1, start + 10: 2, start + 40: -1, start + 20: -2}
    rows: dict[Millis, Mapping[str, Any]] = {}
    for time, state in times.items():
        order, transaction = shop.new_order(), till.new_id()
        answer = till.create(transaction, time, order)
        yield answer.expect(result(state=1), BORN)
        if state not in (1, -1):
            answer = till.perform(transaction)
            yield answer.expect(result(state=2), MONEY)
        if state < 0:
            answer = till.cancel(transaction, REFUND)
            yield answer.expect(result(state=state), GIVE_UP)
        checked = till.check(transaction)
        yield checked.expect(result(state=state), LOOK)
        rows[time] = {
            **checked.result,
            "id": transaction,
            "time": time,
            "amount": order.amount_tiyin,
            "account": dict(order.account),
        }
    refused = till.create(till.new_id(), start + 25, shop.new_order(), 0, note="refused")
    yield refused.expect(Expected("an error", lambda it: it.code is not None), EXACT)
    for first, last, note in (
        (start + 10, start + 40, "both ends included"),
        (start + 11, start + 39, "a millisecond less"),
        (start + 20, start + 20, "one millisecond"),
        (start + 1, start + 9, "nothing there"),
        (start + 40, start + 10, "from after to"),
    ):
        wanted = [rows[time] for time in sorted(rows) if first <= time <= last]
        yield till.statement(first, last, note=note).expect(listing(wanted), LISTED)


@scenario
def unknown_transaction(till: Till, shop: Shop) -> Iterator[Step]:
    """Know no transaction that was never created, by any method."""
    del shop
    unknown = till.new_id()
    yield till.perform(unknown).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)
    yield till.cancel(unknown, REFUND).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)
    yield till.check(unknown).expect(error(TRANSACTION_NOT_FOUND), UNHEARD_OF)


@scenario
def malformed_requests(till: Till, shop: Shop) -> Iterator[Step]:
    """Answer what is no request with Payme's own errors, and change nothing."""
    for body, note in ((b"{oops", "broken JSON"), (b"", "empty body"), (b"\xff", "not UTF-8")):
        yield till.post(body, note).expect(error(NOT_JSON), READ)
    for body, note in (
        (b"[]", "a list"),
        (b'"CheckTransaction"', "a text"),
        (b'{"params": {}}', "no method"),
        (b'{"method": "CheckTransaction", "params": []}', "params a list"),
    ):
        yield till.post(body, note).expect(error(BAD_REQUEST), READ)
    unknown = till.call("PayTransaction", {})
    yield unknown.expect(
        Expected(
            "-32601 with its name", lambda it: (it.code, it.error.get("data")) == (UNKNOWN_METHOD, "PayTransaction")
        ),
        READ,
    )
    order, transaction = shop.new_order(), till.new_id()
    yield till.call("PerformTransaction", {}, note="without an id").expect(error(BAD_REQUEST), READ)
    whole = {"id": transaction, "time": shop.now(), "amount": order.amount_tiyin, "account": order.account}
    for name in whole:
        params = {key: value for key, value in whole.items() if key != name}
        yield till.call("CreateTransaction", params, note=f"without {name}").expect(error(BAD_REQUEST), READ)
    for wrong in (str(order.amount_tiyin), order.amount_tiyin + 0.5, True, None):
        created = till.call("CreateTransaction", {**whole, "amount": wrong}, note=f"amount {show(wrong)}")
        yield created.expect(error(BAD_REQUEST), READ)
    yield till.check(transaction).expect(error(TRANSACTION_NOT_FOUND), READ)
    for echo in ("a text", 0, None):
        asked = json.dumps({"id": echo, "method": "CheckTransaction", "params": {"id": transaction}}).encode()
        yield till.post(asked, f"id {show(echo)}, no jsonrpc", echo=echo).expect(error(TRANSACTION_NOT_FOUND), READ)


# All at once: these call from several threads, so they need an endpoint over HTTP


@scenario
def repeated_at_once(till: Till, shop: Shop) -> Iterator[Step]:
    """Answer a call once, though it is repeated before the first answer is out."""
    order, transaction, moment, hasty = shop.new_order(), till.new_id(), shop.now(), till.crowded(CROWD)
    yield hasty.create(transaction, moment, order).expect(result(state=1), BORN)
    performed = hasty.perform(transaction)
    yield performed.expect(result(state=2, perform_time=near(shop.now())), MONEY)
    yield status(shop, order, paid=True, why=DELIVERED)
    refunded = hasty.cancel(transaction, REFUND)
    yield refunded.expect(result(state=-2, cancel_time=near(shop.now())), GIVE_UP)
    yield status(shop, order, paid=False, why=GIVE_UP)
    kept_times = {"perform_time": kept(performed, "perform_time"), "cancel_time": kept(refunded, "cancel_time")}
    yield till.check(transaction).expect(result(state=-2, **kept_times, reason=REFUND), LOOK)


@scenario
def rivals_for_one_order(till: Till, shop: Shop) -> Iterator[Step]:
    """Let one of several payers who come at once pay, and only that one."""
    order, moment = shop.new_order(), shop.now()
    params = {"time": moment, "amount": order.amount_tiyin, "account": dict(order.account)}
    rivals = {till.new_id(): Answer("", None, 0, b"") for _ in range(CROWD)}
    calls = [partial(till.call, "CreateTransaction", {"id": rival, **params}) for rival in rivals]
    rivals = dict(zip(rivals, at_once(calls), strict=True))
    winners = [rival for rival, answer in rivals.items() if answer.result.get("state") == 1]
    yield Step(
        "", f"{CROWD} CreateTransaction at once, each with an id of its own", "state 1 to one, an error to the others",
        ", ".join(sorted(answer.summary for answer in rivals.values())),
        len(winners) == 1 and all(turned_away(answer) for rival, answer in rivals.items() if rival not in winners),
        ONE_LIVE,
    )  # fmt: skip
    for rival in rivals:
        expected = result(state=2) if rival in winners[:1] else error(TRANSACTION_NOT_FOUND)
        yield till.perform(rival, note="the winner" if rival in winners else "turned away").expect(expected, ONE_LIVE)
    yield status(shop, order, paid=True, why=DELIVERED)


def turned_away(answer: Answer) -> bool:
    """Tell whether a rival was told to go; a system error is as good, since Payme then asks again."""
    return answer.code in ACCOUNT_RANGE or answer.code in (CANNOT_PERFORM, SYSTEM_ERROR)


# Accounts that are paid again and again


@scenario
def top_up(till: Till, shop: Shop) -> Iterator[Step]:
    """Take several payments for one balance at once, and count each of them once (D5)."""
    order, moment = shop.new_order(), shop.now()
    amount = order.amount_tiyin
    first, second = till.new_id(), till.new_id()
    yield till.check_perform(order).expect(ALLOWED, FREE)
    created = till.create(first, moment, order)
    yield created.expect(result(state=1, create_time=near(moment), transaction=NUMBER), BORN)
    yield till.check(first).expect(result(state=1, create_time=kept(created, "create_time"), perform_time=0), LOOK)
    yield till.check_perform(order, amount + 1, note="while one is live").expect(ALLOWED, FREE)
    yield till.create(second, moment, order, amount + 1, note="a second id").expect(result(state=1), FREE)
    yield balance(shop, order, 0, MONEY)
    yield till.perform(second, note="the second id").expect(result(state=2, perform_time=near(shop.now())), MONEY)
    yield balance(shop, order, amount + 1, DELIVERED)
    yield till.check(first).expect(result(state=1), FREE)
    yield till.perform(first, note="the first id").expect(result(state=2, perform_time=near(shop.now())), MONEY)
    yield balance(shop, order, amount + amount + 1, DELIVERED)
    yield till.cancel(first, REFUND).expect(result(state=-2, cancel_time=near(shop.now())), GIVE_UP)
    yield balance(shop, order, amount + 1, GIVE_UP)
    yield till.perform(first, note="after the refund").expect(error(CANNOT_PERFORM), DEAD)
    yield balance(shop, order, amount + 1, DEAD)
    given_up = till.new_id()
    yield till.create(given_up, moment, order, note="after a refund").expect(result(state=1), FREE)
    yield till.cancel(given_up, DEBIT_FAILED, note="before the payment").expect(result(state=-1), GIVE_UP)
    yield balance(shop, order, amount + 1, GIVE_UP)


@scenario
def top_up_of_nothing(till: Till, shop: Shop) -> Iterator[Step]:
    """Take any amount for a balance, but an amount it must be."""
    order = shop.new_order()
    for amount in (0, -1):
        yield till.check_perform(order, amount, note=f"{amount} tiyin").expect(error(WRONG_AMOUNT), EXACT)
        refused = till.create(till.new_id(), shop.now(), order, amount, note=f"{amount} tiyin")
        yield refused.expect(error(WRONG_AMOUNT), EXACT)
    yield balance(shop, order, 0, EXACT)


@scenario
def expired_top_up(till: Till, shop: Shop) -> Iterator[Step]:
    """Credit nothing for a top-up that is 12 hours old."""
    order, transaction = shop.new_order(), till.new_id()
    yield till.create(transaction, shop.now() - NEARLY_EXPIRED, order, note="nearly 12 hours old").expect(
        result(state=1), BORN
    )
    shop.advance(2000)
    yield till.perform(transaction, note="past 12 hours").expect(error(CANNOT_PERFORM), LATE)
    yield till.check(transaction).expect(
        result(state=-1, perform_time=0, cancel_time=near(shop.now()), reason=TIMEOUT), LATE
    )
    yield balance(shop, order, 0, LATE)


ONE_TIME: Final[tuple[Scenario[Till], ...]] = (
    bad_credentials, wrong_amount, unknown_account, create_and_cancel, perform_and_refund, held_order, paid_order,
    retry_after_a_cancelled_attempt, expired_transaction, expired_holder, statement, unknown_transaction,
    malformed_requests,
)  # fmt: skip
"""For orders that are paid once, for their exact price."""

TOP_UP: Final[tuple[Scenario[Till], ...]] = (
    bad_credentials, unknown_account, top_up, top_up_of_nothing, expired_top_up, statement, unknown_transaction,
    malformed_requests,
)  # fmt: skip
"""For accounts that are paid any number of times, any amount."""

AT_ONCE: Final[tuple[Scenario[Till], ...]] = (repeated_at_once, rivals_for_one_order)
"""For orders that are paid once, where the endpoint can be called from several threads: over HTTP."""
