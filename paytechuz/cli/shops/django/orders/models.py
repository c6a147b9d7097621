"""What the shop sells, as far as a payment is concerned: an order with a price in som and a status."""

from django.db import models


class Order(models.Model):
    """An order, to be paid once: `pending`, then `paid`, then perhaps `refunded`."""

    amount = models.DecimalField(max_digits=12, decimal_places=2)
    status = models.CharField(max_length=20, default="pending")

    class Meta:
        """The table's name, which is the same in every example shop."""

        db_table = "orders"

    def __str__(self) -> str:
        """Name it as the admin shows it."""
        return f"{self.pk}"
