"""What goes wrong in published integrations, item by item: ours must have none of it.

Where another test is about just that, it is called here, so that every item is found under its number.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Select, inspect, text

from paytechuz import checkout_link, som_to_tiyin
from tests.core.click_wire import prepare_id
from tests.http import habits, test_bad_input, test_drivers, test_hooks, test_payme_conformance
from tests.http.click import Click
from tests.http.clients import (
    EXAMPLE,
    HALF_DAY,
    KEY,
    MODELS,
    NOON,
    PAYMENTS,
    TIYIN,
    Answer,
    Client,
    Database,
    Model,
    basic,
    watched,
)  # fmt: skip

Open = Callable[..., Client]

# Money


def test_pitfall_01_a_stale_transaction_is_not_performed_and_an_abandoned_one_does_not_hold_its_order(
    shop: Client,
) -> None:
    order = shop.database.order()
    shop.create("abandoned", order).ok()
    shop.clock.advance(HALF_DAY + 1)
    assert shop.check_perform(order).result == {"allow": True}
    shop.pay("new", order)
    assert shop.perform("abandoned").code == -31008
    assert (shop.database.states(), shop.database.find(order).paid) == ({"abandoned": -1, "new": 2}, 1)


def test_pitfall_02_a_cancelled_or_refunded_transaction_is_never_performed_again(shop: Client) -> None:
    test_payme_conformance.test_t28_perform_after_a_cancel_or_a_refund_is_impossible(shop)


def test_pitfall_03_a_paid_order_is_not_paid_again_by_a_new_id(shop: Client) -> None:
    order = shop.database.order()
    shop.pay("a", order)
    assert (shop.create("b", order).code, shop.perform("b").code) == (-31052, -31003)
    assert shop.database.find(order).paid == 1


def test_pitfall_04_a_paid_or_held_order_is_not_allowed(open_shop: Open) -> None:
    test_payme_conformance.test_t15_busy_paid_and_closed_orders_are_refused_in_the_account_range(open_shop)


def test_pitfall_05_of_parallel_creates_one_wins_the_order(shop: Client) -> None:
    test_payme_conformance.test_t20_of_twenty_rival_creates_at_once_exactly_one_gets_the_order(shop)


def test_pitfall_06_parallel_identical_creates_make_one_row_that_later_calls_find(shop: Client) -> None:
    order = shop.database.order()
    shop.at_once([lambda: shop.create("a", order)] * 20)
    assert [shop.check("a").result["state"], shop.perform("a").result["state"], shop.cancel("a").result["state"]] == [
        1,
        2,
        -2,
    ]


def test_pitfall_07_the_paid_hook_runs_once_however_often_perform_comes(shop: Client) -> None:
    test_payme_conformance.test_t27_twenty_performs_at_once_pay_once(shop)


def test_pitfall_08_perform_against_cancel_ends_as_it_was_answered(shop: Client) -> None:
    test_payme_conformance.test_t36_perform_and_cancel_at_once_agree_on_one_end(shop)


@pytest.mark.parametrize("habit", [habits.raises, habits.commits_then_raises])
def test_pitfall_09_a_paid_hook_that_raises_is_repeated_until_it_has_run_once(open_shop: Open, habit: Any) -> None:
    shop = open_shop(habits=[habits.hook("successfully_payment", habit, times=2)])
    order = shop.database.order()
    shop.create("a", order).ok()
    assert [shop.perform("a").code for _ in range(4)] == [-32400, -32400, None, None]
    assert (shop.database.find(order).paid, len(shop.heard)) == (1, 3)


@pytest.mark.parametrize("habit", [habits.raises, habits.commits_then_raises])
def test_pitfall_10_a_refund_hook_that_raises_keeps_the_payment_until_it_has_run(open_shop: Open, habit: Any) -> None:
    shop = open_shop(habits=[habits.hook("cancelled_payment", habit, times=1)])
    order = shop.database.order()
    shop.pay("a", order)
    assert (shop.cancel("a").code, shop.database.states(), shop.database.find(order).paid) == (-32400, {"a": 2}, 0)
    assert (shop.cancel("a").result["state"], shop.database.find(order).paid) == (-2, 1)


def test_pitfall_11_after_a_failed_attempt_the_order_can_be_paid(shop: Client) -> None:
    order = shop.database.order()
    for attempt in ("first", "second"):
        shop.create(attempt, order).ok()
        shop.cancel(attempt, 2).ok()
    shop.pay("third", order)
    assert shop.database.states() == {"first": -1, "second": -1, "third": 2}


def test_pitfall_12_the_new_state_follows_from_the_old_one_and_not_from_the_reason(shop: Client) -> None:
    paid, unpaid = shop.database.order(), shop.database.order()
    shop.pay("paid", paid)
    shop.create("unpaid", unpaid).ok()
    assert (shop.cancel("paid", 3).result["state"], shop.cancel("unpaid", 5).result["state"]) == (-2, -1)


@pytest.fixture
def tashkent(database: Database) -> Iterator[None]:
    """Let this process and the shop's database sessions live five hours ahead of UTC."""
    engine = database.shops_engine
    zones = {"postgresql": "SET TIME ZONE 'Asia/Tashkent'", "mysql": "SET time_zone = '+05:00'"}

    def begin(connection: Any) -> None:
        if engine.dialect.name in zones:
            connection.exec_driver_sql(zones[engine.dialect.name])

    with pytest.MonkeyPatch.context() as patch, watched(engine, "begin", begin):
        patch.setenv("TZ", "Asia/Tashkent")
        time.tzset()
        yield
    time.tzset()
    database.forget_connections()


@pytest.mark.session
@pytest.mark.every_database
@pytest.mark.usefixtures("tashkent")
def test_pitfall_13_times_are_right_where_clocks_are_not_set_to_utc(shop: Client) -> None:
    assert time.localtime(NOON // 1000).tm_hour == 17
    shop.create("a", shop.database.order()).ok()
    shop.clock.advance(123)
    assert shop.perform("a").result["perform_time"] == NOON + 123
    (row,) = shop.statement(NOON, NOON)
    assert (row["time"], row["create_time"], row["perform_time"]) == (NOON, NOON, NOON + 123)
    assert shop.database.payment("a")["performed_at"].isoformat() == "2023-11-15T12:00:00.123000+00:00"
    read = "SELECT CAST(performed_at AS CHAR(30)) FROM payments"
    if shop.database.engine.dialect.name == "postgresql":
        read = "SELECT CAST(performed_at AT TIME ZONE 'UTC' AS CHAR(30)) FROM payments"
    with shop.database.engine.connect() as connection:
        seen = connection.execute(text(read)).scalar_one()
    assert "2023-11-15 12:00:00.123" in seen, "what other programs read is UTC, too"


@pytest.mark.every_database
@pytest.mark.parametrize("som", ["4.35", "8.20", "0.01", "1.10", "999999.99", "1000000.00", "1234567890123456.78"])
def test_pitfall_14_money_is_exact_to_the_tiyin(open_shop: Open, som: str) -> None:
    seen = []

    def successfully_payment(self: Any, params: Any, transaction: Any) -> None:
        del self, params
        seen.append((transaction.amount, transaction.amount_tiyin))

    shop = open_shop(habits=[successfully_payment])
    # SQLite has no decimals: its column keeps 15 digits, whoever writes it.
    exact = som if shop.database.engine.dialect.name != "sqlite" else som[-12:].lstrip(".")
    tiyin = int(exact.replace(".", ""))
    order = shop.database.order(amount=Decimal(exact))
    assert [shop.check_perform(order, tiyin + slip).code for slip in (-1, 1)] == [-31001, -31001]
    shop.pay("a", order, tiyin)
    assert seen == [(Decimal(exact), tiyin)]
    assert [row["amount"] for row in shop.statement(NOON, NOON)] == [tiyin]
    assert som_to_tiyin(exact) == tiyin


def test_pitfall_15_a_top_up_takes_amounts_only_and_any_number_of_them(open_shop: Open) -> None:
    shop = open_shop(settings={"one_time_payment": False})
    wallet = shop.database.order()
    for amount, code in ((0, -31001), (-1, -31001), ("500", -32600), (None, -32600), (5.0, -32600), (True, -32600)):
        assert (shop.check_perform(wallet, amount).code, shop.create("x", wallet, amount).code) == (code, code)
    for name in ("a", "b"):
        shop.create(name, wallet, 1).ok()
    for name in ("a", "b"):
        shop.perform(name).ok()
    assert (shop.database.states(), shop.database.find(wallet).paid) == ({"a": 2, "b": 2}, 2)


@pytest.mark.parametrize("without", [{}, {"id": None}, {"id": ""}, {"id": " "}, {"id": 0}, {"id": []}])
def test_pitfall_16_what_has_no_id_is_no_transaction(shop: Client, without: dict[str, Any]) -> None:
    order = shop.database.order()
    account = shop.account(order)
    assert shop.call("CreateTransaction", **without, time=NOON, amount=TIYIN, account=account).code == -32600
    for method in ("PerformTransaction", "CheckTransaction"):
        assert shop.call(method, **without).code == -32600
    assert shop.call("CancelTransaction", **without, reason=1).code == -32600
    assert shop.database.payments() == []


@pytest.mark.parametrize("value", ["1.5", "1.0", 1.5, 1.0, True, "true", "01", "1 "])
def test_pitfall_17_what_is_nearly_an_orders_number_finds_no_order(shop: Client, value: Any) -> None:
    shop.database.order(id=1)
    answer = shop.call("CheckPerformTransaction", amount=TIYIN, account={"order_id": value})
    assert (answer.code, answer.error["data"]) == (-31050, "order_id")
    assert shop.check_perform(1).code is None


def test_pitfall_18_the_statement_goes_by_paymes_time_and_has_all_states_and_the_accounts(shop: Client) -> None:
    test_payme_conformance.test_t40_a_statement_is_in_paymes_order_and_has_every_state(shop)
    shop.database.empty()
    test_payme_conformance.test_t41_a_statement_gives_the_account_back_as_it_came(shop, {"phone": "+998901234567"})


@pytest.fixture
def click(shop: Client) -> Click:
    """Click, calling the shop."""
    return Click(shop)


def test_pitfall_19_click_a_complete_with_a_wrong_prepare_id_pays_nothing(click: Click) -> None:
    order, other = click.shop.database.order(), click.shop.database.order()
    assert [click.prepare(1, order).error, click.prepare(2, other).error] == [0, 0]
    for wrong in (prepare_id(2), 999999999, 0, order):
        assert click.complete(1, order, merchant_prepare_id=wrong).error == -6
    assert (click.shop.database.states(), click.shop.database.find(order).status) == ({"1": 1, "2": 1}, "pending")


def test_pitfall_19_click_a_complete_without_any_prepare_pays_nothing(click: Click) -> None:
    order = click.shop.database.order()
    assert click.complete(1, order).error == -6
    assert (click.shop.database.payments(), click.shop.database.find(order).status) == ([], "pending")


def test_pitfall_19_click_a_complete_after_a_cancel_pays_nothing(click: Click) -> None:
    order = click.shop.database.order()
    assert [click.prepare(1, order).error, click.abort(1, order).error, click.complete(1, order).error] == [0, -9, -9]
    assert (click.shop.database.states(), click.shop.database.find(order).status) == ({"1": -1}, "cancelled")


def test_pitfall_19_click_a_paid_order_is_not_prepared_so_nobody_is_debited_twice(click: Click) -> None:
    order = click.shop.database.order()
    click.pay(1, order)
    assert [click.prepare(1, order).error, click.prepare(2, order).error] == [-4, -4]
    assert click.complete(2, order).error == -6
    assert (click.shop.database.states(), click.shop.database.find(order).paid) == ({"1": 2}, 1)


@pytest.mark.every_database
@pytest.mark.parametrize("error", [-1, -5017, -999999999])
def test_pitfall_19_click_a_cancel_is_stored_with_its_reason_and_its_note_is_lost_on_no_column(
    click: Click, error: int
) -> None:
    order = click.shop.database.order()
    assert click.prepare(1, order).error == 0
    assert click.abort(1, order, error, error_note="Недостаточно средств " * 50).error == -9
    row = click.shop.database.payment("1")
    assert (row["state"], row["reason"], click.shop.database.find(order).returned) == (-1, error, 1)


@pytest.mark.parametrize("amount", ["nan", "NaN", "-nan", "inf", "infinity", "1e999", "snan"])
def test_pitfall_19_click_nan_is_no_amount(click: Click, amount: str) -> None:
    order = click.shop.database.order()
    assert click.prepare(1, order, amount=amount).error == -2
    assert click.prepare(1, order).error == 0
    assert click.complete(1, order, amount=amount).error == -2
    assert (click.shop.database.states(), click.shop.database.find(order).status) == ({"1": 1}, "pending")


def test_pitfall_19_click_an_unsigned_cancel_cancels_nothing(click: Click) -> None:
    order, paid = click.shop.database.order(), click.shop.database.order()
    assert click.prepare(1, order).error == 0
    click.pay(2, paid)
    for signature in ("0" * 32, "x"):
        assert click.abort(1, order, sign_string=signature).error == -1
        assert click.abort(2, paid, sign_string=signature).error == -1
    assert click.abort(1, order, sign_string="").error == -8
    assert click.shop.database.states() == {"1": 1, "2": 2}


@pytest.mark.parametrize("amount", ["0.01", "4999.99", "500", "50", "0"])
def test_pitfall_19_click_no_underpayment_passes(click: Click, amount: str) -> None:
    order = click.shop.database.order()
    assert click.prepare(1, order, amount=amount).error == -2
    assert click.prepare(1, order).error == 0
    assert click.complete(1, order, amount=amount).error == -2
    assert (click.shop.database.states(), click.shop.database.find(order).paid) == ({"1": 1}, 0)


# Protocol, security, operation


def test_pitfall_20_only_the_right_scheme_login_and_whole_key_are_trusted(shop: Client) -> None:
    assert ":" in KEY
    message = {"id": 1, "method": "CheckTransaction", "params": {"id": "unknown"}}
    assert shop.message(message, {"Authorization": basic(KEY)}).code == -31003
    for header in (
        basic(KEY).replace("Basic", "Bearer"),
        basic(KEY, "Admin"),
        basic(KEY.rpartition(":")[2]),
        basic(KEY, "x:Paycom"),
        basic(f"x:{KEY}"),
        KEY,
    ):
        assert shop.message(message, {"Authorization": header}).code == -32504


def test_pitfall_21_every_answer_is_http_200_in_json(shop: Client) -> None:
    """`read_answer` checks it of every answer in these tests; here are those that frameworks give other statuses."""
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert shop.send(b"", method=method).code == -32300
    assert shop.send(b"", {}).code == -32504
    assert (
        shop.send(b"a=1&b=2", {"Authorization": basic(KEY), "Content-Type": "application/x-www-form-urlencoded"}).code
        == -32700
    )
    assert shop.send(b"x" * 10**6).code == -32600


def test_pitfall_22_each_code_means_what_the_table_says(open_shop: Open) -> None:
    test_bad_input.test_every_row_of_the_table_of_errors_is_reached_and_writes_nothing(open_shop)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_23_an_account_that_cannot_be_is_an_account_error(open_shop: Open, model: Model) -> None:
    test_bad_input.test_check_perform_knows_no_other_spelling_either_nor_does_a_top_up(open_shop, model)


def test_pitfall_24_ids_come_back_and_errors_speak_three_languages_without_a_word_of_what_failed(
    open_shop: Open,
) -> None:
    test_payme_conformance.test_t46_every_error_speaks_three_languages(open_shop)
    test_bad_input.test_a_hooks_error_is_not_told_to_the_caller(open_shop)


def test_pitfall_25_the_first_reason_and_both_receipts_are_kept(shop: Client) -> None:
    test_payme_conformance.test_t34_a_repeated_cancel_keeps_the_first_time_and_reason(shop)
    shop.database.empty()
    shop.heard.clear()
    test_payme_conformance.test_t42_both_fiscal_receipts_are_kept_apart(shop)


@pytest.mark.every_database(but="sqlite")
def test_pitfall_26_a_slow_hook_stalls_no_other_call(open_shop: Open) -> None:
    test_hooks.test_a_hook_that_waits_delays_no_other_call(open_shop)


@pytest.mark.session
@pytest.mark.every_database
@pytest.mark.parametrize("model", MODELS)
def test_pitfall_27_the_account_id_has_the_type_of_the_accounts_own_key(open_shop: Open, model: Model) -> None:
    """On every other driver too, in `test_drivers`."""
    test_drivers.test_a_payment_goes_from_check_to_refund_on_every_driver(open_shop, model)


@pytest.mark.session
@pytest.mark.every_database
def test_pitfall_28_every_read_of_the_payments_goes_by_an_index(shop: Client) -> None:
    reads: list[str] = []

    def execute(connection: Any, clause: Any, many: Any, values: Any, options: Any) -> None:
        del connection, many, options
        if isinstance(clause, Select) and PAYMENTS in clause.get_final_froms():
            bound = clause.params(values)
            reads.append(str(bound.compile(shop.database.engine, compile_kwargs={"literal_binds": True})))

    for place in range(3):
        shop.pay(f"earlier-{place}", shop.database.order())
    with watched(shop.database.shops_engine, "before_execute", execute):
        order = shop.database.order()
        shop.check_perform(order).ok()
        shop.pay("a", order)
        shop.cancel("a").ok()
        shop.statement(NOON + 1, NOON + 2)
    assert len(reads) >= 5
    for read in reads:
        assert not scans(shop.database, read), read


def scans(database: Database, read: str) -> bool:
    """Tell whether the database would read the whole table, or has no index to avoid it."""
    with database.engine.connect() as connection:
        match database.engine.dialect.name:
            case "sqlite":
                return any("SCAN" in row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {read}"))
            case "postgresql":
                # A table of four rows is read faster as a whole; told not to, the planner shows whether it could.
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
                plan = "".join(connection.exec_driver_sql(f"EXPLAIN {read}".replace("%", "%%")).scalars())
                return "Seq Scan" in plan or "Index Cond" not in plan
            case _:
                rows = connection.exec_driver_sql(f"EXPLAIN {read}".replace("%", "%%")).mappings().all()
                return any(row["type"] is not None and row["possible_keys"] is None for row in rows)


def test_pitfall_29_overlapping_payments_on_sqlite_all_succeed(shop: Client) -> None:
    orders = {f"payment-{place}": shop.database.order() for place in range(12)}

    def pay(name: str) -> Answer:
        shop.check_perform(orders[name]).ok()
        shop.create(name, orders[name]).ok()
        return shop.perform(name)

    answers = shop.at_once([lambda name=name: pay(name) for name in orders])  # type: ignore[misc]
    assert [answer.result["state"] for answer in answers] == [2] * len(orders)
    assert [shop.database.find(order).paid for order in orders.values()] == [1] * len(orders)


@pytest.mark.parametrize(
    "values",
    [
        {"account": {"order_id": "1;a=1"}},
        {"account": {"order_id;a=1;x": "1"}},
        {"return_url": "https://shop.uz/;m=other"},
        {"payme_id": "x;m=y"},
    ],
)
def test_pitfall_30_no_value_adds_a_parameter_to_the_checkout_link(values: dict[str, Any]) -> None:
    good: dict[str, Any] = {"payme_id": "587f72c72cac0d162c722ae2", "amount_tiyin": 500, "account": {"order_id": "197"}}
    assert checkout_link(**good).startswith("https://checkout.paycom.uz/")
    with pytest.raises(ValueError, match=";"):
        checkout_link(**{**good, **values})


def test_pitfall_31_nothing_is_printed_and_nothing_clashes(open_shop: Open, capfd: pytest.CaptureFixture[str]) -> None:
    shop = open_shop(habits=EXAMPLE)
    order = shop.database.order()
    shop.pay("a", order)
    shop.cancel("a").ok()
    shop.perform("unknown").error  # noqa: B018
    assert capfd.readouterr() == ("", "")
    tables = set(inspect(shop.database.engine).get_table_names())
    assert tables - shop.database.shops_tables == shop.database.own_tables


def test_pitfall_31_a_checkout_link_needs_no_framework() -> None:
    program = (
        "import sys; from paytechuz import checkout_link; print(checkout_link('m', 500, {'order_id': 197}));"
        "print({'django', 'fastapi', 'flask', 'sqlalchemy', 'starlette'} & sys.modules.keys())"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output == "https://checkout.paycom.uz/bT1tO2FjLm9yZGVyX2lkPTE5NzthPTUwMA==\nset()\n"
