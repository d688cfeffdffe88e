"""`metrics compact`."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from instrument.config import Config
from instrument.errors import InstrumentError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings

LEARNED_HOURS = 28 * 24.0
"""Predictions are learned from the last four weeks."""


def compact(directory: options.Directory = None) -> None:
    """Compress days that are over, drop expired ones. The setting retention_days says which; safe beside writers.

    What `metrics predict` goes by is learned anew, and what `metrics report` points at is worked out.

    \b
    Example: metrics compact
             0 4 * * * metrics compact --directory /srv/agents/monitoring     (a line in a crontab)
    """
    config = settings(directory)
    from instrument.store.upkeep import compaction
    from instrument_cli.rendering.notes import show_compaction
    from instrument_cli.rendering.progress import progress

    now = datetime.now(UTC)
    with progress("Compacting", lambda: _days_left(Path(config.directory), now)):
        done = compaction.compact(
            config.directory, now=now, retention_days=config.retention_days, cursor_days=config.cursor_days
        )
    show_compaction(done, config.retention_days)
    _renew_predictions(config, now)
    _renew_findings(config, now)


def _renew_predictions(config: Config, now: datetime) -> None:
    """Learn anew what queries take; whatever keeps it from that, the store is compacted."""
    from instrument.analysis.learning import renew
    from instrument.analysis.periods import period
    from instrument.reading import open_period

    with (
        suppress(InstrumentError, OSError),
        open_period(config.directory, period(hours=LEARNED_HOURS), config) as store,
    ):
        renew(store.directory, store.tables, round(now.timestamp() * 1e6))


def _renew_findings(config: Config, now: datetime) -> None:
    """Look anew for what `metrics report` points at; whatever keeps it from that, the store is compacted."""
    from instrument.analysis import notices
    from instrument.analysis.periods import period
    from instrument.reading import open_period
    from instrument_cli.commands.forecast import WEEKS_8

    zone = config.time_zone or None
    asked = notices.read(Path(config.directory)).capacity
    with suppress(InstrumentError, OSError):
        with open_period(config.directory, period(hours=LEARNED_HOURS, time_zone=zone), config) as store:
            notices.keep_findings(store.directory, store.trends())
        if asked is not None:
            with open_period(config.directory, period(hours=WEEKS_8, time_zone=zone), config) as store:
                found = store.capacity(asked.workers, target_p95=asked.target_s)
            notices.keep_capacity(store.directory, found, now)


def _days_left(directory: Path, now: datetime) -> int:
    from instrument.store.layout import list_days
    from instrument.store.upkeep.compaction import GRACE

    return (
        sum(bool(day.segments) for day in list_days(directory) if day.end + GRACE <= now) if directory.is_dir() else 0
    )
