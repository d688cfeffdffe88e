"""Queries and calls as cells of the roll-ups: each row stands for many records, by its weight.

The analysis counts weighted records anyway, so a cell is one: its weight is that of its records together, its duration
and its tokens are their mean. Only whole days come from the roll-ups, and only those whose roll-ups count exactly what
the tables hold; all other records are shown one by one beside them. So a roll-up that records were removed from, that
an interrupted insert did not reach, or that an older version filled, is slow at worst, and never wrong.

A roll-up knows a query as it was when it was written. A query with calls that ended later is taken out of its cells,
and shown by itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from instrument.errors import RefusedError
from instrument.store.clickhouse import rollups
from instrument.store.clickhouse.rollups import (
    AGENTS_DAY,
    AGENTS_MINUTE,
    CALLS_DAY,
    QUERIES_HOUR,
    RollUp,
)
from instrument.store.public_tables import TABLES

if TYPE_CHECKING:
    from instrument.store.clickhouse.tables import ClickHouseTables
    from instrument.store.clickhouse.views import Shipped

ACCURACY = "from roll-ups, within 1 %"

ROLLED_FROM = 5_000_000
"""From how many queries on figures come from roll-ups.

Of 600,000 with five calls each a report took 0.6 s of the server's CPU from records and 0.8 to 1.2 s from roll-ups; the
former grows with the records, the latter with the days.
"""

MOST_LATE = 0.2
"""Late calls a query from which on a day is read from its records.

They are taken out of the cells one by one, which then costs as much.
"""

LEAST_DAYS = 3
"""Days that roll-ups must cover: charts of shorter periods have steps below an hour."""

_NO_TABLE, _NO_COLUMN = 60, 47


class _Column(NamedTuple):
    """A column of the analysis: its type, its SQL over a cell, and which keys of the roll-up it needs."""

    kind: str
    sql: str
    keys: tuple[str, ...] = ()
    record: str = ""
    """Its SQL over a record that stands for itself, if that is not the column's name."""


_MEAN_NS = "least(greatest(total_ns / queries, toFloat64(shortest)), toFloat64(longest))"


def _mean(column: str) -> str:
    return f"{column} / queries"


_MAYBE_REAL, _MAYBE_TEXT = "Nullable(Float64)", "Nullable(String)"
_SHARED = {
    "agent_type": _Column(_MAYBE_TEXT, "if(agent_type = '', 'unknown', toString(agent_type))", ("agent_type",)),
    "status": _Column("String", "toString(status)", ("status",)),
    "success": _Column("Bool", "status IN ('ok', 'closed')", ("status",)),
    "error_type": _Column(_MAYBE_TEXT, "nullIf(toString(error_type), '')", ("error_type",)),
    "model": _Column(_MAYBE_TEXT, "nullIf(toString(model), '')", ("model",)),
    "weight": _Column("Float64", "queries"),
    "input_tokens": _Column(_MAYBE_REAL, _mean("input_sum")),
    "output_tokens": _Column(_MAYBE_REAL, f"if(has_output, {_mean('output_sum')}, NULL)", ("has_output",)),
    "cost_usd": _Column(_MAYBE_REAL, _mean("cost_sum")),
    "first_chunk_ns": _Column(_MAYBE_REAL, "nullIf(streams, 0)"),  # only whether there is any
}
_QUERIES = _SHARED | {
    "started_us": _Column("Int64", "toUnixTimestamp(start) * 1000000", ("start",)),
    "parent_id": _Column(_MAYBE_TEXT, "if(nested, '', NULL)", ("nested",)),
    "duration_ns": _Column(_MAYBE_REAL, _MEAN_NS, ("place", "upper_ns")),
    "shortest_ns": _Column("Nullable(Int64)", "shortest", (), "duration_ns"),
    "longest_ns": _Column("Nullable(Int64)", "longest", (), "duration_ns"),
    "tool_calls": _Column("Float64", _mean("tool_sum")),
    "graphql_queries": _Column("Float64", _mean("graphql_sum")),
    "model_calls": _Column("Float64", _mean("model_sum")),
    "result_size_bytes": _Column(_MAYBE_REAL, f"if(has_size, {_mean('size_sum')}, NULL)", ("has_size",)),
    "metrics": _Column("Nullable(UInt64)", "nullIf(measured, 0)", (), "if(metrics IS NULL, NULL, 1)"),  # likewise
}
_CALLS = _SHARED | {
    "kind": _Column("String", "toString(kind)", ("kind",)),
    "name": _Column("String", "toString(name)", ("name",)),
    "passed_on": _Column("Bool", "passed_on", ("passed_on",)),
    "duration_ns": _Column(_MAYBE_REAL, f"if(upper_ns < 0, NULL, {_MEAN_NS})", ("upper_ns",)),
    "shortest_ns": _Column("Nullable(Int64)", "if(upper_ns < 0, NULL, shortest)", ("upper_ns",), "duration_ns"),
    "longest_ns": _Column("Nullable(Int64)", "if(upper_ns < 0, NULL, longest)", ("upper_ns",), "duration_ns"),
}
_SHOWN = {"queries": (_QUERIES, AGENTS_DAY), "calls": (_CALLS, CALLS_DAY)}

_OUTCOMES = "[('ok', queries - failed - cancelled), ('error', failed), ('cancelled', cancelled)]"
_OF_MINUTES = {
    "started_us": _QUERIES["started_us"],
    "parent_id": _Column(_MAYBE_TEXT, "NULL"),
    "agent_type": _SHARED["agent_type"],
    "host": _Column(_MAYBE_TEXT, "nullIf(toString(host), '')", ("host",)),
    "status": _Column("String", "outcome.1"),
    "success": _Column("Bool", "outcome.1 = 'ok'"),
    "weight": _Column("Float64", "outcome.2"),
}
_KNOWN = {each.name for each in TABLES["queries"]} | _QUERIES.keys() | {"selection"}
"""The names of columns that a statement over queries may have."""


def shown(name: str, text: str, shipped: Shipped, days: list[str]) -> str:
    """The SELECT of the cells of these days, and of all other records, with the columns that `text` names.

    Cells are put together as far as what it names allows. Where the time of day is named, they are those of hours;
    these know no agents, models, tokens and cost, so a statement that names both is answered by all records.
    """
    columns, roll_up = _SHOWN[name]
    named = {each: column for each, column in columns.items() if re.search(rf"\b{each}\b", text)}
    named = named or {"weight": columns["weight"]}
    keys = sorted({key for column in named.values() for key in column.keys})
    over_records = ", ".join(f"CAST({one.record or each}, '{one.kind}') AS {each}" for each, one in named.items())
    if "start" in keys:
        roll_up = QUERIES_HOUR
        if not named.keys() <= _OF_HOURS:
            return f"SELECT {over_records} FROM ({shipped.shown(name)})"
    cells = _cells(roll_up, keys, shipped, ", ".join(map(repr, days)))
    over_cells = ", ".join(f"CAST({one.sql}, '{one.kind}') AS {each}" for each, one in named.items())
    records = shipped._replace(left_out=days).shown(name)
    return f"SELECT {over_cells} FROM ({cells}) UNION ALL SELECT {over_records} FROM ({records})"


def counted(text: str, shipped: Shipped, days: list[str]) -> str:
    """The SELECT of how many queries there were by minute and outcome on these days, and of all other queries.

    A statement that names a column which the minutes have not is answered by all records.
    """
    named = {each for each in _KNOWN if re.search(rf"\b{each}\b", text)} | {"weight"}
    if not named <= _OF_MINUTES.keys():
        return shipped.shown("queries")
    chosen = {each: _OF_MINUTES[each] for each in sorted(named)}
    keys = sorted({key for column in chosen.values() for key in column.keys})
    kept = ("queries", "records", "failed", "cancelled")
    cells = _cells(AGENTS_MINUTE, keys, shipped, ", ".join(map(repr, days)), kept)
    over_cells = ", ".join(f"CAST({one.sql}, '{one.kind}') AS {each}" for each, one in chosen.items())
    over_records = ", ".join(f"CAST({each}, '{one.kind}') AS {each}" for each, one in chosen.items())
    records = shipped._replace(left_out=days).shown("queries")
    return (
        f"SELECT {over_cells} FROM (SELECT *, arrayJoin({_OUTCOMES}) AS outcome FROM ({cells})) WHERE outcome.2 > 0"
        f" UNION ALL SELECT {over_records} FROM ({records})"
    )


def _cells(roll_up: RollUp, keys: list[str], shipped: Shipped, days: str, only: Collection[str] = ()) -> str:
    """The SELECT of the cells of some days by some of their keys, without what the queries with late calls put there.

    What these put there is worked out once more, and added with the other sign. The shortest and the longest of a cell
    may thereby be those of a query that left it; a report has that query beside the cell.
    """
    kinds = {name: kind for name, (kind, _) in roll_up.kept.items() if not only or name in only}
    kept = {name: _added(kind) for name, kind in kinds.items()}
    signed = {name: f"toInt64({name})" if "UInt64" in kind else name for name, kind in kinds.items()}
    listed = ", ".join([*keys, *(f"{value} AS {name}" for name, value in signed.items())])
    rows = f"SELECT {listed} FROM {shipped.database}.{roll_up.name} WHERE toDate(start) IN ({days})"
    if shipped.late:
        late = f"toDate(start_time) IN ({days}) AND query_id IN {shipped.with_late_calls}"
        negated = (f"{'-' if kept[name] == 'sum' else ''}{value} AS {name}" for name, value in signed.items())
        again = roll_up.select(late, f"{shipped.database}.queries")
        rows += f" UNION ALL SELECT {', '.join([*keys, *negated])} FROM ({again})"
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    added = ", ".join([*keys, *(f"{how}({name}) AS {name}" for name, how in kept.items())])
    return f"SELECT {added} FROM ({rows}){grouped} HAVING sum(records) > 0"


_OF_HOURS = frozenset(
    {
        "started_us",
        "parent_id",
        "duration_ns",
        "shortest_ns",
        "longest_ns",
        "status",
        "success",
        "error_type",
        "weight",
    }
)
"""The columns that the hours have."""


def _added(kind: str) -> str:
    """The aggregate that puts two cells' values of a column together."""
    return kind.partition("(")[2].partition(",")[0]


def rolled_days(tables: ClickHouseTables, exact: bool | None) -> list[str]:
    """The days (`2026-11-25`) of the tables' period to read from roll-ups: none where records are quick enough.

    `exact` False takes roll-ups wherever they cover enough days. Days are UTC.
    """
    try:
        first, last = _whole_days(tables.shipped.since, tables.shipped.until)
        found = rollups.days(tables.client, first, last, late=tables.shipped.late)
    except RefusedError as error:
        if error.code in (_NO_TABLE, _NO_COLUMN):  # an older shipper made this database
            return []
        raise
    if exact is None and sum(day.records for day in found) < ROLLED_FROM:
        return []
    days = [day.name for day in found if day.is_right and day.late <= MOST_LATE * day.records]
    return days if len(days) >= LEAST_DAYS else []


def _whole_days(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """The first and the last day that lie in a period whole, "" where it has no bound; `until` is included."""
    first = last = ""
    if since is not None:
        day = since.astimezone(UTC).date()
        begins = datetime.combine(day, time(), UTC)
        first = str(day if begins == since else day + timedelta(days=1))
    if until is not None:
        last = str((until.astimezone(UTC) + timedelta(microseconds=1)).date() - timedelta(days=1))
    return first, last
