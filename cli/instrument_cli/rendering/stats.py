"""Draw everything in detail: one table a section, the greatest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from instrument.analysis.results import (
    AgentDetail,
    CallDetail,
    HourFigures,
    Limits,
    ModelFigures,
    SelectionFigures,
    Stats,
)
from instrument.analysis.standing_out import standing_out
from instrument.analysis.wording import clock, count, day, dollars, duration, percent, several, short, size
from instrument_cli.rendering.charts import bar
from instrument_cli.rendering.judging import failures, health, speed
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import draw_title
from instrument_cli.rendering.table import INDENT, Column, beside, paragraph, table
from instrument_cli.rendering.text import plain

Cells = Mapping[str, Callable[[Any], Line]]

SORTS: dict[str, Callable[[Any], float]] = {
    "time": lambda one: getattr(one, "busy_ms", 0.0),
    "failures": lambda one: getattr(one, "failed", 0.0),
    "calls": lambda one: getattr(one, "calls", getattr(one, "queries", getattr(one, "count", 0.0))),
    "average": lambda one: getattr(one, "average_ms", 0.0) or 0.0,
    "p95": lambda one: getattr(one, "p95_ms", 0.0) or 0.0,
    "cost": lambda one: getattr(one, "cost_usd", None) or 0.0,
}
"""What the rows of a table are ranked by, the greatest first."""


class Ranking(NamedTuple):
    """Which rows of a table are shown: the first `top` by `sort`; None shows all."""

    sort: str = "time"
    top: int | None = None


BY_TIME = Ranking()


def draw_stats(stats: Stats, limits: Limits, page: Page, ranking: Ranking = BY_TIME) -> list[Line]:
    """Statistics as lines."""
    sections = [
        [*draw_title("metrics stats", stats.period, page), line(), *_counted(stats, page)],
        _ranked("Agents", stats.agents, _agent_cells(stats.agents, limits), page, ranking),
        _ranked("Tools", stats.tools, _call_cells(stats.tools), page, ranking),
        _ranked("GraphQL", stats.graphql, _call_cells(stats.graphql), page, ranking),
        _ranked("Models", stats.models, _model_cells(stats.models), page, ranking),
        _ranked("Metrics", stats.metrics, _METRIC_CELLS, page, ranking),
        _errors(stats, page, ranking),
        _selections(stats.selections, page, ranking),
        _over_time(stats, limits, page),
    ]
    return [each for section in sections if section for each in [*section, line()]][:-1]


def _counted(stats: Stats, page: Page) -> list[Line]:
    queries, data = stats.queries, stats.data
    lost = data.dropped or data.skipped
    items = [
        line(several(queries.total, "query", "queries"), "strong"),
        line(f"{percent(queries.success_rate)} succeeded", health(queries.success_rate)),
        line(f"{count(queries.failed)} failed", health(queries.success_rate) if queries.failed else "good"),
        *([line(f"{count(queries.cancelled)} cancelled")] if queries.cancelled else []),
        line(f"{count(data.dropped)} dropped, {count(data.skipped)} skipped", "bad" if lost else ""),
        *([line(f"percentiles {data.percentiles}", "quiet")] if data.percentiles != "exact" else []),
    ]
    return [line(" ") + each for each in beside(items, page, 1, "   ")]


def _ranked(title: str, figures: Mapping[str, Any], cells: Cells, page: Page, ranking: Ranking) -> list[Line]:
    """One table of a section, its rows ranked; what is left out is said."""
    if not figures:
        return []
    order = SORTS[ranking.sort]
    shown = sorted(figures.items(), key=lambda item: -order(item[1]))[: ranking.top]
    rows = [[line(plain(name) or "(none)"), *(cell((name, one)) for cell in cells.values())] for name, one in shown]
    hidden = len(figures) - len(shown)
    more = _more(hidden, ranking, page) if hidden else []
    return [*table(title, [Column(head, 6) for head in cells], rows, page), *more]


def _more(hidden: int, ranking: Ranking, page: Page) -> list[Line]:
    text = f"and {count(hidden)} more by {ranking.sort}: --all shows them, --sort ranks"
    return paragraph(text, page, INDENT, "quiet")


def _outstanding(figures: Mapping[str, Any], counted: str) -> dict[str, bool]:
    failed = [one.failed for one in figures.values()]
    totals = [getattr(one, counted) - one.cancelled for one in figures.values()]
    return dict(zip(figures, standing_out(failed, totals), strict=True))


def _failed(figures: Mapping[str, Any], counted: str) -> Callable[[tuple[str, Any]], Line]:
    outstanding = _outstanding(figures, counted)
    return lambda row: failures(row[1].failed, getattr(row[1], counted) - row[1].cancelled, outstanding[row[0]])


def _number(field: str, shown: Callable[[Any], str] = count) -> Callable[[tuple[str, Any]], Line]:
    def cell(row: tuple[str, Any]) -> Line:
        value = getattr(row[1], field)
        return line(shown(value), "" if value else "quiet")

    return cell


def _time(field: str, limits: Limits | None = None) -> Callable[[tuple[str, Any]], Line]:
    def cell(row: tuple[str, Any]) -> Line:
        value = getattr(row[1], field)
        return line(duration(value), speed(value, limits) if limits else "")

    return cell


def _if_any(figures: Mapping[str, Any], field: str, cells: Cells) -> Cells:
    return cells if any(getattr(one, field) for one in figures.values()) else {}


def _agent_cells(agents: Mapping[str, AgentDetail], limits: Limits) -> Cells:
    return {
        "queries": _number("queries"),
        "share": _number("share", percent),
        "failed": _failed(agents, "queries"),
        **_if_any(agents, "cancelled", {"cancelled": _number("cancelled")}),
        **_if_any(agents, "nested", {"nested": _number("nested")}),
        "time": _time("busy_ms"),
        "average": _time("average_ms", limits),
        "min": _time("min_ms", limits),
        "p50": _time("p50_ms", limits),
        "p95": _time("p95_ms", limits),
        "p99": _time("p99_ms", limits),
        "max": _time("max_ms", limits),
        "slow": _number("slow"),
        "very slow": _number("very_slow"),
        "tools": _number("tool_calls"),
        "GraphQL": _number("graphql_queries"),
        "result": _number("average_result_bytes", size),
        **_if_any(agents, "first_chunk_p95_ms", {"chunk p95": _time("first_chunk_p95_ms")}),
        **_if_any(
            agents, "tokens", {"tokens in": _number("input_tokens", short), "out": _number("output_tokens", short)}
        ),
        **_if_any(agents, "cost_usd", {"cost": _number("cost_usd", dollars)}),
    }


def _call_cells(calls: Mapping[str, CallDetail]) -> Cells:
    return {
        "calls": _number("calls"),
        "failed": _failed(calls, "calls"),
        **_if_any(calls, "cancelled", {"cancelled": _number("cancelled")}),
        "time": _time("busy_ms"),
        "average": _time("average_ms"),
        "min": _time("min_ms"),
        "p50": _time("p50_ms"),
        "p95": _time("p95_ms"),
        "p99": _time("p99_ms"),
        "max": _time("max_ms"),
    }


def _model_cells(models: Mapping[str, ModelFigures]) -> Cells:
    return {
        "calls": _number("calls"),
        "failed": _failed(models, "calls"),
        "time": _time("busy_ms"),
        "average": _time("average_ms"),
        "p95": _time("p95_ms"),
        "chunk p95": _time("first_chunk_p95_ms"),
        "tokens in": _number("input_tokens", short),
        "out": _number("output_tokens", short),
        "out/s": _number("tokens_per_second", lambda rate: "–" if rate is None else short(rate)),
        "cost": _number("cost_usd", dollars),
    }


_METRIC_CELLS: Cells = {
    "queries": _number("count"),
    **{field: _number(field, short) for field in ("mean", "p50", "p95", "sum")},
}


def _errors(stats: Stats, page: Page, ranking: Ranking) -> list[Line]:
    found = [
        (number, name, error)
        for figures in (stats.agents, stats.tools, stats.graphql)
        for name, each in figures.items()
        for error, number in each.errors.items()
    ]
    shown = sorted(found, key=lambda each: -each[0])[: ranking.top]
    rows = [
        [line(f"{plain(name) or '(none)'}: ") + line(plain(error), "strong"), line(count(number))]
        for number, name, error in shown
    ]
    hidden = len(found) - len(shown)
    more = _more(hidden, ranking._replace(sort="count"), page) if hidden else []
    return [*table("Failures", [Column("count", 8)], rows, page), *more] if rows else []


def _selections(selections: Mapping[str, SelectionFigures], page: Page, ranking: Ranking) -> list[Line]:
    rows: list[Sequence[Line]] = []
    for agent, figures in list(selections.items())[: ranking.top]:
        score = "–" if figures.average_score is None else f"{figures.average_score:.3f}"
        rows.append([line(plain(agent) or "(none)"), line(count(figures.selections)), line(score)])
        rows += [
            [line(f"  {plain(reason)}", "quiet"), line(count(number), "quiet"), line()]
            for reason, number in figures.reasons.items()
        ]
    hidden = len(selections) - len(list(selections)[: ranking.top])
    more = _more(hidden, ranking._replace(sort="count"), page) if hidden else []
    return [*table("Selections", [Column("chosen", 8), Column("complexity", 8)], rows, page), *more] if rows else []


def _over_time(stats: Stats, limits: Limits, page: Page) -> list[Line]:
    """A row an hour, or a row a day for a longer period."""
    title, figures = ("Days", stats.days) if stats.days else ("Hours", stats.hours)
    most = max((one.queries for one in figures), default=0)
    if not most:
        return []
    width = max(min(page.width - 64, 40), 8)
    outstanding = standing_out([one.failed for one in figures], [one.queries - one.cancelled for one in figures])
    rows = [
        [
            line(_when(one, bool(stats.days), page)),
            line(count(one.queries)),
            line(bar(one.queries / most, width), "bar"),
            failures(one.failed, one.queries - one.cancelled, red),
            *(
                line(duration(each if one.queries else None), speed(each, limits))
                for each in (one.average_ms, one.p95_ms)
            ),
        ]
        for one, red in zip(figures, outstanding, strict=True)
    ]
    columns = [
        Column("queries", 7),
        Column(f"full bar: {count(most)}"[:width], width, right=False),
        Column("failed", 10),
        Column("average", 8),
        Column("p95", 8),
    ]
    return table(title, columns, rows, page)


def _when(one: HourFigures, daily: bool, page: Page) -> str:
    return f"{day(one.start)} UTC" if daily else clock(one.start.astimezone(page.zone))
