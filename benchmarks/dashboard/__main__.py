"""`python -m benchmarks.dashboard STORE`: what the dashboard takes to paint, to send, to hold and to keep up to date.

STORE is filled with a million queries over 30 days first where it is empty, and its closed days are compacted, as
`metrics compact` leaves them. Times depend on the machine and on what else it does: the load is printed, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.dashboard import painting
from benchmarks.dashboard.filling import fill
from benchmarks.dashboard.watching import processor_seconds, share_of_a_core
from instrument.store.upkeep.compaction import compact

PAGES = ("/", "/queries", "/agents", "/tools")
WATCHED = ((0, 1), (0, 100), (90, 1), (90, 100))
"""New queries a second, and watchers."""


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--queries", type=int, default=painting.QUERIES)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each load lasts")
    parser.add_argument("--no-browser", action="store_true")
    asked = parser.parse_args()
    if not asked.store.is_dir():
        fill(asked.store, asked.queries, painting.DAYS, time.time())
        compact(asked.store, now=datetime.now(UTC), retention_days=painting.DAYS + 2)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    server = subprocess.Popen(
        [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", str(asked.store)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[0].rstrip("/")
        first = _seconds(address + "/")
        print(f"first answer after the start: {first * 1000:.0f} ms")
        _wait_for_counters(address)
        _print_answers(address, server.pid)
        if not asked.no_browser:
            painting.measure(address + "/", server.pid)
        for rate, watchers in WATCHED:
            share = share_of_a_core(address, server.pid, asked.store, watchers, rate, asked.seconds)
            print(f"{rate} queries/s, {watchers} watchers: {share:.1%} of a core, {painting.memory(server.pid):.0f} MB")
    finally:
        server.terminate()
        server.wait(10)


def _print_answers(address: str, process: int) -> None:
    """How long pages take to answer that nobody has asked for before, and then again."""
    for page in PAGES:
        for period in ("24h", "7d"):
            before = processor_seconds(process)
            uncached = _seconds(f"{address}{page}?period={period}&tz=Europe/Berlin")
            spent = processor_seconds(process) - before
            again = statistics.median(_seconds(f"{address}{page}?period={period}&tz=Europe/Berlin") for _ in "1234")
            print(
                f"{page} {period}: uncached {uncached * 1000:.0f} ms ({spent * 1000:.0f} ms of processor time),"
                f" then {again * 1000:.0f} ms"
            )
    ready = statistics.median(_seconds(address + "/") for _ in range(9))
    print(f"the overview, kept ready: {ready * 1000:.0f} ms")
    print(f"memory {painting.memory(process):.0f} MB")


def _wait_for_counters(address: str) -> None:
    """Wait until the counters for Prometheus have read the history, which they do once for a store."""
    for _ in range(600):
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{address}/healthz", timeout=60) as answer:
            if json.load(answer)["metrics"]["state"] == "counting":
                return
        time.sleep(0.5)


def _seconds(address: str) -> float:
    begun = time.perf_counter()
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
