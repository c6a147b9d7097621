"""All texts that the page of `paytechuz serve` may show, as they stand in English: the keys of its texts.json."""

import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from types import ModuleType
from typing import Any

from paytechuz.cli.page import calls, checkout, desk
from paytechuz.cli.page.server import WEB
from paytechuz_core.testing import (
    AT_ONCE,
    CLICK,
    CLICK_AT_ONCE,
    CLICK_EXTRA,
    CLICK_TOP_UP,
    ONE_TIME,
    TOP_UP,
    Scenario,
    Step,
    click,
    click_till,
    payme,
    suite,
    till,
)

ELEMENT = re.compile(r"<(\w+)[^<>]*\sdata-t(?:\s[^<>]*)?>([^<>]+)</\1>")
LABEL = re.compile(r'data-t-label(?:=|": )"([^"]+)"')
SAID = re.compile(r'(?:\bt\(|\bt: |\bsay\((?:\$\("[\w-]+"\)|\w+), )"((?:[^"\\]|\\.)+)"')
SENTENCE = re.compile(r"[A-Z][^\n]{30,}[.?]")
SCENARIOS: tuple[Scenario[Any], ...] = (
    *ONE_TIME,
    *TOP_UP,
    *AT_ONCE,
    *CLICK,
    *CLICK_EXTRA,
    *CLICK_TOP_UP,
    *CLICK_AT_ONCE,
)

NAMES_AND_NUMBERS = re.compile(
    r"\w+Transaction|GetStatement|Prepare|Complete|[\d.+-]+|заказ № 42|buyurtma ўқғҳ|注文 42|42 & 43 .*|🧾"
)
"""What is the same in every language."""

PATTERNS = (
    (re.compile(r"(\S+) (empty|no number|tiyin)"), "{{value}} {1}"),
    (re.compile(r"(scenario|without|amount|action|error|prepare id|id) (.+)"), "{0} {{value}}"),
)
"""As texts.js has them: what is said of many values."""


def of_the_page() -> Iterator[str]:
    """Give what stands in the page and in its scripts."""
    html = (WEB / "index.html").read_text()
    yield from (unescape(text) for _, text in ELEMENT.findall(html))
    yield from LABEL.findall(html)
    for path in WEB.glob("*.js"):
        script = path.read_text()
        yield from LABEL.findall(script)
        yield from SAID.findall(script)


def of_the_scenarios() -> Iterator[str]:
    """Give names, abouts and explanations."""
    for scenario in SCENARIOS:
        yield from (scenario.name, scenario.about)
    for module in (suite, payme, till, click, click_till, checkout):
        yield from sentences(module)


def of_the_server() -> Iterator[str]:
    """Give what the page's own server says."""
    for actions in checkout.ACTIONS.values():
        yield from actions
    yield from (desk.BUSY, desk.NO_LINK, desk.NEW_ORDER, desk.AGAIN, desk.EDITED, desk.SAME, desk.OTHER)
    yield from (checkout.NO_LINK, calls.ANY, desk.NO_URL, desk.NO_KEY, desk.NO_SERVICE, desk.NO_ORDERS)


def of_steps(steps: Iterable[Step]) -> Iterator[str]:
    """Give how calls are named, and what the shop is expected to say."""
    for step in steps:
        yield step.call
        if "status" in step.call or "balance" in step.call:
            yield step.expected


def sentences(module: ModuleType) -> Iterator[str]:
    """Give a module's constants that are sentences."""
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, str) and SENTENCE.fullmatch(value):
            yield value


def lacking(text: str, known: Mapping[str, object]) -> Iterator[str]:
    """Give what of a text has no translation, as texts.js looks for one: whole, by its parts, by a pattern."""
    if text in known or NAMES_AND_NUMBERS.fullmatch(text):
        return
    if ", " in text:
        for part in text.split(", "):
            yield from lacking(part, known)
        return
    for pattern, named in PATTERNS:
        if (found := pattern.fullmatch(text)) and named.format(*found.groups()) in known:
            return
    yield text
