"""From what a payer typed to the key of the merchant's account.

Account values are typed by people or carried by links that anyone may edit, so a value either *is* a key, in its one
and only spelling, or it names no account. `"007"`, `"1.5"`, `"٣"`, `" 7"` and a number too long for the column are
unknown accounts, never errors of a database.
"""

import re
from typing import Any, Final
from uuid import UUID

from paytechuz_core.transaction import Key

WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
TEXT_LIMIT: Final = 255


def parse_key(kind: type, value: Any, limit: int) -> Key | None:
    """Read `value` as a key of type `kind` (int, str or UUID), or give None where it is none.

    `limit` is the largest number, or the greatest length of a text, that the account's column can hold.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    key: Key
    if kind is int:
        if WHOLE_NUMBER.fullmatch(text) is None:
            return None
        key = int(text)
        return key if key <= limit else None
    if kind is UUID:
        try:
            key = UUID(text)
        except ValueError:
            return None
        return key if str(key) == text else None
    return text if 0 < len(text) <= min(limit, TEXT_LIMIT) else None


def restore_key(kind: type, text: str) -> Key:
    """Turn a key that was stored as text back into its own type.

    A text that cannot be one is the account of another handler whose transactions stand in the same statement: it stays
    a text.
    """
    try:
        key: Key = kind(text)
    except ValueError:
        return text
    return key if str(key) == text else text
