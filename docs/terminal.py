"""The picture of a terminal on the page about `paytechuz check`: `python docs/terminal.py`.

A shop that runs its paid hook twice is served and checked, and what the command prints is drawn. The drawing brings no
font of its own and asks for none.
"""  # noqa: INP001 - a program beside the pages that it illustrates

import re
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from paytechuz.cli import check  # noqa: E402 - of this very repository
from paytechuz.cli.app import app  # noqa: E402
from tests.cli import conftest  # noqa: E402
from tests.cli.other_shop import KEY, HookTwice, served  # noqa: E402

PICTURE: Final = ROOT / "docs/pictures/check.svg"
FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Draw it."""
    console = Console(record=True, width=110, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115, PTH123 - drawn, not shown
    check.console = lambda: console  # type: ignore[assignment]
    console.print(Text("$ paytechuz check", style="bold"))
    with served(HookTwice()) as server:
        conftest.SERVED[:] = [server]
        command = ["check", f"{server.url}/payme", "--gateway", "payme", "--key", KEY]
        placing = ["--new-order", "tests.cli.conftest:new_order", "--status", "tests.cli.conftest:status"]
        CliRunner().invoke(app, [*command, *placing])
    drawn = console.export_svg(title="paytechuz check", unique_id="check")
    plain = FONTS.sub("", drawn).replace("Fira Code", "ui-monospace")
    PICTURE.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", plain))


if __name__ == "__main__":
    main()
