"""The rule that every piece of advice must pass, and the interval of its saving.

A saving is a statistic of sums that are known for each day. Days are drawn with replacement (Efron, Bootstrap Methods:
Another Look at the Jackknife, 1979), because the queries of one day resemble each other. Advice needs at least 30
queries over 3 days, a saving whose lower end is above 0, and 1 % of all time or cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from instrument.analysis.advice.records import Records
from instrument.analysis.filters import Filter

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats, Whole

LEAST_QUERIES, LEAST_DAYS, LEAST_SHARE = 30, 3, 0.01
EXAMPLES = 3
_DRAWS = 2000
_SEED = 20_261_125

Unit = Literal["seconds", "usd"]


class Draft(NamedTuple):
    """Advice before it is put into words for a reader: a saving that has passed the rule, and what stands behind it.

    `queries` are places of the queries concerned, those with the greatest saving first. `where` are filters that show
    them, `since` from when on (s since 1970) where that is later than the period's beginning.
    """

    kind: str
    title: str
    unit: Unit
    saving: float
    low: float
    high: float
    share: float
    queries: Whole
    days: int
    evidence: str
    where: tuple[str, ...]
    since: float | None = None


class Saving(NamedTuple):
    """A saving a week with its interval of 90 %, and the share of all time or cost that it is."""

    mean: float
    low: float
    high: float
    share: float


def of_gains(records: Records, query: Whole, gain: Floats, unit: Unit = "seconds") -> tuple[Saving, Whole] | None:
    """The saving that gains add up to, and the queries concerned; None where the rule is not passed.

    `gain` has the part of the saving of each query in `query`, which may stand there several times; it may be negative.
    """
    import numpy as np

    together = np.bincount(query, weights=gain, minlength=len(records.queries.ids))
    concerned = np.flatnonzero(together > 0)
    by_day = np.bincount(records.day, weights=together * records.queries.weight, minlength=records.days)
    found = of_days(records, by_day[:, None], lambda sums: sums[:, 0], concerned, unit)
    return None if found is None else (found, concerned[np.argsort(-together[concerned], kind="stable")])


def of_days(
    records: Records, by_day: Floats, statistic: Callable[[Floats], Floats], concerned: Whole, unit: Unit = "seconds"
) -> Saving | None:
    """The saving that a statistic of daily sums is; None where the rule is not passed.

    `by_day` has a row a day and a column for each sum; the statistic gets rows of sums over the days that were drawn.
    """
    import numpy as np

    if len(concerned) < LEAST_QUERIES or len(np.unique(records.day[concerned])) < LEAST_DAYS:
        return None
    days = len(by_day)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    times = generator.multinomial(days, np.full(days, 1 / days), size=_DRAWS).astype(float)
    whole = float(statistic(by_day.sum(axis=0)[None, :])[0])
    drawn = statistic(times @ by_day)
    known = drawn[np.isfinite(drawn)]
    low, high = (float(end) for end in np.quantile(known, [0.05, 0.95])) if len(known) else (0.0, 0.0)
    total = records.seconds if unit == "seconds" else records.usd
    share = whole / total if total > 0 else 0.0
    if not (low > 0 and share >= LEAST_SHARE):
        return None
    return Saving(whole * records.per_week, low * records.per_week, high * records.per_week, min(share, 1.0))


def draft(
    records: Records,
    kind: str,
    title: str,
    found: tuple[Saving, Whole],
    evidence: str,
    where: tuple[str, ...],
    unit: Unit = "seconds",
) -> Draft:
    """The draft of a saving that has passed the rule."""
    import numpy as np

    saving, queries = found
    days = len(np.unique(records.day[queries]))
    return Draft(kind, title, unit, *saving, queries, days, evidence, where)


_FILTERS = {"graphql": "operation", "model": "model"}


def called(kind: str, name: str) -> str:
    """The filter that shows the queries that made a call."""
    return str(Filter(_FILTERS.get(kind, "tool"), "=", name))


def of_agent(agent: str) -> str:
    """The filter that shows an agent's queries."""
    return str(Filter("agent", "=", agent))
