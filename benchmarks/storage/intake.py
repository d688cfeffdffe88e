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

    Gives queries a second from the first to the end of the final flush, what was given and stored, and bytes a query.
    """
    with own_store() as store:
        call = fresh_call(recorded())
        begin = time.perf_counter()
        given = ticks = 0
        while time.perf_counter() - begin < seconds:
            ticks += 1
            while given < ticks * RATE * TICK_SECONDS:
                call()
                given += 1
            while time.perf_counter() - begin < ticks * TICK_SECONDS:
                busy(5)
        took = time.perf_counter() - begin
        instrument.flush()
        flushed = time.perf_counter() - begin
        stored = _queries(store)
        return {
            "given": given,
            "stored": stored,
            "lines": rows_written(store),
            "a_second": stored / took,
            "flushed_after_ms": 1000 * (flushed - took),
            "bytes_a_query": written_bytes(store) / max(stored, 1),
        }


def _queries(store: Any) -> int:
    """The lines that are queries: a line that says what was dropped is none."""
    health = sum(file.read_bytes().count(b'"type":"health"') for file in store.rglob("*.jsonl"))
    return rows_written(store) - int(health)
