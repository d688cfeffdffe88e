"""A simulator of agents' traffic with incidents, to hold detectors against what is known to have happened.

Intervals of 15 minutes over weeks, with a daily and a weekly rhythm. Under stress, load and latency are autocorrelated
and errors come in clusters, as they do in real systems.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

STEP = 900
A_DAY, A_WEEK = 96, 672

KINDS = ("error burst", "latency shift", "traffic drop", "surge", "slow drift", "retry storm", "deploy")


class Incident(NamedTuple):
    """What went wrong from interval `first` up to but without `last`."""

    kind: str
    first: int
    last: int


class Traffic(NamedTuple):
    """What happened: counts and failures an interval, durations in seconds an interval, and the incidents."""

    counts: Any
    failed: Any
    durations: list[Any]
    incidents: list[Incident]


def simulate(
    rate: float, weeks: int, *, seed: int, stress: bool = True, learned: int = 3, incidents: int = 7
) -> Traffic:
    """Traffic of `rate` queries an hour on average; incidents only after `learned` weeks, at least half a day apart."""
    chance = np.random.default_rng(seed)
    n = weeks * A_WEEK
    load = rate * STEP / 3600 * _rhythm(n) * np.exp(_noise(chance, n, 0.2, 0.95) if stress else np.zeros(n))
    slower = np.exp(_noise(chance, n, 0.12, 0.9) if stress else np.zeros(n))
    rates = np.full(n, 0.02)
    if stress:
        rates = np.clip(0.02 * np.exp(_noise(chance, n, 0.5, 0.8)), 0, 0.5)
    happened = _placed(chance, learned * A_WEEK, n, incidents)
    for one in happened:
        _apply(one, load, slower, rates)
    counts = chance.poisson(load)
    failed = chance.binomial(counts, np.clip(rates, 0, 1))
    durations = [4.0 * slow * np.exp(chance.normal(0, 0.8, count)) for slow, count in zip(slower, counts, strict=True)]
    return Traffic(counts, failed, durations, happened)


def _rhythm(n: int) -> Any:
    hours = np.arange(n) * STEP / 3600
    day = 1 + 0.7 * np.sin((hours % 24 - 9) / 24 * 2 * math.pi)
    weekend = np.where(hours // 24 % 7 >= 5, 0.5, 1.0)
    found = day * weekend
    return found / found.mean()


def _noise(chance: Any, n: int, deviation: float, memory: float) -> Any:
    """Autocorrelated noise with this deviation."""
    steps = chance.normal(0, deviation * math.sqrt(1 - memory**2), n)
    found = np.zeros(n)
    value = 0.0
    for place in range(n):
        value = memory * value + steps[place]
        found[place] = value
    return found


def _placed(chance: Any, begin: int, end: int, count: int) -> list[Incident]:
    kinds = [KINDS[int(place)] for place in chance.permutation(np.arange(count) % len(KINDS))]
    room = (end - begin) // max(count, 1)
    found = []
    for number, kind in enumerate(kinds):
        length = int(chance.integers(8, 25)) if kind != "slow drift" else 96
        first = begin + number * room + int(chance.integers(24, max(25, room - length - 24)))
        found.append(Incident(kind, first, first + length))
    return found


def _apply(one: Incident, load: Any, slower: Any, rates: Any) -> None:
    during = slice(one.first, one.last)
    if one.kind == "error burst":
        rates[during] = 0.25
    elif one.kind == "latency shift":
        slower[during] *= 2.5
    elif one.kind == "traffic drop":
        load[during] *= 0.1
    elif one.kind == "surge":
        load[during] *= 3.5
    elif one.kind == "slow drift":
        slower[during] *= np.linspace(1, 3, one.last - one.first)
    elif one.kind == "retry storm":
        load[during] *= 2.0
        rates[during] = 0.2
    else:  # a deploy that is slower and fails more
        slower[during] *= 1.8
        rates[during] = 0.1
