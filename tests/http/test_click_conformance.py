"""Click's Prepare and Complete over HTTP: every client, and every database where its storage could matter."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from paytechuz import ConfigurationError, Refused
from tests.core.click_wire import encoded, prepare, prepare_id
from tests.http.click import Click
from tests.http.clients import EXAMPLE, HALF_DAY, MODELS, SECRET, Client, FastApiSync, Model
from tests.http.faults import broken_updates

Open = Callable[..., Client]
LARGE = 2**53 + 1


@pytest.fixture
def click(shop: Client) -> Click:
    """Click, calling a shop that does as the documentation's example."""
    return Click(shop)


def stored(click: Click) -> tuple[Any, ...]:
    """Everything that the shop has stored of payments."""
    return click.shop.database.states(), click.shop.database.payments(), click.shop.hooks


# C1 to C8


@pytest.mark.every_database
def test_c1_a_repeated_prepare_is_answered_the_same_byte_for_byte_and_makes_no_row(click: Click) -> None:
    order = click.shop.database.order()
    first, rows = click.prepare(LARGE, order), click.shop.database.payments()
    for _ in range(3):
        click.shop.clock.advance(HALF_DAY)
        assert click.prepare(LARGE, order).body == first.body
    assert first.json == {
        "click_trans_id": LARGE,
        "merchant_trans_id": str(order),
        "merchant_prepare_id": prepare_id(LARGE),
        "error": 0,
        "error_note": "Success",
    }
    assert click.shop.database.payments() == rows
    (row,) = rows
    assert (row["gateway"], row["transaction_id"], row["account_id"]) == ("click", str(LARGE), str(order))
    assert (row["amount_tiyin"], row["state"], row["provider_time"]) == (500_000, 1, None)


@pytest.mark.every_database
def test_c2_a_complete_without_its_own_prepare_changes_nothing(click: Click) -> None:
    order, other = click.shop.database.order(), click.shop.database.order()
    assert click.complete(1, order).error == -6
    assert click.prepare(1, order).error == 0
    before = stored(click)
    assert click.complete(2, order).error == -6
    assert click.complete(1, other).error == -6
    assert click.complete(1, order, merchant_prepare_id=999999999).error == -6
    assert click.complete(2, order, merchant_prepare_id=prepare_id(1)).error == -6
    assert click.complete(2, 404).error == -5
    assert click.abort(2, order).error == -6
    assert stored(click) == before


@pytest.mark.every_database
def test_c3_a_complete_takes_effect_once_and_after_a_cancel_never(click: Click) -> None:
    paid, failed = click.shop.database.order(), click.shop.database.order()
    assert [click.prepare(1, paid).error, *(click.complete(1, paid).error for _ in range(3))] == [0, 0, -4, -4]
    assert click.complete(1, paid).json["merchant_confirm_id"] == prepare_id(1)
    assert [call(2, failed).error for call in (click.prepare, click.abort, click.complete)] == [0, -9, -9]
    assert click.shop.database.states() == {"1": 2, "2": -1}
    assert (click.shop.database.find(paid).paid, click.shop.database.find(failed).paid) == (1, 0)
    assert click.shop.database.payment("2")["reason"] == -5017


def can_reverse(self: Any, params: Any, transaction: Any) -> bool:
    """The shop reverses nothing that it has shipped."""
    del params, transaction
    return bool(self.reversible)


@pytest.mark.every_database
def test_c4_a_negative_error_cancels_unless_the_shop_cannot_reverse(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, can_reverse])
    click, order = Click(shop), shop.database.order()
    click.pay(1, order)
    shop.click_class.reversible = False
    assert click.abort(1, order).error == -4
    assert (shop.database.states(), shop.database.find(order).returned) == ({"1": 2}, 0)
    shop.click_class.reversible = True
    assert [click.abort(1, order).error for _ in range(3)] == [-9, -9, -9]
    assert (shop.database.states(), shop.database.find(order).returned) == ({"1": -2}, 1)


@pytest.mark.every_database
def test_c4_and_c5_a_bad_signature_does_not_even_reach_the_database(click: Click) -> None:
    order = click.shop.database.order()
    assert click.prepare(1, order).error == 0
    before = stored(click)
    with click.shop.database.watch() as seen:
        for make in (click.prepare, click.complete, click.abort):
            assert make(1, order, sign_string="0" * 32).error == -1
            assert make(2, order, sign_string="0" * 32).error == -1
        assert click.form({**prepare(merchant_trans_id=order, amount="5000.00"), "amount": "5000"}).error == -1
    assert (seen.statements, seen.commits) == ([], 0)
    assert stored(click) == before


@pytest.mark.every_database
def test_c6_amounts_are_exact_decimals(click: Click) -> None:
    order = click.shop.database.order(amount=Decimal("8.20"))
    for wrong in ("8.19", "8.21", "8", "820", "8.200", "8,20", "nan", "inf", "1e1", "-8.20", "08.20", "0"):
        assert click.prepare(1, order, amount=wrong).error == -2
    for place, right in enumerate(("8.20", "8.2")):
        assert click.prepare(place, order, amount=right).error == 0
    assert [click.complete(1, order, amount=text).error for text in ("8.19", "0", "8.2")] == [-2, -2, 0]
    assert {row["amount_tiyin"] for row in click.shop.database.payments()} == {820}


@pytest.mark.parametrize("field", ["amount", "click_trans_id", "error", "unknown"])
def test_c7_a_field_that_comes_twice_is_refused(click: Click, field: str) -> None:
    form = {**prepare(merchant_trans_id=click.shop.database.order()), "unknown": "1"}
    assert click.send(encoded(form) + f"&{field}={form[field]}".encode()).error == -8
    assert click.shop.database.payments() == []
    assert click.form(form).error == 0


@pytest.mark.every_database
def test_c8_the_prepare_id_is_positive_fits_31_bits_and_stays(click: Click) -> None:
    attempts = (0, 1, 2**31 - 2, 2**31 - 1, 2**31, LARGE, 2**63 - 1)
    for trans in attempts:
        order = click.shop.database.order()
        ids = [
            click.prepare(trans, order).json["merchant_prepare_id"],
            click.prepare(trans, order).json["merchant_prepare_id"],
            click.complete(trans, order).json["merchant_confirm_id"],
            click.prepare(trans, order).json["merchant_prepare_id"],
        ]
        assert ids == [prepare_id(trans)] * 4
        assert 0 < ids[0] < 2**31
    assert click.shop.database.states() == {str(trans): 2 for trans in attempts}


# Races


@pytest.mark.every_database
def test_of_sixteen_completes_at_once_one_is_told_0_and_all_others_already_paid(click: Click) -> None:
    for trans in range(1, 4):
        order = click.shop.database.order()
        assert click.prepare(trans, order).error == 0
        answers = click.shop.at_once([partial(click.complete, trans, order)] * 16)
        assert sorted(answer.error for answer in answers) == [-4] * 15 + [0]
        assert (click.shop.database.find(order).paid, click.shop.database.states()[str(trans)]) == (1, 2)


@pytest.mark.every_database
def test_a_complete_and_a_cancel_at_once_agree_on_one_end(click: Click) -> None:
    for trans in range(1, 5):
        order = click.shop.database.order()
        assert click.prepare(trans, order).error == 0
        calls = [partial(click.complete, trans, order), partial(click.abort, trans, order)] * 4
        answers = click.shop.at_once(calls)
        completed = [answer.error for answer in answers[::2]]
        row, found = click.shop.database.payment(str(trans)), click.shop.database.find(order)
        # Every cancel is told −9: it came before the money, or it reversed it.
        assert [answer.error for answer in answers[1::2]] == [-9] * 4
        assert completed.count(0) == found.paid == (row["state"] == -2)
        assert set(completed) <= {0, -4, -9}
        assert (row["state"] < 0, found.returned) == (True, 1)


@pytest.mark.every_database
def test_a_cancel_that_may_not_reverse_and_a_complete_at_once_have_one_winner(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, can_reverse])
    shop.click_class.reversible = False
    click = Click(shop)
    for trans in range(1, 5):
        order = shop.database.order()
        assert click.prepare(trans, order).error == 0
        calls = [partial(click.complete, trans, order), partial(click.abort, trans, order)]
        answers = [answer.error for answer in shop.at_once(calls)]
        found = shop.database.find(order)
        assert (answers, shop.database.states()[str(trans)], found.paid, found.returned) in (
            ([0, -4], 2, 1, 0),
            ([-9, -9], -1, 0, 1),
        )


@pytest.mark.every_database
def test_sixteen_identical_prepares_at_once_make_one_row_and_one_answer(click: Click) -> None:
    order = click.shop.database.order()
    answers = click.shop.at_once([lambda: click.prepare(1, order)] * 16)
    assert {answer.body for answer in answers} == {answers[0].body}
    assert (answers[0].error, click.shop.database.states()) == (0, {"1": 1})


@pytest.mark.every_database
def test_of_rival_attempts_prepared_at_once_one_holds_the_order_and_the_others_are_over(click: Click) -> None:
    order, attempts = click.shop.database.order(), range(1, 5)
    answers = click.shop.at_once([partial(click.prepare, trans, order) for trans in attempts])
    assert [answer.error for answer in answers] == [0] * len(attempts)
    states = click.shop.database.states()
    assert sorted(states.values()) == [-1] * (len(attempts) - 1) + [1]
    completed = {str(trans): click.complete(trans, order).error for trans in attempts}
    assert completed == {trans: 0 if state == 1 else -9 for trans, state in states.items()}
    assert click.shop.database.find(order).paid == 1


# Superseding, lifetimes, top-ups


def payment_conflict(self: Any, params: Any, transaction: Any) -> None:
    """Somebody is told."""
    del self, params, transaction


@pytest.mark.every_database
def test_money_for_an_attempt_whose_place_was_taken_is_sent_back_and_somebody_is_told(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, payment_conflict])
    click, order = Click(shop), shop.database.order()
    assert [click.prepare(1, order).error, click.prepare(2, order).error, click.complete(2, order).error] == [0, 0, 0]
    assert [click.complete(1, order).error, click.complete(1, order).error] == [-9, -9]
    assert shop.hooks == ["cancelled_payment", "successfully_payment", "payment_conflict", "payment_conflict"]
    assert (shop.database.states(), shop.database.find(order).paid) == ({"1": -1, "2": 2}, 1)
    assert shop.heard[-1].arguments[1].transaction_id == "1"


@pytest.mark.every_database
def test_a_wallet_is_credited_once_for_a_payment_however_many_attempts_it_took(open_shop: Open) -> None:
    shop = open_shop(click_settings={"one_time_payment": False})
    click, wallet = Click(shop), shop.database.order()
    some: dict[str, Any] = {"amount": "1234.56", "click_paydoc_id": 77}
    assert [click.prepare(1, wallet, **some).error, click.prepare(2, wallet, **some).error] == [0, 0]
    assert shop.database.payment("2")["hold"] == f"click:12345:{wallet}:77"
    assert [click.complete(1, wallet, **some).error, click.complete(2, wallet, **some).error] == [-9, 0]
    assert [click.prepare(3, wallet, **some).error, click.complete(3, wallet, **some).error] == [-4, -6]
    click.pay(4, wallet, **{**some, "click_paydoc_id": 78})
    assert (shop.database.find(wallet).paid, shop.database.states()) == (2, {"1": -1, "2": 2, "4": 2})


@pytest.mark.every_database
def test_parallel_retries_of_one_top_up_credit_it_once(open_shop: Open) -> None:
    shop = open_shop(click_settings={"one_time_payment": False})
    click, wallet = Click(shop), shop.database.order()

    def pay(trans: int) -> int:
        return 1 if click.prepare(trans, wallet).error == 0 and click.complete(trans, wallet).error == 0 else 0

    delivered = shop.at_once([partial(pay, trans) for trans in range(1, 7)])
    assert sum(delivered) == shop.database.find(wallet).paid == list(shop.database.states().values()).count(2) == 1


def test_the_customer_pays_the_commission_where_the_shop_says_so(open_shop: Open) -> None:
    shop = open_shop(click_settings={"commission_percent": "2.5"})
    click, order = Click(shop), shop.database.order()
    assert [click.prepare(1, order, amount=text).error for text in ("5000.00", "5125.01", "5125.00")] == [-2, -2, 0]
    assert [click.complete(1, order, amount=text).error for text in ("5000.00", "5125.00")] == [-2, 0]


# Hooks


@pytest.mark.every_database
def test_the_hooks_run_once_for_each_move_and_see_the_orders_own_key(click: Click) -> None:
    order = click.shop.database.order()
    for call in (click.prepare, click.prepare, click.complete, click.complete, click.abort, click.abort):
        call(1, order)
    assert click.shop.hooks == ["successfully_payment", "cancelled_payment"]
    params, transaction = click.shop.heard[0].arguments
    assert (transaction.account_id, transaction.amount, transaction.gateway) == (order, Decimal("5000.00"), "click")
    assert (params["click_paydoc_id"], "sign_string" in params) == ("987654321", False)


class BrokenError(Exception):
    """The shop's own bug."""


@pytest.mark.every_database
@pytest.mark.parametrize("error", [BrokenError("never shown"), Refused("no")], ids=["fails", "refuses"])
def test_a_complete_whose_hook_fails_or_refuses_is_told_minus_7_and_saved_nothing(
    open_shop: Open, error: Exception
) -> None:
    faults = [error, error]

    def successfully_payment(self: Any, params: Any, transaction: Any) -> Any:
        yield from EXAMPLE[0](self, params, transaction)
        if faults:
            raise faults.pop()

    shop = open_shop(habits=[successfully_payment])
    click, order = Click(shop), shop.database.order()
    assert click.prepare(1, order).error == 0
    before = shop.database.payments()
    for _ in range(2):
        answer = click.complete(1, order)
        assert (answer.error, answer.json["error_note"]) == (-7, "Failed to update user")
        assert (shop.database.payments(), shop.database.find(order).paid) == (before, 0)
    assert [click.complete(1, order).error, click.complete(1, order).error] == [0, -4]
    assert shop.database.find(order).paid == 1


def test_a_merchant_who_refuses_in_prepare_is_told_minus_5_in_his_own_words(open_shop: Open) -> None:
    def before_check_perform_transaction(self: Any, params: Any, account: Any) -> None:
        del self, params
        message = f"order {account.id} is sold out"
        raise Refused(message)

    shop = open_shop(habits=[before_check_perform_transaction])
    order = shop.database.order()
    answer = Click(shop).prepare(1, order)
    assert (answer.error, answer.json["error_note"]) == (-5, f"order {order} is sold out")
    assert shop.database.payments() == []


def is_payable(self: Any, account: Any) -> bool:
    """The shop takes no money for what it has closed."""
    del self
    return bool(account.status != "closed")


def test_an_order_that_the_shop_has_closed_is_told_minus_5_but_a_debited_attempt_is_honoured(open_shop: Open) -> None:
    shop = open_shop(habits=[*EXAMPLE, is_payable])
    click, order = Click(shop), shop.database.order()
    assert click.prepare(1, order).error == 0
    shop.database.change(order, status="closed", amount=Decimal(1))
    assert [click.prepare(2, order, amount="1").error, click.complete(1, order).error] == [-5, 0]


@pytest.mark.every_database
def test_a_database_that_fails_is_told_minus_7_and_mends(click: Click) -> None:
    order = click.shop.database.order()
    assert click.prepare(1, order).error == 0
    before = click.shop.database.payments()
    with broken_updates(click.shop.database.engine):
        assert [click.complete(1, order).error, click.abort(1, order).error] == [-7, -7]
    assert click.shop.database.payments() == before
    assert click.complete(1, order).error == 0


# Requests


def test_one_url_serves_both_actions_and_one_each_serves_its_own(click: Click) -> None:
    order = click.shop.database.order()
    first, second = replace(click, path="/click/prepare"), replace(click, path="/click/complete")
    assert [second.prepare(1, order).error, first.prepare(1, order).error] == [-3, 0]
    assert [each.complete(1, order).error for each in (first, second, click)] == [-3, 0, -4]


@pytest.mark.parametrize("path", ["/click", "/click/prepare", "/click/complete"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_http_methods_are_answered_with_200_and_minus_8(click: Click, path: str, method: str) -> None:
    form = encoded(prepare(merchant_trans_id=click.shop.database.order()))
    assert click.send(form, method, path=path).error == -8
    assert click.send(b"", method, path=path).error == -8
    assert click.shop.database.payments() == []


def test_what_stands_in_the_query_string_is_not_read(click: Click) -> None:
    form = prepare(merchant_trans_id=click.shop.database.order())
    query = encoded(form).decode()
    assert click.send(b"", path=f"/click?{query}").error == -8
    assert click.send(encoded({**form, "amount": ""}), path=f"/click?{query}").error == -8
    assert click.send(encoded(form), path="/click?amount=1&action=1&error=-1&x=%ff").error == 0


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_form_is_read_whatever_its_content_type_says_and_nothing_else_is(click: Click, kind: str) -> None:
    form = prepare(merchant_trans_id=click.shop.database.order())
    assert click.send(encoded(form), headers={"Content-Type": kind}).error == 0
    assert click.send(b'{"click_trans_id": 1}', headers={"Content-Type": kind}).error == -8


def test_a_body_may_have_64_kib_and_not_one_byte_more(click: Click) -> None:
    form = encoded(prepare(merchant_trans_id=click.shop.database.order())) + b"&x="
    most = form + b"x" * (64 * 1024 - len(form))
    assert [click.send(most + b"x").error, click.send([most, b"x"]).error, click.send(b"x" * 10**6).error] == [-8] * 3
    assert click.shop.database.payments() == []
    assert click.send(most).error == 0


def test_a_compressed_body_is_not_unpacked(click: Click) -> None:
    form = encoded(prepare(merchant_trans_id=click.shop.database.order()))
    assert click.send(form, headers={"Content-Encoding": "gzip"}).error == -8


@pytest.mark.every_database
@pytest.mark.parametrize("model", MODELS)
def test_an_order_of_any_kind_of_key_is_paid_by_its_own_spelling_only(open_shop: Open, model: Model) -> None:
    shop = open_shop(model=model)
    key: Any = {"TextOrder": "заказ-№7 а", "UuidOrder": uuid4()}.get(model.__name__, 42)
    order = shop.database.order(model, id=key)
    click = Click(shop)
    near = ("404", "042", " 42", "42 ", "٤٢", "1.5", "ЗАКАЗ-№7 А", "заказ-№7 a", "9" * 30, "x" * 5000)
    for wrong in (*near, str(uuid4()), str(key).upper() + "x", "{" + str(key) + "}"):
        assert click.prepare(1, wrong).error == -5
    click.pay(1, order or key)
    assert shop.database.find(key, model).paid == 1
    assert shop.heard[0].arguments[1].account_id == key
    assert type(shop.heard[0].arguments[1].account_id) is type(key)


@pytest.mark.every_database
def test_a_wallet_with_a_long_name_holds_its_payment_too(open_shop: Open) -> None:
    text_order = MODELS[1]
    shop = open_shop(model=text_order, click_settings={"one_time_payment": False})
    click = Click(shop)
    name = "ж" * 64
    shop.database.order(text_order, id=name)
    click.pay(2**63 - 1, name, click_paydoc_id=2**63 - 1)
    assert click.prepare(1, name, click_paydoc_id=2**63 - 1).error == -4
    assert shop.database.states() == {str(2**63 - 1): 2}


def test_a_foreign_service_is_refused(click: Click) -> None:
    order = click.shop.database.order()
    assert [click.prepare(1, order, service_id=12346).error, click.prepare(1, order).error] == [-8, 0]


def test_keys_rotate_while_calls_come(open_shop: Open) -> None:
    keys = ["another"]
    shop = open_shop(click_settings={"secret_key": lambda: keys})
    click, order = Click(shop), shop.database.order()
    assert click.prepare(1, order).error == -1
    keys[:] = ["another", SECRET]
    assert click.prepare(1, order).error == 0
    keys[:] = []
    assert click.complete(1, order).error == -1


@pytest.mark.clients.with_args(FastApiSync)  # settings are read before there is a request
@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("secret_key", "", "secret_key is empty"),
        ("secret_key", [], "secret_key is empty"),
        ("secret_key", None, "secret_key is empty"),
        ("service_id", "", "service_id must be"),
        ("service_id", "12a", "service_id must be"),
        ("service_id", "٣", "service_id must be"),
        ("commission_percent", 2.5, "commission_percent must be"),
        ("commission_percent", "x", "commission_percent must be"),
        ("commission_percent", -1, "commission_percent must be"),
        ("commission_percent", 100, "commission_percent must be"),
        ("action", 2, "action must be"),
        ("account_field", ["order_id", "id"], "account_field must be one field|account_column must name"),
    ],
)
def test_a_setting_that_cannot_work_is_told_at_once(open_shop: Open, setting: str, value: Any, says: str) -> None:
    shop = open_shop(click_settings={setting: value})
    with pytest.raises(ConfigurationError, match=says):
        shop.click_handler(Session())
