"""The shop's URLs: two pages, the providers' endpoints, the admin."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from orders.views import ShopClick, ShopPayme, place_order, show_order

urlpatterns = [
    path("orders", place_order),
    path("orders/<int:number>", show_order),
    path("payments/payme/webhook", ShopPayme.as_view()),
    path("payments/click/webhook", ShopClick.as_view()),
    path("admin/", admin.site.urls),
]
urlpatterns += staticfiles_urlpatterns()  # with DEBUG only, so that the admin looks as it should under any server
