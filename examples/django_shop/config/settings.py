"""The shop's settings. What differs from one machine to the next comes from the environment."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parents[1]

DEBUG = os.environ.get("SHOP_DEBUG") == "1"
# Without DEBUG there is no default: Django refuses an empty one at start.
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "known to everybody" if DEBUG else "")
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "127.0.0.1 localhost").split()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "orders",
]
INSTALLED_APPS += ["paytechuz_django"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql", "mysql": "mysql"}


def database(url: str) -> dict[str, Any]:
    """Read a database's URL, as SQLAlchemy writes it too: `postgresql://user:password@host/name`."""
    parts = urlsplit(url)
    return {
        "ENGINE": f"django.db.backends.{ENGINES[parts.scheme.partition('+')[0]]}",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


DATABASES = {"default": database(os.environ.get("SHOP_DATABASE", f"sqlite:///{BASE_DIR / 'shop.db'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "ru"
TIME_ZONE = "Asia/Tashkent"
USE_TZ = True

# An order is paid once, for its exact price, whichever provider takes the money.
ACCOUNT = {
    "ACCOUNT_MODEL": "orders.Order",
    "ACCOUNT_FIELD": "id",
    "AMOUNT_FIELD": "amount",
    "ONE_TIME_PAYMENT": True,
}
PAYTECHUZ = {
    "PAYME": {
        "PAYME_ID": os.environ.get("PAYME_ID", "your_payme_id"),
        "PAYME_KEY": os.environ.get("PAYME_KEY", "your_payme_key"),
        "HANDLER": "orders.views.ShopPayme",  # whose hooks `manage.py paytechuz_expire` calls
        **ACCOUNT,
    },
    "CLICK": {
        "SERVICE_ID": os.environ.get("CLICK_SERVICE_ID", "12345"),
        "SECRET_KEY": os.environ.get("CLICK_SECRET_KEY", "your_click_secret_key"),
        **ACCOUNT,
    },
}
