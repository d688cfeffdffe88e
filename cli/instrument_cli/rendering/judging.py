"""What colour a figure gets: colour has a meaning, and what is as usual has none."""

from __future__ import annotations

from instrument.analysis.results import Limits
from instrument.analysis.wording import count, percent
from instrument_cli.rendering.line import Line, Style, line


def health(success_rate: float | None) -> Style:
    """The colour of the success rate of a whole period."""
    if success_rate is None or success_rate >= 0.99:
        return "good"
    return "slow" if success_rate >= 0.95 else "bad"


def speed(milliseconds: float | None, limits: Limits) -> Style:
    """The colour of a duration."""
    if milliseconds is None or milliseconds <= limits.slow_ms:
        return ""
    return "slow" if milliseconds <= limits.very_slow_ms else "very slow"


def failures(failed: float, total: float, outstanding: bool) -> Line:
    """A number of failures and their share of `total`: red only where they stand out of their peers."""
    if not failed or not total:
        return line(f"{count(failed)}        ", "quiet")
    return line(f"{count(failed)} {percent(failed / total):>7}", "bad" if outstanding else "")
