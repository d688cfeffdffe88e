"""What model calls add up to in their query, on every way from the application to a reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_rows import NOON, SERIAL, micros, model_call, query, write

from instrument.interchange.metrics_json import entries
from instrument.rows.as_records import query_record
from instrument.rows.live import ModelFacts
from instrument.rows.stored import WITH_MODEL_CALLS, CallRow, StandaloneCallRow, id_of
from instrument.rows.totals import total_up
from instrument.store.exporting import export_file
from instrument.store.importing import import_files
from instrument.store.tables import open_store
from instrument.store.upkeep.compaction import compact
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import forget


def test_a_query_s_tokens_and_cost_are_the_sum_of_its_model_calls() -> None:
    row = query(
        calls=[model_call(0, 5), CallRow("tool", 1, duration=1), model_call(7, 5, ModelFacts("large", None, 5))]
    )
    total_up(row)
    record = query_record(row)
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (125, 30, 100)
    assert (record.cost_usd, record.model, record.model_calls, record.tool_calls) == (0.25, "large", 2, 1)
    assert record.reasoning_tokens is None
    assert row.version == WITH_MODEL_CALLS


def test_what_a_query_was_given_itself_is_not_added_to() -> None:
    row = query(calls=[model_call(0, 5)], input_tokens=1, output_tokens=2, model="mine", metrics={"cost_usd": 3.0})
    total_up(row)
    record = query_record(row)
    assert (record.input_tokens, record.output_tokens, record.model, record.cost_usd) == (1, 2, "mine", 3.0)
    assert record.cached_tokens is None


def test_a_model_call_directly_inside_one_that_has_tokens_does_not_count_again() -> None:
    row = query(calls=[model_call(0, 9), model_call(1, 7, parent=0), model_call(2, 5, parent=1)])
    total_up(row)
    assert query_record(row).input_tokens == 120
    by_a_tool = query(calls=[model_call(0, 9), CallRow("tool", 1, 0, 7), model_call(2, 5, parent=1)])
    total_up(by_a_tool)
    assert query_record(by_a_tool).input_tokens == 240
    bare = query(calls=[model_call(0, 9, ModelFacts("small-1")), model_call(2, 5, parent=0)])
    total_up(bare)
    assert query_record(bare).input_tokens == 120


def test_a_query_without_model_calls_stays_of_the_first_version() -> None:
    row = query(calls=[CallRow("tool", 0, duration=1), CallRow("chat", 1, duration=1, kind="model")])
    total_up(row)
    assert row.version == 1


def all_of(store: Path) -> tuple[object, ...]:
    with open_store(store) as tables:
        [record] = tables.records()
        figures = "model_calls, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_usd"
        [columns] = tables.rows(f"SELECT {figures} FROM queries")
        calls = tables.rows(
            "SELECT name, kind, model, provider, input_tokens, first_chunk_ms, cost_usd, input FROM calls ORDER BY ALL"
        )
        alone = list(tables.loose_calls())
    return record, columns, calls, alone


def test_late_model_calls_count_in_their_query_and_every_way_of_keeping_it_gives_the_same(tmp_path: Path) -> None:
    row = query(calls=[model_call(0, 5), model_call(1, None, ModelFacts("small-1", None, 40))], serial=SERIAL)
    total_up(row)
    late = ModelFacts("small-1", None, 40, 4, cost_usd=0.5, input="why?")
    time = micros(NOON) + 1
    lines = [
        StandaloneCallRow(time, "chat", 5, "model", parent=id_of(row), place=1, late=True, facts=late, version=2),
        StandaloneCallRow(time, "other", 5, "model", parent=id_of(row), late=True, facts=ModelFacts("large", None, 1)),
        StandaloneCallRow(time, "alone", 5, "model", facts=ModelFacts("large", "local", 9)),
    ]
    write(tmp_path / "store", [row, *lines])
    before = all_of(tmp_path / "store")
    record, figures, calls, [alone] = before
    assert figures == (3, 161, 34, 100, None, 0.75)
    assert [getattr(record, name) for name in ("input_tokens", "output_tokens", "cost_usd")] == [161, 34, 0.75]
    assert alone.model == "large"  # type: ignore[attr-defined]
    assert len(calls) == 4  # type: ignore[arg-type]
    compact(tmp_path / "store", now=NOON.replace(day=14), retention_days=30)
    assert all_of(tmp_path / "store") == before
    with open_store(tmp_path / "store") as tables:
        export_file(tables, tmp_path / "metrics.json", "json")
    import_files([tmp_path / "metrics.json"], tmp_path / "copy")
    [again], figures, *_ = [list(open_store(tmp_path / "copy").records()), all_of(tmp_path / "copy")[1]]
    assert entries(again) == entries(record)  # type: ignore[arg-type]
    assert figures == (3, 161, 34, 100, None, 0.75)


@pytest.mark.parametrize("compacted", [False, True], ids=["in a segment", "compacted"])
def test_a_text_of_a_prompt_or_an_answer_can_be_forgotten(tmp_path: Path, compacted: bool) -> None:
    asked = ModelFacts("small-1", None, 1, 1, input="from ana@example.com", output="dear Ana")
    lone = StandaloneCallRow(micros(NOON), "alone", 5, "model", facts=asked, version=WITH_MODEL_CALLS)
    kept = query(serial=SERIAL + 1, calls=[model_call(0, 5)])
    write(tmp_path, [query(calls=[model_call(0, 5, asked)], serial=SERIAL), kept, lone])
    if compacted:
        compact(tmp_path, now=NOON.replace(day=14), retention_days=30)
    forget(tmp_path, Wanted([], "ana@example.com"))
    with open_store(tmp_path) as tables:
        assert [record.query_id for record in tables.records()] == [id_of(kept)]
        assert list(tables.loose_calls()) == []
    assert not any(b"ana@" in file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file())
