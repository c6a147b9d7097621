"""`paytechuz serve`: a local web page that plays the provider. What it shows stands in `paytechuz.cli.page`."""

import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any

import typer
from typer import Option

from paytechuz.cli.config import Config, Wrong, read_config
from paytechuz.cli.options import ConfigFile, NewOrder, Remote, Status
from paytechuz.cli.orders import read_account, read_amount
from paytechuz.cli.page.desk import Desk, Settings, Source
from paytechuz.cli.page.server import LOOPBACK, PageServer, page_server
from paytechuz.cli.shown import told
from paytechuz_core.money import tiyin_to_som

Port = Annotated[int, Option(help="Where to listen; 0 takes any free port.", min=0, max=65535)]
Open = Annotated[bool, Option("--open/--no-open", help="Open the page in a browser.")]


def serve(
    port: Port = 0,
    *,
    open_: Open = True,
    new_order: NewOrder = None,
    status: Status = None,
    remote: Remote = False,
    config: ConfigFile = None,
) -> None:
    """Play the provider on a local web page: scenarios, single calls, a checkout.

    Endpoint, key and orders are set on the page, or taken from the table tool.paytechuz in pyproject.toml. The page is
    for this machine alone, and keys never leave this process. Ctrl-C stops it.
    """
    with told(), listening(desk_of(read_config(config), new_order, status, remote=remote), port) as server:
        url = f"http://{LOOPBACK}:{server.server_port}/"
        typer.echo(f"The page is at {url}\nCtrl-C stops it.")
        if open_:
            webbrowser.open(url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
        typer.echo("\nStopped.")


def listening(desk: Desk, port: int) -> PageServer:
    """Make the server. Raises `Wrong` where the port is taken."""
    try:
        return page_server(desk, port)
    except OSError as error:
        message = f"port {port} cannot be listened on: {error.strerror}"
        raise Wrong(message) from error


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
