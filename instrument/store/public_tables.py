"""The tables that a user's own SQL sees: documented columns, with the names of the records' fields.

Their names and meanings are stable; what lies behind them (`store.views`, the lines on disk) is not. Times are
timestamps in UTC. `attributes` and `metrics` are JSON objects: `attributes ->> 'tenant'` is an attribute as text,
`(metrics ->> 'score')::DOUBLE` a custom metric.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEMA = "records"
"""The schema of these tables; those of the same name that reports ask are in `main`."""


class Column(NamedTuple):
    """One column: its name, its SQL type, what it means, and the expression over the inner table that gives it."""

    name: str
    type: str
    meaning: str
    sql: str = ""


_TEXT, _REAL, _WHOLE, _TIME, _TRUTH, _COUNTS = (
    "VARCHAR",
    "DOUBLE",
    "BIGINT",
    "TIMESTAMP",
    "BOOLEAN",
    "MAP(VARCHAR, BIGINT)",
)

TABLES: dict[str, tuple[Column, ...]] = {
    "queries": (
        Column("query_id", _TEXT, "the query's id, a UUID that sorts by time"),
        Column("start_time", _TIME, "when it began, UTC"),
        Column("end_time", _TIME, "when it ended, UTC"),
        Column("duration_ms", _REAL, "how long it took, ms"),
        Column("agent_type", _TEXT, "the agent that handled it; unknown where nobody said"),
        Column("name", _TEXT, "the function or span that recorded it"),
        Column("user_input", _TEXT, "what the user asked"),
        Column("status", _TEXT, "ok, error, cancelled, closed or abandoned"),
        Column("success", _TRUTH, "whether it ended well: ok or closed"),
        Column("error_type", _TEXT, "the type of the error that ended it"),
        Column("error_message", _TEXT, "the error's message"),
        Column("passed_on", _TRUTH, "whether a record inside failed by the same exception"),
        Column("parent_id", _TEXT, "the query around it; NULL for a query of its own"),
        Column("entities_detected", "VARCHAR[]", "the entities it is about"),
        Column("result_size_bytes", _WHOLE, "the size of its result, bytes"),
        Column("first_chunk_ms", _REAL, "the time to the first chunk of a stream, ms"),
        Column("tool_calls", _WHOLE, "how many tool calls it made"),
        Column("graphql_queries", _WHOLE, "how many GraphQL calls it made"),
        Column("model_calls", _WHOLE, "how many model calls it made"),
        Column("model", _TEXT, "the model that it used last"),
        Column("input_tokens", _WHOLE, "tokens given to models"),
        Column("output_tokens", _WHOLE, "tokens that models answered"),
        Column("cached_tokens", _WHOLE, "input tokens that a cache had"),
        Column("reasoning_tokens", _WHOLE, "output tokens spent on reasoning"),
        Column("cost_usd", _REAL, "what its model calls cost, US dollars"),
        Column("selected_agent", _TEXT, "the agent that a selector chose for it", "{choice}.a"),
        Column("complexity_score", _REAL, "the selector's complexity score, usually 0 to 1", "{choice}.score"),
        Column("selection_reason", _TEXT, "why this agent was chosen", "{choice}.why"),
        Column("attributes", "JSON", "attributes, an object"),
        Column("metrics", "JSON", "custom metrics, an object of numbers"),
        Column("weight", _REAL, "how many queries it stands for; 1 unless sampled"),
        Column("host", _TEXT, "the machine that recorded it"),
        Column("process", _WHOLE, "the process that recorded it"),
    ),
    "calls": (
        Column("query_id", _TEXT, "the query that it was made in; NULL outside any"),
        Column("agent_type", _TEXT, "that query's agent"),
        Column("kind", _TEXT, "tool, graphql or model"),
        Column("name", _TEXT, "the tool, GraphQL operation or model"),
        Column("start_time", _TIME, "when it began, UTC", "make_timestamp(started_us)"),
        Column("duration_ms", _REAL, "how long it took, ms; NULL while unfinished"),
        Column("status", _TEXT, "ok, error, cancelled, closed or abandoned"),
        Column("success", _TRUTH, "whether it ended well: ok or closed"),
        Column("error_type", _TEXT, "the type of the error that ended it"),
        Column("passed_on", _TRUTH, "whether a record inside failed by the same exception"),
        Column("model", _TEXT, "the model, of a model call"),
        Column("provider", _TEXT, "who serves the model"),
        Column("input_tokens", _WHOLE, "tokens given to the model"),
        Column("output_tokens", _WHOLE, "tokens that it answered"),
        Column("cached_tokens", _WHOLE, "input tokens that a cache had"),
        Column("reasoning_tokens", _WHOLE, "output tokens spent on reasoning"),
        Column("first_chunk_ms", _REAL, "the time to the first chunk of the answer, ms"),
        Column("cost_usd", _REAL, "what it cost, US dollars"),
        Column("input", _TEXT, "the prompt, where capture_model_content keeps it"),
        Column("output", _TEXT, "the answer, likewise"),
        Column("variables_hash", _TEXT, "a keyed hash of a GraphQL call's variables"),
        Column("weight", _REAL, "how many calls it stands for; 1 unless sampled"),
    ),
    "selections": (
        Column("query_id", _TEXT, "the query that an agent was chosen for; NULL when none followed"),
        Column("timestamp", _TIME, "when the agent was chosen, UTC", "make_timestamp(selected_us)"),
        Column("selected_agent", _TEXT, "the agent that was chosen"),
        Column("complexity_score", _REAL, "the complexity score, usually 0 to 1"),
        Column("selection_reason", _TEXT, "why this agent was chosen"),
        Column("agent_type", _TEXT, "the agent that handled the query"),
        Column("nested", _TRUTH, "whether the query is inside another"),
        Column("weight", _REAL, "how many selections it stands for; 1 unless sampled"),
    ),
    "health": (
        Column("timestamp", _TIME, "when a process said what it had lost, UTC", "make_timestamp(said_us)"),
        Column("dropped_total", _WHOLE, "records dropped since it last said so"),
        Column("dropped", _COUNTS, "the same by reason"),
        Column("problems", _COUNTS, "problems of the instrumentation itself, by kind"),
        Column("host", _TEXT, "the machine"),
        Column("process", _WHOLE, "the process"),
    ),
}


def definitions(*, linked: bool) -> list[str]:
    """The statements that make these tables; `linked` says that there are selections on lines of their own."""
    choice = "coalesce(selection, linked_choice)" if linked else "selection"
    joined = """
        LEFT JOIN (SELECT parent AS linked_of, {'t': choice.t, 'a': choice.a, 'score': choice.score, 'why': choice.why,
            'q': choice.q} AS linked_choice FROM memory.main.linked) ON linked_of = query_id"""
    statements = [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"]
    for table, columns in TABLES.items():
        selected = ", ".join(
            f"({column.sql.format(choice=choice) or column.name})::{column.type} AS {column.name}" for column in columns
        )
        more = joined if linked and table == "queries" else ""
        statements.append(
            f"CREATE OR REPLACE VIEW {SCHEMA}.{table} AS SELECT {selected} FROM memory.main.{table}{more}"
        )
    return statements
