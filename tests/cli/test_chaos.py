"""`paytechuz chaos` finds nothing in a right shop, and what is lost or doubled in wrong ones."""

from typing import Any

import pytest

from tests.cli.conftest import Serve, at, run
from tests.cli.other_shop import HookTwice, OtherShop

STORM = ("--payments", "12", "--duplicate", "3", "--reorder", "--lose-answers", "0.3", "--parallel", "4", "--seed", "7")


def test_a_right_shop_loses_and_doubles_nothing(serve: Serve) -> None:
    done = run("chaos", *at(serve(OtherShop())), *STORM)
    assert done.exit_code == 0, done.output
    assert "12 payers" in done.output
    assert "Nothing lost, nothing doubled." in done.output


class Forgetful(OtherShop):
    """Answers before it stores, and then does not."""

    def perform(self, params: Any) -> dict[str, Any]:
        was = dict(self.find(params["id"]))
        answer = super().perform(params)
        self.transactions[params["id"]] = was
        return answer


class Restless(OtherShop):
    """Tells another time whenever it is asked."""

    def time(self, millis: int) -> Any:
        return millis + next(self.numbers) if millis else 0


class Revenant(OtherShop):
    """A late Perform brings a refunded payment back."""

    def perform(self, params: Any) -> dict[str, Any]:
        found = self.find(params["id"])
        if found["state"] == -2:
            found |= {"state": 1, "cancel_time": 0, "reason": None}
        return super().perform(params)


@pytest.mark.parametrize(
    ("shop", "told"),
    [
        (HookTwice, "and the order is paid twice"),
        (Forgetful, "PerformTransaction was answered with"),
        (Restless, "and before with"),
        (Revenant, "the payment is refunded, and"),
    ],
    ids=["hook twice", "forgetful", "restless", "revenant"],
)
def test_what_a_wrong_shop_loses_or_doubles_is_told(shop: type[OtherShop], told: str, serve: Serve) -> None:
    done = run("chaos", *at(serve(shop())), *STORM)
    assert done.exit_code == 1, done.output
    assert told in " ".join(done.output.split())
    assert "things are wrong" in done.output
