"""The shop's settings. What differs from one machine to the next comes from the environment, or from `.env`."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[1]


def read(file: Path) -> None:
    """Read lines of NAME=value. What the environment has already stays as it is."""
    if file.exists():
        for line in file.read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.startswith("#"):
                os.environ.setdefault(name.strip(), value.strip())


read(BASE_DIR / ".env")

# What is missing stops the shop when it starts, and not when somebody pays.
SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
DEBUG = os.environ.get("SHOP_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "127.0.0.1 localhost").split()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "orders",
    "paytechuz_django",
]

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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "shop.db",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"  # the admin speaks "ru" and "uz" too
TIME_ZONE = "Asia/Tashkent"
USE_TZ = True

# For the payers' links.
PAYME_SANDBOX = os.environ.get("PAYME_SANDBOX") == "1"
CLICK_MERCHANT_ID = int(os.environ["CLICK_MERCHANT_ID"])

# An order is paid once, for its exact price, whichever provider takes the money. `order_id` is the field's name in
# Payme's cabinet; Order has no such column, so it is the primary key.
ORDERS = {
    "ACCOUNT_MODEL": "orders.Order",
    "ACCOUNT_FIELD": "order_id",
    "AMOUNT_FIELD": "amount",
    "ONE_TIME_PAYMENT": True,
}
PAYTECHUZ = {
    "PAYME": {
        "PAYME_ID": os.environ["PAYME_ID"],
        "PAYME_KEY": os.environ["PAYME_KEY"],
        "HANDLER": "orders.payments.ShopPayme",  # whose hooks `manage.py paytechuz_expire` calls
        **ORDERS,
    },
    "CLICK": {
        "SERVICE_ID": int(os.environ["CLICK_SERVICE_ID"]),
        "SECRET_KEY": os.environ["CLICK_SECRET_KEY"],
        **ORDERS,
    },
}
