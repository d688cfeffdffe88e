"""Slopes are found where there are some, and hardly ever in noise, also in noise that remembers."""

from __future__ import annotations

import math
import random

import pytest

from instrument.analysis.slopes import theil_sen


def noise(days: int, memory: float, seed: int) -> list[tuple[int, float]]:
    """Normal noise of deviation 1 in which neighbouring days are alike."""
    chance, value, points = random.Random(seed), 0.0, []
    value = chance.gauss(0, 1)
    for day in range(days):
        points.append((day, value))
        value = memory * value + chance.gauss(0, math.sqrt(1 - memory * memory))
    return points


@pytest.mark.parametrize("season", [1, 7])
@pytest.mark.parametrize("memory", [0.0, 0.3, 0.6])
def test_noise_has_hardly_ever_a_certain_slope(season: int, memory: float) -> None:
    slopes = [theil_sen(noise(28, memory, seed), season) for seed in range(300)]
    certain = sum(one is not None and one.is_certain for one in slopes)
    assert certain / 300 <= 0.07  # without allowing for memory, 0.18 at a memory of 0.6
    outside = sum(one is not None and not one.low <= 0 <= one.high for one in slopes)
    assert outside / 300 <= 0.12  # 0.32


@pytest.mark.parametrize("season", [1, 7])
def test_growth_is_certain(season: int) -> None:
    found = [theil_sen([(day, value + 0.3 * day) for day, value in noise(28, 0.3, seed)], season) for seed in range(50)]
    assert sum(one is not None and one.is_certain and one.slope > 0 for one in found) >= 40


def test_few_points_are_never_certain_and_a_line_is() -> None:
    assert theil_sen([]) is None
    assert theil_sen([(0, 1.0), (3, 2.0)], season=7) is None
    two = theil_sen([(0, 1.0), (7, 2.0)], season=7)
    assert two is not None
    assert not two.is_certain
    line = theil_sen([(day, 3.0 * day) for day in range(10)])
    assert line is not None
    assert (line.slope, line.is_certain) == (3.0, True)
    flat = theil_sen([(day, 3.0) for day in range(10)])
    assert flat is not None
    assert (flat.slope, flat.low, flat.high, flat.is_certain) == (0, 0, 0, False)
