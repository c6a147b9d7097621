"""The documented import path of the FastAPI adapter: `from paytechuz.integrations.fastapi import PaymeWebhookHandler`."""

from paytechuz_fastapi import *
from paytechuz_fastapi import __all__ as __all__  # noqa: PLC0414 - re-exported
