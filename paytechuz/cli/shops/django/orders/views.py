"""One page to place an order, and one to look at it and pay. They stand in for the shop's own: nobody has to log in."""

from decimal import Decimal

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from orders.models import Order
from orders.payments import links


class OrderForm(forms.Form):
    """What a customer may ask for."""

    amount = forms.DecimalField(min_value=Decimal("0.01"), max_digits=12, decimal_places=2, localize=False)


@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    """Show the latest orders, and a form to place one."""
    return render(request, "orders/orders.html", {"orders": Order.objects.order_by("-pk")[:20]})


@require_POST
def place_order(request: HttpRequest) -> HttpResponse:
    """Place an order, and go to its page."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return HttpResponse(form.errors.as_text(), status=422, content_type="text/plain; charset=utf-8")
    order = Order.objects.create(amount=form.cleaned_data["amount"])
    return redirect("order", number=order.pk)


@require_GET
def order(request: HttpRequest, number: int) -> HttpResponse:
    """Say what became of an order, and where it can be paid."""
    found = get_object_or_404(Order, pk=number)
    ways = links(found, return_url=request.build_absolute_uri(request.path)) if found.status == "pending" else {}
    return render(request, "orders/order.html", {"order": found, "links": ways})
