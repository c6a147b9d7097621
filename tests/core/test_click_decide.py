"""What Click is answered, what is written, and which hooks are told."""

import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal, localcontext
from itertools import product
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytechuz_core import Account, Refused, State, Transaction
from paytechuz_core.click import Click
from paytechuz_core.click.codes import Code
from paytechuz_core.click.gateway import SUPERSEDED, Reply
from paytechuz_core.decision import Decision, Event, Hook, Lookup, Snapshot
from paytechuz_core.engine import load
from paytechuz_core.transaction import HALF_DAY, Millis
from tests import SIZE
from tests.core.click_wire import (
    CLICK,
    PAYDOC,
    SERVICE,
    TIME,
    TRANS,
    Answer,
    Form,
    call,
    complete,
    encoded,
    post,
    prepare,
    prepare_id,
    read,
)
from tests.core.strategies import STORED_STATES, lived
from tests.core.wire import AMOUNT, NOW, ORDER, PAYME, WALLET, basic
from tests.core.wire import create as payme_create
from tests.core.wire import encoded as payme_encoded
from tests.core.wire import perform as payme_perform
from tests.core.world import ENGINES, Engine, World

UNPAID, PAID = State.INITIATING, State.SUCCESSFULLY
FAILED, REFUNDED = State.CANCELLED_DURING_INIT, State.CANCELLED
NO_MONEY: Final = -5017
LATER: Final = NOW + 5000
CREDIT: Final = f"click:{SERVICE}:7:{PAYDOC}"


def attempt(state: State, account: Account = ORDER, trans: int = TRANS, *, at: Millis = NOW) -> Transaction:
    """An attempt of Click in `state`, as its Prepare stored it."""
    received = {
        "merchant_trans_id": str(account.id),
        "service_id": str(SERVICE),
        "click_paydoc_id": str(PAYDOC),
        "amount": "5000.00",
        "sign_time": TIME,
    }
    made = lived(state, account, transaction_id=str(trans), gateway="click", at=at, received=received)
    return replace(made, provider_time=None)


def of_payme(state: State = UNPAID, *, at: Millis = NOW) -> Transaction:
    return lived(state, transaction_id="of Payme", at=at)


def decided(form: Form, *, gateway: Click = CLICK, now: Millis = LATER, **snapshot: Any) -> Decision[Reply]:
    return gateway.decide(call(form, gateway), Snapshot(**snapshot), now)


def code(decision: Decision[Reply]) -> int:
    return decision.reply.code.number


def hooks(decision: Decision[Reply]) -> list[Hook]:
    return [event.hook for event in decision.events]


def sent(form: Form, decision: Decision[Reply]) -> Answer:
    return read(CLICK.render(call(form), decision.reply))


# The table: action × state × incoming error


class Cell(NamedTuple):
    """The code answered, the state stored afterwards, the hook told."""

    code: int
    after: State | None
    told: Hook | None = None


CREATED, REPEATED, DELIVERED, DROPPED, CONFLICT = (
    Hook.TRANSACTION_CREATED,
    Hook.TRANSACTION_ALREADY_EXISTS,
    Hook.SUCCESSFULLY_PAYMENT,
    Hook.CANCELLED_PAYMENT,
    Hook.PAYMENT_CONFLICT,
)
TABLE: Final[dict[State | str, tuple[Cell, Cell, Cell, Cell]]] = {
    #               Prepare               Prepare, aborted  Complete               Complete, not debited
    "no order": (Cell(-5, None), Cell(-5, None), Cell(-5, None), Cell(-5, None)),
    "new": (Cell(0, UNPAID, CREATED), Cell(-9, None), Cell(-6, None), Cell(-6, None)),
    UNPAID: (Cell(0, UNPAID, REPEATED), Cell(-9, UNPAID), Cell(0, PAID, DELIVERED), Cell(-9, FAILED, DROPPED)),
    PAID: (Cell(-4, PAID), Cell(-4, PAID), Cell(-4, PAID), Cell(-9, REFUNDED, DROPPED)),
    FAILED: (Cell(-9, FAILED), Cell(-9, FAILED), Cell(-9, FAILED, CONFLICT), Cell(-9, FAILED)),
    REFUNDED: (Cell(-9, REFUNDED), Cell(-9, REFUNDED), Cell(-9, REFUNDED, CONFLICT), Cell(-9, REFUNDED)),
}
CALLS: Final = (prepare(), prepare(error=NO_MONEY), complete(), complete(error=NO_MONEY))
CELLS: Final = [
    pytest.param(stored, form, cell, id=f"{getattr(stored, 'name', stored)}-{form['action']}-{form['error']}")
    for stored, row in TABLE.items()
    for form, cell in zip(CALLS, row, strict=True)
]


def check_cell(gateway: Click, stored: State | str, form: Form, cell: Cell) -> None:
    """Hold one cell of the table against `gateway`."""
    known = attempt(stored) if isinstance(stored, State) else None
    decision = decided(form, gateway=gateway, transaction=known, account=None if stored == "no order" else ORDER)
    left = decision.changes[-1].after if decision.changes else known

    assert (code(decision), None if left is None else left.state) == (cell.code, cell.after)
    assert hooks(decision) == ([] if cell.told is None else [cell.told])
    assert all(event.transaction == left for event in decision.events)
    assert bool(decision.changes) is (left is not known)
    if known is not None and decision.changes:
        (change,) = decision.changes
        assert change.before == known
        assert change.after.update_time == LATER
        assert change.after.reason == (NO_MONEY if cell.after in (FAILED, REFUNDED) else None)
    asked = {Hook.CAN_REVERSE} if (stored, cell.after) == (PAID, REFUNDED) else set()
    asked |= {Hook.BEFORE_CHECK_PERFORM_TRANSACTION} if cell.told is CREATED else set()
    assert {ask.hook for ask in decision.asks} == asked
    ours = prepare_id(TRANS) if known is not None or cell.code == 0 else None
    assert sent(form, decision) == {
        "click_trans_id": TRANS,
        "merchant_trans_id": "42",
        **({"merchant_confirm_id": ours} if form["action"] == "1" else {"merchant_prepare_id": ours or 0}),
        "error": cell.code,
        "error_note": Code((cell.code, decision.reply.code.note)).note,
    }


@pytest.mark.parametrize(("stored", "form", "cell"), CELLS)
def test_every_cell_of_the_table(stored: State | str, form: Form, cell: Cell) -> None:
    check_cell(CLICK, stored, form, cell)


@pytest.mark.parametrize(("stored", "form", "cell"), CELLS)
def test_how_long_ago_an_attempt_was_prepared_changes_nothing_in_the_table(
    stored: State | str, form: Form, cell: Cell
) -> None:
    known = attempt(stored, at=NOW - 30 * HALF_DAY) if isinstance(stored, State) else None
    decision = decided(form, transaction=known, account=None if stored == "no order" else ORDER)
    assert (code(decision), hooks(decision)) == (cell.code, [] if cell.told is None else [cell.told])


def test_the_notes_are_the_constants_of_clicks_page() -> None:
    assert {each.number: each.note for each in Code} == {
        0: "Success",
        -1: "SIGN CHECK FAILED!",
        -2: "Incorrect parameter amount",
        -3: "Action not found",
        -4: "Already paid",
        -5: "User does not exist",
        -6: "Transaction does not exist",
        -7: "Failed to update user",
        -8: "Error in request from click",
        -9: "Transaction cancelled",
    }


# Who holds the order

OLD: Final = NOW - HALF_DAY
HOLDERS: Final[dict[str, tuple[Transaction | None, int, int | None]]] = {
    # who holds it                 the answer to a new Prepare, and with what reason the holder has to go
    "nobody": (None, 0, None),
    "Click, prepared": (attempt(UNPAID, trans=1), 0, SUPERSEDED),
    "Click, prepared long ago": (attempt(UNPAID, trans=1, at=OLD - HALF_DAY), 0, SUPERSEDED),
    "Click, paid": (attempt(PAID, trans=1), -4, None),
    "Click, reversed": (attempt(REFUNDED, trans=1), -5, None),
    "Payme, live": (of_payme(), -9, None),
    "Payme, live to the last millisecond": (of_payme(at=LATER - HALF_DAY), -9, None),
    "Payme, expired": (of_payme(at=LATER - HALF_DAY - 1), 0, 4),
    "Payme, paid": (of_payme(PAID), -4, None),
    "Payme, paid long ago": (of_payme(PAID, at=OLD - HALF_DAY), -4, None),
    "Payme, refunded": (of_payme(REFUNDED), -5, None),
}


def check_holder(gateway: Click, who: str) -> None:
    """Hold one row of the table of holders against `gateway`."""
    holder, answer, reason = HOLDERS[who]
    decision = decided(prepare(), gateway=gateway, account=ORDER, holder=holder)
    assert code(decision) == answer
    if answer:
        assert (decision.changes, decision.events, decision.asks) == ((), (), ())
        return
    *evictions, birth = decision.changes
    assert (birth.before, birth.after.state, birth.after.hold) == (None, UNPAID, "orders:42")
    assert [each.before for each in evictions] == ([] if holder is None else [holder])
    for each in evictions:
        assert (each.after.state, each.after.reason, each.after.hold) == (FAILED, reason, None)
    told = [Event(DROPPED, each.after) for each in evictions]
    assert decision.events == (*told, Event(CREATED, birth.after, ORDER))


@pytest.mark.parametrize("who", HOLDERS)
def test_who_holds_an_order_decides_whether_a_new_attempt_may_have_it(who: str) -> None:
    check_holder(CLICK, who)


@pytest.mark.parametrize("holder", [attempt(UNPAID, trans=1, at=at) for at in (NOW, OLD, OLD - 1, OLD - HALF_DAY)])
def test_an_attempt_of_click_keeps_payme_away_for_twelve_hours_and_no_longer(holder: Transaction) -> None:
    message = payme_create(time=NOW)
    inbound = post(payme_encoded(message), authorization=basic())
    decision = PAYME.decide(PAYME.parse(inbound), Snapshot(account=ORDER, holder=holder), NOW)
    evicted = [change.after for change in decision.changes if change.before is not None]
    assert [(each.state, each.reason) for each in evicted] == ([(FAILED, 4)] if holder.create_time < OLD else [])
    assert bool(decision.changes) is (holder.create_time < OLD)


def check_order_of_doubts(gateway: Click) -> None:
    """Start with everything wrong, and mend one thing after another."""
    closed, refunded = replace(ORDER, payable=False), of_payme(REFUNDED)
    wrong = prepare(error=-1, amount="1")
    doubts = [
        decided(wrong, gateway=gateway, account=None, holder=of_payme(PAID)),
        decided(wrong, gateway=gateway, account=closed, holder=of_payme(PAID)),
        decided(prepare(amount="1"), gateway=gateway, account=closed, holder=of_payme(PAID)),
        decided(prepare(amount="1"), gateway=gateway, account=ORDER, holder=refunded),
        decided(prepare(amount="1"), gateway=gateway, account=closed, holder=of_payme()),
        decided(prepare(amount="1"), gateway=gateway, account=ORDER, holder=of_payme()),
        decided(prepare(), gateway=gateway, account=ORDER, holder=of_payme()),
        decided(prepare(), gateway=gateway, account=ORDER),
    ]
    assert [code(each) for each in doubts] == [-5, -9, -4, -5, -5, -2, -9, 0]
    assert [bool(each.changes) for each in doubts] == [False] * 7 + [True]


def test_account_then_abort_then_paid_then_closed_then_amount_then_who_holds_it() -> None:
    check_order_of_doubts(CLICK)


def check_complete_in_order(gateway: Click) -> None:
    """The same for Complete: −5, −6, −2, and only then the state and the incoming error."""
    for state, error in product(STORED_STATES, (0, NO_MONEY)):
        known: dict[str, Any] = {"gateway": gateway, "transaction": attempt(state)}
        for other, answer in (
            ({"merchant_trans_id": "43", "amount": "1", "merchant_prepare_id": 5}, -6),
            ({"merchant_trans_id": "43"}, -6),
            ({"merchant_prepare_id": 999999999, "amount": "1"}, -6),
            ({"merchant_prepare_id": 0}, -6),
            ({"amount": "300"}, -2),
            ({"amount": "4999.99"}, -2),
            ({"amount": "5000.01"}, -2),
            ({"amount": "nan"}, -2),
        ):
            decision = decided(complete(error=error, **other), **known)
            assert (code(decision), decision.changes, decision.events, decision.asks) == (answer, (), (), ())


def test_a_complete_must_be_about_its_own_attempt_order_prepare_id_and_amount_whatever_happened_since() -> None:
    check_complete_in_order(CLICK)


@pytest.mark.parametrize("state", STORED_STATES)
@pytest.mark.parametrize("error", [0, NO_MONEY])
def test_the_same_attempt_for_another_order_or_amount_changes_nothing(state: State, error: int) -> None:
    for other, answer in (({"merchant_trans_id": "43"}, -8), ({"amount": "1"}, -2), ({"amount": "x"}, -2)):
        decision = decided(prepare(error=error, **other), transaction=attempt(state), account=ORDER)
        assert (code(decision), decision.changes, decision.events, decision.asks) == (answer, (), (), ())


@pytest.mark.parametrize("text", ["5000", "5000.0", "5000.00"])
def test_an_amount_may_be_written_differently_in_each_call(text: str) -> None:
    assert code(decided(prepare(amount=text), transaction=attempt(UNPAID))) == 0
    assert code(decided(complete(amount=text), transaction=attempt(UNPAID))) == 0


def test_a_repeated_call_may_come_with_another_time_of_signing() -> None:
    assert code(decided(prepare(sign_time="2027-01-01 00:00:00"), transaction=attempt(UNPAID))) == 0
    assert code(decided(complete(sign_time="2027-01-01 00:00:00"), transaction=attempt(UNPAID))) == 0


def test_what_is_prepared_is_what_was_asked_for() -> None:
    (birth,) = decided(prepare(), account=ORDER).changes
    assert birth.after == replace(attempt(UNPAID, at=LATER), id=None)


# Amounts


@pytest.mark.parametrize("text", ["4999.99", "5000.01", "0", "0.00", "5", "500000", "50000.0", "x", "-5000", "5e3"])
def test_an_order_is_paid_in_full_to_the_tiyin(text: str) -> None:
    assert code(decided(prepare(amount=text), account=ORDER)) == -2


@pytest.mark.parametrize("price", [0, -500])
def test_an_order_without_a_price_cannot_be_paid_with_nothing(price: int) -> None:
    assert code(decided(prepare(amount="0"), account=replace(ORDER, amount_tiyin=price))) == -2


@given(st.integers(1, 10**17 - 1), st.decimals("0", "99.999", places=3), st.sampled_from((6, 28)))
def test_a_commission_is_exact_whatever_precision_the_program_around_it_has_set(
    price: int, percent: Decimal, precision: int
) -> None:
    exact = price * (100_000 + int(percent * 1000))  # in tiyin / 100 000
    owed = exact // 100_000 + (exact % 100_000 >= 50_000)
    gateway, account = replace(CLICK, commission_percent=percent), replace(ORDER, amount_tiyin=price)
    with localcontext(prec=precision):
        for slip, answer in ((-1, -2), (0, 0), (1, -2)):
            text = f"{(owed + slip) // 100}.{(owed + slip) % 100:02}"
            if len(text) <= 18:
                assert code(decided(prepare(amount=text), gateway=gateway, account=account)) == answer


@pytest.mark.parametrize(
    ("percent", "price", "owed"),
    [("0", 500_000, "5000"), ("1", 500_000, "5050"), ("0.5", 100, "1.01"), ("0.5", 99, "0.99"),
     ("2.5", 333_333, "3416.66"), ("12.345", 1, "0.01")],
)  # fmt: skip
def test_the_customer_pays_price_and_commission_half_a_tiyin_up(percent: str, price: int, owed: str) -> None:
    gateway = replace(CLICK, commission_percent=Decimal(percent))
    assert code(decided(prepare(amount=owed), gateway=gateway, account=replace(ORDER, amount_tiyin=price))) == 0


@given(st.integers(-5, 3000), st.none() | st.integers(0, 3000), st.integers(0, 3000))
def test_a_wallet_takes_any_amount_between_its_bounds(low: int, high: int | None, amount: int) -> None:
    gateway = replace(CLICK, minimum=low, maximum=high, commission_percent=Decimal(50))
    fits = amount > 0 and low <= amount and (high is None or amount <= high)
    text = f"{amount // 100}.{amount % 100:02}"
    form = prepare(amount=text, merchant_trans_id="7")
    assert code(decided(form, gateway=gateway, account=WALLET)) == (0 if fits else -2)


# What is read


@pytest.mark.parametrize(
    ("form", "reads"),
    [
        (prepare(), Lookup(gateway="click", transaction_id=str(TRANS), hold="of 42", account={"order_id": "42"})),
        (
            prepare(merchant_trans_id="7"),
            Lookup(gateway="click", transaction_id=str(TRANS), hold=CREDIT, account={"order_id": "7"}),
        ),
        (complete(), Lookup(gateway="click", transaction_id=str(TRANS), account={"order_id": "42"}, for_update=True)),
    ],
)
def test_only_what_a_call_needs_is_read(form: Form, reads: Lookup) -> None:
    gateway = replace(CLICK, hold_for=lambda fields: "of 42" if fields["order_id"] == "42" else None)
    assert gateway.lookup(call(form, gateway)) == reads


# What the merchant says


@pytest.mark.parametrize("answer", [False, None, 0])
def test_a_reversal_that_the_shop_does_not_allow_is_answered_already_paid_and_writes_nothing(answer: object) -> None:
    form = complete(error=NO_MONEY)
    decision = decided(form, transaction=attempt(PAID))
    (ask,) = decision.asks
    assert ask.transaction == attempt(PAID)
    refused = CLICK.amend(call(form), decision, ask, answer)
    assert (code(refused), refused.changes, refused.events, refused.asks) == (-4, (), (), ())
    assert read(CLICK.render(call(form), refused.reply))["merchant_confirm_id"] == prepare_id(TRANS)
    assert CLICK.amend(call(form), decision, ask, True) == decision  # noqa: FBT003 - a hook's answer


def test_what_a_hook_returns_without_having_been_asked_changes_nothing() -> None:
    decision = decided(prepare(), account=ORDER)
    assert CLICK.amend(call(prepare()), decision, decision.asks[0], None) == decision


def test_a_refusal_speaks_english_in_prepare_and_is_only_a_failure_in_complete() -> None:
    refusal = Refused({"ru": "Нет в наличии", "en": "Out of stock"})
    told = read(CLICK.render(call(prepare()), CLICK.refuse(call(prepare()), refusal)))
    assert (told["error"], told["error_note"], told["merchant_prepare_id"]) == (-5, "Out of stock", 0)
    told = read(CLICK.render(call(complete()), CLICK.refuse(call(complete()), refusal)))
    assert (told["error"], told["error_note"]) == (-7, "Failed to update user")
    assert told["merchant_confirm_id"] == prepare_id(TRANS)


def test_a_failure_before_anything_was_read_is_answered_too() -> None:
    assert read(CLICK.render(None, CLICK.fail(None)))["error"] == -7


# C1 to C8, in a shop


class Shop(World):
    """The shop in memory, called by Click, and by Payme about the same orders."""

    def __init__(self, engine: Engine = "sync", gateway: Click = CLICK) -> None:
        super().__init__(engine, gateway)
        self.listen()

    def click(self, form: Form) -> Answer:
        return read(self.answer(post(encoded(form))))

    def said(self, form: Form) -> int:
        return int(self.click(form)["error"])

    def payme(self, *message: Any) -> int | None:
        """What Payme is answered: an error's code, or None."""
        ours, self.gateway = self.gateway, PAYME
        try:
            envelope = json.loads(self.answer(post(payme_encoded(message), authorization=basic())))
        finally:
            self.gateway = ours
        return envelope["error"]["code"] if "error" in envelope else None

    def states(self) -> dict[str, State]:
        return {each.transaction_id: each.state for each in self.memory.transactions.values()}

    def count(self, hook: Hook) -> int:
        return sum(name == hook for name, *_ in self.told)


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(request.param)


def test_c1_an_attempt_has_one_row_however_often_it_is_prepared(shop: Shop) -> None:
    assert [shop.click(prepare()) for _ in range(3)] == [shop.click(prepare())] * 3
    assert shop.states() == {str(TRANS): UNPAID}
    assert (shop.count(CREATED), shop.count(REPEATED)) == (1, 3)


def test_c2_a_complete_comes_only_after_its_own_prepare(shop: Shop) -> None:
    assert [shop.said(complete()), shop.said(complete(error=-1))] == [-6, -6]
    assert shop.said(prepare()) == 0
    assert shop.said(complete(click_trans_id=TRANS + 1)) == -6
    assert shop.said(complete(click_trans_id=TRANS + 1, merchant_prepare_id=prepare_id(TRANS))) == -6
    assert shop.said(complete(merchant_prepare_id=prepare_id(TRANS + 1))) == -6
    assert shop.said(complete(merchant_trans_id="404")) == -6
    assert shop.said(complete(click_trans_id=TRANS + 1, merchant_trans_id="404")) == -5
    assert (shop.states(), shop.count(DELIVERED)) == ({str(TRANS): UNPAID}, 0)


def test_c3_a_complete_takes_effect_once(shop: Shop) -> None:
    assert [shop.said(prepare()), *(shop.said(complete()) for _ in range(3)), shop.said(prepare())] == [
        0,
        0,
        -4,
        -4,
        -4,
    ]
    assert shop.count(DELIVERED) == 1
    other = {"click_trans_id": TRANS + 1}
    assert shop.said(prepare(**other)) == -4


def test_c3_after_a_cancel_a_complete_is_told_so_and_somebody_is_told_of_the_money(shop: Shop) -> None:
    failed = complete(error=NO_MONEY)
    assert [shop.said(each) for each in (prepare(), failed, failed, complete(), complete())] == [0, -9, -9, -9, -9]
    assert (shop.count(DROPPED), shop.count(DELIVERED), shop.count(CONFLICT)) == (1, 0, 2)
    assert shop.memory.transactions["click", str(TRANS)].reason == NO_MONEY


def test_c4_an_error_cancels_a_paid_order_where_the_shop_can_still_reverse_it(shop: Shop) -> None:
    shop.on("can_reverse", lambda *_: False)
    assert [shop.said(each) for each in (prepare(), complete(), complete(error=-1))] == [0, 0, -4]
    assert (shop.states(), shop.count(DROPPED)) == ({str(TRANS): PAID}, 0)
    shop.on("can_reverse", lambda *_: True)
    assert [shop.said(each) for each in (complete(error=-1), complete(error=-2), complete())] == [-9, -9, -9]
    assert (shop.states(), shop.count(DROPPED), shop.count(CONFLICT)) == ({str(TRANS): REFUNDED}, 1, 1)
    assert shop.memory.transactions["click", str(TRANS)].reason == -1


@pytest.mark.parametrize("before", [(), (prepare(),), (prepare(), complete())], ids=len)
def test_c4_without_a_good_signature_nothing_is_read_written_or_told(before: tuple[Form, ...]) -> None:
    shop = Shop()
    for form in before:
        assert shop.said(form) == 0
    stored, told = shop.written(), list(shop.told)
    shop.journal.clear()
    for make in (prepare, complete):
        for error in (0, NO_MONEY):
            assert shop.said({**make(error=error), "sign_string": "0" * 32}) == -1
            assert shop.said(make("another secret", error=error)) == -1
    assert (shop.written(), shop.told, shop.journal) == (stored, told, [])


def test_c5_the_raw_strings_are_what_is_signed(shop: Shop) -> None:
    for place, text in enumerate(("5000", "5000.0", "5000.00")):
        assert shop.said(prepare(amount=text, click_trans_id=place)) == 0
        assert shop.said({**prepare(amount=text, click_trans_id=place), "amount": "5000.000"}) == -1


def test_c6_amounts_are_exact(shop: Shop) -> None:
    shop.accounts["42"] = replace(ORDER, amount_tiyin=435)
    assert [shop.said(prepare(amount=text)) for text in ("4.34", "4.36", "4.349", "4.4", "4", "4.35")] == [-2] * 5 + [0]
    assert [shop.said(complete(amount=text)) for text in ("4.34", "4.36", "435", "4.35")] == [-2, -2, -2, 0]
    assert shop.memory.transactions["click", str(TRANS)].amount_tiyin == 435


def test_c7_a_form_with_two_amounts_is_no_form(shop: Shop) -> None:
    assert read(shop.answer(post(encoded(prepare()) + b"&amount=1")))["error"] == -8
    assert shop.states() == {}


def test_c8_the_prepare_id_is_the_same_in_every_answer_about_an_attempt(shop: Shop) -> None:
    first = shop.click(prepare())["merchant_prepare_id"]
    again = shop.click(prepare())["merchant_prepare_id"]
    done = shop.click(complete(merchant_prepare_id=first))
    late = shop.click(complete(merchant_prepare_id=first))
    paid = shop.click(prepare())["merchant_prepare_id"]
    assert {first, again, done["merchant_confirm_id"], late["merchant_confirm_id"], paid} == {prepare_id(TRANS)}
    assert (done["error"], late["error"]) == (0, -4)


# Superseding, and who wins an order


def test_a_second_attempt_takes_the_place_of_the_first_whose_late_money_goes_back(shop: Shop) -> None:
    second = {"click_trans_id": TRANS + 1, "click_paydoc_id": PAYDOC + 1}
    assert [shop.said(prepare()), shop.said(prepare(**second))] == [0, 0]
    assert shop.memory.transactions["click", str(TRANS)].reason == SUPERSEDED
    assert (shop.said(complete()), shop.count(CONFLICT)) == (-9, 1)
    assert shop.said(complete(**second)) == 0
    assert (shop.said(complete()), shop.count(CONFLICT), shop.count(DELIVERED)) == (-9, 2, 1)
    assert shop.states() == {str(TRANS): FAILED, str(TRANS + 1): PAID}


def test_an_attempt_is_honoured_whenever_its_complete_comes(shop: Shop) -> None:
    assert shop.said(prepare()) == 0
    shop.now += 100 * HALF_DAY
    assert (shop.said(complete()), shop.states()) == (0, {str(TRANS): PAID})


def test_an_attempt_that_payme_has_evicted_is_over(shop: Shop) -> None:
    assert shop.said(prepare()) == 0
    assert shop.payme(*payme_create("p")) == -31051
    shop.now += HALF_DAY + 1
    assert shop.payme(*payme_create("p", time=shop.now)) is None
    assert (shop.said(complete()), shop.said(prepare()), shop.count(CONFLICT)) == (-9, -9, 1)
    assert shop.payme(*payme_perform("p")) is None
    assert (shop.said(prepare(click_trans_id=1)), shop.count(DELIVERED)) == (-4, 1)


def test_an_order_that_payme_holds_or_was_paid_through_payme_is_not_debited_through_click(shop: Shop) -> None:
    assert shop.payme(*payme_create("p")) is None
    assert shop.said(prepare()) == -9
    assert shop.payme(*payme_perform("p")) is None
    assert (shop.said(prepare()), shop.said(complete()), shop.states()) == (-4, -6, {"p": PAID})


def test_after_a_cancel_the_order_is_open_again_to_both(shop: Shop) -> None:
    assert [shop.said(prepare()), shop.said(complete(error=-1))] == [0, -9]
    assert shop.payme(*payme_create("p")) is None
    assert shop.payme("CancelTransaction", {"id": "p", "reason": 3}) is None
    assert [shop.said(prepare(click_trans_id=5)), shop.said(complete(click_trans_id=5))] == [0, 0]


def test_a_reversed_order_is_closed_until_the_shop_opens_it(shop: Shop) -> None:
    assert [shop.said(each) for each in (prepare(), complete(), complete(error=-1))] == [0, 0, -9]
    assert shop.said(prepare(click_trans_id=5)) == -5
    assert shop.payme(*payme_create("p")) == -31052
    shop.on("transaction_already_exists")
    with shop.memory.begin() as repository:
        repository.save(shop.memory.transactions["click", str(TRANS)].reopen(shop.now))
    assert shop.said(prepare(click_trans_id=5)) == 0


# Top-ups

TOP_UP: Final = {"merchant_trans_id": "7"}


def test_a_wallet_is_credited_once_for_each_payment_whatever_attempts_are_made_at_it(shop: Shop) -> None:
    retry = {**TOP_UP, "click_trans_id": TRANS + 1}
    assert [shop.said(prepare(**TOP_UP)), shop.said(prepare(**retry))] == [0, 0]
    assert {each.hold for each in shop.memory.transactions.values()} == {None, CREDIT}
    assert shop.memory.transactions["click", str(TRANS)].reason == SUPERSEDED
    assert [shop.said(complete(**TOP_UP)), shop.said(complete(**retry)), shop.said(complete(**retry))] == [-9, 0, -4]
    third = {**TOP_UP, "click_trans_id": TRANS + 2}
    assert [shop.said(prepare(**third)), shop.said(complete(**third))] == [-4, -6]
    assert shop.count(DELIVERED) == 1
    assert shop.said(complete(error=-1, **retry)) == -9
    assert shop.said(prepare(**third)) == -5, "a reversed payment is not made again under another attempt"


def test_a_retry_names_its_own_prepare_id_and_not_the_old_one(shop: Shop) -> None:
    retry = {**TOP_UP, "click_trans_id": TRANS + 1}
    assert [shop.said(prepare(**TOP_UP)), shop.said(prepare(**retry))] == [0, 0]
    assert shop.said(complete(**retry, merchant_prepare_id=prepare_id(TRANS))) == -6
    assert shop.said(complete(**retry)) == 0


def test_other_payments_and_other_wallets_do_not_meet(shop: Shop) -> None:
    shop.accounts["8"] = replace(WALLET, id=8)
    for trans, (order, paydoc) in enumerate(product(("7", "8"), (PAYDOC, PAYDOC + 1))):
        one: dict[str, Any] = {"merchant_trans_id": order, "click_trans_id": trans, "click_paydoc_id": paydoc}
        assert [shop.said(prepare(**one)), shop.said(complete(**one))] == [0, 0]
    assert shop.payme(*payme_create("p", order="7")) is None
    assert (shop.count(DELIVERED), len({each.hold for each in shop.memory.transactions.values()})) == (4, 5)


# Hooks that refuse or fail


def test_a_merchant_who_refuses_in_prepare_is_heard_and_nothing_is_saved(shop: Shop) -> None:
    def refuse(*_: Any) -> None:
        message = "sold out"
        raise Refused(message)

    shop.on("before_check_perform_transaction", refuse)
    answer = shop.click(prepare())
    assert (answer["error"], answer["error_note"], shop.states()) == (-5, "sold out", {})


@pytest.mark.parametrize("error", [Refused("no"), RuntimeError("bug")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("hook", "before", "form"),
    [
        ("successfully_payment", (prepare(),), complete()),
        ("cancelled_payment", (prepare(),), complete(error=-1)),
        ("cancelled_payment", (prepare(), complete()), complete(error=-1)),
        ("can_reverse", (prepare(), complete()), complete(error=-1)),
        ("payment_conflict", (prepare(), complete(error=-1)), complete()),
    ],
)
def test_a_complete_whose_hook_refuses_or_fails_saved_nothing_and_can_be_repeated(
    shop: Shop, hook: str, before: tuple[Form, ...], form: Form, error: Exception
) -> None:
    for each in before:
        shop.said(each)
    stored = shop.written()
    faults = [error, error]

    def fail(*_: Any) -> bool:
        if faults:
            raise faults.pop()
        return True

    shop.on(hook, fail)
    for _ in range(2):
        answer = shop.click(form)
        assert (answer["error"], answer["error_note"], shop.written()) == (-7, "Failed to update user", stored)
    assert shop.said(form) == (0 if hook == "successfully_payment" else -9)


def test_a_prepare_whose_hook_fails_saved_nothing_and_can_be_repeated(shop: Shop) -> None:
    faults = [RuntimeError("full disk")]

    def fail(*_: Any) -> None:
        if faults:
            raise faults.pop()

    shop.on("transaction_created", fail)
    assert (shop.said(prepare()), shop.states()) == (-7, {})
    assert (shop.said(prepare()), shop.states()) == (0, {str(TRANS): UNPAID})


def test_a_failure_of_a_hook_is_logged_in_full(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        message = "no such warehouse"
        raise RuntimeError(message)

    shop.on("transaction_created", fail)
    assert shop.said(prepare()) == -7
    assert "no such warehouse" in caplog.text


def test_what_follows_a_commit_never_becomes_an_error(shop: Shop) -> None:
    def fail(*_: Any) -> None:
        message = "no mail today"
        raise RuntimeError(message)

    shop.on("after_commit", fail)
    assert [shop.said(each) for each in (prepare(), complete(), complete(error=-1))] == [0, 0, -9]


# Properties: any history of calls

FORMS: Final = st.builds(
    lambda make, trans, order, rest: make(click_trans_id=trans, merchant_trans_id=order, **rest),
    st.sampled_from((prepare, prepare, complete)),
    st.integers(1, 3),
    st.sampled_from(("42", "42", "7", "404")),
    st.fixed_dictionaries(
        {},
        optional={
            "error": st.sampled_from((0, 0, -1, NO_MONEY)),
            "amount": st.sampled_from(("5000", "5000.00", "4999.99", "nan")),
            "click_paydoc_id": st.integers(1, 2),
            "merchant_prepare_id": st.sampled_from((2, 3, 999999999)),
        },
    ),
)
OF_PAYME: Final = st.sampled_from(("create", "perform", "cancel"))
STEPS: Final = st.lists(
    st.tuples(FORMS | OF_PAYME, st.sampled_from((0, 0, 0, 1000, HALF_DAY + 1))), min_size=1, max_size=10
)


def check_history(gateway: Click, steps: list[tuple[Any, Millis]]) -> None:
    """Let things happen to a shop, and hold after each of them what must always hold."""
    shop = Shop("sync", gateway)
    for step, pause in steps:
        shop.now += pause
        if isinstance(step, str):
            message = {"create": payme_create("p", time=shop.now), "perform": payme_perform("p")}
            shop.payme(*message.get(step, ("CancelTransaction", {"id": "p", "reason": 3})))
        else:
            check_step(gateway, shop, step)
        check_shop(shop)


def check_step(gateway: Click, shop: Shop, form: Form) -> None:
    """Send one form: forged first, then twice."""
    before = shop.written()
    forged = {**form, "sign_string": form["sign_string"][::-1]}
    assert forged["sign_string"] == form["sign_string"] or shop.said(forged) == -1
    assert shop.written() == before, "a bad signature wrote"

    asked = call(form, gateway)
    with shop.memory.begin() as repository:
        snapshot = load(repository, gateway.lookup(asked))
    untouched = deepcopy(snapshot)
    decision = gateway.decide(asked, snapshot, shop.now)
    assert (gateway.decide(asked, snapshot, shop.now), snapshot) == (decision, untouched)
    aborting = (form["action"], code(decision)) == ("1", -9)
    assert code(decision) == 0 or aborting or not decision.changes, "an error wrote"
    moved = [event.transaction for event in decision.events if event.hook in (CREATED, DELIVERED, DROPPED)]
    assert moved == [change.after for change in decision.changes], "a move without its hook, or a hook without its move"

    first = shop.click(form)
    assert first["error"] == code(decision)
    check_truth(shop, form, first)
    stored, told = shop.written(), len(shop.told)
    again = shop.click(form)
    assert shop.written() == stored, "a repeated call wrote"
    assert not {name for name, *_ in shop.told[told:]} & {DELIVERED, DROPPED, CREATED}, "a repeated call told of a move"
    if (form["action"], first["error"]) == ("1", 0):
        assert again["error"] == -4
    else:
        assert again == first


def check_truth(shop: Shop, form: Form, answer: Answer) -> None:
    """What Click is told is so: it debits, delivers or gives money back by it."""
    known = shop.memory.transactions.get(("click", form["click_trans_id"]))
    state = None if known is None else known.state
    match form["action"], answer["error"]:
        case "0", 0:
            assert state is UNPAID, "the customer would be debited for nothing"
        case "1", 0:
            assert state is PAID
        case "1", -4:
            assert state is PAID
        case _, -4:
            assert PAID in shop.states().values()
        case _, -9:
            assert state is not PAID, "Click would give back money that the shop keeps as paid"
        case _:
            assert answer["error"] in (-2, -5, -6, -8)


def check_shop(shop: Shop) -> None:
    """One order, one payment; what was told is what is stored; nobody answers for an attempt twice."""
    stored = list(shop.memory.transactions.values())
    live = [each for each in stored if each.state in (UNPAID, PAID)]
    assert len([each for each in live if each.account_id == 42]) <= 1
    credits_ = [each.hold for each in live if each.account_id == 7]
    assert len(credits_) == len(set(credits_))
    ever_paid = [each for each in stored if each.perform_time is not None]
    assert shop.count(DELIVERED) == len(ever_paid)
    assert shop.count(DROPPED) == len([each for each in stored if each.state < 0])
    for each in stored:
        assert (each.hold is None) is (each.state is FAILED)
        assert each.account_id == 7 or each.amount_tiyin == AMOUNT


@settings(max_examples=150 * SIZE)
@given(STEPS)
def test_whatever_the_providers_call_in_whatever_order_no_rule_is_broken(steps: list[tuple[Any, Millis]]) -> None:
    check_history(CLICK, steps)


SHORT: Final = (
    prepare(click_trans_id=1),
    prepare(click_trans_id=2),
    complete(click_trans_id=1),
    complete(click_trans_id=1, error=NO_MONEY),
    complete(click_trans_id=2),
    "create",
    "perform",
)


def check_short_histories(gateway: Click, *, length: int = 3) -> None:
    """Every history of a few calls about one order."""
    for steps in product(SHORT, repeat=length):
        check_history(gateway, [(step, 0) for step in steps])


@pytest.mark.sized
def test_every_short_history_of_two_attempts_and_payme_about_one_order_keeps_the_rules() -> None:
    check_short_histories(CLICK, length=3 if SIZE == 1 else 5)
