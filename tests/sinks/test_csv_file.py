from __future__ import annotations

import csv
import multiprocessing
import os
import resource
import stat
from pathlib import Path

import pytest

from instrument.interchange import metrics_csv
from instrument.rows.stored import CallRow, HealthRow, QueryRow, StandaloneCallRow, id_of
from instrument.sinks.csv_file import CsvFileSink


def query(serial: int = 1) -> QueryRow:
    calls = [CallRow("t", 0, duration=5)]
    return QueryRow(1_760_509_800_000_000, serial, "crewai", "hello", "n", calls, duration=10**9)


def written(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_query_is_a_line_and_the_header_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.csv"
    for serial in (1, 2):
        sink = CsvFileSink(path)
        sink.write([query(serial), StandaloneCallRow(1, "loose", 5), HealthRow(1, {}, {})])
        sink.close()
    lines = path.read_text().splitlines()
    assert lines == [
        metrics_csv.HEADER.decode().strip(),
        f'2025-10-15T06:30:00.000000Z,{id_of(query(1))},crewai,1000,true,"",1,0',
        f'2025-10-15T06:30:00.000000Z,{id_of(query(2))},crewai,1000,true,"",1,0',
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_a_kill_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(metrics_csv.HEADER + b"2025-10-15T06:3")
    CsvFileSink(path).write([query()])
    assert written(path)[1]["query_id"] == id_of(query())


def _write_many(path: Path, first: int) -> None:
    sink = CsvFileSink(path)
    for serial in range(first, first + 200):
        sink.write([query(serial)])


def test_many_processes_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(path, first)) for first in (0, 1000, 2000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    expected = sorted(id_of(query(first + more)) for first in (0, 1000, 2000) for more in range(200))
    assert sorted(line["query_id"] for line in written(path)) == expected
    assert path.read_bytes().count(metrics_csv.HEADER) == 1


def test_a_batch_the_disk_does_not_take_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    sink = CsvFileSink(path)
    sink.write([query()])
    before = path.read_bytes()
    if (child := os.fork()) == 0:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, len(before) + 10))
        try:
            sink.write([query(2)])
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        CsvFileSink(tmp_path / "file" / "metrics.csv").write([query()])
