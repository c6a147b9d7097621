"""`manage.py paytechuz_statement`: what the shop says to GetStatement, for people and for spreadsheets."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router
from django.utils import timezone

from paytechuz_core.report import csv_lines, table_lines, window_of
from paytechuz_django.models import PaymentTransaction
from paytechuz_django.store import statement

ENDS = "A date is a whole day in the current time zone; a time (2026-11-27T10:00) or milliseconds may stand instead."


class Command(BaseCommand):
    """Show the transactions of some time, as the provider would get them."""

    help = (
        "Shows what GetStatement says: transactions of every state by Payme's time, both ends included. Click tells no "
        "time of its own: there it is the time at which the shop stored them. " + ENDS
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take from when, to when, whose and how."""
        parser.add_argument("--from", dest="start", required=True, help="from when, such as 2026-11-01")
        parser.add_argument("--to", dest="end", required=True, help="to when, such as 2026-11-30: that day included")
        parser.add_argument("--csv", action="store_true", help="as CSV, for a spreadsheet")
        parser.add_argument("--gateway", choices=("payme", "click"), default="payme", help="payme by default")
        parser.add_argument("--database", help="the database to read; by default the one that is written to")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write line by line, whatever the number of transactions."""
        del args
        try:
            window = window_of(options["start"], options["end"], timezone.make_aware)
        except ValueError as error:
            raise CommandError(str(error)) from error
        using = options["database"] or router.db_for_write(PaymentTransaction)
        found, zone = statement(using, options["gateway"], *window), timezone.get_current_timezone()
        for line in csv_lines(found, zone) if options["csv"] else table_lines(found, zone):
            self.stdout.write(line, ending="" if options["csv"] else None)
