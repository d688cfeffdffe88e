"""All environments, one after the other; our own recorder and the OpenTelemetry SDK run in each of them.

A peer's figures are therefore ratios to a baseline that was measured in the same process, in neighbouring slices.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.environments import ENVIRONMENTS, Environment, interpreter
from benchmarks.progress import say
from benchmarks.results import NONE, Check, Section, Table, limit, number

OURS, BASELINE, PLAIN = "agent_instrument", "opentelemetry_sdk", "undecorated"
KINDS = ("sync hot", "async hot", "sync cold", "async cold")
ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 900

Round = dict[str, Any]


def run(short: bool = False) -> Section:
    """Measure every environment that is installed; the others are named as not installed."""
    rounds: dict[str, Round | None] = {}
    for name, environment in ENVIRONMENTS.items():
        rounds[name] = _round(name, environment, short=short)
    return Section("peers", list(_tables(rounds)), list(_checks(rounds)), _figures(rounds))


def _round(name: str, environment: Environment, *, short: bool) -> Round | None:
    python = interpreter(name)
    say(f"peers: {name}" if python else f"peers: {name} is not installed")
    if python is None:
        return None
    asked = {
        "contenders": [OURS, BASELINE, *environment.contenders],
        "kinds": KINDS,
        "queries": 200 if short else 300,
        "seconds": 1.5 if short else 8 if name == "shared" else 4,
        "fewest": 4 if short else 9 if name == "shared" else 5,
        "seed": 1,
    }
    try:
        done = _worker(python, asked)
    except subprocess.TimeoutExpired:
        return {"failed": [f"not done after {TIMEOUT_SECONDS} s"]}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]}
    told: Round = json.loads(done.stdout.splitlines()[-1])
    return told


def _worker(python: str, asked: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "benchmarks.peers.worker"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def costs(slices: dict[str, list[float]], name: str) -> tuple[float, float]:
    """What tracking costs a query, in µs: between the minima, and the median of the differences, turn by turn."""
    differences = [tracked - plain for tracked, plain in zip(slices[name], slices[PLAIN], strict=True)]
    return (min(slices[name]) - min(slices[PLAIN])) / 1000, median(differences) / 1000


def ratio(slices: dict[str, list[float]], name: str, to: str) -> float:
    """A contender's cost over another's: the ratio of their medians of differences."""
    return costs(slices, name)[1] / costs(slices, to)[1]


def measured(rounds: dict[str, Round | None]) -> Iterator[tuple[str, str, Round]]:
    """Every contender once with its environment: ours and the baseline from the first one."""
    first = True
    for name, told in rounds.items():
        if told is None or "failed" in told:
            continue
        if first:
            yield OURS, name, told
            yield BASELINE, name, told
            first = False
        for contender in ENVIRONMENTS[name].contenders:
            yield contender, name, told


# -- what is shown ---------------------------------------------------------------------------------------------------


def _tables(rounds: dict[str, Round | None]) -> Iterator[Table]:
    yield _costs_table(rounds)
    yield _ratios_table(rounds)
    rows = [
        (contender, told["about"][contender]["keeps"], _kept(told["kept"][contender]))
        for contender, _, told in measured(rounds)
    ]
    yield Table("What each one keeps of a query", ("recorder", "keeps, leaves out", "kept of given"), rows)


def _costs_table(rounds: dict[str, Round | None]) -> Table:
    rows = []
    for contender, _, told in measured(rounds):
        cells = ["{} / {}".format(*map(number, costs(told["slices"][kind], contender))) for kind in KINDS]
        rows.append((contender, told["about"][contender]["version"], *cells))
    rows += [(name, reason, *("–" for _ in KINDS)) for name, reason in _missing(rounds)]
    return Table(
        "Recorders: CPU a query, tracked minus undecorated, µs, minimum / median",
        ("recorder", "version", *KINDS),
        rows,
        (
            "A query is one decorated function with three decorated tools and two decorated GraphQL calls; all threads,"
            " the flush of every slice included. cold: 4 MB walked and unrelated code run before each query.",
            "Every row comes from a process of its own, but for the first three; across rows only the ratios compare.",
        ),
    )


def _ratios_table(rounds: dict[str, Round | None]) -> Table:
    rows = []
    for contender, _, told in measured(rounds):
        of_baseline = [number(ratio(told["slices"][kind], contender, BASELINE)) for kind in KINDS]
        of_it = [number(ratio(told["slices"][kind], OURS, contender)) for kind in KINDS]
        rows.append((contender, *of_baseline, *of_it))
    heads = [f"{kind} / OTel" for kind in KINDS] + [f"ours / it, {kind}" for kind in KINDS]
    return Table(
        "The same as ratios, each within one process: to the OpenTelemetry SDK, and ours to the recorder",
        ("recorder", *heads),
        rows,
    )


def _kept(counts: list[int]) -> str:
    arrived, given = counts
    return f"all {given:,}" if arrived == given else f"{arrived:,} of {given:,}"


def _missing(rounds: dict[str, Round | None]) -> Iterator[tuple[str, str]]:
    for name, told in rounds.items():
        if told is None:
            yield name, "not installed (python -m benchmarks setup)"
        elif "failed" in told:
            yield name, f"failed: {' '.join(told['failed'])[:80]}"


def _checks(rounds: dict[str, Round | None]) -> Iterator[Check]:
    told = rounds.get("shared")
    if told is None or "failed" in told:
        return
    for kind in KINDS:
        word, temperature = kind.split()
        for peer, name in ((BASELINE, "opentelemetry"), ("prometheus", "prometheus_client")):
            value = ratio(told["slices"][kind], OURS, peer)
            yield Check(f"cost against {name}, {kind}", value, limit("peers", name, temperature, word))
    for contender, environment, told in measured(rounds):
        arrived, given = told["kept"][contender]
        yield Check(f"given to {contender} but not kept ({environment})", abs(given - arrived), NONE)


def _figures(rounds: dict[str, Round | None]) -> dict[str, Any]:
    return {
        name: {"state": "not installed"} if told is None else {"state": "failed" if "failed" in told else "ok", **told}
        for name, told in rounds.items()
    }
