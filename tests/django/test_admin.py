"""The admin's pages of payments, as a member of staff sees them who may only look: in each language, anywhere."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any, Final

import django
import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import translation
from django.utils.translation import gettext

from paytechuz_core.click.gateway import SUPERSEDED
from paytechuz_core.rows import TIMES
from paytechuz_core.rows import stored as stored_as
from paytechuz_core.transaction import HALF_DAY, NAMES, Account, Reason, Transaction, create
from paytechuz_django.admin import LINES_AT_ONCE, PaymentTransactionAdmin, in_portions
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.texts import moments, reason_of
from tests.django.shop.models import Order, TextOrder

PAGE: Final = "/admin/paytechuz_django/paymenttransaction/"
BORN: Final = 1_767_225_845_678
"""2026-01-01 00:04:05.678 UTC, which is 05:04:05 in Tashkent."""
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
RECEIPT: Final = {
    "receipt_id": 40171, "fiscal_sign": "800031554082", "message": "accepted", "qr_code_url": "https://ofd.example/?a&b",
}  # fmt: skip
STATES: Final = {
    "en": ("Waiting for payment", "Paid", "Refunded", "Cancelled"),
    "ru": ("Ожидает оплаты", "Оплачен", "Возвращён", "Отменён"),
    "uz": ("To‘lov kutilmoqda", "To‘langan", "Qaytarilgan", "Bekor qilingan"),
}
AMOUNT: Final = {"en": "1,234,567.89", "ru": "1 234 567,89", "uz": "1 234 567,89"}
CREATED: Final = {"en": "1 Jan 2026, 05:04", "ru": "1 Янв 2026, 05:04", "uz": "1 Yan 2026, 05:04"}
FACETS: Final = ["?_facets=True"] if django.VERSION >= (5, 0) else []
UNIT: Final = {"en": "som", "ru": "сум", "uz": "so‘m"}


# Payments of all kinds


def fresh(number: int = 1, *, at: int = BORN, gateway: str = "payme", order: Any = 42, **more: Any) -> Transaction:
    """Give a transaction that waits for its money."""
    received = {"order_id": str(order)} if gateway == "payme" else {"merchant_trans_id": str(order)}
    birth = create(
        now=at, gateway=gateway, transaction_id=f"{number:024}", account=Account(id=order, hold=f"orders:{number}"),
        amount_tiyin=123_456_789, received=received, provider_time=at - 1000 if gateway == "payme" else None,
    )  # fmt: skip
    return replace(birth.after, **more)


def paid(number: int = 1, **more: Any) -> Transaction:
    """Give one that was paid a minute later."""
    begun = fresh(number, **more)
    return begun.perform(begun.create_time + 60_000).after


def refunded(number: int = 1, reason: int = Reason.REFUND, **more: Any) -> Transaction:
    """Give one whose money went back two hours later."""
    done = paid(number, **more)
    return done.cancel(done.update_time + 2 * HOUR, reason).after


def cancelled(number: int = 1, reason: int = Reason.DEBIT_FAILED, **more: Any) -> Transaction:
    """Give one that was given up a minute later."""
    begun = fresh(number, **more)
    return begun.cancel(begun.create_time + 60_000, reason).after


def store(*transactions: Transaction) -> list[int]:
    """Store transactions as they are; give the rows' numbers."""
    rows = (
        {TIMES.get(name, name): stored_as(name, getattr(each, name)) for name in NAMES if name != "id"}
        for each in transactions
    )
    PaymentTransaction.objects.bulk_create(PaymentTransaction(**row) for row in rows)
    ids = [each.transaction_id for each in transactions]
    numbers = dict(PaymentTransaction.objects.values_list("transaction_id", "pk"))
    return [numbers[id] for id in ids]


# Who looks at them


@pytest.fixture(autouse=True)
def _the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven hours after the payments."""
    monkeypatch.setattr(PaymentTransactionAdmin, "clock", staticmethod(lambda: BORN + 11 * HOUR))


@pytest.fixture(params=[True, False], ids=["USE_TZ", "no USE_TZ"])
def _zones(request: pytest.FixtureRequest) -> Iterator[None]:
    """With USE_TZ on and off."""
    with override_settings(USE_TZ=request.param):
        yield


@pytest.fixture
def accountant(alias: str) -> Client:
    """A member of staff who may view payments and do nothing else."""
    del alias
    return entered(User.objects.create_user("accountant", is_staff=True), "view_paymenttransaction")


@pytest.fixture
def owner(alias: str) -> Client:
    """Somebody who may do everything."""
    del alias
    return entered(User.objects.create_superuser("owner"))


def entered(user: Any, *permissions: str) -> Client:
    """Log somebody in."""
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, where: str = "", language: str = "en", **query: Any) -> str:
    """Give a page's text, as a browser shows it."""
    answer = client.get(PAGE + where, query, headers={"accept-language": language})
    assert answer.status_code == 200, answer
    shown = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(shown).split())


def found(client: Client, **query: Any) -> list[str]:
    """Give the orders of the payments in a list."""
    answer = client.get(PAGE, query)
    assert answer.status_code == 200, answer
    return re.findall(r'<td class="field-order">(.*?)</td>', answer.content.decode())


# The list


@pytest.mark.usefixtures("_zones")
@pytest.mark.parametrize("language", STATES)
def test_the_list_is_in_the_readers_language_and_the_shops_time(accountant: Client, language: str) -> None:
    store(fresh(1), paid(2, gateway="click"), refunded(3), cancelled(4))
    shown = page(accountant, language=language)
    for words in STATES[language]:
        assert f"{words} Payme" in shown or f"{words} Click" in shown
    assert shown.count(AMOUNT[language]) == 4
    assert shown.count(CREATED[language]) == 4


@pytest.mark.every_database
@pytest.mark.usefixtures("_zones")
def test_the_list_is_the_same_on_every_database(accountant: Client) -> None:
    store(fresh(1), refunded(2))
    assert "1 Jan 2026, 05:04 42 1,234,567.89 Refunded Payme 000000000000000000000002" in page(accountant)


@pytest.mark.every_database
@pytest.mark.parametrize("query", ["", "?q=42", "?state=2&gateway=payme&period=today", "?o=3", *FACETS])
def test_a_long_list_takes_no_more_queries_than_a_short_one(accountant: Client, alias: str, query: str) -> None:
    counts = []
    for numbers in (range(3), range(3, 60)):
        store(*(paid(number) for number in numbers))
        with CaptureQueriesContext(connections[alias]) as queries:
            assert accountant.get(PAGE + query).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 11  # with facets two more


def test_the_newest_come_first_and_nothing_is_sorted_that_has_no_order(accountant: Client) -> None:
    store(fresh(1, order=1), fresh(2, order=2), fresh(3, order=3, amount_tiyin=1))
    assert found(accountant) == ["3", "2", "1"]
    assert found(accountant, o="1") == ["1", "2", "3"]
    assert found(accountant, o="3")[0] == "3"  # by amount
    assert found(accountant, o="4") == ["3", "2", "1"]  # by state: not offered


# A payment's own page


@pytest.mark.usefixtures("_zones")
@pytest.mark.parametrize("language", STATES)
def test_a_payments_page_tells_what_happened(accountant: Client, language: str) -> None:
    (key,) = store(refunded(fiscal_perform=RECEIPT, fiscal_cancel={**RECEIPT, "receipt_id": 40188}))
    shown = page(accountant, f"{key}/change/", language)
    _, paid_words, refunded_words, _ = STATES[language]
    month = CREATED[language].split()[1]
    assert f"{AMOUNT[language]} {UNIT[language]}" in shown
    assert f"1 {month} 2026, 05:05:05 {paid_words} " in shown
    assert f"1 {month} 2026, 07:05:05 {refunded_words} " in shown
    assert shown.index("05:04:05") < shown.index("05:05:05") < shown.index("07:05:05")
    assert "40171 · 800031554082 · accepted" in shown
    assert "40188" in shown
    assert "Asia/Tashkent" in shown


@pytest.mark.every_database
def test_a_payments_page_is_the_same_on_every_database(accountant: Client, alias: str) -> None:
    (key,) = store(paid(extra_data={"manager": "Дилноза"}))
    with CaptureQueriesContext(connections[alias]) as queries:
        shown = page(accountant, f"{key}/change/")
    assert "1 Jan 2026, 05:05:05 Paid" in shown
    assert '{ "manager": "Дилноза" }' in shown
    assert sum(query["sql"].startswith("SELECT") for query in queries.captured_queries) <= 7


def test_what_there_is_not_is_not_shown(accountant: Client) -> None:
    bare, full = store(fresh(1, hold=None), fresh(2, receivers=({"id": "5f1e", "amount": 100_000_050},)))
    assert "Receivers" not in page(accountant, f"{bare}/change/")
    assert "Hold" not in page(accountant, f"{bare}/change/")
    assert "5f1e: 1,000,000.50 som" in page(accountant, f"{full}/change/")
    assert "Hold: orders:2" in page(accountant, f"{full}/change/")


def test_a_fiscal_receipt_is_linked_where_it_is_a_page(accountant: Client) -> None:
    good, bad = store(
        paid(1, fiscal_perform=RECEIPT), paid(2, fiscal_perform={**RECEIPT, "qr_code_url": "javascript:alert(1)"})
    )
    assert 'href="https://ofd.example/?a&amp;b"' in accountant.get(f"{PAGE}{good}/change/").content.decode()
    assert 'href="javascript' not in accountant.get(f"{PAGE}{bad}/change/").content.decode()


def test_what_a_payer_typed_stays_text(accountant: Client) -> None:
    typed = "<script>alert(1)</script>{}"
    (key,) = store(paid(order=typed, extra_data={"note": typed}, fiscal_perform={"message": typed}))
    for where in (PAGE, f"{PAGE}{key}/change/"):
        shown = accountant.get(where).content.decode()
        assert typed not in shown
        assert typed in unescape(shown)


# What happened, in words


def told(transaction: Transaction, now: int = BORN) -> list[tuple[int, str, str]]:
    """Give what is told of a transaction, its times in seconds after its birth."""
    with translation.override("en"):
        return [
            ((each.time - BORN) // 1000, str(each.what), str(each.note)) for each in moments(transaction, now)
        ]  # fmt: skip


def test_a_payment_that_came_is_told_in_its_order() -> None:
    assert told(paid()) == [(0, "Payme asked for the payment", ""), (60, "Paid", "")]
    assert told(refunded())[2:] == [(7260, "Refunded", "the money was given back")]
    assert told(cancelled(gateway="click", reason=-5017)) == [
        (0, "Click asked for the payment", ""),
        (60, "Cancelled", "Click ended it, with its error -5017"),
    ]


def test_a_payment_that_waits_says_until_when() -> None:
    last = BORN - 1000 + HALF_DAY  # by Payme's clock, which was earlier
    assert told(fresh(), now=last)[1] == ((last - BORN) // 1000, "May be paid until then", "")
    assert told(fresh(), now=last + 1)[1][1:] == (
        "Was not paid in time", "it can no longer be paid; paytechuz_expire cancels it",
    )  # fmt: skip


def test_time_does_not_end_a_payment_of_clicks() -> None:
    late = "Click may complete it later too, unless another payment has taken its place"
    waits = fresh(gateway="click")
    assert told(waits, now=BORN + HALF_DAY)[1] == (HALF_DAY // 1000, "Keeps its order until then", late)
    assert told(waits, now=BORN + HALF_DAY + 1)[1] == (HALF_DAY // 1000, "Keeps its order no longer", late)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.RECEIVER_INACTIVE, "a receiver of the split payment is unknown or inactive"),
        (Reason.DEBIT_FAILED, "the card could not be debited"),
        (Reason.EXECUTION_FAILED, "the transaction could not be executed"),
        (Reason.TIMEOUT, "it was not paid in time"),
        (Reason.REFUND, "the money was given back"),
        (Reason.UNKNOWN, "no reason was given"),
        (SUPERSEDED, "the payer started anew, and the later attempt took its place"),
        (-5017, "Click ended it, with its error -5017"),
        (77, "reason 77"),
    ],
)
def test_a_reason_is_said_in_words(reason: int, words: str) -> None:
    with translation.override("en"):
        assert reason_of(cancelled(reason=reason)) == words


def test_the_shops_own_words_are_not_touched() -> None:
    for language in STATES:
        with translation.override(language):
            assert [gettext(text) for text in ("order", "paid", "payment")] == ["order", "paid", "payment"]


# Nobody writes


def test_nobody_adds_changes_or_deletes(accountant: Client, owner: Client) -> None:
    (key,) = store(paid())
    before = PaymentTransaction.objects.values().get()
    for client in (accountant, owner):
        assert client.get(PAGE + "add/").status_code == 403
        assert client.post(PAGE + "add/", {"state": 2}).status_code == 403
        assert client.post(f"{PAGE}{key}/change/", {"state": -2, "amount_tiyin": 1}).status_code == 403
        assert client.post(f"{PAGE}{key}/delete/", {"post": "yes"}).status_code == 403
        deleted = client.post(PAGE, {"action": "delete_selected", "_selected_action": [key], "post": "yes"})
        assert deleted.status_code in (200, 302)
        shown = client.get(f"{PAGE}{key}/change/").content.decode()
        assert not re.search(r'name="(state|_save|amount_tiyin|_continue)"', shown)
        assert "delete" not in client.get(PAGE).content.decode()
    assert PaymentTransaction.objects.values().get() == before
    assert not LogEntry.objects.exists()


def test_who_may_not_look_sees_nothing(alias: str) -> None:
    del alias
    (key,) = store(paid())
    stranger = entered(User.objects.create_user("stranger", is_staff=True))
    for where in ("", f"{key}/change/"):
        assert stranger.get(PAGE + where).status_code == 403
    assert stranger.post(PAGE, export(key)).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_looking_is_the_only_permission_there_is(alias: str) -> None:
    del alias
    mine = Permission.objects.filter(content_type__app_label="paytechuz_django")
    assert [each.codename for each in mine] == ["view_paymenttransaction"]


# Search and filters


def test_payments_are_found_by_order_and_by_the_providers_id(accountant: Client) -> None:
    store(paid(1, order=7), cancelled(2, order=77), paid(3, order=8, gateway="click"))
    assert found(accountant, q="7") == ["7"]  # not 77: an order's number, the whole of it
    assert found(accountant, q=f"{3:024}") == ["8"]
    assert found(accountant, q=f"{3:023}") == []
    assert found(accountant, q="  77 ") == ["77"]
    assert found(accountant, q="%") == []
    assert found(accountant, q="") == ["8", "77", "7"]


@pytest.mark.every_database
def test_a_search_reads_no_row_but_what_it_finds(accountant: Client, alias: str) -> None:
    store(*(paid(number, order=number) for number in range(5_000)))
    with connections[alias].cursor() as cursor:
        cursor.execute("ANALYZE TABLE payments" if connections[alias].vendor == "mysql" else "ANALYZE payments")
    page_of_payments = PaymentTransactionAdmin(PaymentTransaction, accountant)  # type: ignore[arg-type] # asks no site
    for term in ("7", f"{7:024}"):
        rows, _ = page_of_payments.get_search_results(None, PaymentTransaction.objects.order_by("-id"), term)  # type: ignore[arg-type] # asks no request
        assert rows.count() == 1
        plan = rows.explain()
        assert not reads_whole(plan), plan
    # The negative control: Django's own way to search for what starts with a text.
    assert reads_whole(PaymentTransaction.objects.filter(transaction_id__istartswith="7").explain())


def reads_whole(plan: str) -> bool:
    """Tell whether a plan reads all rows, of the table or of an index."""
    return any(sign in plan for sign in ("SCAN payments", "Seq Scan", " ALL ", " index "))


def test_filters_choose_by_state_and_provider(accountant: Client) -> None:
    store(fresh(1, order=1), paid(2, order=2, gateway="click"), refunded(3, order=3), cancelled(4, order=4))
    assert [found(accountant, state=state) for state in (1, 2, -2, -1)] == [["1"], ["2"], ["3"], ["4"]]
    assert [found(accountant, gateway=each) for each in ("click", "payme")] == [["2"], ["4", "3", "1"]]
    assert found(accountant, state=2, gateway="payme") == []


@pytest.mark.every_database
@pytest.mark.usefixtures("_zones")
@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("today", ["0", "first"]),
        ("yesterday", ["last"]),
        ("week", ["0", "first", "last"]),
        ("month", ["0", "first"]),
        ("last_month", ["last", "december"]),
        ("year", ["0", "first"]),
    ],
)
def test_a_day_begins_at_the_shops_midnight(accountant: Client, period: str, expected: list[str]) -> None:
    midnight = BORN - (5 * HOUR + 245_678)  # in Tashkent
    store(
        fresh(1, order="november", at=midnight - 31 * DAY - 1),
        fresh(2, order="december", at=midnight - 31 * DAY),
        fresh(3, order="last", at=midnight - 1),
        fresh(4, order="first", at=midnight),
        fresh(5, order="0"),
    )
    assert found(accountant, period=period) == expected


@pytest.mark.parametrize("query", [{"state": "x"}, {"gateway": "x"}])
def test_a_choice_that_is_none_finds_nothing(accountant: Client, query: dict[str, str]) -> None:
    store(paid())
    assert found(accountant, **query) == []


# The shop's own page of an order


@pytest.fixture
def _orders_in_the_admin() -> Iterator[None]:
    """Orders have a page of their own."""
    admin.site.register((Order, TextOrder))
    # Routes anew, because those of the project are of the pages that were registered when it began.
    routes = type("Routes", (), {"urlpatterns": [path("admin/", admin.site.urls)]})
    with override_settings(ROOT_URLCONF=routes):
        yield
    admin.site.unregister((Order, TextOrder))


def payme(model: Any) -> Any:
    """Name the account model in the settings."""
    return override_settings(PAYTECHUZ={"PAYME": {"ACCOUNT_MODEL": model}})


@pytest.mark.usefixtures("_orders_in_the_admin")
def test_an_order_is_linked_where_its_model_is_known_and_the_reader_may_see_it(
    accountant: Client, owner: Client
) -> None:
    (key, _) = store(paid(1, order="a/b"), paid(2, order=7, gateway="click"))
    link = '<a href="/admin/shop/textorder/a_2Fb/change/">a/b</a>'
    with payme("shop.TextOrder"):
        assert found(owner) == ["7", link]
        assert link in owner.get(f"{PAGE}{key}/change/").content.decode()
        assert found(accountant) == ["7", "a/b"]
    for unknown in (None, "shop.Nothing"):
        with payme(unknown):
            assert found(owner) == ["7", "a/b"]


def test_an_order_without_a_page_is_not_linked(owner: Client) -> None:
    store(paid(1), paid(2, gateway="another"))
    with payme("shop.Order"):
        assert found(owner) == ["42", "42"]


# CSV


def export(*keys: int, across: bool = False) -> dict[str, Any]:
    """Give the form that exports payments."""
    return {"action": "export_csv", "_selected_action": list(keys), "select_across": int(across)}


def read(answer: Any) -> list[dict[str, str]]:
    """Read an answer as a spreadsheet does."""
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="payments.csv"'
    text = answer.getvalue().decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


@pytest.mark.every_database
@pytest.mark.usefixtures("_zones")
def test_payments_are_exported_exactly_by_who_may_only_look(accountant: Client) -> None:
    key, other = store(refunded(order="=1+1"), paid(2))
    (line,) = read(accountant.post(PAGE, export(key)))
    assert line == {
        "gateway": "payme", "transaction_id": f"{1:024}", "account_id": "'=1+1", "amount": "1234567.89",
        "state": "CANCELLED", "reason": "5",
        "provider_time": "2026-01-01T05:04:04.678+05:00", "created_at": "2026-01-01T05:04:05.678+05:00",
        "performed_at": "2026-01-01T05:05:05.678+05:00", "cancelled_at": "2026-01-01T07:05:05.678+05:00",
        "account": '{"order_id": "=1+1"}',
    }  # fmt: skip
    assert [each["transaction_id"] for each in read(accountant.post(PAGE, export(key, other)))] == [
        f"{2:024}", f"{1:024}",
    ]  # fmt: skip


def test_all_that_a_filter_chose_can_be_exported(accountant: Client) -> None:
    (key, *_) = store(*(paid(number) for number in range(120)), cancelled(120))
    lines = read(accountant.post(PAGE + "?state=2", export(key, across=True)))
    assert len(lines) == 120
    assert {line["state"] for line in lines} == {"SUCCESSFULLY"}


@pytest.mark.every_database
def test_an_export_is_read_while_it_is_sent(accountant: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    (key, *_) = store(*(paid(number) for number in range(3 * LINES_AT_ONCE)))
    loaded: list[int] = []
    load = PaymentTransaction.from_db

    def count(*row: Any) -> PaymentTransaction:
        loaded.append(1)
        return load(*row)

    monkeypatch.setattr(PaymentTransaction, "from_db", count)
    answer = accountant.post(PAGE, export(key, across=True))
    assert isinstance(answer, StreamingHttpResponse)
    assert len(loaded) <= 50  # the list's own page
    loaded.clear()
    lines = [(portion.count(b"\r\n"), len(loaded)) for portion in answer]
    assert [ends for ends, _ in lines] == [0, LINES_AT_ONCE, LINES_AT_ONCE, LINES_AT_ONCE, 1]
    assert [rows for _, rows in lines[:3]] == [0, LINES_AT_ONCE - 1, 2 * LINES_AT_ONCE - 1]  # one line is the head


def test_an_export_holds_no_more_than_a_portion() -> None:
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for _ in range(10 * LINES_AT_ONCE):
            taken += 1
            yield "line\r\n"

    portions = in_portions(lines())
    next(portions)
    next(portions)
    assert taken == LINES_AT_ONCE


def test_an_export_is_streamed_under_asgi_too(accountant: Client, alias: str) -> None:
    del alias
    (key, *_) = store(*(paid(number) for number in range(3)))
    client = AsyncClient()
    client.cookies = accountant.cookies

    async def lines() -> list[bytes]:
        answer: Any = await client.post(PAGE, export(key, across=True))
        assert answer.is_async
        return [portion async for portion in answer]

    mark, *portions = async_to_sync(lines)()
    assert mark == b"\xef\xbb\xbf"
    assert b"".join(portions).count(b"SUCCESSFULLY") == 3


def test_a_payment_is_called_by_its_provider_and_id() -> None:
    assert str(PaymentTransaction(gateway="payme", transaction_id="A")) == "Payme A"
    assert str(PaymentTransaction(gateway="another", transaction_id="A")) == "another A"
