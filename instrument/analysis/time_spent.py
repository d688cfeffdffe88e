"""Where one query's time went: in which calls, outside any, and on the path that decided when it ended."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from instrument.records import CallRecord, QueryRecord

_TOUCHING = 1e-6
"""How far apart, in ms, two times may be that are one."""


class TimeSpent(Struct, frozen=True):
    """One query's time.

    `outside` are the stretches in no call, as (from, to) in ms since its start; `own_ms` the time of each call without
    that in calls inside it; `by_name` that time added up by (kind, name), the most first; `critical` the places of the
    calls on the critical path: walking back from the end, the call that ended last before the place reached.
    """

    outside: list[tuple[float, float]]
    own_ms: list[float]
    by_name: list[tuple[str, str, float]]
    critical: frozenset[int]

    @property
    def outside_ms(self) -> float:
        """How long the query was in no call."""
        return sum(end - begin for begin, end in self.outside)


def time_spent(query: QueryRecord) -> TimeSpent:
    """Work out where the time of a query went."""
    calls = query.calls
    inside: dict[int | None, list[int]] = {}
    for place, call in enumerate(calls):
        inside.setdefault(_around(call, place), []).append(place)
    own = [
        _length(call, query)
        - sum(e - b for b, e in _joined(calls, inside.get(place, []), query, _stretch(call, query)))
        for place, call in enumerate(calls)
    ]
    names: dict[tuple[str, str], float] = {}
    for call, milliseconds in zip(calls, own, strict=True):
        names[call.kind, call.name] = names.get((call.kind, call.name), 0.0) + milliseconds
    by_name = sorted(((kind, name, spent) for (kind, name), spent in names.items()), key=lambda one: -one[2])
    busy = _joined(calls, inside.get(None, []), query, (0.0, query.duration_ms))
    return TimeSpent(_gaps(busy, query.duration_ms), own, by_name, frozenset(_critical(query, inside)))


class NameSpent(Struct, frozen=True):
    """Time of several queries in calls of one name, without that in calls inside them; `kind` is "" outside any call.

    `share` is that of the time of all names together, `queries` how many of the queries have some of it.
    """

    kind: str
    name: str
    milliseconds: float
    share: float
    queries: int


def spent_together(queries: Iterable[QueryRecord]) -> list[NameSpent]:
    """Add up where the time of several queries went, the most first."""
    spent: dict[tuple[str, str], list[float]] = {}
    for query in queries:
        one = time_spent(query)
        for kind, name, milliseconds in [*one.by_name, ("", "", one.outside_ms)]:
            if milliseconds > 0:
                spent.setdefault((kind, name), []).append(milliseconds)
    everything = sum(sum(each) for each in spent.values()) or 1.0
    found = [
        NameSpent(kind, name, sum(each), sum(each) / everything, len(each)) for (kind, name), each in spent.items()
    ]
    return sorted(found, key=lambda one: (-one.milliseconds, one.kind, one.name))


def _around(call: CallRecord, place: int) -> int | None:
    return call.parent if call.parent is not None and 0 <= call.parent < place else None


def _stretch(call: CallRecord, query: QueryRecord) -> tuple[float, float]:
    """From when to when a call ran; one that never ended, to the end of its query."""
    if call.duration_ms is None:
        return call.start_ms, max(query.duration_ms, call.start_ms)
    return call.start_ms, call.start_ms + call.duration_ms


def _length(call: CallRecord, query: QueryRecord) -> float:
    begin, end = _stretch(call, query)
    return end - begin


def _joined(
    calls: list[CallRecord], places: Iterable[int], query: QueryRecord, within: tuple[float, float]
) -> list[tuple[float, float]]:
    """The stretches covered by calls, cut to what is around them, overlapping ones as one."""
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(_stretch(calls[place], query) for place in places):
        begin, end = max(begin, within[0]), min(end, within[1])
        if end <= begin:
            continue
        if joined and begin <= joined[-1][1] + _TOUCHING:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


def _gaps(busy: list[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    gaps, reached = [], 0.0
    for begin, end in busy:
        if begin > reached + _TOUCHING:
            gaps.append((reached, begin))
        reached = max(reached, end)
    return [*gaps, (reached, length)] if length > reached + _TOUCHING else gaps


def _critical(query: QueryRecord, inside: dict[int | None, list[int]]) -> list[int]:
    path: list[int] = []
    waiting: list[tuple[int | None, float]] = [(None, query.duration_ms)]
    while waiting:
        around, until = waiting.pop()
        by_end = sorted(inside.get(around, []), key=lambda place: _stretch(query.calls[place], query)[1])
        while by_end:
            place = by_end.pop()
            begin, end = _stretch(query.calls[place], query)
            if end <= until + _TOUCHING:
                path.append(place)
                waiting.append((place, end))
                until = begin
    return path
