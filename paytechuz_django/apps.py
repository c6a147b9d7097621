"""The app: `INSTALLED_APPS += ["paytechuz_django"]`."""

from django.apps import AppConfig

from paytechuz_django.texts import _


class PaytechuzConfig(AppConfig):
    """Payments, as Django and its admin name them."""

    name = "paytechuz_django"
    verbose_name = _("Payments with Payme and Click")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from paytechuz_django import checks  # noqa: F401, PLC0415 - it registers itself, and needs the models
