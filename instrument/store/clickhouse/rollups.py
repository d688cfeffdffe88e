"""The roll-ups: what a minute, an hour or a day held, by name and outcome, filled by views as records arrive.

The minute tables have a t-digest of the durations, for panels of one's own. The tables of days, and of hours without
names, are what long reports are read from. A row of theirs is a *cell*: records that have the same names and outcome,
and durations in the same bucket. Buckets have round bounds (100 from 1 to 2, 150 from 2 to 5, 100 from 5 to 10, in each
power of ten) and are at most 1 % wide, so that a cell's mean stands for each of its records to within 1 %, while
counts, sums, the shortest and the longest are exact. A record lies in the bucket whose upper bound is the first that is
not below it: so a limit of two digits, such as 5 s, is the bound of a bucket, and what lies above it is counted
exactly. With 120,000 queries a day these tables take a fifth of the records' disk; a day of more queries takes little
more, as its buckets fill up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from instrument.store.clickhouse.client import Client

VERSION = 2
"""The version of the roll-ups, which is in their comments; those of an earlier one are made anew."""

_COMMENT = "agent-instrument "
_OUTDATED = ("agents_hour", "calls_hour")
"""Roll-ups that earlier versions made: t-digests by hour."""

_NAME = "LowCardinality(String)"
_SUM, _MAYBE_SUM = "SimpleAggregateFunction(sum, Float64)", "SimpleAggregateFunction(sum, Nullable(Float64))"
_COUNT = "SimpleAggregateFunction(sum, UInt64)"


class RollUp(NamedTuple):
    """One roll-up: its table, what it groups by, what it keeps of each group, and where the records come from.

    `keys` and `kept` have for each column its type and its SQL over `source`; `condition` picks the records.
    """

    name: str
    start: str
    keys: dict[str, tuple[str, str]]
    kept: dict[str, tuple[str, str]]
    source: str
    condition: str = "true"

    def select(self, condition: str = "true", queries: str = "queries") -> str:
        """The SELECT that works the roll-up out over the records of a table for which a condition holds, too."""
        columns = {name: expression for name, (_, expression) in (self.keys | self.kept).items()}
        listed = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        source = self.source.format(queries=queries, condition=f"{self.condition} AND {condition}")
        return f"SELECT {self.start}(at) AS start, {listed} FROM ({source}) GROUP BY start, {', '.join(self.keys)}"


def bucket(duration: str) -> str:
    """The upper bound of the bucket of a duration in ns; whole ns below 100."""
    tenth = f"toInt64(exp10(greatest(floor(log10(greatest({duration}, 1))) - 2, 0)))"
    width = f"({tenth} * multiIf({duration} <= 200 * {tenth}, 1, {duration} <= 500 * {tenth}, 2, 5))"
    return f"intDiv({duration} + {width} - 1, {width}) * {width}"


PLACE = "toInt16(floor(log10(greatest({0}, 1)) * 4))"
"""The place of a duration in the histogram of a report, so that this is exact, too: see `charts.DECADE`."""

_QUERIES = """SELECT start_time AS at, host, agent_type AS agent, parent_id IS NOT NULL AS is_inner, status AS ended,
    ifNull(error_type, '') AS failed_with, if(model_calls = 0, ifNull(model, ''), '') AS its_model, duration_ns AS ns,
    result_size_bytes AS size, weight AS w, tool_calls AS tools, graphql_queries AS operations, model_calls AS models,
    input_tokens AS tokens_in, output_tokens AS tokens_out, cost_usd AS cost, first_chunk_ms AS chunk,
    notEmpty(metrics) AS has_metrics, length(`calls.name`) AS inside FROM {queries} WHERE {condition}"""

_CALLS = """SELECT start_time AS at, host, agent_type AS agent, `calls.kind` AS of_kind, `calls.name` AS of_name,
    if(isNull(`calls.duration_ns`), 'abandoned', `calls.status`) AS ended,
    ifNull(`calls.error_type`, '') AS failed_with, `calls.passed_on` AS passed, ifNull(`calls.model`, '') AS its_model,
    `calls.duration_ns` AS maybe_ns, ifNull(maybe_ns, 0) AS ns, weight AS w, `calls.input_tokens` AS tokens_in,
    `calls.output_tokens` AS tokens_out, `calls.cost_usd` AS cost, `calls.first_chunk_ms` AS chunk
    FROM {queries} ARRAY JOIN `calls.kind`, `calls.name`, `calls.duration_ns`, `calls.status`, `calls.error_type`,
    `calls.passed_on`, `calls.model`, `calls.input_tokens`, `calls.output_tokens`, `calls.cost_usd`,
    `calls.first_chunk_ms` WHERE {condition}"""

_CELL: dict[str, tuple[str, str]] = {
    "queries": (_SUM, "sum(w)"),
    "records": (_COUNT, "count()"),
    "total_ns": (_SUM, "sum(toFloat64(ns) * w)"),
    "shortest": ("SimpleAggregateFunction(min, Int64)", "min(ns)"),
    "longest": ("SimpleAggregateFunction(max, Int64)", "max(ns)"),
    "input_sum": (_SUM, "sum(ifNull(tokens_in, 0) * w)"),
    "output_sum": (_SUM, "sum(ifNull(tokens_out, 0) * w)"),
    "cost_sum": (_MAYBE_SUM, "sum(cost * w)"),
    "streams": (_COUNT, "countIf(chunk IS NOT NULL)"),
}
_COUNTED: dict[str, tuple[str, str]] = {
    "queries": (_SUM, "sum(w)"),
    "failed": (_SUM, "sumIf(w, ended IN ('error', 'abandoned'))"),
    "cancelled": (_SUM, "sumIf(w, ended = 'cancelled')"),
    "total_ns": (_SUM, "sum(toFloat64(ns) * w)"),
    "durations": (
        "AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64)",
        "quantilesTDigestState(0.5, 0.95, 0.99)(toFloat64(ns))",
    ),
}

AGENTS_DAY = RollUp(
    "agents_day",
    "toStartOfDay",
    {
        "agent_type": (_NAME, "agent"),
        "nested": ("Bool", "is_inner"),
        "status": (_NAME, "ended"),
        "error_type": (_NAME, "failed_with"),
        "model": (_NAME, "its_model"),
        "has_size": ("Bool", "size IS NOT NULL"),
        "has_output": ("Bool", "tokens_out IS NOT NULL"),
        "place": ("Int16", PLACE.format("ns")),
        "upper_ns": ("Int64 CODEC(Delta, ZSTD(1))", bucket("ns")),
    },
    _CELL
    | {
        "size_sum": (_SUM, "sum(ifNull(size, 0) * w)"),
        "tool_sum": (_SUM, "sum(tools * w)"),
        "graphql_sum": (_SUM, "sum(operations * w)"),
        "model_sum": (_SUM, "sum(models * w)"),
        "measured": (_COUNT, "countIf(has_metrics)"),
        "calls": (_COUNT, "sum(inside)"),
    },
    _QUERIES,
)
CALLS_DAY = RollUp(
    "calls_day",
    "toStartOfDay",
    {
        "kind": (_NAME, "of_kind"),
        "name": (_NAME, "of_name"),
        "agent_type": (_NAME, "agent"),
        "status": (_NAME, "ended"),
        "error_type": (_NAME, "failed_with"),
        "passed_on": ("Bool", "passed"),
        "model": (_NAME, "its_model"),
        "has_output": ("Bool", "tokens_out IS NOT NULL"),
        "upper_ns": ("Int64 CODEC(Delta, ZSTD(1))", f"if(isNull(maybe_ns), -1, {bucket('ns')})"),
    },
    _CELL,
    _CALLS,
)
QUERIES_HOUR = RollUp(
    "queries_hour",
    "toStartOfHour",
    {name: AGENTS_DAY.keys[name] for name in ("nested", "status", "error_type", "place", "upper_ns")},
    _CELL,
    _QUERIES,
)
AGENTS_MINUTE = RollUp(
    "agents_minute",
    "toStartOfMinute",
    {"agent_type": (_NAME, "agent"), "host": (_NAME, "host")},
    _COUNTED | {"records": (_COUNT, "count()")},
    _QUERIES,
    "parent_id IS NULL",
)
CALLS_MINUTE = RollUp(
    "calls_minute",
    "toStartOfMinute",
    {"kind": (_NAME, "of_kind"), "name": (_NAME, "of_name"), "host": (_NAME, "host")},
    _COUNTED,
    _CALLS,
)
ROLL_UPS = (AGENTS_MINUTE, CALLS_MINUTE, AGENTS_DAY, CALLS_DAY, QUERIES_HOUR)


def statements(engine: str, on: str, window: str) -> Iterator[str]:
    """The statements that make every roll-up, and the view that fills it, where they are missing."""
    for each in ROLL_UPS:
        columns = ", ".join(f"{name} {kind}" for name, (kind, _) in (each.keys | each.kept).items())
        order = ", ".join([*(name for name in each.keys if name != "upper_ns"), "start"])
        order += ", upper_ns" if "upper_ns" in each.keys else ""
        yield (
            f"CREATE TABLE IF NOT EXISTS {each.name}{on} (start DateTime('UTC') CODEC(Delta, ZSTD(1)), {columns})"
            f" ENGINE = {engine} PARTITION BY toYYYYMM(start) ORDER BY ({order})"
            f" SETTINGS index_granularity = 8192{window} COMMENT '{_COMMENT}{VERSION}'"
        )
        yield (f"CREATE MATERIALIZED VIEW IF NOT EXISTS {each.name}_filling{on} TO {each.name} AS {each.select()}")


def drop_outdated(client: Client, on: str = "") -> list[RollUp]:
    """Drop the roll-ups that earlier versions made; returns those of this version that are not there yet."""
    found = client.rows("SELECT name, comment FROM system.tables WHERE database = currentDatabase()")
    versions = {row["name"]: _version(row["comment"]) for row in found}
    outdated = [name for name in _OUTDATED if versions.get(name)]
    outdated += [each.name for each in ROLL_UPS if 0 < versions.get(each.name, 0) < VERSION]
    for name in outdated:
        client.run(f"DROP TABLE IF EXISTS {name}_filling{on}")
        client.run(f"DROP TABLE IF EXISTS {name}{on}")
    return [each for each in ROLL_UPS if each.name in outdated or each.name not in versions]


def _version(comment: str) -> int:
    """The version that a table's comment names; 0 for a table that is not ours."""
    version = comment.removeprefix(_COMMENT)
    return int(version) if version != comment and version.isdigit() else 0


_COUNTED_BY = {
    "agents_minute": "roots",
    "agents_day": "records",
    "calls_day": "calls",
    "queries_hour": "records",
}
"""What each roll-up counts that is read."""


class Day(NamedTuple):
    """One day (UTC, `2026-11-25`): how many queries there are, and how many calls that ended after their query.

    `is_right` says that the roll-ups that are read have as many queries or calls as there are.
    """

    name: str
    records: int
    is_right: bool
    late: int


def days(client: Client, first: str = "", last: str = "", *, late: bool = False) -> list[Day]:
    """Compare each day's roll-ups with its records, from day `first` to `last` where given.

    `late` counts late calls, too.
    """
    by_day: dict[str, dict[str, int]] = {}
    for row in client.rows(_counts(first, last, late=late)):
        counted = by_day.setdefault(row["day"], {})
        counted[row["source"]] = int(row["n"])
        counted |= {"roots": int(row["roots"])} if row["source"] == "records" else {}
        counted |= {"calls": int(row["calls"])} if row["source"] == "agents_day" else {}
    return [
        Day(
            day,
            counted["records"],
            all(counted.get(name, 0) == counted.get(of, 0) for name, of in _COUNTED_BY.items()),
            counted.get("late", 0),
        )
        for day, counted in sorted(by_day.items())
        if "records" in counted
    ]


def _counts(first: str, last: str, *, late: bool) -> str:
    """The SELECT of what the records and each roll-up count on each day."""

    def of(source: str, table: str, start: str, number: str, roots: str = "0", calls: str = "0") -> str:
        conditions = [f"toDate({start}) {sign} '{day}'" for sign, day in ((">=", first), ("<=", last)) if day]
        conditions += ["query_id IS NOT NULL"] if source == "late" else []
        return (
            f"SELECT '{source}' AS source, toDate({start}) AS at, {number} AS n, {roots} AS roots, {calls} AS calls"
            f" FROM {table} WHERE {' AND '.join(conditions) or 'true'} GROUP BY at"
        )

    parts = [of("records", "queries", "start_time", "count()", "countIf(parent_id IS NULL)")]
    parts += [
        of(each.name, each.name, "start", "sum(records)", calls="sum(calls)" if "calls" in each.kept else "0")
        for each in ROLL_UPS
        if each.name in _COUNTED_BY
    ]
    parts += [of("late", "late_calls", "start_time", "count()")] if late else []
    return f"SELECT *, toString(at) AS day FROM ({' UNION ALL '.join(parts)})"


def rebuild(client: Client, wanted: Collection[str] | None = None, roll_ups: Collection[RollUp] = ROLL_UPS) -> None:
    """Work roll-ups out anew from the records, for some days (`2026-11-25`), or all that there are.

    Records that arrive meanwhile may be counted twice or not at all; a reader sees that, and reads that day's records
    instead.
    """
    if not roll_ups:
        return
    if wanted is None:
        wanted = [row["day"] for row in client.rows("SELECT DISTINCT toString(toDate(start_time)) AS day FROM queries")]
    for day in sorted(wanted):
        for each in roll_ups:
            client.run(f"ALTER TABLE {each.name} DELETE WHERE toDate(start) = '{day}'", mutations_sync=2)
            select = each.select(f"toDate(start_time) = '{day}'")
            client.run(f"INSERT INTO {each.name} (start, {', '.join(each.keys | each.kept)}) {select}", **_ANEW)


_ANEW = {"insert_deduplicate": 0, "optimize_on_insert": 1}
"""A day that is worked out anew may give the very rows that were there before; they are no repetition."""
