"""The orders in Django's admin. The payments are there by themselves."""

from django.contrib import admin

from orders.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # a stub's parameter, which Django's own class has not
    """Orders by number, price and status."""

    list_display = ("id", "amount", "status")
    list_filter = ("status",)
    search_fields = ("=id",)
