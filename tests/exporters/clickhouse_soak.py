"""Many queries into ClickHouse past many kills, counted: `python tests/exporters/clickhouse_soak.py --queries 1000000`.

Kills the shipper at random moments, and the server at every fifth kill. Ends with 1 unless each query is there once.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "store"))

from store_rows import NOON, SERIAL, query, write
from test_clickhouse import Server, _shipper

from instrument.rows.stored import CallRow

WRITTEN_AT_A_TIME = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return soak(Path(folder), given.queries, given.kills, random.Random(given.seed))


def soak(folder: Path, queries: int, kills: int, chance: random.Random) -> int:
    store, server = folder / "monitoring", Server(folder / "clickhouse").start()
    shipper = _shipper(store, server)
    began, killed, written = time.monotonic(), 0, 0
    try:
        while written < queries or killed < kills:
            if written < queries:
                written += _write(store, written, min(WRITTEN_AT_A_TIME, queries - written))
            time.sleep(chance.uniform(0, 1.5))
            if killed < kills:
                killed += 1
                shipper.kill()
                shipper.wait()
                if killed % 5 == 0:
                    server.kill()
                    server.start()
                shipper = _shipper(store, server)
        there = _settled(server, queries)
        distinct = server.count("uniqExact(query_id)")
        rolled = server.count("toUInt64(sum(queries))", "agents_minute")
    finally:
        shipper.kill()
        shipper.wait()
        server.kill()
    seconds = time.monotonic() - began
    print(f"{queries:,} written, {there:,} there, {distinct:,} distinct, {rolled:,} in the roll-up;", end=" ")
    print(f"{killed} kills, {seconds:.0f} s")
    return int(not there == distinct == rolled == queries)


def _write(store: Path, first: int, number: int) -> int:
    calls = [CallRow("find_customers", 1000 * place, duration=2_000_000) for place in range(5)]
    rows = [
        query(NOON + timedelta(milliseconds=first + each), serial=SERIAL + first + each, calls=calls)
        for each in range(number)
    ]
    write(store, rows, f"120000-{first}-0badcafe.jsonl")
    return number


def _settled(server: Server, queries: int) -> int:
    """How many queries are there, once no more come for half a minute or all are there."""
    there, since = -1, time.monotonic()
    while there != queries and time.monotonic() < since + 30:
        if (now := server.count()) != there:
            there, since = now, time.monotonic()
        time.sleep(1)
    return there


if __name__ == "__main__":
    sys.exit(main())
