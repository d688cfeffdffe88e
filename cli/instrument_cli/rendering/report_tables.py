"""The tables of a report: groups of queries, calls, models, metrics, entities; each with the command behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from instrument.analysis.results import AgentFigures, CallFigures, MetricFigures, ModelFigures, Report
from instrument.analysis.standing_out import standing_out
from instrument.analysis.wording import count, dollars, duration, percent, short
from instrument_cli.rendering.charts import bar
from instrument_cli.rendering.follow_up import behind, hint
from instrument_cli.rendering.judging import failures
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import Column, table
from instrument_cli.rendering.text import plain

MOST_ROWS = 6
"""Rows of a table that a terminal gets; a pipe gets them all."""

_Figures = TypeVar("_Figures")


def bar_width(page: Page) -> int:
    """Columns for the bars of a table, the wider the page the more."""
    return min(max(page.width // 2 - 28, 8), 40)


def draw_groups(title: str, groups: Mapping[str, AgentFigures], name: str, report: Report, page: Page) -> list[Line]:
    """Groups of queries, the largest first: how many, how they ended, how long they took, what they used."""
    if not groups:
        return []
    outstanding = _outstanding(groups, lambda one: (one.failed, one.queries - one.cancelled))
    shown = _most(groups, outstanding, page)
    spending = any(one.tokens or one.cost_usd is not None for one in groups.values())
    width = bar_width(page) - (12 if spending and page.width >= 100 else 0)
    heads = [
        Column("queries", 7),
        Column("share of all", width + 8, right=False),
        Column("failed", 10),
        Column("average", 8),
        Column("p95", 8),
        *([Column("cancelled", 7)] if any(one.cancelled for one in groups.values()) else []),
        *([Column("tokens", 7)] if any(one.tokens for one in groups.values()) else []),
        *([Column("cost", 7)] if any(one.cost_usd is not None for one in groups.values()) else []),
    ]
    named = {head.head for head in heads}
    rows = [
        [
            line(plain(key) or "(none)"),
            line(count(one.queries)),
            line(bar(one.share, width).ljust(width + 1), "bar") + line(percent(one.share).rjust(7)),
            failures(one.failed, one.queries - one.cancelled, outstanding[key]),
            line(duration(one.average_ms)),
            line(duration(one.p95_ms)),
            *([line(count(one.cancelled))] if "cancelled" in named else []),
            *([line(short(one.tokens))] if "tokens" in named else []),
            *([line(dollars(one.cost_usd))] if "cost" in named else []),
        ]
        for key, one in shown
    ]
    worst = max(groups, key=lambda key: groups[key].failed)
    command = behind(report.period, page, "--failed", "--where", f"{name}={worst}")
    hints = hint(command, page) if groups[worst].failed and worst != "(none)" else []
    return [*table(title, heads, rows, page), *_rest(groups, shown), *hints]


def draw_calls(title: str, calls: Mapping[str, CallFigures], name: str, report: Report, page: Page) -> list[Line]:
    """Tools or operations, those that took the most time first."""
    if not calls:
        return []
    ranked = dict(sorted(calls.items(), key=lambda item: -item[1].busy_ms))
    outstanding = _outstanding(ranked, lambda one: (one.failed, one.calls - one.cancelled))
    shown = _most(ranked, outstanding, page)
    width = bar_width(page) if page.width >= 100 else 0
    longest = max(one.busy_ms for one in calls.values()) or 1.0
    cancelled = any(one.cancelled for one in calls.values())
    heads = [
        Column("calls", 7),
        Column("failed", 10),
        Column("average", 8),
        Column("p95", 8),
        Column("time", 8),
        *([Column(f"full bar: {duration(longest)}", width, right=False)] if width else []),
        *([Column("cancelled", 7)] if cancelled else []),
    ]
    rows = [
        [
            line(plain(key) or "(none)"),
            line(count(one.calls)),
            failures(one.failed, one.calls - one.cancelled, outstanding[key]),
            line(duration(one.average_ms)),
            line(duration(one.p95_ms)),
            line(duration(one.busy_ms)),
            *([line(bar(one.busy_ms / longest, width), "bar")] if width else []),
            *([line(count(one.cancelled))] if cancelled else []),
        ]
        for key, one in shown
    ]
    worst = max(calls, key=lambda key: calls[key].failed)
    command = behind(report.period, page, "--where", f"{name}={worst}", "--where", "call_error!=")
    hints = hint(command, page) if calls[worst].failed else []
    return [*table(title, heads, rows, page), *_rest(calls, shown), *hints]


def draw_models(models: Mapping[str, ModelFigures], page: Page) -> list[Line]:
    """Models, those that took the most time first."""
    if not models:
        return []
    ranked = dict(sorted(models.items(), key=lambda item: -item[1].busy_ms))
    outstanding = _outstanding(ranked, lambda one: (one.failed, one.calls - one.cancelled))
    shown = _most(ranked, outstanding, page)
    heads = ("calls", "failed", "average", "p95", "chunk p95", "tokens in", "out", "out/s", "cost")
    rows = [
        [
            line(plain(key) or "(none)"),
            line(count(one.calls)),
            failures(one.failed, one.calls - one.cancelled, outstanding[key]),
            line(duration(one.average_ms)),
            line(duration(one.p95_ms)),
            line(duration(one.first_chunk_p95_ms)),
            line(short(one.input_tokens)),
            line(short(one.output_tokens)),
            line("–" if one.tokens_per_second is None else short(one.tokens_per_second)),
            line(dollars(one.cost_usd)),
        ]
        for key, one in shown
    ]
    columns = [Column(head, 6) for head in heads]
    return [*table("Models", columns, rows, page), *_rest(models, shown)]


def draw_metrics(metrics: Mapping[str, MetricFigures], page: Page) -> list[Line]:
    """The metrics that queries recorded."""
    if not metrics:
        return []
    shown = _most(metrics, {}, page)
    rows = [
        [
            line(plain(key) or "(none)"),
            line(count(one.count)),
            *(line(short(value)) for value in (one.mean, one.p50, one.p95, one.sum)),
        ]
        for key, one in shown
    ]
    columns = [Column(head, 8) for head in ("queries", "mean", "p50", "p95", "sum")]
    return [*table("Metrics", columns, rows, page), *_rest(metrics, shown)]


def draw_entities(report: Report, page: Page) -> list[Line]:
    """How many queries each entity was detected in."""
    entities = report.entities
    if not entities:
        return []
    shown = _most(entities, {}, page)
    width, total = bar_width(page), max(report.queries.total, *entities.values())
    rows = [
        [
            line(plain(key)),
            line(count(number)),
            line(bar(number / total, width).ljust(width + 1), "bar") + line(percent(number / total).rjust(7)),
        ]
        for key, number in shown
    ]
    columns = [Column("queries", 7), Column("share of all", width + 8, right=False)]
    return [*table("Entities", columns, rows, page), *_rest(entities, shown)]


def _outstanding(figures: Mapping[str, _Figures], counts: Callable[[_Figures], tuple[float, float]]) -> dict[str, bool]:
    """Whose failures stand out of those of the other rows."""
    failed, totals = zip(*(counts(one) for one in figures.values()), strict=True)
    return dict(zip(figures, standing_out(failed, totals), strict=True))


def _most(figures: Mapping[str, _Figures], outstanding: Mapping[str, bool], page: Page) -> list[tuple[str, _Figures]]:
    """The first rows, with those further down whose failures stand out, as far as there is room."""
    rows = list(figures.items())
    if not page.bounded or len(rows) <= MOST_ROWS + 1:
        return rows
    further = [row for row in rows[MOST_ROWS:] if outstanding.get(row[0])][: MOST_ROWS // 2]
    return [*rows[: MOST_ROWS - len(further)], *further]


def _rest(figures: Mapping[str, object], shown: Sequence[object]) -> list[Line]:
    hidden = len(figures) - len(shown)
    return [line(f"   and {hidden} more: metrics stats", "quiet")] if hidden else []
