"""Numbers as pictures of block characters: bars, columns over an axis, the labels under it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from instrument.analysis.wording import day, threshold
from instrument_cli.rendering.line import Line, Style, line

_RISING = " ▁▂▃▄▅▆▇█"
_GROWING = " ▏▎▍▌▋▊▉█"
_MINUTE_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 28 * 1440)


def bar(share: float, width: int) -> str:
    """A horizontal bar, `share` (0 to 1) of `width` columns long; anything above 0 can be seen."""
    eighths = min(max(round(share * width * 8), 1 if share > 0 else 0), width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_GROWING[rest] if rest else "")


def columns(values: Sequence[float], height: int, highest: float | None = None) -> list[str]:
    """Columns of up to `height` rows, the top row first; the highest value fills it, anything above 0 can be seen."""
    top = highest or max(values, default=0)
    levels = [max(math.ceil(value / top * height * 8 - 1e-9), 1) if value > 0 else 0 for value in values]
    return ["".join(_RISING[min(max(level - row * 8, 0), 8)] for level in levels) for row in reversed(range(height))]


def fitted(values: Sequence[float], width: int) -> tuple[list[float], list[int]]:
    """Values spread over `width` columns at most, and the place each column came from.

    Too many are added up; few are repeated to fill the width, where that does not make the odd one twice as wide.
    """
    number = len(values)
    if number > width:
        together = math.ceil(number / width)
        places = list(range(0, number, together))
        return [math.fsum(values[place : place + together]) for place in places], places
    filled = number if 0.6 * width <= number else width
    places = [column * number // filled for column in range(filled)] if number else []
    return [values[place] for place in places], places


def coloured(row: str, style_of: Callable[[int], Style]) -> Line:
    """A row of columns, each in its style."""
    pieces: list[tuple[str, Style]] = []
    for place, character in enumerate(row):
        style = style_of(place)
        if pieces and (pieces[-1][1] == style or character == " "):
            pieces[-1] = (pieces[-1][0] + character, pieces[-1][1])
        else:
            pieces.append((character, style))
    return Line(*pieces)


def axis(labels: Sequence[tuple[float, str]], width: int) -> Line:
    """Labels under an axis, each beginning a tick at its column; one that would touch another is left out."""
    text = ""
    for column, label in labels:
        begin = round(column)
        if (not text or begin >= len(text) + 2) and begin + len(label) + 1 <= width and begin >= 0:
            text = text.ljust(begin) + "╵" + label
    return line(text, "quiet")


def time_labels(start: datetime, end: datetime, width: int) -> list[tuple[float, str]]:
    """Round times and their columns on an axis from `start` to `end`; a midnight is labelled by its day."""
    minutes = (end - start) / timedelta(minutes=1)
    step = next((step for step in _MINUTE_STEPS if minutes / step * 10 <= width), _MINUTE_STEPS[-1])
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    first = math.ceil((start - midnight) / timedelta(minutes=step))
    labels = []
    for number in range(first, first + int(minutes / step) + 2):
        time = midnight + timedelta(minutes=step * number)
        if time <= end:
            label = day(time) if (time.hour, time.minute) == (0, 0) else f"{time:%H:%M}"
            labels.append(((time - start) / timedelta(minutes=1) / minutes * width, label))
    return labels


def log_labels(bounds_ms: Sequence[float], width: int) -> list[tuple[float, str]]:
    """Decades (1 ms, 10 ms, …), or 1-2-5 steps where they are few, and their columns on a logarithmic axis."""
    low, high = math.log10(bounds_ms[0]), math.log10(bounds_ms[-1])
    steps = (1,) if high - low > 2.2 else (1, 2, 5)
    labels = []
    for exponent in range(math.floor(low), math.ceil(high) + 1):
        for step in steps:
            value = step * 10.0**exponent
            if low - 1e-9 <= math.log10(value) <= high + 1e-9:
                labels.append(((math.log10(value) - low) / (high - low) * width, threshold(value)))
    return labels


def sparkline(values: Sequence[float | None], width: int) -> str:
    """A row of columns over the means of stretches of values; a blank where there is none."""
    together = max(1, math.ceil(len(values) / max(width, 1)))
    parts = [
        [value for value in values[place : place + together] if value is not None]
        for place in range(0, len(values), together)
    ]
    means = [math.fsum(part) / len(part) if part else None for part in parts]
    top = max((abs(mean) for mean in means if mean is not None), default=0.0)
    row = columns([max(mean or 0.0, 0.0) for mean in means], 1, top)[0] if top else "▁" * len(means)
    return "".join(" " if mean is None else max(column, "▁") for mean, column in zip(means, row, strict=True))
