"""A report as headed tables of text: what its HTML and its Markdown have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from msgspec import Struct

from instrument.analysis.results import AgentFigures, CallFigures, Limits, Report
from instrument.analysis.standing_out import standing_out
from instrument.analysis.wording import count, dollars, duration, hours, percent, short, span, threshold
from instrument.records import HIGH_COMPLEXITY
from instrument_cli.rendering.text import plain


class Table(Struct, frozen=True):
    """A table: its title, the heads of its columns, its rows; `marked` are the rows whose failures stand out.

    `bars` has a share of 0 to 1 for each row, and `scale` says what a full bar is.
    """

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    marked: frozenset[int] = frozenset()
    bars: tuple[float, ...] = ()
    scale: str = ""


def period_text(report: Report, zone: tzinfo) -> str:
    """`last 24 hours · 21 Nov 06:30 – 22 Nov 06:30 UTC`."""
    period = report.period
    covered = span(period.start.astimezone(zone), period.end.astimezone(zone))
    return f"last {hours(period.hours)} · {covered}" if period.end == period.generated_at else covered


def headline(report: Report, limits: Limits) -> list[tuple[str, str]]:
    """The figures that come first, each with its label."""
    queries, times = report.queries, report.response_times
    return [
        (count(queries.total), "query" if queries.total == 1 else "queries"),
        (percent(queries.success_rate), "succeeded"),
        (count(queries.failed), "failed"),
        (count(queries.cancelled), "cancelled"),
        (duration(times.p50_ms), "median"),
        (duration(times.p95_ms), "p95"),
        (count(times.slow), f"over {threshold(limits.slow_ms)}"),
    ]


def losses(report: Report) -> str:
    """Whether the figures cover everything."""
    data = report.data
    counted = f"{count(data.dropped)} dropped, {count(data.skipped)} skipped"
    rolled = f"; percentiles {data.percentiles}" if data.percentiles != "exact" else ""
    return f"{'incomplete' if data.dropped or data.skipped else 'complete'}: {counted}{rolled}"


def tables(report: Report, limits: Limits) -> list[Table]:
    """Every section of a report that has something to say."""
    found = [
        _groups("Agents", report.agents),
        *([_groups(f"By {report.breakdown.by}", report.breakdown.groups)] if report.breakdown else []),
        _times(report, limits),
        _calls("Tools", report.tools),
        _calls("GraphQL", report.graphql),
        _models(report),
        _metrics(report),
        _counts("Entities", "queries", report.entities, report.queries.total),
        _complexity(report),
        _counts("Failures", "queries", report.errors, report.queries.failed),
        _counts("Exceptions in calls", "calls", report.call_errors, sum(report.call_errors.values())),
    ]
    return [table for table in found if table.rows]


def _name(text: str) -> str:
    return plain(text) or "(none)"


def _marked(figures: list[tuple[float, float]]) -> frozenset[int]:
    flags = standing_out([failed for failed, _ in figures], [total for _, total in figures])
    return frozenset(place for place, flag in enumerate(flags) if flag)


def _failed(failed: float, total: float) -> str:
    return f"{count(failed)} ({percent(failed / total)})" if failed and total else count(failed)


def _groups(title: str, groups: Mapping[str, AgentFigures]) -> Table:
    heads = ("queries", "share", "failed", "cancelled", "average", "p95", "tokens in", "out", "cost")
    rows = [
        (
            _name(name),
            count(one.queries),
            percent(one.share),
            _failed(one.failed, one.queries - one.cancelled),
            count(one.cancelled),
            duration(one.average_ms),
            duration(one.p95_ms),
            short(one.input_tokens),
            short(one.output_tokens),
            dollars(one.cost_usd),
        )
        for name, one in groups.items()
    ]
    marked = _marked([(one.failed, one.queries - one.cancelled) for one in groups.values()])
    return Table(_name(title), ("", *heads), rows, marked, tuple(one.share for one in groups.values()), "all queries")


def _times(report: Report, limits: Limits) -> Table:
    times, chunk = report.response_times, report.first_chunk
    if times.average_ms is None:
        return Table("Response times", (), [])
    heads = ["average", "min", "p50", "p95", "p99", "max"]
    row = [
        duration(each)
        for each in (times.average_ms, times.min_ms, times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms)
    ]
    for limit, number in zip(limits, (times.slow, times.very_slow), strict=True):
        heads.append(f"over {threshold(limit)}")
        row.append(f"{count(number)} ({percent(number / report.queries.total)})")
    if chunk.streams:
        heads.append("first chunk p95")
        row.append(duration(chunk.p95_ms))
    return Table("Response times", ("", *heads), [("all queries", *row)])


def _calls(title: str, calls: Mapping[str, CallFigures]) -> Table:
    ranked = sorted(calls.items(), key=lambda item: -item[1].busy_ms)
    longest = max((one.busy_ms for one in calls.values()), default=0.0) or 1.0
    rows = [
        (
            _name(name),
            count(one.calls),
            _failed(one.failed, one.calls - one.cancelled),
            count(one.cancelled),
            duration(one.average_ms),
            duration(one.p95_ms),
            duration(one.busy_ms),
        )
        for name, one in ranked
    ]
    marked = _marked([(one.failed, one.calls - one.cancelled) for _, one in ranked])
    heads = ("", "calls", "failed", "cancelled", "average", "p95", "time")
    bars = tuple(one.busy_ms / longest for _, one in ranked)
    return Table(title, heads, rows, marked, bars, f"{duration(longest)} spent")


def _models(report: Report) -> Table:
    ranked = sorted(report.models.items(), key=lambda item: -item[1].busy_ms)
    rows = [
        (
            _name(name),
            count(one.calls),
            _failed(one.failed, one.calls - one.cancelled),
            duration(one.average_ms),
            duration(one.p95_ms),
            duration(one.first_chunk_p95_ms),
            short(one.input_tokens),
            short(one.output_tokens),
            "–" if one.tokens_per_second is None else short(one.tokens_per_second),
            dollars(one.cost_usd),
        )
        for name, one in ranked
    ]
    heads = ("", "calls", "failed", "average", "p95", "chunk p95", "tokens in", "out", "out/s", "cost")
    return Table("Models", heads, rows, _marked([(one.failed, one.calls - one.cancelled) for _, one in ranked]))


def _metrics(report: Report) -> Table:
    rows = [
        (_name(name), count(one.count), *(short(each) for each in (one.mean, one.p50, one.p95, one.sum)))
        for name, one in report.metrics.items()
    ]
    return Table("Metrics", ("", "queries", "mean", "p50", "p95", "sum"), rows)


def _complexity(report: Report) -> Table:
    scores = report.complexity
    if scores.average is None:
        return Table("Complexity", (), [])
    row = ("scored selections", count(scores.scored), f"{scores.average:.3f}", count(scores.high))
    return Table("Complexity", ("", "count", "average", f"above {HIGH_COMPLEXITY:g}"), [row])


def _counts(title: str, head: str, counts: Mapping[str, float], total: float) -> Table:
    rows = [(_name(name), count(number), percent(number / total)) for name, number in counts.items() if total]
    bars = tuple(min(number / total, 1.0) for number in counts.values() if total)
    return Table(title, ("", head, "share"), rows, frozenset(), bars, f"all {count(total)} {head}")
