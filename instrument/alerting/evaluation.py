"""Rules against a store at given moments: whether each group of a rule is beyond its limit, and by how much.

Nothing here knows the clock, a state or a message. A window holds the queries that ended in it, so that the past is
worked out exactly as it was seen then; two windows that are compared have the same length and are both whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from instrument.alerting.rules import ANOMALIES, Rule, length
from instrument.analysis import incidents, stretches
from instrument.analysis.filters import picked
from instrument.analysis.periods import period as period_of
from instrument.analysis.series import figure
from instrument.analysis.trend_words import valued
from instrument.analysis.windows import Groups, Moments, Value, drops, first_start, over_windows, silences
from instrument.analysis.wording import several
from instrument.errors import UsageError
from instrument.store.tables import Tables

Verdict = Literal["beyond", "within", "too few", "no data"]

LONGEST_QUERY = 3600.0
"""A query that takes longer, in seconds, counts in none of the windows that it ends in."""

HISTORY_DAYS = 36
"""Days that the detector of anomalies learns from."""


class Reading(Struct, frozen=True):
    """What a rule shows of one group at one moment.

    `value` is in the figure's unit (for a change times the earlier figure, for a burn rate times what the objective
    allows, for a silent group seconds), `count` the queries or calls behind it, `detail` says both in words.
    """

    verdict: Verdict
    value: float | None = None
    count: float = 0.0
    detail: str = ""


Readings = dict[str | None, list[Reading]]
"""The readings at each moment, by group; None is the group of all."""

NOTHING = Reading("no data", detail="no data")


def needed_seconds(rule: Rule) -> float:
    """How far before a moment a store must be read for a rule."""
    reach = {
        "change": rule.against + rule.window,
        "silent": rule.seen,
        "anomaly": HISTORY_DAYS * 86400.0,
    }.get(rule.kind, rule.window)
    return reach + LONGEST_QUERY


def evaluate(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    """Work a rule out at each of the moments, over tables that reach `needed_seconds` back from the first.

    A filter or group by a name that no query has is no data; the reading's detail says so.
    """
    try:
        chosen = picked(tables, rule.where)
        return _KINDS[rule.kind](rule, chosen, moments)
    except UsageError as error:
        problem = str(error).replace("--where ", "where ")
        return {None: [Reading("no data", detail=problem)] * moments.count}


def _threshold(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    groups = over_windows(tables, rule.figure, moments, rule.window, rule.by)
    begun = first_start(tables)
    return {
        name: [
            NOTHING if _is_partial(rule, moments.at(place), begun) else _against_limit(rule, value)
            for place, value in enumerate(values)
        ]
        for name, values in groups.items()
    }


def _is_partial(rule: Rule, moment: datetime, begun: datetime | None) -> bool:
    """Whether a total that must not be low is of a window in which recording had only begun."""
    if begun is None:
        return True
    return rule.below is not None and figure(rule.figure).adds_up and begun > moment - timedelta(seconds=rule.window)


def _against_limit(rule: Rule, one: Value) -> Reading:
    unit = figure(rule.figure).unit
    detail = f"{rule.figure} {valued(one.value, unit)} over {length(rule.window)}"
    return _judged(rule, one.value, one.count, f"{detail}, {_limit(rule, unit)}")


def _limit(rule: Rule, unit: str) -> str:
    side, limit = ("above", rule.above) if rule.above is not None else ("below", rule.below)
    return f"limit {side} {valued(limit, unit)}"  # type: ignore[arg-type]


def _judged(rule: Rule, value: float | None, count: float, detail: str) -> Reading:
    if value is None:
        return NOTHING
    if count < rule.least_queries:
        return Reading("too few", value, count, f"{detail}; only {several(count, 'query', 'queries')}")
    beyond = value > rule.above if rule.above is not None else rule.below is not None and value < rule.below
    return Reading("beyond" if beyond else "within", value, count, detail)


def _change(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    now = over_windows(tables, rule.figure, moments, rule.window, rule.by)
    earlier = over_windows(tables, rule.figure, moments.earlier(rule.against), rule.window, rule.by)
    begun = first_start(tables)
    unit = figure(rule.figure).unit
    empty = [Value(0.0 if figure(rule.figure).adds_up else None, 0.0)] * moments.count
    found: Readings = {}
    for name in now | earlier:
        readings = []
        for place in range(moments.count):
            one, before = now.get(name, empty)[place], earlier.get(name, empty)[place]
            start = moments.at(place) - timedelta(seconds=rule.against + rule.window)
            if begun is None or begun > start or one.value is None or not before.value:
                readings.append(NOTHING)
                continue
            words = f"{valued(one.value, unit)}, {length(rule.against)} before {valued(before.value, unit)}"
            detail = (
                f"{rule.figure} {one.value / before.value:.2f} times the earlier over {length(rule.window)}: {words}"
            )
            count = before.count if figure(rule.figure).adds_up else min(one.count, before.count)
            readings.append(_judged(rule, one.value / before.value, count, detail))
        found[name] = readings
    return found


def _burn_rate(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    long, short = (over_windows(tables, rule.figure, moments, seconds, rule.by) for seconds in rule.windows)
    return {
        name: [_burning(rule, one, _at(short, name, place)) for place, one in enumerate(values)]
        for name, values in long.items()
    }


def _at(groups: Groups, name: str | None, place: int) -> Value:
    return groups[name][place] if name in groups else Value(None, 0.0)


def _burning(rule: Rule, long: Value, short: Value) -> Reading:
    if long.value is None:
        return NOTHING
    allowed = 1 - rule.objective
    burned, lately = long.value / allowed, (short.value or 0.0) / allowed
    windows = [length(each) for each in rule.windows]
    detail = (
        f"{rule.figure} burns {burned:.1f} times what the objective {rule.objective:g} allows over {windows[0]}, "
        f"{lately:.1f} times over {windows[1]}, limit {rule.factor:g}"
    )
    if long.count < rule.least_queries:
        return Reading("too few", burned, long.count, f"{detail}; only {several(long.count, 'query', 'queries')}")
    beyond = burned > rule.factor and lately > rule.factor
    return Reading("beyond" if beyond else "within", burned, long.count, detail)


def _silent(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    last = moments.at(moments.count - 1)
    begun = first_start(tables)
    if begun is None:
        return {None: [NOTHING] * moments.count}
    found: Readings = {}
    for name, stretches_ in silences(tables, last, rule.window, rule.by).items():
        readings = [Reading("within", 0.0, detail=f"a query within {length(rule.window)}")] * moments.count
        for silence in stretches_:
            forgotten = silence.last + timedelta(seconds=rule.seen)
            for place in range(moments.count):
                moment = moments.at(place)
                if silence.start <= moment and (silence.end is None or moment < silence.end):
                    seconds = (moment - silence.last).total_seconds()
                    detail = f"no query for {length(float(round(seconds // 60 * 60 or seconds)))}"
                    beyond = moment < forgotten
                    readings[place] = Reading("beyond", seconds, detail=detail) if beyond else NOTHING
        found[name] = readings
    return found


def _dropped(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    readings = []
    for counts in drops(tables, moments, rule.window):
        total = sum(counts.values())
        reasons = ", ".join(f"{number:,.0f} {reason}" for reason, number in sorted(counts.items()) if number)
        detail = f"{several(total, 'record')} dropped within {length(rule.window)}" + f" ({reasons})" * bool(reasons)
        readings.append(Reading("beyond" if total > (rule.above or 0) else "within", total, total, detail))
    return {None: readings}


def _anomaly(rule: Rule, tables: Tables, moments: Moments) -> Readings:
    kind: incidents.Kind = ANOMALIES[rule.figure]  # type: ignore[assignment]
    last = moments.at(moments.count - 1)
    since = moments.first - timedelta(days=HISTORY_DAYS)
    looks = stretches.looks_at(tables, period_of(since=since, until=last, time_zone="UTC", now=last), (kind,))
    least = stretches.LEAST_DAYS[kind]
    young = Reading("no data", detail=f"needs {least} days of history")
    if looks is None:
        return {None: [young] * moments.count}
    scores = looks.scores[kind]
    limits = stretches.limits_of(kind, scores, stretches.BUDGET / len(stretches.LEAST_DAYS))
    readings = []
    for place in range(moments.count):
        interval = int((moments.at(place) - looks.start).total_seconds() // stretches.SECONDS) - 1
        if interval < least * 86400 / stretches.SECONDS or interval >= len(scores.values):
            readings.append(young)
            continue
        readings.append(_scored(rule, scores.values[interval], scores.findings[interval], limits[interval]))
    return {None: readings}


def _scored(rule: Rule, score: float, finding: incidents.Finding | None, limit: float) -> Reading:
    detail = f"{rule.figure}: score {score:.2f}, limit {limit:.2f}"
    if finding is not None:
        detail += f"; {finding.actual:,.0f} {finding.kind}, expected {finding.expected:,.0f}"
    return Reading("beyond" if score >= limit else "within", score, 0.0 if finding is None else finding.of, detail)


_KINDS = {
    "threshold": _threshold,
    "change": _change,
    "burn_rate": _burn_rate,
    "silent": _silent,
    "dropped": _dropped,
    "anomaly": _anomaly,
}


def absent(rule: Rule) -> Reading:
    """The reading of a group that no query of the window belongs to."""
    if rule.kind == "threshold" and figure(rule.figure).adds_up:
        return _against_limit(rule, Value(0.0, 0.0))
    return NOTHING
