from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_files import TRACE, langfuse, lines, observation, only, stamp, taken

from instrument.config import Config


def test_a_trace_becomes_a_query_its_tools_calls_and_its_models_tokens(tmp_path: Path) -> None:
    usage = {"input": 12, "output": 3, "total": 15}
    record = only(
        tmp_path,
        langfuse(
            observation(
                "agent", end=3, input={"messages": [{"role": "user", "content": "unpaid bills"}]}, output="Asha"
            ),
            observation("model", "agent", "GENERATION", 0, 1, model="small-1", usageDetails=usage, totalCost=0.25),
            observation("look up", "agent", "TOOL", 1, 2),
            observation("search", "look up", "RETRIEVER", 1.25, 1.5, output="ä"),
            observation("marked", "agent", "EVENT", 1.5, None),
            sessionId="s",
            userId="u",
            tags=["one", "two"],
            output='"two bills"',
            metadata={"tenant": "north", "attributes": {"a": 1}, "resourceAttributes": {"host.name": "h"}},
        ),
    )
    assert (record.agent_type, record.name, record.user_input) == ("bot", "agent", "unpaid bills")
    assert (record.start_time, record.duration_ms) == ("2025-01-01T00:00:00.000000Z", 3000)
    assert (record.input_tokens, record.output_tokens, record.model) == (12, 3, "small-1")
    assert (record.cost_usd, record.model_calls, record.metrics) == (0.25, 1, {"depth": 2})
    assert record.result_size_bytes == len("two bills")
    assert [(call.name, call.start_ms, call.duration_ms, call.parent) for call in record.calls] == [
        ("small-1", 0, 1000, None),
        ("look up", 1000, 1000, None),
        ("search", 1250, 250, 1),
    ]
    assert [call.kind for call in record.calls] == ["model", "tool", "tool"]
    asked = record.calls[0]
    assert (asked.model, asked.input_tokens, asked.output_tokens, asked.cost_usd) == ("small-1", 12, 3, 0.25)
    assert record.calls[2].result_size_bytes == 2
    assert record.attributes == {
        "source": "langfuse",
        "trace_id": "t1",
        "spans": {"SPAN": 1, "GENERATION": 1, "TOOL": 1, "RETRIEVER": 1, "EVENT": 1},
        "steps": {"marked": 1},
        "session": "s",
        "user": "u",
        "tags": ["one", "two"],
        "tenant": "north",
    }


def test_a_call_below_a_step_stands_under_the_call_around_it(tmp_path: Path) -> None:
    record = only(
        tmp_path,
        langfuse(
            observation("root", end=9),
            observation("outer", "root", "TOOL", 1, 8),
            observation("step", "outer", "CHAIN", 2, 7),
            observation("model", "step", "GENERATION", 3, 6),
            observation("inner", "model", "TOOL", 4, 5),
            observation("beside", "root", "TOOL", 2, 3),
        ),
    )
    assert [(call.name, call.parent) for call in record.calls] == [
        ("outer", None),
        ("beside", None),
        ("model", 0),
        ("inner", 2),
    ]


def test_an_error_s_type_and_message_come_from_its_status_message(tmp_path: Path) -> None:
    boom = {"level": "ERROR", "statusMessage": "shop.errors.NoPlanError: no such plan"}
    record = only(
        tmp_path,
        langfuse(
            observation("root", **boom),
            observation("outer", "root", "TOOL", **boom),
            observation("inner", "outer", "TOOL", **boom),
            observation("other", "root", "TOOL", level="ERROR", statusMessage="out of luck"),
        ),
    )
    assert (record.status, record.error_type, record.error_message) == ("error", "NoPlanError", "no such plan")
    assert record.passed_on
    assert [(call.name, call.error_type, call.error_message, call.passed_on) for call in record.calls] == [
        ("outer", "NoPlanError", "no such plan", True),
        ("inner", "NoPlanError", "no such plan", False),
        ("other", "Error", "out of luck", False),
    ]
    assert record.attributes["levels"] == ["ERROR"]


def test_an_error_that_stayed_inside_does_not_fail_the_query(tmp_path: Path) -> None:
    failed = observation("tool", "root", "TOOL", level="ERROR", statusMessage="ValueError: no")
    record = only(tmp_path, langfuse(observation("root"), failed))
    assert (record.status, record.success, record.calls[0].success) == ("ok", True, False)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input": 10, "output": 5, "total": 15}, (10, 5)),
        ({"input": 10, "input_cached_tokens": 90, "output": 5, "output_reasoning_tokens": 20, "total": 125}, (100, 25)),
        ({"input": 10, "cache_read_input_tokens": 90, "output": 5, "total": 105}, (100, 5)),
        ({"input": 10, "output": 5}, (10, 5)),
        ({"input": 10, "output": 5, "prompt_details.audio": 7, "total": 15}, (10, 5)),
        ({}, (None, None)),
    ],
    ids=str,
)
def test_tokens_in_and_out_add_up_to_the_total(
    tmp_path: Path, usage: dict[str, int], tokens: tuple[int | None, int | None]
) -> None:
    record = only(tmp_path, langfuse(observation("model", None, "GENERATION", usageDetails=usage, model="small-1")))
    assert (record.input_tokens, record.output_tokens) == tokens


def test_of_several_models_the_one_with_most_tokens_is_the_query_s(tmp_path: Path) -> None:
    models = [("small-1", 5), ("large-1", 90), ("small-1", 6)]
    made = [
        observation(f"m{place}", None, "GENERATION", model=model, usageDetails={"input": count, "total": count})
        for place, (model, count) in enumerate(models)
    ]
    record = only(tmp_path, langfuse(*made))
    assert (record.model, record.attributes["models"]) == ("large-1", ["large-1", "small-1"])


def test_the_first_chunk_of_a_streaming_root_is_kept(tmp_path: Path) -> None:
    record = only(tmp_path, langfuse(observation("root", None, "GENERATION", completionStartTime=stamp(0.125))))
    assert record.first_chunk_ms == 125


def _forms() -> dict[str, Any]:
    whole = langfuse(observation("root"), observation("find", "root", "TOOL"))
    api = whole["trace"] | {"observations": whole["observations"]}
    return {
        "downloaded": whole,
        "indented": json.dumps(whole, indent=2),
        "list": [whole],
        "api": api,
        "page": {"data": [api], "meta": {"page": 1}},
        "lines": lines(api),
        "observations": whole["observations"],
        "observation lines": lines(*whole["observations"]),
        "with a mark": "\ufeff" + json.dumps(whole),
    }


@pytest.mark.parametrize("form", _forms())
def test_traces_come_in_whatever_form_they_were_exported_in(tmp_path: Path, form: str) -> None:
    record = only(tmp_path, _forms()[form])
    assert (record.attributes["trace_id"], record.duration_ms, record.tool_calls) == ("t1", 1000, 1)


def test_a_page_of_traces_without_their_observations_has_latency_and_cost(tmp_path: Path) -> None:
    listed = {"id": "t1", "name": "bot", "projectId": "p", "timestamp": stamp(0), "observations": ["a", "b"]}
    record = only(tmp_path, {"data": [listed | {"latency": 1.5, "totalCost": 0.5}]})
    assert (record.agent_type, record.duration_ms, record.status) == ("bot", 1500, "ok")
    assert (record.cost_usd, record.metrics) == (0.5, {})


def test_a_trace_given_twice_is_one(tmp_path: Path) -> None:
    first, second = langfuse(observation("root")), langfuse(observation("root", end=2))
    done, found = taken(tmp_path, [first, second], first)
    assert (done.queries, done.duplicates) == (1, 2)
    assert [record.duration_ms for record in found.values()] == [1000]


def test_an_id_that_is_128_bits_stays_and_any_other_gives_the_same_one_every_time(tmp_path: Path) -> None:
    made = [langfuse(observation("root"), id=key) for key in (TRACE.upper(), "my trace", "my other trace")]
    done, found = taken(tmp_path, made)
    assert (done.queries, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa" in found) == (3, True)
    again, same = taken(tmp_path, made[::-1])
    assert (again.queries, again.duplicates, same) == (0, 3, found)


def test_texts_are_kept_as_the_settings_say(tmp_path: Path) -> None:
    asked = "call asha@example.com about the bill"
    document = langfuse(
        observation("root", level="ERROR", statusMessage=f"ValueError: bad input {asked}"),
        input=asked,
        metadata={"mail": "asha@example.com", "deep": {"mail": ["asha@example.com"]}, "phone": 6912345678},
        tags=["asha@example.com"],
    )
    config = Config(redact=("email", "phone"), max_input_chars=60)
    record = only(tmp_path, document, config=config)
    assert record.user_input == "call [redacted] about the bill"
    assert "asha" not in str(record)
    assert record.attributes["phone"] == "[redacted]"
    (tmp_path / "none").mkdir()
    hidden = only(tmp_path / "none", document, config=Config(capture_input="none"))
    assert hidden.user_input == ""
    assert hidden.error_message == "bad input [redacted]"
