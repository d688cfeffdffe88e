from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import duckdb
import pytest
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.analysis.filters import picked
from instrument.errors import StoreError
from instrument.records import CallRecord
from instrument.rows import stored
from instrument.rows.live import Origin
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow
from instrument.sinks.json_file import JsonFileSink
from instrument.store import parquet_export
from instrument.store.exporting import export_file, export_stream
from instrument.store.public_tables import TABLES
from instrument.store.tables import open_store


def exported(directory: Path, file: Path, format: str) -> bytes:
    with open_store(directory) as tables:
        export_file(tables, file, format)  # type: ignore[arg-type]
    return file.read_bytes()


def test_json_has_the_names_and_shape_of_the_first_document(tmp_path: Path) -> None:
    chosen = ChoiceRow(micros(NOON), "crewai", 0.85, "Multiple entities", user_input="before")
    calls = [CallRow("search", 5, duration=10), CallRow("query Bills", 7, 0, duration=3, kind="graphql")]
    row = query(agent="crewai", calls=calls, entities=["customers", "bills"], result_size=2048, selection=chosen)
    write(tmp_path, [row, SelectionRow(micros(NOON), "simple", "nobody asked", 0.1, "why")])
    document = json.loads(exported(tmp_path, tmp_path / "metrics.json", "json"))
    assert document == {
        "queries": [
            {
                "query_id": stored.id_of(row),
                "user_input": "unpaid bills",
                "agent_type": "crewai",
                "start_time": "2026-03-10T12:00:00.000000Z",
                "end_time": "2026-03-10T12:00:01.000000Z",
                "duration_ms": 1000.0,
                "success": True,
                "result_size_bytes": 2048,
                "tool_calls": 1,
                "graphql_queries": 1,
                "entities_detected": ["customers", "bills"],
                "name": "Agent.process_query",
                "calls": [
                    {"kind": "tool", "name": "search", "start_ms": 5e-06, "duration_ms": 1e-05, "success": True},
                    {
                        "kind": "graphql",
                        "name": "query Bills",
                        "start_ms": 7e-06,
                        "duration_ms": 3e-06,
                        "success": True,
                        "parent": 0,
                    },
                ],
            }
        ],
        "agent_selections": [
            {
                "query_id": stored.id_of(row),
                "user_input": "before",
                "selected_agent": "crewai",
                "complexity_score": 0.85,
                "selection_reason": "Multiple entities",
                "timestamp": "2026-03-10T12:00:00.000000Z",
            },
            {
                "query_id": "",
                "user_input": "nobody asked",
                "selected_agent": "simple",
                "complexity_score": 0.1,
                "selection_reason": "why",
                "timestamp": "2026-03-10T12:00:00.000000Z",
            },
        ],
    }


def test_csv_has_the_columns_of_the_first_document_first_and_then_all_others(tmp_path: Path) -> None:
    chosen = ChoiceRow(micros(NOON), "crewai", 0.85, "Multiple entities", user_input="before")
    rows = [
        query(
            agent="crewai", entities=["customers", "bills"], calls=[CallRow("search", 0, duration=1)], selection=chosen
        ),
        query(agent='=HYPERLINK("x")', serial=SERIAL + 1, duration=2_500_250_000, status="error", user_input="@now"),
    ]
    write(tmp_path, list(rows))
    content = exported(tmp_path, tmp_path / "out.csv", "csv").decode()
    assert not [cell for line in csv.reader(io.StringIO(content)) for cell in line if cell[:1] in tuple("=+@\t\r-")]
    first, second = csv.DictReader(io.StringIO(content))
    assert list(first)[:8] == [
        *("timestamp", "query_id", "agent_type", "duration_ms", "success", "entities_detected", "tool_calls"),
        "graphql_queries",
    ]
    assert {"user_input", "error_type", "status", "cost_usd", "attributes", "calls"} <= first.keys()
    assert (first["query_id"], first["selected_agent"], first["complexity_score"]) == (
        stored.id_of(rows[0]),
        "crewai",
        "0.85",
    )
    assert json.loads(first["calls"])[0]["name"] == "search"
    assert (second["agent_type"], second["user_input"], second["status"]) == ('\'=HYPERLINK("x")', "'@now", "error")


def test_every_format_has_every_column_of_the_documented_table(tmp_path: Path) -> None:
    documented = {column.name: column.type for column in TABLES["queries"]}
    write(tmp_path, [query(calls=[CallRow("search", 0, duration=1)])])
    exported(tmp_path, tmp_path / "out", "parquet")
    with open_store(tmp_path) as tables:
        found = {name: kind for name, kind, *_ in tables.rows(f"DESCRIBE FROM read_parquet('{tmp_path}/out')")}
        [(calls,)] = tables.rows(f"SELECT calls FROM read_parquet('{tmp_path}/out')")
    assert {name: found.pop(name) for name in documented} == documented
    assert set(found) == {"calls", "selection_time", "selection_input"}
    assert [call["name"] for call in calls] == ["search"]
    in_csv = set(exported(tmp_path, tmp_path / "out", "csv").decode().partition("\n")[0].split(","))
    assert set(documented) - in_csv == {"start_time"}  # which is called timestamp there


def test_the_calls_of_a_parquet_export_have_every_field_of_their_records() -> None:
    assert set(parquet_export._CALL_FIELDS) == set(CallRecord.__struct_fields__) - {"query_id", "start_time", "weight"}


def test_json_has_what_belongs_to_no_query_where_there_is_any(tmp_path: Path) -> None:
    alone = StandaloneCallRow(micros(NOON), "sweep", 5_000_000, "tool", "error", "KeyError", "no")
    lost = HealthRow(micros(NOON), {"buffer full": 3}, {}, Origin("box", 5))
    write(tmp_path, [query(), alone, lost])
    document = json.loads(exported(tmp_path, tmp_path / "out", "json"))
    assert [(call["name"], call["duration_ms"], call["start_time"]) for call in document["standalone_calls"]] == [
        ("sweep", 5, "2026-03-10T12:00:00.000000Z")
    ]
    assert document["health"] == [
        {"timestamp": "2026-03-10T12:00:00.000000Z", "dropped": {"buffer full": 3}, "host": "box", "process": 5}
    ]


def test_no_sink_continues_an_export_that_holds_more_than_queries(tmp_path: Path) -> None:
    write(tmp_path / "store", [query(), StandaloneCallRow(micros(NOON), "sweep", 5)])
    file = tmp_path / "metrics.json"
    before = exported(tmp_path / "store", file, "json")
    sink = JsonFileSink(file)
    sink.write([query(serial=SERIAL + 9)])
    sink.flush()
    assert (tmp_path / "metrics.json.unreadable-1").read_bytes() == before
    assert len(json.loads(file.read_text())["queries"]) == 1


def test_every_format_holds_every_query_and_goes_to_a_stream_as_to_a_file(tmp_path: Path) -> None:
    rows = random_rows(41, 300)
    write(tmp_path, rows)
    queries = sum(isinstance(row, QueryRow) for row in rows)
    assert len(json.loads(exported(tmp_path, tmp_path / "out.json", "json"))["queries"]) == queries
    lines = exported(tmp_path, tmp_path / "out.csv", "csv").decode()
    assert len(list(csv.DictReader(io.StringIO(lines, newline="")))) == queries
    with open_store(tmp_path) as tables:
        for format in ("json", "csv"):
            stream = io.BytesIO()
            export_stream(tables, stream, format)
            assert stream.getvalue() == (tmp_path / f"out.{format}").read_bytes()
        stream = io.BytesIO()
        export_stream(tables, stream, "parquet")
        assert stream.getvalue()[:4] == b"PAR1"


def test_an_empty_store_exports_an_empty_document(tmp_path: Path) -> None:
    assert json.loads(exported(tmp_path, tmp_path / "out.json", "json")) == {"queries": [], "agent_selections": []}


def test_an_export_is_its_owner_s_alone_and_replaces_the_file_at_once(tmp_path: Path) -> None:
    write(tmp_path / "store", [query()])
    file = tmp_path / "out.json"
    file.write_text("old")
    for format in ("json", "csv", "parquet"):
        exported(tmp_path / "store", file, format)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out.json", "store"]


def test_where_nothing_can_be_written_one_line_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    with pytest.raises(StoreError, match="make it first"):
        exported(tmp_path, tmp_path / "nowhere" / "out.json", "json")
    with pytest.raises(StoreError, match="name a file in it"):
        exported(tmp_path, tmp_path, "parquet")


def test_parquet_has_the_documented_columns_with_their_types(tmp_path: Path) -> None:
    write(tmp_path / "store", [query(calls=[CallRow("search", 0, duration=1)]), query(serial=SERIAL + 1)])
    exported(tmp_path / "store", tmp_path / "out.parquet", "parquet")
    found = duckdb.connect().execute(f"SELECT * FROM '{tmp_path / 'out.parquet'}'")
    names = [name for name, *_ in found.description or ()]
    assert names[: len(TABLES["queries"])] == [column.name for column in TABLES["queries"]]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert [row["tool_calls"] for row in rows] == [1, 0]
    assert all(row["query_id"] and row["start_time"].year == 2026 for row in rows)


def test_only_the_queries_that_filters_pick_are_exported(tmp_path: Path) -> None:
    write(tmp_path / "store", [query(agent="crewai"), query(agent="simple", serial=SERIAL + 1)])
    with open_store(tmp_path / "store") as tables:
        chosen = picked(tables, "agent=crewai")
        for format in ("json", "csv", "parquet"):
            export_file(chosen, tmp_path / f"out.{format}", format)
    assert [each["agent_type"] for each in json.loads((tmp_path / "out.json").read_text())["queries"]] == ["crewai"]
    assert (tmp_path / "out.csv").read_text().count("\n") == 2
    counted = duckdb.connect().execute(f"SELECT count(*), min(agent_type) FROM '{tmp_path / 'out.parquet'}'").fetchall()
    assert counted == [(1, "crewai")]
