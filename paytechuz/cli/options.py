"""The options of every command that calls a shop; `[tool.paytechuz]` in pyproject.toml may say them once for all."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Url = Annotated[
    str | None,
    Argument(help="The endpoint: http://127.0.0.1:8000/payments/payme/webhook", show_default=False),
]
Gateway = Annotated[
    str | None,
    Option(help="Who calls: payme or click. Where none is said, all in pyproject.toml.", show_default=False),
]
Key = Annotated[
    str | None,
    Option(help="The cash register's key, or the service's.", envvar="PAYTECHUZ_KEY", show_default=False),
]
Login = Annotated[str | None, Option(help="Payme's login, where it is not Paycom.", show_default=False)]
ServiceId = Annotated[int | None, Option(help="Click's number of the service.", show_default=False)]
Account = Annotated[
    list[str] | None,
    Option(
        help="What is paid, once for each field: order_id=1, order_id=1..40, or order_id alone where --new-order gives "
        "its value.",
        show_default=False,
    ),
]
Amount = Annotated[str | None, Option(help="What it costs: 500000 (tiyin) or 5000som.", show_default=False)]
NewOrder = Annotated[
    str | None,
    Option(help="Where fresh orders come from: shop.testing:new_order, or a command.", show_default=False),
]
Status = Annotated[
    str | None,
    Option(
        help="Who knows whether an order is paid: shop.testing:status, or a command with {order_id} in it.",
        show_default=False,
    ),
]
TopUp = Annotated[bool, Option("--top-up", help="Accounts that are paid again and again, any amount.")]
Timeout = Annotated[
    float | None,
    Option(help="Seconds until a call without an answer is given up.", show_default=False),
]
Remote = Annotated[
    bool,
    Option("--remote", help="Call a shop that is not on this machine. Never one that serves customers."),
]
ConfigFile = Annotated[
    Path | None,
    Option("--config", help="The pyproject.toml that has the table tool.paytechuz.", show_default=False),
]
