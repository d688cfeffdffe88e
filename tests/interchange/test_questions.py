"""The user's own words are found wherever a framework puts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_files import AGENT, MODEL, batch, only, pairs, span

from instrument.interchange.questions import question_in
from instrument.interchange.semconv import question_of, with_messages

ASKED = "What is unpaid?"
LLM = {"openinference.span.kind": "LLM"}
CHAT = {"llm.request.type": "chat", "gen_ai.request.model": "m"}


@pytest.mark.parametrize(
    "given",
    [
        {"messages": [["user", ASKED]]},
        {"messages": [["system", "be nice"], ["human", ASKED]]},
        {"messages": [[["system", "be nice"], ["human", ASKED], ["ai", "let me see"]]]},
        {"inputs": {"messages": [["user", ASKED]]}, "tags": [], "metadata": {}},
        {"task": ASKED, "stream": False, "reset": True, "images": None, "max_steps": None},
        {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
        [{"role": "user", "parts": [{"text": ASKED}]}, {"role": "model", "parts": [{"text": "let me see"}]}],
        {"messages": [[{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "SystemMessage"],
                        "kwargs": {"content": "be nice", "type": "system"}},
                       {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],
                        "kwargs": {"content": ASKED, "type": "human"}}]]},
        [{"event.name": "gen_ai.system.message", "content": "be nice"},
         {"event.name": "gen_ai.user.message", "content": ASKED}],
        [{"role": "user", "content": ASKED}, {"role": "assistant", "content": [{"type": "tool_use", "name": "find"}]},
         {"role": "user", "content": [{"type": "tool_result", "content": "42"}]}],
        [{"role": "user", "content": [{"text": ASKED}]}, {"role": "assistant", "content": [{"toolUse": {"name": "f"}}]},
         {"role": "user", "content": [{"toolResult": {"status": "success", "content": [{"text": "42"}]}}]}],
    ],
    ids=lambda given: json.dumps(given)[:60],
)  # fmt: skip
@pytest.mark.parametrize("times_encoded", [0, 1, 2])
def test_the_user_s_words_are_found_in_messages_of_every_shape(given: Any, times_encoded: int) -> None:
    for _ in range(times_encoded):
        given = json.dumps(given)
    assert question_in(given, or_all=False) == ASKED


def test_two_texts_of_which_none_is_a_role_are_no_pair() -> None:
    assert question_in({"args": [ASKED, "in India"]}) == ASKED


def test_messages_of_any_shape_harm_nothing() -> None:
    for odd in ([{"type": []}], {"type": {}, "role": []}, [[{}, 1]], {"id": 5, "type": "constructor"}, [[None, None]]):
        assert question_in(odd, or_all=False) == ""


def test_what_nobody_asked_is_no_question() -> None:
    assert question_in({"role": "assistant", "content": "let me see"}, or_all=False) == ""
    assert question_in([{"role": "user", "content": [{"type": "tool_result", "content": "42"}]}], or_all=False) == ""


NUMBERED = {
    "OpenLLMetry": CHAT
    | {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "be nice",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": ASKED,
        "gen_ai.completion.0.content": "let me see",
    },
    "OpenLLMetry, older": CHAT | {"llm.prompts.0.role": "user", "llm.prompts.0.content": ASKED},
    "OpenLLMetry, blocks": CHAT
    | {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": json.dumps([{"type": "text", "text": ASKED}])},
    "OpenInference": LLM | {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": ASKED},
    "OpenInference, after ten": LLM
    | {f"llm.input_messages.{place}.message.role": "user" for place in range(12)}
    | {f"llm.input_messages.{place}.message.content": "before" for place in range(11)}
    | {"llm.input_messages.11.message.content": ASKED},
    "OpenInference, parts": LLM
    | {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": ASKED,
    },
}


@pytest.mark.parametrize("name", NUMBERED)
def test_messages_over_numbered_attributes_are_put_together(tmp_path: Path, name: str) -> None:
    assert only(tmp_path, batch(span(1, 0, NUMBERED[name]))).user_input == ASKED
    (tmp_path / "inside").mkdir()
    assert only(tmp_path / "inside", batch(span(1, 0, AGENT), span(2, 1, NUMBERED[name]))).user_input == ASKED


def strands(name: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": "1", "attributes": pairs(attributes)}


EVENTS = {
    "Strands": [
        strands("gen_ai.system.message", content='[{"text": "be nice"}]'),
        strands("gen_ai.user.message", content=json.dumps([{"text": ASKED}])),
        strands("gen_ai.choice", message="let me see", finish_reason="end_turn"),
    ],
    "later Strands": [
        strands(
            "gen_ai.client.inference.operation.details",
            **{"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": ASKED}]}])},
        )
    ],
    "event content": [
        strands("gen_ai.user.message", **{"gen_ai.event.content": json.dumps({"role": "user", "content": ASKED})})
    ],
    "content prompt": [strands("gen_ai.content.prompt", **{"gen_ai.prompt": ASKED})],
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("kind", [AGENT, MODEL], ids=["agent", "model"])
def test_messages_that_are_events_of_a_span_are_its_input(tmp_path: Path, name: str, kind: dict[str, str]) -> None:
    assert only(tmp_path, batch(span(1, 0, kind, events=EVENTS[name]))).user_input == ASKED


def test_attributes_come_before_events_and_the_first_that_holds_a_question_counts() -> None:
    events = [("gen_ai.user.message", {"content": "from an event"})]
    assert question_of(with_messages({"input.value": ASKED}, events)) == ASKED
    assert question_of(with_messages({"http.route": "/chat"}, events)) == "from an event"
    assert question_of({"gen_ai.input.messages": "[]", "input.value": ASKED}) == ASKED
    assert question_of({"input.value": '{"state": 1}'}) == '{"state": 1}'
    assert question_of({"input.value": '{"state": 1}'}, or_all=False) == ""
