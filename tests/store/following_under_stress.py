"""Sixteen processes record, rotate, are killed, compacted and forgotten from, while three followers count.

`python tests/store/following_under_stress.py --seconds 60` does it for longer than the suite does. A day lasts three
seconds. One follower runs all the time; one is killed again and again, and goes on some days later from the cursor that
it kept with its records; one has a name, for which compaction waits, and begins anew every moment. In the end each has
every record of the store exactly once, beside some that were forgotten since, in each process's order.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from instrument import configure, query_span, shutdown, tool_span
from instrument.errors import StoreError
from instrument.records import CallRecord, QueryRecord, Record
from instrument.sinks import segments
from instrument.store.tables import open_store
from instrument.store.tail import follow
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget
from instrument.store.upkeep.repairing import repair

WORKERS = 16
STEP_SECONDS = 1.0
PAUSE_SECONDS = 5.0
"""How long the killed follower is away: compaction overtakes it amid segments that it has read in part."""

FORGOTTEN = "forget me"

_began = time.time()


def fake_time() -> float:
    """A clock that goes on by a third of a day every moment: segments are rotated by the hour, days compacted."""
    return _began + (time.time() - _began) // STEP_SECONDS * 28_800


# -- who does it -----------------------------------------------------------------------------------------------------


def record(store: Path, number: int) -> None:
    """Record until told to end: queries in a row, some of which are to be forgotten, and calls outside them."""
    segments.SegmentSink.__init__.__defaults__ = (fake_time,)
    configure(directory=store, flush_interval_ms=50)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    for place in itertools.count():
        text = f"{number} {place}{f' {FORGOTTEN}' if place % 20 == 7 else ''}"
        with query_span(text, agent="stress"), tool_span("look up"):
            pass
        if place % 10 == 3:
            with tool_span(f"alone {number} {place}"):
                pass
        time.sleep(0.04)
        if ended:
            break
    shutdown(timeout=30)


def keep_up(store: Path, number: int) -> None:
    """Compact, forget and mend, one after the other, until killed."""
    for step in itertools.count():
        try:
            now = datetime.fromtimestamp(fake_time(), UTC)
            compact(store, now=now, retention_days=10_000, cursor_days=10_000)
            if step % 3 == 1:
                forget(store, Wanted([], FORGOTTEN))
            if step % 3 == 2:
                repair(store)
        except StoreError as error:
            if "there is no store" not in str(error):
                raise
        time.sleep(0.3)


def log_of(store: Path, follower: str) -> Path:
    return store.with_name(f"{follower}.log")


def kept(log: Path) -> Iterator[tuple[list[str], str]]:
    """What a follower wrote down, without a last line that a kill cut off, which is taken back."""
    content = log.read_bytes() if log.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines():
        yield msgspec.json.decode(line, type=tuple[list[str], str])
    if len(whole) < len(content):
        os.truncate(log, len(whole))


def shown(record: Record) -> str | None:
    """What a record is recognised by: whose, which, and its id."""
    if isinstance(record, QueryRecord):
        return f"{record.process} {record.user_input} {record.query_id}"
    return f"0 {record.name}" if isinstance(record, CallRecord) and record.name.startswith("alone") else None


def count(store: Path, follower: str, name: str | None, wait: float | None) -> None:
    """Follow from where this follower was, and write down what is given with the cursor behind it."""
    log = log_of(store, follower)
    cursor = None
    for _, cursor in kept(log):
        pass
    with open(log, "ab", buffering=0) as stream, follow(store, cursor, name=name, wait=wait) as following:
        for batch in following.batches():
            found = [text for each in batch if (text := shown(each))]
            stream.write(msgspec.json.encode((found, following.cursor.text)) + b"\n")
        for each in following:  # a record at a time, of what has come meanwhile
            stream.write(msgspec.json.encode(([shown(each)] if shown(each) else [], following.cursor.text)) + b"\n")


def count_all_the_time(store: Path, number: int) -> None:
    count(store, "steady", None, None)


def count_until_killed(store: Path, number: int) -> None:
    count(store, "killed", None, None)


def count_by_name(store: Path, number: int) -> None:
    while True:
        count(store, "named", "by-name", 0.05)


# -- how it goes -----------------------------------------------------------------------------------------------------


class Children:
    """Processes, forked from this one, which must have no other thread."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.roles: dict[int, tuple[Callable[[Path, int], None], int]] = {}

    def start(self, role: Callable[[Path, int], None], number: int = 0) -> int:
        pid = os.fork()
        if not pid:
            code = 1
            try:
                role(self.store, number)
                code = 0
            except BaseException as error:  # said, and the parent sees the code
                print(f"{role.__name__}: {error!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        self.roles[pid] = (role, number)
        return pid

    def of(self, role: Callable[[Path, int], None]) -> list[int]:
        return [pid for pid, (done, _) in self.roles.items() if done is role]

    def end(self, pid: int, how: signal.Signals) -> None:
        role, _ = self.roles.pop(pid)
        os.kill(pid, how)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, -how):
            raise AssertionError(f"{role.__name__} ended by itself, with {code}")


def run(store: Path, seconds: float, seed: int = 7) -> tuple[int, int]:
    """Let it happen for so long; returns how many records there are in the end, and how many processes were killed."""
    chance, killed, resumes, children = random.Random(seed), 0, 0.0, Children(store)
    numbers = itertools.count()
    try:
        for _ in range(WORKERS):
            children.start(record, next(numbers))
        while not store.is_dir():
            time.sleep(0.02)
        for role in (count_all_the_time, count_until_killed, count_by_name, keep_up):
            children.start(role)
        began = time.monotonic()
        while (took := time.monotonic() - began) < seconds or (took < 10 * seconds and not has_compacted(store)):
            time.sleep(chance.uniform(0.1, 0.6))
            [role] = chance.choices((record, count_until_killed, keep_up), (6, 3, 1))
            if not children.of(role):
                if time.monotonic() > resumes:
                    children.start(role)
                continue
            children.end(chance.choice(children.of(role)), signal.SIGKILL)
            killed += 1
            if role is count_until_killed:
                resumes = time.monotonic() + PAUSE_SECONDS
            else:
                children.start(role, next(numbers))
        for pid in children.of(record):
            children.end(pid, signal.SIGTERM)
        children.end(children.of(keep_up)[0], signal.SIGKILL)
        time.sleep(2)
    finally:
        for pid in list(children.roles):
            children.end(pid, signal.SIGKILL)
    for follower in ("steady", "killed", "named"):
        count(store, follower, None, 0)
    assert has_compacted(store), "nothing was compacted"
    return check(store), killed


def has_compacted(store: Path) -> bool:
    """Whether several days were compacted."""
    return len(list(store.glob("*/*.parquet"))) >= 3


def check(store: Path) -> int:
    """Hold what the followers wrote down against the store; returns how many records that has."""
    with open_store(store) as tables:
        there = {text for each in (*tables.records(), *tables.loose_calls()) if (text := shown(each))}
    forgotten = 0
    for follower in ("steady", "killed", "named"):
        given = [text for texts, _ in kept(log_of(store, follower)) for text in texts]
        twice = [text for text, times in Counter(given).items() if times > 1]
        assert not twice, f"{follower} was given {len(twice)} records more than once, such as {twice[0]}"
        missing = there - set(given)
        assert not missing, f"{follower} was not given {len(missing)} of {len(there)} records, such as {min(missing)}"
        beside = [text for text in set(given) - there if FORGOTTEN not in text]
        assert not beside, f"{follower} was given {len(beside)} records that are not there, such as {beside[0]}"
        forgotten += len(set(given) - there)
        of_process: dict[str, int] = {}
        for text in given:
            process, _, place, *_ = text.split(" ")
            if process != "0":
                assert of_process.get(process, -1) < int(place), f"{follower} was given {text} out of order"
                of_process[process] = int(place)
    assert forgotten, "nothing was forgotten that had been given"
    return len(there)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records, killed = run(Path(folder, "store"), given.seconds, given.seed)
    print(f"{records:,} records, each given once to three followers; {killed} processes were killed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
