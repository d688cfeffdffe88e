"""Instrumentation for agents: queries, tool, GraphQL and model calls, recorded on your own disk.

from instrument import track_query, track_tool, track_graphql, query_span
"""

from instrument._version import __version__
from instrument.integrations import install, uninstall
from instrument.models import current_model_call, model_span
from instrument.process import configure, flush, shutdown
from instrument.selecting import track_complexity, track_entities, track_selection
from instrument.spans import (
    current_query,
    graphql_span,
    propagate,
    query_span,
    record_selection,
    suppress,
    tool_span,
)
from instrument.tracking import track_graphql, track_model, track_query, track_tool

__all__ = [
    "__version__",
    "configure",
    "current_model_call",
    "current_query",
    "flush",
    "graphql_span",
    "install",
    "model_span",
    "propagate",
    "query_span",
    "record_selection",
    "shutdown",
    "suppress",
    "tool_span",
    "track_complexity",
    "track_entities",
    "track_graphql",
    "track_model",
    "track_query",
    "track_selection",
    "track_tool",
    "uninstall",
]
