"""What a command finds in the store, handed on to be drawn or written."""

from __future__ import annotations

from datetime import timedelta

from instrument.analysis.report import report as figures
from instrument.config import Config
from instrument.store.reading import Tables, open_store
from instrument_cli.commands.asked import Period
from instrument_cli.rendering.page import current_page, show
from instrument_cli.rendering.report import Limits, draw_report


def report_as(chosen: str, config: Config, period: Period, *, agent: str | None, records: bool) -> None:
    with open_store(config.directory, since=period.start, until=period.end) as tables:
        found = figures(
            tables,
            hours=period.hours,
            start=period.start,
            end=period.end,
            generated_at=period.end,
            slow_ms=config.slow_query_threshold_ms,
            very_slow_ms=config.very_slow_query_threshold_ms,
            agent=agent,
        )
        page = current_page()
        limits = Limits(config.slow_query_threshold_ms, config.very_slow_query_threshold_ms)
        show(draw_report(found, limits, page), page)
