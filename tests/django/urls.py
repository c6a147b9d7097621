"""The routes of the tests' project: the admin; the shops of the tests bring their own."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
