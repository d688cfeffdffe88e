"""The tables that reports read, defined once over the lines, wherever those lie.

`lines` has the raw columns of segments and compacted files alike. The rest are views over it that compute a column only
where a statement uses it, so that a report touches no more than its figures need.

A call that ended after its query was written stands on a line of its own, with the query's id, and with its place if
the query's line already has it, unfinished. Such lines are joined in only where there are any (`late`).
"""

from __future__ import annotations

import msgspec

from instrument.rows.columns import literal
from instrument.rows.fields import facts_structure

QUERY_ID = """coalesce(id, CAST(CAST(
    (CAST((t // 1000) & 281474976710655 AS UHUGEINT) << 80)
    | (CAST(28672 + t % 1000 * 4096 // 1000 AS UHUGEINT) << 64)
    | CAST(9223372036854775808::UBIGINT + (coalesce(i, 0) & 4611686018427387903)::UBIGINT AS UHUGEINT)
    AS UUID) AS VARCHAR))"""
"""What `_rows.derived_id` computes, for a line that does not keep its id."""

WEIGHT = "CASE WHEN w > 0 AND w < 1e15 THEN w ELSE 1 END"
AGENT = "coalesce(nullif(a, ''), 'unknown')"
SUCCEEDED = "coalesce(s IN ('ok', 'closed'), true)"

_TOOL_CALLS = "coalesce(tc, len(list_filter(c, lambda call: coalesce(call.k, 'tool') = 'tool')), 0)"
_GRAPHQL_QUERIES = "coalesce(gc, len(list_filter(c, lambda call: call.k = 'graphql')), 0)"

_MODEL_CALLS = "coalesce(mc, len(list_filter(c, lambda call: call.k = 'model')), 0)"
_COST_USD = "coalesce(cost_usd, nullif(TRY_CAST(metrics ->> 'cost_usd' AS DOUBLE), 'nan'))"
_TOTALS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
"""What a query's model calls add up to; those that ended after it are added on reading."""


def _totals(late: bool) -> str:
    """The columns of those totals, with what late calls add to them."""
    columns = ((name, _COST_USD if name == "cost_usd" else f"lines.{name}") for name in _TOTALS)
    if not late:
        return ", ".join(f"{own} AS {name}" for name, own in columns)
    return ", ".join(
        f"CASE WHEN more_{name} IS NULL THEN {own} ELSE coalesce({own}, 0) + more_{name} END AS {name}"
        for name, own in columns
    )


_SHAPE = literal(msgspec.json.encode(facts_structure()).decode())


def facts_of(expression: str) -> str:
    """What is known of a model, as a struct, out of the JSON that a call has of it."""
    return f"json_transform({expression}, {_SHAPE})"


def _model_facts(expression: str) -> str:
    """The columns of what is known of a model; the JSON is read once for all of them."""
    facts = facts_of(expression)
    return f"""
    {facts}.m AS model,
    {facts}.p AS provider,
    {facts}.i AS input_tokens,
    {facts}.o AS output_tokens,
    {facts}.c AS cached_tokens,
    {facts}.r AS reasoning_tokens,
    {facts}.f AS first_chunk_ns,
    {facts}.f / 1e6 AS first_chunk_ms,
    {facts}.u AS cost_usd,
    {facts}.q AS input,
    {facts}.a AS output"""


_QUERIES = f"""
SELECT
    {QUERY_ID} AS query_id,
    t AS started_us,
    make_timestamp(t) AS start_time,
    make_timestamp(t + coalesce(d, 0) // 1000) AS end_time,
    coalesce(d, 0) AS duration_ns,
    coalesce(d, 0) / 1e6 AS duration_ms,
    coalesce(s, 'ok') AS status,
    {SUCCEEDED} AS success,
    e AS error_type,
    m AS error_message,
    coalesce(x, false) AS passed_on,
    {AGENT} AS agent_type,
    coalesce(q, '') AS user_input,
    coalesce(n, '') AS name,
    parent AS parent_id,
    entities AS entities_detected,
    r AS result_size_bytes,
    {_TOOL_CALLS}{{more_tools}} AS tool_calls,
    {_GRAPHQL_QUERIES}{{more_graphql}} AS graphql_queries,
    {_MODEL_CALLS}{{more_models}} AS model_calls,
    coalesce(mc, 0) AS unseen_model_calls,
    selection,
    attributes,
    metrics,
    {{totals}},
    model,
    f AS first_chunk_ns,
    f / 1e6 AS first_chunk_ms,
    {WEIGHT} AS weight,
    o.h AS host,
    o.p AS process
FROM lines{{joined}}
WHERE type IS NULL
"""

_INSIDE = f"""
SELECT
    {QUERY_ID} AS query_id,
    coalesce(call.k, 'tool') AS kind,
    coalesce(call.n, '') AS name,
    t + coalesce(call.b, 0) // 1000 AS started_us,
    call.d AS duration_ns,
    call.d / 1e6 AS duration_ms,
    CASE WHEN call.d IS NULL THEN 'abandoned' ELSE coalesce(call.s, 'ok') END AS status,
    call.d IS NOT NULL AND coalesce(call.s IN ('ok', 'closed'), true) AS success,
    call.e AS error_type,
    coalesce(call.x, false) AS passed_on,
    {AGENT} AS agent_type,
    {WEIGHT} AS weight,
    {_model_facts("call.g")},
    call.h AS variables_hash
FROM (SELECT id, t, i, a, w, unnest(c) AS call FROM lines WHERE type IS NULL)
"""

_LOOSE = f"""
SELECT
    parent AS query_id,
    coalesce(k, 'tool') AS kind,
    coalesce(n, '') AS name,
    t AS started_us,
    coalesce(d, 0) AS duration_ns,
    coalesce(d, 0) / 1e6 AS duration_ms,
    coalesce(s, 'ok') AS status,
    {SUCCEEDED} AS success,
    e AS error_type,
    coalesce(x, false) AS passed_on,
    NULL AS agent_type,
    {WEIGHT} AS weight,
    {_model_facts("g")},
    h AS variables_hash
FROM lines
WHERE type = 'call'
"""

_SELECTIONS_INSIDE = f"""
SELECT
    {QUERY_ID} AS query_id,
    selection.t AS selected_us,
    coalesce(nullif(selection.a, ''), 'unknown') AS selected_agent,
    selection.score AS complexity_score,
    selection.why AS selection_reason,
    {AGENT} AS agent_type,
    parent IS NOT NULL AS nested,
    {WEIGHT} AS weight
FROM lines
WHERE type IS NULL AND selection IS NOT NULL
"""

_SELECTIONS_LOOSE = f"""
SELECT parent, t, {AGENT}, score, why, {AGENT}, false, 1
FROM lines
WHERE type = 'selection'
"""

_HEALTH = """
SELECT t AS said_us, coalesce(list_sum(map_values(dropped)), 0)::BIGINT AS dropped_total, dropped, problems,
    o.h AS host, o.p AS process
FROM lines WHERE type = 'health'
"""

_PARENTS = f"""
CREATE TABLE late_parents AS
SELECT id AS query_id, agent_type FROM (
    SELECT {QUERY_ID} AS id, {AGENT} AS agent_type FROM lines WHERE type IS NULL)
WHERE id IN (SELECT parent FROM lines WHERE type = 'call' AND parent IS NOT NULL)
"""

_UNFINISHED = f"""
CREATE TABLE unfinished AS
SELECT {QUERY_ID} AS query_id, place - 1 AS place, call, t + coalesce(call.b, 0) // 1000 AS started_us,
    {AGENT} AS agent_type, {WEIGHT} AS weight
FROM (SELECT id, t, i, a, w, unnest(c) AS call, generate_subscripts(c, 1) AS place FROM lines WHERE type IS NULL)
WHERE call.d IS NULL
"""

_LATE_CALLS = f"""
CREATE TABLE late AS
SELECT lines.parent AS query_id, lines.place, t, n, k, coalesce(d, 0) AS d, s, e, m, coalesce(x, false) AS x, r, g, h,
    {WEIGHT} AS weight, unfinished.place IS NOT NULL AS fills, late_parents.agent_type
FROM lines
LEFT JOIN unfinished ON unfinished.query_id = lines.parent AND unfinished.place = lines.place
LEFT JOIN late_parents ON late_parents.query_id = lines.parent
WHERE type = 'call' AND parent IS NOT NULL
"""

_LINKED = f"""
CREATE TABLE linked AS
SELECT parent, arg_min({{t: t, a: a, score: score, why: why, q: q}}, t) AS choice
FROM lines
WHERE type = 'selection'
    AND parent IN (SELECT {QUERY_ID} FROM lines WHERE type IS NULL AND selection IS NULL)
GROUP BY parent
"""

_LATE_TOTALS = ", ".join(
    f"sum({facts_of('g')}.{key}) AS more_{name}" for name, key in zip(_TOTALS, ("i", "o", "c", "r", "u"), strict=True)
)

_JOINED_COUNTS = f"""
LEFT JOIN (
    SELECT query_id AS more_of,
        count(*) FILTER (NOT fills AND coalesce(k, 'tool') = 'tool') AS more_tools,
        count(*) FILTER (NOT fills AND k = 'graphql') AS more_graphql,
        count(*) FILTER (NOT fills AND k = 'model') AS more_models,
        {_LATE_TOTALS}
    FROM late GROUP BY query_id
) ON more_of = {QUERY_ID}"""

_FILLED = f"""
SELECT unfinished.query_id, coalesce(call.k, 'tool') AS kind, coalesce(call.n, '') AS name, started_us,
    d AS duration_ns, d / 1e6 AS duration_ms,
    CASE WHEN fills THEN coalesce(s, 'ok') ELSE 'abandoned' END AS status,
    fills IS NOT NULL AND coalesce(s IN ('ok', 'closed'), true) AS success,
    CASE WHEN fills THEN e ELSE call.e END AS error_type,
    coalesce(late.x, call.x, false) AS passed_on, unfinished.agent_type, unfinished.weight,
    {_model_facts("coalesce(g, call.g)")}, coalesce(h, call.h) AS variables_hash
FROM unfinished
LEFT JOIN late ON late.query_id = unfinished.query_id AND late.place = unfinished.place
"""

_UNFILLING = f"""
SELECT query_id, coalesce(k, 'tool') AS kind, coalesce(n, '') AS name, t AS started_us,
    d AS duration_ns, d / 1e6 AS duration_ms, coalesce(s, 'ok') AS status,
    coalesce(s IN ('ok', 'closed'), true) AS success, e AS error_type, x AS passed_on, agent_type, weight,
    {_model_facts("g")}, h AS variables_hash
FROM late WHERE NOT fills
"""


KINDS = """
SELECT (SELECT bool_or(w <> 1) FROM lines WHERE w IS NOT NULL),
    (SELECT list(DISTINCT CASE WHEN parent IS NULL THEN type ELSE type || ' of a query' END)
    FROM lines WHERE type IS NOT NULL)
"""
"""Whether any record stands for more than itself, and which kinds of lines there are beside queries.

A compacted file's statistics say where there is neither a weight nor a kind: such parts are not read."""

LATE, LINKED = "call of a query", "selection of a query"


def definitions(kinds: frozenset[str]) -> list[str]:
    """The statements that make the tables over `lines`, given which of the kinds above there are.

    What there is none of is left out: an empty branch of a UNION still slows the other by half.
    """
    more = {"joined": "", "more_tools": "", "more_graphql": "", "more_models": "", "totals": _totals(late=False)}
    calls, selections = [_INSIDE], [_SELECTIONS_INSIDE]
    if LATE in kinds:
        more = {
            "joined": _JOINED_COUNTS,
            "more_tools": " + coalesce(more_tools, 0)",
            "more_graphql": " + coalesce(more_graphql, 0)",
            "more_models": " + coalesce(more_models, 0)",
            "totals": _totals(late=True),
        }
        calls = [f"{_INSIDE} WHERE call.d IS NOT NULL", _FILLED, _UNFILLING]
    if "call" in kinds:
        calls.append(f"{_LOOSE} AND parent IS NULL")
    if {"selection", LINKED} & kinds:
        selections.append(_SELECTIONS_LOOSE)
    return [
        *([_PARENTS, _UNFINISHED, _LATE_CALLS] if LATE in kinds else []),
        *([_LINKED] if LINKED in kinds else []),
        f"CREATE VIEW queries AS {_QUERIES.format(**more)}",
        f"CREATE VIEW calls AS {' UNION ALL '.join(calls)}",
        f"CREATE VIEW selections AS {' UNION ALL '.join(selections)}",
        f"CREATE VIEW health AS {_HEALTH}",
    ]
