"""The table payments, as `paytechuz_core.sql` makes it; one that is there already and fits is taken over."""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from paytechuz_core.repository import ConfigurationError
from paytechuz_django.models import ExactTextField, UtcTimeField, check
from paytechuz_django.store import misfit_of


class CreatePayments(migrations.CreateModel):
    """Create the table, or what is missing of it: MariaDB commits each statement, so a migration may be half done."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Take over a table that fits, leave one that does not untouched, or create it."""
        connection, model = schema_editor.connection, to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(connection.alias, model):
            return
        if model._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - documented name
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        elif wrong := misfit_of(connection):
            raise wrong
        else:
            with connection.cursor() as cursor:
                there = connection.introspection.get_constraints(cursor, model._meta.db_table)  # noqa: SLF001 - as above
            for index in model._meta.indexes:  # noqa: SLF001 - as above
                if index.name not in there:
                    schema_editor.add_index(model, index)

    def database_backwards(self, *args: Any) -> None:
        """Drop nothing. Payments are the merchant's books: there is no way back by accident."""
        del args
        message = "paytechuz never drops a table of payments; drop it by hand if you mean to"
        raise ConfigurationError(message)


class Migration(migrations.Migration):
    """One table."""

    initial = True
    dependencies = ()
    operations = (
        CreatePayments(
            name="PaymentTransaction",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("gateway", ExactTextField(max_length=32, verbose_name="provider")),
                ("transaction_id", ExactTextField(max_length=64, verbose_name="provider's id")),
                ("account_id", ExactTextField(max_length=255, verbose_name="order")),
                ("amount_tiyin", models.BigIntegerField(verbose_name="amount, tiyin")),
                ("account", models.JSONField(verbose_name="account as received")),
                ("state", models.SmallIntegerField(verbose_name="state")),
                ("reason", models.IntegerField(null=True, verbose_name="reason of cancellation")),
                ("extra_data", models.JSONField(verbose_name="the shop's own data")),
                ("created_at", UtcTimeField(verbose_name="created")),
                ("updated_at", UtcTimeField(verbose_name="last written")),
                ("performed_at", UtcTimeField(null=True, verbose_name="paid")),
                ("cancelled_at", UtcTimeField(null=True, verbose_name="cancelled")),
                ("provider_time", models.BigIntegerField(null=True, verbose_name="provider's time, ms")),
                ("lifetime", models.BigIntegerField(verbose_name="lifetime while unpaid, ms")),
                ("hold", ExactTextField(max_length=400, null=True, verbose_name="hold")),
                ("receivers", models.JSONField(null=True, verbose_name="receivers of a split payment")),
                ("fiscal_perform", models.JSONField(null=True, verbose_name="fiscal receipt of the payment")),
                ("fiscal_cancel", models.JSONField(null=True, verbose_name="fiscal receipt of the refund")),
                ("version", models.IntegerField(verbose_name="number of writes")),
            ],
            options={
                "db_table": "payments",
                "verbose_name": "payment",
                "verbose_name_plural": "payments",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["gateway", "provider_time"], name="ix_payments_provider_time"),
                    models.Index(fields=["account_id"], name="ix_payments_account_id"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("gateway", "transaction_id"), name="uq_payments_gateway_transaction_id"
                    ),
                    models.UniqueConstraint(fields=("hold",), name="uq_payments_hold"),
                    check(models.Q(("amount_tiyin__gt", 0)), "ck_payments_amount_tiyin"),
                ],
            },
        ),
    )
