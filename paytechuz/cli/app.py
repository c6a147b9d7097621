"""The command, put together. What `paytechuz --help` shows stands here, in the order in which people need it."""

from typing import Final

import typer

from paytechuz.cli import database
from paytechuz.cli.call import call, replay
from paytechuz.cli.chaos import chaos
from paytechuz.cli.check import check
from paytechuz.cli.init import EXAMPLE, init
from paytechuz.cli.link import link
from paytechuz.cli.shown import prose

ABOUT: Final = """
Payme and Click on your own machine.

[bold]paytechuz check[/] plays the providers' own acceptance tests against a shop on localhost, written in any language,
and says of each wrong answer why it costs money and how to mend it.
"""

app = typer.Typer(
    name="paytechuz",
    help=ABOUT,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables would show keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def paytechuz() -> None:
    """Take no options of its own."""


for command in (check, call, replay, chaos):
    app.command(help=prose(command.__doc__))(command)
app.command(help=prose(init.__doc__), epilog=EXAMPLE)(init)
app.add_typer(link, name="link")
for looking, example in database.COMMANDS.items():
    app.command(help=prose(looking.__doc__), epilog=example)(looking)
