"""The M4 competition's hourly series: sMAPE, MASE and OWA, as the organisers define them.

Makridakis, Spiliotis, Assimakopoulos, The M4 competition: 100,000 time series and 61 forecasting methods (2020):
OWA is the mean of sMAPE and MASE, each relative to Naive 2 (the last value, seasonally adjusted where a test at 90 %
finds a season). MSIS, the score of intervals, is that of the same paper.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SEASON, STEPS = 24, 48

Method = Callable[[Any], Any]


class Series(NamedTuple):
    """One series: its history and the 48 hours that followed."""

    history: Any
    future: Any


class Scores(NamedTuple):
    """Means over all series."""

    smape: float
    mase: float


def load(folder: Path) -> dict[str, Series]:
    """The hourly series of a copy of the competition's files, by name."""
    train, test = _rows(folder / "Hourly-train.csv"), _rows(folder / "Hourly-test.csv")
    return {name: Series(train[name], test[name]) for name in train if name in test}


def _rows(file: Path) -> dict[str, Any]:
    with open(file, newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return {row[0]: np.array([float(cell) for cell in row[1:] if cell]) for row in rows}


def smape(found: Any, truth: Any) -> float:
    """The symmetric mean absolute percentage error, in percent."""
    return float(np.mean(200 * np.abs(found - truth) / (np.abs(found) + np.abs(truth))))


def scale(history: Any) -> float:
    """The mean absolute difference to the same hour of the day before: what MASE and MSIS divide by."""
    return float(np.mean(np.abs(history[SEASON:] - history[:-SEASON])))


def mase(found: Any, truth: Any, history: Any) -> float:
    """The mean absolute scaled error."""
    return float(np.mean(np.abs(found - truth)) / scale(history))


def msis(low: Any, high: Any, truth: Any, history: Any) -> float:
    """The mean scaled interval score at 95 %."""
    low, high = np.asarray(low), np.asarray(high)
    missed = 2 / 0.05 * (np.maximum(low - truth, 0) + np.maximum(truth - high, 0))
    return float(np.mean(high - low + missed) / scale(history))


def scores(series: Mapping[str, Series], found: Mapping[str, Any]) -> Scores:
    """The mean sMAPE and MASE of forecasts by name."""
    return Scores(
        float(np.mean([smape(found[name], one.future) for name, one in series.items()])),
        float(np.mean([mase(found[name], one.future, one.history) for name, one in series.items()])),
    )


def owa(own: Scores, naive2: Scores) -> float:
    """The overall weighted average: below 1 is better than Naive 2."""
    return (own.smape / naive2.smape + own.mase / naive2.mase) / 2


def naive(history: Any) -> Any:
    """The last value, again and again."""
    return np.full(STEPS, history[-1])


def seasonal_naive(history: Any) -> Any:
    """The last day, again and again."""
    return np.tile(history[-SEASON:], STEPS // SEASON)


def naive2(history: Any) -> Any:
    """The last value of the seasonally adjusted series, with its season put back."""
    if not is_seasonal(history):
        return naive(history)
    factors = seasonal_factors(history)
    place = len(history)
    adjusted = history[-1] / factors[(place - 1) % SEASON]
    return adjusted * factors[(place + np.arange(STEPS)) % SEASON]


def is_seasonal(history: Sequence[float] | Any) -> bool:
    """Whether the autocorrelation at a day passes the competition's test at 90 %."""
    if len(history) < 3 * SEASON:
        return False
    centred = history - np.mean(history)
    power = float(centred @ centred)
    if power == 0:
        return False
    correlations = np.array([float(centred[lag:] @ centred[:-lag]) / power for lag in range(1, SEASON + 1)])
    limit = 1.645 * np.sqrt((1 + 2 * np.sum(correlations[:-1] ** 2)) / len(history))
    return bool(abs(correlations[-1]) > limit)


def seasonal_factors(history: Any) -> Any:
    """The factor of each hour by classical multiplicative decomposition, with mean 1."""
    kernel = np.concatenate([[0.5], np.ones(SEASON - 1), [0.5]]) / SEASON
    trend = np.convolve(history, kernel, mode="valid")
    half = SEASON // 2
    ratios = history[half : half + len(trend)] / trend
    hours = (np.arange(len(trend)) + half) % SEASON
    factors = np.array([np.mean(ratios[hours == hour]) for hour in range(SEASON)])
    return factors / np.mean(factors)
