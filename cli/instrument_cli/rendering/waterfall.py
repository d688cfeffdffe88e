"""Draw a query's calls on a time axis: a line each, nested ones indented, failed ones red, late ones marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from instrument.analysis.wording import count, dollars, duration, threshold
from instrument.records import CallRecord, QueryRecord
from instrument_cli.rendering.charts import axis
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.text import plain, shortened

_STEPS = (1, 2, 5)


def draw_waterfall(query: QueryRecord, page: Page) -> list[Line]:
    """The calls of a query beneath an axis that begins when the query does."""
    rows = _in_order(query.calls)
    labels = ["  " * depth + plain(call.name) for depth, call in rows]
    names = max(len("Calls") - 2, *map(len, labels))
    names = min(names, max(page.width * 3 // 8, 12)) if page.bounded else names
    room = max(page.width - names - 3 - 10 - 3, 8 if page.bounded else 20)
    length = max(query.duration_ms, *(call.start_ms + (call.duration_ms or 0) for call in query.calls)) or 1.0
    heads = line(" Calls", "title").padded(names + 15) + axis(_ticks(length, room), room)
    drawn = [heads]
    for (_, call), label in zip(rows, labels, strict=True):
        facts = line("   ") + line(shortened(label, names)).padded(names)
        took = line(duration(call.duration_ms).rjust(10), "bad" if not call.success else "")
        drawn.append(joined([facts + took, _bar(call, query, length, room)], "  "))
        remark = _remark(call)
        if remark and page.bounded:
            drawn.append(line(" " * (3 + len(label) - len(label.lstrip()) + 2)) + remark)
        elif remark:
            drawn[-1] = joined([drawn[-1].padded(names + 15 + room), remark], "  ")
    return drawn


def _in_order(calls: Sequence[CallRecord]) -> list[tuple[int, CallRecord]]:
    """Each call after the one around it, with its depth."""
    inside: dict[int | None, list[int]] = {}
    for place, call in enumerate(calls):
        around = call.parent if call.parent is not None and 0 <= call.parent < place else None
        inside.setdefault(around, []).append(place)
    ordered = []
    waiting = [(place, 0) for place in reversed(inside.get(None, []))]
    while waiting:
        place, depth = waiting.pop()
        ordered.append((depth, calls[place]))
        waiting += [(inner, depth + 1) for inner in reversed(inside.get(place, []))]
    return ordered


def _bar(call: CallRecord, query: QueryRecord, length: float, room: int) -> Line:
    begin = min(int(call.start_ms / length * room), room - 1)
    style: Style = "bar" if call.success else "bad"
    if call.duration_ms is None:
        end = max(int(query.duration_ms / length * room), begin + 2)
        return line(" " * begin) + line("░" * (end - begin - 1) + "▶", "slow")
    end = max(min(round((call.start_ms + call.duration_ms) / length * room), room), begin + 1)
    over = min(max(round(query.duration_ms / length * room), begin), end) if call.late else end
    return line(" " * begin) + line("▆" * (over - begin), style) + line("▒" * (end - over), style)


def _remark(call: CallRecord) -> Line | None:
    words: list[Line] = [line(_used(call), "quiet")] if call.kind == "model" else []
    if call.duration_ms is None:
        words.append(line("never ended", "slow"))
    elif not call.success:
        failure = ": ".join(plain(text) for text in (call.error_type or call.status, call.error_message) if text)
        words.append(line(failure, "bad"))
    if call.late:
        words.append(line("late: ended after its query", "slow"))
    return joined(words, ", ") if words else None


def _used(call: CallRecord) -> str:
    """What a model call used, as far as that is known."""
    facts = (
        "model" if call.model in (None, call.name) else f"model {plain(call.model)}",
        "" if call.input_tokens is None else f"{count(call.input_tokens)} in",
        "" if call.output_tokens is None else f"{count(call.output_tokens)} out",
        "" if call.first_chunk_ms is None else f"first chunk {duration(call.first_chunk_ms)}",
        "" if call.cost_usd is None else dollars(call.cost_usd),
    )
    return "   ".join(fact for fact in facts if fact)


def _ticks(length: float, room: int) -> list[tuple[float, str]]:
    smallest = length / max(room // 12, 1)
    exponent = math.floor(math.log10(smallest))
    step = next(
        size * 10.0**power
        for power in (exponent, exponent + 1)
        for size in _STEPS
        if size * 10.0**power >= smallest * 0.999
    )
    return [
        (time / length * room, (threshold(time) if time < 120_000 else duration(time)) if time else "0")
        for time in _multiples(step, length)
    ]


def _multiples(step: float, end: float) -> list[float]:
    return [step * number for number in range(int(end / step + 1e-9) + 1)]
