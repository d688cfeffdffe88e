"""The charts of a report: queries over time, with the failures that stand out, and their durations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from instrument.analysis.results import Activity, Limits, Period, Report
from instrument.analysis.standing_out import standing_out
from instrument.analysis.wording import clock, count, duration, hours, percent, threshold
from instrument_cli.rendering.charts import axis, coloured, columns, fitted, log_labels, time_labels
from instrument_cli.rendering.judging import speed
from instrument_cli.rendering.line import Line, Style, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import LABEL, beside, flowing, labelled, pairs

FULL_FAILURES = 0.1
"""The share of failures that fills a column of the failures' band, unless some column has more."""

_LEAST_QUERIES = 10
"""A time with fewer queries is not named as the one with the most failures."""


def draw_activity(report: Report, page: Page) -> list[Line]:
    """Queries over time; below them the share that failed, red where it stands out of the rest of the period."""
    activity = report.activity
    room = page.width - LABEL - 1
    queries, places = fitted(activity.queries, room)
    failed, _ = fitted(activity.failed, room)
    if not any(queries):
        return []
    start = activity.start.astimezone(page.zone)
    end = start + timedelta(minutes=activity.bucket_minutes * len(activity.queries))
    rows = columns(queries, 2)
    drawn = [labelled(" Activity" if row == 0 else "", line(text, "bar")) for row, text in enumerate(rows)]
    shares = _shares(failed, queries)
    full = max([FULL_FAILURES, *_enough(failed, queries)])
    if any(failed):
        outstanding = _outstanding(activity, places)

        def style(column: int) -> Style:
            return "bad" if outstanding[column] else "quiet"

        drawn.append(labelled("   failed", coloured(columns(shares, 1, full)[0], style)))
    drawn.append(labelled("", axis(time_labels(start, end, len(queries)), len(queries))))
    notes = _notes(activity, report.period, full, page)
    return [*drawn, *flowing("", [line(note, "quiet") for note in notes], page)]


def _outstanding(activity: Activity, places: Sequence[int]) -> list[bool]:
    """For each column, whether the failures of a bucket in it stand out of all other buckets."""
    flags = standing_out(activity.failed, activity.queries)
    following = [*places[1:], len(flags)]
    return [any(flags[place : max(after, place + 1)]) for place, after in zip(places, following, strict=True)]


def _notes(activity: Activity, period: Period, full: float, page: Page) -> list[str]:
    whole = _whole_buckets(activity, period)
    spoken = hours(activity.bucket_minutes / 60)
    each = "an hour" if spoken == "hour" else f"a {spoken}" if spoken in ("minute", "second") else f"in {spoken}"
    most = max(whole, key=lambda place: activity.queries[place])
    notes = [f"peak {count(activity.queries[most])} {each}, {_when(activity, most, page)}"]
    shares = _shares(activity.failed, activity.queries)
    enough = [place for place in whole if activity.queries[place] >= _LEAST_QUERIES]
    worst = max(enough, key=lambda place: shares[place], default=None)
    if worst is not None and shares[worst]:
        notes.append(f"failed at most {percent(shares[worst])}, {_when(activity, worst, page)}")
    return [*notes, f"failed: █ is {percent(full)}"] if any(activity.failed) else notes


def _whole_buckets(activity: Activity, period: Period) -> list[int]:
    """The buckets that the period covers from end to end; all of them where there is none."""
    length = timedelta(minutes=activity.bucket_minutes)
    starts = [activity.start + length * place for place in range(len(activity.queries))]
    inside = [place for place, start in enumerate(starts) if period.start <= start and start + length <= period.end]
    return inside if any(activity.queries[place] for place in inside) else list(range(len(starts)))


def _when(activity: Activity, place: int, page: Page) -> str:
    time: datetime = activity.start.astimezone(page.zone) + timedelta(minutes=activity.bucket_minutes * place)
    return clock(time) if activity.bucket_minutes >= 1 else f"{time:%H:%M:%S}"


def _enough(failed: Sequence[float], queries: Sequence[float]) -> list[float]:
    """The shares that rest on enough queries to be named or to set a scale."""
    return [bad / all_ for bad, all_ in zip(failed, queries, strict=True) if all_ >= _LEAST_QUERIES]


def _shares(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]


def draw_response_times(report: Report, limits: Limits, page: Page, *, chart: bool = True) -> list[Line]:
    """How long the queries took: a histogram on a logarithmic axis, averages and percentiles, the slow ones."""
    times, chunk = report.response_times, report.first_chunk
    if times.average_ms is None:
        return []
    drawn = _histogram(report, limits, page) if chart and any(report.histogram.queries) else []
    figures = [
        ("average", line(duration(times.average_ms))),
        ("p50", line(duration(times.p50_ms), speed(times.p50_ms, limits))),
        ("p95", line(duration(times.p95_ms), speed(times.p95_ms, limits))),
        ("p99", line(duration(times.p99_ms), speed(times.p99_ms, limits))),
        ("range", line(f"{duration(times.min_ms)} – {duration(times.max_ms)}")),
    ]
    drawn += pairs(figures, page, LABEL)
    slower = [(limits.slow_ms, times.slow), (limits.very_slow_ms, times.very_slow)]
    items = [_slower(limit, number, report.queries.total, limits) for limit, number in slower]
    if chunk.streams:
        items.append(line("1st chunk p95  ", "quiet") + line(duration(chunk.p95_ms)))
    drawn += beside(items, page, LABEL)
    labels = [" Response", " times"]
    return [labelled(labels.pop(0) if labels else "", each) for each in drawn]


def _slower(limit: float, number: float, total: float, limits: Limits) -> Line:
    style = speed(limit + 1, limits) if number else ""
    return (
        line(f"over {threshold(limit)}  ", "quiet") + line(count(number), style) + line(f"  {percent(number / total)}")
    )


def _histogram(report: Report, limits: Limits, page: Page) -> list[Line]:
    histogram = report.histogram
    values, places = fitted(histogram.queries, page.width - LABEL - 1)

    def style(place: int) -> Style:
        return speed(histogram.bounds_ms[places[place]] * 1.0001, limits) or "bar"

    rows = [coloured(row, style) for row in columns(values, 2)]
    return [*rows, axis(log_labels(histogram.bounds_ms, len(values)), len(values))]
