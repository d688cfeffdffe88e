"""`metrics report`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.asked import checked_format, last, settings


def report(
    hours: options.ReportHours = None,
    format: options.ReportFormat = "text",
    agent: options.Agent = None,
    records: Annotated[bool, typer.Option("--records/--no-records", help="Whether JSON holds the records too.")] = True,
    directory: options.Directory = None,
) -> None:
    """Show how the last hours went: queries, agents, times, entities, tools, failures.

    \b
    Example: metrics report --hours 24
             metrics report --format json | jq .report.response_times.p95_ms
    """
    config, chosen = settings(directory), checked_format(format, options.REPORT_FORMATS)
    period = last(config.default_report_hours if hours is None else hours, config.max_report_hours)
    from instrument_cli.answers import report_as

    report_as(chosen, config, period, agent=agent, records=records)
