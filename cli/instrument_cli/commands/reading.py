"""What a command reads: the period and the zone that were asked for, and the store, opened."""

from __future__ import annotations

import math
import sys
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.periods import Period
from instrument.analysis.periods import period as worked_out
from instrument.config import Config
from instrument.errors import ConfigError, UsageError
from instrument_cli.commands.arguments import resolved

if TYPE_CHECKING:
    from instrument.analysis.filters import Filter
    from instrument.reading import Store


class Span(NamedTuple):
    """What the command line says of a period: `--hours`, `--since`, `--until`, `--tz`."""

    hours: float | None = None
    since: str | None = None
    until: str | None = None
    time_zone: str | None = None


def asked_period(config: Config, span: Span, *, default: float | None = None, most: float = math.inf) -> Period:
    """The period that the command line asks for, of `default` hours where it says nothing.

    A period that is longer than `most` hours is cut, with a word on standard error. Raises UsageError for what is no
    period, ConfigError when the setting `time_zone` names none.
    """
    if span.time_zone is None and config.time_zone:
        _check_zone(config.time_zone)
    found = worked_out(
        hours=span.hours,
        since=span.since,
        until=span.until,
        time_zone=span.time_zone or config.time_zone or None,
        default_hours=default,
        most_hours=most,
    )
    if found.note:
        from instrument_cli.rendering.notes import warn

        warn(found.note)
    return found


def _check_zone(name: str) -> None:
    from instrument.analysis.periods import zone_of

    try:
        zone_of(name)
    except UsageError as error:
        raise ConfigError("time_zone", resolved().sources["time_zone"], str(error)) from None


def shown_zone(config: Config, span: Span, period: Period) -> tzinfo:
    """The zone to show times in: the one that was asked for, else local in a terminal and UTC anywhere else."""
    return period.zone if span.time_zone or config.time_zone or sys.stdout.isatty() else UTC


def opened(config: Config, source: str | None, period: Period) -> Store:
    """The store that is asked for, opened for a period; a context manager. Raises StoreError, UsageError."""
    from instrument.reading import open_period

    return open_period(source if source and "://" in source else config.directory, period, config)


def agent_filter(agent: str | None, where: list[str] | None) -> tuple[Filter, ...]:
    """What `--agent` and `--where` come to together. Raises UsageError for what is no filter."""
    from instrument.analysis.filters import Filter, parsed

    return (*((Filter("agent", "=", agent),) if agent is not None else ()), *parsed(where or ()))
