"""Payme's calls: the shape of each method's `params`, strictly typed.

https://developer.help.paycom.uz/metody-merchant-api/. Strict means strict: `true` is not 1, `"5"` is not 5, `5e4` is
not an amount. Unknown members are ignored, as JSON-RPC peers may add some.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    """What all params have in common."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern=r"\S", examples=["5305e3bab097f420a62ced0b"])]
Timestamp: TypeAlias = Annotated[int, Field(gt=0, description="Milliseconds since 1970, UTC", examples=[1399114284039])]
Amount: TypeAlias = Annotated[int, Field(description="Tiyin", examples=[500000])]
Account: TypeAlias = Annotated[dict[str, Any], Field(description="The merchant's own fields", examples=[{"id": "197"}])]
Integer: TypeAlias = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class CheckPerformTransaction(Params):
    """May this account be paid this amount? (The page is at the slug `checktransaction`; the two are swapped.)"""

    amount: Amount
    account: Account


class CreateTransaction(Params):
    """Reserve the order. https://developer.help.paycom.uz/metody-merchant-api/createtransaction."""

    id: Id
    time: Timestamp
    amount: Amount
    account: Account


class PerformTransaction(Params):
    """The money arrived. https://developer.help.paycom.uz/metody-merchant-api/performtransaction."""

    id: Id


class CancelTransaction(Params):
    """Cancel or refund. https://developer.help.paycom.uz/metody-merchant-api/canceltransaction."""

    id: Id
    reason: Integer


class CheckTransaction(Params):
    """In which state is it? (The page is at the slug `checkperformtransaction`.)"""

    id: Id


class GetStatement(Params):
    """Which transactions were there? https://developer.help.paycom.uz/metody-merchant-api/getstatement."""

    start: Timestamp = Field(alias="from")
    end: Timestamp = Field(alias="to")


class FiscalData(Params):
    """A fiscal receipt as the tax authority's module gave it; members not named here are kept too."""

    model_config = ConfigDict(extra="allow")

    receipt_id: str | int | None = None
    status_code: int | None = None
    message: str | None = None
    terminal_id: str | None = None
    fiscal_sign: str | int | None = None
    qr_code_url: str | None = None
    date: str | None = None


class SetFiscalData(Params):
    """Store a fiscal receipt. https://developer.help.paycom.uz/metody-merchant-api/setfiscaldata."""

    id: Id
    type: Literal["PERFORM", "CANCEL"]
    fiscal_data: FiscalData


class ChangePassword(Params):
    """Change the key. Absent from today's documentation, still a test in Payme's sandbox."""

    password: str = Field(max_length=512, repr=False)


Request: TypeAlias = (
    CheckPerformTransaction
    | CreateTransaction
    | PerformTransaction
    | CancelTransaction
    | CheckTransaction
    | GetStatement
    | SetFiscalData
    | ChangePassword
)

METHODS: dict[str, type[Request]] = {
    each.__name__: each
    for each in (
        CheckPerformTransaction,
        CreateTransaction,
        PerformTransaction,
        CancelTransaction,
        CheckTransaction,
        GetStatement,
        SetFiscalData,
        ChangePassword,
    )
}


class Expire(Params):
    """Cancel a transaction that is past its time. Our own call, and no method: it cannot arrive from outside."""

    id: Id


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be answered: its JSON-RPC `id` to echo, its typed params, and these as they came."""

    id: Any
    request: Request | Expire
    params: dict[str, Any] = field(repr=False)  # of ChangePassword the new key
