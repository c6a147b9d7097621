"""What stands before every view of a project does not stand before a webhook."""

import json
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path

from paytechuz_django.views import PaymeWebhookView

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
if django.VERSION >= (5, 1):
    MIDDLEWARE.append("django.contrib.auth.middleware.LoginRequiredMiddleware")


def another(request: Any) -> HttpResponse:
    """Stand for any other view of the project."""
    return HttpResponse(request.path)


@pytest.fixture
def client(alias: str) -> Iterator[Client]:
    """Somebody without a cookie, before a project that lets nobody in."""
    del alias
    view = PaymeWebhookView.as_view(payme_id="id", payme_key="key", account_model="shop.Order")
    routes = type("Routes", (), {"urlpatterns": [path("payme", view), path("another", another)]})
    with override_settings(ROOT_URLCONF=routes, MIDDLEWARE=MIDDLEWARE):
        yield Client(enforce_csrf_checks=True)


def test_a_provider_needs_neither_a_cookie_nor_an_account(client: Client) -> None:
    answer = client.post("/payme", {}, content_type="application/json")
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (200, -32504)


def test_another_view_is_still_protected(client: Client) -> None:
    assert client.post("/another").status_code in {302, 403}
