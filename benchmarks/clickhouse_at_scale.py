"""What ClickHouse makes of very many queries of five calls: time to take them, bytes, parts, and the time of reports.

    python -m benchmarks.clickhouse_at_scale --queries 100000000

The server is ClickHouse in process (chdb) behind a loopback front, with two threads. Some queries are shipped. The rest
are made of these in the server, by INSERT SELECT with new ids, each a moment later, so that all lie evenly over the
days. They pass the same views as shipped ones, so tables and roll-ups are as they would be. The shipper's own cost is
measured by `benchmarks.shipping_clickhouse`. Copies compress better than queries of their own would, and have the same
durations; so take the bytes a query from a run with `--queries 100000`, which makes none. Everything is removed at the
end. Measure on a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from instrument.exporters.clickhouse.shipping import ship
from instrument.reading import open_store
from instrument.rows.stored import CallRow, Origin, QueryRow, encode_lines
from instrument.store.clickhouse.client import Client

SHIPPED, DAYS = 100_000, 30
AT_A_TIME = 20
"""How many copies of what was shipped one INSERT makes: 2M rows."""

FRONT = Path(__file__).parents[1] / "tests" / "exporters" / "clickhouse_front.py"
_FIRST = 1_772_409_600_000_000  # 2 March 2026, 00:00 UTC, in µs
_DAY = 86_400_000_000
_AGENTS = ("crewai", "langgraph", "simple", "planner")


def main() -> None:
    """Fill, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=100_000_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clickhouse-at-scale-"))
    server = subprocess.Popen(
        [sys.executable, str(FRONT), str(folder / "clickhouse"), "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split()[1])
        _measure(folder, f"http://127.0.0.1:{port}/default", given.queries)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


def _measure(folder: Path, address: str, queries: int) -> None:
    store = folder / "monitoring"
    _write(store)
    ship(store, address)
    client = Client(address, timeout=3600)
    begin = time.monotonic()
    _multiply(client, queries)
    print(f"{queries:,} queries of five calls over {DAYS} days; made in {time.monotonic() - begin:,.0f} s", flush=True)
    _sizes(client, queries)
    _reports(address)
    print("the server's merges under way:", client.rows("SELECT count() AS n FROM system.merges")[0]["n"])
    client.close()


def _write(store: Path) -> None:
    chance = random.Random(1)
    step = DAYS * _DAY // SHIPPED
    by_day: dict[int, list[QueryRow]] = {}
    for number in range(SHIPPED):
        at = number * step
        by_day.setdefault(at // _DAY, []).append(_query(chance, _FIRST + at, number))
    for day, rows in by_day.items():
        name = time.strftime("%Y-%m-%d", time.gmtime((_FIRST + day * _DAY) // 1_000_000))
        folder = store / name
        folder.mkdir(parents=True)
        (folder / "120000-1-0badcafe.jsonl").write_bytes(encode_lines(rows))


def _query(chance: random.Random, started: int, number: int) -> QueryRow:
    tools = ("find_customers", "find_bills", "find_agents", "send_mail")
    calls, at = [], 1_000_000
    for place in range(5):
        duration = int(chance.lognormvariate(17, 1))
        name = chance.choice(tools) if place < 3 else f"query {chance.choice(('Customers', 'Bills'))}"
        calls.append(CallRow(name, at, duration=duration, kind="tool" if place < 3 else "graphql"))
        at += duration
    failed = chance.random() < 0.02
    return QueryRow(
        started,
        number,
        chance.choice(_AGENTS),
        f"unpaid bills of customer {chance.randrange(10_000)}",
        "Agent.answer",
        calls,
        duration=at + 1_000_000,
        error="TimeoutError" if failed else None,
        origin=Origin(f"worker-{number % 20}", 4711),
    )


def _multiply(client: Client, queries: int) -> None:
    """Copy what was shipped, each time with ids of its own and a moment later."""
    names = [
        row["name"]
        for row in client.rows(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'queries' ORDER BY position"
        )
    ]
    client.run("CREATE TABLE shipped ENGINE = MergeTree ORDER BY start_time AS SELECT * FROM queries")
    changed = {
        "query_id": "concat(query_id, '-', toString(copy))",
        "start_time": f"addMicroseconds(start_time, copy * 7919 % {DAYS * _DAY // SHIPPED})",
    }
    selected = ", ".join(f"{changed[name]} AS `{name}`" if name in changed else f"`{name}`" for name in names)
    copies = -(-queries // SHIPPED) - 1
    for first in range(1, copies + 1, AT_A_TIME):
        last = min(first + AT_A_TIME, copies + 1)
        client.run(
            f"INSERT INTO queries ({', '.join(f'`{name}`' for name in names)}) SELECT {selected} FROM shipped"
            f" CROSS JOIN (SELECT number AS copy FROM numbers({first}, {last - first})) AS copies",
            max_partitions_per_insert_block=0,
            max_threads=2,
        )
        print(f"\r{last * SHIPPED:,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    client.run("DROP TABLE shipped")


def _sizes(client: Client, queries: int) -> None:
    statement = (
        "SELECT table, sum(rows) AS held, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts"
        " WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC"
    )
    for row in client.rows(statement):
        print(
            f"  {row['table']}: {row['held']:,} rows, {row['bytes'] / 1e6:,.1f} MB in {row['parts']} parts,"
            f" {row['bytes'] / queries:.1f} bytes a query"
        )


def _reports(address: str) -> None:
    source = address.replace("http:", "clickhouse:")
    end = "2026-04-01"
    for name, since in (("the last day", "2026-03-31"), ("the last week", "2026-03-25"), ("all 30 days", "2026-03-02")):
        for way, exact in (("from every record", True), ("from roll-ups", False)):
            taken = []
            for _ in range(2):
                begin = time.monotonic()
                with open_store(source, since=since, until=end, time_zone="UTC") as there:
                    counted = there.report(exact=exact).queries.total
                taken.append(time.monotonic() - begin)
            print(f"  report over {name}, {way}: {min(taken):.2f} s ({counted:,} queries)", flush=True)
    begin = time.monotonic()
    with open_store(source, since="2026-03-31", until=end, time_zone="UTC") as there:
        found = len(list(there.queries(limit=20)))
    print(f"  the last day's {found} newest queries, whole: {time.monotonic() - begin:.2f} s", flush=True)


if __name__ == "__main__":
    main()
