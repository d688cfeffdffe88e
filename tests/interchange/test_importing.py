from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from seed_collector import SeedCollector
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.errors import StoreError
from instrument.records import QueryRecord
from instrument.rows import stored
from instrument.rows.live import ModelFacts, Origin
from instrument.rows.stored import CallRow, HealthRow, QueryRow, StandaloneCallRow
from instrument.store.exporting import export_file
from instrument.store.importing import Imported, import_files
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact

FIRST = "123e4567-e89b-12d3-a456-426614174000"
SECOND = "456e7890-e89b-12d3-a456-426614174001"
THIRD = "789e7890-e89b-12d3-a456-426614174002"
MORNING = datetime(2025, 10, 15, 6, 30)


def seeded() -> SeedCollector:
    seed = SeedCollector()
    seed.select("customers in India", "crewai", 0.85, "Complex query pattern detected", MORNING)
    seed.start(FIRST, "customers in India", "crewai", MORNING + timedelta(microseconds=5))
    seed.detect(FIRST, ["customers", "bills"])
    for name in ("tool_calls", "tool_calls", "tool_calls", "graphql_queries"):
        seed.count(FIRST, name)
    seed.finish(FIRST, MORNING + timedelta(seconds=45), result_size_bytes=2048)
    seed.start(SECOND, "plans", "simple", MORNING + timedelta(minutes=1))
    seed.select(SECOND, "simple", 0.2, "Simple query pattern detected", MORNING + timedelta(minutes=1))
    seed.finish(SECOND, MORNING + timedelta(minutes=2), False, error_type="ValueError", error_message="no plan")
    seed.start(THIRD, "never ended", "simple", MORNING)
    return seed


def exported(store: Path, file: Path) -> bytes:
    with open_store(store) as tables:
        export_file(tables, file, "json")
    return file.read_bytes()


def records(store: Path) -> dict[str, QueryRecord]:
    with open_store(store) as tables:
        return {record.query_id: record for record in tables.records()}


@pytest.mark.parametrize("layout", ["mixed", "apart", "bare"])
def test_what_the_seed_s_collector_wrote_comes_in_whole(tmp_path: Path, layout: str) -> None:
    file = seeded().save(tmp_path / "old", bare=layout == "bare", mixed=layout == "mixed")
    done = import_files([file], tmp_path / "store")
    assert (done.queries, done.selections, done.duplicates, done.skipped) == (3, 2, 0, [])
    assert done.notes == ["times without an offset were taken as UTC"]
    found = records(tmp_path / "store")
    first, second, third = found[FIRST], found[SECOND], found[THIRD]
    assert (first.start_time, first.duration_ms) == ("2025-10-15T06:30:00.000005Z", 44999.995)
    assert (first.tool_calls, first.graphql_queries, first.entities_detected) == (3, 1, ["customers", "bills"])
    assert (first.success, first.result_size_bytes, first.status) == (True, 2048, "ok")
    assert first.selection is not None
    assert (first.selection.complexity_score, first.selection.selected_agent) == (0.85, "crewai")
    assert (second.status, second.error_type, second.error_message) == ("error", "ValueError", "no plan")
    assert second.selection is not None
    assert second.selection.selection_reason == "Simple query pattern detected"
    assert (third.status, third.success, third.duration_ms) == ("abandoned", False, 0)


def test_the_files_shown_in_the_first_document_come_in(tmp_path: Path) -> None:
    shown = {
        "queries": [
            {
                "query_id": FIRST,
                "user_input": "show me all customers",
                "agent_type": "crewai",
                "start_time": "2025-10-15T06:30:00.000Z",
                "end_time": "2025-10-15T06:30:45.000Z",
                "duration_ms": 45000,
                "success": True,
                "result_size_bytes": 2048,
                "tool_calls": 3,
                "graphql_queries": 2,
                "entities_detected": ["customers", "bills", "payments"],
            }
        ],
        "agent_selections": [],
    }
    (tmp_path / "a").write_text(json.dumps(shown))
    (tmp_path / "b").write_text(
        "timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries\n"
        f'2025-10-15T06:30:00.000Z,{FIRST},crewai,45000,true,"customers,bills,payments",3,2\n'
        f'2025-10-15T06:31:00.000Z,{SECOND},simple,2500,true,"payments",1,1\n'
    )
    done = import_files([tmp_path / "a", tmp_path / "b"], tmp_path / "store")
    assert (done.queries, done.duplicates, done.notes) == (2, 1, [])
    found = records(tmp_path / "store")
    assert found[FIRST].user_input == "show me all customers"
    assert (found[SECOND].duration_ms, found[SECOND].entities_detected) == (2500, ["payments"])


def test_a_csv_of_the_seed_s_own_comes_in(tmp_path: Path) -> None:
    done = import_files([seeded().save_csv(tmp_path / "old.csv")], tmp_path / "store")
    assert (done.queries, done.skipped) == (2, [])
    found = records(tmp_path / "store")[FIRST]
    assert (found.duration_ms, found.tool_calls, found.entities_detected) == (44999, 3, ["customers", "bills"])


def test_nothing_is_lost_between_export_and_import(tmp_path: Path) -> None:
    rows = random_rows(51, 400, start=NOON - timedelta(hours=30), hours=30, weights=(1.0, 20.0))
    late = query(serial=SERIAL + 5000, calls=[CallRow("slow", 1)])
    slow = StandaloneCallRow(
        micros(NOON), "slow", 5, "tool", "error", "ValueError", "no", parent=stored.id_of(late), place=0
    )
    write(tmp_path / "first", [*rows, late, slow])
    first = exported(tmp_path / "first", tmp_path / "first.json")
    done = import_files([tmp_path / "first.json"], tmp_path / "second")
    assert (done.queries, done.skipped, done.duplicates) == (401, [], 0)
    assert exported(tmp_path / "second", tmp_path / "second.json") == first
    assert import_files([tmp_path / "second.json"], tmp_path / "first").queries == 0
    assert exported(tmp_path / "first", tmp_path / "again.json") == first


def test_csv_survives_export_and_import(tmp_path: Path) -> None:
    names = ["=1+1", "'=1", "''", "+", "-x", "@y", "\ttab", "\rcr", "a,b", 'q"q', "back\\slash", "line\nbreak", " x "]
    rows = [
        query(agent=name, serial=SERIAL + place, entities=[name, "bills"], duration=place * 1_000_001)
        for place, name in enumerate(names)
    ]
    write(tmp_path / "first", list(rows))
    with open_store(tmp_path / "first") as tables:
        export_file(tables, tmp_path / "first.csv", "csv")
    import_files([tmp_path / "first.csv"], tmp_path / "second")
    found = records(tmp_path / "second")
    assert [(found[stored.id_of(row)].agent_type, found[stored.id_of(row)].entities_detected) for row in rows] == [
        (name, [name, "bills"]) for name in names
    ]
    with open_store(tmp_path / "second") as tables:
        export_file(tables, tmp_path / "second.csv", "csv")
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()


@pytest.mark.parametrize("kind", ["segment", "store", "json"])
def test_segments_and_exports_come_in_with_everything(tmp_path: Path, kind: str) -> None:
    rows = [*random_rows(52, 200), HealthRow(micros(NOON), {"buffer full": 3}, {"sink": 1}, Origin("box", 5))]
    file = write(tmp_path / "first", rows)
    if kind == "json":
        file = tmp_path / "out"
        with open_store(tmp_path / "first") as tables:
            export_file(tables, file, "json")
    if kind == "store":
        file = tmp_path / "out"
        with open_store(tmp_path / "first") as tables:
            export_file(tables, file, "store")
    done = import_files([file], tmp_path / "second")
    assert (done.queries, done.calls, done.skipped) == (
        200,
        sum(isinstance(row, StandaloneCallRow) for row in rows),
        [],
    )
    first, second = exported(tmp_path / "first", tmp_path / "a"), exported(tmp_path / "second", tmp_path / "b")
    assert first == second
    for store in ("second", "first"):
        again = import_files([file], tmp_path / store)
        assert (again.queries, again.selections, again.calls) == (0, 0, 0)
        assert exported(tmp_path / store, tmp_path / "c") == first


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables_of_queries_come_in_with_everything_that_is_known_of_them(tmp_path: Path, format: str) -> None:
    spent = ModelFacts("small-1", "somebody", 10, 5, 4, 3, 2_500_000, 0.25)
    asked = CallRow("small-1", 1_500_000, None, 5_000_001, "model", "ok", facts=spent)
    odd = query(
        serial=SERIAL + 7000,
        user_input='=1+1, "quoted"\nand a line',
        calls=[asked, CallRow("find", 2, 0, 3, error="KeyError", status="error")],
        entities=["a,b", "-c"],
        attributes={"tenant": "north", "deep": {"x": [1]}},
        metrics={"score": 0.5},
        cached_tokens=4,
        cost_usd=0.25,
        message="'quoted'",
        origin=Origin("box", 5),
    )
    unfinished = query(serial=SERIAL + 7001, calls=[CallRow("slow", 1)])
    ended = StandaloneCallRow(micros(NOON), "slow", 5, "tool", parent=stored.id_of(unfinished), place=0)
    rows = [row for row in random_rows(53, 200, weights=(1.0, 20.0)) if isinstance(row, QueryRow)]
    write(tmp_path / "first", [*rows, odd, unfinished, ended])
    file = tmp_path / "table"
    with open_store(tmp_path / "first") as tables:
        export_file(tables, file, format)  # type: ignore[arg-type]
    done = import_files([file], tmp_path / "second")
    assert (done.queries, done.skipped, done.notes) == (202, [], [])
    assert records(tmp_path / "second") == records(tmp_path / "first")
    assert import_files([file], tmp_path / "first").queries == 0


def test_a_table_that_another_program_wrote_comes_in_as_far_as_it_has_columns_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "table"
    with open_store(write(tmp_path / "empty", []).parent.parent) as tables:
        tables.rows(
            "COPY (SELECT 'q1' AS query_id, TIMESTAMPTZ '2025-01-01 02:00:00+02' AS start_time, 5 AS duration_ms,"
            f" 1 AS x, 'ok' AS status) TO '{file}' (FORMAT parquet)"
        )
    import_files([file], tmp_path / "store")
    [record] = records(tmp_path / "store").values()
    assert (record.start_time, record.duration_ms, record.status) == ("2025-01-01T00:00:00.000000Z", 5, "ok")


def test_importing_twice_adds_nothing(tmp_path: Path) -> None:
    file = seeded().save(tmp_path / "old")
    import_files([file], tmp_path / "store")
    before = exported(tmp_path / "store", tmp_path / "a")
    again = import_files([file, file], tmp_path / "store")
    assert (again.queries, again.selections) == (0, 0)
    assert exported(tmp_path / "store", tmp_path / "b") == before
    compact(tmp_path / "store", now=NOON, retention_days=10_000)
    assert import_files([file], tmp_path / "store").queries == 0
    assert exported(tmp_path / "store", tmp_path / "c") == before


def test_records_go_to_the_day_they_started(tmp_path: Path) -> None:
    import_files([seeded().save(tmp_path / "old")], tmp_path / "store")
    folders = [entry.name for entry in (tmp_path / "store").iterdir() if not entry.name.startswith(".")]
    assert folders == ["2025-10-15"]
    with open_store(tmp_path / "store", since=NOON) as tables:
        assert list(tables.records()) == []


def test_an_entry_that_cannot_be_taken_is_named_with_its_place_and_the_reason(tmp_path: Path) -> None:
    good = {"query_id": FIRST, "start_time": "2025-10-15 06:30:00", "duration_ms": 5, "success": True}
    bad = [
        good | {"query_id": ""},
        good | {"start_time": "yesterday"},
        good | {"start_time": "1066-10-14T09:00:00Z"},
        good | {"duration_ms": "long"},
        good | {"duration_ms": -5},
        good | {"duration_ms": 1e300},
        "not even an object",
    ]
    (tmp_path / "a").write_text(json.dumps({"queries": [*bad, good], "agent_selections": [{"query_id": FIRST}]}))
    done = import_files([tmp_path / "a"], tmp_path / "store")
    assert done.queries == 1
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("queries[0]", "it has no query_id"),
        ("queries[1]", "start_time 'yesterday' is not a time"),
        ("queries[2]", "start_time '1066-10-14T09:00:00Z' is before 1970 or beyond all use"),
        ("queries[3]", "Expected `float | null`, got `str` at `.duration_ms`"),
        ("queries[4]", "a duration of -5.0 ms cannot be"),
        ("queries[5]", "a duration of 1e+300 ms cannot be"),
        ("queries[6]", "Expected `object`, got `str`"),
        ("agent_selections[0]", "it has no timestamp"),
    ]


def test_a_line_of_csv_that_cannot_be_taken_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        "timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries\n"
        f"2025-10-15 06:30:00,{FIRST},simple,5,yes,,0,0\n"
        f"2025-10-15 06:30:00,{FIRST},simple,5,true,,many,0\n"
        f"2025-10-15 06:30:00,{FIRST},simple\n"
        f"2025-10-15 06:30:00,{FIRST},simple,5,true,,0,0\n"
    )
    done = import_files([tmp_path / "a"], tmp_path / "store")
    assert done.queries == 1
    assert [one.position for one in done.skipped] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"queries": [{"query_id": "a"', "cut off or damaged"),
        (b'{"queries": 5}', "no list of `queries`"),
        (b'{"other": []}', "no list of `queries`"),
        (b"hello\nworld\n", "no file of metrics"),
        (b"\xff\xfe{\x00", "no file of metrics"),
        (b"SQLite format 3\0" + bytes(1000), "no file of metrics"),
        (b"PAR1 but not really", "cut off or damaged"),
        (b'{"t":1}\n' + b"x" * 17_000_000, "line too long"),
    ],
    ids=str,
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_imported(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    good, bad = seeded().save(tmp_path / "good"), tmp_path / "bad"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(StoreError, match=told) as raised:
        import_files([good, bad], tmp_path / "store")
    assert "\n" not in str(raised.value)
    assert str(bad) in str(raised.value)
    assert not (tmp_path / "store").exists() or not records(tmp_path / "store")


def test_the_store_s_place_taken_by_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x")
    with pytest.raises(StoreError):
        import_files([seeded().save(tmp_path / "old")], tmp_path / "store")


def test_what_is_imported_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    import_files([seeded().save(tmp_path / "old")], tmp_path / "store")
    for folder, folders, files in os.walk(tmp_path / "store"):
        for name in (*folders, *files):
            assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0


def test_an_import_counts_what_it_did(tmp_path: Path) -> None:
    assert import_files([], tmp_path / "store") == Imported()
