"""What commands say, and how they end."""

from typing import NoReturn

import typer


def prose(text: str | None) -> str:
    """Give a docstring as a help text: each paragraph one line, for the terminal to break."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n"))


def fail(message: str) -> NoReturn:
    """Say why it cannot be done, and end with 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(1)
