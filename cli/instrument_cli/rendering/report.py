"""Draw a report: the answer first, then a chart or an aligned table for each of its sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instrument.analysis.results import DataFigures, Limits, Period, Report
from instrument.analysis.wording import count, duration, hours, percent, several, span, threshold
from instrument.records import HIGH_COMPLEXITY
from instrument_cli.rendering.follow_up import behind, hint
from instrument_cli.rendering.judging import health, speed
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report_charts import draw_activity, draw_response_times
from instrument_cli.rendering.report_tables import (
    draw_calls,
    draw_entities,
    draw_groups,
    draw_metrics,
    draw_models,
)
from instrument_cli.rendering.table import LABEL, flowing, paragraph
from instrument_cli.rendering.text import plain, shortened

MOST_NAMES = 12
"""Kinds of failure that a terminal gets."""

FEW_QUERIES = 20
"""Up to so many queries are listed one by one instead of being drawn as charts."""


def draw_report(report: Report, limits: Limits, page: Page, listed: Sequence[Line] = ()) -> list[Line]:
    """A report as lines; `listed` are its queries, drawn one by one, which stand in for the charts."""
    few = bool(listed)
    sections = [
        draw_title("metrics report", report.period, page),
        _notices(report.notices, page),
        _headline(report, limits, page),
        list(listed) if few else draw_activity(report, page),
        draw_groups("Agents", report.agents, "agent", report, page),
        _breakdown(report, page),
        [*draw_response_times(report, limits, page, chart=not few), *_slow(report, page)],
        draw_calls("Tools", report.tools, "tool", report, page),
        draw_calls("GraphQL", report.graphql, "operation", report, page),
        draw_models(report.models, page),
        draw_metrics(report.metrics, page),
        draw_entities(report, page),
        [*_complexity(report, page), *_failures(report, page), *_data(report, page)],
    ]
    return [each for section in sections if section for each in [*section, line()]][:-1]


def draw_title(command: str, period: Period, page: Page) -> list[Line]:
    """The command and the period, in the page's time zone; on two lines where one is too short."""
    covered = span(period.start.astimezone(page.zone), period.end.astimezone(page.zone))
    if period.end == period.generated_at:
        covered = f"last {hours(period.hours)} · {covered}"
    left = page.width - 2 - len(command) - 2 - len(covered) - 1
    if page.bounded and left < 1:
        parts = [covered] if len(covered) < page.width - 1 else covered.split(" · ")
        return [line(f" {command}", "title"), *(each for part in parts for each in paragraph(part, page))]
    return [joined([line(f" {command}", "title"), line("─" * max(left, 2), "quiet"), line(covered)], " ")]


def _notices(notices: Sequence[str], page: Page) -> list[Line]:
    return [part for each in notices for part in paragraph(each, page, style="slow")]


def _headline(report: Report, limits: Limits, page: Page) -> list[Line]:
    queries, times = report.queries, report.response_times
    style = health(queries.success_rate)
    cancelled: list[tuple[str, str, Style]] = (
        [(count(queries.cancelled), "cancelled", "strong")] if queries.cancelled else []
    )
    shown: list[tuple[str, str, Style]] = [
        (count(queries.total), "query" if queries.total == 1 else "queries", "strong"),
        (percent(queries.success_rate), "succeeded", style),
        (count(queries.failed), "failed", style if queries.failed else "good"),
        *cancelled,
        (duration(times.p50_ms), "median", "strong"),
        (duration(times.p95_ms), "p95", speed(times.p95_ms, limits)),
        (count(times.slow), f"over {threshold(limits.slow_ms)}", "slow" if times.slow else "good"),
    ]
    width = max((page.width - 2) // len(shown), 11)
    abreast = max((page.width - 1) // width, 1) if page.bounded else len(shown)
    return [
        each for first in range(0, len(shown), abreast) for each in _two_rows(shown[first : first + abreast], width)
    ]


def _two_rows(shown: Sequence[tuple[str, str, Style]], width: int) -> list[Line]:
    return [
        line(" ") + joined([line(value, style).padded(width) for value, _, style in shown], ""),
        line(" ") + joined([line(label, "quiet").padded(width) for _, label, _ in shown], ""),
    ]


def _breakdown(report: Report, page: Page) -> list[Line]:
    found = report.breakdown
    if found is None or found.by == "agent":
        return []
    return draw_groups(f"By {plain(found.by)}", found.groups, found.by, report, page)


def _slow(report: Report, page: Page) -> list[Line]:
    return hint(behind(report.period, page, "--slow"), page) if report.response_times.slow else []


def _named(counts: Mapping[str, float], page: Page, style: Style = "strong") -> list[Line]:
    shown = list(counts.items())[: MOST_NAMES if page.bounded else None]
    room = page.width - LABEL - 12
    names = [shortened(plain(name), room) if page.bounded else plain(name) for name, _ in shown]
    items = [line(f"{name} ") + line(count(number), style) for name, (_, number) in zip(names, shown, strict=True)]
    hidden = len(counts) - len(shown)
    return [*items, line(f"and {hidden} more", "quiet")] if hidden else items


def _complexity(report: Report, page: Page) -> list[Line]:
    complexity = report.complexity
    if complexity.average is None:
        return flowing("Complexity", [line("no scores", "quiet")], page)
    items = [
        line("average ") + line(f"{complexity.average:.3f}", "strong"),
        line(f"above {HIGH_COMPLEXITY:g}: ")
        + line(count(complexity.high), "strong")
        + line(f" of {count(complexity.scored)}"),
    ]
    return flowing("Complexity", items, page)


def _failures(report: Report, page: Page) -> list[Line]:
    drawn = flowing("Failures", _named(report.errors, page) or [line("none", "good")], page)
    if report.errors:
        first = next(iter(report.errors))
        drawn += hint(behind(report.period, page, "--where", f"error={first}"), page, LABEL)
    return [*drawn, *flowing("In calls", _named(report.call_errors, page), page)] if report.call_errors else drawn


def _data(report: Report, page: Page) -> list[Line]:
    return flowing("Data", describe_losses(report.data), page)


def describe_losses(data: DataFigures) -> list[Line]:
    """Whether the figures cover everything that happened."""
    rolled = [line(f"percentiles {data.percentiles}", "quiet")] if data.percentiles != "exact" else []
    if not data.dropped and not data.skipped:
        return [line("complete", "good") + line(": 0 dropped, 0 skipped"), *rolled]
    why = f" ({', '.join(map(plain, data.reasons))})" if data.reasons else ""
    lost = f": {several(data.dropped, 'record')} dropped{why}, {several(data.skipped, 'line')} skipped"
    return [line("incomplete", "bad") + line(lost), line("metrics doctor says why", "quiet"), *rolled]
