"""mlflow-tracing with its calls to the tracking server replaced by a count."""

from __future__ import annotations

import os
from typing import Any

os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})

import mlflow
from mlflow.entities.trace_location import MlflowExperimentLocation
from mlflow.tracing.client import TracingClient

from benchmarks.peers.contender import Contender
from benchmarks.subject import Kit

_spans = 0


def start(folder: str) -> Contender:
    """Traces with their inputs and outputs through its own queue and threads; nothing leaves the process."""
    TracingClient.log_spans = _count  # type: ignore[method-assign]
    TracingClient.start_trace = lambda self, trace_info: trace_info  # type: ignore[method-assign]
    TracingClient._upload_trace_data = lambda self, trace_info, trace_data: None  # type: ignore[method-assign]
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.tracing.set_destination(MlflowExperimentLocation(experiment_id="1"))
    return Contender(
        kit=Kit(mlflow.trace(span_type="AGENT"), mlflow.trace(span_type="TOOL"), mlflow.trace(span_type="TOOL")),
        flush=mlflow.flush_trace_async_logging,
        kept=lambda: _spans,
        a_query=6,
        keeps="six spans with all arguments and results as JSON, times, parent, exception; nothing is sent",
        distribution="mlflow-tracing",
    )


def _count(self: Any, location: str, spans: list[Any]) -> list[Any]:
    global _spans
    _spans += len(spans)
    return spans
