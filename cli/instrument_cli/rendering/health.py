"""Draw what the doctor found."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.analysis.health import Finding, State
from instrument.analysis.wording import several
from instrument_cli.rendering.line import Line, Style, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import fact

_STYLES: dict[State, Style] = {"good": "", "note": "slow", "bad": "bad"}
_MARKS: dict[State, str] = {"good": "ok", "note": "note", "bad": "wrong"}


def draw_findings(findings: Sequence[Finding], page: Page) -> list[Line]:
    """The verdict, then a line for each finding, with its advice."""
    wrong = sum(finding.state == "bad" for finding in findings)
    verdict = line("healthy", "good") if not wrong else line(f"{several(wrong, 'thing')} wrong", "bad")
    drawn = [line(" metrics doctor  ", "title") + verdict, line()]
    last = ""
    for finding in findings:
        message = finding.message if finding.state == "good" else f"{_MARKS[finding.state]}: {finding.message}"
        drawn += fact(finding.name if finding.name != last else "", message, page, _STYLES[finding.state])
        drawn += fact("", f"→ {finding.advice}" if finding.advice else "", page)
        last = finding.name
    return drawn
