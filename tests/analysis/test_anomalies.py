"""What is new in a series scores high, what came before does not, and nothing looks ahead."""

from __future__ import annotations

import math
import random

import pytest
from public_data import FOLDER, needs

from instrument.analysis.anomalies import ALARM, scores


def load(points: int, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [50 + 20 * math.sin(place / 288 * 2 * math.pi) + chance.gauss(0, 2) for place in range(points)]


def alarms(values: list[float], **options: object) -> list[int]:
    return [place for place, score in enumerate(scores(None, values, **options)) if score >= ALARM]  # type: ignore[arg-type]


@pytest.mark.parametrize("value_range", [None, (0.0, 200.0)])
def test_a_burst_that_was_never_seen_is_an_alarm(value_range: tuple[float, float] | None) -> None:
    values = load(3000)
    values[2400:2440] = [150.0] * 40
    found = alarms(values, probation=600, value_range=value_range)
    assert any(2400 <= place <= 2450 for place in found)
    assert sum(not 2390 <= place <= 2460 for place in found) <= 2


def test_no_point_changes_the_score_of_one_before_it() -> None:
    values = load(900, seed=3)
    values[700:720] = [120.0] * 20
    whole = scores(None, values, probation=200)
    for end in (0, 1, 150, 333, 640, 705, 719, 850):
        assert scores(None, values[:end], probation=200) == whole[:end]


@pytest.mark.parametrize(
    "values", [[], [1.0], [5.0] * 400, [math.nan] * 400, [math.inf] * 400, [math.nan, 1.0] * 200, [1e308, -1e308] * 200]
)
def test_constants_missing_and_endless_values_are_no_alarm(values: list[float]) -> None:
    found = scores(None, values, probation=50)
    assert len(found) == len(values)
    assert all(0 <= score < ALARM for score in found)


def test_scores_lie_between_0_and_1_and_the_probation_scores_0() -> None:
    found = scores(list(range(1000)), load(1000), probation=300)
    assert all(0 <= score <= 1 for score in found)
    assert not any(found[:300])


def test_times_that_do_not_match_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 times and 3 values"):
        scores([1, 2], [1, 2, 3])


@needs("anomalies")
@pytest.mark.parametrize(("ranged", "least"), [(False, 75), (True, 77)])
def test_the_score_on_the_anomaly_benchmark_is_kept(ranged: bool, least: float) -> None:
    from benchmarks.insight import nab

    files = nab.load(FOLDER / "anomalies")
    found = {}
    for name, file in files.items():
        value_range = (min(file.values), max(file.values)) if ranged else None
        own = scores(file.times, file.values, probation=nab.probation(len(file.values)), value_range=value_range)
        found[name] = [place for place, score in enumerate(own) if score >= ALARM]
    assert nab.result(files, found, nab.PROFILES["standard"]).score >= least
