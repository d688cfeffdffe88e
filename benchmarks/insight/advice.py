"""Advice against a simulator that knows what each opportunity would save: is it found, and is nothing else?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.insight.own_data import simulator
from benchmarks.results import Check, Table, limit

RUNS, SHORT_RUNS = 100, 3
WITHIN = 1.5
"""The factor within which a saving must be the true one."""


def advice(short: bool) -> tuple[Table, list[Check], dict[str, Any]]:
    """How often each kind is found with its saving, and how often anything is advised that saves nothing."""
    world = simulator("advice_world")
    runs = SHORT_RUNS if short else RUNS
    figures = {kind: _scored(world, kind, runs) for kind in ("", *world.KINDS)}
    rows = [
        (kind or "nothing to save", str(one["found"]) if kind else "", str(one["wrong"]))
        for kind, one in figures.items()
    ]
    kinds = [one for kind, one in figures.items() if kind]
    found = sum(one["found"] for one in kinds) / (runs * len(kinds))
    checks = [
        Check("advice found with its saving", found, limit("insight", "advice_found")),
        Check("advice where there is nothing to save", figures[""]["wrong"] / runs, limit("insight", "advice_wrong")),
    ]
    notes = (f"{runs} simulations of 2,100 queries over 14 days for each kind; savings within a factor of {WITHIN:g}",)
    return Table("Advice, simulated agents", ("", "found", "runs with wrong advice"), rows, notes), checks, figures


def _scored(world: Any, kind: str, runs: int) -> dict[str, int]:
    found = wrong = 0
    for seed in range(runs):
        given = world.World([kind] if kind else (), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            advised = given.advice(Path(folder)).advice
        wrong += any(one.kind != kind for one in advised)
        savings = [(one.saving, given.true_saving(one)) for one in advised if one.kind == kind]
        found += any(true / WITHIN <= saving <= true * WITHIN for saving, true in savings)
    return {"found": found, "wrong": wrong}
