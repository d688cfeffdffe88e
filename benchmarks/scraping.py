"""What counting for Prometheus costs: CPU a query, CPU a scrape, memory, over a store at 90 queries a second.

Ten agents call eighty tools. Between two scrapes lie 15 seconds of traffic, which `metrics serve` counts every second.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.progress import say
from benchmarks.results import Check, Section, Table, limit, measured_again, number
from instrument.config import Config
from instrument.exporters.prometheus.exporter import Exporter
from instrument.rows.live import ModelFacts, Origin
from instrument.rows.stored import CallRow, QueryRow, new_serial
from instrument.sinks.segments import SegmentSink

RATE, SECONDS = 90, 15
AGENTS = [f"agent_{number}" for number in range(10)]
TOOLS = [f"tool_{number}" for number in range(80)]


class Scraped(Struct, frozen=True):
    """CPU µs a query for counting, CPU ms a scrape, samples and bytes of a page, KB that memory grew a scrape."""

    query_us: float
    scrape_ms: float
    samples: int
    bytes: int
    growth_kb: float


def run(short: bool = False) -> Section:
    """Measure counting and scraping."""
    say("scraping: counting, pages, memory")
    scraped = measured_again(lambda longer: measure(longer * (8 if short else 40)), _checks)
    rows = [
        ("counting, CPU a query of five tool calls and one model call", f"{number(scraped.query_us)} µs"),
        ("a scrape, CPU", f"{number(scraped.scrape_ms)} ms"),
        ("samples of a page", f"{scraped.samples:,}"),
        ("bytes of a page", f"{scraped.bytes:,}"),
        ("growth of memory a scrape", f"{number(scraped.growth_kb)} KB"),
    ]
    table = Table(f"A store of {RATE} queries/s, {len(AGENTS)} agents, {len(TOOLS)} tools", ("what", "figure"), rows)
    return Section("scraping", [table], list(_checks(scraped)), msgspec.to_builtins(scraped))


def _checks(scraped: Scraped) -> list[Check]:
    return [
        Check("counting, a query", scraped.query_us, limit("scraping", "query_us"), "µs"),
        Check("a scrape", scraped.scrape_ms, limit("scraping", "scrape_ms"), "ms"),
    ]


def measure(scrapes: int) -> Scraped:
    """Measure so many scrapes, after two that see every series for the first time."""
    made, serial = random.Random(3), new_serial()
    counting, drawing, memory, page = [], [], [], b""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        sink, exporter = SegmentSink(store), Exporter(store, Config(directory=str(store)), say)
        for scrape in range(-2, scrapes):
            spent = 0.0
            for _ in range(SECONDS):
                sink.write([_row(made, serial := serial + 1) for _ in range(RATE)])
                began = time.process_time()
                exporter.catch_up(10.0)
                spent += time.process_time() - began
            began = time.process_time()
            page = exporter.page(open_metrics=True, reader="a benchmark")
            drawn = time.process_time() - began
            if scrape >= 0:
                counting.append(spent / (RATE * SECONDS) * 1e6)
                drawing.append(drawn * 1e3)
                memory.append(_resident_kb())
        exporter.close()
    samples = sum(not line.startswith(b"#") for line in page.splitlines())
    growth = (memory[-1] - memory[len(memory) // 2]) / (len(memory) / 2)
    return Scraped(statistics.median(counting), statistics.median(drawing), samples, len(page), growth)


def _row(made: random.Random, serial: int) -> QueryRow:
    now = time.time_ns() // 1000
    calls = [CallRow(made.choice(TOOLS), 0, None, int(made.lognormvariate(18, 1))) for _ in range(5)]
    facts = ModelFacts("small-1", "local", 900, 120, first_chunk=40_000_000, cost_usd=0.0004)
    calls.append(CallRow("chat small-1", 0, None, int(made.lognormvariate(20, 1)), "model", facts=facts))
    row = QueryRow(now, serial, made.choice(AGENTS), "unpaid bills", "process_query", calls)
    row.duration, row.origin, row.entities = int(made.lognormvariate(21, 1)), Origin("benchmark", 1), ["customers"]
    row.input_tokens, row.output_tokens, row.model, row.cost_usd = 900, 120, "small-1", 0.0004
    if made.random() < 0.03:
        row.status, row.error = "error", "TimeoutError"
    return row


def _resident_kb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4.0
