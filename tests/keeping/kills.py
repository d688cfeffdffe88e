"""Processes that record until they are killed with SIGKILL, and what must be in their store afterwards.

    python tests/keeping/kills.py [--kills 1000] [--at-once 16] [--seed 4]

Some processes record at any time, each at a pace of its own, until a random moment: while it starts, opens its segment,
writes, or waits. Beside them another compacts the days that are over (a day passes every so many kills) and reports,
and is killed as well. Afterwards the store must hold of every process, in order and each once, all it recorded but
what was younger than the flush interval; at most one torn line a kill; and it must report. It ends with status 1 and
says what was wrong otherwise.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from instrument import configure, track_query, track_tool
from instrument.sinks.segments import SegmentSink

FLUSH_MS = 20

GRACE = 0.5
"""Seconds that count as the flush interval: on a busy machine the writer's thread does not run at once."""

LONGEST_LIFE = 1.3

PACES = [(10, 0.01)] * 6 + [(500, 0.2)] * 5 + [(1, 0.05)] * 4 + [(50, 0.001)]
"""Queries asked at once, and seconds until the next; the last, as fast as a buffer bears, takes a core for itself."""

_PROGRESS = struct.Struct("<bqd")


class Victim(NamedTuple):
    """A process that records until `dies_at` (monotonic); it tells its progress through the pipe `told`."""

    dies_at: float
    name: str
    process: int
    told: int


@track_tool
def look(text: str) -> str:
    return text


@track_query(agent="victim")
def ask(text: str) -> str:
    return look(text)


def begin(store: Path, name: str, lives: float, day: int, chance: random.Random) -> Victim:
    """Fork a victim whose clock is `day` days ahead."""
    told, tell = os.pipe()
    pace, threads = chance.choice(PACES), chance.choice((1, 1, 2))
    if (process := os.fork()) == 0:
        os.close(told)
        _record_for_ever(store, name, day * 86_400, pace, threads, tell)
    os.close(tell)
    return Victim(time.monotonic() + lives, name, process, told)


def _record_for_ever(store: Path, name: str, ahead: int, pace: tuple[int, float], threads: int, tell: int) -> None:
    now, now_ns = time.time, time.time_ns
    time.time_ns = lambda: now_ns() + ahead * 10**9
    SegmentSink.__init__.__defaults__ = (lambda: now() + ahead,)  # type: ignore[misc]
    configure(directory=store, flush_interval_ms=FLUSH_MS)

    def record(thread: int) -> None:
        for number in itertools.count():
            ask(f"{name}.{thread}-{number}")
            if number % pace[0] == 0:
                os.write(tell, _PROGRESS.pack(thread, number, time.monotonic()))
                time.sleep(pace[1])

    for thread in range(1, threads):
        threading.Thread(target=record, args=(thread,), daemon=True).start()
    record(0)


def kill(victim: Victim) -> dict[str, int]:
    """Kill a victim when its time has come; returns the last query of each of its threads that must be there."""
    time.sleep(max(0.0, victim.dies_at - time.monotonic()))
    os.kill(victim.process, signal.SIGKILL)
    killed = time.monotonic()
    with open(victim.told, "rb") as stream:
        said = stream.read()
    assert os.waitpid(victim.process, 0)[1] == signal.SIGKILL
    promised: dict[str, int] = {}
    for thread, number, when in _PROGRESS.iter_unpack(said[: len(said) // _PROGRESS.size * _PROGRESS.size]):
        if when < killed - GRACE:
            promised[f"{victim.name}.{thread}"] = number
    return promised


def kill_all(store: Path, kills: int, at_once: int, chance: random.Random) -> dict[str, int]:
    """Begin and kill victims, with compaction and reports beside them; returns what must be there."""
    promised: dict[str, int] = {}
    alive: list[Victim] = []
    upkeep: subprocess.Popen[str] | None = None
    a_day = at_once + 4  # more than are alive: those of the day before yesterday are dead, and their day may be closed
    for number in range(kills):
        if number % a_day == 0:
            _end(upkeep)
            upkeep = _keep_up(store, number // a_day - 1)
        heapq.heappush(alive, begin(store, f"v{number}", chance.uniform(0, LONGEST_LIFE), number // a_day, chance))
        if len(alive) >= at_once:
            promised |= kill(heapq.heappop(alive))
    while alive:
        promised |= kill(heapq.heappop(alive))
    _end(upkeep)
    return promised


def _keep_up(store: Path, day: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--upkeep", str(store), "--day", str(day)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _end(upkeep: subprocess.Popen[str] | None) -> None:
    if upkeep is not None:
        upkeep.kill()
        _, problem = upkeep.communicate()
        if upkeep.returncode != -signal.SIGKILL or problem:
            sys.exit(f"compaction or report failed: {problem}")


def keep_up(store: Path, day: int) -> None:
    """Compact and report again and again, with a clock that is `day` days ahead."""
    from instrument.store.upkeep.compaction import compact

    while not store.is_dir():
        time.sleep(0.01)
    while True:
        now = datetime.now(UTC) + timedelta(days=day)
        compact(store, now=now, retention_days=10_000)
        figures(store, now)


def figures(store: Path, now: datetime) -> float:
    """How many queries a report over everything counts."""
    from instrument.analysis.report import report
    from instrument.analysis.results import Limits, Period
    from instrument.store.tables import open_store

    end = now + timedelta(days=10_000)
    with open_store(store) as tables:
        found = report(tables, Period(1, now, end, now), Limits(5e3, 3e4))
        return found.queries.total


def problems(store: Path, promised: dict[str, int], kills: int) -> list[str]:
    """What is not as it must be, in a sentence each."""
    from instrument.store.tables import open_store

    with open_store(store) as tables:
        found = Counter(dict(tables.rows("SELECT user_input, count(*) FROM queries GROUP BY 1")))
        torn = tables.skipped
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for text in found:
        match = re.fullmatch(r"(v\d+\.\d)-(\d+)", text)
        if match is None:
            return [f"nobody recorded {text!r}"]
        numbers[match[1]].add(int(match[2]))
    wrong = [f"{text} is there {count} times" for text, count in found.items() if count > 1]
    wrong += [f"{name} lacks some before its last" for name, those in numbers.items() if max(those) >= len(those)]
    wrong += [
        f"{name} lacks {number + 1 - len(numbers[name])} of its first {number + 1}"
        for name, number in promised.items()
        if number not in numbers[name]
    ]
    if torn > kills:
        wrong.append(f"{torn} torn lines by {kills} kills")
    # From some time before any of them: the clocks of the victims run ahead of ours.
    reported = figures(store, datetime.now(UTC) - timedelta(hours=1))
    if reported != found.total():
        wrong.append(f"the report counts {reported:g} of {found.total()}")
    print(f"{kills} kills: {found.total()} queries of {len(numbers)} threads, {torn} torn lines", flush=True)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--upkeep", help=argparse.SUPPRESS)
    parser.add_argument("--day", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upkeep:
        keep_up(Path(given.upkeep), given.day)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        promised = kill_all(store, given.kills, given.at_once, random.Random(given.seed))
        wrong = problems(store, promised, given.kills)
        from instrument.store.upkeep.compaction import compact

        compact(store, now=datetime.now(UTC) + timedelta(days=given.kills), retention_days=10_000)
        wrong += problems(store, promised, given.kills)
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
