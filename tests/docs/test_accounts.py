"""What the page about accounts says."""

from typing import Any
from uuid import UUID

import pytest

from tests.docs.conftest import TutorialShop
from tests.docs.pages import DOCS

PAGE = DOCS / "how-to/accounts.md"


@pytest.fixture
def names(shop: TutorialShop) -> dict[str, Any]:
    """What the blocks of the page define, and one invoice."""
    names = shop.read(PAGE)
    with shop.module.SessionLocal() as db:
        db.add(names["Invoice"](number="A17", branch=3, total=5000))
        db.commit()
    return names


def test_an_account_is_found_by_a_column_of_another_name(shop: TutorialShop, names: dict[str, Any]) -> None:
    till = shop.till(names["ShopPayme"], **names["by_number"])
    assert till.check(invoice="A17") == {"allow": True}
    for stranger in ("a17", "A17 ", "", None, 17, True):
        assert till.check(invoice=stranger)["code"] == -31050


def test_account_id_is_the_primary_key_in_its_own_type(shop: TutorialShop, names: dict[str, Any]) -> None:
    seen = []

    def transaction_created(self: Any, params: Any, transaction: Any, account: Any) -> None:
        del self, params
        seen.append((transaction.account_id, account.id))

    handler = type("Handler", (names["ShopPayme"],), {"transaction_created": transaction_created})
    shop.till(handler, **names["by_number"]).create(invoice="A17")
    assert seen[0][0] == seen[0][1]
    assert isinstance(seen[0][0], UUID)


def test_the_spelling_of_a_number_is_exact(shop: TutorialShop, names: dict[str, Any]) -> None:
    till = shop.till(names["ShopPayme"])
    order = shop.order()
    assert till.check(order_id=str(order)) == till.check(order_id=order) == {"allow": True}
    for spelling in ("01", "1.0", " 1", "1 ", "١"):
        assert till.check(order_id=spelling)["code"] == -31050


def test_several_fields_must_all_match(shop: TutorialShop, names: dict[str, Any]) -> None:
    till = shop.till(names["ShopPayme"], **names["by_branch"])
    assert till.check(branch="3", invoice="A17") == {"allow": True}
    assert till.check(branch="4", invoice="A17")["data"] == "branch"
    assert till.check(branch="3", invoice="A18")["data"] == "branch"
    assert till.check(branch="3", invoice=" ")["data"] == "invoice"


def test_find_account_may_be_the_merchants_own(shop: TutorialShop, names: dict[str, Any]) -> None:
    till = shop.till(names["InvoicePayme"], **names["by_own_rule"])
    assert till.create(invoice="inv-a17")["state"] == 1
    assert till.create("B", invoice="A17")["code"] == -31051
    assert till.check(invoice="inv-a18")["code"] == -31050
    assert till.check(invoice=" ")["code"] == -31050
    bare = shop.till(names["InvoicePayme"], **{**names["by_own_rule"], "account_column": None})
    assert bare.check(invoice="A17")["code"] == -31051, "no column is needed where nobody looks it up by one"


def test_a_wallet_is_topped_up_any_number_of_times(shop: TutorialShop, names: dict[str, Any]) -> None:
    with shop.module.SessionLocal() as db:
        db.add(names["Wallet"](phone="998901234567"))
        db.commit()
    till = shop.till(names["WalletPayme"], **names["top_up"])
    for id, amount in (("A", 500_000), ("B", 100_000), ("C", 100_000)):
        assert till.create(id, amount, phone="998901234567")["state"] == 1
    for id in "AABB":
        assert till.perform(id)["state"] == 2
    assert [till.cancel(id)["state"] for id in "BC"] == [-2, -1]
    for amount in (99_999, 1_000_000_001, 0):
        assert till.check(amount, phone="998901234567")["code"] == -31001
    with shop.module.SessionLocal() as db:
        assert db.get(names["Wallet"], "998901234567").balance_tiyin == 500_000


def test_an_order_is_being_paid_until_it_is_paid_or_cancelled(shop: TutorialShop, names: dict[str, Any]) -> None:
    till, order = shop.till(names["ShopPayme"]), shop.order()

    def asked() -> bool:
        with shop.module.SessionLocal() as db:
            return bool(names["is_being_paid"](db, order))

    assert not asked()
    till.create(order_id=order)
    assert asked()
    till.cancel()
    assert not asked()
