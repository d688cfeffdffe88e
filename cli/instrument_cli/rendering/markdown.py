"""A report, or advice, as Markdown, for a pull request, an issue or a chat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo

from instrument.analysis.advice import Advised
from instrument.analysis.results import Limits, Report
from instrument.analysis.wording import span
from instrument_cli.rendering.advice import basis, notes, saving
from instrument_cli.rendering.report_sections import headline, losses, period_text, tables
from instrument_cli.rendering.text import plain

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def markdown_report(report: Report, limits: Limits, zone: tzinfo) -> str:
    """A report as headings and tables."""
    lines = ["## Report", "", _escaped(period_text(report, zone)), ""]
    lines += [f"> {_escaped(plain(notice))}\n" for notice in report.notices]
    figures = headline(report, limits)
    lines += _rows([label for _, label in figures], [[value for value, _ in figures]])
    for table in tables(report, limits):
        lines += ["", f"### {_escaped(table.title)}", ""]
        rows = [
            [f"**{_escaped(cell)}**" if place in table.marked else _escaped(cell) for cell in row]
            for place, row in enumerate(table.rows)
        ]
        lines += _rows([_escaped(head) for head in table.heads], rows)
    return "\n".join([*lines, "", f"Data {losses(report)}.", ""])


def markdown_advice(found: Advised, zone: tzinfo, most: int) -> str:
    """Advice as a numbered list under a heading, at most so many pieces."""
    covered = span(found.period.start.astimezone(zone), found.period.end.astimezone(zone))
    lines = ["## Advice", "", _escaped(covered), ""]
    for number, advice in enumerate(found.advice[:most], 1):
        details = [
            _escaped(saving(advice)),
            _escaped(f"{advice.evidence} {basis(advice)}"),
            f"Do: {_escaped(advice.todo)}",
            f"Beware: {_escaped(advice.misleads)}",
            "Examples: " + ", ".join(f"`{each}`" for each in advice.examples),
            f"`` {plain(advice.command)} ``",
        ]
        lines += [f"{number}. **{_escaped(plain(advice.title))}**", *(f"   - {plain(each)}" for each in details), ""]
    return "\n".join([*lines, *(_escaped(note) for note in notes(found, most)), ""])


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    alignment = ["---", *("--:" for _ in heads[1:])] if heads and not heads[0] else ["--:" for _ in heads]
    return [f"| {' | '.join(row)} |" for row in (heads, alignment, *rows)]


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
