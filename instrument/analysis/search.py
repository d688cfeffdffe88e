"""From a figure to the queries behind it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from instrument.analysis.measures import FAILED
from instrument.analysis.periods import BEGINNING, Period
from instrument.analysis.report import check_agent
from instrument.analysis.results import QueryLine
from instrument.errors import NotFoundError, UsageError
from instrument.records import QueryRecord
from instrument.rows.decoding import free_object
from instrument.rows.stored import utc_text
from instrument.store.tables import Tables, instant, microseconds

_NAMED = 5
_OLDER = timedelta(hours=1)

SHORTEST_ID = 13
"""The part of an id that is its millisecond: what two queries hardly ever share."""


SHOWN = """query_id, started_us, agent_type, duration_ms, success, status, error_type, error_message, user_input,
    tool_calls, graphql_queries, model_calls, entities_detected, input_tokens, output_tokens,
    cost_usd, model, result_size_bytes, first_chunk_ms, attributes, metrics"""

SORTS = {
    "time": "started_us",
    "duration": "duration_ns",
    "tokens": "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)",
    "cost": "coalesce(cost_usd, 0)",
    "calls": "tool_calls + graphql_queries + model_calls",
}
"""What queries may be sorted by, the greatest first, in SQL."""


def find(
    tables: Tables,
    *,
    failed: bool = False,
    slow_ms: float | None = None,
    agent: str | None = None,
    contains: str | None = None,
    sort: str = "time",
    limit: int | None = 20,
) -> list[QueryLine]:
    """List the queries, `limit` at the most, for which everything asked for holds; by time the newest first.

    `slow_ms` asks for queries slower than that, `contains` for a text in the input, the error, the agent or the id, in
    capitals or not. Raises UsageError when no query of the period is of `agent`, and for an unknown `sort`.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} lists nothing; ask for 1 or more")
    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r} is unknown; choose {', '.join(SORTS)}")
    if agent is not None:
        check_agent(tables, agent)
    conditions, parameters = _conditions(failed, slow_ms, agent, contains)
    statement = f"""
        SELECT {SHOWN} FROM queries WHERE {" AND ".join(conditions)}
        ORDER BY {SORTS[sort]} DESC, started_us DESC, query_id DESC {"" if limit is None else f"LIMIT {limit}"}"""
    return [line_of(row) for row in tables.rows(statement, parameters)]


def line_of(row: tuple[Any, ...]) -> QueryLine:
    """A query in a list, out of the columns `SHOWN`."""
    query_id, started_us, *rest, entities, tokens_in, tokens_out, cost, model, size, chunk, attributes, metrics = row
    names = [name for name in entities or () if name is not None]
    figures = (tokens_in, tokens_out, cost, model, size, chunk)
    pairs = (free_object(attributes) or {}, free_object(metrics) or {})
    fields: tuple[Any, ...] = (query_id, utc_text(started_us), *rest, names, *figures, *pairs)
    return QueryLine(*fields)


def beginning_like(tables: Tables, query_ids: Iterable[str]) -> list[str]:
    """The ids in the tables that begin like one of these, so that a short form can tell them apart."""
    begin = [each[:SHORTEST_ID] for each in query_ids]
    statement = f"SELECT query_id FROM queries WHERE list_contains($begin, left(query_id, {SHORTEST_ID}))"
    return [query_id for (query_id,) in tables.rows(statement, {"begin": begin})] if begin else []


def _conditions(
    failed: bool, slow_ms: float | None, agent: str | None, contains: str | None
) -> tuple[list[str], dict[str, Any]]:
    asked: list[tuple[str, str, Any]] = [
        ("duration_ns > $slow_ns", "slow_ns", None if slow_ms is None else slow_ms * 1e6),
        ("agent_type = $agent", "agent", agent),
        (_CONTAINS, "text", None if contains is None else contains.lower()),
    ]
    wanted = [(condition, name, value) for condition, name, value in asked if value is not None]
    conditions = ["true", *([FAILED] if failed else []), *(condition for condition, _, _ in wanted)]
    return conditions, {name: value for _, name, value in wanted}


_CONTAINS = "({})".format(
    " OR ".join(
        f"contains(lower({column}), $text)"
        for column in (
            "user_input",
            "coalesce(error_type, '')",
            "coalesce(error_message, '')",
            "agent_type",
            "query_id",
        )
    )
)


def around(query_id: str, within: timedelta | None = None) -> Period | None:
    """The period to look for a query in, by the time in its id; None for an id without one, and for a part of one.

    It begins an hour before that time, as what belongs to a query may be a little older, and ends `within` so long
    after it, or now.
    """
    begun, now = _begun(query_id), datetime.now(UTC)
    if begun is None or begun > now:
        return None
    until = now if within is None else min(begun + within, now)
    return Period(max(BEGINNING, begun - _OLDER), until, now, UTC, "UTC")


def one(tables: Tables, id_or_prefix: str) -> QueryRecord:
    """The query with this id, or the only one whose id begins so.

    A whole id with a time in it is looked for at that time first, in a hundredth of the time. Raises NotFoundError when
    no query has it; UsageError, saying which there are, when several do.
    """
    wanted = id_or_prefix.strip().lower()
    if not wanted:
        raise UsageError("an empty id names no query; `metrics queries` lists the ids")
    place, ids = _found(tables, wanted)
    exact = [query_id for query_id in ids if query_id.lower() == wanted] or ids
    if not exact:
        raise NotFoundError(f"no query has the id {id_or_prefix!r}; `metrics queries` lists the ids")
    if len(exact) > 1:
        named = ", ".join(ids[:_NAMED]) + (" and more" if len(ids) > _NAMED else "")
        raise UsageError(f"several queries' ids begin with {id_or_prefix!r}: {named}; give more of the id")
    return next(tables.records(f"{place} AND query_id = $wanted", {"wanted": exact[0]}))


def _found(tables: Tables, wanted: str) -> tuple[str, list[str]]:
    """Where queries lie whose ids begin so, as an SQL condition, and their ids."""
    begun = _begun(wanted)
    places = ["true"]
    if begun is not None:
        first = microseconds(begun)
        places.insert(0, f"started_us BETWEEN {first} AND {first + 999}")
    ids: list[str] = []
    for place in places:
        statement = f"""
            SELECT query_id FROM queries WHERE {place} AND starts_with(lower(query_id), $wanted)
            ORDER BY ALL LIMIT {_NAMED + 1}"""
        ids = [query_id for (query_id,) in tables.rows(statement, {"wanted": wanted})]
        if ids:
            return place, ids
    return "true", ids


def _begun(query_id: str) -> datetime | None:
    """When a query began, to the millisecond, as its id says: a whole UUID of version 7 (RFC 9562, section 5.7)."""
    try:
        found = UUID(query_id.strip())
        return instant((found.int >> 80) * 1000) if found.version == 7 else None
    except (ValueError, OverflowError):  # no UUID, or a time that cannot be
        return None
