"""Draw what was unusual: stretches, the latest first, and single queries, the least likely first."""

from __future__ import annotations

from instrument.analysis.outliers import Outlier
from instrument.analysis.unusual import Anomalies
from instrument.analysis.wording import moment
from instrument_cli.rendering.follow_up import hint
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import draw_title
from instrument_cli.rendering.table import paragraph
from instrument_cli.rendering.trends import draw_finding


def draw_anomalies(found: Anomalies, page: Page, most: int) -> list[Line]:
    """Anomalies as lines, with at most so many stretches."""
    drawn = [*draw_title("metrics anomalies", found.period, page), line()]
    if found.stretches:
        drawn += [line(" Unusual stretches", "title"), line()]
        for finding in found.stretches[:most]:
            drawn += [*draw_finding(finding, page), line()]
        if len(found.stretches) > most:
            more = f"{len(found.stretches) - most} earlier ones are not shown; --top {len(found.stretches)} shows all"
            drawn += [*paragraph(more, page, style="quiet"), line()]
    if found.queries:
        drawn += [line(" Unusual queries", "title"), line()]
        for one in found.queries:
            drawn += [*_query(one, page), line()]
        rare = f"Chance alone shows about {found.budget:g} such a week, at most."
        drawn += [*paragraph(rare, page, style="quiet"), line()]
    if found.note:
        drawn += paragraph(found.note, page)
    return drawn if drawn[-1].width else drawn[:-1]


def _query(one: Outlier, page: Page) -> list[Line]:
    begun = moment(one.start_time).astimezone(page.zone)
    when = f"{begun.day} {begun:%b %H:%M}: "
    return [*paragraph(when + one.sentence, page, style="strong"), *hint(one.command, page, 3)]
