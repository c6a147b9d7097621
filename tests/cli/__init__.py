"""The `paytechuz` command, as it is typed: `run` in this process, where a test wants to look inside."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from paytechuz.cli.app import app

ROOT: Final = Path(__file__).parents[2]
"""From where `python -m paytechuz` is this one."""

WITHOUT: Final = dict.fromkeys(("DATABASE_URL", "PAYME_ID", "PAYME_KEY", "CLICK_SERVICE_ID", "CLICK_MERCHANT_ID"))
"""What the machine of a test may have in its environment, and no test is about."""


def run(*arguments: str, code: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that ends with `code`; give what it wrote to the output, or where it fails all that it said."""
    ended = CliRunner().invoke(app, arguments, env={**WITHOUT, **(environment or {})})
    assert ended.exit_code == code, (ended.output, ended.exception)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.stdout if code == 0 else plain(ended.output)


def plain(text: str) -> str:
    """Give what was said in one line, without frames and colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text).split())
