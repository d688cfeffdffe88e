"""Draw everything in detail: a table for each of agents, tools, operations, selections, models and hours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from instrument.analysis.results import (
    AgentDetail,
    CallDetail,
    HourFigures,
    Limits,
    ModelFigures,
    SelectionFigures,
    Stats,
)
from instrument.analysis.wording import clock, count, duration, hours, percent, several, size, span
from instrument_cli.rendering.charts import bar
from instrument_cli.rendering.line import Line, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import health, speed
from instrument_cli.rendering.table import Column, table
from instrument_cli.rendering.text import plain


def draw_stats(stats: Stats, limits: Limits, page: Page) -> list[Line]:
    """Statistics as lines."""
    sections = [
        _title(stats, page),
        _agent_counts(stats.agents, page),
        _agent_times(stats.agents, limits, page),
        _agent_work(stats.agents, page),
        _agent_tokens(stats.agents, page),
        *_calls("Tools", stats.tools, page),
        *_calls("GraphQL", stats.graphql, page),
        _errors(stats, page),
        _selections(stats.selections, page),
        _models(stats.models, page),
        _hours(stats.hours, limits, page),
    ]
    return [each for section in sections if section for each in [*section, line()]][:-1]


def _title(stats: Stats, page: Page) -> list[Line]:
    period = stats.period
    told = f"last {hours(period.hours)} · {span(period.start, period.end)}"
    rule = "─" * max(page.width - 18 - len(told), 2)
    queries, data = stats.queries, stats.data
    counted = joined(
        [
            line(several(queries.total, "query", "queries"), "strong"),
            line(f"{percent(queries.success_rate)} succeeded", health(queries.success_rate)),
            line(f"{count(queries.failed)} failed", "bad" if queries.failed else "good"),
            line(
                f"{count(data.dropped)} dropped, {count(data.skipped)} skipped",
                "bad" if data.dropped or data.skipped else "",
            ),
        ],
        "   ",
    )
    return [
        joined([line(" metrics stats", "title"), line(rule, "quiet"), line(told)], " "),
        line(),
        line(" ") + counted,
    ]


def _details(
    title: str, figures: Mapping[str, object], columns: Mapping[str, Callable[..., Line]], page: Page
) -> list[Line]:
    if not figures:
        return []
    rows = [
        [line(plain(name) or "(none)"), *(cell(each) for cell in columns.values())] for name, each in figures.items()
    ]
    return table(title, [Column(head, 7) for head in columns], rows, page)


def _agent_counts(agents: Mapping[str, AgentDetail], page: Page) -> list[Line]:
    columns: dict[str, Callable[[AgentDetail], Line]] = {
        "queries": lambda agent: line(count(agent.queries)),
        "share": lambda agent: line(percent(agent.share)),
        "nested": lambda agent: line(count(agent.nested), "" if agent.nested else "quiet"),
        "failed": lambda agent: line(count(agent.failed), "bad" if agent.failed else "quiet"),
        "cancelled": lambda agent: line(count(agent.cancelled), "slow" if agent.cancelled else "quiet"),
        "succeeded": lambda agent: line(percent(agent.success_rate), health(agent.success_rate)),
    }
    return _details("Agents", agents, columns, page)


def _times(limits: Limits | None) -> dict[str, Callable[..., Line]]:
    return {
        "average": lambda figures: _took(figures.average_ms, limits),
        "min": lambda figures: _took(figures.min_ms, limits),
        "p50": lambda figures: _took(figures.p50_ms, limits),
        "p95": lambda figures: _took(figures.p95_ms, limits),
        "p99": lambda figures: _took(figures.p99_ms, limits),
        "max": lambda figures: _took(figures.max_ms, limits),
    }


def _took(milliseconds: float | None, limits: Limits | None) -> Line:
    return line(duration(milliseconds), speed(milliseconds, limits) if limits else "")


def _agent_times(agents: Mapping[str, AgentDetail], limits: Limits, page: Page) -> list[Line]:
    return _details("Times", agents, _times(limits), page)


def _agent_work(agents: Mapping[str, AgentDetail], page: Page) -> list[Line]:
    columns: dict[str, Callable[[AgentDetail], Line]] = {
        "slow": lambda agent: line(count(agent.slow), "slow" if agent.slow else "quiet"),
        "very slow": lambda agent: line(count(agent.very_slow), "very slow" if agent.very_slow else "quiet"),
        "tools": lambda agent: line(count(agent.tool_calls)),
        "GraphQL": lambda agent: line(count(agent.graphql_queries)),
        "result": lambda agent: line(size(agent.average_result_bytes)),
        "1st chunk": lambda agent: line(duration(agent.average_first_chunk_ms)),
    }
    return _details("Work", agents, columns, page)


def _agent_tokens(agents: Mapping[str, AgentDetail], page: Page) -> list[Line]:
    columns: dict[str, Callable[[AgentDetail], Line]] = {
        "in": lambda agent: line(count(agent.input_tokens)),
        "out": lambda agent: line(count(agent.output_tokens)),
    }
    spending = {name: agent for name, agent in agents.items() if agent.input_tokens or agent.output_tokens}
    return _details("Tokens", spending, columns, page)


def _calls(title: str, calls: Mapping[str, CallDetail], page: Page) -> list[list[Line]]:
    columns: dict[str, Callable[[CallDetail], Line]] = {
        "calls": lambda call: line(count(call.calls)),
        "failed": lambda call: line(count(call.failed), "bad" if call.failed else "quiet"),
        "rate": lambda call: line(percent(call.failure_rate), "bad" if call.failed else "quiet"),
        "busy": lambda call: line(duration(call.busy_ms)),
        "average": lambda call: line(duration(call.average_ms)),
        "p95": lambda call: line(duration(call.p95_ms)),
    }
    return [_details(title, calls, columns, page), _details(f"{title}: times", calls, _times(None), page)]


def _errors(stats: Stats, page: Page) -> list[Line]:
    rows = [
        [line(f"{plain(name) or '(none)'}: ") + line(plain(error), "bad"), line(count(number))]
        for figures in (stats.agents, stats.tools, stats.graphql)
        for name, each in figures.items()
        for error, number in each.errors.items()
    ]
    return table("Failures", [Column("count", 8)], rows, page) if rows else []


def _selections(selections: Mapping[str, SelectionFigures], page: Page) -> list[Line]:
    rows: list[Sequence[Line]] = []
    for agent, figures in selections.items():
        score = "–" if figures.average_score is None else f"{figures.average_score:.3f}"
        rows.append([line(plain(agent) or "(none)"), line(count(figures.selections)), line(score)])
        rows += [
            [line(f"  {plain(reason)}", "quiet"), line(count(number), "quiet"), line()]
            for reason, number in figures.reasons.items()
        ]
    return table("Selections", [Column("chosen", 8), Column("complexity", 8)], rows, page) if rows else []


def _models(models: Mapping[str, ModelFigures], page: Page) -> list[Line]:
    return _details("Models", models, {"calls": lambda model: line(count(model.calls))}, page)


def _hours(figures: Sequence[HourFigures], limits: Limits, page: Page) -> list[Line]:
    most = max((hour.queries for hour in figures), default=0)
    width = max(page.width - 60, 8)
    columns = [
        Column("queries", 8),
        Column("", width, right=False),
        Column("failed", 8),
        Column("average", 8),
        Column("p95", 8),
    ]
    rows = [
        [
            line(clock(hour.start)),
            line(count(hour.queries)),
            line(bar(hour.queries / most, width), "bar"),
            line(count(hour.failed), "bad" if hour.failed else "quiet"),
            _took(hour.average_ms if hour.queries else None, limits),
            _took(hour.p95_ms if hour.queries else None, limits),
        ]
        for hour in figures
        if most
    ]
    return table("Hours", columns, rows, page) if rows else []
