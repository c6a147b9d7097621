"""`paytechuz link`: the link to a provider's payment page, and its QR code.

On a terminal the QR code stands below the link. Anywhere else there is the link alone, so that
`open $(paytechuz link …)` works, and everything besides goes to the error output.
"""

import io
import re
import shutil
import sys
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import segno
import typer

from paytechuz.cli.config import Wrong
from paytechuz.cli.shown import told
from paytechuz_core import checkout_link, payment_link, som_to_tiyin
from paytechuz_core.money import Tiyin

ABOUT: Final = """
Make the link to a provider's payment page, and its QR code.

A link is not signed and proves nothing: the provider asks the shop before it takes money.
"""
# A blank line before each, because a line that is only broken would be joined.
PAYME: Final = """Example:

paytechuz link payme --payme-id 587f72c7 --account order_id=1 --amount 5000
"""
CLICK: Final = """Example:

paytechuz link click --service-id 123 --merchant-id 45 --order 1 --amount 5000
"""
SOM: Final = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,2})?)(?: ?som)?", re.ASCII)
FIELD: Final = re.compile(r"(?P<name>[^=]+)=(?P<value>.+)", re.DOTALL)
QUIET: Final = 4
"""How many modules around a QR code stay light, as its standard wants it."""


class Language(StrEnum):
    """Payme's page speaks these."""

    RU = "ru"
    UZ = "uz"
    EN = "en"


class Card(StrEnum):
    """What Click's page may be limited to."""

    UZCARD = "uzcard"
    HUMO = "humo"


link = typer.Typer(help=ABOUT, no_args_is_help=True)


def tiyin(amount: str) -> Tiyin:
    """Read an amount in som, exactly; the unit may stand there, as other commands want it."""
    if (read := SOM.fullmatch(amount)) is None or not Decimal(read[1]):
        message = f"{amount!r} is no amount in som: write 5000 or 5000.50"
        raise typer.BadParameter(message)
    return som_to_tiyin(read[1])


def fields(accounts: list[str]) -> dict[str, str]:
    """Read the account, each of its fields once."""
    found: dict[str, str] = {}
    for each in accounts:
        if (field := FIELD.fullmatch(each)) is None:
            message = f"{each!r} is no field with its value: write order_id=1"
            raise typer.BadParameter(message)
        if field["name"] in found:
            message = f"the field {field['name']} is there twice"
            raise typer.BadParameter(message)
        found[field["name"]] = field["value"]
    return found


def picture(file: Path | None) -> Path | None:
    """Take only what a QR code can be written as."""
    if file is not None and file.suffix.lower() not in {".svg", ".png"}:
        message = f"{file} is neither an .svg nor a .png"
        raise typer.BadParameter(message)
    return file


Amount = Annotated[str, typer.Option(metavar="SOM", help="How much, in som: 5000, or 5000.50.")]
Qr = Annotated[
    Path | None,
    typer.Option(metavar="FILE", callback=picture, help="Write the QR code there too: pay.svg, or pay.png."),
]
ReturnUrl = Annotated[str | None, typer.Option(metavar="URL", help="Where the payer goes afterwards.")]


@link.command("payme", epilog=PAYME)
def payme(
    payme_id: Annotated[str, typer.Option(envvar="PAYME_ID", help="The cash register's id, from Payme's cabinet.")],
    account: Annotated[
        list[str],
        typer.Option(metavar="FIELD=VALUE", help="What is paid for, as the cabinet names it; several are allowed."),
    ],
    amount: Amount,
    *,
    language: Annotated[Language | None, typer.Option(help="In which language the page speaks.")] = None,
    return_url: ReturnUrl = None,
    test: Annotated[bool, typer.Option("--test", help="Lead to Payme's sandbox: no money moves.")] = False,
    qr: Qr = None,
) -> None:
    """Make the link to Payme's checkout page."""
    speaks: Any = None if language is None else language.value  # no Literal to a type checker
    wanted, paid = fields(account), tiyin(amount)
    try:
        made = checkout_link(payme_id, paid, wanted, language=speaks, return_url=return_url, test=test)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    show(made, qr)


@link.command("click", epilog=CLICK)
def click(
    service_id: Annotated[int, typer.Option(envvar="CLICK_SERVICE_ID", min=1, help="From Click's cabinet.")],
    merchant_id: Annotated[int, typer.Option(envvar="CLICK_MERCHANT_ID", min=1, help="From Click's cabinet.")],
    order: Annotated[str, typer.Option(help="What is paid for; it comes back as merchant_trans_id.")],
    amount: Amount,
    card_type: Annotated[Card | None, typer.Option(help="Take only cards of this kind.")] = None,
    return_url: ReturnUrl = None,
    qr: Qr = None,
) -> None:
    """Make the link to Click's payment page. Click has no sandbox: this link takes real money."""
    card: Any = None if card_type is None else card_type.value  # no Literal to a type checker
    paid = tiyin(amount)
    try:
        made = payment_link(service_id, merchant_id, paid, order, return_url=return_url, card_type=card)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    show(made, qr)


def show(made: str, file: Path | None) -> None:
    """Say the link; on a terminal show its QR code too, and where a file is wanted write it."""
    code = segno.make(made, micro=False)  # a phone's camera reads no micro QR code
    typer.echo(made)
    if sys.stdout.isatty():
        typer.echo(in_terminal(code))
    if file is not None:
        with told():
            write(code, file)
        typer.echo(f"The QR code is in {file}", err=True)


def write(code: segno.QRCode, file: Path) -> None:
    """Write a QR code, large enough to print."""
    try:
        code.save(str(file), scale=8, border=QUIET)
    except OSError as error:
        message = f"the QR code cannot be written: {error}"
        raise Wrong(message) from error


def in_terminal(code: segno.QRCode) -> str:
    """Draw a QR code in characters, light on dark whatever the terminal's own colours are."""
    width = code.symbol_size(border=QUIET)[0]
    if width > shutil.get_terminal_size().columns:
        return f"The QR code needs a terminal {width} columns wide: widen it, or write a file with --qr pay.svg"
    drawn = io.StringIO()
    code.terminal(drawn, border=QUIET, compact=True)
    return "".join(f"\x1b[40;97m{line}\x1b[0m\n" for line in drawn.getvalue().splitlines())
