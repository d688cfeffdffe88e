"""Traces as other tools export them, and what they are after an import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from instrument.config import DEFAULTS, Config
from instrument.records import QueryRecord
from instrument.store.importing import Imported, import_files
from instrument.store.tables import open_store

BEGUN = 1_735_689_600_000_000_000
"""2025-01-01 00:00 UTC, in ns since 1970."""

SECOND = 1_000_000_000
TRACE = "a" * 32
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "billing"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_customers"}
MODEL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small-1"}


def observation(
    key: str, parent: str | None = None, kind: str = "SPAN", start: float = 0, end: float | None = 1, **more: Any
) -> dict[str, Any]:
    """An observation of Langfuse; times in seconds since `BEGUN`."""
    known = {"id": key, "traceId": "t1", "parentObservationId": parent, "type": kind, "name": key, "level": "DEFAULT"}
    return {**known, "startTime": stamp(start), "endTime": None if end is None else stamp(end), **more}


def langfuse(*observations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A trace of Langfuse, as its interface downloads it."""
    return {"trace": {"id": "t1", "name": "bot", "timestamp": stamp(0), **more}, "observations": list(observations)}


def stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2025-01-01T00:{int(minutes):02}:{rest:06.3f}Z"


def span(
    key: int,
    parent: int = 0,
    attributes: dict[str, Any] | None = None,
    start: float = 0,
    end: float | None = 1,
    trace: str = TRACE,
    **more: Any,
) -> dict[str, Any]:
    """A span of OTLP; times in seconds since `BEGUN`."""
    return {
        "traceId": trace,
        "spanId": f"{key:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": f"span {key}",
        "startTimeUnixNano": str(BEGUN + round(start * SECOND)),
        "endTimeUnixNano": "0" if end is None else str(BEGUN + round(end * SECOND)),
        "attributes": pairs(attributes or {}),
        **more,
    }


def batch(*spans: dict[str, Any], **resource: Any) -> dict[str, Any]:
    """A document of OTLP."""
    return {"resourceSpans": [{"resource": {"attributes": pairs(resource)}, "scopeSpans": [{"spans": list(spans)}]}]}


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def lines(*documents: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, documents)) + "\n"


def taken(
    folder: Path, *contents: Any, config: Config = DEFAULTS, name: str = "traces.json"
) -> tuple[Imported, dict[str, QueryRecord]]:
    """What an import of files with these contents (text, or JSON to be) did, and the store's records by id."""
    files = [folder / (f"{place}-{name}" if place else name) for place in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    done = import_files(files, folder / "store", config)
    return done, records(folder / "store")


def records(store: Path) -> dict[str, QueryRecord]:
    with open_store(store) as tables:
        return {record.query_id: record for record in tables.records()}


def only(folder: Path, *contents: Any, config: Config = DEFAULTS) -> QueryRecord:
    """The one record that the contents become, with nothing skipped."""
    done, found = taken(folder, *contents, config=config)
    assert (done.skipped, len(found)) == ([], 1)
    return next(iter(found.values()))
