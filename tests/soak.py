"""A long soak: processes × threads × queries in, exactly as many records out, each once, beside reports and compaction.

    python tests/soak.py [--minutes 10] [--processes 4] [--threads 4] [--queries 20000]

Rounds follow each other until the time is up. In each, processes are forked and spawned, every thread asks its
queries with a tool call inside, and meanwhile the store is reported on and compacted. Afterwards every record is
counted in the store as readers see it. It ends with status 1 at the first record too few or too many.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from instrument import configure, track_query, track_tool
from instrument.analysis.report import report
from instrument.errors import InstrumentError
from instrument.store.compaction import compact
from instrument.store.reading import open_store


@track_tool
def look(text: str) -> str:
    return text


@track_query(agent="soak")
def ask(text: str) -> str:
    return look(text)


def work(directory: str, name: str, threads: int, queries: int) -> None:
    """One process: `threads` threads that ask `queries` queries each, every text once."""
    configure(directory=directory, on_full="wait", flush_interval_ms=20)

    def record(thread: int) -> None:
        for number in range(queries):
            ask(f"{name}-{thread}-{number}")

    started = [threading.Thread(target=record, args=(thread,)) for thread in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def disturb(directory: Path, stop: threading.Event) -> None:
    """Report on the store again and again, and compact it, while it is written to."""
    while not stop.wait(0.2):
        try:
            figures(directory)
            # As if the day were over: the segments that are being written to are among those it takes.
            compact(directory, now=datetime.now(UTC) + timedelta(days=1), retention_days=30)
        except InstrumentError as error:
            if "no store here yet" not in str(error):
                raise


def figures(directory: Path) -> float:
    now = datetime.now(UTC)
    with open_store(directory) as tables:
        found = report(
            tables, hours=24, start=now - timedelta(hours=24), end=now, generated_at=now, slow_ms=5e3, very_slow_ms=3e4
        )
        return found.queries.total


def counted(directory: Path) -> tuple[int, int, int]:
    """How many queries, how many different ones, and how many tool calls a reader finds."""
    with open_store(directory) as tables:
        [(queries, different)] = tables.rows("SELECT count(*), count(DISTINCT user_input) FROM queries")
        [(calls,)] = tables.rows("SELECT count(*) FROM calls")
    return queries, different, calls


def soak(processes: int, threads: int, queries: int, number: int) -> bool:
    """One round; returns whether every record arrived once."""
    with tempfile.TemporaryDirectory() as folder:
        store, stop = Path(folder, "store"), threading.Event()
        disturber = threading.Thread(target=disturb, args=(store, stop), daemon=True)
        context = multiprocessing.get_context("fork" if number % 2 == 0 else "spawn")
        started = [
            context.Process(target=work, args=(str(store), f"p{process}", threads, queries))
            for process in range(processes)
        ]
        for process in started:
            process.start()
        disturber.start()
        for process in started:
            process.join()
        stop.set()
        disturber.join()
        wanted = processes * threads * queries
        found = counted(store)
        print(f"round {number}: {wanted} in, {found[0]} out, {found[1]} different, {found[2]} calls", flush=True)
        return found == (wanted, wanted, wanted) and all(process.exitcode == 0 for process in started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--queries", type=int, default=20_000)
    given = parser.parse_args()
    end, number = time.monotonic() + given.minutes * 60, 0
    while number == 0 or time.monotonic() < end:
        if not soak(given.processes, given.threads, given.queries, number):
            return 1
        number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
