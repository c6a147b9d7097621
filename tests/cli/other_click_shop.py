"""Click's side of a shop that was not written with paytechuz, and what other people's endpoints do wrong there.

Orders and their pages are those of `other_shop`. `DEFECTS` are the mistakes; without one it is right.
"""

import re
from decimal import Decimal
from hashlib import md5
from typing import Any
from urllib.parse import parse_qsl

from tests.cli.other_shop import PRICE, OtherShop, Refusal

SECRET = "other&secret:of-the-shop"
SERVICE = 4321
NUMBERS = ("click_trans_id", "service_id", "click_paydoc_id", "error")
TEXTS = ("merchant_trans_id", "amount", "action", "sign_time", "sign_string")


class OtherClickShop(OtherShop):
    """By the provider's pages."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: dict[str, dict[str, Any]] = {}

    def webhook(self, body: bytes, authorization: str | None) -> tuple[int, Any]:
        del authorization
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        number, order = form.get("click_trans_id", ""), form.get("merchant_trans_id", "")
        echo = {"click_trans_id": int(number) if number.isdecimal() else 0, "merchant_trans_id": order}
        try:
            with self.lock:
                return 200, {**echo, **self.answer_form(form), "error": 0, "error_note": "Success"}
        except Refusal as no:
            return 200, {**(echo if number.isdecimal() else {}), "error": no.code, "error_note": "no"}

    def answer_form(self, form: dict[str, str]) -> dict[str, Any]:
        self.read(form)
        if not self.signed(form):
            raise Refusal(-1)
        if int(form["service_id"]) != SERVICE:
            raise Refusal(-8)
        if form["action"] == "0":
            return self.prepare(form)
        if form["action"] == "1":
            return self.complete(form)
        raise Refusal(-3)

    def read(self, form: dict[str, str]) -> None:
        names = (*NUMBERS, *TEXTS, *(["merchant_prepare_id"] if form.get("action") == "1" else []))
        if not all(form.get(name) for name in names):
            raise Refusal(-8)
        if not all(form[name].removeprefix("-").isdecimal() for name in NUMBERS):
            raise Refusal(-8)

    def signed(self, form: dict[str, str]) -> bool:
        prepare_id = form["merchant_prepare_id"] if form["action"] == "1" else ""
        texts = (
            form["click_trans_id"], form["service_id"], SECRET, form["merchant_trans_id"], prepare_id, form["amount"],
            form["action"], form["sign_time"],
        )  # fmt: skip
        made = md5("".join(texts).encode(), usedforsecurity=False).hexdigest()
        return made == form["sign_string"].lower()

    def prepare(self, form: dict[str, str]) -> dict[str, Any]:
        number, order = form["click_trans_id"], form["merchant_trans_id"]
        if order not in self.orders:
            raise Refusal(-5)
        known = self.attempts.get(number)
        if known is not None and known["order"] != order:
            raise Refusal(-6)
        if not self.is_price(form["amount"]):
            raise Refusal(-2)
        if known is not None and known["state"] != "prepared":
            raise Refusal(-4 if known["state"] == "paid" else -9)
        if int(form["error"]) < 0:
            raise Refusal(-9)
        if known is None:
            if any(each["order"] == order and each["state"] == "paid" for each in self.attempts.values()):
                raise Refusal(-4)
            for each in self.attempts.values():
                if each["order"] == order:
                    each["state"] = "cancelled"  # the newest attempt holds the order
            known = self.attempts[number] = {"id": next(self.numbers), "order": order, "state": "prepared"}
        return {"merchant_prepare_id": known["id"]}

    def complete(self, form: dict[str, str]) -> dict[str, Any]:
        if form["merchant_trans_id"] not in self.orders:
            raise Refusal(-5)
        found = self.attempts.get(form["click_trans_id"])
        if found is None or not self.is_named(found, form):
            raise Refusal(-6)
        if not self.is_price(form["amount"]):
            raise Refusal(-2)
        if int(form["error"]) < 0:
            self.give_up(found)
            raise Refusal(-9)
        if found["state"] == "cancelled":
            raise Refusal(-9)
        if found["state"] == "paid":
            self.paid_already(found)
        else:
            found["state"] = "paid"
            self.deliver(found)
        return {"merchant_confirm_id": found["id"]}

    def is_price(self, amount: str) -> bool:
        if re.fullmatch(r"-?[0-9]+(\.[0-9]{1,2})?", amount) is None:
            raise Refusal(-8)
        return Decimal(amount) * 100 == PRICE

    def is_named(self, attempt: dict[str, Any], form: dict[str, str]) -> bool:
        named = (str(attempt["id"]), attempt["order"])
        return named == (form["merchant_prepare_id"], form["merchant_trans_id"])

    def give_up(self, attempt: dict[str, Any]) -> None:
        if attempt["state"] == "paid":
            self.orders[attempt["order"]] = "refunded"
        attempt["state"] = "cancelled"

    def paid_already(self, attempt: dict[str, Any]) -> None:
        del attempt
        raise Refusal(-4)

    def deliver(self, attempt: dict[str, Any]) -> None:
        number = attempt["order"]
        self.orders[number] = "paid twice" if self.orders[number].startswith("paid") else "paid"


# What other people's endpoints do wrong


class Truncated(OtherClickShop):
    def is_price(self, amount: str) -> bool:
        super().is_price(amount)
        return round(float(amount)) == PRICE // 100


class AsText(OtherClickShop):
    def is_price(self, amount: str) -> bool:
        super().is_price(amount)
        return amount == f"{PRICE / 100:.2f}"


class DeliversAgain(OtherClickShop):
    def paid_already(self, attempt: dict[str, Any]) -> None:
        self.deliver(attempt)


class Unsigned(OtherClickShop):
    def signed(self, form: dict[str, str]) -> bool:
        del form
        return True


class AnyPrepareId(OtherClickShop):
    def is_named(self, attempt: dict[str, Any], form: dict[str, str]) -> bool:
        return bool(attempt["order"] == form["merchant_trans_id"])


class KeepsWhatFailed(OtherClickShop):
    def give_up(self, attempt: dict[str, Any]) -> None:
        if attempt["state"] == "paid":
            super().give_up(attempt)


DEFECTS: dict[str, type[OtherClickShop]] = {
    "a wrong amount is accepted": Truncated,
    "an amount in another spelling is refused": AsText,
    "the paid hook runs twice": DeliversAgain,
    "a call with a wrong signature is not refused as it must be": Unsigned,
    "Complete is taken for another attempt": AnyPrepareId,
    "a cancelled payment is revived": KeepsWhatFailed,
}
"""Each mistake, by the name that `paytechuz check` must give it."""
