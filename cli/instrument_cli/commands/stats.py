"""`metrics stats`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument.errors import UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone
from instrument_cli.commands.report import newest

_SORTS = ("time", "failures", "calls", "average", "p95", "cost")


def stats(
    hours: options.DayHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    where: options.Where = None,
    agent: options.Agent = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="Rank the rows by time spent, failures, calls, average, p95 or cost.",
            autocompletion=lambda: list(_SORTS),
        ),
    ] = "time",
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Rows of a table.")] = 20,
    all: Annotated[bool, typer.Option("--all", help="All rows of every table.")] = False,
    exact: options.Exact = None,
    format: options.ShownFormat = "text",
    source: options.Source = None,
) -> None:
    """Show everything in detail. Per agent, tool, operation, model, metric, hour or day.

    \b
    Example: metrics stats --hours 48
             metrics stats --agent crewai --sort failures --top 5
    """
    config, chosen = settings(source), checked_format(format, options.SHOWN_FORMATS)
    if sort not in _SORTS:
        raise UsageError(f"--sort {sort!r} is unknown; choose {', '.join(_SORTS)}")
    span = Span(hours, since, until, tz)
    period = asked_period(config, span, default=24, most=config.longest_report_hours)
    from instrument.analysis.filters import Filter, parsed
    from instrument.analysis.report import check_agent
    from instrument.analysis.results import Limits

    with opened(config, source, period) as store:
        if agent is not None:
            check_agent(store.tables, agent)
        filters = [*parsed(where or ()), *([Filter("agent", "=", agent)] if agent is not None else [])]
        found = store.stats(filters, exact=exact)
        whole = store.source
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument.reading import named
    from instrument_cli.rendering.empty import draw_empty
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.stats import Ranking, draw_stats

    page = current_page(shown_zone(config, span, period), source, filters)
    if found.queries.total or found.agents or found.tools or found.graphql or found.models:
        return show(draw_stats(found, Limits.of(config), page, Ranking(sort, None if all else top)), page)
    data, last = found.data, newest(whole)
    drawn = draw_empty("stats", found.period, data, named(whole), config, last, page, filtered=bool(filters))
    return show(drawn, page)
