"""Records from outside as lines of a store, and what is said of the entries that cannot be taken."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from instrument.rows import columns, stored
from instrument.rows.stored import CallRow, HealthRow, QueryRow, SelectionRow, StandaloneCallRow

Line = dict[str, Any]

_NO_MESSAGES: Mapping[int, str] = MappingProxyType({})


class SkippedEntry(Struct, frozen=True):
    """An entry that was not imported: of which file, where in it, and why."""

    file: str
    position: str
    reason: str


class CannotTakeError(Exception):
    """This entry cannot be taken, for the reason given."""


class Reader:
    """A file that is read; `skipped` and `notes` say afterwards what was not taken and what was assumed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.skipped: list[SkippedEntry] = []
        self.notes: set[str] = set()

    def skip(self, position: str, reason: object) -> None:
        """Note that an entry was not taken."""
        self.skipped.append(SkippedEntry(str(self.file), position, str(reason)))


def query_line(
    row: QueryRow,
    *,
    messages: Mapping[int, str] = _NO_MESSAGES,
    tool_calls: int | None = None,
    graphql_queries: int | None = None,
    model_calls: int | None = None,
) -> Line:
    """The line of a query; raises CannotTakeError for one without an id or with a time that cannot be.

    `messages` are those of its calls' errors, by place; the counts are what its source says of the calls.
    """
    if not row.query_id:
        raise CannotTakeError("it has no query_id")
    _check(row)
    row.metrics = {name: value for name, value in (row.metrics or {}).items() if is_finite(value)} or None
    of_models = (row.cached_tokens, row.reasoning_tokens, row.cost_usd) != (None, None, None)
    if of_models or any(call.facts is not None for call in row.calls):
        row.version = stored.WITH_MODEL_CALLS
    line: Line = msgspec.to_builtins(row)
    serial = _serial(row.query_id, row.started)
    if serial is not None:
        del line["id"]
        line["i"] = serial
    for place, message in messages.items():
        line["c"][place]["m"] = message
    counts = {
        "tc": _beside(tool_calls, row.calls, "tool"),
        "gc": _beside(graphql_queries, row.calls, "graphql"),
        "mc": _beside(model_calls, row.calls, "model"),
    }
    return line | {name: count for name, count in counts.items() if count is not None}


def selection_line(row: SelectionRow) -> Line:
    """The line of a selection."""
    line: Line = msgspec.to_builtins(row)
    return line


def call_line(row: StandaloneCallRow) -> Line:
    """The line of a call outside any query."""
    line: Line = msgspec.to_builtins(row)
    return line


def health_line(row: HealthRow) -> Line:
    """The line of what a process lost."""
    line: Line = msgspec.to_builtins(row)
    return line


def is_finite(value: object) -> bool:
    """Whether a value is a number that can be counted with."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def nanoseconds(milliseconds: float | None) -> int | None:
    """Milliseconds as whole ns; None for none, and for what is no number."""
    return round(milliseconds * 1e6) if is_finite(milliseconds) and milliseconds is not None else None


def _check(row: QueryRow) -> None:
    if not 0 <= row.duration <= columns.LONGEST_D:
        raise CannotTakeError(f"a duration of {row.duration / 1e6} ms cannot be")
    for call in row.calls:
        for value in (call.begin, call.duration or 0):
            if abs(value) > columns.LONGEST_D:
                raise CannotTakeError(f"a call at {value / 1e6} ms cannot be")


def _serial(query_id: str, started: int) -> int | None:
    """The serial that an id was derived from, if it was."""
    if re.fullmatch("[0-9a-f-]{36}", query_id):
        serial = int(query_id.replace("-", "")[-16:] or "0", 16) & (1 << 62) - 1
        if stored.derived_id(started, serial) == query_id:
            return serial
    return None


def _beside(count: int | None, calls: Sequence[CallRow], kind: str) -> int | None:
    """A count that the calls do not show."""
    return None if count == sum(call.kind == kind for call in calls) else count
