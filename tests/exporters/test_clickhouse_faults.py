"""Reading from ClickHouse where something is odd or wrong: one clear line, nothing lost, nothing counted twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from clickhouse_server import Server
from instrument_cli.app import run
from store_rows import NOON, SERIAL, query, write

from instrument.errors import InstrumentError
from instrument.exporters.clickhouse import shipping
from instrument.reading import open_store
from instrument.rows.stored import Origin, Row, SelectionRow, id_of
from instrument.store.clickhouse.client import Client

pytest.importorskip("chdb", reason="needs chdb (ClickHouse in process)")
SPAN = {"since": "2026-02-20", "until": "2026-03-11", "time_zone": "UTC"}


def _queries(host: str, number: int, first: int, later: timedelta = timedelta()) -> list[Row]:
    """Queries of a machine, one a minute, by a clock that is ahead."""
    return [
        msgspec.structs.replace(
            query(NOON - timedelta(hours=9) + later + timedelta(minutes=place), serial=SERIAL - first - place),
            origin=Origin(host, 42),
        )
        for place in range(number)
    ]


def test_a_selection_written_apart_is_with_its_query_in_records_and_sql(server: Server, tmp_path: Path) -> None:
    store = tmp_path / "monitoring"
    alone = query(serial=SERIAL - 1)
    moment = alone.started + 2_000_000
    linked = [
        SelectionRow(moment + place, agent, "the input", 0.5 + place / 10, f"reason {place}", parent=id_of(alone))
        for place, agent in enumerate(("first", "second"))
    ]
    write(store, [alone, *linked, SelectionRow(moment, "none", "no query followed", 0.1, "why")])
    shipping.ship(store, server.address)
    statement = (
        "SELECT query_id, selected_agent, complexity_score, selection_reason FROM queries"
        " UNION ALL SELECT query_id, selected_agent, complexity_score, selection_reason FROM selections ORDER BY ALL"
    )
    with open_store(store, **SPAN) as here, open_store(server.source, **SPAN) as there:
        assert here.sql(statement).fetchall() == there.sql(statement).fetchall()
        assert list(here.records()) == list(there.records())
        assert list(here.tables.loose_selections()) == list(there.tables.loose_selections())
        [record] = there.records()
        assert record.selection is not None
        assert record.selection.selected_agent == "first"


def test_machines_whose_clocks_differ_and_two_of_one_name_add_up(server: Server, tmp_path: Path) -> None:
    ahead = timedelta(hours=3)
    for name, rows in (
        ("a", _queries("worker", 20, 100)),
        ("b", _queries("worker", 30, 200)),
        ("c", _queries("other", 40, 300, ahead)),
    ):
        write(tmp_path / name, rows)
        shipping.ship(tmp_path / name, server.address)
        shipping.ship(tmp_path / name, server.address)
    with open_store(server.source, **SPAN) as store:
        found = store.report(by="host")
        assert found.queries.total == 90
        assert found.breakdown is not None
        assert {name: one.queries for name, one in found.breakdown.groups.items()} == {"worker": 50, "other": 40}
        assert sum(store.series("queries", "1h")[0].values) == 90
        assert len({one.query_id for one in store.queries()}) == 90
    early = SPAN | {"until": f"{NOON - timedelta(hours=8):%Y-%m-%dT%H:%M}"}
    with open_store(server.source, **early) as store:
        assert store.report().queries.total == 50, "by the other's clock, its queries are still to come"


def test_a_later_schema_and_a_foreign_column_are_read_and_an_earlier_one_says_what_to_do(
    server: Server, tmp_path: Path
) -> None:
    write(tmp_path / "monitoring", _queries("worker", 5, 100))
    shipping.ship(tmp_path / "monitoring", server.address)
    client = Client(server.address)
    try:
        for statement in (
            "ALTER TABLE queries ADD COLUMN name_of_theirs String DEFAULT 'x'",
            "ALTER TABLE queries ADD COLUMN `calls.theirs` Array(String)",
            "ALTER TABLE queries MODIFY COMMENT 'agent-instrument 99'",
        ):
            client.run(statement)
        with open_store(server.source, **SPAN) as store:
            assert store.report().queries.total == len(list(store.records())) == 5
        client.run("ALTER TABLE queries DROP COLUMN reasoning_tokens")
        with open_store(server.source, **SPAN) as store, pytest.raises(InstrumentError) as raised:
            store.report()
        assert "an earlier version made its tables (no queries.reasoning_tokens)" in str(raised.value)
    finally:
        client.close()


@pytest.mark.parametrize("faults", [(), ("body",)], ids=["", "in the body of a 200"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda address: address.replace("//", "//me:wrong@"), "the user or the password is wrong"),
        (lambda address: address.replace("/default", "/nowhere"), "there is no such database"),
        (lambda address: address.replace("/default", "/empty"), "ship a store first"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line_and_exit_code_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    faults: tuple[str, ...],
    change: Callable[[str], str],
    problem: str,
) -> None:
    server = Server(tmp_path / "clickhouse").start(*faults)
    try:
        client = Client(server.address)
        client.run("CREATE DATABASE empty")
        client.close()
        assert run(["report", "--from", change(server.source)]) == 1
    finally:
        server.kill()
    shown = capsys.readouterr()
    assert problem in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert "wrong@" not in shown.err + shown.out


def test_a_server_whose_disk_is_full_while_it_reads_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(tmp_path / "clickhouse").start()
    write(tmp_path / "monitoring", _queries("worker", 5, 100))
    shipping.ship(tmp_path / "monitoring", server.address)
    server.kill()
    server.start("unread=243")
    try:
        for command in (["report"], ["stats"], ["sql", "SELECT agent_type, count(*) FROM queries GROUP BY ALL"]):
            period = ["--since", "2026-02-20", "--until", "2026-03-11"]
            assert run([*command, *period, "--from", server.source]) == 1, command
            shown = capsys.readouterr()
            assert "not enough space" in shown.err
            assert len(shown.err.strip().splitlines()) == 1
    finally:
        server.kill()
    server.start()
    try:
        assert server.count() == 5
    finally:
        server.kill()


def test_the_dashboard_shows_no_password(tmp_path: Path) -> None:
    from instrument_cli.web import frame
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

    from instrument.config import Config

    site = Site("clickhouse://me:secret@db.internal:8123/agents", Config(), frozenset())
    page = bytes(frame.page(site, View("/"), "Overview").body).decode()
    assert "clickhouse://db.internal:8123/agents" in page
    assert "secret" not in page
