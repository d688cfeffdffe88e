from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killed import killing
from store_rows import NOON, SERIAL, micros, query, random_rows, write

from instrument.errors import UsageError
from instrument.interchange import metrics_json
from instrument.rows.as_records import query_record
from instrument.rows.stored import CallRow, ChoiceRow, QueryRow, Row, SelectionRow, StandaloneCallRow, id_of
from instrument.sinks.csv_file import CsvFileSink
from instrument.sinks.json_file import JsonFileSink
from instrument.store import layout
from instrument.store.exporting import export_file
from instrument.store.tables import open_store
from instrument.store.upkeep import compaction, erasure_journal, forgetting
from instrument.store.upkeep.forget_request import Wanted
from instrument.store.upkeep.forgetting import Forgotten, forget, preview
from instrument.store.upkeep.repairing import repair

NAME = "Åsa Rao"
LATER = NOON + timedelta(days=3)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "_PAUSE_SECONDS", 0)


def compacted(directory: Path) -> None:
    compaction.compact(directory, now=LATER, retention_days=30)


def everything(directory: Path) -> list[object]:
    with open_store(directory) as tables:
        return [list(tables.records()), list(tables.loose_selections()), list(tables.loose_calls()), tables.skipped]


def texts(directory: Path) -> list[str]:
    with open_store(directory) as tables:
        assert tables.skipped == 0
        return sorted(text for (text,) in tables.rows("SELECT user_input FROM queries"))


def remains(directory: Path, text: str) -> list[str]:
    """The files in which a text still is, what is in compacted ones taken out."""
    found = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        if file.suffix == ".parquet":
            with open_store(directory) as tables:
                rows = tables.rows(f"SELECT CAST(to_json(line) AS VARCHAR) FROM read_parquet('{file}') AS line")
            content = "\n".join(row for (row,) in rows)
        else:
            content = file.read_bytes().decode("utf-8", "replace")
        if text.lower() in content.lower():
            found.append(str(file))
    return found


OF_A_PERSON: dict[str, Row] = {
    "input": query(user_input=f"bills of {NAME.upper()}", serial=1),
    "message": query(serial=2, status="error", error="KeyError", message=f"no {NAME}"),
    "attribute": query(serial=3, attributes={"caller": {"names": ["x", NAME]}}),
    "key of an attribute": query(serial=4, attributes={NAME: 1}),
    "entity": query(serial=5, entities=["bills", NAME]),
    "selection": query(serial=6, selection=ChoiceRow(micros(NOON), "simple", 0.5, f"{NAME} asks")),
    "call": query(serial=7, calls=[CallRow(f"look up {NAME}", 5, duration=7)]),
    "input with quotes": query(user_input=f'say "{NAME}"\n\\ twice', serial=8),
    "selection on its own": SelectionRow(micros(NOON), "simple", f"bills of {NAME}", 0.5, "why"),
    "call on its own": StandaloneCallRow(
        micros(NOON), "look", 5, status="error", error="E", message=f"{NAME} is unknown"
    ),
}


@pytest.mark.parametrize("place", ["open", "compacted"])
def test_every_record_with_the_text_goes_and_no_other_does(tmp_path: Path, place: str) -> None:
    others = random_rows(1, 300)
    write(tmp_path / "with", [*others[:200], *OF_A_PERSON.values(), *others[200:]])
    write(tmp_path / "without", others)
    if place == "compacted":
        compacted(tmp_path / "with")
    told = forget(tmp_path / "with", Wanted([], NAME.lower()))
    assert told == Forgotten(queries=8, calls=1, selections=1)
    assert everything(tmp_path / "with") == everything(tmp_path / "without")
    assert remains(tmp_path / "with", NAME) == []
    assert forget(tmp_path / "with", Wanted([], NAME)) == Forgotten()


@pytest.mark.parametrize("word", ["error", "ok", "tool", "graphql", "selection", "attributes", "health", "1773144000"])
def test_words_of_the_store_s_own_take_nothing(tmp_path: Path, word: str) -> None:
    rows = [query(status="error", error="E", calls=[CallRow("x", 1, kind="graphql")], attributes={"a": 1})]
    write(tmp_path, rows)
    assert preview(tmp_path, Wanted([], word)).total == 0
    compacted(tmp_path)
    assert preview(tmp_path, Wanted([], word)).total == 0


def test_with_a_query_goes_all_that_is_inside_it_and_nothing_around_it(tmp_path: Path) -> None:
    around = query(serial=SERIAL)
    wanted = query(serial=SERIAL + 1, parent=id_of(around))
    inside = query(serial=SERIAL + 2, parent=id_of(wanted))
    within = query(serial=SERIAL + 3, parent=id_of(inside))
    lines = [
        StandaloneCallRow(micros(NOON), "late", 5, parent=id_of(within), place=0, late=True),
        SelectionRow(micros(NOON), "simple", "x", parent=id_of(inside)),
    ]
    write(tmp_path, [within, inside])
    compacted(tmp_path)
    write(tmp_path, [*lines, wanted, around], "130000-42-0badcafe.jsonl")
    assert preview(tmp_path, Wanted([id_of(wanted)], None)).queries == 3
    assert forget(tmp_path, Wanted([id_of(wanted)], None)) == Forgotten(queries=3, calls=1, selections=1)
    with open_store(tmp_path) as tables:
        assert tables.rows("SELECT query_id FROM queries") == [(id_of(around),)]
        assert tables.kinds == set()
    assert not list(tmp_path.glob("*/*.parquet"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=8).filter(lambda text: text.strip()), st.booleans(), st.booleans())
def test_any_text_is_found_wherever_it_stands(tmp_path: Path, text: str, compact: bool, inside: bool) -> None:
    shutil.rmtree(tmp_path)
    text = text.encode("utf-8", "replace").decode()
    row = query(serial=1, attributes={"x": [f"é{text}b"]}, user_input=None) if inside else query(user_input=f"a{text}b")
    write(tmp_path, [row])
    if compact:
        compacted(tmp_path)
    assert forget(tmp_path, Wanted([], text)).queries == 1
    assert texts(tmp_path) == []


def test_what_was_set_aside_is_looked_through_too(tmp_path: Path) -> None:
    torn = query(user_input="of nobody")
    segment = write(tmp_path, [query()])
    with open(segment, "ab") as stream:
        stream.write(b'{"torn":"' + NAME.encode() + b"\n" + b'{"t":%d,"i":%d,"q":"x\n{other\n' % (torn.started, SERIAL))
    shutil.copytree(tmp_path, tmp_path / "copy")
    repair(tmp_path / "copy")
    compacted(tmp_path)
    for store in (tmp_path, tmp_path / "copy"):
        assert forget(store, Wanted([id_of(torn)], NAME)).lines == 2
        assert [file for file in remains(store, NAME) if "copy" not in file] == []
    assert b"{other\n" in (segment.parent / f"{segment.name}.unreadable").read_bytes()


def test_the_files_beside_the_store_lose_the_same_queries_and_nothing_else(tmp_path: Path) -> None:
    rows = [row for row in random_rows(2, 60) if isinstance(row, QueryRow | SelectionRow)]
    person: list[Row] = [OF_A_PERSON["input"], OF_A_PERSON["selection"], OF_A_PERSON["selection on its own"]]
    child = query(serial=77, parent=id_of(OF_A_PERSON["input"]))  # type: ignore[arg-type]
    for name, kept in (("with", [*rows[:30], *person, child, *rows[30:]]), ("without", rows)):
        json_sink, csv_sink = (
            JsonFileSink(tmp_path / name / "metrics.json"),
            CsvFileSink(tmp_path / name / "metrics.csv"),
        )
        write(tmp_path / name, kept)
        for sink in (json_sink, csv_sink):
            sink.write(kept)
            sink.close()
    store = tmp_path / "with"
    beside = [store / "metrics.json", store / "metrics.csv"]
    told = forget(store, Wanted([], NAME), beside)
    assert told.entries == {str(beside[0]): 5, str(beside[1]): 3}
    for name in ("metrics.json", "metrics.csv"):
        assert (store / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    assert everything(store) == everything(tmp_path / "without")
    assert not (store / "metrics.json").stat().st_mode & 0o077


def test_a_metrics_json_in_another_layout_is_cleaned_and_one_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, [query()])
    other = tmp_path / "metrics.json"
    entry = json.loads(metrics_json.entries(query_record(query(user_input=NAME)))[0])
    stays = json.loads(metrics_json.entries(query_record(query(serial=9)))[0])
    other.write_text(json.dumps({"queries": [entry, stays], "agent_selections": []}, indent=3))
    assert forget(tmp_path, Wanted([], NAME), [other]).entries == {str(other): 1}
    assert json.loads(other.read_text()) == {"queries": [stays], "agent_selections": []}
    other.write_text("[1")
    assert list(forget(tmp_path, Wanted([], NAME), [other]).left) == [str(other)]


def test_columns_that_only_a_later_version_knows_stay_with_the_records_that_stay(tmp_path: Path) -> None:
    segment = write(tmp_path, [query(), query(user_input=NAME, serial=1)])
    lines = segment.read_bytes().splitlines()
    segment.write_bytes(b"\n".join(line[:-1] + b',"v":9,"news":{"of":"tomorrow"}}' for line in lines) + b"\n")
    compacted(tmp_path)
    assert forget(tmp_path, Wanted([], NAME)).queries == 1
    with open_store(tmp_path) as tables:
        [(more,)] = tables.rows("SELECT more FROM lines")
    assert json.loads(more)["news"] == {"of": "tomorrow"}


def test_the_beginning_of_an_id_names_a_query_unless_it_names_several(tmp_path: Path) -> None:
    first, second = query(NOON - timedelta(hours=1)), query()
    write(tmp_path, [first, second])
    assert forgetting.whole_ids(tmp_path, [id_of(first)[:13], "elsewhere"]) == [id_of(first), "elsewhere"]
    with pytest.raises(UsageError, match="several queries' ids begin with"):
        forgetting.whole_ids(tmp_path, [id_of(first)[:4]])


# -- beside writers, and killed --------------------------------------------------------------------------------------


WRITING = """
import sys, time
from instrument import configure, query_span, track_query

configure(directory=sys.argv[1], formats=["json", "csv"], flush_interval_ms=1)

@track_query(agent="a")
def ask(text):
    return text

for number in range(2000):
    ask(f"{number} {'of Åsa Rao' if number % 3 == 0 else 'of others'}")
    time.sleep(0.001)
    if number == 300:
        print(flush=True)
"""


def test_a_living_process_loses_nothing_but_what_is_forgotten(tmp_path: Path) -> None:
    beside = [tmp_path / "metrics.json", tmp_path / "metrics.csv"]
    with subprocess.Popen([sys.executable, "-c", WRITING, tmp_path], env=ENVIRONMENT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        forgotten = 0
        while writer.poll() is None:
            forgotten += forget(tmp_path, Wanted([], NAME), beside).queries
    assert writer.returncode == 0
    forgotten += forget(tmp_path, Wanted([], NAME), beside).queries
    assert forgotten == 667
    assert texts(tmp_path) == sorted(f"{number} of others" for number in range(2000) if number % 3)
    assert remains(tmp_path, NAME) == []
    entries = [entry["user_input"] for entry in json.loads(beside[0].read_text())["queries"]]
    assert sorted(entries) == texts(tmp_path)
    assert len(beside[1].read_text().splitlines()) == len(entries) + 1


def filled(store: Path) -> list[object]:
    """A store with records of a person in every kind of file; returns what stays of it."""
    others = random_rows(3, 60)
    person = list(OF_A_PERSON.values())
    kept = [row for row in others if isinstance(row, QueryRow)]
    write(store, [*others[:40], *person])
    compacted(store)
    write(
        store,
        [*others[40:], *(query(user_input=NAME, serial=SERIAL * 2 + n) for n in range(2))],
        "130000-42-0badcafe.jsonl",
    )
    for sink in (JsonFileSink(store / "metrics.json"), CsvFileSink(store / "metrics.csv")):
        sink.write([*kept[:20], *(row for row in person if isinstance(row, QueryRow)), *kept[20:]])
        sink.close()
    write(store.with_name("without"), others)
    return everything(store.with_name("without"))


def others_of(found: list[object]) -> list[object]:
    """What is not the person's; a line that was caught half blank counts as skipped for as long."""
    return [
        [record for record in records if NAME.lower() not in str(record).lower()]  # type: ignore[attr-defined]
        for records in found[:3]
    ]


def test_killed_at_any_step_it_has_done_nothing_yet_or_is_finished_by_whoever_comes_next(tmp_path: Path) -> None:
    template, store = tmp_path / "template", tmp_path / "store"
    stays, before = filled(template), everything(template)
    finishing = itertools.cycle(
        [lambda: compacted(store), lambda: repair(store), lambda: forget(store, Wanted([], "nobody's"))]
    )
    begun = 0
    with killing(store, NAME) as killer:
        for step in itertools.count(1):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(template, store)
            if not killer.at_step("forget", step):
                break
            if not erasure_journal.is_unfinished(store):
                assert everything(store) == (stays if begun else before)
                continue
            begun += 1
            assert begun > 2 or others_of(everything(store)) == stays[:3]
            next(finishing)()
            assert not erasure_journal.is_unfinished(store)
            assert everything(store) == stays
            assert remains(store, NAME) == []
    assert step > begun > 5
    assert everything(store) == stays


def test_killed_at_random_moments_again_and_again_it_ends_with_everything_else_in_place(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stays = filled(store)
    with killing(store, NAME) as killer:
        for attempt in range(12):
            killer.at_random("forget", 0.02 + 0.03 * attempt)
            assert others_of(everything(store)) == stays[:3]
    forget(store, Wanted([], NAME), [store / "metrics.json", store / "metrics.csv"])
    assert everything(store) == stays
    assert remains(store, NAME) == []


def test_a_repair_finishes_what_is_half_done_and_an_export_holds_none_of_it_afterwards(tmp_path: Path) -> None:
    segment = write(tmp_path, [query(), query(user_input=NAME, serial=1)])
    place = [place for place, line in erasure_journal.lines_of(segment) if NAME.encode() in line]
    with layout.upkeep(tmp_path):
        erasure_journal.begin(tmp_path, erasure_journal.Erasure(blanks={str(segment.relative_to(tmp_path)): place}))
    assert erasure_journal.is_unfinished(tmp_path)
    assert repair(tmp_path).finished
    with open_store(tmp_path) as tables:
        export_file(tables, tmp_path / "all.parquet", "store")
    assert remains(tmp_path, NAME) == []
