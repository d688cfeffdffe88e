"""The peers' environments: a folder each outside the repository, with pinned versions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

OPENTELEMETRY = "opentelemetry-sdk==1.45.2"
MSGSPEC = "msgspec==0.22.0"


class Environment(NamedTuple):
    """What is installed together; `contenders` are the modules of this package that run there."""

    requirements: tuple[str, ...]
    contenders: tuple[str, ...]
    module: str
    """What can be imported only when the peer is there."""


ENVIRONMENTS: Mapping[str, Environment] = MappingProxyType(
    {
        "shared": Environment((OPENTELEMETRY, "prometheus_client==0.26.0"), ("prometheus",), "prometheus_client"),
        "otlp-json-file": Environment(
            (OPENTELEMETRY, "opentelemetry-exporter-otlp-json-file==0.66b1"),
            ("otlp_json_file",),
            "opentelemetry.exporter",
        ),
        "ddtrace": Environment((OPENTELEMETRY, "ddtrace==4.16.0"), ("ddtrace_tracer",), "ddtrace"),
        "logfire": Environment(("logfire==5.2.0",), ("logfire_sdk",), "logfire"),
        "langfuse": Environment(("langfuse==5.0.4",), ("langfuse_sdk",), "langfuse"),
        "openinference": Environment(
            (OPENTELEMETRY, "openinference-instrumentation==0.1.72"), ("openinference_sdk",), "openinference"
        ),
        "traceloop": Environment(("traceloop-sdk==0.62.4", "httpx==0.28.1"), ("traceloop_sdk",), "traceloop"),
        "mlflow": Environment(("mlflow-tracing==3.17.2",), ("mlflow_tracing",), "mlflow"),
        "sentry": Environment((OPENTELEMETRY, "sentry-sdk==2.75.0"), ("sentry",), "sentry_sdk"),
    }
)


def cache() -> Path:
    """The folder of all environments: AGENT_INSTRUMENT_BENCHMARKS, else in the user's cache."""
    told = os.environ.get("AGENT_INSTRUMENT_BENCHMARKS")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(told) if told else Path(base, "agent-instrument", "benchmarks")


def interpreter(name: str) -> str | None:
    """The Python that has an environment's packages, None when they are not installed.

    The one running will do for `shared`, where it has them.
    """
    folder = "Scripts" if os.name == "nt" else "bin"
    own = cache() / name / folder / "python"
    if (cache() / name / ".complete").exists() and own.exists():
        return str(own)
    here = name == "shared" and all(map(find_spec, ("opentelemetry", "prometheus_client")))
    return sys.executable if here else None
