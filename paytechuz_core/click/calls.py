"""Click's calls: one form, read strictly, its strings kept exactly as they were signed.

https://docs.click.uz/click-api-request. The signature runs over the raw strings without any separator, so order "12"
with amount "345" signs as order "1" with amount "2345". Hence the amount's strict format, and hence a later call is
compared with every signed field of the first one.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final
from urllib.parse import parse_qsl

from paytechuz_core.money import Tiyin, som_to_tiyin

PREPARE: Final = "0"
COMPLETE: Final = "1"
FIELDS_LIMIT: Final = 64
LARGEST_ID: Final = 2**63 - 1

REQUIRED: Final = (
    "click_trans_id", "service_id", "click_paydoc_id", "merchant_trans_id", "amount", "action", "error", "sign_time",
    "sign_string",
)  # fmt: skip
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
SIGNED_NUMBER: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """A Prepare or a Complete whose form is whole; `form` has the strings as received."""

    form: Mapping[str, str] = field(repr=False)  # with the signature

    @property
    def click_trans_id(self) -> int:
        """The attempt's number at Click."""
        return int(self.form["click_trans_id"])

    @property
    def transaction_id(self) -> str:
        """The attempt's id as stored."""
        return str(self.click_trans_id)

    @property
    def service_id(self) -> int:
        """The merchant's service."""
        return int(self.form["service_id"])

    @property
    def paydoc_id(self) -> int:
        """The payment's number at Click, the same for every attempt at it."""
        return int(self.form["click_paydoc_id"])

    @property
    def order(self) -> str:
        """What the merchant put into the link: an order, an account, a login."""
        return self.form["merchant_trans_id"]

    @property
    def action(self) -> str:
        """PREPARE or COMPLETE."""
        return self.form["action"]

    @property
    def error(self) -> int:
        """0, or negative where Click aborts."""
        return int(self.form["error"])

    @property
    def amount(self) -> Tiyin | None:
        """The amount in tiyin, or None where the text is not an amount."""
        text = self.form["amount"]
        return som_to_tiyin(text) if AMOUNT.fullmatch(text) else None

    @property
    def prepare_id(self) -> int:
        """The merchant's id of this attempt: stable, positive, 31 bits. Only ever compared, never looked up."""
        return self.click_trans_id % (2**31 - 1) + 1

    @property
    def prepared(self) -> bool:
        """Tell whether Complete names the attempt that Prepare answered."""
        return self.form["merchant_prepare_id"] == str(self.prepare_id)


def read_form(body: bytes) -> dict[str, str]:
    """Read a form; raise ValueError for duplicate fields, text that is not UTF-8, and what is no form at all."""
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=FIELDS_LIMIT
    )
    form = dict(pairs)
    if len(form) != len(pairs) or any("\0" in text for text in form.values()):
        message = "duplicate field, or U+0000"
        raise ValueError(message)
    return form


def whole(form: Mapping[str, str]) -> bool:
    """Tell whether every field that the action needs is there, and every id is a number."""
    required = (*REQUIRED, "merchant_prepare_id") if form.get("action") == COMPLETE else REQUIRED
    numbers = [form.get(name, "") for name in required if name.endswith("_id") and name != "merchant_trans_id"]
    return (
        all(form.get(name) for name in required)
        and all(NUMBER.fullmatch(text) and int(text) <= LARGEST_ID for text in numbers)
        and SIGNED_NUMBER.fullmatch(form["error"]) is not None
        and int(form["error"]) <= 0
    )


def signed(form: Mapping[str, str], secrets: Iterable[str]) -> bool:
    """Check the signature in constant time, with every secret that is valid now."""
    prepare_id = form.get("merchant_prepare_id", "") if form.get("action") == COMPLETE else ""
    before = form.get("click_trans_id", "") + form.get("service_id", "")
    after = (
        form.get("merchant_trans_id", "")
        + prepare_id
        + "".join(form.get(n, "") for n in ("amount", "action", "sign_time"))
    )
    given = form.get("sign_string", "").lower().encode()
    # Every secret is always tried, so that the time taken tells nothing about which one is close.
    texts = [(before + secret + after).encode() for secret in secrets if secret]
    matches = [hmac.compare_digest(md5(text, usedforsecurity=False).hexdigest().encode(), given) for text in texts]
    return any(matches)


def stored(call: Call) -> dict[str, Any]:
    """Give what is stored of a Prepare as the transaction's `account`: every signed field, and the payment's number."""
    names = "merchant_trans_id", "service_id", "click_paydoc_id", "amount", "sign_time"
    return {name: call.form[name] for name in names}
