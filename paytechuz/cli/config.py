"""What `[tool.paytechuz]` in `pyproject.toml` says, so that a plain `paytechuz check` knows the shop.

    [tool.paytechuz]
    new-order = "shop.testing:new_order"
    status = "shop.testing:status"
    env-file = ".env"

    [tool.paytechuz.payme]
    url = "http://127.0.0.1:8000/payments/payme/webhook"
    key-env = "PAYME_KEY"

    [tool.paytechuz.click]
    url = "http://127.0.0.1:8000/payments/click/webhook"
    service-id = 12345
    secret-key-env = "CLICK_SECRET_KEY"

An option of the command line comes before the file. `NAME-env` names an environment variable, or one in `env-file`.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

GATEWAYS: Final = ("payme", "click")
COMMON: Final = frozenset({"new-order", "status", "account", "amount", "top-up", "timeout", "env-file", "remote"})
OF_A_GATEWAY: Final[Mapping[str, frozenset[str]]] = {
    "payme": frozenset({"url", "key", "key-env", "login"}),
    "click": frozenset({"url", "secret-key", "secret-key-env", "service-id", "service-id-env"}),
}


class Wrong(Exception):  # noqa: N818 - what a command says to whoever typed it
    """What was asked for cannot be done; the text says why, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says. `folder` is where it stands: the shop's own modules are found from there."""

    folder: Path
    common: Mapping[str, Any] = field(default_factory=dict)
    gateways: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def of(self, gateway: str, name: str) -> Any:
        """Give a gateway's setting, from the environment where its `NAME-env` says so; None where there is none."""
        settings = self.gateways.get(gateway, {})
        if (variable := settings.get(f"{name}-env")) is None:
            return settings.get(name)
        value = os.environ.get(variable) or self.variables.get(variable)
        if not value:
            message = f"[tool.paytechuz.{gateway}] reads {name} from {variable}, which is not set: export {variable}=…"
            raise Wrong(message)
        return value


def read_config(path: Path | None) -> Config:
    """Read the file, or `pyproject.toml` in this folder or above it; an empty configuration where there is none."""
    if path is None:
        here = Path.cwd()
        path = next(
            (each / "pyproject.toml" for each in (here, *here.parents) if (each / "pyproject.toml").is_file()), None
        )
        if path is None:
            return Config(here)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}"
        raise Wrong(message) from error
    table = told.get("tool", {}).get("paytechuz", {})
    gateways = {name: table[name] for name in GATEWAYS if name in table}
    common = {name: value for name, value in table.items() if name not in GATEWAYS}
    refuse_unknown("tool.paytechuz", common, COMMON)
    for name, settings in gateways.items():
        refuse_unknown(f"tool.paytechuz.{name}", settings, OF_A_GATEWAY[name])
    folder = path.resolve().parent
    variables = read_variables(folder / common["env-file"]) if "env-file" in common else {}
    return Config(folder, common, gateways, variables)


def refuse_unknown(table: str, settings: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse a setting that is not known: a slip of the pen would go unnoticed."""
    if unknown := sorted(set(settings) - known):
        message = f"[{table}] knows no {', '.join(unknown)}: it knows {', '.join(sorted(known))}"
        raise Wrong(message)


def read_variables(path: Path) -> dict[str, str]:
    """Read lines of NAME=value; quotes around a value are no part of it. An absent file has none."""
    if not path.is_file():
        return {}
    variables = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            text = value.strip()
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
            variables[name.strip()] = text[1:-1] if quoted else text
    return variables
