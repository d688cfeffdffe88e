"""What a record looks like as spans and events, and that the bytes are what OpenTelemetry's own classes read."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from store_rows import NOON, SERIAL, model_call, query, random_rows, write

from instrument.exporters.otlp import requests, wire
from instrument.exporters.otlp.requests import Resources
from instrument.reading import open_store
from instrument.rows.live import ChoiceRow, ModelFacts
from instrument.rows.stored import CallRow, HealthRow, Origin, QueryRow, Row, SelectionRow, StandaloneCallRow
from instrument.rows.totals import total_up
from instrument.store.importing import import_files


def sent(*rows: Row) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(requests.traces(rows, Resources({})))
    return [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]


def about(given: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in given.attributes}


def call(name: str = "find_customers", kind: str = "tool", **more: Any) -> CallRow:
    return CallRow(name, more.pop("begin", 1000), duration=more.pop("duration", 5_000_000), kind=kind, **more)


# -- the encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "Ü\x00 \U0001f600",
        True,
        False,
        0,
        127,
        128,
        -1,
        2**63 - 1,
        -(2**63),
        0.0,
        -2.5,
        1e300,
        ["a", 1, 2.5, True],
    ],
)
def test_an_attribute_is_what_the_official_class_makes_of_it(value: Any) -> None:
    found = KeyValue.FromString(b"".join(content for _, content in wire.fields(wire.attribute(9, "name", value))))
    assert found.key == "name"
    kind = found.value.WhichOneof("value")
    if isinstance(value, list):
        items = [getattr(each, each.WhichOneof("value")) for each in found.value.array_value.values]
        assert items == value
    else:
        assert type(value) is type(getattr(found.value, kind))
        assert getattr(found.value, kind) == value


def test_what_protobuf_has_no_place_for_is_kept_as_text() -> None:
    assert AnyValue.FromString(wire.any_value(2**70)).string_value == str(2**70)
    assert AnyValue.FromString(wire.any_value({"a": [None]})).string_value == '{"a":[null]}'
    assert AnyValue.FromString(wire.any_value("\udc80")).string_value == "?"


def test_the_bytes_of_a_span_are_those_that_the_official_classes_write() -> None:
    """The same content, read by the official classes and written by them again, is as long and means the same."""
    for row in random_rows(3, 300):
        content = requests.traces([row], Resources({}))
        read = ExportTraceServiceRequest.FromString(content)
        again = read.SerializeToString()
        assert len(again) == len(content)
        assert ExportTraceServiceRequest.FromString(again) == read
        for each in read.resource_spans:
            assert not each.resource.dropped_attributes_count
            assert [scope.scope.name for scope in each.scope_spans] == ["agent-instrument"]


def test_integers_of_any_size_read_back_as_they_were_written() -> None:
    chance = random.Random(1)
    for number in [0, 1, 127, 128, 2**64 - 1, *(chance.getrandbits(chance.randrange(1, 64)) for _ in range(200))]:
        assert list(wire.fields(wire.whole(3, number))) == [(3, number)]


@pytest.mark.parametrize("cut", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x0b", b"\xff" * 12])
def test_an_answer_that_is_no_protobuf_raises_one_kind_of_error(cut: bytes) -> None:
    with pytest.raises(ValueError, match="protobuf"):
        list(wire.fields(cut))


# -- what is where ---------------------------------------------------------------------------------------------------


def test_a_query_and_its_calls_are_a_tree_with_the_names_that_receivers_look_for() -> None:
    row = query(
        calls=[
            call(),
            call("query Customers", "graphql", parent=0),
            model_call(0, 10_000_000),
        ],
        attributes={"session": "s-1", "user": "u-1", "tenant": "north"},
    )
    root, tool, graphql, chat = sent(row)
    assert [span.name for span in (root, tool, graphql, chat)] == [
        "invoke_agent simple",
        "execute_tool find_customers",
        "query Customers",
        "chat small-1",
    ]
    assert {span.trace_id for span in (root, tool, graphql, chat)} == {root.trace_id}
    assert (root.parent_span_id, tool.parent_span_id, graphql.parent_span_id) == (b"", root.span_id, tool.span_id)
    assert root.end_time_unix_nano - root.start_time_unix_nano == row.duration
    assert tool.start_time_unix_nano == root.start_time_unix_nano + 1000
    facts = about(root)
    assert (facts["gen_ai.operation.name"], facts["gen_ai.agent.name"]) == ("invoke_agent", "simple")
    assert (facts["openinference.span.kind"], facts["input.value"]) == ("AGENT", "unpaid bills")
    assert json.loads(facts["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "unpaid bills"}]
    assert (facts["session.id"], facts["gen_ai.conversation.id"], facts["user.id"]) == ("s-1", "s-1", "u-1")
    assert facts["tenant"] == "north"
    assert about(tool)["gen_ai.tool.name"] == "find_customers"
    assert about(graphql)["graphql.operation.type"] == "query"
    assert {about(span)["openinference.span.kind"] for span in (tool, graphql)} == {"TOOL"}


def test_tokens_model_and_cost_stand_on_chat_spans_alone() -> None:
    root, tool, chat = sent(
        query(calls=[call(), model_call(0, 10)], input_tokens=120, output_tokens=30, model="small-1")
    )
    facts = about(chat)
    assert (facts["gen_ai.usage.input_tokens"], facts["llm.token_count.total"]) == (120, 150)
    assert (facts["gen_ai.request.model"], facts["llm.model_name"], facts["gen_ai.provider.name"]) == (
        "small-1",
        "small-1",
        "local",
    )
    assert (facts["llm.cost.total"], json.loads(facts["mlflow.llm.cost"])) == (0.25, {"total_cost": 0.25})
    for span in (root, tool):
        assert not [name for name in about(span) if "token" in name or "model" in name or "cost" in name]


def test_tokens_recorded_for_a_whole_query_get_a_chat_span_of_their_own() -> None:
    root, totals = sent(query(input_tokens=7, output_tokens=3, model="large", cost_usd=0.5))
    assert totals.name == "chat large"
    assert totals.parent_span_id == root.span_id
    assert (about(totals)["gen_ai.usage.input_tokens"], about(totals)["agent_instrument.totals"]) == (7, True)
    assert "gen_ai.usage.input_tokens" not in about(root)


def test_a_failure_stands_on_the_call_and_on_the_query_with_its_message() -> None:
    row = query(
        calls=[call(status="error", error="TimeoutError"), call("other", status="error", error="KeyError")],
        status="error",
        error="TimeoutError",
        message="no answer",
        passed_on=True,
    )
    root, failed, handled = sent(row)
    for span in (root, failed):
        assert (span.status.code, span.status.message) == (2, "no answer")
        assert about(span)["error.type"] == "TimeoutError"
        assert about(span.events[0]) == {"exception.type": "TimeoutError", "exception.message": "no answer"}
        assert (span.events[0].name, span.events[0].time_unix_nano) == ("exception", span.end_time_unix_nano)
    assert (handled.status.code, handled.status.message) == (2, "")


def test_a_cancelled_query_is_no_failure() -> None:
    (root,) = sent(query(status="cancelled", error="CancelledError"))
    assert (root.status.code, len(root.events)) == (0, 0)
    assert (about(root)["error.type"], about(root)["agent_instrument.status"]) == ("CancelledError", "cancelled")


def test_a_query_inside_another_stands_in_its_trace_below_it() -> None:
    outer = query(agent="crewai")
    (root,) = sent(outer)
    parent = str(msgspec.convert(root.trace_id.hex(), str))
    (nested,) = sent(
        query(serial=SERIAL + 1, parent=f"{parent[:8]}-{parent[8:12]}-{parent[12:16]}-{parent[16:20]}-{parent[20:]}")
    )
    assert (nested.trace_id, nested.parent_span_id) == (root.trace_id, root.span_id)
    assert nested.span_id != root.span_id


def test_a_call_that_has_not_ended_is_an_event_and_then_a_span_with_the_id_of_its_place() -> None:
    row = query(calls=[call("slow", duration=None), call("inside", parent=0)])
    root, inside = sent(row)
    assert [event.name for event in root.events] == ["agent_instrument.unfinished_call"]
    assert inside.parent_span_id == root.span_id
    ended = sent(query(calls=[call("slow"), call("inside", parent=0)]))
    identity = root.trace_id.hex()
    parent = f"{identity[:8]}-{identity[8:12]}-{identity[12:16]}-{identity[16:20]}-{identity[20:]}"
    (late,) = sent(StandaloneCallRow(row.started, "slow", 5_000_000, parent=parent, place=0, late=True))
    assert (late.trace_id, late.span_id, late.parent_span_id) == (root.trace_id, ended[1].span_id, root.span_id)


def test_ids_are_the_same_every_time_and_no_two_spans_share_one() -> None:
    rows = random_rows(11, 2000)
    first, again = sent(*rows), sent(*rows)
    assert [span.span_id for span in first] == [span.span_id for span in again]
    ids = {(span.trace_id, span.span_id) for span in first}
    distinct = {msgspec.json.encode(row) for row in rows}
    assert len(distinct) == len(rows)
    assert len(ids) == len(first)


def test_spans_say_which_process_of_which_service_recorded_them() -> None:
    environ = {
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=no",
        "OTEL_SERVICE_NAME": "shop",
    }
    rows = [query(origin=Origin("a", 1)), query(origin=Origin("a", 1)), query(origin=Origin("b", 2))]
    request = ExportTraceServiceRequest.FromString(requests.traces(rows, Resources(environ)))
    assert [about(each.resource) for each in request.resource_spans] == [
        {"service.name": "shop", "deployment.environment.name": "test", "host.name": host, "process.pid": process}
        for host, process in (("a", 1), ("b", 2))
    ]


def test_prompts_and_answers_leave_only_where_they_were_kept() -> None:
    kept = ModelFacts("small-1", input="what?", output="that")
    without, having = (sent(query(calls=[model_call(0, 1, facts)]))[1] for facts in (None, kept))
    assert not [name for name in about(without) if "value" in name or "messages" in name or "response.model" in name]
    assert (about(having)["input.value"], about(having)["output.value"]) == ("what?", "that")
    (root,) = sent(query(user_input=""))
    assert "input.value" not in about(root)
    assert "gen_ai.input.messages" not in about(root)


# -- events ----------------------------------------------------------------------------------------------------------


def test_failures_selections_and_drops_are_events_with_an_id_and_the_place_in_their_trace() -> None:
    failed = query(status="error", error="KeyError", message="no plan", selection=ChoiceRow(5, "simple", 0.5, "short"))
    rows = [query(), failed, SelectionRow(7, "crewai", score=0.9), HealthRow(9, {"full": 3}, {}, Origin("h", 1))]
    request = ExportLogsServiceRequest.FromString(requests.events(rows, Resources({})))
    found = [each for resource in request.resource_logs for scope in resource.scope_logs for each in scope.log_records]
    assert [(each.event_name, each.severity_text, each.body.string_value) for each in found] == [
        ("agent_instrument.agent_selected", "INFO", "simple was selected"),
        ("agent_instrument.query_failed", "ERROR", "simple failed: KeyError: no plan"),
        ("agent_instrument.agent_selected", "INFO", "crewai was selected"),
        ("agent_instrument.records_dropped", "WARN", "3 records dropped, 0 problems"),
    ]
    root = sent(failed)[0]
    assert (found[1].trace_id, found[1].span_id) == (root.trace_id, root.span_id)
    assert found[1].time_unix_nano == root.end_time_unix_nano
    assert len({about(each)["log.record.uid"] for each in found}) == 4


def flat(figures: Any, place: str = "") -> dict[str, Any]:
    """Figures by their path."""
    if not isinstance(figures, (dict, list)):
        return {place: figures}
    pairs = figures.items() if isinstance(figures, dict) else enumerate(figures)
    return {path: value for name, each in pairs for path, value in flat(each, f"{place}/{name}").items()}


# -- there and back --------------------------------------------------------------------------------------------------


def test_records_exported_and_imported_again_give_the_same_figures(tmp_path: Path) -> None:
    rows = [row for row in random_rows(5, 400) if isinstance(row, QueryRow) and row.parent is None]
    for number, row in enumerate(rows):
        row.weight = 4.0 if number % 7 == 0 else 1
        row.agent = row.agent or "simple"
        row.calls = [each for each in row.calls if each.duration is not None]
        for each in row.calls:
            each.begin = min(each.begin, row.duration)
            each.duration = min(each.duration or 0, row.duration - each.begin)
            each.late = False
            each.passed_on = False
            if each.kind == "graphql":
                each.name = "query Customers"
            elif each.kind == "model":
                each.name = "small-1"
        if any(each.kind == "model" for each in row.calls):
            row.input_tokens = row.output_tokens = row.model = None
            total_up(row)
        if row.status == "error":
            row.error = row.error or "ValueError"
        row.attributes = {"tenant": "a"}
    write(tmp_path / "before", rows)
    request = ExportTraceServiceRequest.FromString(requests.traces(rows, Resources({})))
    (tmp_path / "traces.json").write_text(json.dumps(MessageToDict(request)))
    import_files([tmp_path / "traces.json"], tmp_path / "after")

    def figures(store: str) -> dict[str, Any]:
        with open_store(tmp_path / store, since=NOON - timedelta(days=1), until=NOON + timedelta(days=1)) as opened:
            found: dict[str, Any] = msgspec.to_builtins(opened.report())
        for beside in ("period", "data"):
            found.pop(beside)
        return flat(found)

    before, after = figures("before"), figures("after")
    assert before.keys() == after.keys()
    for name, value in before.items():  # a sum depends on the order of its parts
        assert after[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name
