"""What the figures were measured on, and how noisy it was."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

from benchmarks.results import Section, Table
from benchmarks.subject import busy

PROBE_UNITS = 20
PROBES = 1500


def describe() -> Section:
    """The machine, the versions and the noise, as they are now."""
    facts = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": f"{os.cpu_count()} of {_processor()}",
        "load average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "msgspec": _version("msgspec"),
        "noise": "{:.1f} % between neighbouring quarter milliseconds of the same work (median), {:.0f} % at the 95th"
        " percentile".format(*noise()),
    }
    return Section("machine", [Table("Machine", ("", ""), list(facts.items()))], figures=dict(facts))


def noise() -> tuple[float, float]:
    """How much two equal slices of work differ, one after the other: median and 95th percentile, in percent."""
    taken = []
    for _ in range(PROBES):
        begin = time.thread_time_ns()
        busy(PROBE_UNITS)
        taken.append(time.thread_time_ns() - begin)
    differences = sorted(100 * abs(a / b - 1) for a, b in pairwise(taken))
    return differences[len(differences) // 2], differences[int(len(differences) * 0.95)]


def spread(values: list[float]) -> dict[str, Any]:
    """Minimum and median of what was measured several times."""
    ordered = sorted(values)
    return {"min": ordered[0], "median": ordered[len(ordered) // 2], "times": len(ordered)}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
