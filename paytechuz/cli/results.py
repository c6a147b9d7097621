"""What a check found: scenario by scenario, defect by defect; and written for people, CI servers and programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from xml.etree import ElementTree as ET

from paytechuz.cli.endpoint import Played
from paytechuz_core.testing import Scenario, Step
from paytechuz_core.testing.defects import defect_of


class Verdict(StrEnum):
    """How an answer, or a scenario, is."""

    OK = "ok"
    WRONG = "WRONG"
    SKIPPED = "skipped"

    @classmethod
    def of(cls, step: Step) -> "Verdict":
        """Give a step's."""
        return cls.SKIPPED if step.skipped else cls.OK if step.ok else cls.WRONG


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario that was played against an endpoint."""

    gateway: str
    url: str
    scenario: Scenario[Any]
    played: Sequence[Played]
    seconds: float

    @property
    def wrong(self) -> list[Played]:
        """What went wrong."""
        return [each for each in self.played if not each.step.ok]

    @property
    def right(self) -> int:
        """How many answers were right."""
        return sum(each.step.ok and not each.step.skipped for each in self.played)

    @property
    def skipped(self) -> int:
        """How many could not be judged."""
        return sum(each.step.skipped for each in self.played)

    @property
    def verdict(self) -> Verdict:
        """Say how it went: of a scenario that lacked an order, that it was not played to its end."""
        if self.wrong:
            return Verdict.WRONG
        lacking = any(each.step.skipped and not each.step.why for each in self.played)
        return Verdict.SKIPPED if lacking or not self.right else Verdict.OK


@dataclass(slots=True)
class Defect:
    """One thing that is wrong, wherever it was seen; `costs` and `mend` are sentences."""

    gateway: str
    name: str
    costs: str
    mend: str
    steps: list[Step] = field(default_factory=list)


def defects(results: Sequence[Result]) -> list[Defect]:
    """Name what is wrong, the most frequent last, so that a terminal ends with it."""
    found: dict[tuple[str, str], Defect] = {}
    for result in results:
        for each in result.wrong:
            name = defect_of(each.step, each.exchanges)
            costs, _, mend = each.step.why.partition(": ")
            defect = found.setdefault((result.gateway, name), Defect(result.gateway, name, costs, sentence(mend)))
            defect.steps.append(each.step)
    return sorted(found.values(), key=lambda defect: len(defect.steps))


def sentence(text: str) -> str:
    """Begin with a capital."""
    return text[:1].upper() + text[1:]


def summary(results: Sequence[Result]) -> str:
    """Say in one line how it went."""
    right, wrong = sum(each.right for each in results), sum(len(each.wrong) for each in results)
    skipped = [each for each in results if each.verdict is Verdict.SKIPPED]
    unseen = sum(each.skipped for each in results)
    found = len(defects(results))
    parts = [f"{right} of {right + wrong} answers right in {len(results)} scenarios"]
    if found:
        parts.append(f"{found} {'defect' if found == 1 else 'defects'}")
    if skipped:
        parts.append(
            f"{len(skipped)} scenarios not played to their end, for lack of orders: give --new-order, or a longer list"
        )
    elif unseen:
        parts.append(f"nobody looked {unseen} times whether an order is paid: give --status")
    return "; ".join(parts) + "."


# For CI servers


def junit(results: Sequence[Result]) -> str:
    """Write JUnit's XML: a suite for each endpoint, a case for each scenario."""
    suites = ET.Element("testsuites", name="paytechuz check")
    for gateway in dict.fromkeys(each.gateway for each in results):
        cases = [each for each in results if each.gateway == gateway]
        suite = ET.SubElement(
            suites, "testsuite", name=gateway, tests=str(len(cases)),
            failures=str(sum(each.verdict is Verdict.WRONG for each in cases)),
            skipped=str(sum(each.verdict is Verdict.SKIPPED for each in cases)),
            time=f"{sum(each.seconds for each in cases):.3f}",
        )  # fmt: skip
        for each in cases:
            names = {"classname": f"paytechuz.{gateway}", "name": each.scenario.name, "time": f"{each.seconds:.3f}"}
            case = ET.SubElement(suite, "testcase", names)
            if each.wrong:
                first = each.wrong[0]
                failure = ET.SubElement(case, "failure", message=defect_of(first.step, first.exchanges))
                failure.text = "\n\n".join(map(told, (wrong.step for wrong in each.wrong)))
            elif each.verdict is Verdict.SKIPPED:
                ET.SubElement(case, "skipped", message=next(iter(lacks(each)), "nobody looked"))
    return plain_xml(ET.tostring(suites, encoding="unicode", xml_declaration=True))


def plain_xml(text: str) -> str:
    """Leave out what XML cannot hold at all."""
    return "".join(each for each in text if each in "\t\n\r" or (each >= " " and not "\ud800" <= each <= "\udfff"))


def told(step: Step) -> str:
    """Tell a wrong step in a few lines."""
    return f"{step.call}\nexpected: {step.expected}\ngot: {step.got}\nwhy: {step.why}"


def lacks(result: Result) -> Iterator[str]:
    """Say what a scenario lacked."""
    return (each.step.got for each in result.played if each.step.skipped)


# For programs


def json_text(results: Sequence[Result]) -> str:
    """Write everything as JSON."""
    return json.dumps(
        {
            "paytechuz": own_version(),
            "ok": all(each.verdict is not Verdict.WRONG for each in results),
            "summary": summary(results),
            "defects": [{**asdict(each), "steps": len(each.steps)} for each in defects(results)],
            "scenarios": [
                {
                    "gateway": each.gateway,
                    "url": each.url,
                    "name": each.scenario.name,
                    "about": each.scenario.about,
                    "verdict": each.verdict,
                    "seconds": round(each.seconds, 3),
                    "steps": [
                        {
                            "call": one.step.call,
                            "expected": one.step.expected,
                            "got": one.step.got,
                            "verdict": Verdict.of(one.step),
                            "why": one.step.why,
                            "exchanges": [asdict(exchange) for exchange in one.exchanges],
                        }
                        for one in each.played
                    ],
                }
                for each in results
            ],
        },
        indent=1,
    )


def own_version() -> str | None:
    """Give the version that wrote the report, None where this runs from a checkout that nobody installed."""
    try:
        return version("paytechuz")
    except PackageNotFoundError:
        return None


# For people

STYLE: Final = """
:root{color-scheme:light dark;--ok:#18794e;--bad:#c62a2f;--skip:#946800;--line:#8884}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem}
.ok{color:var(--ok)}.WRONG{color:var(--bad)}.skipped{color:var(--skip)}
@media(prefers-color-scheme:dark){:root{--ok:#4cc38a;--bad:#ff8589;--skip:#f1a10d}}
details{border-top:1px solid var(--line);padding:.5rem 0}summary{cursor:pointer}
article{border-left:4px solid var(--bad);padding:.1rem 1rem;margin:1rem 0}
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}
td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-top:1px solid var(--line)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0;font-size:.85rem}
"""


def html(results: Sequence[Result]) -> str:
    """Write a page of its own that needs nothing from anywhere: defects first, then all that was said."""
    lines = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>paytechuz check</title><style>{STYLE}</style><h1>paytechuz check</h1>",
        f"<p>{text(summary(results))}</p>",
    ]
    found = defects(results)
    if found:
        lines.append("<h2>Defects</h2>")
    for defect in reversed(found):
        seen = "".join(f"<li>{text(where)}" for where in map(in_short, defect.steps))
        lines.append(
            f"<article><h3>{text(sentence(defect.name))}</h3><p><b>Why it costs money.</b> {text(defect.costs)}.</p>"
            f"<p><b>How to mend it.</b> {text(defect.mend)}</p><ul>{seen}</ul></article>"
        )
    for gateway, url in dict.fromkeys((each.gateway, each.url) for each in results):
        lines.append(f"<h2>{text(gateway.capitalize())} calls {text(url)}</h2>")
        lines += [section(each) for each in results if (each.gateway, each.url) == (gateway, url)]
    return "\n".join(lines) + "\n"


def in_short(step: Step) -> str:
    """Tell a wrong step in a line."""
    return f"{step.scenario}: {step.call}: expected {step.expected}, got {step.got}"


def section(result: Result) -> str:
    """Write a scenario."""
    rows = "".join(
        f"<tr><td>{text(each.step.call)}{''.join(map(said, each.exchanges))}<td>{text(each.step.expected)}"
        f"<td>{text(each.step.got)}<td class={Verdict.of(each.step)}>{Verdict.of(each.step)}"
        for each in result.played
    )
    shown = " open" if result.wrong else ""
    return (
        f"<details{shown}><summary><b class={result.verdict}>{result.verdict}</b> {text(result.scenario.name)}: "
        f"{text(result.scenario.about)}</summary>"
        f"<table><tr><th>call<th>expected<th>got<th>verdict{rows}</table></details>"
    )


def said(exchange: Any) -> str:
    """Write what was asked and answered."""
    return (
        f"<details><summary>{exchange.took} ms</summary><pre>{text(exchange.asked)}</pre>"
        f"<pre>HTTP {exchange.status} {text(exchange.answer)}</pre></details>"
    )


def text(given: str) -> str:
    """Write a text that an endpoint may have made up: it stays a text, of characters that a file can hold."""
    return escape(given.encode(errors="backslashreplace").decode())
