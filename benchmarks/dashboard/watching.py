"""What watchers cost: a number of open streams, a rate of new queries, and the processor time of the server between."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.dashboard.filling import AGENTS, _row
from instrument.rows.live import Origin
from instrument.rows.stored import new_serial
from instrument.sinks.segments import SegmentSink

BATCHES = 5
"""How often a second the writer appends."""


def write(store: Path, rate: int, seconds: float) -> None:
    """Record so many queries a second, as an application does."""
    made, sink, serial = random.Random(1), SegmentSink(store), new_serial()
    names, shares = list(AGENTS), [share for share, _ in AGENTS.values()]
    begun = time.monotonic()
    for number in itertools.count(1):
        if time.monotonic() - begun > seconds:
            break
        agents = made.choices(names, shares, k=rate // BATCHES)
        rows = [
            _row(made, time.time(), 0.9, serial + place, agent, Origin("web-1", 311))
            for place, agent in enumerate(agents)
        ]
        serial += len(rows)
        sink.write(rows)
        time.sleep(max(0.0, begun + number / BATCHES - time.monotonic()))
    sink.close()


async def _watch(address: str, watchers: int, seconds: float) -> int:
    """Hold so many streams of the overview open; returns how many bytes came."""
    place = urlsplit(address)

    async def one() -> int:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(f"GET /live?path=/ HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        received, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                received += len(await asyncio.wait_for(reader.read(1 << 16), left))
            except TimeoutError:
                break
        writer.close()
        return received

    return sum(await asyncio.gather(*(one() for _ in range(watchers))))


def processor_seconds(process: int) -> float:
    """How much processor time a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share_of_a_core(address: str, process: int, store: Path, watchers: int, rate: int, seconds: float) -> float:
    """The server's processor time over so many seconds with these watchers and new queries, as a share of one core.

    What opening the streams costs is left out: the first seconds are not counted.
    """
    settling = 5.0
    command = [sys.executable, "-m", "benchmarks.dashboard.watching", str(store), str(rate), str(settling + seconds)]
    writer = subprocess.Popen(command) if rate else None

    async def measured() -> float:
        watching = asyncio.create_task(_watch(address, watchers, settling + seconds))
        await asyncio.sleep(settling)
        before, begun = processor_seconds(process), time.monotonic()
        await watching
        return (processor_seconds(process) - before) / (time.monotonic() - begun)

    share = asyncio.run(measured())
    if writer is not None:
        writer.wait(30)
    return share


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
