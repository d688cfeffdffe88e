"""Which queries are meant: filters such as `agent=crewai`, `duration>5s` or `tenant=north`, all of them true.

    name    agent, status, outcome, duration, model, input, error, message, id, name, parent, host, process, session,
            entity, tool, operation, call_error, complexity, reason, cost, tokens, input_tokens, output_tokens, calls,
            tool_calls, graphql_queries, model_calls, result_size, first_chunk, or the name of an attribute or a custom
            metric; `attribute:NAME` and `metric:NAME` where one hides another
    =  !=   is, is not; an empty value stands for what is not there (`model=`)
    ~  !~   contains, does not contain, in capitals or not
    > >= < <=   numbers, and durations with a unit (`500ms`, `5s`, `2m`, `1h`; a bare number is milliseconds)

A name or value in quotes is taken as it stands. Filters become a condition with parameters; no text of theirs ever
becomes a part of a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

from msgspec import Struct

from instrument.errors import UsageError
from instrument.store.tables import Tables

Operator = Literal["=", "!=", "~", "!~", ">", ">=", "<", "<="]
_Kind = Literal["text", "number", "duration", "names", "calls"]

_WRITTEN = re.compile(
    r"""\s*(?P<name>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^=!~<>"']+?)\s*(?P<operator>!=|!~|>=|<=|==|=|~|>|<)\s*(?P<value>.*)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|µs|ms|s|m|min|h|d)?")
ATTRIBUTE, METRIC = "attribute:", "metric:"
_UNITS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}


class Filter(Struct, frozen=True):
    """One condition: a name, an operator and a value, as `parsed` reads them."""

    name: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        name = self.name if re.fullmatch(r"[\w.:-]+", self.name) else _quoted(self.name)
        plain = self.value and self.value == self.value.strip() and self.value[0] not in "\"'"
        return f"{name}{self.operator}{self.value if plain or not self.value else _quoted(self.value)}"


class Condition(Struct, frozen=True):
    """What filters come to: an SQL condition over the table `queries`, and its parameters.

    `inside` is the same over `calls` and `selections`, where these know enough for it.
    """

    queries: str
    parameters: dict[str, Any]
    inside: str | None = None


Where = str | Filter | Iterable[str | Filter]
"""How filters are given: one or several, as texts or read already."""


class _Field(Struct, frozen=True):
    kind: _Kind
    sql: str
    """Over `queries`; for `calls` a condition over `calls` that goes before the one on `name`."""
    of_call: str = "name"


_STATUS_ERROR = (
    "CASE WHEN NOT success THEN coalesce(error_type, CASE status WHEN 'error' THEN 'unknown' ELSE status END) END"
)
_OUTCOME = "CASE WHEN status = 'cancelled' THEN 'cancelled' WHEN success THEN 'succeeded' ELSE 'failed' END"
_SESSION = "coalesce({})".format(
    ", ".join(
        f"json_extract_string(attributes, '/{key}')"
        for key in ("session", "session_id", "session.id", "conversation_id", "gen_ai.conversation.id")
    )
)

FIELDS: dict[str, _Field] = {
    "agent": _Field("text", "agent_type"),
    "status": _Field("text", "status"),
    "outcome": _Field("text", _OUTCOME),
    "duration": _Field("duration", "duration_ms"),
    "model": _Field("text", "model"),
    "input": _Field("text", "user_input"),
    "error": _Field("text", _STATUS_ERROR),
    "message": _Field("text", "error_message"),
    "id": _Field("text", "query_id"),
    "name": _Field("text", "name"),
    "parent": _Field("text", "parent_id"),
    "host": _Field("text", "host"),
    "process": _Field("number", "process"),
    "session": _Field("text", _SESSION),
    "entity": _Field("names", "entities_detected"),
    "tool": _Field("calls", "kind = 'tool'"),
    "operation": _Field("calls", "kind = 'graphql'"),
    "call_error": _Field("calls", "NOT success", "coalesce(error_type, status)"),
    "complexity": _Field("number", "selection.score"),
    "reason": _Field("text", "selection.why"),
    "cost": _Field("number", "cost_usd"),
    "tokens": _Field("number", "coalesce(input_tokens + output_tokens, input_tokens, output_tokens)"),
    "input_tokens": _Field("number", "input_tokens"),
    "output_tokens": _Field("number", "output_tokens"),
    "cached_tokens": _Field("number", "cached_tokens"),
    "reasoning_tokens": _Field("number", "reasoning_tokens"),
    "calls": _Field("number", "tool_calls + graphql_queries + model_calls"),
    "tool_calls": _Field("number", "tool_calls"),
    "graphql_queries": _Field("number", "graphql_queries"),
    "model_calls": _Field("number", "model_calls"),
    "result_size": _Field("number", "result_size_bytes"),
    "first_chunk": _Field("duration", "first_chunk_ms"),
}
"""The names that every store knows; attributes and custom metrics come beside them."""

ALIASES = {
    "agent_type": "agent",
    "duration_ms": "duration",
    "user_input": "input",
    "error_type": "error",
    "error_message": "message",
    "query_id": "id",
    "parent_id": "parent",
    "entities_detected": "entity",
    "complexity_score": "complexity",
    "cost_usd": "cost",
    "selection_reason": "reason",
    "result_size_bytes": "result_size",
    "first_chunk_ms": "first_chunk",
}
"""The records' own names mean the same."""


def parsed(where: Where) -> tuple[Filter, ...]:
    """Read filters, given as one or several texts. Raises UsageError for one that is none."""
    given = [where] if isinstance(where, (str, Filter)) else list(where)
    return tuple(each if isinstance(each, Filter) else _read(each) for each in given)


def _read(text: str) -> Filter:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise UsageError(f"--where {text!r} is no filter; write name=value, such as agent=crewai or 'duration>5s'")
    operator = "=" if found["operator"] == "==" else found["operator"]
    return Filter(_unquoted(found["name"]), cast(Operator, operator), _unquoted(found["value"].strip()))


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def picked(tables: Tables, where: Where) -> Tables:
    """The tables with only the queries that the filters pick, their calls and selections; the same ones without any.

    Raises UsageError for a filter that is none, and for a name that nothing in the tables has.
    """
    condition = compiled(where, tables)
    if condition is None:
        return tables
    return tables.picked(condition.queries, condition.parameters, condition.inside)


def compiled(where: Where, tables: Tables) -> Condition | None:
    """Make filters a condition over the tables; None when there are none. Raises UsageError as `picked` does."""
    filters = parsed(where)
    if not filters:
        return None
    compiler = _Compiler(tables)
    condition = " AND ".join(f"({compiler.condition(each)})" for each in filters)
    # Calls and selections know their query's agent.
    of_agents = all(canonical(each.name) == "agent" for each in filters)
    return Condition(condition, compiler.parameters, f"agent_type IS NOT NULL AND {condition}" if of_agents else None)


def names_of(tables: Tables, column: Literal["attributes", "metrics"]) -> list[str]:
    """The names of the attributes or custom metrics that the queries of the tables have, sorted."""
    statement = f"""
        SELECT DISTINCT unnest(json_keys({column})) AS key FROM queries
        WHERE json_type({column}) = 'OBJECT' ORDER BY key"""
    return [name for (name,) in tables.rows(statement)]


def canonical(name: str) -> str:
    """The name of a filter as `FIELDS` has it, where it is one of these."""
    return ALIASES.get(name.lower(), name.lower())


class _Compiler:
    """Turns filters into conditions; collects their parameters."""

    def __init__(self, tables: Tables) -> None:
        self.parameters: dict[str, Any] = {}
        self._tables = tables

    def condition(self, asked: Filter) -> str:
        field = FIELDS.get(canonical(asked.name))
        if field is None:
            return self._free(asked)
        if field.kind == "text":
            return self._text(field.sql, asked)
        if field.kind in ("number", "duration"):
            return self._number(field.sql, asked, field.kind)
        if field.kind == "names":
            return self._any_of(f"list_filter({field.sql}, lambda name: {{}})", "name", asked)
        return self._of_calls(field, asked)

    def _parameter(self, value: Any) -> str:
        name = f"where_{len(self.parameters)}_"  # closed, so that none begins like another
        self.parameters[name] = value
        return f"${name}"

    def _text(self, sql: str, asked: Filter) -> str:
        if asked.operator not in ("=", "!=", "~", "!~"):
            raise UsageError(f"--where {asked}: {asked.name} is a text; compare it with =, !=, ~ or !~")
        return _negated(asked, self._positive(sql, asked))

    def _positive(self, sql: str, asked: Filter) -> str:
        """The condition of `=` or `~`, never NULL, whichever of the four operators is asked for."""
        value = self._parameter(asked.value.lower() if "~" in asked.operator else asked.value)
        if "~" in asked.operator:
            return f"contains(lower(coalesce({sql}, '')), {value})"
        return f"coalesce({sql}, '') = {value}"

    def _number(self, sql: str, asked: Filter, kind: str) -> str:
        if not asked.value and asked.operator in ("=", "!="):
            return _negated(asked, f"({sql}) IS NULL")
        value = self._parameter(wanted_number(asked, is_duration=kind == "duration"))
        if asked.operator == "!=":
            return f"({sql}) IS DISTINCT FROM {value}"
        return f"coalesce(({sql}) {asked.operator} {value}, false)"

    def _any_of(self, shape: str, sql: str, asked: Filter) -> str:
        if asked.operator not in ("=", "!=", "~", "!~"):
            raise UsageError(f"--where {asked}: {asked.name} is a text; compare it with =, !=, ~ or !~")
        if not asked.value:
            return _negated(asked, f"coalesce(len({shape.format('true')}), 0) = 0")
        return _negated(asked, f"coalesce(len({shape.format(self._positive(sql, asked))}), 0) > 0")

    def _of_calls(self, field: _Field, asked: Filter) -> str:
        if asked.operator not in ("=", "!=", "~", "!~"):
            raise UsageError(f"--where {asked}: {asked.name} is a text; compare it with =, !=, ~ or !~")
        source = f"SELECT query_id FROM {self._tables.whole}.calls WHERE query_id IS NOT NULL AND {field.sql}"
        if not asked.value:
            return _negated(asked, f"query_id NOT IN ({source})")
        return _negated(asked, f"query_id IN ({source} AND {self._positive(field.of_call, asked)})")

    def _free(self, asked: Filter) -> str:
        column, name = self._named(asked)
        value = f"json_extract_string({column}, {self._parameter(_pointer(name))})"
        if column == "metrics":
            return self._number(f"TRY_CAST({value} AS DOUBLE)", asked, "number")
        number = plain_number(asked.value)
        if asked.operator in ("=", "!=") and number is not None:
            same = f"coalesce(TRY_CAST({value} AS DOUBLE) = {self._parameter(number)}, false)"
            return _negated(asked, f"({self._positive(value, asked)} OR {same})")
        if asked.operator in ("=", "!=", "~", "!~"):
            return _negated(asked, self._positive(value, asked))
        if number is not None:
            value, limit = f"TRY_CAST({value} AS DOUBLE)", self._parameter(number)
        else:
            limit = self._parameter(asked.value)
        return f"coalesce({value} {asked.operator} {limit}, false)"

    def _named(self, asked: Filter) -> tuple[Literal["attributes", "metrics"], str]:
        """Where a name that is none of ours stands; raises UsageError when no query of the period has it."""
        places: list[tuple[Literal["attributes", "metrics"], str]] = [
            ("attributes", asked.name.removeprefix(ATTRIBUTE)),
            ("metrics", asked.name.removeprefix(METRIC)),
        ]
        if asked.name.startswith(METRIC):
            places.reverse()
        for column, name in places:
            if self._exists(column, name):
                return column, name
        if self._tables.rows("SELECT 1 FROM queries LIMIT 1"):
            raise UsageError(self._unknown(asked))
        return places[0]  # over nothing at all, nothing can be wrong

    def _exists(self, column: str, name: str) -> bool:
        statement = f"SELECT 1 FROM queries WHERE json_exists({column}, $name) LIMIT 1"
        return bool(self._tables.rows(statement, {"name": _pointer(name)}))

    def _unknown(self, asked: Filter) -> str:
        known = [*FIELDS, *names_of(self._tables, "attributes"), *names_of(self._tables, "metrics")]
        import difflib  # only where a name is wrong: it is slow to import

        near = difflib.get_close_matches(asked.name.lower(), known, n=1)
        advice = f"did you mean {near[0]}?" if near else "names are " + ", ".join(known[:12]) + " and more"
        return f"--where {asked}: no query of this period has an attribute or metric {asked.name!r}; {advice}"


def _negated(asked: Filter, condition: str) -> str:
    return f"NOT ({condition})" if asked.operator.startswith("!") else condition


def _pointer(name: str) -> str:
    """The JSON pointer to a key, whatever characters it has."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def wanted_number(asked: Filter, *, is_duration: bool) -> float:
    """The number that a filter compares with, durations in ms. Raises UsageError for what is none."""
    if "~" in asked.operator:
        raise UsageError(f"--where {asked}: {asked.name} is a number; compare it with =, !=, >, >=, < or <=")
    return _milliseconds(asked) if is_duration else _number_of(asked)


def _milliseconds(asked: Filter) -> float:
    found = milliseconds(asked.value)
    if found is None:
        raise UsageError(f"--where {asked}: {asked.value!r} is no duration; write 500ms, 5s, 2m or 1h")
    return found


def milliseconds(text: str) -> float | None:
    """A duration such as `500ms`, `5s` or `2m` in ms; None for what is none."""
    found = _DURATION.fullmatch(text.strip())
    return None if found is None else float(found[1]) * _UNITS[found[2] or "ms"]


def _number_of(asked: Filter) -> float:
    number = plain_number(asked.value)
    if number is None:
        raise UsageError(f"--where {asked}: {asked.value!r} is no number")
    return number


def plain_number(text: str) -> float | None:
    """A number as people write it; None for what is none."""
    try:
        number = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return None
    return number if number == number else None


def names(tables: Tables) -> Iterator[str]:
    """Every name that a filter over these tables may have."""
    yield from FIELDS
    yield from names_of(tables, "attributes")
    yield from names_of(tables, "metrics")
