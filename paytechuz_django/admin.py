"""Payments in Django's admin: to look at, to search, to export; nothing here writes.

The permission "can view payment" is enough for all of it. A shop that wants it otherwise subclasses
`PaymentTransactionAdmin`, after `admin.site.unregister(PaymentTransaction)`.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from paytechuz_core.engine import Clock, epoch_millis
from paytechuz_core.report import csv_lines
from paytechuz_core.repository import ConfigurationError
from paytechuz_core.rows import transaction_of
from paytechuz_core.transaction import Fields, millis_to_datetime
from paytechuz_django.accounts import model_named
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.settings import told
from paytechuz_django.texts import PROVIDERS, STATES, Moment, _, in_som, moments, name_of, say, with_unit

MINUTES: Final = "j M Y, H:i"
SECONDS: Final = "j M Y, H:i:s"
"""How times are written, in the list and on a payment's page: in the same order whatever the language."""

LINES_AT_ONCE: Final = 500
BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it Excel takes UTF-8 for the computer's old code page."""


class OneOf(admin.SimpleListFilter):
    """A filter by a column's few values, which are known: asking the database for them would read the whole table."""

    values: Mapping[Any, Any]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Give the choices."""
        del request, model_admin
        return [(str(value), words) for value, words in self.values.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Choose; a value that is none of the choices chooses nothing."""
        del request
        if self.value() is None:
            return queryset
        chosen = [value for value in self.values if str(value) == self.value()]
        return queryset.filter(**{f"{self.parameter_name}__in": chosen})


class StateFilter(OneOf):
    """By state."""

    title = _("state")
    parameter_name = "state"
    values = STATES


class ProviderFilter(OneOf):
    """By provider."""

    title = _("provider")
    parameter_name = "gateway"
    values = PROVIDERS


class PeriodFilter(admin.SimpleListFilter):
    """By the day of creation, where the shop is: a day begins at its midnight, not at UTC's."""

    title = _("date")
    parameter_name = "period"
    periods: Final = {
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "week": _("Last 7 days"),
        "month": _("This month"),
        "last_month": _("Last month"),
        "year": _("This year"),
    }

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.today = timezone.localtime(millis_to_datetime(model_admin.clock())).date()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Give the choices."""
        del request, model_admin
        return list(self.periods.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Choose."""
        del request
        if self.value() not in self.periods:
            return queryset
        first, last = days(self.value() or "", self.today)
        return queryset.filter(created_at__gte=midnight(first), created_at__lt=midnight(last + timedelta(days=1)))


def days(period: str, today: date) -> tuple[date, date]:
    """Give the first and the last day of a period."""
    match period:
        case "today":
            return today, today
        case "yesterday":
            return today - timedelta(days=1), today - timedelta(days=1)
        case "week":
            return today - timedelta(days=6), today
        case "month":
            return today.replace(day=1), today
        case "last_month":
            last = today.replace(day=1) - timedelta(days=1)
            return last.replace(day=1), last
        case _:
            return today.replace(month=1, day=1), today


def midnight(day: date) -> datetime:
    """Give the moment at which a day begins."""
    return datetime.combine(day, time.min, timezone.get_current_timezone())


@admin.action(permissions=["view"], description=_("Export as CSV"))
def export_csv(model_admin: Any, request: HttpRequest, queryset: QuerySet[PaymentTransaction]) -> StreamingHttpResponse:
    """Send the chosen payments, in the order of the list, as they are read: a year of them needs no more memory."""
    del model_admin
    transactions = map(partial(transaction_of, key=str), queryset.iterator(chunk_size=LINES_AT_ONCE))
    text = in_portions(csv_lines(transactions, timezone.get_current_timezone()))
    return StreamingHttpResponse(
        awaited(text) if isinstance(request, ASGIRequest) else text,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="payments.csv"'},
    )


def in_portions(lines: Iterator[str]) -> Iterator[str]:
    """Send lines together, for each portion costs a write to the network."""
    yield BYTE_ORDER_MARK
    while portion := "".join(islice(lines, LINES_AT_ONCE)):
        yield portion


async def awaited(portions: Iterator[str]) -> AsyncIterator[str]:
    """Read the database in the request's own thread, and let the event loop run meanwhile."""
    following = sync_to_async(partial(next, portions, None))
    while (portion := await following()) is not None:
        yield portion


@admin.register(PaymentTransaction)
class PaymentTransactionAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs only
    """Payments, read-only."""

    list_display = ("created", "order", "som", "in_words", "provider", "transaction_id")
    list_filter = (StateFilter, ProviderFilter, PeriodFilter)
    sortable_by = ("created", "som")
    # The primary key: rows are numbered as they are created, and no other column that says when has an index.
    ordering = ("-id",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("account_id", "transaction_id")
    search_help_text = _("The order's number or the provider's id, the whole of it.")
    actions = (export_csv,)

    clock: Clock = staticmethod(epoch_millis)  # a test's is another

    class Media:
        """How it looks."""

        css: Final = {"all": ("paytechuz_django/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say no to everybody: payments are written by the webhooks alone."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no, as above."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no, as above."""
        del request, obj
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find an order's payments, or the one that has a provider's id: by the whole text.

        Only so can the indexes serve. One is on `account_id`, one on `gateway` and `transaction_id` together, which is
        why the gateways are named; a part of a text, or a text in any case, would make the database read every row.
        """
        del request
        if not (term := search_term.strip()):  # a text that was pasted may have a space at its end
            return queryset, False
        return queryset.filter(Q(account_id=term) | Q(gateway__in=tuple(PROVIDERS), transaction_id=term)), False

    # The columns

    def get_list_display(self, request: HttpRequest) -> Any:
        """Link the orders that the reader may see."""
        return [self.order_for(request) if name == "order" else name for name in super().get_list_display(request)]

    @admin.display(description=_("created"), ordering="id")
    def created(self, payment: PaymentTransaction) -> str:
        """When it was created."""
        return written(payment.created_at, MINUTES)

    @admin.display(description=_("order"))
    def order(self, payment: PaymentTransaction) -> str:
        """The order."""
        return str(payment.account_id)

    @admin.display(description=_("amount, som"), ordering="amount_tiyin")
    def som(self, payment: PaymentTransaction) -> str:
        """The amount, without the unit."""
        return in_som(payment.amount_tiyin)

    @admin.display(description=_("amount"))
    def som_with_unit(self, payment: PaymentTransaction) -> str:
        """The amount, with the unit."""
        return with_unit(payment.amount_tiyin)

    @admin.display(description=_("state"))
    def in_words(self, payment: PaymentTransaction) -> SafeString:
        """The state."""
        words = STATES.get(payment.state, payment.state)
        return format_html('<span class="payment-state payment-{}">{}</span>', payment.state, words)

    @admin.display(description=_("provider"))
    def provider(self, payment: PaymentTransaction) -> str:
        """The provider."""
        return name_of(payment.gateway)

    # A payment's own page

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what there is: a payment that was not split has no receivers."""
        stored = [name for name in DETAILS if obj is None or getattr(obj, name) not in (None, {})]
        return (
            (None, {"fields": [self.order_for(request), "som_with_unit", "in_words", "provider", "transaction_id"]}),
            (_("What happened"), {"fields": ["timeline"]}),
            (_("What is stored"), {"fields": [DETAILS[name] for name in stored]}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let nothing be edited, whatever a subclass permits."""
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    @admin.display(description=_("timeline"))
    def timeline(self, payment: PaymentTransaction) -> SafeString:
        """What happened."""
        entries = [[entry_of(each)] for each in moments(transaction_of(payment, str), self.clock())]
        where = say(_("Times are those of {zone}."), zone=timezone.get_current_timezone_name())
        return format_html(
            '<ol class="payment-timeline">{}</ol><p class="payment-note">{}</p>',
            format_html_join("", "{}", entries),
            where,
        )

    # The shop's own page of an order

    def order_for(self, request: HttpRequest) -> Callable[[PaymentTransaction], str]:
        """Make the column of orders for a reader: with links to those that the reader may see."""

        @admin.display(description=_("order"))
        def order(payment: PaymentTransaction) -> str:
            url = self.url_of_order(request, payment)
            return self.order(payment) if url is None else format_html('<a href="{}">{}</a>', url, payment.account_id)

        return order

    def url_of_order(self, request: HttpRequest, payment: PaymentTransaction) -> str | None:
        """Give the admin's page of an order, where `PAYTECHUZ` names its model and the admin has one of it."""
        try:
            model = model_named("ACCOUNT_MODEL", told(payment.gateway.upper(), "account_model"))
        except (ConfigurationError, KeyError):  # `manage.py check` tells about it
            return None
        page = self.admin_site._registry.get(model)  # noqa: SLF001 - until Django 5.0 there is no public way
        if page is None or not page.has_view_or_change_permission(request):
            return None
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"  # noqa: SLF001 - documented under this name
        return reverse(name, args=[quote(payment.account_id)], current_app=self.admin_site.name)


def shown(column: str, show: Callable[[Any], str], label: Any = None) -> Callable[[PaymentTransaction], str]:
    """Make a row of a payment's page: what is stored in a column, as `show` writes it."""
    field: Any = PaymentTransaction._meta.get_field(column)  # noqa: SLF001 - as above

    @admin.display(description=label or field.verbose_name)
    def value(payment: PaymentTransaction) -> str:
        return show(getattr(payment, column))

    value.__name__ = column
    return value


def written(moment: datetime, form: str = SECONDS) -> str:
    """Write a time in the project's current time zone, whether USE_TZ is on or off."""
    return date_format(timezone.localtime(moment), form)


def readable(value: Any) -> SafeString:
    """Write JSON for people."""
    return format_html('<pre class="payment-json">{}</pre>', json.dumps(value, ensure_ascii=False, indent=2))


def shares(receivers: list[Fields]) -> SafeString:
    """Write how a payment was split, in som."""
    lines = ((each["id"], with_unit(each["amount"])) for each in receivers)
    return format_html('<ul class="payment-shares">{}</ul>', format_html_join("", "<li>{}: {}</li>", lines))


def entry_of(moment: Moment) -> SafeString:
    """Write one entry of the timeline."""
    time = millis_to_datetime(moment.time)
    return format_html(
        '<li class="payment-{}"><time datetime="{}">{}</time><strong>{}</strong>{}{}</li>',
        "" if moment.state is None else moment.state.value,
        time.isoformat(),
        written(time),
        moment.what,
        format_html('<p class="payment-note">{}</p>', moment.note) if moment.note else "",
        "" if moment.receipt is None else receipt_of(moment.receipt),
    )


def receipt_of(receipt: Fields) -> SafeString:
    """Write a fiscal receipt: its number and sign, and the link that its QR code is."""
    named = say(_("Fiscal receipt {number}"), number=receipt.get("receipt_id") or "")
    text = " · ".join(str(each) for each in (named, receipt.get("fiscal_sign"), receipt.get("message")) if each)
    url = str(receipt.get("qr_code_url") or "")
    # Nothing but a page: what a provider sends must not become a script.
    if not url.startswith(("https://", "http://")):
        return format_html('<p class="payment-note">{}</p>', text)
    return format_html(
        '<p class="payment-note"><a href="{}" rel="noreferrer noopener" target="_blank">{}</a></p>', url, text
    )


DETAILS: Final = {
    "account": shown("account", readable),
    "extra_data": shown("extra_data", readable),
    "receivers": shown("receivers", shares),
    "fiscal_perform": shown("fiscal_perform", readable),
    "fiscal_cancel": shown("fiscal_cancel", readable),
    "provider_time": shown(
        "provider_time", lambda millis: written(millis_to_datetime(millis)), label=_("provider's time")
    ),
    "updated_at": shown("updated_at", written),
    "hold": shown("hold", str),
    "version": shown("version", str),
}
"""What a payment's page shows of what is stored, column by column."""
