"""Memory is bounded by settings, not by the size of the store: each command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from store_rows import NOON, SERIAL, query

from instrument.rows.stored import CallRow, Origin, encode_lines

LATER = NOON + timedelta(days=3)
DAY = "2026-03-10"
QUERIES, A_SEGMENT = 160_000, 10_000

COMPACTING = """
import sys
from datetime import datetime
from instrument.store.upkeep import compaction

def peak_mb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

compaction.connect(compaction.MEMORY).close()
before = peak_mb()
compaction.MEMORY, compaction.PART_BYTES = "70MB", 5 << 20
done = compaction.compact(sys.argv[1], now=datetime.fromisoformat(sys.argv[2]), retention_days=30)
print(done.queries, done.bytes_before >> 20, round(peak_mb() - before))
"""


def fill(store: Path) -> None:
    """Segments of a likely shape: the same lines again and again, under other times and serials."""
    (store / DAY).mkdir(parents=True)
    calls = [
        CallRow(f"find_customers_{number}", number * 10_000_000, duration=9_000_000 + number) for number in range(5)
    ]
    begin = int((NOON - timedelta(hours=10)).timestamp() * 1e6)
    rest = [
        encode_lines(
            [query(user_input=f"bills {number * 7919}", calls=calls, duration=number, origin=Origin("host", 42))]
        ).partition(b',"a"')[2]
        for number in range(1000)
    ]
    for first in range(0, QUERIES, A_SEGMENT):
        lines = (
            b'{"t":%d,"i":%d,"a"%s' % (begin + number * 100_000, SERIAL + number, rest[number % 1000])
            for number in range(first, first + A_SEGMENT)
        )
        (store / DAY / f"{first:06}-42-0badcafe.jsonl").write_bytes(b"".join(lines))


def test_a_day_is_compacted_in_memory_that_its_size_does_not_change(tmp_path: Path) -> None:
    fill(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", COMPACTING, str(tmp_path), LATER.isoformat()]
    told = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True).stdout.split()
    queries, megabytes, more = map(int, told)
    assert queries == QUERIES
    assert megabytes > 45
    assert more < 140
    assert len(list(tmp_path.glob("*/*"))) == 1
