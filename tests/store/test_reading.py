from __future__ import annotations

import random
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from full_disk import on_a_full_disk
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.errors import StoreError
from instrument.rows import as_records, stored
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow
from instrument.store import stored_records
from instrument.store.tables import Tables, open_store


def counts(tables: Tables) -> list[int]:
    return [tables.rows(f"SELECT count(*) FROM {name}")[0][0] for name in ("queries", "calls", "selections", "health")]


def test_ids_derived_in_sql_are_those_derived_when_recording(tmp_path: Path) -> None:
    chance = random.Random(1)
    times = [0, 1, 999, 1000, 2**40, micros(NOON), *(chance.randrange(2**51) for _ in range(500))]
    serials = [0, 1, 2**48 - 1, 2**48, 2**61, 2**62 - 1, *(chance.randrange(2**62) for _ in range(500))]
    rows = [QueryRow(time, serial, "a", "", "n", []) for time, serial in zip(times, serials, strict=True)]
    (tmp_path / "2026-03-10").mkdir()
    (tmp_path / "2026-03-10" / "segment.jsonl").write_bytes(stored.encode_lines(list(rows)))
    with open_store(tmp_path) as tables:
        found = dict(tables.rows("SELECT query_id, started_us FROM queries"))
    assert found == {stored.derived_id(row.started, row.serial): row.started for row in rows}


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = random_rows(2, 300)
    write(tmp_path, rows)
    queries = sorted(
        (row for row in rows if isinstance(row, QueryRow)), key=lambda row: (row.started, stored.id_of(row))
    )
    selections = [row for row in rows if isinstance(row, SelectionRow)]
    calls = [row for row in rows if isinstance(row, StandaloneCallRow)]
    with open_store(tmp_path) as tables:
        assert list(tables.records()) == [as_records.query_record(row) for row in queries]
        found = list(tables.loose_selections())
        assert found == [as_records.selection_record(row) for row in sorted(selections, key=lambda row: row.time)]
        assert list(tables.loose_calls()) == [
            as_records.loose_call_record(row) for row in sorted(calls, key=lambda row: row.started)
        ]
        of_tables = tables.rows("SELECT query_id, duration_ms, success, tool_calls, graphql_queries FROM queries")
    assert sorted(of_tables) == sorted(
        (record.query_id, record.duration_ms, record.success, record.tool_calls, record.graphql_queries)
        for record in map(as_records.query_record, queries)
    )


def test_records_come_in_order_however_many_are_sorted_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_time = [query(serial=SERIAL + 10_000 + place) for place in range(100)]
    write(tmp_path, [*random_rows(9, 200), *same_time])
    with open_store(tmp_path) as tables:
        at_once = list(tables.records()), list(tables.records("agent_type = $agent", {"agent": "simple"}))
        monkeypatch.setattr(stored_records, "_STRETCH", 30)
        assert (list(tables.records()), list(tables.records("agent_type = $agent", {"agent": "simple"}))) == at_once
        assert list(tables.records("query_id = 'none'")) == []


def test_a_missing_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store here yet.*metrics demo"):
        open_store(tmp_path / "nowhere")


def test_a_file_in_the_store_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(StoreError, match="a file, not a store"):
        open_store(tmp_path / "store")


def test_an_empty_store_has_tables_without_rows(tmp_path: Path) -> None:
    (tmp_path / "2026-03-10").mkdir()
    (tmp_path / "2026-03-10" / "empty.jsonl").touch()
    (tmp_path / "not-a-day").mkdir()
    with open_store(tmp_path) as tables:
        assert counts(tables) == [0, 0, 0, 0]
        assert list(tables.records()) == list(tables.loose_selections()) == list(tables.loose_calls()) == []


GOOD = b'{"t":1773144000000000,"i":7,"n":"n","a":"simple","c":[],"d":5,"news":{"unknown":[1]}}\n'

BAD = {
    "a torn last line": (GOOD + GOOD[:20], 1, 1),
    "a torn line in between": (GOOD[:20] + b"\n" + GOOD, 1, 1),
    "two records glued together": (GOOD[:-1] + GOOD, 0, 1),
    "a hole of zeros": (GOOD + b"\0" * 5000, 1, 1),
    "text that is not UTF-8": (GOOD + b'{"t":1,"q":"\xff"}\n', 1, 1),
    "half a surrogate pair": (GOOD + b'{"t":1,"q":"\\ud800"}\n', 1, 1),
    "JSON that is no record": (GOOD + b'[1]\n2\n"3"\nnull\n{}\n', 1, 5),
    "a time that cannot be": (GOOD + b'{"t":-1}\n{"t":9e18}\n{"t":"now"}\n', 1, 3),
    "a time and duration beyond the year 9999": (GOOD + b'{"t":1,"d":9000000000000000000}\n', 1, 1),
    "blank lines": (b"\n\n" + GOOD + b"\n", 1, 0),
    "no line end": (GOOD + GOOD[:-1], 2, 0),
    "nothing": (b"", 0, 0),
    "another program's file": (b"SQLite format 3\0" + bytes(4096), 0, 1),
    "a line too long for any reader": (b"x" * 40_000_000, 0, 1),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_skipped_counted_and_named(tmp_path: Path, content: tuple[bytes, int, int]) -> None:
    written, readable, skipped = content
    write(tmp_path, [query()])
    bad = tmp_path / "2026-03-10" / "bad.jsonl"
    bad.write_bytes(written)
    with open_store(tmp_path) as tables:
        assert len(list(tables.records())) == readable + 1
        assert tables.skipped == skipped
        assert tables.skipped_files == ({str(bad): skipped} if skipped else {})


def test_a_file_that_only_calls_itself_parquet_is_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    (tmp_path / "2026-03-10" / "fake.parquet").write_bytes(b"not at all")
    with open_store(tmp_path) as tables:
        assert (counts(tables)[0], tables.skipped) == (1, 1)


def test_a_line_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    write(tmp_path, [query(user_input="x" * 10_000_000), query(serial=SERIAL + 1)])
    with open_store(tmp_path) as tables:
        assert [len(record.user_input) for record in tables.records("length(user_input) > 20")] == [10_000_000]
        assert tables.skipped == 0


def test_a_directory_whose_name_is_a_pattern_is_read(tmp_path: Path) -> None:
    directory = tmp_path / "a[b]*?'c"
    write(directory, [query()])
    with open_store(directory) as tables:
        assert counts(tables)[0] == 1


def test_a_period_reads_only_the_days_that_can_hold_it(tmp_path: Path) -> None:
    write(tmp_path, [query(NOON - timedelta(days=1)), query(), query(NOON + timedelta(hours=1), serial=SERIAL + 1)])
    (tmp_path / "2026-03-09" / "torn.jsonl").write_bytes(b"{")
    long_running = query(NOON + timedelta(minutes=5), duration=3 * 86400 * 10**9, serial=SERIAL + 2)
    (tmp_path / "2026-03-13").mkdir()
    (tmp_path / "2026-03-13" / "late.jsonl").write_bytes(stored.encode_lines([long_running]))
    with open_store(tmp_path, since=NOON, until=NOON + timedelta(minutes=30)) as tables:
        assert [record.start_time[11:16] for record in tables.records()] == ["12:00", "12:05"]
        assert tables.skipped == 0


def test_calls_that_ended_after_their_query_was_written_are_joined_to_it(tmp_path: Path) -> None:
    unfinished = CallRow("slow", 1000, kind="graphql")
    first = query(calls=[CallRow("quick", 0, duration=10), unfinished, CallRow("lost", 5000)])
    started = micros(NOON) + 7_000_000
    parent = stored.id_of(first)
    filling = StandaloneCallRow(
        started, "slow", 9_000_000_000, "graphql", "error", "ValueError", "too slow", parent=parent, place=1, late=True
    )
    from_fork = StandaloneCallRow(started, "of a fork", 5, parent=parent)
    orphan = StandaloneCallRow(started, "orphan", 5, parent="01234567-89ab-7cde-8f01-23456789abcd", place=0)
    write(tmp_path, [first, query(serial=SERIAL + 1)])
    write(tmp_path, [filling, from_fork, orphan, StandaloneCallRow(started, "alone", 5)], "120007-43-0badcafe.jsonl")
    with open_store(tmp_path) as tables:
        calls = tables.rows("SELECT name, kind, status, success, duration_ns, agent_type FROM calls ORDER BY ALL")
        [record] = tables.records("query_id = $id", {"id": parent})
        assert tables.rows("SELECT tool_calls, graphql_queries FROM queries ORDER BY tool_calls DESC") == [
            (3, 1),
            (0, 0),
        ]
        assert [call.name for call in tables.loose_calls()] == ["alone"]
    assert calls == [
        ("alone", "tool", "ok", True, 5, None),
        ("lost", "tool", "abandoned", False, None, "simple"),
        ("of a fork", "tool", "ok", True, 5, "simple"),
        ("orphan", "tool", "ok", True, 5, None),
        ("quick", "tool", "ok", True, 10, "simple"),
        ("slow", "graphql", "error", False, 9_000_000_000, "simple"),
    ]
    assert [(call.name, call.duration_ms, call.status, call.late) for call in record.calls] == [
        ("quick", 1e-05, "ok", False),
        ("slow", 9000.0, "error", True),
        ("lost", None, "abandoned", False),
        ("of a fork", 5e-06, "ok", True),
    ]
    assert record.calls[1].error_message == "too slow"
    assert (record.tool_calls, record.graphql_queries) == (3, 1)


def test_a_selection_on_a_line_of_its_own_goes_to_the_query_it_names(tmp_path: Path) -> None:
    without = query()
    having = query(serial=SERIAL + 1, selection=ChoiceRow(micros(NOON), "simple", 0.1, "own"))
    lines = [
        SelectionRow(micros(NOON), "crewai", "unpaid bills", 0.8, "complex", parent=stored.id_of(without)),
        SelectionRow(micros(NOON) + 1, "crewai", "", 0.9, "again", parent=stored.id_of(having)),
        SelectionRow(micros(NOON) + 2, "simple", "nobody asked", 0.2, "simple"),
    ]
    write(tmp_path, [without, having, *lines])
    with open_store(tmp_path) as tables:
        chosen = [record.selection and record.selection.selection_reason for record in tables.records()]
        assert chosen == ["complex", "own"]
        assert [(one.query_id, one.selection_reason) for one in tables.loose_selections()] == [
            (stored.id_of(having), "again"),
            ("", "simple"),
        ]
        assert counts(tables)[2] == 4


def test_what_was_dropped_while_recording_stands_in_health(tmp_path: Path) -> None:
    write(tmp_path, [HealthRow(micros(NOON), {"full": 3, "encoding": 2}, {}), HealthRow(micros(NOON), {}, {"sink": 1})])
    with open_store(tmp_path) as tables:
        assert sorted(tables.rows("SELECT dropped_total FROM health")) == [(0,), (5,)]


def test_what_is_not_a_number_or_an_object_costs_no_record(tmp_path: Path) -> None:
    segment = write(tmp_path, [query()])
    with open(segment, "ab") as stream:
        stream.write(b'{"t":5,"c":[null,{"n":1,"d":"x"}],"metrics":{"a":"b"},"attributes":[1],"w":-3,"a":5,"r":"x"}\n')
        stream.write(
            b'{"t":6,"w":NaN,"entities":["a",null],"selection":{"a":"x"},"o":{"h":"x"},"type":"of tomorrow"}\n'
        )
    with open_store(tmp_path) as tables:
        records = list(tables.records())
        assert [(record.weight, record.metrics, record.agent_type) for record in records] == [
            (1.0, {}, "5"),
            (1.0, {}, "simple"),
        ]
        assert tables.skipped == 0


def test_a_report_needs_no_room_on_any_disk(tmp_path: Path) -> None:
    write(tmp_path, [query(), query(serial=SERIAL + 1)])
    command = on_a_full_disk("sql", "SELECT count(*) AS found FROM queries", "--format", "csv", "-d", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["found", "2"], "")
