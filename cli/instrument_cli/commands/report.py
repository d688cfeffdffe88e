"""`metrics report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone

if TYPE_CHECKING:
    from pathlib import Path

    from instrument.analysis.results import Limits, Report
    from instrument.config import Config
    from instrument.reading import Store
    from instrument.store.tables import Tables
    from instrument_cli.rendering.line import Line
    from instrument_cli.rendering.page import Page


def report(
    hours: options.ReportHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    agent: options.Agent = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="NAME", help="Break down by model, host, process, session, entity or an attribute, too."
        ),
    ] = None,
    format: options.ReportFormat = "text",
    exact: options.Exact = None,
    records: Annotated[bool, typer.Option("--records/--no-records", help="Whether JSON holds the records too.")] = True,
    source: options.Source = None,
) -> None:
    """Show how the last hours went. Queries, agents, times, entities, tools, failures, on one page.

    \b
    Example: metrics report --hours 24
             metrics report --since yesterday --where tenant=north --by model
             metrics report --format html > report.html
             metrics report --format json | jq .report.response_times.p95_ms
    """
    config = settings(source)
    chosen = checked_format(format, options.REPORT_FORMATS)
    if chosen not in options.DRAWN_FORMATS:
        checked_format(format, options.REPORT_FORMATS, config.export_formats)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=config.default_report_hours, most=config.longest_report_hours)
    from instrument.analysis.filters import Filter, parsed
    from instrument.analysis.report import check_agent

    with opened(config, source, period) as store:
        if agent is not None:
            check_agent(store.tables, agent)
        filters = [*parsed(where or ()), *([Filter("agent", "=", agent)] if agent is not None else [])]
        found, tables = store.report(filters, by, exact=exact), store.picked(filters)
        if chosen in ("json", "csv"):
            return write(found, tables, chosen, records=records)
        from instrument_cli.rendering.page import current_page

        page = current_page(shown_zone(config, span, period), source, filters)
        if chosen == "text":
            return draw(found, store, tables, page, filtered=bool(filters))
        from instrument_cli.rendering.html import html_report
        from instrument_cli.rendering.json_output import show_text
        from instrument_cli.rendering.markdown import markdown_report

        drawn = html_report if chosen == "html" else markdown_report
        return show_text(drawn(found, _limits(config), page.zone))


def _limits(config: Config) -> Limits:
    from instrument.analysis.results import Limits

    return Limits.of(config)


def draw(found: Report, store: Store, tables: Tables, page: Page, *, filtered: bool = False) -> None:
    """Draw a report, or say where there is something to report on."""
    from instrument.analysis.results import Limits
    from instrument.reading import named
    from instrument_cli.rendering.empty import draw_empty
    from instrument_cli.rendering.page import show
    from instrument_cli.rendering.report import draw_report

    config = store.config
    if found.queries.total or found.tools or found.graphql or found.models:
        return show(draw_report(found, Limits.of(config), page, few(found, store, tables, page)), page)
    data, last = found.data, newest(store.source)
    drawn = draw_empty("report", found.period, data, named(store.source), config, last, page, filtered=filtered)
    return show(drawn, page)


def few(found: Report, store: Store, tables: Tables, page: Page) -> list[Line]:
    """The queries of a report one by one, where they are too few for charts."""
    from instrument_cli.rendering.report import FEW_QUERIES

    if not 0 < found.queries.total <= FEW_QUERIES:
        return []
    from instrument.analysis.results import Limits
    from instrument.analysis.search import beginning_like, find
    from instrument_cli.rendering.queries import draw_queries

    listed = find(tables, limit=None)
    others = beginning_like(store.tables, [query.query_id for query in listed])
    return draw_queries(listed, Limits.of(store.config), page, others) if len(listed) <= 2 * FEW_QUERIES else []


def newest(source: str | Path) -> int | None:
    """When the store's newest query started, µs since 1970; None when there is none."""
    from instrument.reading import open_tables

    with open_tables(source) as tables:
        start: int | None = tables.rows("SELECT max(started_us) FROM queries")[0][0]
    return start


def write(found: Report, tables: Tables, chosen: str, *, records: bool) -> None:
    """Write a report, and the records behind it, for other programs."""
    from instrument_cli.rendering import json_output

    if chosen == "csv":
        json_output.show_csv_records(tables.records())
    elif records:
        json_output.show_json_records(tables.records(), tables.loose_selections(), report=found)
    else:
        json_output.show_json({"report": found})
