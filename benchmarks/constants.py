"""What the shop and its payer both know."""

import base64
from typing import Final

KEY: Final = "benchmark-key"
AUTHORIZATION: Final = "Basic " + base64.b64encode(f"Paycom:{KEY}".encode()).decode()
TIYIN: Final = 500_000
