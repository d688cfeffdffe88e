from __future__ import annotations

import json
import multiprocessing
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from instrument.collecting.delivery import ThreadedOutlet
from instrument.interchange import metrics_json
from instrument.rows import as_records
from instrument.rows.stored import ChoiceRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow, id_of
from instrument.sinks.json_file import JsonFileSink


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def query(serial: int = 1, **more: Any) -> QueryRow:
    return QueryRow(1_760_509_800_000_000, serial, "crewai", 'a ],\n"agent_selections": [', "n", [], **more)


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    return json.loads(path.read_bytes())


def ids(path: Path) -> list[str]:
    return [entry["query_id"] for entry in read(path)["queries"]]


def test_the_file_is_what_an_export_of_the_same_records_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.json"
    chosen = ChoiceRow(1_760_509_800_000_000, "crewai", 0.8, "complex")
    loose = SelectionRow(1_760_509_800_000_000, "simple", "nobody", 0.1, "why")
    rows = [query(serial, selection=chosen if serial % 2 else None, weight=serial) for serial in range(1, 6)]
    clock = Clock()
    sink = JsonFileSink(path, clock)
    for row in rows:
        sink.write([row, StandaloneCallRow(1, "loose", 5), HealthRow(1, {}, {})])
        clock.seconds += 60
    sink.write([loose])
    sink.close()
    expected = metrics_json.document(map(as_records.query_record, rows), [as_records.selection_record(loose)])
    assert path.read_bytes() == b"".join(expected)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_comes_within_a_second_waits_for_flush(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    clock = Clock()
    sink = JsonFileSink(path, clock)
    sink.write([query(1)])
    sink.write([query(2)])
    assert ids(path) == [id_of(query(1))]
    sink.flush()
    assert ids(path) == [id_of(query(1)), id_of(query(2))]
    sink.write([query(3)])
    clock.seconds += 60
    sink.write([query(4)])
    assert len(ids(path)) == 4
    sink.close()
    sink.close()


def test_the_sink_says_when_what_waits_may_be_written(tmp_path: Path) -> None:
    clock = Clock()
    sink = JsonFileSink(tmp_path / "metrics.json", clock)
    assert sink.due_in() is None
    sink.write([query(1)])
    assert sink.due_in() is None
    sink.write([query(2)])
    assert 0 < sink.due_in() <= 1
    clock.seconds += 60
    assert sink.due_in() == 0
    sink.flush()
    assert sink.due_in() is None


def test_what_waits_is_written_by_itself_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    outlet = ThreadedOutlet("metrics.json", JsonFileSink(path), pytest.fail, 100)
    outlet.take([query(1)])
    while not path.exists():
        time.sleep(0.01)
    outlet.take([query(2)])
    deadline = time.monotonic() + 30
    while len(ids(path)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    outlet.close()


def test_a_file_in_another_layout_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    seed = {"queries": [{"query_id": "a", "odd key": [1, {"x": None}]}], "agent_selections": [{"query_id": "b"}]}
    path.write_text(json.dumps(seed, indent=2))
    for serial in (1, 2):
        sink = JsonFileSink(path)
        sink.write([query(serial)])
        sink.close()
    found = read(path)
    assert found["queries"][0] == seed["queries"][0]
    assert found["agent_selections"] == seed["agent_selections"]
    assert ids(path)[1:] == [id_of(query(1)), id_of(query(2))]


@pytest.mark.parametrize(
    "content", [b"", b'{"queries": [], "agent_selections": []}', b'{"queries": [\n],\n"agent_selections": [\n]}\n']
)
def test_an_empty_file_is_filled(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    JsonFileSink(path).write([query()])
    assert ids(path) == [id_of(query())]
    assert not list(tmp_path.glob("*unreadable*"))


def test_a_file_that_cannot_be_continued_is_set_aside_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    foreign = [b'{"queries": [{"cut off', b"\xff\xfe", b'{"somebody": "else\'s"}']
    for serial, content in enumerate(foreign, 1):
        path.write_bytes(content)
        JsonFileSink(path).write([query(serial)])
        assert (tmp_path / f"metrics.json.unreadable-{serial}").read_bytes() == content
        assert ids(path) == [id_of(query(serial))]


def test_a_batch_that_cannot_be_written_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = JsonFileSink(tmp_path / "file" / "metrics.json")
    with pytest.raises(OSError, match="file"):
        sink.write([query(1)])
    (tmp_path / "file").unlink()
    sink.write([query(1)])
    assert ids(tmp_path / "file" / "metrics.json") == [id_of(query(1))]


def _write_many(path: Path, first: int) -> None:
    clock = Clock()
    sink = JsonFileSink(path, clock)
    for serial in range(first, first + 100):
        sink.write([query(serial)])
        clock.seconds += 60 * (serial % 5 == 0)
    sink.close()


def test_the_file_is_valid_at_every_moment_while_many_processes_write_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(path, first)) for first in (0, 1000, 2000)]
    for process in processes:
        process.start()
    seen = 0
    while any(process.is_alive() for process in processes):
        if path.exists():
            found = len(ids(path))
            assert found >= seen
            seen = found
    for process in processes:
        process.join()
    assert sorted(ids(path)) == sorted(id_of(query(first + more)) for first in (0, 1000, 2000) for more in range(100))
    assert sorted(file.name for file in tmp_path.iterdir()) == [".metrics.json.lock", "metrics.json"]
