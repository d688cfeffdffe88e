"""Say what to do when a period holds nothing to report on."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from instrument.analysis.results import DataFigures, Period
from instrument.analysis.wording import ago, hours, span
from instrument.config import Config
from instrument_cli.rendering.follow_up import of_store
from instrument_cli.rendering.line import Command, Line, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import describe_losses
from instrument_cli.rendering.table import paragraph
from instrument_cli.rendering.text import plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def draw_empty(
    command: str,
    period: Period,
    data: DataFigures,
    source: str,
    config: Config,
    newest_us: int | None,
    page: Page,
    *,
    filtered: bool = False,
) -> list[Line]:
    """Where the store (`source`) is, how far back its newest query lies, and what `command` to ask with.

    `filtered` says that only queries with certain properties were asked for: then the newest of all says nothing.
    """
    covered = f"in the last {hours(period.hours)}"
    if period.end != period.generated_at:
        covered = f"from {span(period.start, period.end)}"
    place = f"{covered} in the store {plain(source)}"
    if filtered:
        text = f"No query {place} passes every filter; leave one out, or widen the period."
        return [line(text)] if not page.bounded else paragraph(text, page, 0)
    message = f"No queries {place}"
    advice, shown = _advice(command, period.generated_at, newest_us, config, page)
    lost = [joined(describe_losses(data), "   ")] if data.dropped or data.skipped else []
    text = f"{message}; {advice}"
    if not page.bounded:
        return [line(f"{text} {plain(shown)}"), *lost]
    return [*paragraph(text, page, 0), Command((f"   {plain(shown)}", "")), *lost]


def _advice(command: str, now: datetime, newest_us: int | None, config: Config, page: Page) -> tuple[str, str]:
    """What to do, and the command to do it with."""
    if newest_us is None:
        return "it has none at all. Decorate an agent, or try:", "metrics demo"
    newest = _EPOCH + timedelta(microseconds=newest_us)
    if newest > now:
        return f"its newest is from the future ({ago(newest, now)}). Try:", of_store("metrics doctor", page)
    needed = math.ceil((now - newest) / timedelta(hours=1) + 0.01)
    allowed = f"INSTRUMENT_MAX_REPORT_HOURS={needed} " if needed > config.longest_report_hours else ""
    return f"its newest came {ago(newest, now)}. Try:", allowed + of_store(f"metrics {command} --hours {needed}", page)
