"""`manage.py paytechuz_doctor`: is this shop ready to be paid?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connections, router
from django.test import Client

from paytechuz_core.doctor import (
    MEND,
    RECENT,
    Finding,
    engine_of,
    is_sick,
    lines,
    look_at_clock,
    look_at_endpoint,
    look_at_keys,
    look_at_table,
    look_at_transactions,
    ok,
    warning,
    with_mysqls_own,
    wrong,
)
from paytechuz_core.outbound import Send, over_http_at
from paytechuz_core.transaction import datetime_to_millis
from paytechuz_django.checks import KEYS, check_database, check_webhooks
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.routes import Webhook, webhooks
from paytechuz_django.store import MIGRATE, columns, seen_of

UNROUTED = "route a view in urls.py: path('payments/payme/webhook', ShopPayme.as_view())"
PARAMETERS = "not called: its path has a parameter"


class Command(BaseCommand):
    """Look at the settings, the database, the clock and the endpoints."""

    help = (
        "Looks at the settings, the table, the clock (against Payme's) and the endpoints, which it calls with a wrong "
        "key; says what is wrong and how to mend it. Exits with 1 where something is wrong. Changes nothing."
    )
    requires_system_checks = ()  # it tells them itself

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the shop's address."""
        parser.add_argument("--url", help="call the endpoints there, as the providers do: https://shop.example")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report; fail where something is wrong."""
        del args
        found = list(findings(sender(options["url"])))
        for line in lines(found):
            self.stdout.write(line)
        if is_sick(found):
            raise CommandError(MEND)


def findings(send_to: Callable[[str], Send]) -> Iterator[Finding]:
    """Look at everything."""
    using = router.db_for_write(PaymentTransaction)
    routed = list(webhooks())
    yield from look_at_settings(routed)
    for webhook in routed:
        yield from look_at_webhook(webhook, send_to)
    try:
        yield from look_at_database(using, routed)
    except Error as error:
        yield wrong(f"database {using}", f"it cannot be asked: {error}", f"see DATABASES[{using!r}]")


def look_at_settings(routed: Sequence[Webhook]) -> Iterator[Finding]:
    """Tell what `manage.py check` tells."""
    messages = [each for each in check_webhooks(None) if not each.is_silenced()]
    for each in messages:
        find = wrong if each.is_serious() else warning
        yield find("settings", f"{each.obj}: {each.msg} ({each.id})", each.hint or "")
    if not routed:
        yield warning("settings", "ROOT_URLCONF routes no webhook", UNROUTED)
    elif not messages:
        yield ok("settings", "`manage.py check` finds nothing wrong")


def look_at_webhook(webhook: Webhook, send_to: Callable[[str], Send]) -> Iterator[Finding]:
    """Look at the keys of a webhook, and call it."""
    about, provider = webhook.path or str(webhook), webhook.view_class.provider
    if (view := made(webhook)) is not None:
        setting = KEYS[provider][0]
        if callable(webhook.given(view, setting)):  # keys that are known at start are looked at by `manage.py check`
            yield look_at_keys(about, setting, view.gateway.keys if provider == "PAYME" else view.gateway.secrets)
    if webhook.path is None:
        yield warning(about, PARAMETERS, "see what the provider's own test says")
    else:
        yield look_at_endpoint(provider.lower(), about, send_to(webhook.path))


def look_at_database(using: str, routed: Sequence[Webhook]) -> Iterator[Finding]:
    """Look at the database of payments and orders: transactions, the table, and what it says of the clock."""
    connection, seen = connections[using], seen_of(connections[using])
    engines = {}
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:

            def query(sql: str, parameters: Any) -> Sequence[Any]:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())

            seen = with_mysqls_own(seen, query, seen.name)
            engines = {table: engine_of(query, table) for table in (seen.name, *tables_of(routed))}
    problem = next((each.msg for each in check_database(None, databases=[using])), None)
    yield look_at_transactions(using, problem, engines)
    yield from look_at_table(seen, columns(), MIGRATE)
    if set(columns()) <= set(seen.columns):
        payments = PaymentTransaction._base_manager.using(using).filter(gateway="payme", provider_time__isnull=False)  # noqa: SLF001 - documented under this name
        latest = payments.order_by("-id").values_list("provider_time", "created_at")[:RECENT]
        yield look_at_clock([(theirs, datetime_to_millis(ours)) for theirs, ours in latest])


def tables_of(routed: Sequence[Webhook]) -> Iterator[str]:
    """Name the tables of the orders."""
    yield from (view.accounts.table for view in map(made, routed) if view is not None)


def made(webhook: Webhook) -> Any:
    """Make a view; None where it cannot be made, which the settings tell."""
    try:
        return webhook.view()
    except Exception:  # noqa: BLE001 - as above
        return None


def sender(url: str | None) -> Callable[[str], Send]:
    """Say how a path is called: in this process, through all middleware, or at `url`, as the providers call it."""
    try:
        return in_process if url is None else over_http_at(url)
    except ValueError as error:
        raise CommandError(str(error)) from error


def in_process(path: str) -> Send:
    """Call a path without a server: by https, with Django's CSRF protection on, as from outside."""

    def send(body: bytes, headers: Mapping[str, str], /) -> tuple[int, bytes]:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        more: Any = {"secure": True, "headers": dict(headers), "SERVER_NAME": host()}
        try:
            response: Any = client.generic("POST", path, body, headers["Content-Type"], **more)
        except Exception:  # noqa: BLE001 - as DEBUG_PROPAGATE_EXCEPTIONS has it; a server would answer with 500
            return 500, b""
        return response.status_code, b"".join(response)

    return send


def host() -> str:
    """Give a name that ALLOWED_HOSTS knows."""
    name = next(iter(settings.ALLOWED_HOSTS), "*").removeprefix(".")
    return "localhost" if name == "*" else name
