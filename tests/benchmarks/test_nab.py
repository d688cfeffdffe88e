"""The anomaly benchmark's rules: a perfect detector has 100, a silent one 0, and the best threshold is the best."""

from __future__ import annotations

import random

import pytest

from benchmarks.insight import nab


def files(count: int = 3, length: int = 400) -> dict[str, nab.File]:
    chance, found = random.Random(1), {}
    for number in range(count):
        begin = chance.randrange(150, 300)
        windows = [(begin, begin + 30), (begin + 60, begin + 80)]
        values = [chance.gauss(0, 1) for _ in range(length)]
        found[f"file {number}"] = nab.File([float(place) for place in range(length)], values, windows)
    return found


def test_a_silent_detector_has_0_and_a_perfect_one_nearly_100() -> None:
    given = files()
    for profile in nab.PROFILES.values():
        assert nab.result(given, {name: [] for name in given}, profile).score == pytest.approx(0)
        first = {name: [window[0] for window in file.windows] for name, file in given.items()}
        assert nab.result(given, first, profile).score == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("profile", nab.PROFILES.values())
def test_the_best_threshold_is_the_best_of_all(profile: nab.Profile) -> None:
    given = files()
    chance = random.Random(2)
    scores = {name: [round(chance.random(), 2) for _ in file.values] for name, file in given.items()}
    for name, file in given.items():
        scores[name][file.windows[0][0] + 5] = 0.995
    tried = []
    for threshold in {score for own in scores.values() for score in own}:
        found = {name: [place for place, one in enumerate(own) if one >= threshold] for name, own in scores.items()}
        tried.append(nab.result(given, found, profile).score)
    _, best = nab.best_threshold(given, scores, profile)
    assert best.score == pytest.approx(max(0.0, *tried))
    assert best.score > 0


def test_the_windowed_gaussian_scores_a_value_by_those_before_it() -> None:
    values = [1.0, 3.0, 1.0, 3.0, 2.0, 9.0]
    scores = nab.windowed_gaussian(values)
    assert scores[0] == 0.0
    assert scores[4] == pytest.approx(0.5)
    assert scores[5] > 0.999999
    slid = nab.windowed_gaussian([0.0] * 10 + [1.0] * 10 + [1.0], window=10, step=5)
    assert slid[-1] == pytest.approx(0.5)
