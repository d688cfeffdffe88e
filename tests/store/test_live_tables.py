"""A store that is kept current shows what a fresh opening shows, whatever became of its files since."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.analysis.periods import Period
from instrument.analysis.periods import period as period_of
from instrument.config import Config
from instrument.errors import StoreError
from instrument.live import Live
from instrument.outside_counts import Counts, OutsideCounts
from instrument.reading import Store, open_period
from instrument.rows.stored import (
    LONGEST_LINE,
    CallRow,
    HealthRow,
    Origin,
    Row,
    SelectionRow,
    StandaloneCallRow,
    derived_id,
    encode_lines,
)
from instrument.store import live_tables
from instrument.store.importing import import_files
from instrument.store.live_tables import LiveTables
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget

DAY, LATER = "2026-03-10", NOON + timedelta(days=3)
FIRST, SECOND = "120000-1-0badcafe.jsonl", "120000-2-0badcafe.jsonl"
PERIODS = (
    period_of(since=NOON - timedelta(days=4), until=NOON + timedelta(days=2), time_zone="UTC", now=LATER),
    period_of(since=NOON - timedelta(hours=3), until=NOON + timedelta(hours=1), time_zone="UTC", now=LATER),
)


def shown(store: Store) -> Any:
    """Everything that a store shows, in plain values; what is added up may differ in its last digits."""
    report = store.report()
    parts: list[Any] = [
        report,
        list(store.records()),
        list(store.tables.loose_selections()),
        list(store.tables.loose_calls()),
        store.tables.skipped_files,
    ]
    if store.period.since and report.queries.total:
        parts += [
            store.overview(),
            store.queries("duration>1s", sort="duration", limit=20),
            store.queries("tool=find_customers", limit=20),
            store.series("p95", "1h", by="agent"),
        ]
    return rounded(msgspec.to_builtins(parts))


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def check(live: Live, directory: Path, *periods: Period) -> None:
    """Hold each period as the live tables show it against a fresh opening of the store."""
    for period in periods or PERIODS:
        with live.opened(period) as one, open_period(directory, period, Config()) as other:
            assert shown(one) == shown(other)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store of four days, two of them compacted, with lines of every kind in two processes' segments."""
    store = tmp_path / "monitoring"
    write(store, random_rows(3, 300, start=NOON - timedelta(days=3), hours=20), FIRST)
    compact(store, now=NOON - timedelta(days=1), retention_days=30)
    write(store, random_rows(7, 400), FIRST)
    write(store, random_rows(8, 400), SECOND)
    write(store, [HealthRow(micros(NOON), {"full": 3}, {}, Origin("host", 1))], "120000-3-0badcafe.jsonl")
    return store


@pytest.fixture
def live(directory: Path) -> Iterator[Live]:
    opened = Live(directory, Config())
    yield opened
    opened.close()


def late_rows() -> list[Row]:
    """A query with an open call, the call's end on a line of its own, and a selection that names the query."""
    one = query(
        NOON - timedelta(minutes=5), serial=SERIAL + 90_000, calls=[CallRow("slow_tool", 1000, None, None, "tool")]
    )
    query_id = derived_id(one.started, one.serial)
    ended = StandaloneCallRow(one.started + 1, "slow_tool", 5_000_000_000)
    ended.parent, ended.place = query_id, 0
    chosen = SelectionRow(one.started - 10, "crewai", "", 0.9, "several steps")
    chosen.parent = query_id
    return [one, ended, chosen]


def test_figures_are_those_of_a_fresh_opening_after_appends_and_rotation(live: Live, directory: Path) -> None:
    check(live, directory)
    write(directory, random_rows(9, 50, start=NOON - timedelta(hours=1), hours=1), FIRST)
    check(live, directory)
    write(directory, random_rows(10, 50, start=NOON, hours=1), "130000-1-0badcafe.jsonl")
    check(live, directory)
    write(directory, random_rows(11, 50, start=NOON + timedelta(days=1), hours=1), "000000-1-0badcafe.jsonl")
    check(live, directory)


def test_figures_are_those_of_a_fresh_opening_after_late_calls_and_linked_selections(
    live: Live, directory: Path
) -> None:
    check(live, directory)
    one, ended, chosen = late_rows()
    for row in (one, ended, chosen):
        write(directory, [row], SECOND)
        check(live, directory)


def test_a_late_call_of_a_query_in_a_compacted_file_is_joined_to_it(live: Live, directory: Path) -> None:
    one, ended, chosen = late_rows()
    write(directory, [one], SECOND)
    check(live, directory)
    compact(directory, now=LATER, retention_days=30)
    write(directory, [ended, chosen], "120000-9-0badcafe.jsonl")
    check(live, directory)


def test_figures_are_those_of_a_fresh_opening_after_upkeep(live: Live, directory: Path) -> None:
    check(live, directory)
    forget(directory, Wanted([], "unpaid bills"))
    check(live, directory)
    compact(directory, now=LATER, retention_days=30)
    check(live, directory)
    forget(directory, Wanted([], "small"))
    write(directory, random_rows(9, 50, start=NOON - timedelta(hours=1), hours=1), "130000-1-0badcafe.jsonl")
    check(live, directory)
    compact(directory, now=LATER + timedelta(days=30), retention_days=1)
    check(live, directory)


def test_an_import_into_a_day_long_past_is_seen(live: Live, directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, random_rows(20, 60, start=NOON - timedelta(days=2), hours=5))
    with open_store(other) as tables:
        entries = list(tables.records())
    exported = tmp_path / "metrics.json"
    exported.write_bytes(msgspec.json.encode({"queries": entries, "agent_selections": []}))
    check(live, directory)
    import_files([exported], directory)
    check(live, directory)


def test_a_store_moved_away_is_said_and_is_whole_when_it_is_back(live: Live, directory: Path, tmp_path: Path) -> None:
    check(live, directory)
    directory.rename(tmp_path / "away")
    with pytest.raises(StoreError, match="no store here yet"):
        live.opened(PERIODS[0])
    write(directory, random_rows(21, 30), FIRST)
    check(live, directory)
    directory.rename(tmp_path / "second")
    (tmp_path / "away").rename(directory)
    check(live, directory)


def test_lines_that_no_reader_understands_are_counted_as_in_a_fresh_opening(live: Live, directory: Path) -> None:
    check(live, directory)
    with open(directory / DAY / FIRST, "ab") as stream:
        stream.write(b'{"t": "no time"}\nnonsense\n\n{"t":-5}\n')
    check(live, directory)
    with open(directory / DAY / "130000-5-0badcafe.jsonl", "ab") as stream:
        stream.write(b"\x00\xff\n" + encode_lines([query(NOON)]) + b"torn")
    still(directory / DAY / "130000-5-0badcafe.jsonl")
    check(live, directory)
    compact(directory, now=LATER, retention_days=30)
    check(live, directory)


def test_a_line_without_its_end_comes_once_it_is_whole_or_its_writer_is_gone(live: Live, directory: Path) -> None:
    segment = directory / DAY / FIRST
    check(live, directory)
    with live.opened(PERIODS[0]) as store:
        before = store.report().queries.total
    line = encode_lines([query(NOON, serial=SERIAL + 70_000), query(NOON, serial=SERIAL + 70_001)])
    with open(segment, "ab") as stream:
        stream.write(line[:-20])
        stream.flush()
        with live.opened(PERIODS[0]) as store:
            assert store.report().queries.total == before + 1
        stream.write(line[-20:])
    check(live, directory)
    with open(segment, "ab") as stream:
        stream.write(line[: len(line) // 4])
    still(segment)
    check(live, directory)
    with open(segment, "ab") as stream:
        stream.write(b"\n" + encode_lines([query(NOON, serial=SERIAL + 70_002)]))
    check(live, directory)


def test_many_segments_that_nobody_writes_to_are_read_as_each_one_alone(directory: Path) -> None:
    for number in range(12):
        write(directory, random_rows(30 + number, 20), f"13{number:02}00-1-0badcafe.jsonl")
    torn, wrong = (directory / DAY / f"13{number:02}00-1-0badcafe.jsonl" for number in (3, 7))
    with open(torn, "ab") as stream:
        stream.write(encode_lines([query(NOON)])[:40])
    with open(wrong, "ab") as stream:
        stream.write(b'nonsense\n\n{"t":-5}')
    for segment in directory.rglob("*.jsonl"):
        still(segment)
    live = Live(directory, Config())
    check(live, directory)
    with open(torn, "ab") as stream:
        stream.write(b"\n" + encode_lines([query(NOON, serial=SERIAL + 70_003)]))
    check(live, directory)
    with open(wrong, "ab") as stream:
        stream.write(b'\n{"t": 5, "q": "' + b"x" * 3 * LONGEST_LINE + b'"}\n')
    for segment in directory.rglob("*.jsonl"):
        still(segment)
    anew = Live(directory, Config())
    check(anew, directory)
    for each in (live, anew):
        each.close()


def still(segment: Path) -> None:
    """Make it seem that nobody has written to a segment for a while."""
    os.utime(segment, (time.time() - 60, time.time() - 60))


def test_an_endless_line_and_a_damaged_compacted_file_hide_nothing_else(live: Live, directory: Path) -> None:
    check(live, directory)
    with open(directory / DAY / SECOND, "ab") as stream:
        stream.write(b'{"t": 5, "q": "' + b"x" * 3 * LONGEST_LINE + b'"}\n')
    (directory / DAY / "damaged.parquet").write_bytes(b"PAR1 nothing of the kind PAR1")
    check(live, directory)


def test_what_processes_could_not_say_in_the_store_is_counted_while_it_lasts(live: Live, directory: Path) -> None:
    outside = OutsideCounts(str(directory))
    check(live, directory)
    for number in (2, 5):
        outside.keep(Counts(micros(NOON), {"full disk": number}, {}))
        check(live, directory)
    outside.remove()
    check(live, directory)


def test_sampled_records_weigh_what_they_stand_for(live: Live, directory: Path) -> None:
    check(live, directory)
    write(directory, random_rows(9, 50, start=NOON - timedelta(hours=1), hours=1, weights=(1.0, 2.5, 10.0)), FIRST)
    check(live, directory)


def test_a_period_that_was_opened_before_shows_the_lines_of_then(live: Live, directory: Path) -> None:
    with live.opened(PERIODS[0]) as store:
        before = shown(store)
        write(directory, random_rows(9, 50, start=NOON - timedelta(hours=1), hours=1), FIRST)
        check(live, directory)
        assert shown(store) == before
        for name in (FIRST, SECOND):
            (directory / DAY / name).unlink()
        check(live, directory)
        assert shown(store) == before
    check(live, directory)


def test_filters_and_own_sql_work_as_over_a_fresh_opening(live: Live, directory: Path) -> None:
    for where in ("agent=crewai", "tool=find_customers", "tenant=a", "entity=bills", "model~small"):
        with live.opened(PERIODS[0]) as one, open_period(directory, PERIODS[0], Config()) as other:
            assert list(one.records(where)) == list(other.records(where))
            assert rounded(msgspec.to_builtins(one.report(where))) == rounded(msgspec.to_builtins(other.report(where)))
    statement = "SELECT count(*), max(duration_ms) FROM queries"
    with live.opened(PERIODS[0]) as one, open_period(directory, PERIODS[0], Config()) as other:
        assert one.sql(statement).fetchall() == other.sql(statement).fetchall()
    write(directory, random_rows(9, 50, start=NOON - timedelta(hours=1), hours=1), FIRST)
    check(live, directory)


def test_days_that_nobody_asks_for_any_more_are_let_go(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_tables, "NEEDED_SECONDS", -1.0)
    write(directory, random_rows(12, 200, start=NOON - timedelta(days=2), hours=5), SECOND)
    live = Live(directory, Config())
    everything = period_of(until=NOON + timedelta(days=2), time_zone="UTC", now=LATER)
    check(live, directory, PERIODS[0], PERIODS[1], everything, PERIODS[1])
    live.close()


WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from store_rows import random_rows
from instrument.sinks.segments import SegmentSink
import datetime
now = datetime.datetime.now(datetime.UTC)
sink, number, until = SegmentSink(sys.argv[2]), int(sys.argv[3]), time.time() + 4
while time.time() < until:
    rows = random_rows(number, 7, start=now - datetime.timedelta(minutes=1), hours=0.01)
    for place, row in enumerate(rows):
        if hasattr(row, "serial"):
            row.serial = number * 1000 + place
    sink.write(rows)
    number += 1
    if number % 40 == 0:
        sink.close()
    time.sleep(0.005)
sink.close()
"""


def test_beside_writers_and_compaction_no_query_is_missed_or_comes_twice(tmp_path: Path) -> None:
    directory = tmp_path / "monitoring"
    now = datetime.now(NOON.tzinfo)
    write(directory, random_rows(3, 3000, start=now - timedelta(days=2, hours=20), hours=40), FIRST)
    tables = LiveTables(directory)
    here = str(Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, here, str(directory), str((number + 1) * 1_000_000)])
        for number in range(3)
    ]
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        seen = 0
        while not done.is_set():
            with tables.opened() as opened:
                [(count, ids)] = opened.rows("SELECT count(*), count(DISTINCT query_id) FROM queries")
                [(again,)] = opened.rows("SELECT count(*) FROM lines WHERE type IS NULL")
            if not seen <= count == ids == again:
                wrong.append(f"{seen} before, {count} queries with {ids} ids, then {again}")
            seen = count

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    time.sleep(1)
    compact(directory, now=now, retention_days=30)
    for writer in writers:
        assert writer.wait(60) == 0
    done.set()
    for thread in readers:
        thread.join(60)
    assert not wrong, wrong[:3]
    with tables.opened() as one, open_store(directory) as other:
        statement = "SELECT query_id, duration_ns FROM queries ORDER BY ALL"
        assert one.rows(statement) == other.rows(statement)
    tables.close()


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from store_rows import random_rows, write
from instrument.store.live_tables import LiveTables
directory, tables, sizes = Path(sys.argv[2]), LiveTables(sys.argv[2]), []
for number in range(300):
    write(directory, random_rows(number, 3))
    with tables.opened() as opened:
        opened.rows("SELECT count(*), quantile_cont(duration_ns, 0.95) FROM queries")
    if number % 50 == 49:
        text = Path("/proc/self/status").read_text()
        sizes.append(int(text.partition("VmRSS:")[2].split()[0]))
print(*sizes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_stays_flat_over_many_refreshes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(Path(__file__).parent), str(tmp_path / "monitoring")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    sizes = [int(size) for size in done.stdout.split()]
    assert sizes[-1] < sizes[1] + 12_000, sizes
