"""What takes longer than it has to: slow operations, long inputs and what became slower, kinds 10, 11 and 15."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.advice.evidence import LEAST_QUERIES, Draft, Unit, called, draft, of_agent, of_days, of_gains
from instrument.analysis.advice.records import Records
from instrument.analysis.wording import clock, count, dollars, duration, percent, short

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats, Truths

LEAST_CALLS = 100
"""Calls of an operation that a tail is seen in, at least."""

TAIL = 4.0
"""An operation is slow whose p95 is so many times its median; a call is that lasts so many times the median."""

LEAST_INPUTS = 200
"""Queries with tokens of an agent that a slope is worked out from, at least."""

LONG = 2.0
"""An input is long from so many times the agent's median on."""

LEAST_CORRELATION = 0.2
"""How closely duration or cost must follow tokens."""

LEAST_RATIO, LEAST_PROBABILITY = 1.15, 0.9
"""How much slower, and how surely, an agent must have become."""

VERSIONS = ("version", "app_version", "service.version", "release", "deployment", "commit")
"""Attributes that say which version of an application answered."""

_KNOWN = 0.9
_HOUR, _DAY = 3600.0, 86400.0
_LEAST_HOURS = 48


def slow_operations(records: Records) -> Iterator[Draft]:
    """Kind 10: a tool or operation most of whose calls are quick and some very slow, while nothing else runs.

    A model is left out: how long it takes depends on what it is asked.
    """
    import numpy as np

    of, alone = records.calls, records.alone
    for place, (kind, name) in enumerate(records.names):
        chosen = (of.name == place) & ~of.failed
        mine = of.where(chosen)
        if kind == "model" or len(mine.query) < LEAST_CALLS:
            continue
        usual, p95 = (float(value) for value in np.quantile(mine.duration, [0.5, 0.95]))
        if p95 < TAIL * usual or usual <= 0:
            continue
        slow = mine.duration > TAIL * usual
        gain = (mine.duration[slow] - usual) * alone[chosen][slow]
        found = of_gains(records, mine.query[slow], gain)
        if found is not None:
            evidence = (
                f"Half of {count(len(slow))} calls take at most {duration(1e3 * usual)}, but "
                f"{count(int(slow.sum()))} take more than {TAIL:.0f} times as long (p95: {duration(1e3 * p95)})."
            )
            title = f"Find out why {name} is slow at times"
            yield draft(records, "slow_operation", title, found, evidence, (called(kind, name),))


def long_inputs(records: Records) -> Iterator[Draft]:
    """Kind 11: an agent whose queries cost or take more with each token, and some of which have far more tokens."""
    import numpy as np

    of = records.queries
    for agent in np.unique(of.agent.astype(str)):
        mine = (of.agent == agent) & np.isfinite(of.tokens)
        if mine.sum() < LEAST_INPUTS:
            continue
        usual = float(np.median(of.tokens[mine]))
        has_cost = np.isfinite(of.cost[mine]).mean() >= _KNOWN and np.nansum(of.cost[mine]) > 0
        unit: Unit = "usd" if has_cost else "seconds"
        paid = of.cost if has_cost else of.duration
        mine &= np.isfinite(paid)
        excess = np.where(mine, np.maximum(of.tokens - LONG * usual, 0.0), 0.0)
        y = np.minimum(paid, np.quantile(paid[mine], 0.99))
        if not (excess > 0).any() or np.std(y[mine]) == 0 or np.std(of.tokens[mine]) == 0:
            continue
        if np.corrcoef(of.tokens[mine], y[mine])[0, 1] < LEAST_CORRELATION:
            continue
        x = of.tokens
        columns = [mine * 1.0, *(np.where(mine, each, 0.0) for each in (x, y, x * x, x * y)), excess]
        by_day = np.stack([_daily(records, column) for column in columns], axis=1)
        concerned = np.flatnonzero(excess > 0)
        saving = of_days(records, by_day, _slope_times_excess, concerned, unit)
        if saving is not None:
            slope = float(_slope(by_day.sum(axis=0)[None, :])[0])
            a_thousand = dollars(1e3 * slope) if has_cost else duration(1e6 * slope)
            evidence = (
                f"Each 1,000 tokens of input come with {a_thousand} more; {count(len(concerned))} of "
                f"{count(int(mine.sum()))} queries have more than {LONG:.0f} times the usual {short(usual)} tokens."
            )
            found = (saving, concerned[np.argsort(-excess[concerned])])
            where = (of_agent(agent), f"input_tokens>{LONG * usual:.0f}")
            yield draft(records, "long_input", f"Shorten the longest inputs of {agent}", found, evidence, where, unit)


def _daily(records: Records, values: Floats) -> Floats:
    import numpy as np

    return np.bincount(records.day, weights=values * records.queries.weight, minlength=records.days)


def _slope(sums: Floats) -> Floats:
    """The slope of least squares from sums of 1, x, y, x², xy."""
    import numpy as np

    n, x, y, xx, xy = (sums[:, place] for place in range(5))
    spread = n * xx - x * x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, (n * xy - x * y) / spread, np.nan)


def _slope_times_excess(sums: Floats) -> Floats:
    return _slope(sums) * sums[:, 5]


class _Slower(NamedTuple):
    """When an agent became slower, in s since 1970, since when it was as before, and how sure that is."""

    since: float
    at: float
    probability: float


def slower_since(records: Records) -> Iterator[Draft]:
    """Kind 15: an agent whose usual duration rose at one time, and has stayed there."""
    import numpy as np

    of = records.queries
    versions = records.attributes(VERSIONS)
    for agent in np.unique(of.agent.astype(str)):
        mine = (of.agent == agent) & of.outermost
        slower = _slower(of.start[mine], of.duration[mine])
        if slower is None:
            continue
        before = mine & (of.start >= slower.since) & (of.start < slower.at)
        after = mine & (of.start >= slower.at)
        if min(before.sum(), after.sum()) < LEAST_QUERIES or slower.at - slower.since < _DAY:
            continue
        medians = [float(np.median(of.duration[side])) for side in (before, after)]
        if medians[1] < LEAST_RATIO * medians[0]:
            continue
        by_day = np.concatenate([_medians(records, side) for side in (before, after)], axis=1)
        # The saving is one a week from the change on.
        scale = float(np.ptp(of.start)) / max(_DAY, float(of.start.max()) - slower.at)
        concerned = np.flatnonzero(after & (of.duration > medians[0]))
        saving = of_days(records, by_day * [1, 1, scale, scale], _difference, concerned)
        if saving is None:
            continue
        version = _version(records, versions, slower.at, mine)
        when = f"{clock(datetime.fromtimestamp(slower.at, UTC))} UTC"
        evidence = (
            f"The median rose from {duration(1e3 * medians[0])} to {duration(1e3 * medians[1])} at {when} "
            f"(probability {percent(slower.probability)}), over {count(int(after.sum()))} queries since"
            + (f"; {version} came then." if version else ".")
        )
        order = concerned[np.argsort(-of.duration[concerned])]
        where = (of_agent(agent), *((f"attribute:{version}",) if version else ()))
        found = draft(records, "slower_since", f"Look at what changed for {agent}", (saving, order), evidence, where)
        yield found._replace(since=slower.at)


def _slower(start: Floats, took: Floats) -> _Slower | None:
    """The last rise of the hourly median, if no fall came after it."""
    import numpy as np

    from instrument.analysis.changes import changes
    from instrument.analysis.seasonless import without_season

    if len(start) < LEAST_INPUTS:
        return None
    first = np.floor(start.min() / _HOUR)
    hour = (np.floor(start / _HOUR) - first).astype(int)
    hours = int(hour.max()) + 1
    if hours < _LEAST_HOURS:
        return None
    order = np.lexsort((took, hour))
    ends = np.cumsum(np.bincount(hour, minlength=hours))
    sizes = np.diff(ends, prepend=0)
    middle = np.minimum(ends - sizes + sizes // 2, len(took) - 1)
    medians = np.where(sizes >= max(1.0, 0.25 * np.median(sizes)), took[order][middle], np.nan)
    logs = np.log(np.where(medians > 0, medians, np.nan))
    found = changes(
        without_season(logs, 24, int(first) % 24).tolist(), probability=LEAST_PROBABILITY, autocorrelated=True
    )
    if not found or found[-1].after - found[-1].before < np.log(LEAST_RATIO):
        return None
    since = found[-2].index if len(found) > 1 else 0
    return _Slower((first + since) * _HOUR, (first + found[-1].index) * _HOUR, found[-1].probability)


def _medians(records: Records, side: Truths) -> Floats:
    """For each day how many queries there are on one side, and that number times their median."""
    import numpy as np

    of, found = records.queries, np.zeros((records.days, 2))
    for day in np.unique(records.day[side]):
        chosen = side & (records.day == day)
        weight = float(of.weight[chosen].sum())
        found[day] = weight, weight * float(np.median(of.duration[chosen]))
    return found


def _difference(sums: Floats) -> Floats:
    import numpy as np

    before, total_before, after, total_after = (sums[:, place] for place in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        return total_after - after * (total_before / before)


def _version(records: Records, known: list[tuple[int, str, str]], at: float, mine: Truths) -> str:
    """The version that an agent's queries first had within a day of a change, as `name=value`; else ""."""
    first: dict[str, float] = {}
    for place, name, value in known:
        if mine[place]:
            first.setdefault(f"{name}={value}", float(records.queries.start[place]))
    new = [text for text, began in first.items() if abs(began - at) <= _DAY / 2 and began > records.queries.start[0]]
    return min(new, key=lambda text: abs(first[text] - at)) if new else ""
