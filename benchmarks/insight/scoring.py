"""Our methods and the published ones beside them, as tables and checks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.insight import advice, changepoints, m4, nab, own_data
from benchmarks.progress import say
from benchmarks.results import Check, Section, Table, limit, number
from instrument.analysis.anomalies import ALARM, scores
from instrument.analysis.changes import change_points
from instrument.analysis.forecasts import forecast

Part = tuple[Table, list[Check], dict[str, Any]]


def section(data: Path, *, short: bool) -> Section:
    """Every part whose data are there."""
    parts: list[tuple[str, Path | None, Callable[[], Part]]] = [
        ("anomalies", data / "anomalies", lambda: _anomalies(data / "anomalies")),
        ("forecast", data / "forecast", lambda: _forecasts(data / "forecast", short)),
        ("changepoints", data / "changepoints", lambda: _changes(data / "changepoints")),
        ("incidents", None, lambda: own_data.incidents(short)),
        ("advice", None, lambda: advice.advice(short)),
        ("prediction", data / "requests" / own_data.AZURE, lambda: own_data.prediction(data / "requests", short)),
    ]
    tables, checks, figures = [], [], {}
    for name, folder, work in parts:
        if folder is not None and not folder.exists():
            say(f"{name}: left out, {folder} is not there")
            continue
        say(name)
        table, held, figures[name] = work()
        tables.append(table)
        checks += held
    return Section("insight", tables, checks, figures)


def _anomalies(folder: Path) -> Part:
    files = nab.load(folder)
    found = {"novelty, strict": _alarms(files, ranged=False), "novelty, with the range": _alarms(files, ranged=True)}
    gaussian = {name: nab.windowed_gaussian(file.values) for name, file in files.items()}
    rows, figures = [], {}
    for name, detections in found.items():
        results = {profile: nab.result(files, detections, costs) for profile, costs in nab.PROFILES.items()}
        figures[name] = {profile: result.score for profile, result in results.items()}
        rows.append(_row(name, results))
    best = {profile: nab.best_threshold(files, gaussian, costs)[1] for profile, costs in nab.PROFILES.items()}
    rows.append(_row("windowed Gaussian, threshold chosen with the labels", best))
    checks = [
        Check("NAB, strict", figures["novelty, strict"]["standard"], limit("insight", "nab_strict")),
        Check("NAB, with the range", figures["novelty, with the range"]["standard"], limit("insight", "nab_range")),
    ]
    notes = (
        f"{len(files)} files of 58; published over all 58, standard: ARTime 74.9, HTM 70.1, CAD 69.9",
        "windowed Gaussian, published over all 58, standard: 39.6; a part of the files cannot show that",
    )
    return Table("Anomalies, NAB", ("", *nab.PROFILES, "windows found", "false"), rows, notes), checks, figures


def _row(name: str, results: dict[str, nab.Result]) -> tuple[str, ...]:
    first = results["standard"]
    return (
        name,
        *(f"{result.score:.1f}" for result in results.values()),
        f"{first.found} of {first.windows}",
        str(first.false),
    )


def _alarms(files: dict[str, nab.File], *, ranged: bool) -> dict[str, list[int]]:
    found = {}
    for name, file in files.items():
        value_range = (min(file.values), max(file.values)) if ranged else None
        own = scores(file.times, file.values, probation=nab.probation(len(file.values)), value_range=value_range)
        found[name] = [place for place, score in enumerate(own) if score >= ALARM]
    return found


def _forecasts(folder: Path, short: bool) -> Part:
    series = dict(list(m4.load(folder).items())[: 20 if short else None])
    begun = time.process_time()
    found = {name: forecast(one.history, m4.STEPS) for name, one in series.items()}
    cpu_ms = (time.process_time() - begun) / len(series) * 1000
    reference = m4.scores(series, {name: m4.naive2(one.history) for name, one in series.items()})
    methods: dict[str, dict[str, Any]] = {
        "ours": {name: one.mean for name, one in found.items()},
        "sNaive": {name: m4.seasonal_naive(one.history) for name, one in series.items()},
        "Naive": {name: m4.naive(one.history) for name, one in series.items()},
    }
    owas = {name: m4.owa(m4.scores(series, method), reference) for name, method in methods.items()}
    inside = fmean(
        low <= truth <= high
        for name, one in series.items()
        for low, truth, high in zip(found[name].low, one.future, found[name].high, strict=True)
    )
    msis = fmean(m4.msis(found[name].low, found[name].high, one.future, one.history) for name, one in series.items())
    rows = [("ours", f"{owas['ours']:.3f}", f"{inside:.3f}", f"{msis:.2f}", number(cpu_ms))]
    rows += [(name, f"{owas[name]:.3f}", "", "", "") for name in ("sNaive", "Naive")]
    checks = [
        Check("M4 hourly, OWA over that of sNaive", owas["ours"] / owas["sNaive"], limit("insight", "m4_to_snaive")),
        Check("M4 hourly, coverage of 95 %", inside, limit("insight", "m4_coverage")),
        Check("CPU of a forecast", cpu_ms, limit("insight", "forecast_ms"), "ms"),
    ]
    notes = (
        f"{len(series)} series of 414; published over all: sNaive 0.627, the competition's best 0.410 "
        "(0.654 of sNaive), its best interval MSIS 6.14",
    )
    columns = ("", "OWA", "coverage of 95 %", "MSIS", "CPU ms a series")
    figures = {"owa": owas, "coverage": inside, "msis": msis, "cpu_ms": cpu_ms}
    return Table("Forecasts, M4 hourly", columns, rows, notes), checks, figures


def _changes(folder: Path) -> Part:
    series = changepoints.load(folder)
    ours = fmean(changepoints.scores(series, change_points).values())
    zero = fmean(changepoints.scores(series, lambda values: []).values())
    rows = [("ours, one setting", f"{ours:.3f}"), ("zero: no change anywhere", f"{zero:.3f}")]
    notes = (f"{len(series)} series; published defaults over 35: binseg 0.744, bocpd 0.690, zero 0.669",)
    checks = [Check("TCPD, mean F1", ours, limit("insight", "tcpd_f1"))]
    return Table("Change points, TCPD univariate", ("", "mean F1"), rows, notes), checks, {"ours": ours, "zero": zero}
