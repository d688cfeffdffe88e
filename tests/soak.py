"""A long soak: processes × threads × queries in, exactly as many records out, each once, beside upkeep and reports.

    python tests/soak.py [--minutes 10] [--processes 4] [--threads 4] [--queries 20000]
    python tests/soak.py --kills 1000

Rounds follow each other until the time is up. In each, processes are forked or spawned, and every thread asks its
queries with a tool call inside. A round is a day: the clocks of its processes are ahead by as many days as rounds have
gone by, and meanwhile the days before it are compacted, and dropped when they have expired. Reports run all the time.
Afterwards every record that has not expired is counted in the store as readers see it. It ends with status 1 at the
first record too few or too many.

With `--kills`, processes that record are killed at that many random moments instead: see keeping/kills.py.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from instrument import configure, track_query, track_tool
from instrument.analysis.report import report
from instrument.analysis.results import Limits, Period
from instrument.errors import InstrumentError
from instrument.sinks.segments import SegmentSink
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact

RETENTION_DAYS = 5
DAY = 86_400


@track_tool
def look(text: str) -> str:
    return text


@track_query(agent="soak")
def ask(text: str) -> str:
    return look(text)


def work(directory: str, name: str, threads: int, queries: int, ahead: int) -> None:
    """One process, its clock `ahead` seconds: `threads` threads that ask `queries` queries each, every text once."""
    now, now_ns = time.time, time.time_ns
    time.time_ns = lambda: now_ns() + ahead * 10**9
    SegmentSink.__init__.__defaults__ = (lambda: now() + ahead,)  # type: ignore[misc]
    configure(directory=directory, on_full="wait", flush_interval_ms=20)

    def record(thread: int) -> None:
        for number in range(queries):
            ask(f"{name}-{thread}-{number}")

    started = [threading.Thread(target=record, args=(thread,)) for thread in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


class Disturber(threading.Thread):
    """Report on the store again and again, and compact it, while it is written to; keeps what went wrong."""

    def __init__(self, store: Path, ahead: int) -> None:
        super().__init__(daemon=True)
        self.problem: Exception | None = None
        self._store, self._ahead = store, ahead
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(0.1):
            try:
                figures(self._store, self._ahead)
                keep_up(self._store, self._ahead)
            except InstrumentError as error:
                if "no store here yet" not in str(error):
                    self.problem = error
            except Exception as error:
                self.problem = error

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


def today(ahead: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=ahead)


def keep_up(store: Path, ahead: int) -> None:
    compact(store, now=today(ahead), retention_days=RETENTION_DAYS)


def figures(store: Path, ahead: int) -> float:
    """How many queries a report over all that is kept counts."""
    now = today(ahead)
    start = now - timedelta(days=RETENTION_DAYS + 3)
    with open_store(store) as tables:
        found = report(tables, Period(1, start, now, now), Limits(5e3, 3e4))
        return found.queries.total


def counted(store: Path) -> dict[int, tuple[int, int, int]]:
    """How many queries, different ones and tool calls a reader finds of each round."""
    with open_store(store) as tables:
        found = tables.rows(
            "SELECT split_part(user_input, '-', 1)::INTEGER, count(*), count(DISTINCT user_input),"
            " sum(tool_calls)::BIGINT FROM queries GROUP BY 1"
        )
    return {number: (queries, different, calls) for number, queries, different, calls in found}


def soak(store: Path, processes: int, threads: int, queries: int, number: int, ahead: int) -> bool:
    """One round; returns whether every record arrived once."""
    disturber = Disturber(store, ahead)
    context = multiprocessing.get_context("fork" if number % 2 == 0 else "spawn")
    started = [
        context.Process(target=work, args=(str(store), f"{number}-p{process}", threads, queries, ahead))
        for process in range(processes)
    ]
    for process in started:
        process.start()
    disturber.start()
    for process in started:
        process.join()
    disturber.stop()
    keep_up(store, ahead)
    wanted = processes * threads * queries
    found = counted(store)
    days = sorted(found)
    # A day is dropped when it ended RETENTION_DAYS ago: so many are kept, and the one that is not over.
    kept = days == list(range(max(0, number - RETENTION_DAYS), number + 1))
    reported = figures(store, ahead)
    print(
        f"round {number}: {wanted} in, {found.get(number)} out; {len(days)} days kept, {reported:g} queries", flush=True
    )
    if disturber.problem is not None:
        print(f"beside it: {disturber.problem!r}")
    return (
        kept
        and set(found.values()) == {(wanted,) * 3}
        and reported == wanted * len(days)
        and disturber.problem is None
        and all(process.exitcode == 0 for process in started)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--kills", type=int, help="kill processes that record, at so many random moments")
    given = parser.parse_args()
    if given.kills:
        killer = Path(__file__).with_name("keeping") / "kills.py"
        return subprocess.run([sys.executable, killer, "--kills", str(given.kills)]).returncode
    end, number = time.monotonic() + given.minutes * 60, 0
    since_midnight = int(time.time() % DAY)  # the clocks begin at midnight, so that none passes within a round
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        while number == 0 or time.monotonic() < end:
            if not soak(store, given.processes, given.threads, given.queries, number, number * DAY - since_midnight):
                return 1
            number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
