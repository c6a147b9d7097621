"""How the command speaks: on a terminal in colours, in a pipe or a log in plain lines of a fixed width."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from paytechuz.cli.config import Wrong

WIDTH_WITHOUT_A_TERMINAL: Final = 120
MISUSED: Final = 2
"""The exit status where a command could not do what it was asked."""


def console() -> Console:
    """Make what is printed to; where there is no terminal, it has a width that lines of a log can have."""
    made = Console()
    return made if made.is_terminal else Console(width=WIDTH_WITHOUT_A_TERMINAL)


@contextmanager
def told() -> Iterator[None]:
    """Say what cannot be done, and end."""
    try:
        yield
    except Wrong as wrong:
        Console(stderr=True, soft_wrap=True).print(f"[red]paytechuz:[/red] {escape(str(wrong))}")
        raise typer.Exit(MISUSED) from wrong
    except KeyboardInterrupt:
        sys.exit(130)


def prose(text: str | None) -> str:
    """Give a docstring as a help text: each paragraph one line, for the terminal to break."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))
