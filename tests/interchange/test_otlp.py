from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from trace_files import AGENT, BEGUN, MODEL, SECOND, TOOL, TRACE, batch, lines, only, pairs, span, taken

QUERY_ID = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
GRAPHQL = {"graphql.operation.type": "query", "graphql.operation.name": "Customers"}
BOOM = {
    "name": "exception",
    "attributes": pairs({"exception.type": "shop.NoPlan", "exception.message": "no such plan"}),
}
FAILED = {"status": {"code": 2, "message": "NoPlan: no such plan"}, "events": [BOOM]}


def test_a_trace_becomes_a_query_its_tools_and_operations_calls_and_its_models_tokens(tmp_path: Path) -> None:
    asked = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "unpaid bills"}]}])
    used = {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3, "operation.cost": 0.25}
    record = only(
        tmp_path,
        batch(
            span(1, 0, {"http.route": "/chat"}, 0, 4, name="POST /chat"),
            span(2, 1, AGENT | {"gen_ai.input.messages": asked, "session.id": "s", "tenant": "north"}, 0.5, 3.5),
            span(3, 2, MODEL | used, 1, 2),
            span(4, 2, TOOL | {"gen_ai.tool.call.result": "Asha"}, 2, 3),
            span(5, 4, GRAPHQL, 2.25, 2.5),
            **{"service.name": "shop", "host.name": "box", "process.pid": 4711},
        ),
    )
    assert record.query_id == QUERY_ID
    assert (record.agent_type, record.name, record.user_input) == ("billing", "POST /chat", "unpaid bills")
    assert (record.start_time, record.duration_ms) == ("2025-01-01T00:00:00.000000Z", 4000)
    assert (record.input_tokens, record.output_tokens, record.model) == (12, 3, "small-1")
    assert (record.cost_usd, record.model_calls, record.metrics) == (0.25, 1, {"depth": 3})
    assert [(call.kind, call.name, call.start_ms, call.duration_ms, call.parent) for call in record.calls] == [
        ("model", "small-1", 1000, 1000, None),
        ("tool", "find_customers", 2000, 1000, None),
        ("graphql", "query Customers", 2250, 250, 1),
    ]
    assert record.calls[1].result_size_bytes == 4
    assert (record.host, record.process) == ("box", 4711)
    assert record.attributes == {
        "source": "otlp",
        "trace_id": TRACE,
        "spans": {"span": 1, "agent": 1, "llm": 1, "tool": 1, "graphql": 1},
        "steps": {"billing": 1},
        "session": "s",
        "http.route": "/chat",
        "tenant": "north",
        "service": "shop",
    }


def test_nanoseconds_are_kept(tmp_path: Path) -> None:
    odd = span(1, 0, AGENT) | {"startTimeUnixNano": str(BEGUN + 1_234), "endTimeUnixNano": str(BEGUN + SECOND + 5_678)}
    tool = span(2, 1, TOOL) | {"startTimeUnixNano": BEGUN + 2_000, "endTimeUnixNano": BEGUN + 2_789}
    record = only(tmp_path, batch(odd, tool))
    assert record.start_time == "2025-01-01T00:00:00.000001Z"
    assert record.duration_ms == pytest.approx(1000.004678, abs=1e-9)
    assert record.calls[0].duration_ms == pytest.approx(0.000789, abs=1e-9)


def test_tokens_that_the_spans_around_repeat_are_counted_once(tmp_path: Path) -> None:
    used = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1, "operation.cost": 0.5}
    whole = {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 2, "operation.cost": 1.0}
    record = only(
        tmp_path,
        batch(
            span(1, 0, AGENT | whole, end=5),
            span(2, 1, MODEL | used, 1, 2),
            span(3, 2, MODEL | used, 1, 2),
            span(4, 1, MODEL | used, 3, 4),
        ),
    )
    assert (record.input_tokens, record.output_tokens, record.cost_usd) == (20, 2, 1.0)
    assert [(call.kind, call.input_tokens, call.cost_usd) for call in record.calls] == [("model", 10, 0.5)] * 2


def test_an_agent_s_own_tokens_and_cost_count_where_no_model_has_any(tmp_path: Path) -> None:
    used = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}
    record = only(tmp_path, batch(span(1, 0, AGENT | used), span(2, 1, MODEL)))
    assert (record.input_tokens, record.output_tokens) == (10, 1)
    (tmp_path / "priced").mkdir()
    priced = only(tmp_path / "priced", batch(span(1, 0, AGENT | {"operation.cost": 0.5}), span(2, 1, MODEL | used)))
    assert (priced.input_tokens, priced.cost_usd) == (10, 0.5)


def test_the_model_that_answered_counts_and_not_the_one_its_agent_asked_for(tmp_path: Path) -> None:
    agent = AGENT | {"gen_ai.request.model": "small", "gen_ai.usage.input_tokens": 50}
    record = only(tmp_path, batch(span(1, 0, agent), span(2, 1, MODEL | {"gen_ai.response.model": "small-2026"})))
    assert (record.model, record.input_tokens, "models" in record.attributes) == ("small-2026", 50, False)
    (tmp_path / "alone").mkdir()
    assert only(tmp_path / "alone", batch(span(1, 0, agent))).model == "small"


def test_a_failing_agent_fails_the_query_although_the_request_around_it_went_well(tmp_path: Path) -> None:
    record = only(tmp_path, batch(span(1), span(2, 1, AGENT, **FAILED), span(3, 2, TOOL, **FAILED)))
    assert (record.status, record.error_type, record.error_message) == ("error", "NoPlan", "no such plan")
    assert record.passed_on
    assert (record.calls[0].error_type, record.calls[0].error_message) == ("NoPlan", "no such plan")


def test_an_agent_that_failed_and_was_tried_again_did_not_fail_the_query(tmp_path: Path) -> None:
    record = only(tmp_path, batch(span(1, end=5), span(2, 1, AGENT, 1, 2, **FAILED), span(3, 1, AGENT, 3, 4)))
    assert (record.status, record.error_type) == ("ok", None)


def test_an_agent_inside_another_does_not_decide_how_the_query_ended(tmp_path: Path) -> None:
    inner = span(2, 1, {"openinference.span.kind": "AGENT", "agent.name": "helper"}, 0.5, 0.6, **FAILED)
    record = only(tmp_path, batch(span(1, 0, AGENT), inner))
    assert (record.status, record.agent_type, record.attributes["agents"]) == ("ok", "billing", ["billing", "helper"])


def test_a_cancelled_tool_is_cancelled(tmp_path: Path) -> None:
    cancelled = {
        "status": {"code": "STATUS_CODE_ERROR"},
        "attributes": pairs(TOOL | {"error.type": "asyncio.CancelledError"}),
    }
    record = only(tmp_path, batch(span(1, 0, AGENT), span(2, 1) | cancelled))
    assert (record.calls[0].status, record.calls[0].success) == ("cancelled", False)


def test_a_trace_s_spans_may_stand_in_any_order_line_and_file(tmp_path: Path) -> None:
    spans = [span(3, 2, TOOL, 1, 2), span(1, 0, {}, 0, 4), span(2, 1, AGENT, 0, 3)]
    whole = only(tmp_path, lines(*map(batch, spans[:2])), lines(batch(spans[2])))
    assert (whole.duration_ms, whole.agent_type, whole.tool_calls) == (4000, "billing", 1)
    assert "orphans" not in whole.metrics


def test_a_span_given_twice_is_one_and_said_so(tmp_path: Path) -> None:
    document = batch(span(1, 0, AGENT), span(2, 1, TOOL))
    done, found = taken(tmp_path, lines(document, document))
    assert done.notes == ["in traces.json, 2 spans given more than once: taken once"]
    assert found[QUERY_ID].tool_calls == 1
    again, same = taken(tmp_path, lines(document))
    assert (again.queries, again.duplicates, same) == (0, 1, found)


def test_a_span_that_was_written_open_first_is_the_one_that_ended(tmp_path: Path) -> None:
    record = only(
        tmp_path,
        lines(batch(span(1, 0, AGENT, end=None)), batch(span(1, 0, AGENT)), batch(span(1, 0, AGENT, end=None))),
    )
    assert (record.status, record.duration_ms) == ("ok", 1000)


def test_traces_in_which_no_agent_is_at_work_stay_outside_and_are_counted(tmp_path: Path) -> None:
    done, found = taken(tmp_path, batch(span(1, 0, AGENT), span(1, trace="b" * 32), span(1, trace="c" * 32)))
    assert list(found) == [QUERY_ID]
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("2 of the traces", "no agent, model, tool or GraphQL operation is in them")
    ]


@pytest.mark.parametrize(
    "form", ["snake case", "base64 ids", "numbers", "old scopes", "indented", "list", "upper case"]
)
def test_spans_come_in_whatever_form_their_exporter_gave_them(tmp_path: Path, form: str) -> None:
    record = only(tmp_path, _as(form, batch(span(1, 0, AGENT), span(2, 1, TOOL))))
    assert (record.query_id, record.agent_type, record.duration_ms) == (QUERY_ID, "billing", 1000)
    assert [(call.name, call.parent) for call in record.calls] == [("find_customers", None)]
    assert "orphans" not in record.metrics


def _as(form: str, document: dict[str, Any]) -> Any:
    scopes = document["resourceSpans"][0]
    for each in scopes["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            if form == "base64 ids" and each[key]:
                each[key] = base64.b64encode(bytes.fromhex(each[key])).decode()
            if form == "upper case":
                each[key] = each[key].upper()
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            each[key] = int(each[key]) if form == "numbers" else each[key]
    if form == "old scopes":
        scopes["instrumentationLibrarySpans"] = scopes.pop("scopeSpans")
    if form == "snake case":
        names = (
            "resourceSpans",
            "scopeSpans",
            "traceId",
            "spanId",
            "parentSpanId",
            "startTimeUnixNano",
            "endTimeUnixNano",
        )
        text = json.dumps(document).replace("stringValue", "string_value")
        for name in names:
            text = text.replace(name, "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name))
        return text
    return json.dumps(document, indent=2) if form == "indented" else [document] if form == "list" else document


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"boolValue": True}, True),
        ({"intValue": "5"}, 5),
        ({"intValue": "-5"}, -5),
        ({"doubleValue": 0.5}, 0.5),
        ({"stringValue": "north"}, "north"),
        ({"intValue": "many"}, None),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_attributes_have_the_type_that_they_had(tmp_path: Path, given: Any, kept: Any) -> None:
    agent = span(1, 0, AGENT)
    agent["attributes"].append({"key": "tenant", "value": given})
    assert only(tmp_path, batch(agent)).attributes.get("tenant") == kept


@pytest.mark.parametrize("form", ["batches", "trace", "trace of batches", "lines", "list"])
def test_what_tempo_answers_comes_in(tmp_path: Path, form: str) -> None:
    spans = batch(span(1, 0, AGENT), span(2, 1, TOOL))["resourceSpans"]
    document: Any = {
        "batches": {"batches": spans},
        "trace": {"trace": {"resourceSpans": spans}},
        "trace of batches": {"trace": {"batches": spans}},
        "lines": lines({"batches": spans}, {"batches": spans[:0]}),
        "list": [{"batches": spans}],
    }[form]
    record = only(tmp_path, document)
    assert (record.query_id, record.agent_type, record.tool_calls) == (QUERY_ID, "billing", 1)
