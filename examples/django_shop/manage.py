#!/usr/bin/env python
"""A small shop on Django that takes payments with Payme and Click: an example of paytechuz, its demo and its tests.

    SHOP_DEBUG=1 python manage.py migrate
    SHOP_DEBUG=1 python manage.py runserver

`config/settings.py` and `orders/views.py` are where paytechuz comes in. From the repository's root, `make demo-django`
plays both providers against it over HTTP, and `make serve-django` leaves it running for you to try.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    execute_from_command_line(sys.argv)
