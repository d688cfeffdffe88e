"""`python -m benchmarks.dashboard.arriving STORE`: how soon a new query is on the screen.

STORE is a store of some size, such as `python -m benchmarks.dashboard STORE` makes; the queries that are written for it
are added to it. The time runs from behind the write that brings a query to disk until its row is in the page, as the
browser says.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from instrument.sinks.segments import SegmentSink
from tests.web.watching import written

TIMES = 60
_WATCH = """() => {
    window.arrived = {};
    new MutationObserver(() => {
        for (const row of document.querySelectorAll("tr.query a.open")) {
            const words = row.textContent;
            if (words.startsWith("arriving ") && !(words in window.arrived)) window.arrived[words] = Date.now();
        }
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def main() -> None:
    """Measure, and print a line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--times", type=int, default=TIMES)
    asked = parser.parse_args()
    command = [sys.executable, "-m", "instrument_cli", "serve", "--port", "0", "--from", str(asked.store)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[0].rstrip("/")
        for path in ("/", "/queries"):
            took = _arrivals(address + path, asked.store, asked.times)
            percentile = took[min(len(took) - 1, round(0.95 * len(took)))]
            print(f"{path}: a query is on the screen after {statistics.median(took):.0f} ms, p95 {percentile:.0f} ms")
    finally:
        server.terminate()
        server.wait(10)


def _arrivals(address: str, store: Path, times: int) -> list[float]:
    """Milliseconds from the flush of each of so many queries to its row, sorted."""
    from playwright.sync_api import sync_playwright

    from tests.web.browsing import ARGUMENTS

    flushed: dict[str, float] = {}
    sink, run = SegmentSink(store), f"arriving {os.urandom(3).hex()}"
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        page: Any = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("#live.on")
        page.wait_for_timeout(3000)
        page.evaluate(_WATCH)
        for number in range(times):
            words = f"{run} {number}"
            written(sink, user_input=words)
            flushed[words] = time.time() * 1000
            page.wait_for_timeout(350 + number % 7 * 60)
        page.wait_for_timeout(3000)
        arrived = page.evaluate("window.arrived")
        chromium.close()
    sink.close()
    if missing := flushed.keys() - arrived.keys():
        print(f"{len(missing)} never came")
    return sorted(arrived[words] - at for words, at in flushed.items() if words in arrived)


if __name__ == "__main__":
    main()
