"""The table of promises in docs/overhead.md, out of `budgets.toml`: `python -m benchmarks promises` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.results import Limit, budgets, limit, number

PAGE = Path(__file__).parents[1] / "docs" / "overhead.md"
BEGIN, END = "<!-- promises: written by `python -m benchmarks promises` -->", "<!-- end of promises -->"

_KINDS = ("sync", "async")

_STORAGE = """\
A query takes at most {bytes_open} bytes on disk, and {bytes_compacted} when its day is compacted. In a second of CPU at
least {queries_per_second} queries are taken in beside a busy main thread, none lost; `metrics report` on 10,000 queries
takes at most {report_10k_cpu_seconds} s of it."""


def table() -> str:
    """What is promised, as a Markdown table."""
    rows = [
        ("one query, in an empty loop", _both("µs", "overhead", "microseconds", "hot")),
        ("with other work before each query, caches cold", _both("µs", "overhead", "microseconds", "cold")),
        *((f"share of a query of {length} ms of CPU", _shares(length)) for length in ("1", "10", "100")),
        ("of what the OpenTelemetry SDK costs in the same run", _both("", "peers", "opentelemetry", "hot")),
        ("the same, caches cold", _both("", "peers", "opentelemetry", "cold")),
        ("of what prometheus_client costs, timing the six functions", _both("", "peers", "prometheus_client", "hot")),
        ("the same, caches cold", _both("", "peers", "prometheus_client", "cold")),
    ]
    lines = ["| at most | sync | async |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows), "", _storage()])


def _both(unit: str, *path: str) -> list[str]:
    return [_shown(limit(*path, kind), unit) for kind in _KINDS]


def _shares(length: str) -> list[str]:
    return [
        _shown(
            max((limit("overhead", "percent", length, warmth, kind) for warmth in ("hot", "cold")), key=_budget), "%"
        )
        for kind in _KINDS
    ]


def _budget(one: Limit) -> float:
    return one.budget


def _shown(one: Limit, unit: str) -> str:
    return f"{number(one.budget)} {unit}".strip()


def _storage() -> str:
    said = {name: number(limit("storage", name).budget) for name in budgets()["storage"]}
    return _STORAGE.format_map(said)


def written(readme: str) -> str:
    """A page with its promises as they are now; raises ValueError where it has no place for them."""
    place = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if not place.search(readme):
        raise ValueError(f"no place for the promises: put {BEGIN} and {END} on lines of their own")
    return place.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", readme)


def write(file: Path = PAGE) -> int:
    """Bring the page up to date; returns 0."""
    file.write_text(written(file.read_text("utf-8")), "utf-8")
    return 0
