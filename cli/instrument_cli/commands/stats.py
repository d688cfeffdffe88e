"""`metrics stats`."""

from __future__ import annotations

from instrument_cli.commands import options
from instrument_cli.commands.arguments import checked_format, last, settings
from instrument_cli.commands.report import newest


def stats(
    hours: options.Hours = 24,
    agent: options.Agent = None,
    format: options.ShownFormat = "text",
    directory: options.Directory = None,
) -> None:
    """Show everything in detail. Per agent, per tool, per operation, per hour.

    \b
    Example: metrics stats --hours 48
             metrics stats --agent crewai
    """
    config, chosen = settings(directory), checked_format(format, options.SHOWN_FORMATS)
    period = last(hours, config.longest_report_hours)
    from instrument.analysis.results import Limits
    from instrument.analysis.stats import stats as analysed
    from instrument.store.tables import open_store

    with open_store(config.directory, since=period.start, until=period.end) as tables:
        found = analysed(tables, period, Limits.of(config), agent=agent)
    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        return show_json(found)
    from instrument_cli.rendering.empty import draw_nothing
    from instrument_cli.rendering.page import current_page, show
    from instrument_cli.rendering.stats import draw_stats

    page = current_page()
    if found.queries.total or found.agents or found.tools or found.graphql:
        return show(draw_stats(found, Limits.of(config), page), page)
    return show(draw_nothing("stats", found.period, found.data, config, newest(config.directory)), page)
