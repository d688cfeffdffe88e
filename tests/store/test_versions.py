"""Stores of earlier and later versions of the package."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.rows import columns
from instrument.rows.stored import QueryRow, Row, encode_lines
from instrument.store.exporting import export_file
from instrument.store.importing import import_files
from instrument.store.tables import connect, open_store
from instrument.store.upkeep.compaction import compact

LATER = NOON + timedelta(days=3)


def everything(directory: Path) -> list[object]:
    with open_store(directory) as tables:
        figures = tables.rows("SELECT count(*), sum(duration_ns), sum(tool_calls), sum(graphql_queries) FROM queries")
        calls = tables.rows("SELECT count(*), sum(duration_ns), count(error_type) FROM calls")
        loose = [list(tables.loose_selections()), list(tables.loose_calls())]
        return [list(tables.records()), *loose, tables.skipped, figures, calls]


def of_tomorrow(row: Row, version: int = 9) -> bytes:
    """A row as a later version may write it: unknown keys in it and in its calls, a known one in another shape."""
    line = json.loads(encode_lines([row])) | {"v": version, "cost": {"usd": 0.25}, "model": ["small", "large"]}
    for call in line.get("c", ()):
        call["retries"] = 3
    return json.dumps(line).encode() + b"\n"


def test_what_a_later_version_writes_is_read_beside_ours_and_compaction_keeps_it_whole(tmp_path: Path) -> None:
    rows: list[Row] = [query(serial=SERIAL), *random_rows(1, 40)]
    segment = write(tmp_path, [query(serial=SERIAL + 1000)])
    lines = [of_tomorrow(row) for row in rows]
    segment.with_name("130000-43-0badcafe.jsonl").write_bytes(b"".join(lines) + b"{torn\n")
    segment.with_name("140000-43-0badcafe.jsonl").write_bytes(encode_lines([query(serial=SERIAL + 2000)]))
    before = everything(tmp_path)
    assert len(before[0]) == sum(isinstance(row, QueryRow) for row in rows) + 2  # type: ignore[arg-type]
    compact(tmp_path, now=LATER, retention_days=30)
    assert everything(tmp_path) == before
    with open_store(tmp_path) as tables:
        kept = [json.loads(more) for (more,) in tables.rows("SELECT more FROM lines WHERE more IS NOT NULL")]
    assert sorted(map(repr, kept)) == sorted(repr(json.loads(line)) for line in lines)


def compacted_by_an_earlier_version(store: Path, without: set[str], fields: set[str]) -> None:
    """A day compacted without some columns, and without some fields of calls."""
    day = store / "2026-03-10"
    [segment] = day.glob("*.jsonl")
    calls = [field for field in ("n", "b", "p", "d", "k", "s", "e", "m", "x", "l") if field not in fields]
    shapes = {"c": f"list_transform(c, lambda call: {{{', '.join(f'{each}: call.{each}' for each in calls)}}}) AS c"}
    names = ", ".join(shapes.get(name, name) for name in columns.COLUMNS if name not in without)
    with connect() as connection:
        connection.execute(
            f"COPY (SELECT {names} FROM {columns.read_segments([str(segment)])} ORDER BY t)"
            f" TO '{day / '120000-0.parquet'}' (FORMAT parquet)"
        )
    segment.unlink()


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a newer file"])
def test_columns_and_fields_that_an_earlier_version_did_not_know_read_as_their_defaults(
    tmp_path: Path, beside: bool
) -> None:
    without, fields = {"w", "f", "x", "tc", "gc", "model", "problems", "late", "more", "selection"}, {"x", "l", "m"}
    rows = random_rows(2, 200)
    for row in rows:
        if isinstance(row, QueryRow):
            row.first_chunk = row.model = row.selection = None
            row.passed_on = False
            for call in row.calls:
                call.passed_on, call.facts = False, None
    write(tmp_path, rows)
    if beside:
        write(tmp_path, random_rows(3, 50, start=NOON + timedelta(days=1)))
    before = everything(tmp_path)
    compacted_by_an_earlier_version(tmp_path, without, fields)
    if beside:
        compact(tmp_path, now=LATER, retention_days=30)
    assert everything(tmp_path) == before
    with open_store(tmp_path) as tables:
        export_file(tables, tmp_path / "all.parquet", "store")
    import_files([tmp_path / "all.parquet"], tmp_path / "copy")
    assert everything(tmp_path / "copy") == before


def test_columns_of_a_later_version_s_compacted_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, random_rows(4, 100))
    before = everything(tmp_path)
    compact(tmp_path, now=LATER, retention_days=30)
    [file] = tmp_path.glob("*/*.parquet")
    newer = file.with_name("newer")
    with connect() as connection:
        connection.execute(f"COPY (SELECT *, 1 AS cost, [w] AS z FROM '{file}') TO '{newer}' (FORMAT parquet)")
    newer.rename(file)
    assert everything(tmp_path) == before


def test_a_parquet_file_of_another_kind_is_skipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    with connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / '2026-03-10' / 'foreign.parquet'}' (FORMAT parquet)")
    with open_store(tmp_path) as tables:
        assert (len(list(tables.records())), tables.skipped) == (1, 1)
