"""The table of promises in `docs/overhead.md`, out of `budgets.toml`: `python -m benchmarks promises` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.results import Limit, budgets, limit, number

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "overhead.md"
BEGIN, END = "<!-- promises: written by `python -m benchmarks promises` -->", "<!-- end of promises -->"

CLAIM = re.compile(r"[Ll]ess than (?P<percent>[\d.]+) % of the CPU\b[^.]*?(?P<milliseconds>\d+) ms")
"""The README's sentence: what it says must be what is promised."""

_KINDS = ("sync", "async")

_STORAGE = """\
A query takes at most {bytes_open} bytes on disk, and {bytes_compacted} when its day is compacted. In a second of CPU at
least {queries_per_second} queries are taken in beside a busy main thread, none lost; `metrics report` on 10,000 queries
takes at most {report_10k_cpu_seconds} s of it."""


def table() -> str:
    """What is promised, as a Markdown table."""
    rows = [
        *(
            (f"share of a query of {length} ms of CPU{end}", _both("%", "overhead", "percent", length, warmth))
            for length in ("1", "10", "100")
            for warmth, end in (("hot", ""), ("cold", ", caches cold"))
        ),
        *(
            (
                f"of what a decorator by hand costs, in a query of {length} ms{end}",
                _both("", "overhead", "to_by_hand", length, warmth),
            )
            for length in ("1", "10")
            for warmth, end in (("hot", ""), ("cold", ", caches cold"))
        ),
        ("one query whose functions do nothing", _both("µs", "overhead", "microseconds", "hot")),
        ("the same, caches cold", _both("µs", "overhead", "microseconds", "cold")),
        ("of what the OpenTelemetry SDK costs in the same run", _both("", "peers", "opentelemetry", "hot")),
        ("the same, caches cold", _both("", "peers", "opentelemetry", "cold")),
        ("of what prometheus_client costs, timing the six functions", _both("", "peers", "prometheus_client", "hot")),
        ("the same, caches cold", _both("", "peers", "prometheus_client", "cold")),
    ]
    lines = ["| at most | sync | async |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows), "", _storage()])


def claimed(milliseconds: str) -> float:
    """What is promised of a query of this length at most, in percent: the largest of its budgets."""
    promised = budgets()["overhead"]["percent"][milliseconds]
    return max(float(one["budget"]) for kinds in promised.values() for one in kinds.values())


def _both(unit: str, *path: str) -> list[str]:
    return [_shown(limit(*path, kind), unit) for kind in _KINDS]


def _shown(one: Limit, unit: str) -> str:
    return f"{number(one.budget)} {unit}".strip()


def _storage() -> str:
    said = {name: number(limit("storage", name).budget) for name in budgets()["storage"]}
    return _STORAGE.format_map(said)


def written(page: str) -> str:
    """A page with its promises as they are now; raises ValueError where it has no place for them."""
    place = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"no place for the promises: put {BEGIN} and {END} on lines of their own")
    return place.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", page)


def write(file: Path = PAGE) -> int:
    """Bring a page up to date; returns 0."""
    file.write_text(written(file.read_text("utf-8")), "utf-8")
    return 0
