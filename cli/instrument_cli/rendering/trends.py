"""Draw trends: each figure with its picture, level and slope, then the findings, the most important first."""

from __future__ import annotations

from instrument.analysis.series import figure
from instrument.analysis.trend_words import a_bucket, valued
from instrument.analysis.trends import Finding, Trend, Trends
from instrument_cli.rendering.charts import sparkline
from instrument_cli.rendering.follow_up import hint
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import draw_title
from instrument_cli.rendering.table import Column, paragraph, table
from instrument_cli.rendering.text import plain

_PICTURE, _NARROW = 28, 60


def draw_trends(found: Trends, page: Page, most: int) -> list[Line]:
    """Trends as lines, with at most so many findings."""
    drawn = [*draw_title("metrics trends", found.period, page), line()]
    has_levels = any(trend.level is not None for trend in found.figures)
    if has_levels:
        drawn += [*_figures(found.figures, page), line()]
    for finding in found.findings[:most]:
        drawn += [*draw_finding(finding, page), line()]
    if len(found.findings) > most:
        more = f"{len(found.findings) - most} lesser findings are not shown; --top {len(found.findings)} shows all"
        drawn += [*paragraph(more, page, style="quiet"), line()]
    if found.note:
        drawn += [*paragraph(found.note, page), line()]
    for note in dict.fromkeys(trend.note for trend in found.figures if trend.note and has_levels):
        drawn += paragraph(f"{_named(found, note)}: {note}", page, style="quiet")
    return drawn if drawn[-1].width else drawn[:-1]


def _figures(trends: list[Trend], page: Page) -> list[Line]:
    width = _PICTURE if page.width > _NARROW else _PICTURE // 2
    rows = [
        [
            line(_name(trend)),
            line(_level(trend)),
            line("–" if trend.slope is None else f"{trend.slope * 100:+z.1f} %"),
            line(_interval(trend), "quiet"),
            line(sparkline(trend.values, width), "bar"),
        ]
        for trend in trends
    ]
    columns = [
        Column("last week", 9),
        Column("a week", 7),
        Column("95 % interval", 13),
        Column("", width, right=False),
    ]
    return table("Figures", columns, rows, page)


def _name(trend: Trend) -> str:
    return trend.figure if trend.group is None else f"{trend.figure} {plain(trend.group)}"


def _level(trend: Trend) -> str:
    per = a_bucket(trend.every_seconds) if figure(trend.figure).adds_up and trend.level is not None else ""
    return valued(trend.level, trend.unit) + per


def _interval(trend: Trend) -> str:
    if trend.slope_low is None or trend.slope_high is None:
        return ""
    return f"{trend.slope_low * 100:+z.1f} … {trend.slope_high * 100:+z.1f} %"


def draw_finding(finding: Finding, page: Page) -> list[Line]:
    """A finding's sentence, how sure it is, and the command behind it."""
    sure = f"How sure: {finding.basis}."
    return [
        *paragraph(finding.sentence, page, style="strong"),
        *paragraph(sure, page, 3, style="quiet"),
        *hint(finding.command, page, 3),
    ]


def _named(found: Trends, note: str) -> str:
    return ", ".join(_name(trend) for trend in found.figures if trend.note == note)
