"""Draw what `metrics capacity` found: sentences, then what they assume."""

from __future__ import annotations

from instrument.analysis.wording import several
from instrument.analysis.workers import Capacity
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import paragraph


def draw_capacity(found: Capacity, page: Page) -> list[Line]:
    """The answer as lines."""
    drawn = [line(" metrics capacity", "title"), line()]
    for sentence in found.sentences:
        drawn += paragraph(sentence, page)
    replayed = f"Replayed: {several(found.queries, 'query', 'queries')} of {found.days:.1f} days."
    drawn += [line(), *paragraph(replayed, page, style="quiet")]
    for assumption in found.assumptions:
        drawn += paragraph(f"Assumed: {assumption}.", page, style="quiet")
    return drawn
