"""Draw advice: what to do, what it saves a week, why, and how it may mislead."""

from __future__ import annotations

from instrument.analysis.advice import Advice, Advised
from instrument.analysis.wording import dollars, duration, percent, several
from instrument_cli.rendering.follow_up import hint, of_store
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import draw_title
from instrument_cli.rendering.table import paragraph

OVERLAP = "Savings overlap: do not add them up."


def draw_advice(found: Advised, page: Page, most: int) -> list[Line]:
    """Advice as lines, at most so many pieces."""
    drawn = [*draw_title("metrics advise", found.period, page), line()]
    for number, advice in enumerate(found.advice[:most], 1):
        drawn += [*_piece(number, advice, page), line()]
    for note in notes(found, most):
        drawn += paragraph(note, page, style="quiet" if found.advice else "")
    return drawn


def notes(found: Advised, most: int) -> list[str]:
    """What stands below the advice."""
    left = len(found.advice) - most
    more = f"{several(left, 'smaller piece')} of advice not shown; --top {len(found.advice)} shows all."
    return [
        *([more] if left > 0 else []),
        *([OVERLAP] if len(found.advice) > 1 else []),
        *([found.note] if found.note else []),
    ]


def saving(advice: Advice) -> str:
    """The saving a week, its interval and its share, in a sentence."""
    shown = [_amount(value, advice) for value in (advice.saving, advice.low, advice.high)]
    what = "time" if advice.unit == "seconds" else "cost"
    part = f", {percent(advice.share)} of all {what}" if advice.kind != "peaks" else " of waiting"
    return f"Saves {shown[0]} a week (90 %: {shown[1]} … {shown[2]}){part}."


def basis(advice: Advice) -> str:
    """How much was seen."""
    return f"Seen in {several(advice.queries, 'query', 'queries')} on {several(advice.days, 'day')}."


def _amount(value: float, advice: Advice) -> str:
    return duration(value * 1000) if advice.unit == "seconds" else dollars(value)


def _piece(number: int, advice: Advice, page: Page) -> list[Line]:
    return [
        *paragraph(f"{number}. {advice.title}", page, style="strong"),
        *paragraph(saving(advice), page, 3),
        *paragraph(f"{advice.evidence} {basis(advice)}", page, 3),
        *paragraph(f"Do: {advice.todo}", page, 3),
        *paragraph(f"Beware: {advice.misleads}", page, 3, style="quiet"),
        *paragraph(f"For example: {of_store(f'metrics show {advice.examples[0]}', page)}", page, 3, style="quiet"),
        *hint(advice.command, page),
    ]
