"""Calls that could be made at once, once, or together: kinds 1 to 4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from instrument.analysis.advice.evidence import Draft, called, draft, of_gains
from instrument.analysis.advice.records import Calls, Records
from instrument.analysis.wording import count, duration, percent

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats, Whole

LEAST_REPEATS = 0.05
"""The share of an operation's queries that repeat it, below which nothing is said."""

LEAST_HITS = 0.2
"""The share of calls that a cache would answer, below which none is advised."""

LIFETIMES = (60.0, 300.0, 900.0, 3600.0)
"""How long a cache may keep an answer, in s; the shortest that brings `_ENOUGH` of what the longest does is advised."""

_ENOUGH = 0.8
_LOOK_UP = 0.001
_LEAST_BATCH = 3


def parallel_calls(records: Records) -> Iterator[Draft]:
    """Kind 1: calls that one answer of a model asked for, and that were made one after the other.

    Where the model answered once, it knew no result of the calls when it asked for them. In a run of such calls all but
    the longest could be saved.
    """
    import numpy as np

    of, block = records.calls, records.blocks
    if not len(of.query):
        return
    blocks = int(block[-1]) + 1
    first = np.flatnonzero(np.diff(block, prepend=-1))
    query, is_model = of.query[first], np.zeros(blocks, dtype=bool)
    np.logical_or.at(is_model, block, records.is_kind("model"))
    end = np.full(blocks, -np.inf)
    np.maximum.at(end, block, of.end)
    long = end - of.start[first]
    # A run is what follows a model's block, up to the next one or the end of the query.
    begins = is_model | np.diff(query, prepend=-1).astype(bool)
    run = np.cumsum(begins) - 1
    asked = np.zeros(int(run[-1]) + 1, dtype=bool)
    asked[run[begins]] = is_model[begins]
    asked[run[block[of.failed]]] = False  # what follows a failure may be another try
    counted = asked[run] & ~is_model
    total = np.bincount(run[counted], weights=long[counted], minlength=len(asked))
    longest = np.zeros(len(asked))
    np.maximum.at(longest, run[counted], long[counted])
    found = of_gains(records, query[begins], total - longest)
    if found is not None:
        inside = np.bincount(run[counted], minlength=len(asked))
        several = inside >= 2
        evidence = (
            f"In {count(len(found[1]))} queries a model's answer was followed by {inside[several].mean():.1f} calls on "
            f"average, one after the other, {duration(1e3 * float((total - longest)[several].mean()))} longer than the "
            "longest of them."
        )
        yield draft(records, "parallel_calls", "Make calls at the same time", found, evidence, ())


def _requests(records: Records) -> Iterator[tuple[str, Calls]]:
    """The calls of each operation that only reads and whose variables are known."""
    import numpy as np

    of = records.calls
    usable = of.hashed & ~of.failed
    for place, (kind, name) in enumerate(records.names):
        if kind == "graphql" and not name.startswith(("mutation", "subscription")):
            chosen = np.flatnonzero(usable & (of.name == place))
            if len(chosen):
                yield name, of.where(chosen)


def repeated_operations(records: Records) -> Iterator[Draft]:
    """Kind 2: an operation that a query makes again with the same variables."""
    import numpy as np

    for name, of in _requests(records):
        again = ~_firsts(of.query, of.variables)
        queries = len(np.unique(of.query))
        repeating = len(np.unique(of.query[again]))
        if repeating < LEAST_REPEATS * queries:
            continue
        found = of_gains(records, of.query[again], of.duration[again])
        if found is not None:
            evidence = (
                f"{count(repeating)} of {count(queries)} queries that make it make it again with the same variables, "
                f"{count(int(again.sum()))} times together, {duration(1e3 * float(of.duration[again].mean()))} each."
            )
            title = f"Keep the answer of {name} within a query"
            yield draft(records, "repeated_operation", title, found, evidence, (called("graphql", name),))


def _firsts(query: Whole, variables: Floats) -> Floats:
    """Which calls are the first of their query with their variables; calls come by start."""
    import numpy as np

    order = np.lexsort((variables, query))  # stable: equal ones stay by start
    first = np.ones(len(query), dtype=bool)
    same = (np.diff(query[order]) == 0) & (np.diff(variables[order]) == 0)
    first[order[1:][same]] = False
    return first


def requests_one_by_one(records: Records) -> Iterator[Draft]:
    """Kind 3: an operation that a query makes three times or more, each with other variables (N+1)."""
    import numpy as np

    for name, all_calls in _requests(records):
        of = all_calls.where(_firsts(all_calls.query, all_calls.variables))
        made = np.bincount(of.query)
        many = made[of.query] >= _LEAST_BATCH
        queries, concerned = int((made > 0).sum()), int((made >= _LEAST_BATCH).sum())
        if not many.any() or concerned < LEAST_REPEATS * queries:
            continue
        usual = float(np.median(of.duration))
        places = np.flatnonzero(made >= _LEAST_BATCH)
        at_once = _overlap(of.where(many), len(made))[places]
        found = of_gains(records, places, (made[places] - 1) * usual * at_once)
        if found is not None:
            evidence = (
                f"{count(concerned)} of {count(queries)} queries that make it make it {made[places].mean():.1f} times "
                f"with different variables, {duration(1e3 * usual)} each (median)."
            )
            title = f"Ask for many in one {name}"
            yield draft(records, "one_by_one", title, found, evidence, (called("graphql", name),))


def _overlap(of: Calls, queries: int) -> Floats:
    """For each query how much of its calls' time passes: 1 where they follow one another, less where they overlap."""
    import numpy as np

    worked = np.bincount(of.query, weights=of.duration, minlength=queries)
    first, last = np.full(queries, np.inf), np.full(queries, -np.inf)
    np.minimum.at(first, of.query, of.start)
    np.maximum.at(last, of.query, of.end)
    passed = np.where(np.isfinite(last), last - first, 0.0)
    return np.clip(passed / np.maximum(worked, 1e-9), 0.0, 1.0)


def cache(records: Records) -> Iterator[Draft]:
    """Kind 4: an operation whose answer another query had with the same variables a short while before."""
    import numpy as np

    for name, of in _requests(records):
        began = records.queries.start[of.query] + of.start
        order = np.lexsort((began, of.variables))
        ordered = of.where(order)
        kept = [_hits(ordered, began[order], lifetime) for lifetime in LIFETIMES]
        gains = [float(np.maximum(ordered.duration[hits] - _LOOK_UP, 0).sum()) for hits in kept]
        best = next(place for place, gain in enumerate(gains) if gain >= _ENOUGH * gains[-1])
        hits, lifetime = kept[best], LIFETIMES[best]
        if len(hits) < LEAST_HITS * len(order):
            continue
        found = of_gains(records, ordered.query[hits], ordered.duration[hits] - _LOOK_UP)
        if found is not None:
            evidence = (
                f"{percent(len(hits) / len(order))} of {count(len(order))} calls would be answered by a cache that "
                f"keeps answers for {duration(lifetime * 1e3)}; they take "
                f"{duration(1e3 * float(ordered.duration[hits].mean()))} each."
            )
            yield draft(records, "cache", f"Cache {name}", found, evidence, (called("graphql", name),))


def _hits(of: Calls, began: Floats, lifetime: float) -> Whole:
    """The places of the calls that a cache answers, filled by an earlier query; calls come by variables and time."""
    import numpy as np

    hits: list[int] = []
    variables, queries, times = of.variables.tolist(), of.query.tolist(), began.tolist()
    known, filled, by = None, 0.0, -1
    for place, (what, query, when) in enumerate(zip(variables, queries, times, strict=True)):
        if what != known or when - filled > lifetime:
            known, filled, by = what, when, query
        elif query != by:
            hits.append(place)
    return np.array(hits, dtype=np.int64)
