"""What Payme is answered: one function for each result, and the bytes around it.

Unset times are 0 and an unset reason is null. `transaction` is the merchant's own number for the transaction, a string
of free format; it is Payme's id again, so that no answer ever waits for a key that a database has yet to generate.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from paytechuz_core.payme.errors import Error
from paytechuz_core.transaction import Transaction

Result: TypeAlias = dict[str, Any]
Reply: TypeAlias = Result | Error

WRITER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def allowed() -> Result:
    """Answer CheckPerformTransaction; a refusal is an error, never `allow: false`."""
    return {"allow": True}


def created(transaction: Transaction) -> Result:
    """Answer CreateTransaction."""
    return {
        "create_time": transaction.create_time,
        "transaction": transaction.transaction_id,
        "state": transaction.state.value,
        **receivers(transaction),
    }


def performed(transaction: Transaction) -> Result:
    """Answer PerformTransaction."""
    return {
        "transaction": transaction.transaction_id,
        "perform_time": transaction.perform_time,
        "state": transaction.state.value,
    }


def cancelled(transaction: Transaction) -> Result:
    """Answer CancelTransaction."""
    return {
        "transaction": transaction.transaction_id,
        "cancel_time": transaction.cancel_time,
        "state": transaction.state.value,
    }


def checked(transaction: Transaction) -> Result:
    """Answer CheckTransaction: all six members, always."""
    return {
        "create_time": transaction.create_time,
        "perform_time": transaction.perform_time or 0,
        "cancel_time": transaction.cancel_time or 0,
        "transaction": transaction.transaction_id,
        "state": transaction.state.value,
        "reason": transaction.reason,
    }


def statement(transactions: Iterable[Transaction]) -> Result:
    """Answer GetStatement, in the order given."""
    return {
        "transactions": [
            {
                "id": each.transaction_id,
                "time": each.provider_time,
                "amount": each.amount_tiyin,
                "account": each.account,
                **checked(each),
                **receivers(each),
            }
            for each in transactions
        ]
    }


def succeeded() -> Result:
    """Answer SetFiscalData and ChangePassword."""
    return {"success": True}


def receivers(transaction: Transaction) -> Result:
    """Give the receivers of a split payment; a payment with one owner has no such member."""
    return {} if transaction.receivers is None else {"receivers": list(transaction.receivers)}


def encode(id: Any, reply: Reply, messages: Mapping[int, Mapping[str, str]]) -> bytes:
    """Write one JSON-RPC response with exactly one of `result` and `error`; `messages` are the merchant's own words."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": id}
    if isinstance(reply, Error):
        error = reply if reply.worded else reply.saying(messages.get(reply.code, {}))
        body["error"] = {"code": error.code, "message": error.message}
        if error.data is not None:
            body["error"]["data"] = error.data
    else:
        body["result"] = reply
    text = WRITER.encode(body)
    # A hook's words may hold what UTF-8 cannot write, a lone surrogate; that must not cost the answer.
    return text.encode(errors="replace")
