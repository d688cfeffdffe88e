"""`metrics queries`."""

from __future__ import annotations

from typing import Annotated

import typer

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, settings
from instrument_cli.commands.options import SORTS
from instrument_cli.commands.reading import Span, asked_period, opened, shown_zone


def queries(
    failed: Annotated[bool, typer.Option("--failed", help="Only queries that failed.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Only those above slow_query_threshold_ms.")] = False,
    agent: options.Agent = None,
    contains: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only with this in the input, error, agent or id.")
    ] = None,
    where: options.Where = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="By time, duration, tokens, cost or calls, the newest or greatest first.",
            autocompletion=lambda: list(SORTS),
        ),
    ] = "time",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most N of them.")] = 20,
    hours: options.AnyHours = None,
    since: options.Since = None,
    until: options.Until = None,
    tz: options.TimeZone = None,
    format: options.ListedFormat = "text",
    source: options.Source = None,
) -> None:
    """List single queries, the newest first. From a figure to what is behind it.

    \b
    Example: metrics queries --failed --limit 5
             metrics queries --contains "unpaid bills"
             metrics queries --where 'duration>5s' --where tool=find_customers --sort duration
    """
    config, chosen = settings(source), checked_format(format, options.LISTED_FORMATS)
    span = Span(hours, since, until, tz)
    period = asked_period(config, span)
    from instrument.analysis.results import Limits, QueryLine
    from instrument.analysis.search import beginning_like, find

    with opened(config, source, period) as store:
        found = find(
            store.picked(where or ()),
            failed=failed,
            slow_ms=config.slow_query_threshold_ms if slow else None,
            agent=agent,
            contains=contains,
            sort=sort,
            limit=limit,
        )
        others = beginning_like(store.tables, [query.query_id for query in found])
    if chosen != "text":
        from instrument_cli.rendering import json_output

        return json_output.show_json(found) if chosen == "json" else json_output.show_csv_rows(QueryLine, found)
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.queries import draw_queries

    page = current_page(shown_zone(config, span, period), source)
    return show(draw_queries(found, Limits.of(config), page, others, sort), page)
