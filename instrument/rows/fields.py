"""Every field of a record, once: what it means, and its name in each of the shapes that a record has on its way.

A test holds all shapes against this table: live and stored rows, keys and columns on disk, the tables that SQL sees,
the records that users get and the entries of metrics.json. To add a field, add a row here; the test then says which
shapes lack it. The columns of `columns.py` are made from this table.

    row      its name in live and stored rows, "" where reading derives it
    key      its key on a line of its own
    inside   its key inside a query's line: in `c` for calls, in `selection` for selections
    type     its SQL type on disk
    view     its column in the table `queries`, `calls`, `selections` or `health`
    record   its name in the record that users see, and in metrics.json
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a kind of record; "" stands for a shape that does not have it."""

    meaning: str
    row: str = ""
    key: str = ""
    inside: str = ""
    type: str = ""
    view: str = ""
    record: str = ""


_BIG, _TEXT, _TRUTH, _REAL, _COUNTS = "BIGINT", "VARCHAR", "BOOLEAN", "DOUBLE", "MAP(VARCHAR, BIGINT)"

QUERY = (
    Field("Which query: a UUID that sorts by time.", "query_id", "id", "", _TEXT, "query_id", "query_id"),
    Field("Start: µs since 1970, UTC.", "started", "t", "", _BIG, "started_us"),
    Field("Start.", view="start_time", record="start_time"),
    Field("End.", view="end_time", record="end_time"),
    Field("The number that its id is made from, beside its start.", "serial", "i", "", _BIG),
    Field("Function or span that recorded it.", "name", "n", "", _TEXT, "name", "name"),
    Field("Type of the agent; `unknown` in SQL where there is none.",
          "agent", "a", "", _TEXT, "agent_type", "agent_type"),
    Field("What the user asked.", "user_input", "q", "", _TEXT, "user_input", "user_input"),
    Field("Duration, ns.", "duration", "d", "", _BIG, "duration_ns"),
    Field("Duration, ms.", view="duration_ms", record="duration_ms"),
    Field("The calls inside, by start.", "calls", "c", "", "", "", "calls"),
    Field("Number of tool calls; the key is there where calls are not known one by one.",
          "", "tc", "", _BIG, "tool_calls", "tool_calls"),
    Field("Number of GraphQL calls; the key likewise.", "", "gc", "", _BIG, "graphql_queries", "graphql_queries"),
    Field("Number of model calls; the key likewise.", "", "mc", "", _BIG, "model_calls", "model_calls"),
    Field("Of them those that are not known one by one: what an import said.", view="unseen_model_calls"),
    Field("Size of the result, bytes.", "result_size", "r", "", _BIG, "result_size_bytes", "result_size_bytes"),
    Field("How it ended: ok, error, cancelled, closed, abandoned.", "status", "s", "", _TEXT, "status", "status"),
    Field("Whether it ended well: ok or closed.", view="success", record="success"),
    Field("Type of the error.", "error", "e", "", _TEXT, "error_type", "error_type"),
    Field("Message of the error.", "message", "m", "", _TEXT, "error_message", "error_message"),
    Field("Whether a record inside failed by the same exception.",
          "passed_on", "x", "", _TRUTH, "passed_on", "passed_on"),
    Field("Time to the first chunk, ns.", "first_chunk", "f", "", _BIG, "first_chunk_ns"),
    Field("Time to the first chunk of a stream, ms.", view="first_chunk_ms", record="first_chunk_ms"),
    Field("Id of the query around it.", "parent", "parent", "", _TEXT, "parent_id", "parent_id"),
    Field("The choice of the agent.", "selection", "selection", "", "", "selection", "selection"),
    Field("Entities that it is about.",
          "entities", "entities", "", "VARCHAR[]", "entities_detected", "entities_detected"),
    Field("Attributes.", "attributes", "attributes", "", "JSON", "attributes", "attributes"),
    Field("Figures of the application's own.", "metrics", "metrics", "", "JSON", "metrics", "metrics"),
    Field("Tokens given to models.", "input_tokens", "input_tokens", "", _BIG, "input_tokens", "input_tokens"),
    Field("Tokens that models answered.", "output_tokens", "output_tokens", "", _BIG, "output_tokens", "output_tokens"),
    Field("Input tokens that a cache had.",
          "cached_tokens", "cached_tokens", "", _BIG, "cached_tokens", "cached_tokens"),
    Field("Output tokens spent on reasoning.",
          "reasoning_tokens", "reasoning_tokens", "", _BIG, "reasoning_tokens", "reasoning_tokens"),
    Field("Cost, US dollars.", "cost_usd", "cost_usd", "", _REAL, "cost_usd", "cost_usd"),
    Field("The model used last.", "model", "model", "", _TEXT, "model", "model"),
    Field("How many queries it stands for under sampling.", "weight", "w", "", _REAL, "weight", "weight"),
    Field("Where it was made.", "origin", "o", "", "STRUCT(h VARCHAR, p BIGINT)"),
    Field("Host.", view="host", record="host"),
    Field("Process id.", view="process", record="process"),
    Field("Version of the line's shape.", "version", "v", "", "INTEGER"),
)  # fmt: skip

CALL = (
    Field("Id of its query.", "parent", "parent", "", _TEXT, "query_id", "query_id"),
    Field("What it is: tool, graphql, model.", "kind", "k", "k", _TEXT, "kind", "kind"),
    Field("Name of the tool, operation or model.", "name", "n", "n", _TEXT, "name", "name"),
    Field("Start: µs since 1970, UTC.", "started", "t", "", _BIG, "started_us"),
    Field("Start, of a call outside any query.", record="start_time"),
    Field("Start, ns from the query's.", "begin", "", "b", _BIG),
    Field("Start, ms from the query's.", record="start_ms"),
    Field("Duration, ns; none while unfinished.", "duration", "d", "d", _BIG, "duration_ns"),
    Field("Duration, ms.", view="duration_ms", record="duration_ms"),
    Field("How it ended: ok, error, cancelled, closed, abandoned.", "status", "s", "s", _TEXT, "status", "status"),
    Field("Whether it ended well: ok or closed.", view="success", record="success"),
    Field("Type of the error.", "error", "e", "e", _TEXT, "error_type", "error_type"),
    Field("Message of the error.", "message", "m", "m", _TEXT, "", "error_message"),
    Field("Whether a record inside failed by the same exception.",
          "passed_on", "x", "x", _TRUTH, "passed_on", "passed_on"),
    Field("Size of the answer, bytes.", "result_size", "r", "r", _BIG, "", "result_size_bytes"),
    Field("Keyed hash of a GraphQL call's variables, or of its document if it has none.",
          "variables", "h", "h", _TEXT, "variables_hash", "variables_hash"),
    Field("Place of the enclosing call in the query's calls.", "parent", "", "p", "INTEGER", "", "parent"),
    Field("Its own place in the query's calls.", "place", "place", "", "INTEGER"),
    Field("Whether it ended after its query.", "late", "late", "l", _TRUTH, "", "late"),
    Field("Type of its query's agent.", view="agent_type"),
    Field("How many calls it stands for under sampling.", "weight", "w", "", _REAL, "weight", "weight"),
    Field("Model that was called.", "facts.model", "g.m", "g.m", _TEXT, "model", "model"),
    Field("Who serves the model.", "facts.provider", "g.p", "g.p", _TEXT, "provider", "provider"),
    Field("Tokens given to the model.",
          "facts.input_tokens", "g.i", "g.i", _BIG, "input_tokens", "input_tokens"),
    Field("Tokens it answered.", "facts.output_tokens", "g.o", "g.o", _BIG, "output_tokens", "output_tokens"),
    Field("Input tokens that a cache had.",
          "facts.cached_tokens", "g.c", "g.c", _BIG, "cached_tokens", "cached_tokens"),
    Field("Output tokens spent on reasoning.",
          "facts.reasoning_tokens", "g.r", "g.r", _BIG, "reasoning_tokens", "reasoning_tokens"),
    Field("Time to the first chunk, ns.", "facts.first_chunk", "g.f", "g.f", _BIG, "first_chunk_ns"),
    Field("Time to the first chunk, ms.", view="first_chunk_ms", record="first_chunk_ms"),
    Field("Cost, US dollars.", "facts.cost_usd", "g.u", "g.u", _REAL, "cost_usd", "cost_usd"),
    Field("Text of the prompt, where it is kept.", "facts.input", "g.q", "g.q", _TEXT, "input", "input"),
    Field("Text of the answer, where it is kept.", "facts.output", "g.a", "g.a", _TEXT, "output", "output"),
    Field("Where it was made.", "origin", "o", "", "STRUCT(h VARCHAR, p BIGINT)"),
    Field("Version of the line's shape.", "version", "v", "", "INTEGER"),
)  # fmt: skip

SELECTION = (
    Field("Id of its query.", "parent", "parent", "", _TEXT, "query_id", "query_id"),
    Field("When: µs since 1970, UTC.", "time", "t", "t", _BIG, "selected_us"),
    Field("When.", record="timestamp"),
    Field("The agent that was chosen.", "agent", "a", "a", _TEXT, "selected_agent", "selected_agent"),
    Field("What the user asked.", "user_input", "q", "q", _TEXT, "", "user_input"),
    Field("Complexity, usually 0 to 1.", "score", "score", "score", _REAL, "complexity_score", "complexity_score"),
    Field("Why this agent.", "why", "why", "why", _TEXT, "selection_reason", "selection_reason"),
    Field("Type of its query's agent.", view="agent_type"),
    Field("Whether its query is inside another.", view="nested"),
    Field("How many selections it stands for under sampling.", view="weight"),
    Field("Where it was made.", "origin", "o", "", "STRUCT(h VARCHAR, p BIGINT)"),
    Field("Version of the line's shape.", "version", "v", "", "INTEGER"),
)  # fmt: skip

HEALTH = (
    Field("When: µs since 1970, UTC.", "time", "t", "", _BIG, "said_us"),
    Field("Number of records dropped since the line before.", view="dropped_total"),
    Field("The same by reason.", "dropped", "dropped", "", _COUNTS, "dropped"),
    Field("Problems of ours since then, by kind.", "problems", "problems", "", _COUNTS, "problems"),
    Field("Where it was made.", "origin", "o", "", "STRUCT(h VARCHAR, p BIGINT)"),
    Field("Host.", view="host"),
    Field("Process id.", view="process"),
    Field("Version of the line's shape.", "version", "v", "", "INTEGER"),
)

FIELDS = {"queries": QUERY, "calls": CALL, "selections": SELECTION, "health": HEALTH}
"""The tables that SQL sees, each with its fields."""


FACTS = "g"
"""The key under which a call has what is known of a model. Tool calls, which are many, have nothing there.

On disk it is one column of JSON. Ten columns of mostly nothing in every call took compaction beyond its memory.
"""


def structure(fields: tuple[Field, ...]) -> str:
    """The SQL type of what fields make up inside a query's line."""
    parts = {key: "JSON" if inner else kind for key, inner, kind in _inside(fields)}
    return f"STRUCT({', '.join(f'{key} {kind}' for key, kind in parts.items())})"


def facts_structure() -> dict[str, str]:
    """The keys of what is known of a model, with their SQL types."""
    return {inner: kind for key, inner, kind in _inside(CALL) if key == FACTS and inner}


def _inside(fields: tuple[Field, ...]) -> list[tuple[str, str, str]]:
    split = ((field.inside.partition("."), field.type) for field in fields if field.inside)
    return [(key, inner, kind) for (key, _, inner), kind in split]
