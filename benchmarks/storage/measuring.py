"""The measurements of storage and reports, each of a command in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.ours import written_bytes
from benchmarks.processes import ROOT, environment
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Limit, Section, Table, limit, measured_again, number
from benchmarks.storage.filling import fill, yesterday
from benchmarks.storage.intake import take_in

# The peak that the system tells of a child begins at its parent's size; the child knows its own.
_TOLD = """
import atexit, runpy, sys
def tell():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            print("\\npeak_kb", line.split()[1], flush=True)
atexit.register(tell)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
SMALL, LARGEST_JSON = 10_000, 1_000_000
"""Sizes of stores; to load one metrics.json whole takes 3 GB for the latter, so nobody tries it with ten times that."""

HOURS = "170"
"""From six closed days back to any hour of today."""
DAYS = 6


class Spent(NamedTuple):
    """What a process took: wall and CPU time in seconds, peak memory in MB; `total` is how many queries it counted."""

    wall: float
    cpu: float
    megabytes: float
    total: int


class Reports(NamedTuple):
    """A store of so many queries over six closed days: its compaction, its report, and the same figures otherwise."""

    queries: int
    open_bytes: int
    compacted_bytes: int
    compaction: Spent
    report: Spent
    bare: Spent
    seed: Spent | None
    seed_bytes: int


class Grouped(NamedTuple):
    """The report of a store whose queries have an attribute, and the same broken down by it."""

    queries: int
    plain: Spent
    by_attribute: Spent


def run(short: bool = False, large: bool = False) -> Section:
    """Measure intake, compaction and reports; `large` adds 10 million queries."""
    say("storage: intake")
    taken = measured_again(lambda longer: take_in(longer * (2 if short else 10)), _intake_checks)
    recent = measured_again(lambda longer: recent_report(longer * (3 if short else 7)), _recent_checks)
    sizes = [SMALL, *([] if short else [LARGEST_JSON]), *([10 * LARGEST_JSON] if large else [])]
    most = LARGEST_JSON if large else SMALL
    stores = [measured_again(partial(_reports_longer, size, size <= most), _store_checks) for size in sizes]
    grouped = measured_again(lambda longer: by_attribute(sizes[-1], 3 * longer), _grouped_checks)
    return Section(
        "storage",
        [_intake_table(taken), _sizes_table(stores), _reports_table(stores, recent), _grouped_table(grouped)],
        [
            *_intake_checks(taken),
            *_recent_checks(recent),
            *_grouped_checks(grouped),
            *(check for store in stores for check in _store_checks(store)),
        ],
        {
            "intake": taken,
            "recent_report": recent._asdict(),
            "stores": [_figures(store) for store in stores],
            "by_attribute": {"plain": grouped.plain._asdict(), "grouped": grouped.by_attribute._asdict()},
        },
    )


def _reports_longer(size: int, seed: bool, longer: int) -> Reports:
    return reports(size, times=3 * longer, seed=seed)


def recent_report(times: int) -> Spent:
    """`metrics report` over 10,000 queries of the last hour, straight from the writer's segments."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        fill(store, 10_000, 0, time.time() - 60)
        return best(lambda: report(store, "2"), times)


def report(store: Path, hours: str, *options: str) -> Spent:
    """Run `metrics report`, for its figures alone."""
    return metrics("report", "--format", "json", "--no-records", "--hours", hours, "--directory", str(store), *options)


def by_attribute(queries: int, times: int) -> Grouped:
    """Report on compacted queries of twenty tenants, and break the report down by them."""
    say(f"storage: {queries:,} queries, reported by an attribute")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        fill(store, queries, DAYS, yesterday(), tenants=True)
        metrics("compact", "-d", str(store))
        return Grouped(
            queries,
            best(lambda: report(store, HOURS), times),
            best(lambda: report(store, HOURS, "--by", "tenant"), times),
        )


def reports(queries: int, *, times: int, seed: bool) -> Reports:
    """Fill a store, compact it, report on it."""
    say(f"storage: {queries:,} queries, compacted and reported")
    with tempfile.TemporaryDirectory() as folder:
        store, exported = Path(folder, "store"), Path(folder, "metrics.json")
        fill(store, queries, DAYS, yesterday())
        open_bytes = written_bytes(store)
        if seed:
            metrics("export", "--format", "json", "--hours", HOURS, "--output", str(exported), "-d", str(store))
        compaction = metrics("compact", "-d", str(store))
        return Reports(
            queries,
            open_bytes,
            written_bytes(store),
            compaction,
            best(lambda: report(store, HOURS), times),
            best(lambda: python("benchmarks.storage.bare", "duckdb", str(store)), times),
            best(lambda: python("benchmarks.storage.bare", "seed", str(exported)), times) if seed else None,
            exported.stat().st_size if seed else 0,
        )


def metrics(*arguments: str) -> Spent:
    """Run the `metrics` command."""
    return python("instrument_cli", *arguments)


def python(*arguments: str) -> Spent:
    """Run a module of the checkout in a fresh interpreter; raises RuntimeError when it fails."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        started = subprocess.Popen(
            [sys.executable, "-c", _TOLD, *arguments], cwd=ROOT, env=environment(), stdout=said, stderr=said
        )
        _, status, usage = os.wait4(started.pid, 0)
        wall = time.perf_counter() - begin
        started.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if started.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {text[-500:]}")
    return Spent(
        wall, usage.ru_utime + usage.ru_stime, _said(r"peak_kb (\d+)", text) / 1024, _said(r'"total":\s*(\d+)', text)
    )


def _said(pattern: str, text: str) -> int:
    """A number that a process printed: its peak memory, or the queries that it counted; 0 where it did not."""
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def best(measure: Any, times: int) -> Spent:
    """Each figure at its least of several runs."""
    measure()  # compiles what it imports
    runs = [measure() for _ in range(times)]
    wall, cpu, megabytes, total = (min(figures) for figures in zip(*runs, strict=True))
    return Spent(wall, cpu, megabytes, int(total))


# -- what is shown ---------------------------------------------------------------------------------------------------


def _intake_table(taken: dict[str, Any]) -> Table:
    lost = taken["given"] - taken["stored"]
    rows = [
        ("queries a second of CPU, beside a busy main thread", f"{taken['a_second']:,.0f}"),
        ("given, lost", f"{taken['given']:,}, {lost:,}"),
        ("queries a second of wall time", f"{taken['a_second_of_wall']:,.0f}"),
        ("final flush", f"{taken['flushed_after_ms']:.1f} ms"),
        ("bytes a query, open (the benchmark's agent)", f"{taken['bytes_a_query']:.0f}"),
    ]
    return Table("Intake", ("", ""), rows)


def _sizes_table(stores: list[Reports]) -> Table:
    rows = [
        (
            f"{store.queries:,}",
            f"{store.open_bytes / store.queries:.0f}",
            f"{store.compacted_bytes / store.queries:.0f}",
            f"{store.seed_bytes / store.queries:.0f}" if store.seed_bytes else "–",
            f"{store.queries / store.compaction.cpu:,.0f}",
            f"{store.compaction.megabytes:.0f} MB",
        )
        for store in stores
    ]
    heads = ("queries", "bytes open", "compacted", "metrics.json", "compacted a CPU second", "memory")
    return Table("On disk: bytes a query of five calls, over six days", heads, rows)


def _reports_table(stores: list[Reports], recent: Spent) -> Table:
    rows = [("10,000, last hour, open segments", _told(recent), "–", "–", "–")]
    for store in stores:
        rows.append(
            (
                f"{store.queries:,}, six days, compacted",
                _told(store.report),
                _told(store.bare),
                _told(store.seed) if store.seed else "–",
                number(store.report.cpu / store.bare.cpu),
            )
        )
    heads = ("queries", "metrics report", "bare DuckDB", "one metrics.json", "report / bare, CPU")
    return Table("Reports: wall s / CPU s / peak MB of a fresh process, the least of several", heads, rows)


def _grouped_table(grouped: Grouped) -> Table:
    ratio = grouped.by_attribute.cpu / grouped.plain.cpu
    row = (f"{grouped.queries:,}, twenty tenants", _told(grouped.plain), _told(grouped.by_attribute), number(ratio))
    heads = ("queries", "metrics report", "the same --by tenant", "ratio, CPU")
    return Table("Reports by an attribute: wall s / CPU s / peak MB, the least of several", heads, [row])


def _told(spent: Spent) -> str:
    return f"{spent.wall:.2f} / {spent.cpu:.2f} / {spent.megabytes:.0f}"


def _limit(figure: str) -> Limit:
    return limit("storage", figure)


def _intake_checks(taken: dict[str, Any]) -> Iterator[Check]:
    yield Check("queries a second of CPU beside a busy main thread", taken["a_second"], _limit("queries_per_second"))
    yield Check("of them lost", taken["given"] - taken["stored"], NONE)
    yield Check("bytes a query, open", taken["bytes_a_query"], _limit("bytes_open"))


def _recent_checks(recent: Spent) -> Iterator[Check]:
    yield Check("metrics report on 10,000 queries, CPU", recent.cpu, _limit("report_10k_cpu_seconds"), "s")


def _grouped_checks(grouped: Grouped) -> Iterator[Check]:
    ratio = grouped.by_attribute.cpu / grouped.plain.cpu
    yield Check("a report by an attribute against one without, CPU", ratio, _limit("report_by_attribute"))


def _store_checks(store: Reports) -> Iterator[Check]:
    compacted = store.compacted_bytes / store.queries
    yield Check(f"bytes a query, compacted, of {store.queries:,}", compacted, _limit("bytes_compacted"))
    missed = sum(abs(store.queries - one.total) for one in (store.report, store.bare, store.seed) if one)
    yield Check(f"queries not counted by a report on {store.queries:,}", missed, NONE)
    if store.queries == LARGEST_JSON:
        ratio = store.report.cpu / store.bare.cpu
        yield Check("report on a million against bare DuckDB, CPU", ratio, _limit("report_1m_against_duckdb"))


def _figures(store: Reports) -> dict[str, Any]:
    figures = store._asdict()
    return {key: value._asdict() if isinstance(value, Spent) else value for key, value in figures.items()}
