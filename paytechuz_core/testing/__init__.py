"""What proves a shop and a storage right: the providers' acceptance scenarios, and the laws of a repository.

`payme` plays Payme and `click` plays Click against any endpoint; they need nothing but the standard library. `plugin`
gives pytest both, as fixtures that pay in a shop of your own.

`RepositoryLaws` and `AsyncRepositoryLaws` are mix-ins for pytest: override one fixture, and your own repository is held
to the laws of `paytechuz_core.repository`. `payme_machine` and `click_machine` hold it against the model, by stories
that Hypothesis makes up. `BROKEN` are storages that these catch.

By themselves stand what proves our own gateways, and may prove your storage or your changes to a gateway: `explore`
visits every state there is, `oracle` knows the rules a second time, `races` lets requests meet at every step, and
`simulator` plays histories with every fault. `invariants` judges what they see.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from paytechuz_core.outbound import Send, over_http
from paytechuz_core.testing.broken import BROKEN
from paytechuz_core.testing.click import CLICK, CLICK_AT_ONCE, CLICK_EXTRA, CLICK_TOP_UP
from paytechuz_core.testing.click_till import Attempt, ClickAnswer, ClickTill
from paytechuz_core.testing.payme import AT_ONCE, ONE_TIME, TOP_UP
from paytechuz_core.testing.recorder import Exchange, Recorder
from paytechuz_core.testing.suite import Lacking, Order, Scenario, Shop, Step, play
from paytechuz_core.testing.till import Answer, Till

if TYPE_CHECKING:
    from paytechuz_core.testing.bridge import Bridge
    from paytechuz_core.testing.laws import AsyncRepositoryLaws, Known, RepositoryLaws, Storage
    from paytechuz_core.testing.machines import click_machine, payme_machine
    from paytechuz_core.testing.plugin import App

__all__ = [
    "AT_ONCE", "BROKEN", "CLICK", "CLICK_AT_ONCE", "CLICK_EXTRA", "CLICK_TOP_UP", "ONE_TIME", "TOP_UP", "Answer",
    "App", "AsyncRepositoryLaws", "Attempt", "Bridge", "ClickAnswer", "ClickTill", "Exchange", "Known", "Lacking",
    "Order", "Recorder", "RepositoryLaws", "Scenario", "Send", "Shop", "Step", "Storage", "Till", "click_machine",
    "over_http", "payme_machine", "play",
]  # fmt: skip

LAWS: Final = f"{__name__}.laws"
LATE: Final = {
    **dict.fromkeys(("AsyncRepositoryLaws", "Known", "RepositoryLaws", "Storage"), LAWS),
    "App": f"{__name__}.plugin",
    "Bridge": f"{__name__}.bridge",
    **dict.fromkeys(("click_machine", "payme_machine"), f"{__name__}.machines"),
}
"""What needs pytest, Hypothesis or a loop is imported only where it is asked for: scenarios are played without."""


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in LATE:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    if LATE[name] == LAWS and LAWS not in sys.modules:  # failing laws then show the values they compare
        import pytest  # noqa: PLC0415 - see above

        pytest.register_assert_rewrite(LAWS)
    return getattr(import_module(LATE[name]), name)
