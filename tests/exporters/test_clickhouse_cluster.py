"""On a cluster each record is once on every replica, whichever node dies; only where Debian's old server is asked for.

apt-get install clickhouse-server zookeeper
INSTRUMENT_TESTS_OLD_CLICKHOUSE=1 pytest tests/exporters/test_clickhouse_cluster.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from clickhouse_server import follow
from instrument_cli.app import run
from old_clickhouse import USERS, ZOOKEEPER, Cluster, Node
from programs import needs
from store_rows import NOON, SERIAL, query, write

from instrument.errors import StoreError
from instrument.rows.stored import CallRow

ASKED_FOR = bool(os.environ.get("INSTRUMENT_TESTS_OLD_CLICKHOUSE"))
"""Read when the tests start: each test begins without the settings of the environment."""

pytestmark = pytest.mark.skipif(not ASKED_FOR, reason="set INSTRUMENT_TESTS_OLD_CLICKHOUSE=1 for Debian's server 18.16")


@contextmanager
def cluster(folder: Path, shards: int) -> Iterator[Cluster]:
    needs("clickhouse-server", "java")
    if not (USERS.exists() and ZOOKEEPER.exists()):
        pytest.skip("needs Debian's packages clickhouse-server and zookeeper")
    folder.mkdir()
    started = Cluster(folder, shards=shards)
    try:
        yield started
    finally:
        started.close()


def _write(store: Path, first: int, number: int) -> None:
    calls = [CallRow("find_customers", 1000 * place, duration=2_000_000) for place in range(5)]
    rows = [
        query(NOON + timedelta(seconds=20 * each), serial=SERIAL + each, calls=calls)
        for each in range(first, first + number)
    ]
    write(store, rows, f"120000-{first}-0badcafe.jsonl")


def _ship(store: Path, node: Node) -> None:
    assert run(["ship", "--to", "clickhouse", node.address, "--cluster", "agents", "--directory", str(store)]) == 0


def _counts(node: Node) -> list[int]:
    """Rows, distinct ids, and what the roll-ups of agents and of calls count."""
    counted = [node.count(), node.count("uniqExact(query_id)")]
    counted += [node.count("toUInt64(sum(queries))", "agents_minute")]
    return [*counted, node.count("toUInt64(sum(queries) / 5)", "calls_minute")]


def _each_query_once(node: Node, queries: int) -> bool:
    return _counts(node) == [queries] * 4


def _until(holds: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except StoreError:
            pass
        assert time.monotonic() < end
        time.sleep(0.3)


def test_both_replicas_hold_each_query_once_whichever_node_is_killed(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", shards=1) as agents:
        first, second = agents.nodes
        here, there = tmp_path / "one-machine", tmp_path / "another-machine"
        _write(here, 0, 500)
        _write(there, 100_000, 500)
        _ship(here, first)
        _ship(there, second)
        for node in agents.nodes:
            _until(lambda node=node: _each_query_once(node, 1000))

        second.kill()  # the other replica goes on, and the dead one catches up
        _write(here, 500, 500)
        _ship(here, first)
        assert _each_query_once(first, 1500)
        second.start()
        _until(lambda: _each_query_once(second, 1500))

        shipper = follow(here, first)
        try:
            for round_ in range(4):  # the node that is shipped to is killed while it takes batches
                _write(here, 1000 + 500 * round_, 500)
                time.sleep(0.6 + 0.4 * round_)
                first.kill()
                time.sleep(0.3)
                first.start()
            _until(lambda: first.count("uniqExact(query_id)") == 3500)
        finally:
            shipper.kill()
            shipper.wait()
        _ship(here, first)
        _until(lambda: _counts(first) == _counts(second))
        there_now, distinct, *rolled_up = _counts(first)
        assert there_now == distinct == 3500
        # A view of this old server misses an insert that died after its rows had arrived: see docs/clickhouse.md.
        assert all(2500 <= counted <= 3500 for counted in rolled_up)


def test_a_distributed_table_over_two_shards_counts_every_machine_once(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", shards=2) as agents:
        for number, node in enumerate(agents.nodes):
            store = tmp_path / f"machine-{number}"
            _write(store, 10_000 * number, 300 + 100 * number)
            _ship(store, node)
        first, second = agents.nodes
        assert (first.count(), second.count()) == (300, 400)
        first.run("CREATE TABLE everywhere ON CLUSTER agents AS queries ENGINE = Distributed(agents, default, queries)")
        for node in agents.nodes:
            assert node.count(table="everywhere") == node.count("uniqExact(query_id)", "everywhere") == 700
