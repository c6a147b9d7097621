"""Click's acceptance scenarios as plain functions: the 15 of its own test tool, and what they leave out.

    till = ClickTill(over_http("http://127.0.0.1:8000/payments/click/webhook"), secret_key="…", service_id=12345)
    for step in play(CLICK, till, shop):
        print(step.scenario, step.call, step.expected, step.got, step.ok)

`CLICK` are the tool's scenarios in its order (https://docs.click.uz/click-api-testing). The tool goes through them with
three orders; here each has an order of its own and first brings it where the scenario starts, so any of them can be
played alone. `CLICK_EXTRA` is what the tool does not try and what costs money: a cancel that nobody signed, an amount
one tiyin short, two attempts at one order, ids above 2 to the power of 53. `CLICK_TOP_UP` is for accounts that are paid
again and again.

The numbers here are read from the provider's pages, not from the gateway that they examine. Nothing here needs pytest.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from paytechuz_core.money import Tiyin
from paytechuz_core.testing.click_till import Attempt, ClickAnswer, ClickTill, som
from paytechuz_core.testing.suite import Order, Scenario, Shop, Step, at_once, balance, scenario, status

# The provider's numbers

SUCCESS: Final = 0
NOT_SIGNED: Final = -1
WRONG_AMOUNT: Final = -2
UNKNOWN_ACTION: Final = -3
ALREADY_PAID: Final = -4
UNKNOWN_ORDER: Final = -5
UNKNOWN_TRANSACTION: Final = -6
NOT_NOW: Final = -7
BAD_REQUEST: Final = -8
CANCELLED: Final = -9

NOT_DEBITED: Final = -5017
"""What the tool sends as `error` where the customer was not debited; any negative number means the same."""

CROWD: Final = 8
"""How many calls come at once."""

PATIENCE: Final = 5
"""How often a call is repeated that was answered with -7, as it may be where many come at once."""

WRONG_SIGNATURE: Final = "0" * 32
NO_SUCH_PREPARE: Final = "999999999"
NO_SUCH_ORDER: Final = "no-such-order-999999999"

REQUIRED: Final = (
    "click_trans_id", "service_id", "click_paydoc_id", "merchant_trans_id", "amount", "action", "error", "sign_time",
    "sign_string",
)  # fmt: skip
"""What no form may lack; Complete also needs `merchant_prepare_id`. `error_note` may be empty."""

Begun: TypeAlias = Generator[Step, None, tuple[Attempt, Order]]
"""Steps that end with an attempt and its order."""

# Why it matters, and how to mend it

TRUST: Final = (
    "Whoever gets past this can mark any order as paid: compute the MD5 over the strings as received, compare it in"
    " constant time, and answer -1 before anything is looked at, `error` included."
)
EXISTS: Final = (
    "Click debits the customer after a 0, and money for an order that nobody knows must be sought by hand: answer -5."
)
RESERVED: Final = (
    "Click debits the customer only after this answer: store the attempt before answering, and give it a prepare id of"
    " its own."
)
EXACT: Final = (
    "The payment link is not signed, so a payer could set the price: compare the amount with the order's own, as exact"
    " tiyin, and answer -2."
)
KEPT: Final = (
    "An error that changes something loses the payment that comes after it: a refused call must leave attempt and order"
    " as they were."
)
DELIVERED: Final = (
    "The customer has been debited: mark attempt and order as paid in one database transaction, answer 0, and run the"
    " paid hook exactly once."
)
PAID_ONCE: Final = (
    "A second 0 may mean a second delivery, and after Prepare a second debit: answer every further call about a paid"
    " order with -4."
)
REVERSED: Final = (
    "After -9 Click may give the money back: take the payment back in the same breath, so that no order stays paid, or"
    " answer -4 and keep it. Click's tool wants -9."
)
NAMED: Final = (
    "A Complete that names another attempt pays the wrong order: find the attempt by `click_trans_id`, compare prepare"
    " id and order, and answer -6 before amount and state are looked at."
)
GIVEN_UP: Final = (
    "The customer was not debited: release the order and answer -9, now and whenever Click says it again; after a 0"
    " goods go out that nobody paid for."
)
DEAD: Final = (
    "A cancelled attempt that comes back delivers what nobody pays for, as Click gives the money back: answer -9 and"
    " deliver nothing."
)
NEGATIVE: Final = (
    "Click lists no end of reasons: take every negative `error` for a cancel, not only the ones you have seen."
)
NO_ACTION: Final = "An action that is neither 0 nor 1 must reserve and pay nothing: answer -3."
READ: Final = (
    "Half a form is not what Click sent: where a field is missing, empty or no number, answer -8 and change nothing."
)
REPEATED: Final = (
    "Click repeats what it got no answer to: find the attempt by its `click_trans_id` and answer the same prepare id."
)
SPELLED: Final = (
    "Click writes one amount in several ways and signs what it writes: sign the text as received, compare it as a"
    " number, and do not turn paying customers away."
)
UTF8: Final = (
    "Orders may be named in any letters: decode and sign the form as UTF-8, and answer -5 where there is none."
)
HEX: Final = "A signature in capitals is the same number: compare both in lower case, or payments are lost for nothing."
OURS: Final = "A payment to another service is not your money: compare `service_id` with your own and answer -8."
WIDE: Final = (
    "Click's numbers are 64 bits wide: a double rounds them, and an answer with another number is taken for another"
    " payment's."
)
SUPERSEDED: Final = (
    "Two attempts that both end with 0 take the money twice: the newest attempt holds the order, and the older one's"
    " Complete is answered -9, after which Click gives that money back."
)
RELEASED: Final = "A failed debit must not close the order to the customer's next attempt: release it."
CREDITED: Final = (
    "A retry brings a new `click_trans_id` and the old `click_paydoc_id`: credit each `click_paydoc_id` once for each"
    " account."
)


# The tool's scenarios


@scenario
def prepare_with_a_wrong_signature(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Turn away everybody but Click, even for an order that could be paid."""
    order = shop.new_order()
    yield till.attempt(order).prepare(sign_string=WRONG_SIGNATURE, note="wrong signature").expect(NOT_SIGNED, TRUST)
    yield status(shop, order, paid=False, why=TRUST)


@scenario
def prepare_for_an_unknown_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Turn away money for what nobody ordered."""
    unknown = till.attempt(shop.new_order())
    yield unknown.prepare(merchant_trans_id=NO_SUCH_ORDER, note="unknown order").expect(UNKNOWN_ORDER, EXISTS)


@scenario
def prepare(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Reserve an order that awaits payment."""
    _, order = yield from prepared(till, shop)
    yield status(shop, order, paid=False, why=DELIVERED)


@scenario
def complete_with_a_wrong_signature(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Believe nobody but Click that the money was taken."""
    attempt, order = yield from prepared(till, shop)
    yield attempt.complete(sign_string=WRONG_SIGNATURE, note="wrong signature").expect(NOT_SIGNED, TRUST)
    yield status(shop, order, paid=False, why=TRUST)


@scenario
def complete_with_another_amount(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take the prepared amount and no other; the attempt stays prepared."""
    attempt, order = yield from prepared(till, shop)
    other = "300" if order.amount_tiyin != 30_000 else "301"
    yield attempt.complete(amount=other, note=f"amount {other}").expect(WRONG_AMOUNT, EXACT)
    yield status(shop, order, paid=False, why=EXACT)
    yield attempt.complete(note="the right amount").expect(SUCCESS, KEPT)


@scenario
def complete(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Deliver what was paid for."""
    yield from paid(till, shop)


@scenario
def complete_again(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Say that a payment is confirmed already, and deliver nothing twice."""
    attempt, order = yield from paid(till, shop)
    yield attempt.complete(note="again").expect(ALREADY_PAID, PAID_ONCE)
    yield status(shop, order, paid=True, why=PAID_ONCE)


@scenario
def cancel_after_the_payment(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take a confirmed payment back when Click does."""
    attempt, order = yield from paid(till, shop)
    yield attempt.complete(NOT_DEBITED).expect(CANCELLED, REVERSED)
    yield status(shop, order, paid=False, why=REVERSED)


@scenario
def prepare_another_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Reserve a second order beside the first."""
    yield from prepared(till, shop)
    _, order = yield from prepared(till, shop)
    yield status(shop, order, paid=False, why=DELIVERED)


@scenario
def complete_with_an_unknown_prepare_id(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Know which attempt is meant; the one that is not stays prepared."""
    attempt, order = yield from prepared(till, shop)
    wrong = attempt.complete(merchant_prepare_id=NO_SUCH_PREPARE, note=f"prepare id {NO_SUCH_PREPARE}")
    yield wrong.expect(UNKNOWN_TRANSACTION, NAMED)
    yield status(shop, order, paid=False, why=NAMED)


@scenario
def complete_after_an_error(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Deliver what was paid for, although a Complete was refused before."""
    attempt, order = yield from prepared(till, shop)
    wrong = attempt.complete(merchant_prepare_id=NO_SUCH_PREPARE, note=f"prepare id {NO_SUCH_PREPARE}")
    yield wrong.expect(UNKNOWN_TRANSACTION, NAMED)
    yield attempt.complete().expect(SUCCESS, KEPT)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def prepare_a_third_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Reserve an order after one was paid."""
    yield from paid(till, shop)
    _, order = yield from prepared(till, shop)
    yield status(shop, order, paid=False, why=DELIVERED)


@scenario
def cancel_before_the_payment(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Release an order whose customer was not debited."""
    yield from given_up(till, shop)


@scenario
def cancel_again(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Say of a cancelled attempt that it is cancelled."""
    attempt, order = yield from given_up(till, shop)
    yield attempt.complete(NOT_DEBITED, note="again").expect(CANCELLED, GIVEN_UP)
    yield status(shop, order, paid=False, why=GIVEN_UP)


@scenario
def complete_after_the_cancel(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Never bring a cancelled attempt back to life."""
    attempt, order = yield from given_up(till, shop)
    yield attempt.complete(note="after the cancel").expect(CANCELLED, DEAD)
    yield status(shop, order, paid=False, why=DEAD)


# Where a scenario starts


def prepared(till: ClickTill, shop: Shop) -> Begun:
    """Place an order and prepare an attempt at it."""
    order = shop.new_order()
    attempt = till.attempt(order)
    yield attempt.prepare().expect(SUCCESS, RESERVED)
    return attempt, order


def paid(till: ClickTill, shop: Shop) -> Begun:
    """Place an order and pay for it."""
    attempt, order = yield from prepared(till, shop)
    yield attempt.complete().expect(SUCCESS, DELIVERED)
    yield status(shop, order, paid=True, why=DELIVERED)
    return attempt, order


def given_up(till: ClickTill, shop: Shop) -> Begun:
    """Place an order, prepare an attempt at it and give it up."""
    attempt, order = yield from prepared(till, shop)
    yield attempt.complete(NOT_DEBITED).expect(CANCELLED, GIVEN_UP)
    yield status(shop, order, paid=False, why=GIVEN_UP)
    return attempt, order


# What the tool leaves out


@scenario
def unsigned_cancel(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Cancel nothing that Click did not sign, whether or not it is paid."""
    attempt, order = yield from prepared(till, shop)
    forged = {"sign_string": WRONG_SIGNATURE, "note": "wrong signature"}
    yield attempt.complete(NOT_DEBITED, **forged).expect(NOT_SIGNED, TRUST)
    yield attempt.complete(note="after the forged cancel").expect(SUCCESS, TRUST)
    yield status(shop, order, paid=True, why=TRUST)
    yield attempt.complete(NOT_DEBITED, **forged).expect(NOT_SIGNED, TRUST)
    yield status(shop, order, paid=True, why=TRUST)


@scenario
def complete_without_prepare(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Pay nothing that was never prepared, or was refused when it was."""
    order = shop.new_order()
    never = till.attempt(order)
    yield never.complete(note="never prepared").expect(UNKNOWN_TRANSACTION, NAMED)
    yield never.complete(NOT_DEBITED, note="never prepared").expect(UNKNOWN_TRANSACTION, NAMED)
    refused = till.attempt(order)
    yield refused.prepare(amount=som(order.amount_tiyin * 2), note="twice the price").expect(WRONG_AMOUNT, EXACT)
    yield refused.complete(note="refused before").expect(UNKNOWN_TRANSACTION, NAMED)
    yield status(shop, order, paid=False, why=NAMED)
    yield never.prepare(note="the same attempt").expect(SUCCESS, KEPT)


@scenario
def the_prepare_id_of_another_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Compare the prepare id with the order's own, not with a list of all."""
    attempt, order = yield from prepared(till, shop)
    other, another = yield from prepared(till, shop)
    stolen = attempt.complete(merchant_prepare_id=str(other.prepare_id), note="the other's prepare id")
    yield stolen.expect(UNKNOWN_TRANSACTION, NAMED)
    moved = attempt.complete(merchant_trans_id=other.merchant_trans_id, note="the other order")
    yield moved.expect(UNKNOWN_TRANSACTION, NAMED)
    for each in (order, another):
        yield status(shop, each, paid=False, why=NAMED)
    yield other.complete(note="its own prepare id").expect(SUCCESS, KEPT)
    yield status(shop, order, paid=False, why=NAMED)
    yield status(shop, another, paid=True, why=DELIVERED)


@scenario
def repeated_prepare(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Answer a repeated Prepare as the first time, and let an attempt keep its order and its amount."""
    attempt, order = yield from prepared(till, shop)
    yield attempt.prepare(note="again").expect(SUCCESS, REPEATED, prepare_id=attempt.prepare_id)
    other = till.attempt(shop.new_order()).merchant_trans_id
    # The documents are silent about an attempt that changes its order: either code turns it away.
    moved = attempt.prepare(merchant_trans_id=other, note="the same attempt, another order")
    yield moved.expect((BAD_REQUEST, UNKNOWN_TRANSACTION), NAMED)
    dearer = attempt.prepare(amount=som(order.amount_tiyin * 2), note="the same attempt, twice the price")
    yield dearer.expect(WRONG_AMOUNT, EXACT)
    yield attempt.complete().expect(SUCCESS, DELIVERED)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def prepare_for_a_paid_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Let nobody be debited for an order that is paid."""
    attempt, order = yield from paid(till, shop)
    yield attempt.prepare(note="the same attempt").expect(ALREADY_PAID, PAID_ONCE)
    late = till.attempt(order)
    yield late.prepare(note="a new attempt").expect(ALREADY_PAID, PAID_ONCE)
    yield late.complete(note="the new attempt").expect(UNKNOWN_TRANSACTION, PAID_ONCE)
    yield status(shop, order, paid=True, why=PAID_ONCE)


@scenario
def a_second_attempt(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Let the newest attempt at an order be paid, and only that one."""
    older, order = yield from prepared(till, shop)
    newer = till.attempt(order)
    yield newer.prepare(note="a second attempt").expect(SUCCESS, SUPERSEDED)
    yield older.complete(note="the older attempt").expect(CANCELLED, SUPERSEDED)
    yield status(shop, order, paid=False, why=SUPERSEDED)
    yield newer.complete(note="the newer attempt").expect(SUCCESS, DELIVERED)
    yield status(shop, order, paid=True, why=DELIVERED)
    yield older.complete(note="the older attempt").expect(CANCELLED, SUPERSEDED)
    yield older.complete(NOT_DEBITED, note="the older attempt").expect(CANCELLED, SUPERSEDED)
    yield status(shop, order, paid=True, why=SUPERSEDED)


@scenario
def retry_after_a_cancel(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Let an order whose debit failed be paid by the next attempt."""
    failed, order = yield from given_up(till, shop)
    retry = till.attempt(order, payment=failed.payment)
    yield retry.prepare(note="a new attempt").expect(SUCCESS, RELEASED)
    yield failed.prepare(note="the cancelled attempt").expect(CANCELLED, DEAD)
    yield failed.complete(note="the cancelled attempt").expect(CANCELLED, DEAD)
    yield status(shop, order, paid=False, why=DEAD)
    yield retry.complete(note="the new attempt").expect(SUCCESS, RELEASED)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def every_negative_error_is_a_cancel(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take every negative error for a cancel, and reserve nothing for a Prepare that carries one."""
    for error in (-1, -2, -4, -9, -500, -5016):
        attempt, order = yield from prepared(till, shop)
        yield attempt.complete(error).expect(CANCELLED, NEGATIVE)
        yield status(shop, order, paid=False, why=NEGATIVE)
    aborted = till.attempt(shop.new_order())
    yield aborted.prepare(error=str(NOT_DEBITED), note=f"error {NOT_DEBITED}").expect(CANCELLED, NEGATIVE)
    yield aborted.complete(note="after it").expect((UNKNOWN_TRANSACTION, CANCELLED), NEGATIVE)


@scenario
def exact_amount(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take an order's exact price and no other, to the tiyin."""
    order = shop.new_order()
    attempt, price = till.attempt(order), order.amount_tiyin
    for amount, note in (
        (som(price - 1), "a tiyin less"),
        (som(price + 1), "a tiyin more"),
        (som(price * 100), "a hundredfold"),
        ("0.00", "nothing"),
    ):
        yield attempt.prepare(amount=amount, note=note).expect(WRONG_AMOUNT, EXACT)
    for amount in ("-" + som(price), "+" + som(price), som(price) + "0", "1e3", "NaN", "many", "१०००"):
        # Of what is no amount one page says -2, and one may as well say that the request is broken.
        yield attempt.prepare(amount=amount, note=f"amount {amount}").expect((WRONG_AMOUNT, BAD_REQUEST), EXACT)
    yield status(shop, order, paid=False, why=EXACT)
    yield attempt.prepare(note="the right amount").expect(SUCCESS, KEPT)
    yield attempt.complete(amount=som(price - 1), note="a tiyin less").expect(WRONG_AMOUNT, EXACT)
    yield attempt.complete(note="the right amount").expect(SUCCESS, KEPT)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def amount_in_other_spellings(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take the right amount however Click writes it."""
    for prepared_as, completed_as in spellings(shop.new_order().amount_tiyin):
        order = shop.new_order()
        attempt = till.attempt(order)
        asked = attempt.prepare(amount=prepared_as, note=f"amount {prepared_as}")
        yield asked.expect(SUCCESS, SPELLED)
        yield attempt.complete(amount=completed_as, note=f"amount {completed_as}").expect(SUCCESS, SPELLED)
        yield status(shop, order, paid=True, why=SPELLED)


@scenario
def signature_in_capitals(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take a signature in upper-case hexadecimal."""

    class InCapitals(ClickTill):
        def signature(self, form: Mapping[str, str]) -> str:
            return super().signature(form).upper()

    order = shop.new_order()
    attempt = InCapitals(till.send, till.secret_key, till.service_id).attempt(order)
    yield attempt.prepare(note="in capitals").expect(SUCCESS, HEX)
    yield attempt.complete(note="in capitals").expect(SUCCESS, HEX)
    yield status(shop, order, paid=True, why=HEX)


@scenario
def order_in_other_letters(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Read and sign the form as UTF-8."""
    attempt = till.attempt(shop.new_order())
    for name in ("заказ № 42", "buyurtma ўқғҳ", "注文 42", "42 & 43 = 85 + 0%", "🧾"):
        yield attempt.prepare(merchant_trans_id=name, note=name).expect(UNKNOWN_ORDER, UTF8)
        forged = attempt.prepare(merchant_trans_id=name, sign_string=WRONG_SIGNATURE, note=f"{name}, wrong signature")
        yield forged.expect(NOT_SIGNED, TRUST)


@scenario
def another_service(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take payments to the own service only."""
    attempt, order = yield from prepared(till, shop)
    foreign = str(till.service_id + 1)
    newcomer = till.attempt(shop.new_order())
    yield newcomer.prepare(service_id=foreign, note="another service").expect(BAD_REQUEST, OURS)
    yield attempt.complete(service_id=foreign, note="another service").expect(BAD_REQUEST, OURS)
    yield attempt.complete(NOT_DEBITED, service_id=foreign, note="another service").expect(BAD_REQUEST, OURS)
    yield status(shop, order, paid=False, why=OURS)
    yield attempt.complete(note="the own service").expect(SUCCESS, KEPT)


@scenario
def wide_numbers(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Keep every digit of Click's 64-bit numbers."""
    order = shop.new_order()
    wide = till.attempt(order, number=2**53 + 2 * till.new_number() + 1, payment=2**62 + 1)
    neighbour = till.attempt(shop.new_order(), number=wide.number + 1, payment=2**62 + 1)
    yield wide.prepare(note="above 2^53").expect(SUCCESS, WIDE)
    yield neighbour.prepare(note="above 2^53, the next number").expect(SUCCESS, WIDE)
    yield wide.complete(note="above 2^53").expect(SUCCESS, WIDE)
    yield status(shop, order, paid=True, why=WIDE)
    yield status(shop, neighbour.order, paid=False, why=WIDE)


@scenario
def unknown_action(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Know Prepare and Complete, and nothing else."""
    attempt, order = yield from prepared(till, shop)
    for action in ("2", "-1", "01", "prepare"):
        yield attempt.prepare(action=action, note=f"action {action}").expect(UNKNOWN_ACTION, NO_ACTION)
    forged = attempt.prepare(action="2", sign_string=WRONG_SIGNATURE, note="action 2, wrong signature")
    yield forged.expect(NOT_SIGNED, TRUST)
    yield status(shop, order, paid=False, why=NO_ACTION)


@scenario
def missing_fields(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Refuse half a form, whichever half."""
    order = shop.new_order()
    attempt = till.attempt(order)
    for name in REQUIRED:
        yield attempt.prepare(note=f"without {name}", **{name: None}).expect(BAD_REQUEST, READ)
        yield attempt.prepare(note=f"{name} empty", **{name: ""}).expect(BAD_REQUEST, READ)
    for name in ("click_trans_id", "service_id", "click_paydoc_id", "error"):
        yield attempt.prepare(note=f"{name} no number", **{name: "1x"}).expect(BAD_REQUEST, READ)
    yield till.post(b"", "an empty body", {}).expect(BAD_REQUEST, READ)
    yield attempt.prepare(note="without error_note", error_note=None).expect(SUCCESS, KEPT)
    for name in (*REQUIRED, "merchant_prepare_id"):
        left_out: dict[str, Any] = {name: None}
        yield attempt.complete(note=f"without {name}", **left_out).expect(BAD_REQUEST, READ)
    yield status(shop, order, paid=False, why=READ)
    yield attempt.complete(note="error_note empty", error_note="").expect(SUCCESS, KEPT)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def errors_change_nothing(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Leave an order as it is after every error: prepared while it is prepared, paid once it is paid."""
    attempt, order = yield from prepared(till, shop)
    for state in ("prepared", "paid"):
        for error in (0, NOT_DEBITED):
            for answer, code in wrong_calls(attempt, error):
                yield answer.expect(code, KEPT)
        yield status(shop, order, paid=state == "paid", why=KEPT)
        if state == "prepared":
            yield attempt.prepare(note="again").expect(SUCCESS, KEPT, prepare_id=attempt.prepare_id)
            yield attempt.complete().expect(SUCCESS, KEPT)
    yield attempt.complete(note="again").expect(ALREADY_PAID, KEPT)
    yield status(shop, order, paid=True, why=KEPT)


def wrong_calls(attempt: Attempt, error: int) -> Iterator[tuple[ClickAnswer, int | tuple[int, ...]]]:
    """Call in every way that must be refused, whatever state the attempt is in."""
    yield attempt.complete(error, sign_string=WRONG_SIGNATURE, note="wrong signature"), NOT_SIGNED
    yield attempt.complete(error, action="2", note="action 2"), UNKNOWN_ACTION
    yield attempt.complete(error, merchant_prepare_id=NO_SUCH_PREPARE, note="wrong prepare id"), UNKNOWN_TRANSACTION
    # Whether order or attempt is looked for first is nowhere said.
    unknown = attempt.complete(error, merchant_trans_id=NO_SUCH_ORDER, note="unknown order")
    yield unknown, (UNKNOWN_ORDER, UNKNOWN_TRANSACTION)
    yield attempt.complete(error, service_id=str(attempt.till.service_id + 1), note="another service"), BAD_REQUEST
    yield attempt.complete(error, merchant_prepare_id=None, note="no prepare id"), BAD_REQUEST


def spellings(tiyin: Tiyin) -> Sequence[tuple[str, str]]:
    """Write an amount in all the ways that Click might, each for Prepare and another one for Complete."""
    written = [som(tiyin)]
    if tiyin % 10 == 0:
        written.append(written[0].removesuffix("0"))
    if tiyin % 100 == 0:
        written.append(written[0].removesuffix(".00"))
    return list(zip(written, [*written[1:], written[0]], strict=True))


# All at once: these call from several threads, so they need an endpoint over HTTP


@scenario
def repeated_at_once(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Reserve once and deliver once, though a call is repeated before the first answer is out."""
    order = shop.new_order()
    attempt = till.attempt(order)
    answers = at_once([partial(insist, attempt.prepare)] * CROWD)
    for answer in answers:
        yield answer.expect(SUCCESS, REPEATED, prepare_id=answers[0].prepare_id)
    yield delivered_once(at_once([partial(insist, attempt.complete)] * CROWD))
    yield attempt.complete(note="again").expect(ALREADY_PAID, PAID_ONCE)
    yield status(shop, order, paid=True, why=DELIVERED)


@scenario
def rivals_for_one_order(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Deliver to one of several attempts that come at once, and only to that one."""
    order = shop.new_order()
    attempts = [till.attempt(order) for _ in range(CROWD)]
    prepared = at_once([partial(insist, attempt.prepare) for attempt in attempts])
    told = [answer.error for answer in prepared]
    yield Step(
        "", f"{CROWD} Prepare at once, each an attempt of its own", "0 to one at least, a code to the others",
        ", ".join(sorted(answer.summary for answer in prepared)),
        SUCCESS in told and all(answer.fault() is None for answer in prepared), RESERVED,
    )  # fmt: skip
    reserved = [attempt for attempt, error in zip(attempts, told, strict=True) if error == SUCCESS]
    if reserved:
        yield delivered_once(at_once([partial(insist, attempt.complete) for attempt in reserved]))
        yield status(shop, order, paid=True, why=DELIVERED)


def insist(call: Callable[[], ClickAnswer]) -> ClickAnswer:
    """Repeat a call that was answered with -7, as Click does: rivals may keep one another from being served."""
    for _ in range(PATIENCE):
        answer = call()
        if answer.error != NOT_NOW:
            break
    return answer


def delivered_once(answers: Sequence[ClickAnswer]) -> Step:
    """Expect that one Complete, of several at once for one order, was answered with success."""
    told = [answer.error for answer in answers]
    return Step(
        "", f"{len(told)} Complete at once", "0 to one, -4 or -9 to the others",
        ", ".join(sorted(answer.summary for answer in answers)),
        told.count(SUCCESS) == 1 and set(told) <= {SUCCESS, ALREADY_PAID, CANCELLED}, PAID_ONCE,
    )  # fmt: skip


# Accounts that are paid again and again


@scenario
def top_up(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take several payments for one balance at once, and count each of them once."""
    order = shop.new_order()
    amount = order.amount_tiyin
    first, second = till.attempt(order), till.attempt(order)
    yield first.prepare().expect(SUCCESS, RESERVED)
    yield second.prepare(amount=som(amount + 1), note="a second payment").expect(SUCCESS, RESERVED)
    yield balance(shop, order, 0, DELIVERED)
    yield second.complete(amount=som(amount + 1), note="the second payment").expect(SUCCESS, DELIVERED)
    yield balance(shop, order, amount + 1, DELIVERED)
    yield first.complete(note="the first payment").expect(SUCCESS, DELIVERED)
    yield first.complete(note="again").expect(ALREADY_PAID, PAID_ONCE)
    yield balance(shop, order, amount + amount + 1, PAID_ONCE)
    yield first.complete(NOT_DEBITED).expect(CANCELLED, REVERSED)
    yield balance(shop, order, amount + 1, REVERSED)


@scenario
def top_up_repeated_under_a_new_number(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Credit a payment once, however many attempts Click makes at it."""
    order = shop.new_order()
    first = till.attempt(order)
    second, third = (till.attempt(order, payment=first.payment) for _ in range(2))
    yield first.prepare().expect(SUCCESS, RESERVED)
    yield second.prepare(note="the same payment, a new attempt").expect(SUCCESS, CREDITED)
    yield second.complete(note="the new attempt").expect(SUCCESS, DELIVERED)
    yield first.complete(note="the old attempt").expect(CANCELLED, CREDITED)
    yield third.prepare(note="the same payment, confirmed").expect(ALREADY_PAID, CREDITED)
    yield balance(shop, order, order.amount_tiyin, CREDITED)


@scenario
def top_up_of_nothing(till: ClickTill, shop: Shop) -> Iterator[Step]:
    """Take any amount for a balance, but an amount it must be."""
    order = shop.new_order()
    yield till.attempt(order).prepare(amount="0", note="amount 0").expect(WRONG_AMOUNT, EXACT)
    yield till.attempt(order).prepare(amount="-1", note="amount -1").expect((WRONG_AMOUNT, BAD_REQUEST), EXACT)
    yield balance(shop, order, 0, EXACT)


CLICK: Final[tuple[Scenario[ClickTill], ...]] = tuple(
    replace(each, name=f"scenario {number}, {each.name}")
    for number, each in enumerate(
        (
            prepare_with_a_wrong_signature, prepare_for_an_unknown_order, prepare, complete_with_a_wrong_signature,
            complete_with_another_amount, complete, complete_again, cancel_after_the_payment, prepare_another_order,
            complete_with_an_unknown_prepare_id, complete_after_an_error, prepare_a_third_order,
            cancel_before_the_payment, cancel_again, complete_after_the_cancel,
        ),
        start=1,
    )
)  # fmt: skip
"""The 15 scenarios of Click's own tool, for orders that are paid once."""

CLICK_EXTRA: Final[tuple[Scenario[ClickTill], ...]] = (
    unsigned_cancel, complete_without_prepare, the_prepare_id_of_another_order, repeated_prepare,
    prepare_for_a_paid_order, a_second_attempt, retry_after_a_cancel, every_negative_error_is_a_cancel, exact_amount,
    amount_in_other_spellings, signature_in_capitals, order_in_other_letters, another_service, wide_numbers,
    unknown_action, missing_fields, errors_change_nothing,
)  # fmt: skip
"""What Click's tool leaves out, for the same orders."""

CLICK_TOP_UP: Final[tuple[Scenario[ClickTill], ...]] = (
    prepare_for_an_unknown_order, top_up, top_up_repeated_under_a_new_number, top_up_of_nothing, order_in_other_letters,
    another_service, unknown_action,
)  # fmt: skip
"""For accounts that are paid any number of times, any amount."""

CLICK_AT_ONCE: Final[tuple[Scenario[ClickTill], ...]] = (repeated_at_once, rivals_for_one_order)
"""For orders that are paid once, where the endpoint can be called from several threads: over HTTP."""
