from __future__ import annotations

import math
import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from brute_force import mean, percentile, success_rate, times
from store_rows import NOON, SERIAL, query, random_rows, write

from instrument.analysis import resampling
from instrument.analysis.compare import Change, Comparison, Side, compare
from instrument.analysis.resampling import sample
from instrument.analysis.results import Limits, Period
from instrument.errors import UsageError
from instrument.reading import open_store as open_for_reading
from instrument.rows.stored import CallRow, QueryRow, Row
from instrument.store.tables import open_store

PERIOD = Period(24, NOON - timedelta(hours=24), NOON, NOON)


def compared(folder: Path, before: list[Row], after: list[Row]) -> Comparison:
    folder.mkdir(exist_ok=True)
    write(folder / "before", before)
    write(folder / "after", after)
    with open_store(folder / "before") as one, open_store(folder / "after") as other:
        return compare(one, other, (Side("before", PERIOD, 0), Side("after", PERIOD, 0)), Limits(500, 5000))


def change(found: Comparison, name: str) -> Change:
    return next(each for each in found.figures if each.name == name)


def queries(
    seed: int, number: int, *, slower: float = 1.0, failing: float = 0.05, weight: float = 1, **more: object
) -> list[Row]:
    chance = random.Random(seed)
    return [
        query(
            NOON - timedelta(minutes=place % 600),
            serial=SERIAL + place,
            duration=int(chance.lognormvariate(20, 1) * slower),
            status="error" if chance.random() < failing else "ok",
            weight=weight,
            **more,
        )
        for place in range(number)
    ]


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 7.5)], ids=["all kept", "sampled"])
def test_both_sides_have_the_figures_that_plain_loops_find(tmp_path: Path, weights: tuple[float, ...]) -> None:
    sides = [random_rows(seed, 300, weights=weights) for seed in (1, 2)]
    found = compared(tmp_path, *sides)
    for side, rows in zip(("before", "after"), sides, strict=True):
        roots = [row for row in rows if isinstance(row, QueryRow) and row.parent is None]
        assert getattr(found, side).queries == pytest.approx(sum(row.weight for row in roots))
        expected = {
            "failure rate": 1 - (success_rate(roots) or 0),
            "average": mean(times(roots)),
            "p50": percentile(times(roots), 0.5),
            "p95": percentile(times(roots), 0.95),
            "p99": percentile(times(roots), 0.99),
        }
        for name, value in expected.items():
            assert getattr(change(found, name), side) == pytest.approx(value)


def test_what_changed_is_called_so_and_the_rest_noise(tmp_path: Path) -> None:
    found = compared(tmp_path, queries(1, 2000), queries(2, 2000, slower=1.5))
    verdicts = {each.name: each.verdict for each in found.figures}
    assert verdicts["p50"] == verdicts["p95"] == verdicts["average"] == verdicts["slow"] == "higher"
    assert verdicts["failure rate"] == "same"
    p50 = change(found, "p50")
    assert p50.low is not None
    assert p50.high is not None
    assert 0 < p50.low < p50.difference < p50.high  # type: ignore[operator]
    assert any(sentence.startswith("P50 rose by") for sentence in found.summary)
    assert "Within noise: failure rate" in found.summary[-1]


def test_a_rate_that_went_from_nothing_to_much_is_a_change(tmp_path: Path) -> None:
    found = compared(tmp_path, queries(1, 300, failing=0), queries(2, 300, failing=0.2))
    assert change(found, "failure rate").verdict == "higher"


def test_twenty_comparisons_of_the_same_find_nothing(tmp_path: Path) -> None:
    flagged = 0
    for seed in range(20):
        found = compared(tmp_path / str(seed), queries(seed, 400), queries(seed + 100, 400))
        flagged += any(each.verdict in ("higher", "lower") for each in found.figures)
    assert flagged <= 3  # one in twenty by design


def test_sampled_queries_are_no_surer_than_their_number(tmp_path: Path) -> None:
    whole = compared(tmp_path / "a", queries(1, 400), queries(2, 400))
    sampled = compared(tmp_path / "b", queries(1, 400, weight=20), queries(2, 400, weight=20))
    for name in ("failure rate", "p50", "p95", "average"):
        one, other = change(whole, name), change(sampled, name)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.05)  # type: ignore[operator]


def test_the_same_records_give_the_same_intervals(tmp_path: Path) -> None:
    rows = queries(1, 300), queries(2, 300)
    assert compared(tmp_path / "a", *rows).figures == compared(tmp_path / "b", *(row[::-1] for row in rows)).figures


def test_few_records_have_no_verdict(tmp_path: Path) -> None:
    found = compared(tmp_path, queries(1, 30), queries(2, 30, slower=9))
    assert change(found, "p50").verdict == "higher"
    assert change(found, "p95").verdict == "unknown"
    assert "Too few records to tell: p95, p99" in found.summary[-1]


def test_nothing_on_one_side_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to compare: no query in before; after has 3"):
        compared(tmp_path, [query(parent="x" * 36)], queries(1, 3))


def test_calls_are_compared_by_name(tmp_path: Path) -> None:
    fast, slow = ([CallRow("lookup", 0, duration=took)] for took in (1_000_000, 3_000_000))
    found = compared(tmp_path, queries(1, 200, calls=fast), queries(2, 200, calls=slow))
    [average] = [each for each in found.calls["tool: lookup"] if each.name == "average"]
    assert (average.before, average.after, average.verdict) == (1.0, 3.0, "higher")
    assert "tool: lookup, average rose by 200 % (1.0 ms to 3.0 ms)." in found.summary


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_interval_of_a_percentile_is_that_of_records_drawn_again(share: float) -> None:
    generator = np.random.default_rng(5)
    values = generator.lognormal(0, 1, 800)
    drawn = np.quantile(generator.choice(values, (2000, len(values))), share, axis=1)
    draws = resampling.percentile_draws(sample(values, np.ones(len(values))), share, 1)
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.03)


def test_the_interval_of_a_weighted_rate_is_that_of_records_drawn_again() -> None:
    generator = np.random.default_rng(6)
    flags, weights = generator.random(600) < 0.1, generator.choice([1.0, 20.0], 600)
    places = generator.integers(0, 600, (4000, 600))
    drawn = (flags[places] * weights[places]).sum(axis=1) / weights[places].sum(axis=1)
    draws = resampling.rate_draws(sample(flags, weights), 1)
    wide = np.ptp(np.quantile(drawn, [0.025, 0.975]))
    assert math.isclose(np.ptp(np.quantile(draws, [0.025, 0.975])), wide, rel_tol=0.15)


def test_a_store_compares_periods_and_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = [query(NOON - timedelta(days=7, minutes=place), serial=SERIAL + place) for place in range(30)]
    new = [
        query(
            NOON - timedelta(minutes=place + 1),
            serial=SERIAL + 100 + place,
            attributes={"version": f"1.{place % 2}"},
            duration=(1 + place % 2) * 10**9,
        )
        for place in range(60)
    ]
    write(tmp_path / "store", [*old, *new])
    with open_for_reading(tmp_path / "store", since=NOON - timedelta(hours=12), until=NOON, time_zone="UTC") as store:
        week = store.compare("-7d")
        assert (week.before.queries, week.after.queries) == (29, 60)
        assert week.before.period.start == NOON - timedelta(days=7, hours=12)
        named = store.compare("2026-03-03..2026-03-04")
        assert named.before.queries == 30
        versions = store.compare(by="version", between=("1.0", "1.1"))
        assert (versions.before.label, versions.before.queries, versions.after.queries) == ("version=1.0", 30, 30)
        assert (change(versions, "p50").before, change(versions, "p50").after) == (1000, 2000)
        with pytest.raises(UsageError, match=r"nothing to compare: no query in 9 Mar .*; 10 Mar .* has 60"):
            store.compare()
        with pytest.raises(UsageError, match="no query in version=2"):
            store.compare(by="version", between=("1.0", "2"))
        with pytest.raises(UsageError, match="names no period"):
            store.compare("tomorrow")
        with pytest.raises(UsageError, match="--by NAME --between A B"):
            store.compare(by="version")
