"""The Numenta Anomaly Benchmark: how early anomalies are found, and how often for nothing.

Lavin and Ahmad, Evaluating real-time anomaly detection algorithms (2015): the first detection in a labelled window
counts, more the earlier it comes; each false one costs, more the farther it lies behind a window; a missed window costs
one. The first 15 % of a file (750 points at most) are not scored. 0 is a detector that says nothing, 100 a perfect one.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

PROBATION, MOST_PROBATION = 0.15, 750


class File(NamedTuple):
    """A series with the first and last index of each labelled window."""

    times: list[float]
    values: list[float]
    windows: list[tuple[int, int]]


class Profile(NamedTuple):
    """What a false detection and a missed window cost against a right one."""

    false_positive: float
    missed: float


PROFILES = {"standard": Profile(0.11, 1.0), "low FP": Profile(0.22, 1.0), "low FN": Profile(0.11, 2.0)}


class Result(NamedTuple):
    """A detector's normalised score, windows found of how many, false detections."""

    score: float
    found: int
    windows: int
    false: int


def probation(length: int) -> int:
    """How many points at a file's beginning are not scored."""
    return math.floor(min(PROBATION * length, PROBATION * 5000))


def load(folder: Path) -> dict[str, File]:
    """Every series of a copy of the benchmark, by path."""
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    files = {}
    for path in sorted((folder / "data").glob("*/*.csv")):
        with open(path, newline="") as stream:
            rows = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in csv.DictReader(stream)]
        name = f"{path.parent.name}/{path.name}"
        marked = [tuple(datetime.fromisoformat(edge) for edge in window) for window in labels[name]]
        windows = []
        for first, last in marked:
            inside = [place for place, (time, _) in enumerate(rows) if first <= time <= last]
            windows.append((inside[0], inside[-1]))
        files[name] = File([time.timestamp() for time, _ in rows], [value for _, value in rows], windows)
    return files


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def raw_score(file: File, detections: Sequence[int], profile: Profile) -> tuple[float, int, int]:
    """The score of detections (indexes) in a file, windows found and false detections."""
    start = probation(len(file.values))
    windows = [window for window in file.windows if window[1] >= start]
    score, found, false = 0.0, 0, 0
    remaining = [place for place in sorted(detections) if place >= start]
    for first, last in windows:
        inside = [place for place in remaining if first <= place <= last]
        if inside:
            found += 1
            score += _sigmoid(-(last - inside[0] + 1) / (last - first + 1)) / _sigmoid(-1.0)
        else:
            score -= profile.missed
    for place in remaining:
        if any(first <= place <= last for first, last in windows):
            continue
        false += 1
        before = [window for window in file.windows if window[1] < place]
        if not before:
            score -= profile.false_positive
        else:
            first, last = before[-1]
            score += profile.false_positive * _sigmoid((place - last) / max(1, last - first))
    return score, found, false


def result(files: Mapping[str, File], detections: Mapping[str, Sequence[int]], profile: Profile) -> Result:
    """The normalised score over all files."""
    total, found, false, count = 0.0, 0, 0, 0
    for name, file in files.items():
        score, right, wrong = raw_score(file, detections[name], profile)
        total, found, false = total + score, found + right, false + wrong
        count += sum(window[1] >= probation(len(file.values)) for window in file.windows)
    worst = -profile.missed * count
    return Result(100 * (total - worst) / (count - worst), found, count, false)


def best_threshold(
    files: Mapping[str, File], scores: Mapping[str, Sequence[float]], profile: Profile, tries: int = 200
) -> tuple[float, Result]:
    """The one threshold over all files that gives the best score, and that score, as the benchmark's optimiser does."""
    every = sorted({score for name in files for score in scores[name]})
    thresholds = {every[round(place * (len(every) - 1) / tries)] for place in range(tries + 1)}
    best = (math.inf, result(files, {name: [] for name in files}, profile))
    for threshold in thresholds:
        found = {name: [place for place, one in enumerate(scores[name]) if one >= threshold] for name in files}
        own = result(files, found, profile)
        best = max(best, (threshold, own), key=lambda pair: pair[1].score)
    return best


def windowed_gaussian(values: Sequence[float], window: int = 6400, step: int = 100) -> list[float]:
    """The benchmark's own simple detector: how far a value lies in the tail of the window's normal distribution."""
    scores: list[float] = []
    past: list[float] = []
    ahead: list[float] = []
    mean, deviation = 0.0, 1.0
    for value in values:
        score = 0.0
        if past:
            score = 1 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2))
        scores.append(score)
        if len(past) < window:
            past.append(value)
            mean, deviation = _moments(past)
        else:
            ahead.append(value)
            if len(ahead) == step:
                past, ahead = past[step:] + ahead, []
                mean, deviation = _moments(past)
    return scores


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, max(math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)), 0.000001)
