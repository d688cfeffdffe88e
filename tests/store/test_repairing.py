from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from killed import killing
from store_rows import NOON, SERIAL, query, random_rows, write
from test_reading import BAD

from instrument.errors import StoreError
from instrument.rows import columns
from instrument.store import layout
from instrument.store.tables import connect, open_store
from instrument.store.upkeep import compaction
from instrument.store.upkeep.repairing import Repair, repair

DAY = "2026-03-10"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def everything(directory: Path) -> list[object]:
    return seen(directory)[0]


def seen(directory: Path) -> tuple[list[object], int]:
    with open_store(directory) as tables:
        return [list(tables.records()), list(tables.loose_selections()), list(tables.loose_calls())], tables.skipped


def skipped(directory: Path) -> int:
    return seen(directory)[1]


def aside(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in layout.set_aside_files(directory)}


def damaged(directory: Path, kinds: Iterable[str] = BAD) -> int:
    """A store with what cannot be read, of these kinds; returns how many lines and files that is."""
    write(directory, random_rows(1, 30))
    for number, (content, _, _) in enumerate(BAD[kind] for kind in kinds):
        if len(content) < 1 << 20:
            (directory / DAY / f"bad{number:02}.jsonl").write_bytes(content)
    (directory / DAY / "fake.parquet").write_bytes(b"not at all")
    (directory / DAY / f"gone.jsonl{layout.UNREADABLE_SUFFIX}").write_bytes(b"{torn\n")
    (directory / DAY / ".writing-120000-0.parquet").write_bytes(b"half of")
    return skipped(directory)


def test_what_cannot_be_read_lies_in_a_folder_of_its_own_and_all_else_where_it_was(tmp_path: Path) -> None:
    unreadable = damaged(tmp_path)
    before = everything(tmp_path)
    done = repair(tmp_path)
    assert sum(done.lines.values()) + 2 == unreadable
    assert done.files == [str(tmp_path / DAY / "gone.jsonl.unreadable"), str(tmp_path / DAY / "fake.parquet")]
    assert done.leftovers == 1
    assert skipped(tmp_path) == 0
    assert everything(tmp_path) == before
    kept = aside(tmp_path)
    assert kept["fake.parquet"] == b"not at all"
    lines = b"".join(content for name, content in kept.items() if name.startswith("bad")).splitlines()
    assert len(lines) == sum(done.lines.values())
    assert all(any(line in content for content, _, _ in BAD.values()) for line in lines)
    assert all(not file.stat().st_mode & 0o077 for file in layout.set_aside_files(tmp_path) if "bad" in file.name)
    assert repair(tmp_path) == Repair()
    assert aside(tmp_path) == kept


def test_a_line_too_long_for_any_reader_is_set_aside_and_the_rest_of_its_file_read_again(tmp_path: Path) -> None:
    segment = write(tmp_path, [query()])
    with open(segment, "ab") as stream:
        stream.write(b"x" * 20_000_000 + b"\n")
    write(tmp_path, [query(serial=SERIAL + 1)])
    repair(tmp_path)
    assert (len(everything(tmp_path)[0]), skipped(tmp_path)) == (2, 0)  # type: ignore[arg-type]
    assert [len(content) for content in aside(tmp_path).values()] == [20_000_001]


def test_of_a_damaged_compacted_file_all_that_can_still_be_read_stays(tmp_path: Path) -> None:
    rows = random_rows(2, 6000)
    segment = write(tmp_path, rows)
    file = segment.with_name("120000-0.parquet")
    with connect() as connection:
        source = columns.read_segments([str(segment)])
        connection.execute(
            f"COPY (SELECT {columns.NAMES} FROM {source} ORDER BY t) TO '{file}'"
            " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)"
        )
        statement = f"SELECT min(data_page_offset) FROM parquet_metadata('{file}') WHERE row_group_id = 1"
        [(offset,)] = connection.execute(statement).fetchall()
    segment.unlink()
    total = len(rows)
    content = bytearray(file.read_bytes())
    content[offset + 30 : offset + 3000] = bytes(2970)
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*doctor --fix"):
        open_store(tmp_path).rows("SELECT sum(length(user_input)), sum(len(calls)) FROM queries")
    done = repair(tmp_path)
    assert done.saved == {str(file): total - 2048}
    assert aside(tmp_path) == {file.name: bytes(content)}
    assert sum(len(found) for found in everything(tmp_path)) == total - 2048  # type: ignore[arg-type, misc]
    assert repair(tmp_path) == Repair()


def test_a_line_that_its_writer_has_not_ended_is_left_to_it_while_it_lives(tmp_path: Path) -> None:
    segment = write(tmp_path, [query()])
    with open(segment, "ab") as writer:
        writer.write(b"{torn\n" + b'{"t":17,"i":1,"n":"x"')
        writer.flush()
        assert list(repair(tmp_path).lines.values()) == [1]
        writer.write(b',"c":[]}\n')
    assert skipped(tmp_path) == 0
    assert len(everything(tmp_path)[0]) == 2  # type: ignore[arg-type]
    with open(segment, "ab") as writer:
        writer.write(b'{"t":17,"i":')
    assert list(repair(tmp_path).lines.values()) == [1]
    assert sorted(aside(tmp_path).values()) == [b'{"t":17,"i":\n', b"{torn\n"]


WRITING = """
import os, sys, time
from pathlib import Path
from instrument import configure, flush, track_query

configure(directory=sys.argv[1], flush_interval_ms=1)

@track_query(agent="a")
def ask(text):
    return text

for number in range(1500):
    ask(str(number))
    time.sleep(0.001)
    if number % 50 == 0:
        flush()
        for segment in Path(sys.argv[1]).glob("*/*.jsonl"):
            with open(segment, "ab") as torn:
                torn.write(b'{"torn by somebody else\\n')
        print(flush=True)
"""


def test_a_repair_beside_a_living_writer_loses_none_of_its_records(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, tmp_path], env=ENVIRONMENT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        found = 0
        while writer.poll() is None:
            found += sum(repair(tmp_path).lines.values())
    assert writer.returncode == 0
    found += sum(repair(tmp_path).lines.values())
    assert found == 30
    with open_store(tmp_path) as tables:
        asked = sorted(int(text) for (text,) in tables.rows("SELECT user_input FROM queries"))
        assert (asked, tables.skipped) == (list(range(1500)), 0)


def test_killed_at_any_step_it_loses_nothing_and_the_next_one_ends_it(tmp_path: Path) -> None:
    template, store = tmp_path / "template", tmp_path / "store"
    damaged(template, ["a torn line in between", "JSON that is no record"])
    before = everything(template)
    repair(shutil.copytree(template, tmp_path / "mended"))
    with killing(store, "") as killer:
        for step in itertools.count(1):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(template, store)
            if not killer.at_step("repair", step):
                break
            assert everything(store) == before
            repair(store)
            assert seen(store) == (before, 0)
            assert aside(store) == aside(tmp_path / "mended")
    assert step > 12


def test_what_was_set_aside_expires_with_its_day(tmp_path: Path) -> None:
    damaged(tmp_path)
    write(tmp_path, [query(NOON + timedelta(days=40))])
    repair(tmp_path)
    kept = aside(tmp_path)
    compaction.compact(tmp_path, now=datetime(2026, 4, 9, tzinfo=UTC), retention_days=30)
    assert aside(tmp_path) == kept
    compaction.compact(tmp_path, now=datetime(2026, 4, 10, tzinfo=UTC), retention_days=30)
    assert aside(tmp_path) == {}


def test_no_repair_runs_beside_a_compaction(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    with layout.upkeep(tmp_path), pytest.raises(StoreError, match="another compaction, repair or forgetting"):
        repair(tmp_path)
