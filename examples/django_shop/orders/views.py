"""The providers' endpoints, and the two pages that a shop cannot do without: placing an order and looking at it.

The pages stand in for the shop's own, so nobody has to log in.
"""

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from orders.models import Order
from paytechuz.integrations.django import ClickWebhookView, PaymeWebhookView, Transaction


class ShopHooks:
    """What the shop does about a payment, whoever took it: an order is paid once, and this is written once.

    A hook runs inside the call's database transaction, once for each move: the order and the payment change together or
    not at all.
    """

    def successfully_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Deliver what was paid for."""
        Order.objects.filter(pk=transaction.account_id).update(status="paid")

    def cancelled_payment(self, params: dict[str, Any], transaction: Transaction) -> None:
        """Take a refunded order back, or let one go whose payment came to nothing. The latter may still be paid."""
        Order.objects.filter(pk=transaction.account_id).update(status="cancelled")


class ShopPayme(ShopHooks, PaymeWebhookView):
    """Payme, with the shop's hooks."""


class ShopClick(ShopHooks, ClickWebhookView):
    """Click, with the shop's hooks: Prepare and Complete at one URL, which stands in both boxes of its cabinet."""


class OrderForm(forms.Form):
    """What a customer may ask for."""

    amount = forms.DecimalField(min_value=Decimal("0.01"), max_digits=12, decimal_places=2)


@csrf_exempt  # no cookie says who orders, so another site has nothing to abuse
@require_POST
def place_order(request: HttpRequest) -> JsonResponse:
    """Place an order of `amount` som."""
    try:
        form = OrderForm(dict(json.loads(request.body)))
    except (TypeError, ValueError):
        return shown({"detail": "not a JSON object"}, status=422)
    if not form.is_valid():
        return shown(form.errors, status=422)
    return shown(page(Order.objects.create(**form.cleaned_data)), status=201)


@require_GET
def show_order(request: HttpRequest, number: int) -> JsonResponse:
    """Say what became of an order."""
    return shown(page(get_object_or_404(Order, pk=number)))


def page(order: Order) -> dict[str, Any]:
    """Show an order."""
    return {"id": order.pk, "amount": f"{order.amount:.2f}", "status": order.status}


def shown(what: dict[str, Any], status: int = 200) -> JsonResponse:
    """Answer as every example shop does, without a space."""
    return JsonResponse(what, status=status, json_dumps_params={"separators": (",", ":")})
