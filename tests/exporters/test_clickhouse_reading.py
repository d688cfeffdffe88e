"""Every figure comes out the same, whether it is worked out in the store or in ClickHouse."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from clickhouse_server import Server
from instrument_cli.app import run
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.errors import StoreError, UsageError
from instrument.exporters.clickhouse import shipping
from instrument.reading import Store, open_store
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, Row, StandaloneCallRow, id_of

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
SPAN = {"since": "2026-02-20", "until": "2026-03-11", "time_zone": "UTC"}

FIGURES: dict[str, Callable[[Store], Any]] = {
    "report": lambda store: store.report(),
    "report of an agent, slow, by attribute": lambda store: store.report(
        where=["agent=crewai", "duration>5s", "tenant=a"]
    ),
    "report of a tool": lambda store: store.report(where=["tool=find_customers"]),
    "report of an entity and a metric": lambda store: store.report(where=["entity=bills", "rows>3", "status!=ok"]),
    "report of what is not": lambda store: store.report(where=["input!~bills", "model!=small"]),
    "report by agent": lambda store: store.report(by="agent"),
    "report by attribute": lambda store: store.report(by="tenant"),
    "report by entity": lambda store: store.report(by="entity"),
    "stats": lambda store: store.stats(),
    "queries": lambda store: store.queries(sort="duration", limit=20),
    "compare": lambda store: store.compare("2026-02-25..2026-03-05"),
    "compare agents": lambda store: store.compare(by="agent", between=("simple", "crewai")),
    "trends": lambda store: store.trends(),
    "records": lambda store: list(store.records()),
    "records of an agent": lambda store: list(store.records(where="agent=simple")),
    "one query": lambda store: store.query(store.queries(limit=1)[0].query_id),
    "sql": lambda store: store.sql(
        "SELECT query_id, agent_type, tool_calls, attributes ->> 'tenant' FROM queries"
        " WHERE duration_ms > $least ORDER BY query_id",
        {"least": 100},
    ).fetchall(),
    "sql over calls": lambda store: store.sql(
        "SELECT kind, count(*), quantile_cont(duration_ms, 0.5) FROM calls GROUP BY ALL ORDER BY kind"
    ).fetchall(),
    "anomalies": lambda store: store.anomalies(),
    "outliers": lambda store: store.outliers(where="duration>1s"),
    "the most unusual query": lambda store: [
        store.unusual(each.query_id) or each for each in store.queries(sort="duration", limit=3)
    ],
    "forecast": lambda store: store.forecast(),
    "advice": lambda store: store.advice(),
    "capacity": lambda store: "needs every query" if store.tables.weighted else store.capacity(3),
    "overview": lambda store: store.overview(),
    "trends by agent": lambda store: store.trends(by="agent"),
    "report of a text in other letters": lambda store: store.report(where="input~ÄRGER"),
    "report of what is complex": lambda store: store.report(where=["complexity>0.2", "reason~a"]),
    **{
        f"side by side: {kind}": lambda store, kind=kind: store.side_by_side(kind)
        for kind in ("agent", "tool", "operation", "model")
    },
    **{
        f"series of {figure} by {group}": lambda store, figure=figure, group=group: store.series(figure, "1h", by=group)
        for figure in ("queries", "failure_rate", "p95", "tool_calls", "cost", "metric:rows:p95", "first_chunk_p95")
        for group in (None, "agent")
    },
}


def rows(weights: tuple[float, ...]) -> list[Row]:
    """Two thousand queries, and calls that ended after theirs: in their place, or beyond what was known."""
    late = query(
        NOON - timedelta(hours=1),
        serial=SERIAL - 7,
        calls=[CallRow("open", 5000, duration=None), CallRow("done", 9000, duration=10_000)],
    )
    used = ModelFacts("small-1", "local", 120, 30, cost_usd=0.25)
    upset = query(NOON - timedelta(hours=5), serial=SERIAL - 8, user_input="Großer Ärger mit der Rechnung")
    return [
        upset,
        *random_rows(3, 2000, start=NOON - timedelta(days=10), hours=240, weights=weights),
        late,
        StandaloneCallRow(late.started + 5, "open", 5_000_000, parent=id_of(late), place=0),
        StandaloneCallRow(late.started + 700_000, "other", 5_000_000, parent=id_of(late)),
        StandaloneCallRow(late.started + 800_000, "chat", 5_000_000, kind="model", parent=id_of(late), facts=used),
    ]


@pytest.fixture(scope="module", params=[(1.0,), (1.0, 2.5)], ids=["whole", "sampled"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A store, and the address of a database that it was shipped to."""
    folder = tmp_path_factory.mktemp("both")
    write(folder / "monitoring", rows(request.param))
    server = Server(folder / "clickhouse").start()
    try:
        shipping.ship(folder / "monitoring", server.address)
        yield folder / "monitoring", server.source
    finally:
        server.kill()


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two figures are equal; floats to nine digits, as several threads add them up in any order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = (ours.keys() | theirs.keys()) - {"period"}  # it says when it was generated
        return all(_same(ours.get(key), theirs.get(key)) for key in keys)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, bool) != isinstance(theirs, bool):
        return False
    if isinstance(ours, float) or isinstance(theirs, float):
        return None not in (ours, theirs) and math.isclose(ours, theirs, rel_tol=1e-9)
    return bool(ours == theirs)


def test_every_figure_is_the_same_in_both(both: tuple[Path, str]) -> None:
    store, address = both
    different = []
    with open_store(store, **SPAN) as here, open_store(address, **SPAN) as there:
        for name, figure in FIGURES.items():
            ours, theirs = (json.loads(msgspec.json.encode(figure(each))) for each in (here, there))
            assert ours, name
            if not _same(ours, theirs):
                different.append(name)
    assert different == []


def test_commands_that_copy_records_out_give_the_same_from_both(
    both: tuple[Path, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    period = ["--since", "2026-02-20", "--until", "2026-03-11", "--tz", "UTC"]
    for command in (
        ["sql", "SELECT agent_type, count(*) AS n FROM queries GROUP BY ALL ORDER BY n, agent_type"],
        ["sql", "SELECT query_id, duration_ms FROM queries ORDER BY query_id", "--format", "csv"],
        ["queries", "--limit", "50", "--format", "json"],
        ["export", "--format", "csv", "--output", "-"],
        ["export", "--format", "json", "--output", "-"],
        ["export", "--format", "json", "--where", "agent=simple", "--output", "-"],
    ):
        shown = []
        for source in map(str, both):
            assert run([*command, *period, "--from", source]) == 0, capsys.readouterr().err
            shown.append(capsys.readouterr().out)
        if "json" in command:
            assert _same(*map(json.loads, shown)), command
        else:
            assert shown[0] == shown[1], command
    held = []
    for number, source in enumerate(map(str, both)):
        file = tmp_path / f"{number}.parquet"
        assert run(["export", "--output", str(file), *period, "--from", source]) == 0, capsys.readouterr().err
        with duckdb.connect() as connection:
            held.append(connection.execute(f"SELECT * FROM '{file}' ORDER BY query_id").fetchall())
    assert held[0] == held[1]
    capsys.readouterr()
    assert run(["export", "--format", "store", *period, "--from", both[1]]) == 2
    assert "needs a store in a directory, or a lake" in capsys.readouterr().err


def test_a_report_of_nothing_names_the_database(both: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--where", "host=nobody", "--from", both[1]]) == 0
    assert both[1] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("SELECT * FROM url('http://127.0.0.1:9/')", "there is no table"),
        ("SELECT * FROM system.users", "there is no table"),
        ("DROP TABLE queries", "write one SELECT"),
        ("SELECT 1; SELECT 2", "write one SELECT"),
        ("SELEKT", "SELECT"),
        ("SELECT nonsense FROM queries", "cannot be run"),
    ],
)
def test_a_statement_of_a_user_reads_the_public_tables_and_nothing_else(
    both: tuple[Path, str], statement: str, problem: str
) -> None:
    with open_store(both[1]) as store, pytest.raises(UsageError, match=problem):
        store.sql(statement)


def test_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    server = Server(tmp_path / "clickhouse").start()
    try:
        with pytest.raises(StoreError, match="ship a store first"):
            open_store(server.source)
    finally:
        server.kill()


def test_a_server_that_is_away_is_one_line() -> None:
    with pytest.raises(StoreError, match="no answer"):
        open_store("clickhouse://127.0.0.1:9/default")
