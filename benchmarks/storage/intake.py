"""Records coming in beside a busy main thread: how many a second, and whether any is lost."""

from __future__ import annotations

import time
from typing import Any

import instrument
from benchmarks.ours import own_store, recorded, rows_written, written_bytes
from benchmarks.subject import busy, fresh_call

RATE = 31_000
"""Queries a second that are offered."""

TICK_SECONDS = 0.01


def take_in(seconds: float) -> dict[str, Any]:
    """Offer `RATE` queries a second on the main thread, which works in Python whenever it is ahead of time.

    Seconds are those of the process's CPU time, all threads together, so that what others do on the machine changes
    nothing; on one that does nothing else they are seconds of the clock. Gives queries a second, what was given and
    stored, how long the final flush took, and bytes a query.
    """
    clock = time.process_time
    with own_store() as store:
        call = fresh_call(recorded())
        began, begin = time.perf_counter(), clock()
        given = ticks = 0
        while clock() - begin < seconds:
            ticks += 1
            while given < ticks * RATE * TICK_SECONDS:
                call()
                given += 1
            while clock() - begin < ticks * TICK_SECONDS:
                busy(5)
        took, wall = clock() - begin, time.perf_counter() - began
        instrument.flush()
        flushed = time.perf_counter() - began
        stored = _queries(store)
        return {
            "given": given,
            "stored": stored,
            "lines": rows_written(store),
            "a_second": stored / took,
            "a_second_of_wall": stored / wall,
            "flushed_after_ms": 1000 * (flushed - wall),
            "bytes_a_query": written_bytes(store) / max(stored, 1),
        }


def _queries(store: Any) -> int:
    """The lines that are queries: a line that says what was dropped is none."""
    health = sum(file.read_bytes().count(b'"type":"health"') for file in store.rglob("*.jsonl"))
    return rows_written(store) - int(health)
