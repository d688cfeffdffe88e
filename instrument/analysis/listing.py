"""Lists of queries a page at a time, and where one query lies among its agent's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from instrument.analysis.charts import DECADE, histogram
from instrument.analysis.measures import counting
from instrument.analysis.results import Histogram, QueryLine
from instrument.analysis.search import SHOWN, SORTS, line_of
from instrument.analysis.timeline import ROOTS
from instrument.errors import UsageError
from instrument.store.tables import Tables


class Key(Struct, frozen=True):
    """Where a page ends: the value it is sorted by, the start in µs, and the id of its last query."""

    value: float
    started_us: int
    query_id: str

    @property
    def text(self) -> str:
        """The key as a text that `Key.parsed` reads."""
        return f"{self.value!r}~{self.started_us}~{self.query_id}"

    @classmethod
    def parsed(cls, text: str) -> Key:
        """Read a key. Raises UsageError for what is none."""
        try:
            value, started, query_id = text.split("~", 2)
            return cls(float(value), int(started), query_id)
        except ValueError:
            raise UsageError(f"{text!r} names no place in a list of queries") from None


class Page(Struct, frozen=True):
    """A page of queries; `first` and `last` are the keys of its ends, `is_more` says whether further ones follow."""

    lines: list[QueryLine]
    first: Key | None
    last: Key | None
    is_more: bool


def page(tables: Tables, sort: str, limit: int, *, after: Key | None = None, before: Key | None = None) -> Page:
    """List the queries that lie behind a key, or before one, the greatest of `sort` first.

    Two readings: the first finds the value at which the page ends in narrow columns alone, the second fetches the rows.
    """
    if sort not in SORTS:
        raise UsageError(f"sort {sort!r} is unknown; choose {', '.join(SORTS)}")
    value = f"({SORTS[sort]})::DOUBLE"
    backwards = before is not None
    key = before or after
    order = "ASC" if backwards else "DESC"
    beyond, parameters = "true", {}
    if key is not None:
        sign = ">" if backwards else "<"
        place = "($value::DOUBLE, $started::BIGINT, $id)"
        beyond = f"(({value}, started_us, query_id) {sign} {place}) AND {value} {sign}= $value"
        parameters = {"value": key.value, "started": key.started_us, "id": key.query_id}
    narrow = f"SELECT {value} AS v FROM {ROOTS} AND {beyond} ORDER BY v {order} LIMIT 1 OFFSET {limit}"
    last = tables.rows(narrow, parameters)
    reached = f"AND {value} {'<=' if backwards else '>='} $reached" if last else ""
    rows = tables.rows(
        f"""SELECT {SHOWN}, {value} AS v FROM {ROOTS} AND {beyond} {reached}
        ORDER BY v {order}, started_us {order}, query_id {order} LIMIT {limit + 1}""",
        parameters | ({"reached": last[0][0]} if last else {}),
    )
    is_more = len(rows) > limit
    rows = rows[:limit]
    if backwards:
        rows.reverse()
    ends = [Key(row[-1], row[1], row[0]) for row in (rows[0], rows[-1])] if rows else [None, None]
    return Page([line_of(row[:-1]) for row in rows], ends[0], ends[1], is_more if not backwards else True)


def neighbours(tables: Tables, sort: str, key: Key) -> tuple[str | None, str | None]:
    """The ids of the queries directly before and behind one in a list."""
    above, below = page(tables, sort, 1, before=key).lines, page(tables, sort, 1, after=key).lines
    return (above[-1].query_id if above else None), (below[0].query_id if below else None)


class Standing(Struct, frozen=True):
    """Where a duration lies among those of an agent: the share that were faster, of how many, and their histogram."""

    faster: float
    queries: float
    histogram: Histogram


def standing(tables: Tables, agent: str, duration_ms: float) -> Standing:
    """Hold a duration against those of an agent's queries in the tables."""
    source = f"{ROOTS} AND agent_type = $agent"
    counted: Sequence[tuple[Any, ...]] = tables.rows(
        f"""SELECT floor(log10(greatest(duration_ns, 1)) * {DECADE})::INTEGER, {counting(tables)},
            {counting(tables, "duration_ns < $ns")}
        FROM {source} GROUP BY 1""",
        {"agent": agent, "ns": duration_ms * 1e6},
    )
    total = sum(number for _, number, _ in counted)
    faster = sum(number for *_, number in counted)
    shape = histogram([(place, number) for place, number, _ in counted])
    return Standing(faster / total if total else 0.0, total, shape)


def inside(tables: Tables, query_id: str) -> list[QueryLine]:
    """The queries that ran inside one, by start."""
    rows = tables.rows(
        f"SELECT {SHOWN} FROM queries WHERE parent_id = $id ORDER BY started_us LIMIT 100", {"id": query_id}
    )
    return [line_of(row) for row in rows]


def failures_by_agent(tables: Tables) -> list[tuple[str, float, str, datetime]]:
    """Errors of failed queries: their type, how many, the agent that had most of them, and when the last one began.

    Of agents that had equally many, the first by name is said.
    """
    rows = tables.rows(
        f"""SELECT coalesce(error_type, CASE status WHEN 'error' THEN 'unknown' ELSE status END) AS error, agent_type,
            {counting(tables)} AS number, max(started_us)
        FROM {ROOTS} AND NOT success AND status <> 'cancelled' GROUP BY ALL ORDER BY number DESC, agent_type"""
    )
    counts: dict[str, float] = {}
    mostly: dict[str, str] = {}
    last: dict[str, int] = {}
    for error, agent, number, newest in rows:
        counts[error] = counts.get(error, 0.0) + number
        mostly.setdefault(error, agent)
        last[error] = max(last.get(error, 0), newest)
    return [
        (error, float(number), mostly[error], datetime.fromtimestamp(last[error] / 1e6, UTC))
        for error, number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


def complexities(tables: Tables, columns: int = 20) -> list[float]:
    """How many selections have a complexity score in each of so many equal parts of 0 to 1."""
    counts = [0.0] * columns
    for place, number in tables.rows(
        f"""SELECT least(greatest(floor(complexity_score * {columns}), 0), {columns - 1})::INTEGER, {counting(tables)}
        FROM selections WHERE complexity_score IS NOT NULL GROUP BY 1"""
    ):
        counts[place] += number
    return counts
