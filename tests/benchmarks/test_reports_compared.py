from __future__ import annotations

from pathlib import Path

from benchmarks.storage.filling import fill, yesterday
from benchmarks.storage.intake import take_in
from benchmarks.storage.measuring import reports
from instrument.store.tables import open_store


def test_a_made_up_store_reads_as_any_other(tmp_path: Path) -> None:
    fill(tmp_path / "store", 500, 3, yesterday())
    with open_store(tmp_path / "store") as tables:
        assert tables.skipped == 0
        records = list(tables.records())
    assert len(records) == 500
    assert all(record.tool_calls == 3 and record.graphql_queries == 2 for record in records)
    assert any(not record.success for record in records)


def test_all_ways_to_a_report_count_the_same_queries() -> None:
    store = reports(300, times=1, seed=True)
    assert store.seed is not None
    assert store.report.total == store.bare.total == store.seed.total == 300
    assert store.compacted_bytes < store.open_bytes


def test_intake_counts_what_it_gave_and_what_was_stored() -> None:
    taken = take_in(0.2)
    assert taken["given"] == taken["stored"] > 0
