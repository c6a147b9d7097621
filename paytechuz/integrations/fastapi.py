"""The documented path of the FastAPI adapter: `from paytechuz.integrations.fastapi import PaymeWebhookHandler`."""

from paytechuz_fastapi import *  # noqa: F403 - the same names, all of them
from paytechuz_fastapi import __all__ as __all__  # noqa: PLC0414 - re-exported
