"""prometheus_client timing the six functions."""

from __future__ import annotations

import functools
from inspect import iscoroutinefunction
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from benchmarks.peers.contender import Contender
from benchmarks.subject import Kit


def start(folder: str) -> Contender:
    """A histogram, a label each for what is timed."""
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Time spent", ["function"], registry=registry)

    def timed(function: Any) -> Any:
        own = seconds.labels(function.__qualname__)
        if not iscoroutinefunction(function):
            return own.time()(function)

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with own.time():
                return await function(*args, **kwargs)

        return wrapper

    def kept() -> int:
        samples = [sample for metric in registry.collect() for sample in metric.samples]
        return int(sum(sample.value for sample in samples if sample.name == "seconds_count"))

    return Contender(
        kit=Kit(timed, timed, timed),
        flush=lambda: None,
        kept=kept,
        a_query=6,
        keeps="a histogram of durations per function, in memory; no record of any one query, no errors, no nesting",
        distribution="prometheus_client",
    )
