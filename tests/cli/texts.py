"""All texts that the page of `paytechuz serve` may show, as they stand in English: the keys of its catalogues."""

import re
from collections.abc import Iterator
from html import unescape
from types import ModuleType

from paytechuz.cli.page import calls, checkout, desk
from paytechuz.cli.page.server import WEB
from paytechuz_core.testing import AT_ONCE, CLICK, CLICK_AT_ONCE, CLICK_EXTRA, CLICK_TOP_UP, ONE_TIME, TOP_UP
from paytechuz_core.testing import click, click_till, payme, suite, till

ELEMENT = re.compile(r"<(\w+)[^<>]*\sdata-t(?:\s[^<>]*)?>([^<>]+)</\1>")
LABEL = re.compile(r'data-t-label="([^"]+)"')
IN_SCRIPTS = re.compile(r'(?:\bt\(|\bsay\([^"\n]*?, |\bt: )"((?:[^"\\]|\\.)+)"')
EITHER = re.compile(r'\bt: [^,{}]*\? "([^"]+)" : "([^"]+)"|\bfact\([^"]*\? "([^"]+)" : "([^"]+)"')
WHOLE_SENTENCE = re.compile(r"[A-Z][^\n]{30,}\.")
SCENARIOS = (*ONE_TIME, *TOP_UP, *AT_ONCE, *CLICK, *CLICK_EXTRA, *CLICK_TOP_UP, *CLICK_AT_ONCE)


def of_the_page() -> Iterator[str]:
    """Give what stands in the page and in its scripts."""
    html = (WEB / "index.html").read_text()
    yield from (unescape(text) for _, text in ELEMENT.findall(html))
    for path in WEB.iterdir():
        if path.suffix in (".html", ".js"):
            text = path.read_text()
            yield from LABEL.findall(text)
            if path.suffix == ".js":
                yield from re.findall(r'"data-t-label": "([^"]+)"', text)
                yield from IN_SCRIPTS.findall(text)
                yield from (each for found in EITHER.findall(text) for each in found if each)


def of_the_scenarios() -> Iterator[str]:
    """Give names, abouts and explanations."""
    for scenario in SCENARIOS:
        yield from (scenario.name, scenario.about)
    for module in (suite, payme, till, click, click_till, checkout):
        yield from sentences(module)
    for actions in checkout.ACTIONS.values():
        yield from actions


def sentences(module: ModuleType) -> Iterator[str]:
    """Give a module's constants that are sentences."""
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, str) and WHOLE_SENTENCE.fullmatch(value):
            yield value


def of_the_server() -> Iterator[str]:
    """Give what the page's own server says."""
    yield from (desk.BUSY, calls.ANY, *desk.NAMES)
