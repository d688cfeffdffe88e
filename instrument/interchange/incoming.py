"""Files of metrics that somebody else may have written, as lines of a store.

What a file is shows in its content, not in its name. An entry that cannot be taken is skipped, and said with its place.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, field

from instrument.errors import StoreError
from instrument.interchange import inspect_ai, langfuse, otlp, trace_documents
from instrument.interchange.formats import CSV_FIELDS, parted, restored
from instrument.records import CallRecord
from instrument.rows import columns, stored
from instrument.rows.live import ModelFacts

Kind = Literal["json", "csv", "lines", "parquet", "langfuse", "otlp", "inspect"]
Line = dict[str, Any]

NAIVE_NOTE = "times without an offset were taken as UTC"

_FIRST_BYTES = 1 << 20
_STATUSES = frozenset(("ok", "error", "cancelled", "closed", "abandoned"))
_SELECTION_TYPE = "agent_selection"
_OURS = re.compile(rb"\[?\s*\{\s*\"(queries|agent_selections|query_id|type)\"")


class SkippedEntry(Struct, frozen=True):
    """An entry that was not imported: of which file, where in it, and why."""

    file: str
    position: str
    reason: str


class CannotTakeError(Exception):
    """This entry cannot be taken, for the reason given."""


class Entry(Struct):
    """Whatever stands in one of metrics.json's lists, a query or a selection."""

    type: str | None = None
    query_id: str | None = None
    user_input: str | None = None
    agent_type: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    duration_ms: float | None = None
    success: bool | None = None
    error_type: str | None = None
    error_message: str | None = None
    passed_on: bool | None = None
    result_size_bytes: int | None = None
    tool_calls: int | None = None
    graphql_queries: int | None = None
    model_calls: int | None = None
    entities_detected: list[str] | None = None
    status: str | None = None
    name: str | None = None
    parent_id: str | None = None
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    attributes: dict[str, Any] | None = None
    metrics: dict[str, float] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    first_chunk_ms: float | None = None
    weight: float | None = None
    process: int | None = None
    host: str | None = None
    selected_agent: str | None = None
    complexity_score: float | None = None
    selection_reason: str | None = None
    timestamp: str | None = None


class Document(Struct):
    """A metrics.json: the two lists, or one with everything in it."""

    queries: list[Raw]
    agent_selections: list[Raw] = field(default_factory=list[Raw])


class Reader:
    """Lines out of one file; `skipped` and `notes` say afterwards what was not taken and what was assumed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.skipped: list[SkippedEntry] = []
        self.notes: set[str] = set()

    def skip(self, position: str, reason: object) -> None:
        """Note that an entry was not taken."""
        self.skipped.append(SkippedEntry(str(self.file), position, str(reason)))

    def from_json(self) -> Iterator[Line]:
        """The lines that a metrics.json becomes."""
        document = _document(self.file)
        for name, found in (("queries", document.queries), ("agent_selections", document.agent_selections)):
            for place, raw in enumerate(found):
                try:
                    yield self._line(msgspec.json.decode(raw, type=Entry, strict=False), name)
                except (msgspec.DecodeError, UnicodeDecodeError, CannotTakeError) as error:
                    self.skip(f"{name}[{place}]", str(error).replace(" - at `$", " at `"))

    def _line(self, entry: Entry, stands_in: str) -> Line:
        if stands_in == "agent_selections" or entry.type == _SELECTION_TYPE:
            return self._selection_line(entry)
        return self.query_line(entry)

    def from_csv(self) -> Iterator[Line]:
        """The lines that a metrics.csv becomes."""
        with open(self.file, encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = csv.DictReader(stream, restkey="", strict=True)
            try:
                for row in rows:
                    try:
                        yield self.query_line(_csv_entry(row))
                    except (ValueError, CannotTakeError) as error:
                        self.skip(f"line {rows.line_num}", error)
            except csv.Error as error:
                self.skip(f"line {rows.line_num}", f"the file cannot be read from here on: {error}")

    def query_line(self, entry: Entry) -> Line:
        """The line that a query becomes; raises CannotTakeError for one that has no id or no possible time."""
        if not entry.query_id:
            raise CannotTakeError("it has no query_id")
        started = self._time(entry.start_time, "start_time")
        duration = self._duration(entry, started)
        line: Line = {
            "t": started,
            "n": entry.name or "",
            "a": entry.agent_type,
            "q": entry.user_input,
            "d": duration or 0,
            "c": _call_lines(entry),
            "r": entry.result_size_bytes,
            "s": _status(entry, unfinished=duration is None),
            "e": entry.error_type,
            "m": entry.error_message,
            "x": entry.passed_on or None,
            "f": _ns(entry.first_chunk_ms),
            "parent": entry.parent_id,
            "entities": entry.entities_detected,
            "attributes": entry.attributes,
            "metrics": entry.metrics,
            "input_tokens": entry.input_tokens,
            "output_tokens": entry.output_tokens,
            "model": entry.model,
            "cached_tokens": entry.cached_tokens,
            "reasoning_tokens": entry.reasoning_tokens,
            "cost_usd": entry.cost_usd,
            "w": entry.weight,
            "o": None if entry.host is None else {"h": entry.host, "p": entry.process},
            "tc": _beside(entry.tool_calls, entry.calls, "tool"),
            "gc": _beside(entry.graphql_queries, entry.calls, "graphql"),
            "mc": _beside(entry.model_calls, entry.calls, "model"),
        }
        return line | _identity(entry.query_id, started)

    def _duration(self, entry: Entry, started: int) -> int | None:
        if entry.duration_ms is not None:
            duration = _ns(entry.duration_ms)
        elif entry.end_time is not None:
            duration = (self._time(entry.end_time, "end_time") - started) * 1000
        else:
            return None
        if duration is None or not 0 <= duration <= columns.LONGEST_D:
            raise CannotTakeError(f"a duration of {entry.duration_ms} ms cannot be")
        return duration

    def _selection_line(self, entry: Entry) -> Line:
        return {
            "type": "selection",
            "t": self._time(entry.timestamp, "timestamp"),
            "a": entry.selected_agent or "",
            "q": entry.user_input,
            "score": entry.complexity_score,
            "why": entry.selection_reason,
            "parent": entry.query_id or None,
        }

    def _time(self, text: str | None, name: str) -> int:
        if not text:
            raise CannotTakeError(f"it has no {name}")
        try:
            microseconds = stored.utc_microseconds(text)
        except ValueError:
            raise CannotTakeError(f"{name} {text!r} is not a time") from None
        if not 0 <= microseconds <= columns.LAST_T:
            raise CannotTakeError(f"{name} {text!r} is before 1970 or beyond all use")
        if not re.search(r"(Z|[+-]\d\d:?\d\d(:?\d\d(\.\d+)?)?)$", text.strip()[10:]):
            self.notes.add(NAIVE_NOTE)
        return microseconds


def kind_of(file: Path) -> Kind:
    """What a file is, by its content; raises StoreError when it is nothing that can be imported."""
    try:
        with open(file, "rb") as stream:
            first = stream.read(_FIRST_BYTES)
    except FileNotFoundError:
        raise StoreError(file, "there is no such file") from None
    except OSError as error:
        raise StoreError(file, f"the file cannot be read: {error.strerror}") from None
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if first[:4] == b"PAR1":
        return "parquet"
    if not text:
        raise StoreError(file, "the file is empty; there is nothing to import")
    if text[:1] in b"{[":
        return "lines" if _is_segment(text) else _kind_of_json(file, text)
    if {"timestamp", "query_id"} <= set(text.partition(b"\n")[0].decode("utf-8", "replace").strip().split(",")):
        return "csv"
    raise StoreError(
        file,
        "this is no file of metrics; metrics.json, metrics.csv, segments (.jsonl), Parquet exports, and traces of"
        " Langfuse, OpenTelemetry (OTLP) and Inspect as JSON can be imported",
    )


def _kind_of_json(file: Path, text: bytes) -> Kind:
    if _OURS.match(text):
        return "json"
    first = trace_documents.first_document(file)
    if otlp.is_otlp(first):
        return "otlp"
    if inspect_ai.is_inspect(first):
        return "inspect"
    return "langfuse" if langfuse.is_langfuse(first) else "json"


def _is_segment(text: bytes) -> bool:
    """Whether one of the first lines is a record of ours; the very first may be torn."""
    for line in text.split(b"\n", 3)[:3]:
        try:
            record = msgspec.json.decode(line)
        except trace_documents.DAMAGED:
            continue
        if isinstance(record, dict) and isinstance(record.get("t"), int) and "query_id" not in record:
            return True
    return False


# An escaped backslash, a pair of surrogates, and a lone one: Python's json writes such a thing, and no UTF-8 has it.
_SURROGATES = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _document(file: Path) -> Document:
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if b"\\ud" in content or b"\\uD" in content:
        content = _SURROGATES.sub(lambda match: match[1] or b"\\ufffd", content)
    try:
        if content.lstrip()[:1] == b"[":
            return Document(msgspec.json.decode(content, type=list[Raw]))
        return msgspec.json.decode(content, type=Document)
    except msgspec.ValidationError:
        told = "this is JSON, but neither a metrics.json (it has no list of `queries`) nor a trace we know"
        raise StoreError(file, told) from None
    except trace_documents.DAMAGED as error:
        raise StoreError(file, f"the JSON is cut off or damaged ({error}); import an undamaged copy") from None


def _csv_entry(row: dict[str, Any]) -> Entry:
    if "" in row or None in row.values():
        raise CannotTakeError(f"it has {'more' if '' in row else 'fewer'} cells than the header")
    cells: dict[str, str] = {name: str(row.get(name, "")) for name in CSV_FIELDS}
    success = {"true": True, "false": False, "": None}.get(cells["success"].strip().lower(), "?")
    if success == "?":
        raise CannotTakeError(f"success is {cells['success']!r}, neither true nor false")
    return Entry(
        start_time=cells["timestamp"],
        query_id=restored(cells["query_id"]),
        agent_type=restored(cells["agent_type"]),
        duration_ms=_number(cells, "duration_ms"),
        success=success is True,
        status=None if success is not None else "running",
        entities_detected=parted(restored(cells["entities_detected"])) or None,
        tool_calls=_whole(cells, "tool_calls"),
        graphql_queries=_whole(cells, "graphql_queries"),
    )


def _number(cells: dict[str, str], name: str) -> float | None:
    try:
        return float(cells[name]) if cells[name].strip() else None
    except ValueError:
        raise CannotTakeError(f"{name} is {cells[name]!r}, not a number") from None


def _whole(cells: dict[str, str], name: str) -> int | None:
    number = _number(cells, name)
    if number is not None and not number.is_integer():
        raise CannotTakeError(f"{name} is {cells[name]!r}, not a whole number")
    return None if number is None else int(number)


def _identity(query_id: str, started: int) -> Line:
    """The serial that the id was derived from, else the id itself."""
    if re.fullmatch("[0-9a-f-]{36}", query_id):
        serial = int(query_id.replace("-", "")[-16:] or "0", 16) & (1 << 62) - 1
        if stored.derived_id(started, serial) == query_id:
            return {"i": serial}
    return {"id": query_id}


def _status(entry: Entry, *, unfinished: bool) -> str | None:
    if entry.status in _STATUSES:
        return None if entry.status == "ok" else entry.status
    if entry.success:
        return None
    return "abandoned" if unfinished or entry.status == "running" else "error"


def _ns(milliseconds: float | None) -> int | None:
    if milliseconds is None:
        return None
    nanoseconds = milliseconds * 1e6
    if not abs(nanoseconds) <= columns.LONGEST_D:
        raise CannotTakeError(f"{milliseconds} ms cannot be")
    return round(nanoseconds)


def _beside(count: int | None, calls: list[CallRecord], kind: str) -> int | None:
    """A count that the calls do not show."""
    return None if count == sum(call.kind == kind for call in calls) else count


def _call_lines(entry: Entry) -> list[Line] | None:
    """A query's calls."""
    return [
        {
            "n": call.name,
            "b": _ns(call.start_ms),
            "p": call.parent,
            "d": _ns(call.duration_ms),
            "k": None if call.kind == "tool" else call.kind,
            "s": None if call.status in ("ok", "abandoned") else call.status,
            "e": call.error_type,
            "m": call.error_message,
            "x": call.passed_on or None,
            "l": call.late or None,
            "r": call.result_size_bytes,
            "g": _facts_of(call),
        }
        for call in entry.calls
    ] or None


def _facts_of(call: CallRecord) -> ModelFacts | None:
    """What a call says of its model; None for one that says nothing."""
    known = {name: getattr(call, name) for name in ModelFacts.__struct_fields__ if name != "first_chunk"}
    facts = ModelFacts(**known, first_chunk=_ns(call.first_chunk_ms))
    return None if facts == ModelFacts() else facts
