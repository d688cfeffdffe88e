"""OpenTelemetry's spans, live: a call counts once, whoever else tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")

from opentelemetry.sdk.trace import TracerProvider

from instrument import install, track_tool
from instrument.collecting.collector import collector
from instrument.testing import Captured, capture

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
HTTP = {"http.request.method": "POST"}
MCP = {"mcp.method.name": "tools/call", "gen_ai.tool.name": "find_customers"}
MERGED = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "(merged tools)"}


def tool(name: str) -> dict[str, str]:
    return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}


def mcp(session: str = "s1", request: str = "3", **more: str) -> dict[str, str]:
    return {**MCP, "mcp.session.id": session, "jsonrpc.request.id": request, **more}


@pytest.fixture
def tracer() -> Iterator[Any]:
    install("opentelemetry")
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider.get_tracer("tests")
    provider.shutdown()


def nested(tracer: Any, *spans: dict[str, str]) -> None:
    """Open an agent's span and the given ones in it, each inside the one before."""
    with ExitStack() as open_spans:
        for attributes in (AGENT, *spans):
            open_spans.enter_context(tracer.start_as_current_span("a span", attributes=attributes))


def tools(captured: Captured) -> list[tuple[str, int | None]]:
    assert (captured.calls, collector.losses.problems) == ([], {})
    [query] = captured.queries
    return [(call.name, call.parent) for call in query.calls]


def test_an_mcp_call_told_of_by_both_ends_is_one_and_what_is_inside_stays_inside(tracer: Any) -> None:
    with capture() as captured:
        nested(tracer, mcp(), HTTP, mcp(), tool("look_up"))
    assert tools(captured) == [("find_customers", None), ("look_up", 0)]


def test_the_framework_s_own_span_around_an_mcp_call_is_the_same_call(tracer: Any) -> None:
    with capture() as captured:
        nested(tracer, tool("find_customers"), mcp(), HTTP, mcp())
    assert tools(captured) == [("find_customers", None)]


def test_a_function_that_is_recorded_and_asks_an_mcp_server_of_the_same_tool_is_the_same_call(tracer: Any) -> None:
    @track_tool
    def find_customers() -> None:
        with tracer.start_as_current_span("client", attributes=mcp()), tracer.start_as_current_span("POST"):
            tracer.start_span("server", attributes=mcp()).end()

    with capture() as captured, tracer.start_as_current_span("agent", attributes=AGENT):
        find_customers()
    assert tools(captured) == [("find_customers", None)]


@pytest.mark.parametrize("unsaid", ["mcp.session.id", "jsonrpc.request.id"])
def test_what_one_end_of_an_mcp_call_does_not_say_makes_no_second_call(tracer: Any, unsaid: str) -> None:
    client = {key: value for key, value in mcp().items() if key != unsaid}
    with capture() as captured:
        nested(tracer, client, mcp())
    assert tools(captured) == [("find_customers", None)]


@pytest.mark.parametrize(
    "inner",
    [mcp(request="4"), mcp(session="s2"), mcp(**{"gen_ai.tool.name": "look_up"}), tool("find_customers")],
    ids=["another request", "another session", "another tool", "not of MCP"],
)
def test_another_call_inside_an_mcp_call_counts(tracer: Any, inner: dict[str, str]) -> None:
    with capture() as captured:
        nested(tracer, mcp(), inner)
    assert [parent for _, parent in tools(captured)] == [None, 0]


def test_calls_of_one_mcp_tool_beside_each_other_all_count(tracer: Any) -> None:
    with capture() as captured, tracer.start_as_current_span("agent", attributes=AGENT):
        for request in ("1", "2"):
            tracer.start_span("client", attributes=mcp(request=request)).end()
    assert tools(captured) == [("find_customers", None)] * 2


@pytest.mark.parametrize("is_told_late", [False, True], ids=["says so at once", "says so at its end"])
def test_the_span_that_bundles_answers_of_parallel_calls_is_no_call(tracer: Any, is_told_late: bool) -> None:
    with capture() as captured, tracer.start_as_current_span("agent", attributes=AGENT):
        tracer.start_span("execute_tool find_customers", attributes=tool("find_customers")).end()
        bundle = tracer.start_span("execute_tool (merged)", attributes=None if is_told_late else MERGED)
        bundle.set_attributes(MERGED)
        bundle.end()
    assert tools(captured) == [("find_customers", None)]
