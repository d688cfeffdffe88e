"""`metrics report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, last, settings

if TYPE_CHECKING:
    from instrument.analysis.results import Period, Report
    from instrument.config import Config
    from instrument.store.tables import Tables


def report(
    hours: options.ReportHours = None,
    format: options.ReportFormat = "text",
    agent: options.Agent = None,
    records: Annotated[bool, typer.Option("--records/--no-records", help="Whether JSON holds the records too.")] = True,
    directory: options.Directory = None,
) -> None:
    """Show how the last hours went. Queries, agents, times, entities, tools, failures, on one page.

    \b
    Example: metrics report --hours 24
             metrics report --format json | jq .report.response_times.p95_ms
    """
    config = settings(directory)
    chosen = checked_format(format, options.REPORT_FORMATS, config.export_formats)
    period = last(config.default_report_hours if hours is None else hours, config.longest_report_hours)
    from instrument.store.tables import open_store

    with open_store(config.directory, since=period.start, until=period.end) as tables:
        found = figures(tables, period, config, agent)
        if chosen == "text":
            draw(found, config)
        else:
            write(found, tables, chosen, agent=agent, records=records)


def figures(tables: Tables, period: Period, config: Config, agent: str | None = None) -> Report:
    """The report of a period."""
    from instrument.analysis.report import report as analysed
    from instrument.analysis.results import Limits

    return analysed(tables, period, Limits.of(config), agent=agent)


def draw(found: Report, config: Config) -> None:
    """Draw a report, or say where there is something to report on."""
    from instrument.analysis.results import Limits
    from instrument_cli.rendering.empty import draw_nothing
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.report import draw_report

    page = current_page()
    if found.queries.total or found.tools or found.graphql:
        show(draw_report(found, Limits.of(config), page), page)
    else:
        show(draw_nothing("report", found.period, found.data, config, newest(config.directory)), page)


def newest(directory: str) -> int | None:
    """When the store's newest query started, µs since 1970; None when there is none."""
    from instrument.store.tables import open_store

    with open_store(directory) as tables:
        start: int | None = tables.rows("SELECT max(started_us) FROM queries")[0][0]
    return start


def write(found: Report, tables: Tables, chosen: str, *, agent: str | None, records: bool) -> None:
    """Write a report, and the records behind it, for other programs."""
    from instrument_cli.rendering import json_output

    queries = tables.records() if agent is None else tables.records("agent_type = $agent", {"agent": agent})
    if chosen == "csv":
        json_output.show_csv_records(queries)
    elif records:
        json_output.show_json_records(queries, tables.loose_selections() if agent is None else (), report=found)
    else:
        json_output.show_json({"report": found})
