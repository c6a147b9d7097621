"""The `paytechuz` command: play Payme and Click against a shop, look at its table, begin a new one.

`app` puts the commands together; each has a file of its own, named as the command. The providers' scenarios are in
`paytechuz_core.testing`: here is only what reads options and shows what happened.
"""

import sys
from typing import Final

EXTRA: Final = 'The paytechuz command needs one thing more:\n\n    pip install "paytechuz[cli]"\n'


def main() -> None:
    """Run the command; say what to install where its libraries are missing."""
    try:
        from paytechuz.cli.app import app  # noqa: PLC0415 - whoever uses a handler alone needs neither typer nor rich
    except ModuleNotFoundError as missing:
        if missing.name not in {"typer", "rich", "segno"}:
            raise
        sys.exit(EXTRA)
    app()
