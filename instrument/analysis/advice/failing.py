"""Work that comes to nothing: retries, failing tools, timeouts and loops, kinds 7, 8, 9 and 14."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from instrument.analysis.advice.evidence import Draft, called, draft, of_agent, of_gains
from instrument.analysis.advice.records import Calls, Records
from instrument.analysis.standing_out import lower_bound
from instrument.analysis.wording import count, duration, percent

if TYPE_CHECKING:
    from instrument.analysis.advice.records import Floats, Whole

DEVIATIONS = 1.645
"""The lower end of an interval of 90 %."""

LEAST_FAILING = 0.05
"""The share of calls that fail, below which a tool is not advised on."""

LEAST_CALLS = 200
"""Calls that a timeout is worked out from, at least."""

MOST_LATE = 0.05
"""The share of successes among the calls that a timeout would end, above which it is too short."""

LEAST_LOOPING = 20
"""Queries that loop, below which an agent is not advised on."""

_LEAST_RETRIES = 10
_AT_LEAST_SLOWER = 1.5
"""A timeout is advised from so many times the usual duration on."""

_LOOPING = 2
"""A query loops that makes so many times the calls of nearly all successful ones."""


def retries(records: Records) -> Iterator[Draft]:
    """Kind 7: calls that failed and were tried again in the same query, with the wait between."""
    import numpy as np

    of = records.calls
    for place, (kind, name) in enumerate(records.names):
        mine = of.where(of.name == place)
        followed = (np.diff(mine.query) == 0) & (np.diff(mine.start) > 0)
        again = np.flatnonzero(followed & mine.failed[:-1])
        if len(again) < _LEAST_RETRIES:
            continue
        lost = mine.start[again + 1] - mine.start[again]
        found = of_gains(records, mine.query[again], lost)
        if found is not None:
            saved = float(np.mean(~mine.failed[again + 1]))
            evidence = (
                f"{count(len(again))} calls failed and were made again; each cost {duration(1e3 * float(lost.mean()))} "
                f"with the wait. {percent(saved)} of the next tries succeeded."
            )
            title = f"Make {name} fail less, or give up sooner"
            yield draft(records, "retries", title, found, evidence, (called(kind, name), "call_error!="))


def failing_tools(records: Records) -> Iterator[Draft]:
    """Kind 8: a tool or operation that fails often: its failed calls' time, and all of the query that then fails."""
    import numpy as np

    of, queries = records.calls, records.queries
    failed_query = ~queries.success & ~queries.cancelled
    for place, (kind, name) in enumerate(records.names):
        mine = of.where(of.name == place)
        if kind == "model" or not mine.failed.any():
            continue
        failed, total = int(mine.failed.sum()), len(mine.query)
        if lower_bound(failed, total, DEVIATIONS) <= LEAST_FAILING:
            continue
        bad = mine.where(mine.failed)
        lost: Floats = np.bincount(bad.query, weights=bad.duration, minlength=len(queries.ids))
        usual = _failing_without(failed_query, mine, len(queries.ids))
        concerned = np.unique(bad.query)
        ruined = concerned[failed_query[concerned]]
        lost[ruined] += np.maximum(queries.duration[ruined] - lost[ruined], 0) * (1 - usual)
        found = of_gains(records, concerned, lost[concerned])
        if found is not None:
            evidence = (
                f"{count(failed)} of {count(total)} calls fail ({percent(failed / total)}); "
                f"{count(len(ruined))} of the {count(len(concerned))} queries with a failed call fail as well."
            )
            title = f"Repair {name}"
            yield draft(records, "failing_tool", title, found, evidence, (called(kind, name), "call_error!="))


def _failing_without(failed_query: Floats, mine: Calls, queries: int) -> float:
    """The share of queries that fail although no call to the tool failed."""
    import numpy as np

    seen, bad = np.zeros(queries, dtype=bool), np.zeros(queries, dtype=bool)
    seen[mine.query] = True
    bad[mine.query[mine.failed]] = True
    return float(failed_query[seen & ~bad].mean()) if (seen & ~bad).any() else 0.0


def timeouts(records: Records) -> Iterator[Draft]:
    """Kind 9: calls that last long and fail in the end, where hardly any that lasts so long succeeds."""
    import numpy as np

    of = records.calls
    for place, (kind, name) in enumerate(records.names):
        mine = of.where(of.name == place)
        if len(mine.query) < LEAST_CALLS or not mine.failed.any():
            continue
        limit = _limit(mine)
        if limit is None:
            continue
        beyond = mine.duration > limit
        late = beyond & ~mine.failed
        gain = np.where(beyond & mine.failed, mine.duration - limit, np.where(late, -mine.duration, 0.0))
        found = of_gains(records, mine.query[beyond], gain[beyond])
        if found is not None:
            evidence = (
                f"Of {count(len(beyond))} calls {count(int(beyond.sum()))} take longer than {duration(limit * 1e3)}; "
                + (
                    f"{count(int(late.sum()))} of these succeed; they are counted as lost."
                    if late.any()
                    else "none succeeds."
                )
            )
            title = f"End {name} after {duration(limit * 1e3)}"
            yield draft(records, "timeout", title, found, evidence, (called(kind, name), "call_error!="))


def _limit(mine: Calls) -> float | None:
    """The shortest timeout that hardly any call outlasts and still succeeds; None where there is none."""
    import numpy as np

    good = mine.duration[~mine.failed]
    if not len(good):
        return None
    usual = float(np.median(good))
    for share in (0.95, 0.98, 0.99, 0.995, 1.0):
        limit = max(float(np.quantile(good, share)) * 1.05, _AT_LEAST_SLOWER * usual)
        beyond = mine.duration > limit
        if beyond.any() and float(np.mean(~mine.failed[beyond])) < MOST_LATE:
            return limit
    return None


def loops(records: Records) -> Iterator[Draft]:
    """Kind 14: queries that make many more calls than nearly all successful ones of their agent."""
    import numpy as np

    of, queries = records.calls, records.queries
    if not len(of.query):
        return
    made = np.bincount(of.query, minlength=len(queries.ids))
    first = np.cumsum(made) - made
    rank = np.arange(len(of.query)) - first[of.query]
    for agent in np.unique(queries.agent.astype(str)):
        mine = queries.agent == agent
        good = made[mine & queries.success]
        if not len(good):
            continue
        most = float(np.quantile(good, 0.95))
        looping = mine & (made > max(_LOOPING * most, most + 2))
        if looping.sum() < LEAST_LOOPING:
            continue
        beyond = looping[of.query] & (rank >= most)
        found = of_gains(records, of.query[beyond], (of.duration * records.alone)[beyond])
        if found is not None:
            what = _most_called(records, of.name[beyond])
            evidence = (
                f"95 % of the successful queries of {agent} make at most {most:.0f} calls; {count(int(looping.sum()))} "
                f"queries make {made[looping].mean():.0f} on average, most often {what}, and "
                f"{percent(float(queries.success[looping].mean()))} of them succeed."
            )
            where = (of_agent(agent), f"calls>{max(_LOOPING * most, most + 2):.0f}")
            yield draft(records, "loop", f"Limit the steps of {agent}", found, evidence, where)


def _most_called(records: Records, names: Whole) -> str:
    import numpy as np

    return records.names[int(np.argmax(np.bincount(names)))][1]
