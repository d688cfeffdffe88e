"""Change points are found where a series changes its level or slope, and nowhere else."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from public_data import FOLDER, needs

from benchmarks.insight import changepoints
from instrument.analysis.changes import MOST_POINTS, change_points, changes


def noise(count: int, level: float = 0.0, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [level + chance.gauss(0, 1) for _ in range(count)]


def test_a_step_is_found_at_its_first_point_with_the_levels_on_both_sides() -> None:
    (change,) = changes([*noise(100), *noise(100, 8, seed=2)])
    assert change.index == 100
    assert change.probability > 0.95
    assert (change.before, change.after) == (pytest.approx(0, abs=0.5), pytest.approx(8, abs=0.5))


def test_a_straight_line_is_no_change_but_a_bend_is_one() -> None:
    line = [place * 0.1 for place in range(200)]
    assert change_points([a + b * 0.2 for a, b in zip(line, noise(200), strict=True)]) == []
    bent = [place * 0.1 if place < 100 else 10 - (place - 100) * 0.1 for place in range(200)]
    (found,) = change_points([a + b * 0.2 for a, b in zip(bent, noise(200), strict=True)])
    assert abs(found - 100) <= 5


@pytest.mark.parametrize(
    "values", [[], [1.0], [5.0] * 50, [math.nan] * 20, [math.inf, 1.0, 2.0], [1e300] * 10, [1e308, -1e308] * 10]
)
def test_no_data_constants_and_missing_values_have_no_change(values: list[float]) -> None:
    assert change_points(values) == []


def test_one_outlier_is_no_change() -> None:
    values = noise(120)
    values[60] = 500.0
    assert change_points(values) == []


def test_missing_points_do_not_move_a_change() -> None:
    values = [*noise(100), *noise(100, 8, seed=2)]
    holes = [math.nan if place % 7 == 0 and place != 100 else value for place, value in enumerate(values)]
    assert change_points(holes) == [100]


def test_noise_alone_seldom_shows_a_change() -> None:
    false = sum(len(change_points(noise(150, seed=seed))) for seed in range(40))
    assert false <= 4


def test_autocorrelated_noise_shows_fewer_changes_when_the_evidence_is_weakened() -> None:
    def clustered(seed: int) -> list[float]:
        chance, values = random.Random(seed), [0.0]
        for _ in range(199):
            values.append(0.8 * values[-1] + chance.gauss(0, 1))
        return values

    plain = sum(len(changes(clustered(seed))) for seed in range(10))
    weakened = sum(len(changes(clustered(seed), autocorrelated=True)) for seed in range(10))
    assert weakened <= plain / 3


def test_a_series_of_a_million_points_is_answered_from_averages() -> None:
    import numpy as np

    chance = np.random.default_rng(1)
    values = chance.normal(0, 1, 100_000)
    values[60_000:] += 3
    (found,) = change_points(values.tolist())
    assert abs(found - 60_000) <= 5 * -(-len(values) // MOST_POINTS)


def test_the_scale_and_offset_of_a_series_change_nothing() -> None:
    values = [*noise(60), *noise(60, 5, seed=3)]
    assert change_points([value * 1e6 - 3e7 for value in values]) == change_points(values)


@needs("changepoints")
def test_the_f1_of_finding_nothing_is_the_published_one_on_every_series() -> None:
    series = changepoints.load(FOLDER / "changepoints")
    lines = (FOLDER / "changepoints/published_default_f1_univariate_subset.csv").read_text().split()
    column = lines[0].split(",").index("zero")
    published = {line.split(",")[0]: float(line.split(",")[column]) for line in lines[1:]}
    ours = changepoints.scores(series, lambda values: [])
    assert {name: round(score, 4) for name, score in ours.items()} == published


@needs("changepoints")
def test_the_mean_f1_on_the_public_series_is_at_least_0_80() -> None:
    series = changepoints.load(FOLDER / "changepoints")
    assert fmean(changepoints.scores(series, change_points).values()) >= 0.80
