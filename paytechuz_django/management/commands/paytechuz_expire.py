"""`manage.py paytechuz_expire`: cancel what nobody paid in time, with the shop's own hooks."""

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from paytechuz_core.handler import AGAIN
from paytechuz_core.repository import ConfigurationError
from paytechuz_django.routes import handler_of

NO_HANDLER: Final = (
    "whose hooks shall run? Name your view class in settings.py: "
    'PAYTECHUZ = {"PAYME": {"HANDLER": "shop.views.ShopPayme", …}}'
)


class Command(BaseCommand):
    """Cancel Payme's unpaid transactions that are past their 12 hours."""

    help = (
        "Cancels Payme's unpaid transactions that are past their 12 hours, with the hooks of the view class that "
        'PAYTECHUZ["PAYME"]["HANDLER"] names. Never touches Click. Safe to run anywhere, any number of times.'
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel them; fail where one could not be cancelled."""
        del args, options
        try:
            handler = handler_of("PAYME")
            if handler is None:
                raise CommandError(NO_HANDLER)
            done = handler().expire()
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(done))
        if done.failed:
            raise CommandError(AGAIN)
