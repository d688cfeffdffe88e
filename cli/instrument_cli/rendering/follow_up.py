"""The commands that stand below figures and lead to the queries behind them.

Whoever copies one must see what the figure was worked out from: the same store, filters and period.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from instrument.analysis.results import Period
from instrument.analysis.wording import is_whole_minutes
from instrument_cli.rendering.line import Command, Line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import INDENT
from instrument_cli.rendering.text import plain

_MINUTE = 1 / 60
"""Hours: a shorter period that ends now would be over by the time its command is run."""


def behind(period: Period, page: Page, *options: str) -> str:
    """The command that lists the queries of a report with these options, by the filters that were asked for."""
    filters = [word for each in page.where for word in ("--where", each)]
    return shlex.join(["metrics", "queries", *filters, *options, *_covered(period)])


def _covered(period: Period) -> list[str]:
    if period.end == period.generated_at and period.hours >= _MINUTE and is_whole_minutes(period.hours):
        return ["--hours", f"{period.hours:.12g}"]
    end = [] if period.end == period.generated_at else ["--until", _written(period.end)]
    return ["--since", _written(period.start), *end]


def _written(moment: datetime) -> str:
    exact = moment.astimezone(UTC)
    return f"{exact:%Y-%m-%dT%H:%M}Z" if not (exact.second or exact.microsecond) else f"{exact:%Y-%m-%dT%H:%M:%S}Z"


def of_store(command: str, page: Page) -> str:
    """A command that reads the store which was asked for."""
    return f"{command} --from {shlex.quote(page.source)}" if page.source else command


def hint(command: str, page: Page, indent: int = INDENT) -> list[Line]:
    """A command on one line below the figures that it explains; indented less where it only fits so."""
    shown = plain(of_store(command, page))
    fits = len(shown) + indent < page.width
    return [Command((" " * (indent if fits else 1) + shown, "quiet"))]
