"""`paytechuz serve`: a local web page that plays the provider. What it shows stands in `paytechuz.cli.page`."""

import webbrowser
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from paytechuz.cli.config import Config, Wrong, read_config
from paytechuz.cli.orders import read_account, read_amount
from paytechuz.cli.page.desk import Desk, Settings, Source
from paytechuz.cli.page.server import LOOPBACK, page_server
from paytechuz_core.money import tiyin_to_som

EXAMPLE: Final = """Example:

paytechuz serve --new-order shop.testing:new_order
"""


def serve(
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes any free port.", min=0, max=65535)] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,  # noqa: FBT002 - typer's way
    new_order: Annotated[
        str | None, typer.Option(help="A function (shop.testing:new_order) or a command that places an order.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="A function or a command that says what the shop believes of an order.")
    ] = None,
    remote: Annotated[bool, typer.Option(help="Let the page call a test server that is not on this machine.")] = False,  # noqa: FBT002 - typer's way
    config: Annotated[Path | None, typer.Option(help="Another file than pyproject.toml.", dir_okay=False)] = None,
) -> None:
    """Play the provider on a local web page: scenarios, single calls, a checkout.

    Endpoint, key and orders are set on the page, or taken from [tool.paytechuz] in pyproject.toml. The page is for this
    machine alone, and keys never leave this process. Ctrl-C stops it.
    """
    try:
        desk = desk_of(read_config(config), new_order, status, remote=remote)
        server = page_server(desk, port)
    except Wrong as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from wrong
    except OSError as error:
        typer.echo(f"port {port} cannot be listened on: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    with server:
        url = f"http://{LOOPBACK}:{server.server_port}/"
        typer.echo(f"The page is at {url}\nCtrl-C stops it.")
        if open_:
            webbrowser.open(url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("\nStopped.")


def desk_of(config: Config, new_order: str | None, status: str | None, *, remote: bool) -> Desk:
    """Lay the desk out as pyproject.toml says; an option comes before it. Raises `Wrong`."""
    common = config.common
    source = Source(new_order or common.get("new-order"), status or common.get("status"))
    gateway = next(iter(config.gateways), "payme")
    settings = Settings(gateway, accounts(common), amount(common), bool(common.get("top-up")))
    return Desk(config, source, settings, remote=remote)


def accounts(common: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the account's fields, each with its values as they are written."""
    given = common.get("account", [])
    written = [given] if isinstance(given, str) else [str(each) for each in given]
    return [(name, each.partition("=")[2]) for each in written for name in read_account([each])]


def amount(common: Mapping[str, Any]) -> str:
    """Give the price in som, nothing where there is none."""
    given = common.get("amount")
    som = Decimal(0) if given is None else tiyin_to_som(read_amount(str(given)))
    return str(som) if som else ""
