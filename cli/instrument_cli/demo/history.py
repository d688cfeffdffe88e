"""Invented days before the demo: its own queries again, with a daily rhythm, a bad night, and a tool that got slower.

The demo itself takes some seconds. Trends, forecasts and "worse than in the period before" need days to show anything.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from instrument.rows.decoding import UnreadableError, decoded
from instrument.rows.stored import CallRow, QueryRow, new_serial
from instrument.sinks.segments import SegmentSink

A_DAY = 1500
"""Queries a day, about."""

DAY, HOUR = 86_400.0, 3_600.0

NIGHT = (1.2, 2.7)
"""Hours of the last night, UTC, in which most queries failed: the API did not answer."""

FAILING = 0.7
"""The share that failed then."""

SLOWER = 3
"""How many times as long the tool with the most calls has taken for the last day."""

BATCH = 500

_rows = msgspec.json.Decoder(QueryRow)


def write(store: Path, days: int, since: float, *, seed: int = 7) -> int:
    """Write queries of the `days` days before `since` (seconds since 1970) into a store; returns how many.

    They are those that the store holds from then on, with other ids and times. Writes nothing where there are none.
    """
    kept = list(_outermost(store, since))
    if not kept:
        return 0
    made, moment = random.Random(seed), [since - days * DAY]
    sink = SegmentSink(store, now=lambda: moment[0])
    counted = Counter(call.name for row in kept for call in row.calls if call.kind == "tool")
    slower = counted.most_common(1)[0][0] if counted else ""
    rows = list(_history(kept, made, days, since, slower))
    for place in range(0, len(rows), BATCH):
        batch = rows[place : place + BATCH]
        moment[0] = batch[-1].started / 1e6
        sink.write(batch)
    sink.close()
    return len(rows)


def _outermost(store: Path, since: float) -> Iterator[QueryRow]:
    for file in sorted(store.rglob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                row = decoded(line, _rows)
            except UnreadableError:
                continue  # no query: a selection, or the state of the process
            if row.parent is None and row.started >= since * 1e6:
                yield row


def _history(kept: Sequence[QueryRow], made: random.Random, days: int, now: float, slower: str) -> Iterator[QueryRow]:
    serial, midnight = new_serial(), now - now % DAY
    if now - midnight < NIGHT[1] * HOUR:
        midnight -= DAY
    for hour in range(days * 24, 0, -1):
        begin = now - hour * HOUR
        for at in sorted(made.random() for _ in range(round(A_DAY / 24 * _rhythm(begin)))):
            moment = begin + at * HOUR
            serial += 1
            row = _copy(made.choice(kept), int(moment * 1e6), serial, made.lognormvariate(0, 0.3))
            if moment > now - DAY:
                _slow_down(row, slower)
            if NIGHT[0] * HOUR <= moment - midnight < NIGHT[1] * HOUR and made.random() < FAILING:
                _fail(row)
            yield row


def _rhythm(moment: float) -> float:
    """How busy an hour is, 1 on average; weekends are quieter."""
    hour, weekend = moment % DAY / HOUR, int(moment // DAY + 3) % 7 >= 5
    return (0.4 + 1.2 * max(0.0, math.sin((hour - 6) / 14 * math.pi))) * (0.6 if weekend else 1.2)


def _copy(row: QueryRow, started: int, serial: int, factor: float) -> QueryRow:
    """The same query at another time, all of it so many times as long."""

    def longer(nanoseconds: int | None) -> int | None:
        return None if nanoseconds is None else int(nanoseconds * factor)

    calls = [
        msgspec.structs.replace(call, begin=int(call.begin * factor), duration=longer(call.duration))
        for call in row.calls
    ]
    choice = row.selection and msgspec.structs.replace(row.selection, time=started - 200)
    return msgspec.structs.replace(
        row,
        started=started,
        serial=serial,
        query_id=None,
        calls=calls,
        duration=int(row.duration * factor),
        first_chunk=longer(row.first_chunk),
        selection=choice,
    )


def _slow_down(row: QueryRow, name: str) -> None:
    """Let the calls of a tool take longer, and what comes after them begin later."""
    for place, call in enumerate(row.calls):
        if call.name == name and call.duration is not None:
            more = (SLOWER - 1) * call.duration
            end = call.begin + call.duration
            call.duration += more
            row.duration += more
            for other in row.calls:
                _move(other, place, end, more, row.calls)


def _move(call: CallRow, place: int, end: int, more: int, calls: Sequence[CallRow]) -> None:
    around = calls[place].parent
    if call.begin >= end:
        call.begin += more
    elif around is not None and call is calls[around] and call.duration is not None:
        call.duration += more


def _fail(row: QueryRow) -> None:
    row.status, row.error, row.message = "error", "TransportConnectionFailed", "the API did not answer"
    if row.calls:
        row.calls[-1].status, row.calls[-1].error = "error", "TransportConnectionFailed"
