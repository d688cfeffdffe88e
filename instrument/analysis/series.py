"""Any figure over time, in equal buckets: what trends, forecasts, alerts and pages are drawn from.

    queries, failed, cancelled, failure_rate, average, p50, p95, p99, first_chunk, first_chunk_p95, tool_calls,
    tool_failure_rate, graphql_calls, model_calls, input_tokens, output_tokens, tokens, cost, complexity,
    metric:NAME (its mean), metric:NAME:sum, metric:NAME:p50, metric:NAME:p95

A bucket without a query is a zero for what is counted or added up, and None for what is a rate, a mean or a percentile.
A bucket in which the whole store recorded nothing is a gap: nobody knows whether there was no traffic or no recorder.
Queries inside queries are not counted, as in reports.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

from msgspec import Struct

from instrument.analysis.groups import grouping
from instrument.analysis.measures import Measure, counting, counts, known, measures, summing
from instrument.analysis.periods import BEGINNING, Period
from instrument.analysis.timeline import ROOTS
from instrument.errors import UsageError
from instrument.rows.columns import literal
from instrument.store.tables import Tables

MOST_BUCKETS = 200_000
"""Buckets that one series may have."""

MOST_GROUPS = 50
"""Groups of which each gets a series; the rest is added up as `REST`."""

REST = "(rest)"

Unit = Literal["queries", "share", "ms", "calls", "tokens", "usd", "score", ""]

SHARES = (0.5, 0.95, 0.99)
"""The percentiles of a bucket."""

_EVERY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)\s*")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Figure(Struct, frozen=True):
    """A figure by its name: where it comes from, its unit, and whether it adds up (an empty bucket is then a zero).

    `of` picks it out of a measure of `column` (in `unit_size`), or of the aggregate `more`.
    """

    name: str
    unit: Unit
    adds_up: bool
    of: Literal["count", "failed", "cancelled", "failure_rate", "average", "p50", "p95", "p99", "total", "more"]
    column: str = "duration_ns"
    unit_size: float = 1e6
    more: str = ""
    condition: str = "true"
    is_of_calls: bool = False

    @property
    def is_count(self) -> bool:
        """Whether it follows from how many there are and how they ended, whatever they took."""
        return self.of in ("count", "failed", "cancelled", "failure_rate")


class Series(Struct, frozen=True):
    """A figure over time.

    `start` is the beginning of the first bucket (UTC), `every_seconds` their length (days follow the zone's calendar),
    `values` one a bucket: None where there is no value. `counts` is how many queries (weighted) stand behind each, and
    `recorded` whether the store recorded anything in it: where it did not, a zero is a gap. `is_last_whole` is False
    where the period ends within the last bucket, which then is not to be compared with the others.
    """

    figure: str
    unit: Unit
    group: str | None
    start: datetime
    every_seconds: float
    values: list[float | None]
    counts: list[float]
    recorded: list[bool]
    is_last_whole: bool

    def known(self) -> list[float]:
        """The values of whole buckets for methods that take numbers: NaN where there is none, or a gap."""
        whole = self.values if self.is_last_whole else self.values[:-1]
        return [
            math.nan if value is None or not recorded else value
            for value, recorded in zip(whole, self.recorded, strict=False)
        ]

    def times(self) -> list[datetime]:
        """When each bucket begins; days of a zone are apart by the calendar only in `start`'s own offset."""
        return [self.start + timedelta(seconds=self.every_seconds * place) for place in range(len(self.values))]


def every(text: str | float) -> float:
    """The length of a bucket in seconds, of `5m`, `1h`, `1d`, or a number of seconds. Raises UsageError."""
    if not isinstance(text, str):
        seconds = float(text)
    else:
        match = _EVERY.fullmatch(text)
        seconds = float(match[1]) * _SECONDS[match[2]] if match else math.nan
    if not (math.isfinite(seconds) and seconds >= 1):
        raise UsageError(f"{text!r} is no length of a bucket; write one such as 5m, 1h or 1d, of a second at least")
    return seconds


def figure(name: str) -> Figure:
    """Look a figure up by its name. Raises UsageError that names the nearest one."""
    if name in _FIGURES:
        return _FIGURES[name]
    if name.startswith("metric:") and len(name) > len("metric:"):
        return _of_metric(name)
    import difflib  # only where a name is wrong: it is slow to import

    near = difflib.get_close_matches(name, _FIGURES, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_FIGURES)} and metric:NAME"
    raise UsageError(f"there is no figure {name!r}; {hint}")


def figure_names() -> list[str]:
    """The names of all figures but custom metrics."""
    return list(_FIGURES)


def series(tables: Tables, name: str, period: Period, every_seconds: float, *, by: str | None = None) -> list[Series]:
    """Work a figure out in equal buckets over a period: one series, or with `by` one for each of the largest groups.

    `by` is what `groups.grouping` knows: agent, model, host, process, status, entity, or an attribute; `tool`,
    `operation` and `model` group calls for a figure of calls. Raises UsageError for an unknown figure or group, or too
    many buckets.
    """
    wanted = figure(name)
    buckets = _Buckets.of(tables, period, every_seconds)
    recorded = buckets.recorded(tables)
    found = _known(tables, wanted, buckets, by)
    if not found:
        if wanted.is_count and not wanted.is_of_calls and by != "status":
            tables = tables.counted(_micros(buckets.start), round(buckets.seconds * 1e6))
        found = _measured(tables, wanted, buckets, by)
    groups: dict[str | None, dict[int, Measure]] = {} if by is not None else {None: {}}
    for key, measure in found.items():
        groups.setdefault(key[1] if by is not None else None, {})[int(key[0])] = measure
    return [_filled(wanted, group, measured, buckets, recorded) for group, measured in groups.items()]


def grouping_of(tables: Tables, period: Period, every_seconds: float, by: str) -> tuple[str, ...]:
    """The grouping of queries to have measured together with others, for series of durations and outcomes by a name.

    Raises UsageError as `series` does.
    """
    buckets = _Buckets.of(tables, period, every_seconds)
    return (buckets.of_column("started_us"), grouping(tables, ROOTS, {}, by)[1])


def _known(tables: Tables, wanted: Figure, buckets: _Buckets, by: str | None) -> dict[tuple[Any, ...], Measure]:
    """What was measured together with other groupings, where it was and no group is to be left out; else nothing."""
    is_plain = not wanted.is_of_calls and not wanted.more and wanted.column == "duration_ns"
    if by is None or not is_plain or wanted.condition != "true":
        return {}
    _, expression = source_of(tables, wanted, by)
    found = known(tables, ROOTS, (buckets.of_column("started_us"), expression), SHARES) or {}
    if len({group for _, group in found}) > MOST_GROUPS:
        return {}
    return {key: one for key, one in found.items() if 0 <= key[0] < buckets.count}


def _measured(tables: Tables, wanted: Figure, buckets: _Buckets, by: str | None) -> dict[tuple[Any, ...], Measure]:
    source, expression = source_of(tables, wanted, by)
    bucket = buckets.of_column("started_us")
    source = f"(SELECT *, {bucket} AS bucket FROM {source}) WHERE bucket BETWEEN 0 AND {buckets.count - 1}"
    if by is not None:
        source = of_largest(tables, source, expression)
    keys = ("bucket", "grouped") if by is not None else ("bucket",)
    return measured(tables, wanted, f"{source} AND {wanted.condition}", keys)


def measured(tables: Tables, wanted: Figure, source: str, keys: tuple[str, ...]) -> dict[tuple[Any, ...], Measure]:
    """Measure a source for a figure, by keys; where the figure is a count, durations are not looked at."""
    if wanted.is_count:
        return counts(tables, source, keys)
    more = (summing(tables, wanted.more),) if wanted.more else ()
    return measures(tables, source, keys, SHARES, {}, more, wanted.column, wanted.unit_size)


def source_of(tables: Tables, wanted: Figure, by: str | None) -> tuple[str, str]:
    """The FROM clause of a figure's queries or calls, and the SQL expression of their group ("" without `by`)."""
    if not wanted.is_of_calls:
        return (ROOTS, "") if by is None else grouping(tables, ROOTS, {}, by)
    kinds = {"tool": "name", "operation": "name", "agent": "coalesce(agent_type, 'unknown')", "model": "model"}
    if by is not None and by not in kinds:
        raise UsageError(f"{wanted.name} can be grouped by {', '.join(kinds)}, not by {by!r}")
    return "calls WHERE true", "" if by is None else f"coalesce({kinds[by]}, '(none)')"


def of_largest(tables: Tables, source: str, expression: str) -> str:
    """The same source with a column `grouped`: the largest groups by name, the others as `REST`."""
    counted = counting(tables)
    largest = f"SELECT {expression} AS g FROM {source} GROUP BY ALL ORDER BY {counted} DESC, g LIMIT {MOST_GROUPS}"
    names = [name for (name,) in tables.rows(largest)]
    listed = ", ".join(literal(str(name)) for name in names) or "''"
    grouped = f"CASE WHEN {expression} IN ({listed}) THEN {expression} ELSE '{REST}' END"
    return f"(SELECT *, {grouped} AS grouped FROM {source}) WHERE true"


def _filled(
    wanted: Figure, group: str | None, measured: dict[int, Measure], buckets: _Buckets, recorded: list[bool]
) -> Series:
    empty = 0.0 if wanted.adds_up else None
    values: list[float | None] = [empty] * buckets.count
    counts = [0.0] * buckets.count
    for place, measure in measured.items():
        values[place] = value_of(wanted, measure)
        counts[place] = measure.count
    return Series(
        wanted.name, wanted.unit, group, buckets.start, buckets.seconds, values, counts, recorded, buckets.is_last_whole
    )


def value_of(wanted: Figure, measure: Measure) -> float | None:
    """The figure's value in a measure; None where there is none."""
    if wanted.of == "count":
        return measure.count
    if wanted.of == "failed":
        return measure.failed
    if wanted.of == "cancelled":
        return measure.cancelled
    if wanted.of == "failure_rate":
        decided = measure.count - measure.cancelled
        return measure.failed / decided if decided > 0 else None
    if wanted.of == "average":
        return measure.average_ms
    if wanted.of == "total":
        return measure.total_ms
    if wanted.of == "more":
        return float(measure.more[0] or 0) if wanted.adds_up else measure.more[0]
    place = ("p50", "p95", "p99").index(wanted.of)
    return measure.percentiles_ms[place] if measure.percentiles_ms else None


class _Buckets(Struct, frozen=True):
    """How a period is cut: equal stretches of time from `start`, or days of the zone's calendar."""

    start: datetime
    seconds: float
    count: int
    is_last_whole: bool
    zone: str = ""

    @classmethod
    def of(cls, tables: Tables, period: Period, seconds: float) -> _Buckets:
        since = period.since or _first(tables) or period.until
        days = seconds / 86400
        by_calendar = days == int(days)
        start = _floor(since, seconds, period.zone, by_calendar)
        span = (period.until - start).total_seconds()
        if by_calendar:
            local = (period.until.astimezone(period.zone), start.astimezone(period.zone))
            exact = (local[0].replace(tzinfo=None) - local[1].replace(tzinfo=None)) / timedelta(seconds=seconds)
        else:
            exact = span / seconds
        count = max(1, math.ceil(exact - 1e-9))
        if count > MOST_BUCKETS:
            most = f"at most {MOST_BUCKETS:,} can be had"
            raise UsageError(f"{count:,} buckets are too many, {most}: take a shorter period or longer buckets")
        zone = period.zone_name if by_calendar else ""
        return cls(start, seconds, count, abs(exact - count) < 1e-9, "" if zone in ("UTC", "local") else zone)

    def of_column(self, column: str) -> str:
        """The SQL expression of a bucket's number."""
        if self.zone:
            day = f"(make_timestamptz({column}) AT TIME ZONE {literal(self.zone)})"
            first = self.start.astimezone(_zone(self.zone)).date().isoformat()
            return f"(datediff('day', DATE '{first}', {day}::DATE) // {round(self.seconds / 86400)})"
        return f"(({column} - {_micros(self.start)}) // {round(self.seconds * 1e6)})"

    def recorded(self, tables: Tables) -> list[bool]:
        """In which buckets the store, whatever is filtered, recorded anything."""
        rows = tables.rows(f"SELECT DISTINCT {self.of_column('t')} FROM {tables.whole}.lines")
        there = {int(place) for (place,) in rows if place is not None}
        return [place in there for place in range(self.count)]


def _zone(name: str) -> tzinfo:
    from instrument.analysis.periods import zone_of

    return zone_of(name)[0]


def _first(tables: Tables) -> datetime | None:
    first = tables.rows("SELECT min(started_us) FROM queries")[0][0]
    return None if first is None else datetime.fromtimestamp(first / 1e6, UTC)


def _floor(moment: datetime, seconds: float, zone: tzinfo, by_calendar: bool) -> datetime:
    """The beginning of the bucket that a moment lies in, buckets being counted from the zone's midnight."""
    local = moment.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if by_calendar:
        return midnight.astimezone(UTC)
    offset = local.utcoffset() or timedelta(0)
    since = (moment - BEGINNING + offset).total_seconds()
    return (BEGINNING + timedelta(seconds=math.floor(since / seconds) * seconds) - offset).astimezone(UTC)


def _micros(moment: datetime) -> int:
    return (moment - BEGINNING) // timedelta(microseconds=1)


def _of_metric(name: str) -> Figure:
    text = name.removeprefix("metric:")
    head, _, tail = text.rpartition(":")
    key, how = (head, tail) if head and tail in ("sum", "p50", "p95") else (text, "average")
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    value = f"TRY_CAST(metrics ->> {literal(pointer)} AS DOUBLE)"
    finite = f"CASE WHEN isfinite({value}) THEN {value} END"
    of: Any = {"sum": "total"}.get(how, how)
    return Figure(name, "", how == "sum", of, f"({finite})", 1.0, condition=f"isfinite({value})")


def _queries(name: str, unit: Unit, of: Any, **more: Any) -> Figure:
    return Figure(name, unit, of in ("count", "failed", "cancelled", "total", "more"), of, **more)


def _added(name: str, unit: Unit, column: str) -> Figure:
    return Figure(name, unit, True, "more", more=column)


_FIGURES: dict[str, Figure] = {
    one.name: one
    for one in (
        _queries("queries", "queries", "count"),
        _queries("failed", "queries", "failed"),
        _queries("cancelled", "queries", "cancelled"),
        _queries("failure_rate", "share", "failure_rate"),
        _queries("average", "ms", "average"),
        _queries("p50", "ms", "p50"),
        _queries("p95", "ms", "p95"),
        _queries("p99", "ms", "p99"),
        _queries("first_chunk", "ms", "p50", column="first_chunk_ns", condition="first_chunk_ns IS NOT NULL"),
        _queries("first_chunk_p95", "ms", "p95", column="first_chunk_ns", condition="first_chunk_ns IS NOT NULL"),
        _added("tool_calls", "calls", "tool_calls"),
        _queries("tool_failure_rate", "share", "failure_rate", is_of_calls=True, condition="kind = 'tool'"),
        _added("graphql_calls", "calls", "graphql_queries"),
        _added("model_calls", "calls", "model_calls"),
        _added("input_tokens", "tokens", "coalesce(input_tokens, 0)"),
        _added("output_tokens", "tokens", "coalesce(output_tokens, 0)"),
        _added("tokens", "tokens", "(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"),
        _added("cost", "usd", "coalesce(cost_usd, 0)"),
        Figure(
            "complexity",
            "score",
            False,
            "average",
            "selection.score",
            1.0,
            condition="selection.score IS NOT NULL",
        ),
    )
}
