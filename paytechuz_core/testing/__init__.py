"""What proves a shop and a storage right: the providers' acceptance scenarios, and the laws of a repository.

`payme` plays Payme and `click` plays Click against any endpoint; they need nothing but the standard library.
`RepositoryLaws` and `AsyncRepositoryLaws` are mix-ins for pytest: override one fixture, and your own repository is held
to the laws of `paytechuz_core.repository`.

By themselves stand what proves our own gateways, and may prove your storage or your changes to a gateway: `explore`
visits every state there is, `oracle` knows the rules a second time, `races` lets requests meet at every step, and
`simulator` plays histories with every fault. `invariants` judges what they see.
"""

import sys
from typing import TYPE_CHECKING, Any

from paytechuz_core.outbound import Send, over_http
from paytechuz_core.testing.click import CLICK, CLICK_EXTRA, CLICK_TOP_UP
from paytechuz_core.testing.click_till import Attempt, ClickAnswer, ClickTill
from paytechuz_core.testing.payme import ONE_TIME, TOP_UP
from paytechuz_core.testing.suite import Order, Scenario, Shop, Step, play
from paytechuz_core.testing.till import Answer, Till

if TYPE_CHECKING:
    from paytechuz_core.testing.laws import AsyncRepositoryLaws, Known, RepositoryLaws, Storage

__all__ = [
    "CLICK", "CLICK_EXTRA", "CLICK_TOP_UP", "ONE_TIME", "TOP_UP", "Answer", "AsyncRepositoryLaws", "Attempt",
    "ClickAnswer", "ClickTill", "Known", "Order", "RepositoryLaws", "Scenario", "Send", "Shop", "Step", "Storage",
    "Till", "over_http", "play",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what needs pytest only where it is asked for: a command line plays the scenarios without it."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import pytest  # noqa: PLC0415 - see above

    if f"{__name__}.laws" not in sys.modules:  # failing laws then show the values they compare
        pytest.register_assert_rewrite(f"{__name__}.laws")
    from paytechuz_core.testing import laws  # noqa: PLC0415 - see above

    return getattr(laws, name)
