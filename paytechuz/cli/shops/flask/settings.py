"""What differs from one machine to the next: from the environment, or from `.env` beside this file."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def read(file: Path) -> None:
    """Read lines of NAME=value. What the environment has already stays as it is."""
    if file.exists():
        for line in file.read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.startswith("#"):
                os.environ.setdefault(name.strip(), value.strip())


read(FOLDER / ".env")

# What is missing stops the shop when it starts, and not when somebody pays.
PAYME_ID = os.environ["PAYME_ID"]
PAYME_KEY = os.environ["PAYME_KEY"]
PAYME_SANDBOX = os.environ.get("PAYME_SANDBOX") == "1"
CLICK_SERVICE_ID = int(os.environ["CLICK_SERVICE_ID"])
CLICK_MERCHANT_ID = int(os.environ["CLICK_MERCHANT_ID"])
CLICK_SECRET_KEY = os.environ["CLICK_SECRET_KEY"]
DATABASE_URL = os.environ.get("DATABASE_URL", f"sqlite:///{FOLDER / 'shop.db'}")
