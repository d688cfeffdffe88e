"""Work that may wait and comes when everybody is working: kind 13."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from instrument.analysis import capacity
from instrument.analysis.advice.evidence import Draft, draft, of_gains
from instrument.analysis.advice.records import Records
from instrument.analysis.filters import Filter
from instrument.analysis.wording import count, percent, several

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats

MAY_WAIT = ("priority", "batch", "background", "deferrable")
"""Attributes that say of a query that nobody waits for it."""

LEAST_WAITING, MOST_WAITING = 0.01, 0.9
"""The share of queries that may wait, for moving them to be worth anything and possible."""

_LOW = {"low", "batch", "background", "true", "yes", "1"}
_DAY = 86400.0
_SLOWER = 1.25
"""How much longer than alone 95 % of the queries may take with the workers that an even flow needs."""


def peaks(records: Records) -> Iterator[Draft]:
    """Kind 13: the wait that other queries have because work that may wait is not spread over the day.

    The recorded work is replayed through as many workers as would do if that work came evenly, once as it came and once
    spread over its day.
    """
    import numpy as np

    of = records.queries
    if (of.weight != 1).any():
        return  # a sample cannot be replayed
    marks = {place: f"{name}={value}" for place, name, value in records.attributes(MAY_WAIT) if value.lower() in _LOW}
    may_wait = np.zeros(len(of.ids), dtype=bool)
    may_wait[list(marks)] = True
    may_wait &= of.outermost
    mine = np.flatnonzero(of.outermost)
    if not len(mine) or not LEAST_WAITING <= may_wait[mine].mean() <= MOST_WAITING:
        return
    spread = _spread(records, may_wait)
    target = _SLOWER * float(np.quantile(of.duration[mine], 0.95))
    lasts = of.duration[mine].tolist()
    workers = capacity.workers_needed(spread[mine].tolist(), lasts, target)
    if workers is None:
        return
    now, then = (np.array(capacity.waits(came[mine].tolist(), lasts, workers)) for came in (of.start, spread))
    gain = np.where(may_wait[mine], 0.0, now - then)
    found = of_gains(records, mine, gain)
    if found is not None:
        longer = int((gain > 0).sum())
        evidence = (
            f"{percent(float(may_wait[mine].mean()))} of the queries may wait. "
            f"With {several(workers, 'worker')}, which would do if they came evenly, {count(longer)} others wait "
            "longer because they come in peaks."
        )
        most = max(set(marks.values()), key=list(marks.values()).count)
        name, _, value = most.partition("=")
        where = (str(Filter(f"attribute:{name}", "=", value)),)
        title = "Spread work that may wait over the day"
        chosen = (found[0], np.flatnonzero(may_wait))
        yield draft(records, "peaks", title, chosen, evidence, where)


def _spread(records: Records, may_wait: Floats) -> Floats:
    """When queries come if those that may wait are spread evenly over their day."""
    import numpy as np

    start = records.queries.start.copy()
    for day in np.unique(records.day[may_wait]):
        chosen = np.flatnonzero(may_wait & (records.day == day))
        begin = np.floor(start[chosen[0]] / _DAY) * _DAY
        start[chosen] = begin + (np.arange(len(chosen)) + 0.5) * _DAY / len(chosen)
    return start
