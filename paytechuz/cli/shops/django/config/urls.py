"""The shop's URLs: two pages, the providers' endpoints, the admin."""

from django.contrib import admin
from django.urls import path

from orders import views
from orders.payments import ShopClick, ShopPayme

urlpatterns = [
    path("", views.orders, name="orders"),
    path("orders", views.place_order, name="place_order"),
    path("orders/<int:number>", views.order, name="order"),
    path("payments/payme/webhook", ShopPayme.as_view()),
    path("payments/click/webhook", ShopClick.as_view()),
    path("admin/", admin.site.urls),
]
