"""The one door for readers: what a store opened through it gives."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from instrument.errors import InstrumentError, StoreError, UsageError
from instrument.interchange import csv_table
from instrument.reading import Store, open_store
from instrument.records import QueryRecord
from instrument.rows import fields
from instrument.rows.stored import CallRow, ChoiceRow, HealthRow, Origin, QueryRow, SelectionRow, encode_lines, id_of
from instrument.store.own_sql import OwnSql
from instrument.store.public_tables import TABLES
from instrument.store.upkeep.compaction import compact

NOW = datetime.now(UTC)
TIMES = [int((NOW - ago).timestamp() * 1e6) for ago in (timedelta(days=3), timedelta(hours=2), timedelta(minutes=1))]
ORIGIN = Origin("box", 4711)
ROWS = [
    QueryRow(
        time,
        serial,
        agent,
        "unpaid bills",
        "Agent.answer",
        [CallRow("lookup", 0, duration=5_000_000)],
        duration=duration,
        attributes={"tenant": tenant},
        metrics={"score": 0.5},
        origin=ORIGIN,
    )
    for time, serial, agent, tenant, duration in zip(
        TIMES,
        (1, 2, 3),
        ("simple", "crewai", "simple"),
        ("north", "south", "north"),
        (10**9, 3 * 10**9, 2 * 10**9),
        strict=True,
    )
]
ROWS[0].selection = ChoiceRow(TIMES[0], "simple", 0.25, "one entity")
IDS = [id_of(row) for row in ROWS]
LINKED = SelectionRow(TIMES[1], "crewai", "unpaid bills", 0.75, "two entities", IDS[1])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store of three queries, the oldest compacted; its folder's name looks like a pattern and a partition."""
    store = tmp_path / "customer=1" / "a [b] 'c'"
    for number, row in enumerate(ROWS):
        lines = [row, *([LINKED, HealthRow(TIMES[1], {"buffer full": 2}, {}, ORIGIN)] if number == 1 else [])]
        folder = store / f"{datetime.fromtimestamp(TIMES[number] / 1e6, UTC):%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"00000{number}-4711-aabbccdd.jsonl").write_bytes(bytes(encode_lines(lines)))
    compact(store, now=NOW, retention_days=30)
    assert list(store.glob("*/*.parquet"))
    return store


def test_a_store_is_opened_whole_or_for_a_period(directory: Path) -> None:
    for asked, expected in (
        ({}, [2, 1, 0]),
        ({"hours": 24}, [2, 1]),
        ({"since": NOW - timedelta(hours=3), "until": NOW - timedelta(hours=1)}, [1]),
        ({"since": "-90m"}, [2]),
        ({"until": "-2d"}, [0]),
    ):
        with open_store(directory, **asked) as store:  # type: ignore[arg-type]
            assert [line.query_id for line in store.queries()] == [IDS[number] for number in expected]
            assert store.period.since is not None
            assert store.report().queries.total == len(expected)


def test_the_settings_name_the_store_unless_it_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_DIRECTORY", str(directory))
    with open_store() as store:
        assert store.report(where="tenant=north").queries.total == 2
        assert store.stats(where="agent=crewai").tools["lookup"].calls == 1
        assert store.query(IDS[0]).attributes == {"tenant": "north"}
        assert [record.query_id for record in store.records("duration>1500ms")] == [IDS[1], IDS[2]]
        assert store.queries(sort="duration", limit=1)[0].query_id == IDS[1]


def test_an_address_that_no_source_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ftp://… is no source"):
        open_store("ftp://host/store")
    with pytest.raises(StoreError, match="no store here"):
        open_store(tmp_path / "nowhere")


def test_sql_gives_a_relation_over_the_public_tables(directory: Path) -> None:
    with open_store(directory) as store:
        found = store.sql(
            "SELECT attributes ->> 'tenant' AS tenant, sum(duration_ms) FROM queries GROUP BY ALL ORDER BY 1"
        )
        assert found.columns == ["tenant", "sum(duration_ms)"]
        assert found.fetchall() == [("north", 3000.0), ("south", 3000.0)]
        assert store.sql("SELECT count(*) FROM queries WHERE agent_type = ?", ["simple"]).fetchall() == [(2,)]
        assert store.sql("FROM queries WHERE agent_type = $who", {"who": "crewai"}).fetchall()[0][0] == IDS[1]
        assert store.sql("SELECT sum((metrics ->> 'score')::DOUBLE) FROM queries").fetchall() == [(1.5,)]
        choices = "SELECT selected_agent, complexity_score FROM queries ORDER BY start_time"
        assert store.sql(choices).fetchall() == [("simple", 0.25), ("crewai", 0.75), (None, None)]
        assert store.sql("SELECT sum(dropped_total) FROM health").fetchall() == [(2,)]
        assert store.report().queries.total == 3
        assert len(list(store.records())) == 3


def test_the_public_tables_have_the_columns_and_types_that_they_are_said_to_have(directory: Path) -> None:
    with open_store(directory) as store:
        for table, columns in TABLES.items():
            described = store.sql(f"DESCRIBE {table}").fetchall()
            assert [(name, kind) for name, kind, *_ in described] == [(each.name, each.type) for each in columns]
            names = {field.view for field in fields.FIELDS[table]} | {field.record for field in fields.FIELDS[table]}
            own = {"selected_agent", "complexity_score", "selection_reason", "start_time", "timestamp"}
            assert {each.name for each in columns} - names <= own
            missing = {field.view for field in fields.FIELDS[table]} - {each.name for each in columns} - {""}
            inner = {"selection", "unseen_model_calls"}
            assert all(name.endswith(("_us", "_ns")) or name in inner for name in missing)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("", "no statement"),
        ("-- nothing", "no statement"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DELETE FROM queries", "DELETE is not allowed"),
        ("COPY (SELECT 1) TO 'stolen.csv'", "COPY is not allowed"),
        ("ATTACH 'other.db'", "ATTACH is not allowed"),
        ("SET memory_limit = '1TB'", "SET is not allowed"),
        ("INSTALL httpfs", "INSTALL is not allowed"),
        ("CREATE TABLE mine AS SELECT 1", "CREATE is not allowed"),
        ("SELECT * FROM read_text('/etc/hostname')", "no file"),
        ("SELECT * FROM glob('/*')", "no file"),
        ("SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')", "no file"),
        ("SELECT * FROM enable_logging(storage = 'file', storage_path = 'stolen')", "locked"),
        ("SELECT * FROM query('COPY (SELECT 1) TO ''stolen.csv''')", "single SELECT"),
        ("SELECT * FROM secret_frame", "no table"),
        ("SELEC 1", "no SQL"),
        ("SELECT agent_typ FROM queries", "did you mean agent_type?"),
        ("SELECT queries.durations FROM queries", "did you mean duration_ms?"),
        ("SELECT tenant FROM queries", "attributes ->> 'NAME'"),
        ("SELECT * FROM querys", "did you mean queries?"),
    ],
)
def test_a_statement_that_may_not_run_says_why_in_one_line(
    directory: Path, statement: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    secret_frame = {"a": [1]}  # a variable here is no table there
    with open_store(directory) as store, pytest.raises((UsageError, StoreError)) as caught:
        store.sql(statement).fetchall()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert secret_frame
    assert not list(tmp_path.glob("stolen*"))


def test_a_statement_without_end_is_given_up(directory: Path) -> None:
    with open_store(directory) as store:
        begun = time.monotonic()
        with pytest.raises(InstrumentError, match=r"longer than 0\.2 seconds"):
            store.own_sql().answer("SELECT count(*) FROM range(100000000) a, range(100000000) b", 0.2)
        assert time.monotonic() - begun < 30
        assert list(store.own_sql().answer("SELECT 1", 5).rows()) == [(1,)]


def test_ctrl_c_ends_a_statement(directory: Path) -> None:
    with open_store(directory) as store:
        sql = store.own_sql()
        timer = threading.Timer(0.2, sql._connection.interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            sql.answer("SELECT count(*) FROM range(100000000) a, range(100000000) b")
        timer.join()


def test_a_lot_of_data_spills_within_the_memory_that_a_statement_may_have(directory: Path) -> None:
    with open_store(directory) as store:
        store.tables.connection.execute("SET memory_limit = '60MB'; SET threads = 1")
        [(rows, _)] = store.sql(
            "SELECT count(*), max(place) FROM (SELECT row_number() OVER (ORDER BY text DESC) AS place FROM"
            " (SELECT range::VARCHAR || repeat('x', 50) AS text FROM range(1000000)))"
        ).fetchall()
        assert rows == 1_000_000


def test_an_answer_can_be_written_as_parquet(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "answer.parquet"
    with open_store(directory) as store:
        store.own_sql(writable=target).write_parquet("SELECT query_id FROM queries ORDER BY 1; -- all", target)
        with pytest.raises(UsageError):
            store.sql(f"COPY (SELECT 1) TO '{target}'")
    found = duckdb.connect().execute("SELECT * FROM read_parquet($file)", {"file": str(target)}).fetchall()
    assert [query_id for (query_id,) in found] == sorted(IDS)


def test_a_statement_of_a_closed_store_has_no_traceback_of_ours(directory: Path) -> None:
    store: Store = open_store(directory)
    sql: OwnSql = store.own_sql()
    store.close()
    store.close()
    assert sql


def test_a_csv_table_holds_any_value_and_runs_no_formula() -> None:
    rows = [["=1+1", None, True, 1.0, 0.5, ["a", "b,c"], {"a": 1}, datetime(2026, 11, 25), 'say "x"']]
    [head, line] = csv_table.document(["a", "b"], rows)
    assert head == b"a,b\n"
    assert line == b"""'=1+1,,true,1,0.5,"a,b\\,c","{""a"":1}",2026-11-25T00:00:00.000000Z,"say ""x\"""\n"""


def test_a_store_can_be_followed(directory: Path) -> None:
    with open_store(directory) as store:
        followed = {record.query_id for record in store.follow(wait=0) if isinstance(record, QueryRecord)}
    assert followed == set(IDS)
