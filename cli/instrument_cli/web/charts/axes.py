"""Where the marks of an axis stand, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from instrument.analysis.wording import day, threshold

_STEPS = (
    *(timedelta(seconds=each) for each in (1, 5, 10, 30)),
    *(timedelta(minutes=each) for each in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=each) for each in (1, 2, 3, 6, 12)),
    *(timedelta(days=each) for each in (1, 2, 7, 14, 28, 91, 364)),
)


def times(start: datetime, end: datetime, zone: tzinfo, most: int) -> list[tuple[float, str]]:
    """Round times within a stretch, each as its share of it, and its label; at most about so many."""
    length = max((end - start).total_seconds(), 1.0)
    step = next((each for each in _STEPS if length / each.total_seconds() <= most), _STEPS[-1])
    local = start.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    marks = []
    moment = midnight + step * math.floor((local - midnight) / step)
    while moment.timestamp() <= end.timestamp():
        share = (moment.timestamp() - start.timestamp()) / length
        if share >= 0:
            marks.append((share, _label(moment, step)))
        moment += step
    return marks


def _label(moment: datetime, step: timedelta) -> str:
    if step >= timedelta(days=1) or (moment.hour == 0 and moment.minute == 0 and moment.second == 0):
        return day(moment)
    return f"{moment:%H:%M:%S}" if step < timedelta(minutes=1) else f"{moment:%H:%M}"


def decades(bounds_ms: Sequence[float]) -> list[tuple[float, str]]:
    """Powers of ten within the bounds of a logarithmic axis, each as its share of it, and its label."""
    if len(bounds_ms) < 2:
        return []
    low, high = math.log10(bounds_ms[0]), math.log10(bounds_ms[-1])
    marks = []
    for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        marks.append(((power - low) / (high - low), short_time(10.0**power)))
    return marks


def place(value_ms: float, bounds_ms: Sequence[float]) -> float:
    """Where a duration lies on a logarithmic axis, as a share of it."""
    low, high = math.log10(bounds_ms[0]), math.log10(bounds_ms[-1])
    return min(1.0, max(0.0, (math.log10(max(value_ms, 1e-6)) - low) / (high - low)))


def short_time(milliseconds: float) -> str:
    """A duration as the mark of an axis: `100 µs`, `10 ms`, `100 s`, `3 h`."""
    if milliseconds < 1:
        return f"{milliseconds * 1000:g} µs"
    if milliseconds < 600_000:
        return threshold(milliseconds)
    hours = milliseconds / 3_600_000
    return f"{hours:.2g} h" if hours < 48 else f"{hours / 24:.3g} d"


def ticks(length: float, most: int) -> list[float]:
    """Round numbers from 0 up to a length, at most about so many."""
    if length <= 0:
        return [0.0]
    smallest = length / max(most, 1)
    power = 10.0 ** math.floor(math.log10(smallest))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= smallest * 0.999)
    return [step * number for number in range(int(length / step + 1e-9) + 1)]
