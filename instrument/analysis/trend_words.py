"""Findings in sentences, and the commands that show the queries behind them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.contributions import Source
from instrument.analysis.failure_causes import Cause
from instrument.analysis.filters import Filter
from instrument.analysis.seasonless import DAYS_FOR_CHANGES, DAYS_FOR_SLOPE, DAYS_FOR_WEEKS
from instrument.analysis.series import Series, Unit, figure
from instrument.analysis.slower_calls import SlowerCall
from instrument.analysis.stretches import Stretch
from instrument.analysis.wording import count, dollars, duration, percent, several, short, span

if TYPE_CHECKING:
    from instrument.analysis.trends import Size

_SORTS = {"ms": "duration", "usd": "cost", "tokens": "tokens", "calls": "calls"}

_NAMES = {
    "failure_rate": "the failure rate",
    "queries": "queries",
    "average": "the average duration",
    "first_chunk": "the median time to the first chunk",
    "first_chunk_p95": "the p95 of the time to the first chunk",
    "tool_failure_rate": "the failure rate of tools",
}


_KINDS = {"tool": "Tool", "graphql": "GraphQL operation", "model": "Model"}


class Facts(NamedTuple):
    """What a sentence is made of beside times, size and source."""

    kind: str
    figure: str
    unit: Unit
    group: str | None
    levels: tuple[float, float]
    ratio: float
    every_seconds: float


def valued(value: float | None, unit: Unit) -> str:
    """A figure's value in the form that fits its unit."""
    if unit == "ms":
        return duration(value)
    if unit == "share":
        return percent(value)
    if unit == "usd":
        return dollars(value)
    return "–" if value is None else short(value)


def headline(facts: Facts, start: datetime, end: datetime, stretch: Stretch | None, zone: tzinfo) -> str:
    """What was found, when and how much, without a full stop."""
    when = span(start.astimezone(zone), end.astimezone(zone))
    if stretch is not None:
        return f"{_stretch(stretch)} ({when})"
    name = _NAMES.get(facts.figure, facts.figure) + (f" of {facts.group}" if facts.group is not None else "")
    before, after = (valued(level, facts.unit) for level in facts.levels)
    after += a_bucket(facts.every_seconds) if figure(facts.figure).adds_up else ""
    moved = "rose" if facts.ratio > 1 else "fell"
    at = f"on {_moment(start, zone)}" if facts.kind == "change" else f"steadily ({when})"
    times = f"{facts.ratio:.2g} times" if facts.ratio < 100 else f"{facts.ratio:,.0f} times"
    return f"{name[0].upper()}{name[1:]} {moved} {at}, from {before} to {after} ({times})"


def sentence(found: str, size: Size, source: Source | None, cause: Cause | SlowerCall | None) -> str:
    """A headline with how big it is, the error or the call behind it, and where it comes from."""
    return ". ".join(filter(None, (found, _sized(size), _caused(cause), _from(source)))) + "."


def _caused(cause: Cause | SlowerCall | None) -> str:
    if cause is None:
        return ""
    if isinstance(cause, SlowerCall):
        return f"{_KINDS.get(cause.kind, cause.kind)} {cause.name} explains {_share(cause.share)} of it: {_took(cause)}"
    share = f"All {count(cause.failures)}" if cause.with_error == cause.failures else f"{count(cause.with_error)}"
    of = "" if cause.with_error == cause.failures else f" of the {count(cause.failures)}"
    raised = "" if cause.call is None else f", which {cause.call} raised"
    return f"{share}{of} failed with {cause.error}{raised}"


def a_bucket(seconds: float) -> str:
    """What a total is counted in: ` an hour`, ` a day`, ` in 15 m 00 s`."""
    return {3600: " an hour", 86400: " a day", 60: " a minute"}.get(round(seconds), f" in {duration(seconds * 1000)}")


def _moment(time: datetime, zone: tzinfo) -> str:
    local = time.astimezone(zone)
    return f"{local.day} {local:%b} {local:%H:%M}"


def _stretch(one: Stretch) -> str:
    found = one.finding
    if one.kind == "queries":
        more = "Unusually many" if found.actual > found.expected else "Unusually few"
        nothing = ", none recorded at all: no traffic, or no recorder" if not found.actual else ""
        return f"{more} queries: {count(found.actual)} in one stretch, expected {count(found.expected)}{nothing}"
    what = "failed" if one.kind == "failures" else "were slower than the usual slowest quarter"
    return f"Of {several(found.of, 'query', 'queries')} {count(found.actual)} {what}, expected {count(found.expected)}"


def _sized(size: Size) -> str:
    told = []
    if size.more_queries is not None:
        told.append(f"{count(abs(size.more_queries))} queries {_more(size.more_queries, 'fewer')}")
    if size.more_failures is not None:
        told.append(f"{count(abs(size.more_failures))} failures {_more(size.more_failures, 'fewer')}")
    if size.more_seconds is not None:
        told.append(f"{duration(abs(size.more_seconds) * 1000)} of work {_more(size.more_seconds)}")
    if size.more_usd is not None:
        told.append(f"{dollars(abs(size.more_usd))} {_more(size.more_usd)}")
    if not told:
        return ""
    return f"That is {', '.join(told)} than before, over {several(size.queries, 'query', 'queries')}"


def _more(value: float, less: str = "less") -> str:
    return "more" if value >= 0 else less


def _from(source: Source | None) -> str:
    if source is None:
        return ""
    how = {"rate": "its own figure changed", "mix": "its share of the queries changed", "volume": "its total changed"}
    by = f"{source.by[0].upper()}{source.by[1:]} {source.value}"
    return f"{by} explains {_share(source.share)} of it: {how[source.how]}"


def _share(share: float) -> str:
    return percent(share) if share < 0.9995 else "all"


def _took(call: SlowerCall) -> str:
    """What changed of a call: how long it takes, or how often it is made."""
    longer, oftener = (
        abs(math.log(max(after, 1e-9) / max(before, 1e-9)))
        for before, after in ((call.before, call.after), call.a_query)
    )
    if longer >= oftener:
        return f"from {duration(call.before)} to {duration(call.after)} a call"
    return f"from {short(call.a_query[0])} to {short(call.a_query[1])} calls a query"


def command(name: str, start: datetime, end: datetime, filters: Sequence[Filter]) -> str:
    """The `metrics queries …` that lists what is behind a finding."""
    kinds = figure(name)
    words = ["metrics", "queries", "--since", _told(start), "--until", _told(end)]
    if name in ("failure_rate", "failed"):
        words.append("--failed")
    if kinds.is_of_calls:
        words += ["--where", "call_error!="]
    for each in filters:
        words += ["--where", str(each)]
    if kinds.unit in _SORTS:
        words += ["--sort", _SORTS[kinds.unit]]
    return shlex.join(words)


def _told(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M}Z"


def shortness(one: Series, days: float, has_slope: bool) -> str:
    """What a series is too short for."""
    adds_up = figure(one.figure).adds_up
    changes = DAYS_FOR_WEEKS if adds_up else DAYS_FOR_CHANGES
    slope = DAYS_FOR_WEEKS if adds_up else DAYS_FOR_SLOPE
    if days < changes:
        why = ", to tell a change from a weekend" if adds_up else ""
        return f"changes need {changes} days of history{why}; there are {days:.1f}"
    return "" if has_slope else f"a slope needs {slope} days with values"


def note(queries: float, days: float, found: bool, any_level: bool = True) -> str:
    """What can be said where nothing was found."""
    if not queries:
        return "No queries in this period: nothing can be said."
    basis = f"from {several(queries, 'query', 'queries')} over {covered(days)}"
    if not any_level:
        return f"No bucket is whole yet, {basis}: give a shorter --every, or see metrics report."
    if days < DAYS_FOR_CHANGES:
        return f"The levels are all that can be said, {basis}: changes need {DAYS_FOR_CHANGES} days."
    return "" if found else f"Nothing changed or was unusual, {basis}."


def covered(days: float) -> str:
    """How long a history is, in words."""
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours" if days >= 1 / 24 else "less than an hour"
