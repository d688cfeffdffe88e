"""Draw a report: the answer first, then a picture or an aligned table for each of its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from instrument.analysis.results import Activity, AgentFigures, CallFigures, DataFigures, Limits, Report
from instrument.analysis.wording import (
    clock,
    count,
    duration,
    hours,
    percent,
    several,
    span,
    threshold,
)
from instrument_cli.rendering.charts import axis, bar, coloured, columns, fitted, log_labels, time_labels
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import Column, flowing, table
from instrument_cli.rendering.text import plain, shortened

MOST_ROWS = 6
"""Rows of a table that a terminal gets; a pipe gets them all."""

MOST_NAMES = 20
"""Entities and kinds of failure that a terminal gets."""

_LABEL = 14
_Figures = TypeVar("_Figures")


def draw_report(report: Report, limits: Limits, page: Page) -> list[Line]:
    """A report as lines."""
    sections = [
        [_title(report, page)],
        _headline(report, limits, page),
        _activity(report, page),
        _agents(report.agents, page),
        _response(report, limits, page),
        _calls("Tools", report.tools, page),
        _calls("GraphQL", report.graphql, page),
        [*_entities(report, page), *_complexity(report, page), *_failures(report, page), *_data(report, page)],
    ]
    return [each for section in sections if section for each in [*section, line()]][:-1]


def _title(report: Report, page: Page) -> Line:
    period = report.period
    told = f"last {hours(period.hours)} · {span(period.start, period.end)}"
    rule = "─" * max(page.width - 2 - len("metrics report  ") - len(told) - 1, 2)
    return joined([line(" metrics report", "title"), line(rule, "quiet"), line(told)], " ")


def _headline(report: Report, limits: Limits, page: Page) -> list[Line]:
    queries, times = report.queries, report.response_times
    shown: list[tuple[str, str, Style]] = [
        (count(queries.total), "query" if queries.total == 1 else "queries", "strong"),
        (percent(queries.success_rate), "succeeded", health(queries.success_rate)),
        (count(queries.failed), "failed", "bad" if queries.failed else "good"),
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


def health(success_rate: float | None) -> Style:
    """The colour of a success rate."""
    if success_rate is None or success_rate >= 0.99:
        return "good"
    return "slow" if success_rate >= 0.95 else "bad"


def speed(milliseconds: float | None, limits: Limits) -> Style:
    """The colour of a duration."""
    if milliseconds is None or milliseconds <= limits.slow_ms:
        return ""
    return "slow" if milliseconds <= limits.very_slow_ms else "very slow"


def _activity(report: Report, page: Page) -> list[Line]:
    activity = report.activity
    room = page.width - _LABEL - 1
    queries, _ = fitted(activity.queries, room)
    failed, _ = fitted(activity.failed, room)
    if not queries:
        return []
    start = activity.start
    end = start + timedelta(minutes=activity.bucket_minutes * len(activity.queries))
    rows = columns(queries, 2)
    drawn = [_labelled(" Activity" if row == 0 else "", line(text, "bar")) for row, text in enumerate(rows)]
    if any(failed):
        drawn.append(_labelled("   failed", line(columns(_shares(failed, queries), 1)[0], "bad")))
    drawn.append(_labelled("", axis(time_labels(start, end, len(queries)), len(queries))))
    return [*drawn, *flowing("", [line(told, "quiet") for told in _peaks(activity)], page)]


def _peaks(activity: Activity) -> list[str]:
    spoken = hours(activity.bucket_minutes / 60)
    each = "an hour" if spoken == "hour" else f"a {spoken}" if spoken in ("minute", "second") else f"in {spoken}"
    most = max(activity.queries)
    told = f"peak {count(most)} {each}, {_when(activity, activity.queries.index(most))}"
    shares = _shares(activity.failed, activity.queries)
    worst = max(shares)
    return [told, f"failed at most {percent(worst)}, {_when(activity, shares.index(worst))}"] if worst else [told]


def _when(activity: Activity, place: int) -> str:
    time = activity.start + timedelta(minutes=activity.bucket_minutes * place)
    return clock(time) if activity.bucket_minutes >= 1 else f"{time:%H:%M:%S}"


def _shares(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]


def _labelled(label: str, content: Line) -> Line:
    return line(label, "title" if label and label[1] != " " else "quiet").padded(_LABEL) + content


def _agents(agents: Mapping[str, AgentFigures], page: Page) -> list[Line]:
    if not agents:
        return []
    shown = _most(agents, page)
    width = bar_width(page)
    heads = [
        Column("queries", 8),
        Column("", width + 8, right=False),
        Column("succeeded", 9),
        Column("average", 8),
        Column("p95", 8),
    ]
    rows = [
        [
            line(plain(name) or "(none)"),
            line(count(agent.queries)),
            line(bar(agent.share, width).ljust(width + 1), "bar") + line(percent(agent.share).rjust(7)),
            line(percent(agent.success_rate), health(agent.success_rate)),
            line(duration(agent.average_ms)),
            line(duration(agent.p95_ms)),
        ]
        for name, agent in shown
    ]
    return [*table("Agents", heads, rows, page), *_rest(agents, shown)]


def bar_width(page: Page) -> int:
    """Columns for the bars of a table, the wider the page the more."""
    return max(page.width // 2 - 28, 8)


def _response(report: Report, limits: Limits, page: Page) -> list[Line]:
    times, histogram = report.response_times, report.histogram
    if times.average_ms is None:
        return []
    drawn = _histogram(report, limits, page) if any(histogram.queries) else []
    drawn += _numbers(
        [
            ("average", duration(times.average_ms), ""),
            ("p50", duration(times.p50_ms), speed(times.p50_ms, limits)),
            ("p95", duration(times.p95_ms), speed(times.p95_ms, limits)),
            ("p99", duration(times.p99_ms), speed(times.p99_ms, limits)),
            ("range", f"{duration(times.min_ms)} – {duration(times.max_ms)}", ""),
        ]
    )
    slower = [(limits.slow_ms, times.slow), (limits.very_slow_ms, times.very_slow)]
    drawn.append(joined([_slower(limit, number, report.queries.total, limits) for limit, number in slower], "     "))
    labels = [" Response", " times"]
    return [_labelled(labels.pop(0) if labels else "", each) for each in drawn]


def _numbers(figures: Sequence[tuple[str, str, Style]]) -> list[Line]:
    widths = [max(len(name), len(value)) for name, value, _ in figures]
    names = [line(name, "quiet").padded(width) for (name, _, _), width in zip(figures, widths, strict=True)]
    values = [line(value, style).padded(width) for (_, value, style), width in zip(figures, widths, strict=True)]
    return [joined(names, "   "), joined(values, "   ")]


def _slower(limit: float, number: float, total: float, limits: Limits) -> Line:
    style = speed(limit + 1, limits) if number else ""
    return (
        line(f"over {threshold(limit)}  ", "quiet") + line(count(number), style) + line(f"  {percent(number / total)}")
    )


def _histogram(report: Report, limits: Limits, page: Page) -> list[Line]:
    histogram = report.histogram
    values, places = fitted(histogram.queries, page.width - _LABEL - 1)

    def style(place: int) -> Style:
        return speed(histogram.bounds_ms[places[place]] * 1.0001, limits) or "good"

    rows = [coloured(row, style) for row in columns(values, 2)]
    return [*rows, axis(log_labels(histogram.bounds_ms, len(values)), len(values))]


def _calls(title: str, calls: Mapping[str, CallFigures], page: Page) -> list[Line]:
    if not calls:
        return []
    shown = _most(calls, page)
    width = bar_width(page) if page.width >= 100 else 0
    most = max(figures.calls for figures in calls.values())
    heads = [
        Column("calls", 8),
        *([Column("", width, right=False)] if width else []),
        Column("failed", 8),
        Column("", 7),
        Column("average", 8),
        Column("p95", 8),
    ]
    rows = [
        [
            line(plain(name)),
            line(count(figures.calls)),
            *([line(bar(figures.calls / most, width), "bar")] if width else []),
            line(count(figures.failed), "bad" if figures.failed else "quiet"),
            line(percent(figures.failed / figures.calls), "bad") if figures.failed else line(),
            line(duration(figures.average_ms)),
            line(duration(figures.p95_ms)),
        ]
        for name, figures in shown
    ]
    return [*table(title, heads, rows, page), *_rest(calls, shown)]


def _most(figures: Mapping[str, _Figures], page: Page) -> list[tuple[str, _Figures]]:
    rows = list(figures.items())
    return rows[:MOST_ROWS] if page.bounded and len(rows) > MOST_ROWS + 1 else rows


def _rest(figures: Mapping[str, object], shown: Sequence[object]) -> Iterable[Line]:
    hidden = len(figures) - len(shown)
    return [line(f"   and {hidden} more: metrics stats", "quiet")] if hidden else []


def _named(counts: Mapping[str, float], page: Page, style: Style = "strong") -> list[Line]:
    shown = list(counts.items())[: MOST_NAMES if page.bounded else None]
    room = page.width - _LABEL - 12
    names = [shortened(plain(name), room) if page.bounded else plain(name) for name, _ in shown]
    items = [line(f"{name} ") + line(count(number), style) for name, (_, number) in zip(names, shown, strict=True)]
    hidden = len(counts) - len(shown)
    return [*items, line(f"and {hidden} more", "quiet")] if hidden else items


def _entities(report: Report, page: Page) -> list[Line]:
    return flowing("Entities", _named(report.entities, page) or [line("none detected", "quiet")], page)


def _complexity(report: Report, page: Page) -> list[Line]:
    complexity = report.complexity
    if complexity.average is None:
        return flowing("Complexity", [line("no scores", "quiet")], page)
    items = [
        line("average ") + line(f"{complexity.average:.3f}", "strong"),
        line("above 0.7: ") + line(count(complexity.high), "strong") + line(f" of {count(complexity.scored)}"),
    ]
    return flowing("Complexity", items, page)


def _failures(report: Report, page: Page) -> list[Line]:
    items = _named(report.errors, page, "bad") or [line("none", "good")]
    return flowing("Failures", items, page)


def _data(report: Report, page: Page) -> list[Line]:
    return flowing("Data", told_losses(report.data), page)


def told_losses(data: DataFigures) -> list[Line]:
    """Whether the figures cover everything that happened."""
    if not data.dropped and not data.skipped:
        return [line("complete", "good") + line(": 0 dropped, 0 skipped")]
    why = f" ({', '.join(map(plain, data.reasons))})" if data.reasons else ""
    told = f": {several(data.dropped, 'record')} dropped{why}, {several(data.skipped, 'line')} skipped"
    return [line("incomplete", "bad") + line(told), line("metrics doctor says why", "quiet")]
