"""`metrics watch`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings
from instrument_cli.commands.reading import Span, agent_filter, asked_period, shown_zone


def watch(
    failed: Annotated[bool, typer.Option("--failed", help="List only queries that failed.")] = False,
    agent: options.Agent = None,
    where: options.Where = None,
    hours: Annotated[
        float | None,
        typer.Option("--hours", metavar="N", show_default="1", help="Cover the last N hours; 0.25 is 15 minutes."),
    ] = None,
    since: options.Since = None,
    tz: options.TimeZone = None,
    source: options.Source = None,
) -> None:
    """Watch queries as they come. Figures, durations over time, the newest queries; a line for each into a pipe.

    \b
    Example: metrics watch
             metrics watch --hours 24 --where agent=crewai
             metrics watch --failed | tee failures.txt
    """
    config, span = settings(source), Span(hours, since, None, tz)
    if source and "://" in source:
        raise UsageError(f"{source} cannot be followed; watch the stores on the machines that record")
    filters = agent_filter(agent, where)
    from instrument.analysis.matching import check

    check(filters)
    first = asked_period(config, span, default=1.0)
    from instrument_cli.watch.feed import Asked, View

    asked = Asked(Path(config.directory), lambda: asked_period(config, span, default=1.0), config)
    view, zone = View(filters, failed), shown_zone(config, span, first)
    if not _is_terminal():
        from instrument_cli.watch.plain_lines import print_lines

        return print_lines(asked, view, zone)
    from instrument.analysis.results import Limits

    try:
        from instrument_cli.watch.screen import Watch
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise UsageError(f"metrics watch needs {missing}: pip install 'agent-instrument[watch]'") from None
    return Watch(asked, view, Limits.of(config), zone).run()


def _is_terminal() -> bool:
    """Whether one can draw on the output and read keys."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
