"""What the public sets do not have: incidents of simulated agents' traffic, and durations of single requests."""

from __future__ import annotations

import csv
import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results import Check, Table, limit
from instrument.analysis.alarm_limits import limits
from instrument.analysis.incidents import alarms, count_scores, duration_scores, failure_scores
from instrument.analysis.learning import Known, evaluate
from instrument.analysis.stretches import LEAST_DAYS

AZURE = "AzureLLMInferenceTrace_code.csv"

_SIMULATORS = Path(__file__).parents[2] / "tests" / "analysis"
_WEEKS, _LEARNED = 6, 3


def simulator(name: str) -> ModuleType:
    """Import a simulator of the tests."""
    spec = importlib.util.spec_from_file_location(name, _SIMULATORS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def incidents(short: bool) -> tuple[Table, list[Check], dict[str, Any]]:
    """Recall, and false alarms a series and week, by queries an hour and with stress or without."""
    traffic = simulator("traffic")
    seeds = range(2 if short else 12)
    figures: dict[str, dict[str, float]] = {}
    for rate in (20, 200):
        for stress in (True, False):
            name = f"{rate} queries an hour, {'stress' if stress else 'as modelled'}"
            figures[name] = _scored(traffic, rate, stress, seeds)
    rows = [(name, f"{one['recall']:.2f}", f"{one['false']:.2f}") for name, one in figures.items()]
    checks = [
        check
        for rate in (20, 200)
        for one in (figures[f"{rate} queries an hour, stress"],)
        for check in (
            Check(f"incidents found at {rate} an hour", one["recall"], limit("insight", f"incidents_{rate}")),
            Check(f"false alarms at {rate} an hour", one["false"], limit("insight", "false_alarms")),
        )
    ]
    notes = (f"{len(seeds)} simulations each of {_WEEKS} weeks, {_LEARNED} of them learned from; 7 incidents in each",)
    columns = ("", "recall", "false a series and week")
    return Table("Incidents, simulated traffic", columns, rows, notes), checks, figures


def _scored(traffic: ModuleType, rate: float, stress: bool, seeds: range) -> dict[str, float]:
    found = total = false = weeks = 0
    for seed in seeds:
        given = traffic.simulate(rate, _WEEKS, seed=seed, stress=stress)
        looks = (
            count_scores(given.counts),
            failure_scores(given.failed, given.counts),
            duration_scores(given.durations),
        )
        a_day = traffic.A_WEEK // 7
        own = [
            limits(look.values, week=traffic.A_WEEK, learned=days * a_day)
            for look, days in zip(looks, LEAST_DAYS.values(), strict=True)
        ]
        for one in given.incidents:
            total += 1
            found += any(
                any(look.values[place] >= level[place] for place in range(one.first, min(one.last + 4, len(level))))
                for look, level in zip(looks, own, strict=True)
            )
        near = [(one.first - 1, one.last + 16) for one in given.incidents]
        for look, level in zip(looks, own, strict=True):
            weeks += _WEEKS - _LEARNED
            later = [place for place in alarms(look.values, level) if place >= _LEARNED * traffic.A_WEEK]
            false += sum(not any(first <= place <= last for first, last in near) for place in later)
    return {"recall": found / total, "false": false / weeks}


def prediction(folder: Path, short: bool) -> tuple[Table, list[Check], dict[str, Any]]:
    """Pinball losses of predictions of the tokens generated, each from what had ended before, in units of 1 token."""
    queries = _requests(folder / AZURE)[: 3000 if short else None]
    found = evaluate(queries)
    assert found is not None
    rows = [
        ("nested rolling quantiles", f"{found.p50:.2f}", f"{found.p90:.2f}", f"{found.covered:.3f}"),
        ("all earlier requests' quantiles", f"{found.plain_p50:.2f}", f"{found.plain_p90:.2f}", ""),
    ]
    checks = [
        Check("prediction, p50's loss against plain", found.p50 / found.plain_p50, limit("insight", "pinball")),
        Check("prediction, p90's loss against plain", found.p90 / found.plain_p90, limit("insight", "pinball")),
        Check("prediction, share below the p90", found.covered, limit("insight", "covered")),
    ]
    figures = {name: getattr(found, name) for name in ("p50", "p90", "plain_p50", "plain_p90", "covered")}
    title = f"Prediction, tokens of {found.queries:,} requests (Azure, code)"
    return Table(title, ("", "loss at p50", "loss at p90", "below the p90"), rows), checks, figures


def _requests(file: Path) -> list[Known]:
    """Requests as queries of one agent that take as many seconds as they generate tokens."""
    queries = []
    with open(file, newline="") as stream:
        for row in csv.DictReader(stream):
            at = int(datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC).timestamp() * 1e6)
            text, tokens = "x" * int(row["ContextTokens"]), max(1, int(row["GeneratedTokens"]))
            queries.append(Known(at, at + 1000, text, "code", None, None, tokens * 1000.0, False))
    return queries
