"""`python -m benchmarks.dashboard.painting STORE`: the first paint of the overview, its bytes, requests and memory.

STORE is a store of a million queries; `python -m benchmarks.dashboard.painting --fill STORE` makes one first.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.dashboard.filling import fill

TIMES = 9
QUERIES, DAYS = 1_000_000, 30
_PAINTED = "performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint')?.startTime"
_BYTES = "performance.getEntries().reduce((sum, e) => sum + (e.transferSize || 0), 0)"
_REQUESTS = "performance.getEntries().filter(e => 'transferSize' in e).length"


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--path", default="/")
    asked = parser.parse_args()
    if asked.fill:
        fill(asked.store, QUERIES, DAYS, time.time())
    command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", str(asked.store)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        measure(server.stderr.readline().split()[0].rstrip("/") + asked.path, server.pid)
    finally:
        server.terminate()
        server.wait(10)


def measure(address: str, process: int) -> None:
    """Paint a page in Chromium again and again; print times, bytes, requests and the server's memory."""
    from playwright.sync_api import sync_playwright

    from tests.web.browsing import ARGUMENTS

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        painted, sizes, requests = [], [], []
        for _ in range(TIMES):
            page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.goto(address, wait_until="load")
            page.wait_for_timeout(300)
            painted.append(page.evaluate(_PAINTED))
            sizes.append(page.evaluate(_BYTES))
            requests.append(page.evaluate(_REQUESTS))
            page.context.close()
        chromium.close()
    print(f"first paint: uncached {painted[0]:.0f} ms, then median {statistics.median(painted[1:]):.0f} ms")
    print(f"{statistics.median(sizes) / 1000:.0f} kB in {statistics.median(requests):.0f} requests")
    print(f"memory {memory(process):.0f} MB")


def memory(process: int) -> float:
    """The memory of a process, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


if __name__ == "__main__":
    main()
