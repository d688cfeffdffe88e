"""What OTLP costs the shipper, beside the same spans made with OpenTelemetry's own classes.

    python -m benchmarks.shipping_otlp

CPU time a query of six spans (three tools, two GraphQL calls, one model call), the least of several turns in one
process: reading the store, encoding, compressing; and the official classes filled with the same attributes.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from instrument.exporters.otlp import requests
from instrument.rows.live import ModelFacts
from instrument.rows.stored import CallRow, Origin, QueryRow, encode_lines
from instrument.store.tail import follow_rows

QUERIES, TURNS = 3000, 5
_MS = 1_000_000


def _query(number: int) -> QueryRow:
    tokens, answer = 800 + number * 7 % 1201, 20 + number * 5 % 301
    cost = tokens * 15e-8 + answer * 6e-7
    facts = ModelFacts("small-1", "local", tokens, answer, cached_tokens=700, first_chunk=5 * _MS, cost_usd=cost)
    calls = [
        CallRow("find_customers", _MS, duration=5 * _MS),
        CallRow("query Customers", _MS, duration=4 * _MS, kind="graphql", parent=0, variables="jXMykJQ9"),
        CallRow("payment_history", 6 * _MS, duration=5 * _MS),
        CallRow("chat small-1", 12 * _MS, duration=80 * _MS + number, kind="model", facts=facts),
        CallRow("query Bills", 95 * _MS, duration=5 * _MS, kind="graphql", variables="q3Zz0dPa"),
    ]
    return QueryRow(
        1_773_000_000_000_000 + number,
        number,
        "simple",
        f"the unpaid bills of customer C{number:05}",
        "Agent.answer",
        calls,
        duration=100 * _MS,
        result_size=2048,
        attributes={"tenant": "north"},
        origin=Origin("box", 4711),
    )


def _with_classes(read: Any) -> bytes:
    made = ExportTraceServiceRequest()
    for resource in read.resource_spans:
        spans = made.resource_spans.add().scope_spans.add().spans
        for span in resource.scope_spans[0].spans:
            new = spans.add(
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_span_id=span.parent_span_id,
                name=span.name,
                kind=span.kind,
                start_time_unix_nano=span.start_time_unix_nano,
                end_time_unix_nano=span.end_time_unix_nano,
            )
            for each in span.attributes:
                attribute = new.attributes.add()
                attribute.key = each.key
                kind = each.value.WhichOneof("value")
                setattr(attribute.value, kind, getattr(each.value, kind))
    done: bytes = made.SerializeToString()
    return done


def main() -> None:
    """Measure and print."""
    rows, resources = [_query(number) for number in range(QUERIES)], requests.Resources({})
    best: dict[str, float] = {}

    def took(name: str, action: Callable[[], Any]) -> Any:
        begin = time.process_time()
        answer = action()
        best[name] = min(best.get(name, 1e9), (time.process_time() - begin) / QUERIES * 1e6)
        return answer

    with tempfile.TemporaryDirectory() as folder:
        segment = Path(folder, "2026-03-08", "120000-1-0badcafe.jsonl")
        segment.parent.mkdir()
        segment.write_bytes(encode_lines(rows))
        for _ in range(TURNS):
            took("reading", lambda: sum(len(batch) for batch in follow_rows(folder).batches()))
            content = took("encoding", lambda: requests.traces(rows, resources))
            took("compressing", lambda content=content: gzip.compress(content, 1))
            read = ExportTraceServiceRequest.FromString(content)
            took("encoding with the official classes", lambda read=read: _with_classes(read))
    for name, microseconds in best.items():
        print(f"{microseconds:6.1f} µs a query  {name}")


if __name__ == "__main__":
    main()
