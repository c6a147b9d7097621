"""The documented path of the Flask adapter: `from paytechuz.integrations.flask import PaymeWebhookHandler`."""

from paytechuz_flask import *  # noqa: F403 - the same names, all of them
from paytechuz_flask import __all__ as __all__  # noqa: PLC0414 - re-exported
