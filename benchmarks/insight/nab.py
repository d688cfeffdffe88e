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
            score += _right(inside[0], (first, last))
        else:
            score -= profile.missed
    for place in remaining:
        if not any(first <= place <= last for first, last in windows):
            false += 1
            score -= _wrong(file, place, profile)
    return score, found, false


def _right(place: int, window: tuple[int, int]) -> float:
    """What a window's first detection is worth."""
    first, last = window
    return _sigmoid(-(last - place + 1) / (last - first + 1)) / _sigmoid(-1.0)


def _wrong(file: File, place: int, profile: Profile) -> float:
    """What a detection outside the windows costs."""
    before = [window for window in file.windows if window[1] < place]
    if not before:
        return profile.false_positive
    first, last = before[-1]
    return -profile.false_positive * _sigmoid((place - last) / max(1, last - first))


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
    files: Mapping[str, File], scores: Mapping[str, Sequence[float]], profile: Profile
) -> tuple[float, Result]:
    """The one threshold over all files that gives the best score, and that score, as the benchmark's optimiser does.

    Every score is tried as the threshold, from the highest down: each lets in a few detections more.
    """
    points = sorted(
        ((score, name, place) for name in files for place, score in enumerate(scores[name])), key=lambda one: -one[0]
    )
    first: dict[tuple[str, tuple[int, int]], int] = {}
    total, best, threshold = 0.0, 0.0, math.inf
    for number, (score, name, place) in enumerate(points):
        file = files[name]
        if place >= probation(len(file.values)):
            total += _more(file, name, place, first, profile)
        is_last_alike = number + 1 == len(points) or points[number + 1][0] < score
        if is_last_alike and total > best:
            best, threshold = total, score
    found = {name: [place for place, one in enumerate(scores[name]) if one >= threshold] for name in files}
    return threshold, result(files, found, profile)


def _more(file: File, name: str, place: int, first: dict[tuple[str, tuple[int, int]], int], profile: Profile) -> float:
    """What one detection more adds to the score; `first` has each window's first detection."""
    window = next((own for own in file.windows if own[0] <= place <= own[1]), None)
    if window is None:
        return -_wrong(file, place, profile)
    known = first.get((name, window))
    if known is not None and known <= place:
        return 0.0
    first[name, window] = place
    return _right(place, window) + (profile.missed if known is None else -_right(known, window))


def windowed_gaussian(values: Sequence[float], window: int = 6400, step: int = 100) -> list[float]:
    """The benchmark's own simple detector: how far a value lies in the tail of the window's normal distribution."""
    scores: list[float] = []
    past: list[float] = []
    ahead: list[float] = []
    mean, squares = 0.0, 0.0  # kept up as the window fills (Welford, 1962), worked out anew when it moves
    for value in values:
        deviation = max(math.sqrt(squares / len(past)), 0.000001) if past else 1.0
        scores.append(1 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2)) if past else 0.0)
        if len(past) < window:
            past.append(value)
            before = mean
            mean += (value - mean) / len(past)
            squares += (value - before) * (value - mean)
            continue
        ahead.append(value)
        if len(ahead) == step:
            past, ahead = past[step:] + ahead, []
            mean = math.fsum(past) / len(past)
            squares = math.fsum((one - mean) ** 2 for one in past)
    return scores
