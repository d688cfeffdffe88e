from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.errors import StoreError
from instrument.rows.stored import CallRow, ChoiceRow, Origin, QueryRow, Row, encode_lines, id_of
from instrument.store import layout, line_tables
from instrument.store.tables import open_store
from instrument.store.upkeep import compaction
from instrument.store.upkeep.compaction import Compaction, compact

LATER = NOON + timedelta(days=3)
DAY = "2026-03-10"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def compacted(directory: Path, now: datetime = LATER, retention_days: int = 30) -> Compaction:
    return compact(directory, now=now, retention_days=retention_days)


def ids(directory: Path) -> list[str]:
    with open_store(directory) as tables:
        return sorted(query_id for (query_id,) in tables.rows("SELECT query_id FROM queries"))


def everything(directory: Path) -> list[object]:
    with open_store(directory) as tables:
        return [list(tables.records()), list(tables.loose_selections()), list(tables.loose_calls()), tables.skipped]


def ids_of(rows: list[Row]) -> list[str]:
    return sorted(id_of(row) for row in rows if isinstance(row, QueryRow))


def test_compaction_changes_where_records_lie_and_nothing_else(tmp_path: Path) -> None:
    rows = random_rows(3, 400, start=NOON - timedelta(days=2), hours=48)
    write(tmp_path, rows[::2])
    write(tmp_path, rows[1::2], "130000-43-0badcafe.jsonl")
    before = everything(tmp_path)
    done = compacted(tmp_path)
    assert everything(tmp_path) == before
    assert done.queries == 400
    assert done.bytes_after < done.bytes_before
    assert not list(tmp_path.glob("*/*.jsonl"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*/*")} == {0o600}
    assert compacted(tmp_path) == Compaction()


def test_a_day_that_is_not_over_for_ten_minutes_is_left_open(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    midnight = datetime(2026, 3, 11, tzinfo=UTC)
    assert compacted(tmp_path, midnight + timedelta(minutes=9)).days == []
    assert compacted(tmp_path, midnight + timedelta(minutes=10)).days == [DAY]


def test_a_segment_that_came_late_to_a_compacted_day_is_compacted_beside_it(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    compacted(tmp_path)
    write(tmp_path, [query(serial=SERIAL + 1)], "235959-43-0badcafe.jsonl")
    assert compacted(tmp_path).queries == 1
    assert ids(tmp_path) == ids_of([query(), query(serial=SERIAL + 1)])
    assert len(list(tmp_path.glob("*/*.parquet"))) == 2


def test_unreadable_lines_are_set_aside_and_still_counted(tmp_path: Path) -> None:
    segment = write(tmp_path, [query()])
    with open(segment, "ab") as stream:
        stream.write(b'\n{"torn":\n')
    write(tmp_path, [query(serial=SERIAL + 1)], segment.name)
    with open(segment, "ab") as stream:
        stream.write(b'{"t":1,"d')
    (segment.parent / "foreign.jsonl").write_bytes(bytes(range(256)) * 10)
    (segment.parent / "endless.jsonl").write_bytes(b"x" * 20_000_000)
    before = everything(tmp_path)
    done = compacted(tmp_path)
    assert everything(tmp_path) == before
    assert done.set_aside == before[-1]
    assert segment.with_name(segment.name + ".unreadable").read_bytes() == b'{"torn":\n{"t":1,"d\n'
    assert (segment.parent / "endless.jsonl.unreadable").stat().st_size == 20_000_001
    aside = (segment.parent / "foreign.jsonl.unreadable").read_bytes()
    assert aside.rstrip(b"\n") == (bytes(range(256)) * 10).rstrip(b"\n")


def test_retention_drops_days_that_are_wholly_expired_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [query(), query(NOON + timedelta(days=1), serial=SERIAL + 1)])
    (tmp_path / "2026-03-10-copy").mkdir()
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "2026-03-09").mkdir()
    (tmp_path / "2026-03-09" / "notes.txt").write_text("mine")
    before = datetime(2026, 3, 18, tzinfo=UTC) - timedelta(microseconds=1)
    assert compacted(tmp_path, before, 7).expired == []
    done = compacted(tmp_path, before + timedelta(microseconds=1), 7)
    assert done.expired == [DAY]
    assert list(done.left) == [str(tmp_path / "2026-03-09")]
    left = {entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")}
    assert left == {"2026-03-09", "2026-03-11", "2026-03-10-copy", "metrics.json"}
    assert (tmp_path / "2026-03-09" / "notes.txt").exists()


def test_what_a_writer_appends_beyond_all_grace_is_rescued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = write(tmp_path, [query()])
    removed = compaction._remove_replaced

    def appended_meanwhile(day: layout.Day, sizes: dict[str, int]) -> None:
        write(tmp_path, [query(serial=SERIAL + 1)], segment.name)
        removed(day, sizes)

    monkeypatch.setattr(compaction, "_remove_replaced", appended_meanwhile)
    compacted(tmp_path)
    assert ids(tmp_path) == ids_of([query(), query(serial=SERIAL + 1)])


def test_what_is_appended_while_a_segment_is_read_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, late = write(tmp_path, [query()]), [query(serial=SERIAL + 1)]
    look = line_tables.look

    def look_late(*arguments: object) -> line_tables.Look:
        if late:
            segment.write_bytes(segment.read_bytes() + encode_lines([late.pop()]))
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(line_tables, "look", look_late)
    compacted(tmp_path)
    assert ids(tmp_path) == ids_of([query(), query(serial=SERIAL + 1)])
    assert not list(tmp_path.glob("*/*.jsonl"))


def test_a_second_compaction_is_refused_while_one_runs_and_free_when_its_process_is_dead(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from instrument.files import alone\n"
            "with alone(Path(sys.argv[1]), '.compacting', ''): print(flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert holder.stdout
    holder.stdout.readline()
    try:
        with pytest.raises(StoreError, match="another compaction, repair or forgetting is running"):
            compacted(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    assert compacted(tmp_path).days == [DAY]


KILLED_AT_RANDOM = """
import os, random, signal, sys, time
from datetime import datetime
from instrument.store.upkeep.compaction import compact

for attempt, _ in enumerate(sys.stdin):
    child = os.fork()
    if not child:
        compact(sys.argv[1], now=datetime.fromisoformat(sys.argv[2]), retention_days=30)
        os._exit(0)
    time.sleep(random.uniform(0, 0.02 + 0.01 * attempt))
    os.kill(child, signal.SIGKILL)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_compaction_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rows = random_rows(4, 1500, start=NOON - timedelta(days=3), hours=72)[:1500]
    killing = subprocess.Popen(
        [sys.executable, "-c", KILLED_AT_RANDOM, str(tmp_path), LATER.isoformat()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert killing.stdin
    assert killing.stdout
    killed = 0
    with killing:
        for attempt in range(15):
            write(tmp_path, rows[100 * attempt : 100 * attempt + 100], f"{attempt:02}0000-42-0badcafe.jsonl")
            killing.stdin.write(b"again\n")
            killing.stdin.flush()
            killed += killing.stdout.readline() == b"True\n"
            assert ids(tmp_path) == ids_of(rows[: 100 * attempt + 100])
        killing.stdin.close()
    assert killed
    before = everything(tmp_path)
    compacted(tmp_path)
    assert everything(tmp_path) == before
    assert ids(tmp_path) == ids_of(rows)
    assert not list(tmp_path.glob("*/*.jsonl"))
    assert not list(tmp_path.glob("*/.writing-*"))


@pytest.mark.parametrize("step", ["set aside", "written", "renamed", "one deleted"])
def test_a_kill_between_any_two_steps_leaves_every_record_once(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = write(tmp_path, random_rows(5, 50))
    write(tmp_path, [query(serial=SERIAL + 1000)], "130000-43-0badcafe.jsonl")
    with open(segment, "ab") as stream:
        stream.write(b"{torn\n")
    before = everything(tmp_path)

    class KilledError(Exception):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    def killed_at_second(day: layout.Day, sizes: dict[str, int]) -> None:
        os.unlink(day.folder / next(iter(sizes)))
        raise KilledError

    with monkeypatch.context() as patch:
        if step == "set aside":
            patch.setattr(compaction, "write_compacted", killed)
        elif step == "written":
            patch.setattr(compaction, "sync_file", killed)
        else:
            patch.setattr(compaction, "_remove_replaced", killed if step == "renamed" else killed_at_second)
        with pytest.raises(KilledError):
            compacted(tmp_path)
    assert everything(tmp_path) == before
    compacted(tmp_path)
    assert everything(tmp_path) == before
    assert not list(tmp_path.glob("*/*.jsonl"))


def test_reports_see_every_record_once_while_segments_grow_and_are_compacted(tmp_path: Path) -> None:
    rows = random_rows(6, 600)
    written = 0
    ended = threading.Event()

    def write_and_compact() -> None:
        nonlocal written
        for start in range(0, 600, 20):
            write(tmp_path, rows[start : start + 20], f"{start:06}-42-0badcafe.jsonl")
            written = start
            if start % 60 == 0:
                compacted(tmp_path)
        ended.set()

    write(tmp_path, [])
    rows = [row for row in rows if isinstance(row, QueryRow)]
    writer = threading.Thread(target=write_and_compact)
    writer.start()
    while not ended.is_set():
        at_least = written
        found = ids(tmp_path)
        assert len(found) == len(set(found)) >= at_least
    writer.join()
    assert ids(tmp_path) == ids_of(list(rows))


def test_a_compacted_query_with_five_calls_takes_a_hundred_bytes_at_the_most(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows: list[Row] = []
    names = ("find_customers", "payment_history", "bills_of", "query Customers", "query UnpaidBills")
    texts = [f"show me the {what} of {who}" for what in ("bills", "plans") for who in ("India", "Norway", "everyone")]
    for number in range(20_000):
        moment = NOON - timedelta(hours=10) + timedelta(seconds=number * 2, microseconds=chance.randrange(10**6))
        duration = int(chance.lognormvariate(20, 1))
        begins = sorted(chance.randrange(duration) for _ in range(5))
        rows.append(
            query(
                moment,
                chance.choice(("simple", "crewai")),
                f"{chance.choice(texts)} {chance.randrange(1000)}",
                serial=SERIAL + number,
                duration=duration,
                calls=[
                    CallRow(chance.choice(names), begin, duration=chance.randrange(duration // 5 + 1))
                    for begin in begins
                ],
                result_size=chance.randrange(5000),
                entities=["customers", "bills"],
                selection=ChoiceRow(0, "simple", round(chance.random(), 2), "Simple query pattern detected"),
                origin=Origin("host", 42),
            )
        )
    write(tmp_path, rows)
    done = compacted(tmp_path)
    assert done.bytes_after / done.queries <= 100


FULL_DISK = """
import resource, signal, sys
from datetime import datetime
from instrument.errors import StoreError
from instrument.store.upkeep.compaction import compact

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    compact(sys.argv[1], now=datetime.fromisoformat(sys.argv[2]), retention_days=30)
except StoreError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_loses_nothing_and_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, random_rows(8, 1000))
    before = everything(tmp_path)
    arguments = [sys.executable, "-c", FULL_DISK, str(tmp_path), LATER.isoformat()]
    told = subprocess.run(arguments, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    assert told == f"{tmp_path / DAY}: this day cannot be compacted, nothing is lost: File too large\n"
    assert everything(tmp_path) == before
    assert [file.suffix for file in (tmp_path / DAY).iterdir()] == [".jsonl"]
