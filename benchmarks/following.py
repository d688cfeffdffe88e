"""Following a store: how soon a record is seen, what waiting costs, how fast a follower catches up.

All three over a store of a thousand segments, as a thousand processes leave in an hour: the newest is written to by a
process of its own, through the store's own sink.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.processes import environment
from benchmarks.progress import say
from benchmarks.results import Check, Section, Table, limit, measured_again, number
from benchmarks.storage.filling import fill
from instrument.records import QueryRecord
from instrument.rows.stored import QueryRow, encode_lines
from instrument.store.tail import follow

SEGMENTS = 1000
QUERIES = 60_000
_PAUSE_SECONDS = 0.06

_WRITER = f"""
import sys, time
from instrument.rows.stored import QueryRow
from instrument.sinks.segments import SegmentSink
sink = SegmentSink(sys.argv[1])
time.sleep(1)
for number in range(int(sys.argv[2])):
    sink.write([QueryRow(int(time.time() * 1e6), number, "a", "", "flushed", [], result_size=time.monotonic_ns())])
    time.sleep({_PAUSE_SECONDS})
"""

_IDLE = """
import os, sys, threading, time
from instrument.store.tail import follow
follower = follow(sys.argv[1], wait=None)
def ended():
    time.sleep(float(sys.argv[2]))
    began, spent = time.monotonic(), time.process_time()
    time.sleep(float(sys.argv[3]))
    print((time.process_time() - spent) / (time.monotonic() - began), flush=True)
    os._exit(0)
threading.Thread(target=ended).start()
sum(1 for _ in follower)
"""


class Followed(Struct, frozen=True):
    """Latencies in ms (the middle, and of 95 %), the share of a core while idle, queries a CPU second."""

    seen_ms: float
    seen_p95_ms: float
    idle_percent: float
    queries_per_second: float
    compacted_per_second: float


def run(short: bool = False) -> Section:
    """Measure following."""
    say("following: latency, waiting, catching up")
    followed = measured_again(lambda longer: measure(longer * (1 if short else 4)), _checks)
    rows = [
        ("a record seen after its flush, middle", f"{number(followed.seen_ms)} ms"),
        ("a record seen after its flush, 95 %", f"{number(followed.seen_p95_ms)} ms"),
        ("waiting, of a core", f"{number(followed.idle_percent)} %"),
        ("catching up, from segments", f"{number(followed.queries_per_second)} queries a CPU second"),
        ("catching up, from compacted files", f"{number(followed.compacted_per_second)} queries a CPU second"),
    ]
    table = Table(f"Following a store of {SEGMENTS:,} segments", ("what", "figure"), rows)
    return Section("following", [table], list(_checks(followed)), msgspec.to_builtins(followed))


def _checks(followed: Followed) -> list[Check]:
    return [
        Check("a record seen, 95 %", followed.seen_p95_ms, limit("following", "seen_p95_ms"), "ms"),
        Check("waiting, of a core", followed.idle_percent, limit("following", "idle_percent"), "%"),
        Check("catching up", followed.queries_per_second, limit("following", "queries_per_second"), "a CPU second"),
    ]


def measure(longer: int = 1) -> Followed:
    """Measure all of it, for so many times as long."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        _many_segments(store)
        seen = sorted(_latencies(store, 50 * longer))
        idle = min(_idle(store, 5.0 * longer) for _ in range(2))
        full = Path(folder, "full")
        fill(full, QUERIES, 0, time.time() - 60)
        rate = max(_rate(full) for _ in range(3 * longer))
        _compact(full)
        compacted = max(_rate(full) for _ in range(2 * longer))
    return Followed(seen[len(seen) // 2], seen[len(seen) * 19 // 20], 100 * idle, rate, compacted)


def _many_segments(store: Path) -> None:
    now = time.time()
    folder = store / time.strftime("%Y-%m-%d", time.gmtime(now))
    folder.mkdir(parents=True)
    for place in range(SEGMENTS):
        row = QueryRow(int(now * 1e6), place, "a", "", "cold", [])
        (folder / f"000000-{place}-00000000.jsonl").write_bytes(encode_lines([row]))


def _latencies(store: Path, count: int) -> list[float]:
    """ms from just before a record is written to when the follower gives it."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(store), str(count)], env=environment())
    try:
        found = []
        with follow(store, wait=10) as follower:
            for record in follower:
                if isinstance(record, QueryRecord) and record.name == "flushed":
                    found.append((time.monotonic_ns() - (record.result_size_bytes or 0)) / 1e6)
                    if len(found) == count:
                        break
    finally:
        writer.wait(timeout=60)
    return found


def _idle(store: Path, seconds: float) -> float:
    arguments = [sys.executable, "-c", _IDLE, str(store), "2", str(seconds)]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=True, timeout=600)
    return float(done.stdout)


def _rate(store: Path) -> float:
    began = time.process_time()
    with follow(store, wait=0) as follower:
        queries = sum(map(len, follower.batches()))
    return queries / (time.process_time() - began)


def _compact(store: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from instrument.store.upkeep.compaction import compact

    compact(store, now=datetime.now(UTC) + timedelta(days=2), retention_days=30)
