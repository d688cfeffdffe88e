"""Many queries into ClickHouse past many kills, counted: `python tests/exporters/clickhouse_soak.py`.

Every ninth answer to an insert is lost. At moments spread over the whole run the shipper is killed, and at every fifth
of them the server, too, in turns before and after it. Ends with 1 unless each query is there once, and each is counted
once in every roll-up.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "store"))

from clickhouse_server import Server, follow
from store_rows import NOON, SERIAL, query, write

from instrument.errors import StoreError
from instrument.exporters.clickhouse.shipping import ship
from instrument.rows.stored import CallRow

WRITTEN_AT_A_TIME, AHEAD = 20_000, 60_000
CALLS = 5
LOST = "lose=9"
LONGEST_SECONDS = 3600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(not Soak(Path(folder), given.queries, given.kills, random.Random(given.seed)).run())


class Soak:
    """One run: a store that grows, a server, and a shipper between them that dies again and again."""

    def __init__(self, folder: Path, queries: int, kills: int, chance: random.Random) -> None:
        self.queries, self.kills, self.chance = queries, kills, chance
        self.store, self.server = folder / "monitoring", Server(folder / "clickhouse").start(LOST)
        self.written = self.killed = self.servers_killed = 0
        self.shipper: subprocess.Popen[bytes] = follow(self.store, self.server)

    def run(self) -> bool:
        """Write, kill and wait until all is there; says what was counted, and whether it is right."""
        began = time.monotonic()
        moments = sorted(self.chance.uniform(0, 0.98) * self.queries for _ in range(self.kills))
        try:
            while (there := self._there()) < self.queries or moments:
                assert time.monotonic() < began + LONGEST_SECONDS, f"only {there:,} arrived"
                if self.written < min(self.queries, there + AHEAD):
                    self._write(min(WRITTEN_AT_A_TIME, self.queries - self.written))
                if moments and there >= moments[0]:
                    moments.pop(0)
                    time.sleep(self.chance.uniform(0, 1))
                    self._kill()
                time.sleep(0.1)
            self._end_shipper()
            self._ship_the_rest()
            return self._right(time.monotonic() - began)
        finally:
            self._end_shipper()
            self.server.kill()

    def _there(self) -> int:
        with suppress(StoreError):  # the shipper has not made the tables yet
            return self.server.count()
        return 0

    def _write(self, number: int) -> None:
        calls = [CallRow("find_customers", 1000 * place, duration=2_000_000) for place in range(CALLS)]
        rows = [
            query(NOON + timedelta(milliseconds=40 * each), serial=SERIAL + each, calls=calls)
            for each in range(self.written, self.written + number)
        ]
        write(self.store, rows, f"120000-{self.written}-0badcafe.jsonl")
        self.written += number

    def _kill(self) -> None:
        self.killed += 1
        server_too = self.killed % 5 == 0
        server_first = server_too and self.killed % 10 == 0
        if server_first:
            self.server.kill()
            time.sleep(self.chance.uniform(0, 0.3))
        self._end_shipper()
        if server_too:
            self.servers_killed += 1
            self.server.kill()
            self.server.start(LOST)
        self.shipper = follow(self.store, self.server)

    def _end_shipper(self) -> None:
        self.shipper.kill()
        self.shipper.wait()

    def _ship_the_rest(self) -> None:
        """Send the batch that is in doubt, if there is one, once more: that must change nothing."""
        for _ in range(5):
            with suppress(StoreError):  # this answer was lost, too
                ship(self.store, self.server.address)
                return
        raise AssertionError("it cannot be shipped")

    def _right(self, seconds: float) -> bool:
        there, distinct = self.server.count(), self.server.count("uniqExact(query_id)")
        print(f"{self.written:,} written, {there:,} there, {distinct:,} distinct;", end=" ")
        right = there == distinct == self.queries
        for table, each in (("agents_minute", 1), ("agents_day", 1), ("calls_minute", CALLS), ("calls_day", CALLS)):
            counted = self.server.count("toUInt64(sum(queries))", table)
            print(f"{table} {counted:,},", end=" ")
            right = right and counted == each * self.queries
        print(f"{self.killed} kills of the shipper, {self.servers_killed} of the server, {seconds:.0f} s", flush=True)
        return right


if __name__ == "__main__":
    sys.exit(main())
