"""Following: each record once, whatever becomes of the files it lies in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument import followed
from instrument.errors import StoreError, UsageError
from instrument.records import CallRecord, HealthRecord, QueryRecord, Record, SelectionRecord
from instrument.rows import as_records, columns
from instrument.rows.stored import HealthRow, Origin, QueryRow, Row, SelectionRow, StandaloneCallRow, encode_lines
from instrument.store import cursors, tail
from instrument.store.cursors import Cursor
from instrument.store.importing import import_files
from instrument.store.tables import connect, open_store
from instrument.store.tail import Follower, follow, follow_rows
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget
from instrument.store.upkeep.repairing import repair

LATER = NOON + timedelta(days=3)
DAY = "2026-03-10"
FIRST, SECOND = "120000-1-0badcafe.jsonl", "120000-2-0badcafe.jsonl"


def compacted(store: Path, **more: int) -> None:
    compact(store, now=LATER, retention_days=30, **more)


def now_there(store: Path, cursor: str | Cursor | None = None) -> list[Record]:
    return list(follow(store, cursor, wait=0))


def counted(records: Iterable[Record]) -> Counter[str]:
    return Counter(map(repr, records))


def inputs(records: Iterable[Record]) -> list[str]:
    return [record.user_input for record in records if isinstance(record, QueryRecord)]


def named(*texts: str, begin: int = 0) -> list[Row]:
    return [
        query(NOON + timedelta(seconds=begin + place), user_input=text, serial=SERIAL + begin + place)
        for place, text in enumerate(texts)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two processes' segments with a thousand lines of every kind."""
    directory = tmp_path / "monitoring"
    rows = random_rows(7, 1000)
    write(directory, rows[:500], FIRST)
    write(directory, rows[500:], SECOND)
    write(directory, [HealthRow(micros(NOON), {"full": 3}, {}, Origin("host", 1))], "120000-3-0badcafe.jsonl")
    return directory


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two processes' segments with three queries each."""
    directory = tmp_path / "monitoring"
    write(directory, named("a1", "a2", "a3"), FIRST)
    write(directory, named("b1", "b2", "b3", begin=10), SECOND)
    return directory


# -- what is given ---------------------------------------------------------------------------------------------------


def test_every_record_is_given_once_as_reports_show_it(store: Path) -> None:
    with open_store(store) as tables:
        shown = [*tables.records(), *tables.loose_selections(), *tables.loose_calls()]
    given = now_there(store)
    assert counted(record for record in given if not isinstance(record, HealthRecord)) == counted(shown)
    health = [record for record in given if isinstance(record, HealthRecord)]
    assert [(record.dropped, record.host, record.process) for record in health] == [({"full": 3}, "host", 1)]


@pytest.mark.parametrize("compacts", [False, True], ids=["segments", "compacted"])
def test_rows_are_those_of_the_records(store: Path, compacts: bool) -> None:
    if compacts:
        compacted(store)
    rows = list(follow_rows(store))
    records = [  # as the records are made
        as_records.query_record(row) if isinstance(row, QueryRow) else as_records.record_of(row) for row in rows
    ]
    assert counted(records) == counted(now_there(store))


@pytest.mark.parametrize("compacts", [False, True], ids=["segments", "compacted"])
def test_a_follower_that_skips_gives_what_comes_afterwards_alone(small: Path, compacts: bool) -> None:
    if compacts:
        compacted(small)
    with follow(small, wait=0) as follower:
        follower.skip()
        assert list(follower) == []
        write(small, named("new", begin=30), "120001-3-0badcafe.jsonl")
        assert inputs(follower) == ["new"]
        if not compacts:
            with open(small / DAY / FIRST, "ab") as segment:
                segment.write(bytes(encode_lines(named("more", begin=40))))
            assert inputs(follower) == ["more"]
        compacted(small)
        assert list(follower) == []


def test_a_line_that_is_being_written_while_a_follower_skips_is_given_when_it_is_whole(small: Path) -> None:
    line = bytes(encode_lines(named("late", begin=30)))
    with open(small / DAY / FIRST, "ab") as segment, follow(small, wait=0) as follower:
        segment.write(line[:20])
        segment.flush()
        follower.skip()
        segment.write(line[20:])
        segment.flush()
        assert inputs(follower) == ["late"]


def test_compacted_records_are_given_as_they_were_before(store: Path) -> None:
    before = now_there(store)
    compacted(store)
    assert counted(now_there(store)) == counted(before)


def test_records_of_a_process_come_in_their_order_before_and_after_compaction(store: Path) -> None:
    before = [repr(record) for record in now_there(store)]
    compacted(store)
    assert [repr(record) for record in now_there(store)] == before


def test_late_calls_and_linked_selections_come_alone_with_the_query_they_belong_to(tmp_path: Path) -> None:
    rows: list[Row] = [
        StandaloneCallRow(micros(NOON), "late", 5, parent="some-id", place=0, late=True),
        SelectionRow(micros(NOON), "simple", parent="some-id"),
    ]
    write(tmp_path / "m", rows)
    for _ in range(2):
        call, selection = now_there(tmp_path / "m")
        assert isinstance(call, CallRecord)
        assert isinstance(selection, SelectionRecord)
        assert (call.query_id, call.late, selection.query_id) == ("some-id", True, "some-id")
        compacted(tmp_path / "m")


def test_what_another_program_wrote_reads_as_in_reports_and_the_rest_is_counted(tmp_path: Path) -> None:
    segment = write(tmp_path / "m", named("first"))
    with open(segment, "ab") as stream:
        stream.write(b'{"t":1773144000000000,"q":5,"r":"large"}\nno json\n{"t":-1}\n[1]\n\n   \n{"t":1,"type":"new"}\n')
        stream.write(b'{"t":2,"d":5,"attributes":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}\n")
        stream.write(encode_lines(named("last", begin=5)))
    with open_store(tmp_path / "m") as tables:
        shown, skipped = list(tables.records()), tables.skipped
    follower = follow(tmp_path / "m", wait=0)
    assert counted(follower) == counted(shown)
    assert follower.skipped == skipped == 3


def test_batches_give_the_same_as_single_records(store: Path) -> None:
    assert counted(record for batch in follow(store, wait=0).batches() for record in batch) == counted(now_there(store))


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [0, 1, 499, 500, 700])
@pytest.mark.parametrize("upkeep", ["none", "compaction"])
def test_a_cursor_goes_on_behind_the_record_given_last(store: Path, many: int, upkeep: str) -> None:
    everything = now_there(store)
    follower = follow(store, wait=0)
    begun = list(islice(follower, many))
    text = follower.cursor.text
    if upkeep == "compaction":
        compacted(store)
    rest = now_there(store, text)
    assert counted(begun + rest) == counted(everything)
    assert counted(begun + list(follower)) == counted(everything)
    assert now_there(store, follow_all(store, text)) == []


def follow_all(store: Path, cursor: str) -> str:
    follower = follow(store, cursor, wait=0)
    list(follower)
    return follower.cursor.text


def test_the_cursor_is_small_and_lets_go_of_what_was_compacted(store: Path) -> None:
    follower = follow(store, wait=0)
    list(follower)
    compacted(store)
    list(follower)
    [place] = msgspec.json.decode(follower.cursor.text)["days"].values()
    assert place.keys() == {"f"}
    assert len(place["f"]) == 1


def test_a_follower_goes_on_after_each_line_while_files_are_compacted_forgotten_from_and_mended(small: Path) -> None:
    segment = small / DAY / FIRST
    follower = follow(small, wait=0)
    assert inputs(islice(follower, 2)) == ["a1", "a2"]
    forget(small, Wanted([], "a1"))
    with open(segment, "ab") as stream:
        stream.write(b"torn rest of a killed process")
    os.utime(segment, (1, 1))
    repair(small)
    assert inputs(islice(follower, 1)) == ["a3"]
    forget(small, Wanted([], "b1"))
    compacted(small)
    forget(small, Wanted([], "b2"))
    assert inputs(follower) == ["b3"]
    assert inputs(now_there(small)) == ["a2", "a3", "b3"]


def test_a_torn_line_is_given_when_it_is_completed(tmp_path: Path) -> None:
    segment = write(tmp_path / "m", named("whole"))
    line = encode_lines(named("torn", begin=1))
    follower = follow(tmp_path / "m", wait=0)
    for end in (0, 5, len(line) - 3):
        with open(segment, "r+b") as stream:
            stream.truncate(0)
            stream.write(encode_lines(named("whole")) + line[:end])
        assert inputs(follower) == (["whole"] if end == 0 else [])
    with open(segment, "ab") as stream:
        stream.write(line[len(line) - 3 :])
    assert inputs(follower) == ["torn"]
    assert follower.skipped == 0


def test_a_last_line_that_lacks_its_end_alone_is_given_once(tmp_path: Path) -> None:
    segment = write(tmp_path / "m", named("first", "last"))
    segment.write_bytes(segment.read_bytes()[:-1])
    follower = follow(tmp_path / "m", wait=0)
    assert inputs(follower) == ["first", "last"]
    with open(segment, "ab") as stream:
        stream.write(b"\n" + encode_lines(named("more", begin=5)))
    assert inputs(follower) == ["more"]


def test_what_a_late_writer_appends_behind_a_compacted_part_is_given_once(tmp_path: Path) -> None:
    store = tmp_path / "m"
    segment = write(store, named("first"))
    content = segment.read_bytes()
    compacted(store)
    segment.write_bytes(content + encode_lines(named("late", begin=1)))  # a writer held up beyond all grace
    behind = follow(store, wait=0)
    before = Cursor(1, cursors.id_of_store(store), {DAY: cursors.DayPlace({segment.name: len(content)})})
    beyond = Cursor(1, cursors.id_of_store(store), {DAY: cursors.DayPlace({segment.name: segment.stat().st_size})})
    compacted(store)
    assert sorted(inputs(behind)) == ["first", "late"]
    assert inputs(now_there(store, before)) == ["late"]
    assert inputs(now_there(store, beyond)) == []


def test_a_store_compacted_by_an_earlier_version_is_given_whole_or_says_that_a_part_was_read(tmp_path: Path) -> None:
    store = tmp_path / "m"
    write(store, named("a1", "a2"), FIRST)
    begun = follow(store, wait=0)
    next(iter(begun))
    compacted(store)
    [file] = (store / DAY).glob("*.parquet")
    with connect() as connection:
        replaced = columns.literal(f'{{"{FIRST}": {100_000}}}')
        connection.execute(
            f"COPY (SELECT {columns.NAMES} FROM {columns.read_compacted([str(file)])} ORDER BY t) TO '{file}'"
            f" (FORMAT parquet, KV_METADATA {{replaces: {replaced}}})"
        )
    fresh = follow(store, wait=0)
    assert inputs(islice(fresh, 1)) == ["a1"]
    assert inputs(now_there(store, fresh.cursor.text)) == ["a2"]
    with pytest.raises(StoreError, match="only a part was read"):
        now_there(store, begun.cursor.text)


def test_imported_records_are_given_once(small: Path, tmp_path: Path) -> None:
    follower = follow(small, wait=0)
    assert len(list(follower)) == 6
    segment = write(tmp_path / "other", named("new", begin=50))
    import_files([segment], small)
    assert inputs(follower) == ["new"]
    assert inputs(follower) == []


def test_expired_days_are_let_go_of(small: Path) -> None:
    follower = follow(small, wait=0)
    assert inputs(islice(follower, 3)) == ["a1", "a2", "a3"]
    compact(small, now=NOON + timedelta(days=99), retention_days=30)
    assert list(follower) == []
    assert follower.cursor.days == {}


def test_a_store_that_does_not_exist_yet_is_followed_once_it_does(tmp_path: Path) -> None:
    follower = follow(tmp_path / "m", wait=0)
    assert list(follower) == []
    write(tmp_path / "m", named("first"))
    assert inputs(follower) == ["first"]
    assert inputs(now_there(tmp_path / "m", follower.cursor.text)) == []


def test_a_store_moved_away_and_made_anew_is_followed_on(small: Path) -> None:
    follower = follow(small, wait=0)
    assert len(list(follower)) == 6
    away = small.with_name("away")
    small.rename(away)
    assert list(follower) == []
    write(small, named("anew"), FIRST)
    follower._swept = 0.0
    assert inputs(follower) == ["anew"]
    shutil.rmtree(small)
    away.rename(small)
    write(small, named("more", begin=50), "130000-1-0badcafe.jsonl")
    follower._swept = 0.0
    assert inputs(follower) == ["more"]


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_without_a_watch_to_be_had_a_follower_looks_for_itself(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoneLeft:
        def inotify_init1(self, flags: int) -> int:
            return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *arguments, **options: NoneLeft())
    with tail.follow(small, wait=0) as follower:
        assert follower._watcher.blind
        assert list(follower)


@pytest.mark.parametrize("blind", [False, True])
def test_what_is_written_while_a_follower_waits_is_given(
    small: Path, blind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blind:
        monkeypatch.setattr(tail.Watcher, "blind", True)
    follower = follow(small, wait=5)

    def work() -> None:
        time.sleep(0.2)
        write(small, named("grown", begin=20), FIRST)
        time.sleep(0.2)
        write(small, named("rotated", begin=30), "130000-1-0badcafe.jsonl")
        time.sleep(0.2)
        write(small, [query(NOON + timedelta(days=1), user_input="next day")], "000000-1-0badcafe.jsonl")

    worker = threading.Thread(target=work)
    records = iter(follower)
    list(islice(records, 6))
    worker.start()
    assert inputs(islice(records, 3)) == ["grown", "rotated", "next day"]
    worker.join()


def test_an_iteration_ends_when_nothing_came_for_so_long(small: Path) -> None:
    began = time.monotonic()
    assert len(list(follow(small, wait=0.3))) == 6
    assert time.monotonic() - began >= 0.3


# -- cursors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"),
        ("nothing", "damaged"),
        ("{}", "damaged"),
        ("[1]", "damaged"),
        ('{"version":1,"days":{"2026-03-10":{"s":{"x":-5}}}}', "damaged"),
        ('{"version":1,"days":' + '{"a":' * 100_000, "damaged"),
        ('{"version":2,"store":"abc","shards":[]}', "later version"),
    ],
)
def test_a_cursor_that_cannot_be_used_is_one_clear_error(small: Path, text: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        follow(small, text, wait=0)


def test_a_cursor_of_another_store_is_one_clear_error(small: Path, tmp_path: Path) -> None:
    text = follow(small, wait=0).cursor.text
    write(tmp_path / "other", named("x"))
    with pytest.raises(StoreError, match="of another store"):
        follow(tmp_path / "other", text, wait=0)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "Ä"])
def test_a_name_that_cannot_be_a_file_is_refused(small: Path, name: str) -> None:
    if name:
        with pytest.raises(UsageError, match="cannot name a follower"):
            follow(small, name=name)
    with pytest.raises(UsageError, match="wait"):
        follow(small, wait=-1)


def test_two_followers_of_one_name_exclude_each_other(small: Path) -> None:
    with follow(small, name="dashboard", wait=0), pytest.raises(StoreError, match="follows as 'dashboard' already"):
        follow(small, name="dashboard", wait=0)
    with follow(small, name="dashboard", wait=0) as follower:
        assert len(list(follower)) == 6


def test_a_named_follower_goes_on_where_it_was_closed(small: Path) -> None:
    with follow(small, name="shipper", wait=0) as follower:
        assert len(list(islice(follower, 4))) == 4
    with follow(small, name="shipper", wait=0) as follower:
        assert inputs(follower) == ["b2", "b3"]


def test_a_named_follower_ended_by_an_exception_keeps_the_place_before(small: Path) -> None:
    follower = follow(small, name="shipper", wait=0)
    with pytest.raises(ZeroDivisionError), follower:
        sum(1 / 0 for _ in follower)
    with follow(small, name="shipper", wait=0) as follower:
        assert len(list(follower)) == 6


def test_a_killed_follower_leaves_its_name_to_the_next(small: Path) -> None:
    code = (
        "import sys, time; from instrument.store.tail import follow\n"
        "follower = follow(sys.argv[1], name='x', wait=0); print(len(list(follower)), flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, str(small)], stdout=subprocess.PIPE)
    assert killed.stdout
    assert killed.stdout.readline() == b"6\n"
    with pytest.raises(StoreError, match="already"):
        follow(small, name="x")
    killed.kill()
    killed.wait()
    killed.stdout.close()
    with follow(small, name="x", wait=0) as follower:
        assert list(follower) == []


def test_compaction_waits_for_a_named_follower_and_gives_it_up_in_the_end(small: Path) -> None:
    with follow(small, name="slow", wait=0) as follower:
        next(iter(follower))
    assert compact(small, now=LATER, retention_days=30, cursor_days=10_000).left == {
        str(small / DAY): "not all of it was read yet by slow"
    }
    with follow(small, name="slow", wait=0) as follower:
        rest: Iterator[Record] = iter(follower)
        assert inputs(rest) == ["a2", "a3", "b1", "b2", "b3"]
    assert compact(small, now=LATER, retention_days=30, cursor_days=10_000).days == [DAY]


def test_compaction_gives_up_a_cursor_that_is_too_old_and_its_follower_loses_nothing(small: Path) -> None:
    with follow(small, name="gone", wait=0) as follower:
        next(iter(follower))
    old = (LATER - timedelta(days=8)).timestamp()
    os.utime(small / cursors.STATE / "cursors" / "gone.json", (old, old))
    assert compact(small, now=LATER, retention_days=30).days == [DAY]
    with follow(small, name="gone", wait=0) as follower:
        assert inputs(follower) == ["a2", "a3", "b1", "b2", "b3"]


def test_a_torn_rest_that_nobody_can_read_holds_nothing_back(small: Path) -> None:
    with open(small / DAY / FIRST, "ab") as stream:
        stream.write(b'{"t":17731440')
    with follow(small, name="reader", wait=0) as follower:
        list(follower)
    assert compact(small, now=LATER, retention_days=30, cursor_days=10_000).days == [DAY]


def test_a_store_that_cannot_be_written_to_is_followed_without_a_name(small: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    small.chmod(0o500)
    try:
        assert len(now_there(small)) == 6
        with pytest.raises(StoreError):
            follow(small, name="x")
    finally:
        small.chmod(0o700)


def test_a_follower_has_the_documented_parts(small: Path) -> None:
    follower = follow(small, wait=0)
    assert isinstance(follower, Follower)
    follower.close()
    follower.close()
    assert list(follower) == []
    assert isinstance(query(), QueryRow)


def test_three_followers_count_each_record_once_beside_writers_kills_compaction_and_forgetting() -> None:
    script = Path(__file__).with_name("following_under_stress.py")
    done = subprocess.run(
        [sys.executable, script, "--seconds", "10"], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_follower_says_that_it_follows_so_that_writers_let_records_wait_no_longer(tmp_path: Path) -> None:
    directory = tmp_path / "monitoring"
    write(directory, named("first"), FIRST)
    assert not followed.is_followed(str(directory))
    assert inputs(follow(directory, wait=0.01)) == ["first"]
    assert followed.is_followed(str(directory))
    os.utime(directory / ".state" / "followed", (0, 0))
    assert not followed.is_followed(str(directory))


def test_a_store_that_is_not_there_yet_is_not_made_by_its_follower(tmp_path: Path) -> None:
    assert list(follow(tmp_path / "monitoring", wait=0.01)) == []
    assert not (tmp_path / "monitoring").exists()
