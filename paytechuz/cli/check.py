"""`paytechuz check`: the providers' acceptance tests against a shop on this machine, written in any language.

Every scenario of `paytechuz_core.testing` is played over HTTP, every write of Payme's twice. What comes back is shown
as a table, and each defect with what it costs and how to mend it.
"""

import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer import Option

from paytechuz.cli.config import Config, Wrong, read_config
from paytechuz.cli.endpoint import Endpoint, Playing, endpoints
from paytechuz.cli.options import (
    Account,
    Amount,
    ConfigFile,
    Gateway,
    Key,
    Login,
    NewOrder,
    Remote,
    ServiceId,
    Status,
    Timeout,
    TopUp,
    Url,
)
from paytechuz.cli.orders import Customer, customer
from paytechuz.cli.results import Result, Verdict, defects, html, in_short, json_text, junit, lacks, summary
from paytechuz.cli.shown import console, told
from paytechuz_core.testing import Scenario, Till
from paytechuz_core.testing.click import NOT_SIGNED
from paytechuz_core.testing.payme import NOT_ALLOWED
from paytechuz_core.testing.suite import Order

EXAMPLES: Final = 3
"""How many of the places where a defect was seen are shown."""

COLOURS: Final = {Verdict.OK: "green", Verdict.WRONG: "red", Verdict.SKIPPED: "yellow"}

WRONG_KEY: Final = "The shop refuses this key: is it the one that it has, and is --login?"
WRONG_SIGNATURE: Final = "The shop refuses this signature: is the key the one that it has, and is --service-id?"

Only = Annotated[str | None, Option(help="Only scenarios whose name has this in it.", show_default=False)]
Every = Annotated[bool, Option("--all", help="Show every call, not only what is wrong.")]
JunitFile = Annotated[Path | None, Option("--junit", help="Write a report that CI servers read.", show_default=False)]
HtmlFile = Annotated[Path | None, Option("--html", help="Write a page with all that was said.", show_default=False)]
JsonFile = Annotated[
    Path | None,
    Option("--json", help="Write the same for programs; - is standard output.", show_default=False),
]
Record = Annotated[Path | None, Option(help="Keep what was said, for `paytechuz replay`.", show_default=False)]


def check(
    url: Url = None,
    *,
    gateway: Gateway = None,
    key: Key = None,
    login: Login = None,
    service_id: ServiceId = None,
    account: Account = None,
    amount: Amount = None,
    new_order: NewOrder = None,
    status: Status = None,
    top_up: TopUp = False,
    only: Only = None,
    every: Every = False,
    junit_file: JunitFile = None,
    html_file: HtmlFile = None,
    json_file: JsonFile = None,
    record: Record = None,
    timeout: Timeout = None,
    remote: Remote = False,
    config_file: ConfigFile = None,
) -> None:
    """Play the providers' acceptance tests against your shop.

    [bold]paytechuz check http://127.0.0.1:8000/payments/payme/webhook --gateway payme --key KEY
    --account order_id=1..40 --amount 500000[/bold]

    Payme's sandbox and Click's test tool, and what they leave out and what costs money: every write twice, many at
    once, calls that come too late, forged or broken. Each scenario needs orders that await payment: list them, or let
    --new-order place them. Say with --status who knows whether an order is paid; without it nobody looks whether your
    hook ran twice.

    Written down once, as the table tool.paytechuz in pyproject.toml, `paytechuz check` needs no options. The exit
    status is 0 where all is right, 1 where a defect was found, 2 where it could not begin.
    """
    with told():
        config = read_config(config_file)
        given: dict[str, Any] = {"key": key, "login": login, "service_id": service_id, "timeout": timeout}
        asked = endpoints(config, gateway, url, remote=remote, **given)
        shop = shop_of(config, account, amount, new_order, status, top_up=top_up)
        out = Console(stderr=True) if json_file == Path("-") else console()
        results = [result for each in asked for result in played(each, shop, only, out, top_up=shop.top_up)]
        if not results:
            message = f"no scenario has {only!r} in its name"
            raise Wrong(message)
        write(results, {junit_file: junit, html_file: html, json_file: json_text, record: recording})
    show(results, out, every=every)
    raise typer.Exit(any(result.verdict is Verdict.WRONG for result in results))


def shop_of(
    config: Config,
    account: Sequence[str] | None,
    amount: str | None,
    new_order: str | None,
    status: str | None,
    *,
    top_up: bool,
) -> Customer:
    """Give the shop as the scenarios see it, by the command line and the file."""
    common = config.common
    listed = common.get("account", [])
    return customer(
        new_order or (None if account and all("=" in each for each in account) else common.get("new-order")),
        status or common.get("status"),
        account or ([listed] if isinstance(listed, str) else listed),
        amount or (str(common["amount"]) if "amount" in common else None),
        config.folder,
        top_up=top_up or bool(common.get("top-up")),
    )


def played(endpoint: Endpoint, shop: Customer, only: str | None, out: Console, *, top_up: bool) -> list[Result]:
    """Play one provider's scenarios, with a progress bar where there is a terminal and a line for each where not."""
    playing = endpoint.till()
    word = (only or "").lower()
    scenarios = [each for each in endpoint.scenarios(top_up=top_up) if word in each.name.lower()]
    if not scenarios:
        return []
    reach(endpoint.url)
    if (hint := refused(playing)) is not None:
        out.print(f"[yellow]{escape(hint)}[/yellow]")
    out.print(f"{endpoint.gateway.capitalize()} calls {escape(endpoint.url)}")
    results = []
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=out, disable=not out.is_terminal or out.record, transient=True) as progress:
        task = progress.add_task("", total=len(scenarios))
        for scenario in scenarios:
            progress.update(task, description=scenario.name)
            results.append(result := play(playing, scenario, shop))
            progress.advance(task)
            if not out.is_terminal:
                out.print(f"  {result.verdict:7} {escape(scenario.name)}", highlight=False)
    return results


def play(playing: Playing, scenario: Scenario[Any], shop: Customer) -> Result:
    """Play one scenario to its end."""
    started = time.perf_counter()
    steps = tuple(playing.play(scenario, shop))
    return Result(playing.endpoint.gateway, playing.endpoint.url, scenario, steps, time.perf_counter() - started)


def reach(url: str) -> None:
    """See that somebody listens, before each scenario says that nobody does."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=10).close()
    except OSError as error:
        message = f"nobody listens at {parts.hostname} port {port} ({error.strerror or error}): start the shop first"
        raise Wrong(message) from error


def refused(playing: Playing) -> str | None:
    """Tell whether the shop knows no such key, in which case most of what follows is wrong for that reason."""
    till = playing.till
    try:
        if isinstance(till, Till):
            code = till.check(till.new_id()).code
            return WRONG_KEY if code == NOT_ALLOWED else None
        error = till.attempt(Order({"order": "no-such-order"}, 100_000)).prepare().error
    except OSError:
        return None
    return WRONG_SIGNATURE if error == NOT_SIGNED else None


def recording(results: Sequence[Result]) -> str:
    """Give all that was said, an exchange a line."""
    return "".join(f"{exchange}\n" for result in results for each in result.played for exchange in each.exchanges)


def write(results: Sequence[Result], reports: dict[Path | None, Callable[[Sequence[Result]], str]]) -> None:
    """Write the reports that were asked for."""
    for path, make in reports.items():
        if path == Path("-"):
            typer.echo(make(results))
        elif path is not None:
            try:
                path.write_text(make(results), encoding="utf-8")
            except OSError as error:
                message = f"{path} cannot be written: {error.strerror}"
                raise Wrong(message) from error


def show(results: Sequence[Result], out: Console, *, every: bool) -> None:
    """Show the table, the defects, and in one line how it went."""
    table = Table("scenario", "call", "expected", "got", "verdict", title="What the providers saw")
    for result in results:
        shown = [each.step for each in result.played if every or not each.step.ok]
        name, colour = f"{result.gateway}: {result.scenario.name}", COLOURS[result.verdict]
        if not shown:
            table.add_row(escape(name), "", "", escape(in_sum(result)), f"[{colour}]{result.verdict}[/]")
        for step in shown:
            verdict = Verdict.of(step)
            cells = (name, step.call, step.expected, step.got)
            table.add_row(*map(escape, cells), f"[{COLOURS[verdict]}]{verdict}[/]")
            name = ""
        if len(shown) > 1:
            table.add_section()
    out.print(table)
    for defect in defects(results):
        out.print(f"\n[bold red]{escape(defect.name)}[/]", highlight=False)
        grid = Table.grid(padding=(0, 2))
        grid.add_row("  [bold]Why it costs money[/]", f"{escape(defect.costs)}.")
        grid.add_row("  [bold]How to mend it[/]", escape(defect.mend))
        for index, step in enumerate(defect.steps[:EXAMPLES]):
            grid.add_row("" if index else "  [bold]Seen in[/]", escape(in_short(step)))
        if (more := len(defect.steps) - EXAMPLES) > 0:
            grid.add_row("", f"and {more} times more")
        out.print(grid, highlight=False)
    out.print(f"\n{summary(results)}", highlight=False)


def in_sum(result: Result) -> str:
    """Say of a scenario without fault how much of it was seen."""
    if result.verdict is Verdict.SKIPPED:
        return f"{result.right} right, then: {next(lacks(result))}"
    return f"{result.right} right" + (f", {result.skipped} not looked at" if result.skipped else "")
