"""Every shape of a record has the fields that the table says, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from instrument.interchange.entries import Entry
from instrument.records import CallRecord, QueryRecord, SelectionRecord
from instrument.rows import columns
from instrument.rows.fields import CALL, FIELDS, HEALTH, QUERY, SELECTION, Field
from instrument.rows.live import ChoiceRow, LiveCall, LiveQuery, ModelFacts, RareCallFields, RareQueryFields
from instrument.rows.stored import CallRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow
from instrument.store.tables import open_store

NOT_STORED = {"scope", "frames", "more", "family", "beside"}
"""What only a running query has."""


def keys_of(row: type[msgspec.Struct], attribute: str = "", key: str = "") -> set[tuple[str, str]]:
    """The attributes of a row and the keys that they have on disk; those of facts behind a dot."""
    found = set()
    for field in msgspec.structs.fields(row):
        if field.name == "facts":
            found |= keys_of(ModelFacts, "facts.", f"{field.encode_name}.")
        else:
            found.add((attribute + field.name, key + field.encode_name))
    return found


def rows_of(fields: Iterable[Field], key: str) -> set[tuple[str, str]]:
    return {(field.row, getattr(field, key)) for field in fields if field.row and getattr(field, key)}


def names_of(row: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(row)}


def test_stored_rows_have_the_keys_of_the_table() -> None:
    assert keys_of(QueryRow) == rows_of(QUERY, "key")
    assert keys_of(StandaloneCallRow) == rows_of(CALL, "key")
    assert keys_of(SelectionRow) == rows_of(SELECTION, "key")
    assert keys_of(HealthRow) == rows_of(HEALTH, "key")
    assert keys_of(ChoiceRow) == rows_of(SELECTION, "inside")
    assert keys_of(CallRow) == rows_of(CALL, "inside") - {("message", "m")}  # that is of imported lines alone


def test_live_rows_have_the_fields_of_stored_ones_each_once() -> None:
    lean, rare = names_of(LiveQuery), names_of(RareQueryFields)
    assert not lean & rare
    assert (lean | rare) - NOT_STORED == names_of(QueryRow) - {"version"}
    assert {pair for pair in keys_of(LiveQuery) if pair[0] not in NOT_STORED} <= keys_of(QueryRow)
    assert not names_of(LiveCall) & set(RareCallFields.__slots__)
    assert (names_of(LiveCall) | set(RareCallFields.__slots__)) - NOT_STORED == names_of(CallRow)
    assert {pair for pair in keys_of(LiveCall) if pair[0] not in NOT_STORED} <= keys_of(CallRow)


@pytest.mark.parametrize(("rows", "rare"), [(LiveQuery, RareQueryFields), (LiveCall, RareCallFields)])
def test_a_live_row_reads_each_of_its_rare_fields(rows: type, rare: type) -> None:
    names = rare.__slots__ if rare is RareCallFields else names_of(rare)
    assert {name for name in names if name in vars(rows)} == set(names)


def test_columns_on_disk_are_the_keys_of_the_table() -> None:
    keys = {field.key.partition(".")[0] for table in FIELDS.values() for field in table if field.key}
    assert set(columns.COLUMNS) == keys | {"type", "c", "more"}


@pytest.mark.parametrize("table", FIELDS)
def test_the_tables_of_sql_have_the_columns_of_the_table(tmp_path: Path, table: str) -> None:
    with open_store(tmp_path) as tables:
        found = [name for name, *_ in tables.rows(f"DESCRIBE {table}")]
    assert len(found) == len(set(found))
    assert set(found) == {field.view for field in FIELDS[table] if field.view}


@pytest.mark.parametrize(("record", "fields"), [(QueryRecord, QUERY), (CallRecord, CALL), (SelectionRecord, SELECTION)])
def test_records_have_the_fields_of_the_table(record: type[msgspec.Struct], fields: tuple[Field, ...]) -> None:
    assert names_of(record) == {field.record for field in fields if field.record}


def test_entries_of_metrics_json_have_the_fields_of_queries_and_selections() -> None:
    beside = {"selection"}  # stands in the other list
    assert names_of(Entry) - {"type"} == (names_of(QueryRecord) | names_of(SelectionRecord)) - beside


@pytest.mark.parametrize("table", FIELDS)
def test_each_field_has_a_meaning_and_stands_in_the_table_once(table: str) -> None:
    fields = FIELDS[table]
    assert all(field.meaning.endswith(".") for field in fields)
    for name in ("key", "inside", "view", "record"):
        named = [getattr(field, name) for field in fields if getattr(field, name)]
        assert len(named) == len(set(named)), name
    assert all(field.type or not (field.key or field.inside) or field.row in ("calls", "selection") for field in fields)
