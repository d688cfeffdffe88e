"""The Turing change point set: F1 with a margin of five points, over several annotators.

van den Burg and Williams, An evaluation of change point detection algorithms (2020), section 4: precision over the
union of the annotators' change points, recall the mean over annotators; the series' beginning counts as a change for
all, so that finding none where there is none is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean

Detector = Callable[[Sequence[float]], Sequence[int]]


def true_positives(truth: Collection[int], found: Collection[int], margin: int = 5) -> set[int]:
    """Those of `truth` that a point found lies within the margin of; each point found serves once."""
    left, hit = set(found), set()
    for point in sorted(truth):
        near = sorted((abs(point - one), one) for one in left if abs(point - one) <= margin)
        if near:
            left.remove(near[0][1])
            hit.add(point)
    return hit


def f1(annotations: Sequence[Collection[int]], found: Collection[int]) -> float:
    """The F1 of the points found against what several annotators marked."""
    marked = [{0, *points} for points in annotations]
    own = {0, *found}
    precision = len(true_positives(set().union(*marked), own)) / len(own)
    recall = fmean(len(true_positives(points, own)) / len(points) for points in marked)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def load(folder: Path) -> dict[str, tuple[list[float], list[list[int]]]]:
    """Each univariate series of a copy of the set: its values (NaN where missing) and the annotators' points."""
    annotations = json.loads((folder / "annotations.json").read_text())
    series = {}
    for path in sorted((folder / "datasets").glob("*/*.json")):
        given = json.loads(path.read_text())
        if given["n_dim"] == 1 and given["name"] in annotations:
            raw = given["series"][0]["raw"]
            values = [float("nan") if value is None else float(value) for value in raw]
            series[given["name"]] = (values, list(annotations[given["name"]].values()))
    return series


def scores(series: dict[str, tuple[list[float], list[list[int]]]], detect: Detector) -> dict[str, float]:
    """The F1 of a detector on each series."""
    return {name: f1(marked, detect(values)) for name, (values, marked) in series.items()}
