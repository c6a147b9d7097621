"""What a run of experiments came to: a table for the terminal, Markdown, and one page of HTML with charts."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import median
from typing import Final

from rich.table import Table

from tests.faults.experiment import Experiment, Size, Tally

HEADINGS: Final = ("experiment", "ground", "done", "acknowledged", "lost", "doubled", "back after", "seconds", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one experiment came to: in `failure` how the promise was broken, in `skipped` why it was left out."""

    experiment: Experiment
    tally: Tally
    seconds: float
    failure: str | None = None
    skipped: str | None = None

    @property
    def verdict(self) -> str:
        """Say it in a word or two."""
        if self.failure is not None:
            return "BROKEN"
        if self.skipped is not None:
            return "skipped"
        return "control: seen" if self.experiment.control else "held"

    @property
    def recovery(self) -> str:
        """Give how long it took until payments went on: the median and the longest."""
        times = self.tally.recovered
        return f"{median(times):.1f} s, at most {max(times):.1f} s" if times else ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Give the row of the table."""
        tally = self.tally
        done = ", ".join(f"{number} {what}" for what, number in tally.did.items())
        counts = (tally.acknowledged, len(tally.lost), len(tally.doubled))
        named = (self.experiment.name, self.experiment.ground, done if self.skipped is None else self.skipped)
        return (*named, *(f"{each}" for each in counts), self.recovery, f"{self.seconds:.0f}", self.verdict)

    @property
    def line(self) -> str:
        """Tell it in a line, as soon as it is over."""
        return f"{self.verdict:<14} {self.experiment} ({self.seconds:.0f} s)"


def table(outcomes: list[Outcome]) -> Table:
    """Draw the table for the terminal."""
    drawn = Table(*HEADINGS)
    for outcome in outcomes:
        style = "red" if outcome.failure is not None else "dim" if outcome.skipped is not None else ""
        drawn.add_row(*outcome.cells, style=style)
    return drawn


def write(outcomes: list[Outcome], size: Size, folder: Path) -> Path:
    """Write the report as Markdown and as HTML; give the HTML's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown(outcomes, size), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(html(outcomes, size), encoding="utf-8")
    return page


def conditions(size: Size) -> str:
    """Say when, where and how much."""
    python, cores = platform.python_version(), os.cpu_count()
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {python}, {cores} processors, size {size}"


def totals(outcomes: list[Outcome]) -> str:
    """Sum up what counts, without the controls."""
    real = [outcome for outcome in outcomes if not outcome.experiment.control]
    acknowledged = sum(outcome.tally.acknowledged for outcome in real)
    lost = sum(len(outcome.tally.lost) for outcome in real)
    doubled = sum(len(outcome.tally.doubled) for outcome in real)
    controls = sum(outcome.verdict == "control: seen" for outcome in outcomes)
    return (
        f"{acknowledged} moves of payments acknowledged, {lost} lost, {doubled} doubled; "
        f"{controls} negative controls were seen to lose or double"
    )


def markdown(outcomes: list[Outcome], size: Size) -> str:
    """Write the report as Markdown."""
    lines = ["# Faults", "", f"{totals(outcomes)}.", "", f"{conditions(size)}.", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(outcome.cells)} |" for outcome in outcomes]
    promises = dict.fromkeys((outcome.experiment.name, outcome.experiment.promise) for outcome in outcomes)
    lines += ["", "## What is promised", "", *(f"- **{name}**: {promise}" for name, promise in promises), ""]
    for outcome in outcomes:
        if outcome.failure is not None:
            lines += [f"## Broken: {outcome.experiment}", "", "```", outcome.failure, "```", ""]
    return "\n".join(lines)


STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #8884; vertical-align: top; }
.broken { color: #c22; font-weight: 600; } .skipped { opacity: .6; }
svg { width: 100%; height: auto; } text { fill: currentColor; font-size: 12px; }
.bar { fill: #2a7; } .bad { fill: #c22; } .time { fill: #48c; }
pre { overflow: auto; padding: 1rem; background: #8881; }
"""


def html(outcomes: list[Outcome], size: Size) -> str:
    """Write the report as one page of HTML."""
    rows = "".join(
        f'<tr class="{outcome.verdict.lower().partition(":")[0]}" title="{escape(outcome.experiment.promise)}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in outcome.cells)
        + "</tr>"
        for outcome in outcomes
    )
    recovered = [(str(each.experiment), max(each.tally.recovered), "time") for each in outcomes if each.tally.recovered]
    acknowledged = [
        (str(each.experiment), float(each.tally.acknowledged), "bar") for each in outcomes if each.tally.acknowledged
    ]
    wrong = [(str(each.experiment), float(len(each.tally.wrong)), "bad") for each in outcomes if each.skipped is None]
    failures = "".join(
        f"<h2>Broken: {escape(str(each.experiment))}</h2><pre>{escape(each.failure)}</pre>"
        for each in outcomes
        if each.failure is not None
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Faults</title><style>{STYLE}</style>'
        f'<meta name="viewport" content="width=device-width"><h1>Faults</h1><p>{escape(totals(outcomes))}.</p>'
        f"<p>{escape(conditions(size))}.</p>"
        f"<table><tr>{''.join(f'<th>{each}</th>' for each in HEADINGS)}</tr>{rows}</table>{failures}"
        f"<h2>Seconds until payments went on, at most</h2>{chart(recovered, 1)}"
        f"<h2>Lost or doubled (only controls may)</h2>{chart(wrong, 0)}"
        f"<h2>Acknowledged moves of payments</h2>{chart(acknowledged, 0)}</html>\n"
    )


def chart(bars: list[tuple[str, float, str]], digits: int) -> str:
    """Draw horizontal bars, each with its name and number."""
    longest = max((number for _, number, _ in bars), default=0) or 1
    drawn = "".join(
        f'<text x="390" y="{20 * place + 14}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="400" y="{20 * place + 3}" width="{500 * number / longest:.1f}" height="14"/>'
        f'<text x="{406 + 500 * number / longest:.1f}" y="{20 * place + 14}">{number:.{digits}f}</text>'
        for place, (name, number, kind) in enumerate(bars)
    )
    return f'<svg viewBox="0 0 980 {20 * len(bars) + 4}" role="img">{drawn}</svg>'
