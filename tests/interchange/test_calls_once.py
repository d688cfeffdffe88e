"""A call counts once, whoever else tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trace_files import AGENT, MODEL, TOOL, batch, langfuse, observation, only, span

MERGED = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "(merged tools)"}
MCP = {"mcp.method.name": "tools/call", "gen_ai.tool.name": "find_customers"}


def mcp(session: str = "s1", request: str = "3", **more: Any) -> dict[str, Any]:
    return {**MCP, "mcp.session.id": session, "jsonrpc.request.id": request, **more}


def names(record: Any) -> list[tuple[str, int | None]]:
    return [(call.name, call.parent) for call in record.calls if call.kind == "tool"]


def test_the_span_that_bundles_answers_of_parallel_calls_is_no_call(tmp_path: Path) -> None:
    record = only(
        tmp_path, batch(span(1, 0, AGENT), span(2, 1, TOOL), span(3, 1, MERGED, name="execute_tool (merged)"))
    )
    assert names(record) == [("find_customers", None)]
    (tmp_path / "langfuse").mkdir()
    bundled = observation("x", "root", "TOOL") | {"name": "execute_tool (merged)"}
    record = only(tmp_path / "langfuse", langfuse(observation("root"), observation("t", "root", "TOOL"), bundled))
    assert names(record) == [("t", None)]


def test_an_mcp_call_told_of_by_both_ends_is_one_and_what_is_inside_stays_inside(tmp_path: Path) -> None:
    record = only(
        tmp_path,
        batch(
            span(1, 0, AGENT, end=9),
            span(2, 1, mcp(), 1, 8),
            span(3, 2, {"http.request.method": "POST"}, 2, 7),
            span(4, 3, mcp(), 3, 6),
            span(5, 4, {"gen_ai.tool.name": "look_up"}, 4, 5),
        ),
    )
    assert names(record) == [("find_customers", None), ("look_up", 0)]
    assert record.calls[0].duration_ms == 7000


def test_the_framework_s_own_span_around_an_mcp_call_is_the_same_call(tmp_path: Path) -> None:
    record = only(tmp_path, batch(span(1, 0, AGENT), span(2, 1, TOOL), span(3, 2, mcp()), span(4, 3, mcp())))
    assert names(record) == [("find_customers", None)]


@pytest.mark.parametrize("unsaid", ["mcp.session.id", "jsonrpc.request.id"])
def test_what_one_end_of_an_mcp_call_does_not_say_makes_no_second_call(tmp_path: Path, unsaid: str) -> None:
    client = {key: value for key, value in mcp().items() if key != unsaid}
    record = only(tmp_path, batch(span(1, 0, AGENT), span(2, 1, client), span(3, 2, mcp())))
    assert names(record) == [("find_customers", None)]


@pytest.mark.parametrize(
    "inner",
    [mcp(request="4"), mcp(session="s2"), mcp(**{"gen_ai.tool.name": "look_up"}), TOOL],
    ids=["another request", "another session", "another tool", "not of MCP"],
)
def test_another_call_inside_an_mcp_call_counts(tmp_path: Path, inner: dict[str, Any]) -> None:
    assert len(names(only(tmp_path, batch(span(1, 0, AGENT), span(2, 1, mcp()), span(3, 2, inner))))) == 2


def test_calls_of_one_tool_beside_each_other_all_count(tmp_path: Path) -> None:
    record = only(tmp_path, batch(span(1, 0, AGENT), *(span(place, 1, mcp(request="")) for place in (2, 3, 4))))
    assert record.tool_calls == 3


def test_a_model_told_of_by_two_layers_is_one_call(tmp_path: Path) -> None:
    used = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}
    record = only(
        tmp_path, batch(span(1, 0, AGENT, end=9), span(2, 1, MODEL | used, 1, 8), span(3, 2, MODEL | used, 2, 7))
    )
    assert [(call.kind, call.input_tokens, call.duration_ms) for call in record.calls] == [("model", 10, 5000)]
    assert (record.model_calls, record.input_tokens) == (1, 10)
