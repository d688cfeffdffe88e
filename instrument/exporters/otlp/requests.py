"""Rows of the store as the requests that OTLP sends: spans and events, by where they were recorded."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from instrument._version import __version__
from instrument.exporters.otlp import logs, spans, wire
from instrument.rows.live import Origin
from instrument.rows.stored import QueryRow, StandaloneCallRow
from instrument.store.stored_records import AnyRow

SERVICE = "agent-instrument"
"""The name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has another."""

_SCOPE = wire.message(1, wire.text(1, "agent-instrument") + wire.text(2, __version__))


class Resources:
    """Resources by origin: the service's name and attributes, host and process; each is made once."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._common = _from_environment(environ)
        self._known: dict[tuple[str, int] | None, bytes] = {}

    def of(self, origin: Origin | None) -> bytes:
        """The message Resource of the process that recorded something."""
        key = None if origin is None else (origin.host, origin.process)
        found = self._known.get(key)
        if found is None:
            if len(self._known) > 10_000:
                self._known.clear()
            own = {"host.name": origin.host, "process.pid": origin.process} if origin else {}
            found = self._known[key] = wire.attributes(1, (self._common | own).items())
        return found

    def here(self) -> bytes:
        """The message Resource of the store as a whole, for what no single process recorded."""
        return wire.attributes(1, (self._common | {"host.name": platform.node()}).items())


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"service.name": SERVICE}
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, separator, value = pair.partition("=")
        if separator and name.strip():
            found[unquote(name.strip())] = unquote(value.strip())
    if service := environ.get("OTEL_SERVICE_NAME"):
        found["service.name"] = service
    return found


def traces(rows: Iterable[AnyRow], resources: Resources) -> bytes:
    """The message ExportTraceServiceRequest with the spans of the rows; empty when there are none."""
    parts: dict[bytes, list[bytes]] = {}
    for row in rows:
        if isinstance(row, QueryRow):
            made = spans.query_spans(row)
        elif isinstance(row, StandaloneCallRow):
            made = spans.call_spans(row)
        else:
            continue
        parts.setdefault(resources.of(row.origin), []).extend(made)
    return _by_resource(parts)


def events(rows: Iterable[AnyRow], resources: Resources) -> bytes:
    """The message ExportLogsServiceRequest with the events of the rows; empty when there are none."""
    parts: dict[bytes, list[bytes]] = {}
    for row in rows:
        if made := logs.events(row):
            parts.setdefault(resources.of(row.origin), []).extend(made)
    return _by_resource(parts)


def under(resource: bytes, contents: Iterable[bytes]) -> bytes:
    """A request with one resource and one scope, and under it these spans, log records or metrics."""
    scope = _SCOPE + wire.messages(2, contents)
    return wire.message(1, wire.message(1, resource) + wire.message(2, scope))


def _by_resource(parts: dict[bytes, list[bytes]]) -> bytes:
    return b"".join([under(resource, contents) for resource, contents in parts.items()])
