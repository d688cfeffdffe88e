from __future__ import annotations

import json
from typing import Any

import pytest

from instrument.interchange import semconv
from instrument.interchange.semconv import Failure, Tokens


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "billing"}, "llm"),
        ({"gen_ai.operation.name": "embeddings"}, "llm"),
        ({"gen_ai.operation.name": "create_agent"}, None),
        ({"openinference.span.kind": "AGENT"}, "agent"),
        ({"openinference.span.kind": "TOOL"}, "tool"),
        ({"openinference.span.kind": "LLM"}, "llm"),
        ({"openinference.span.kind": "RETRIEVER"}, "tool"),
        ({"openinference.span.kind": "CHAIN", "llm.model_name": "small-1"}, None),
        ({"langfuse.observation.type": "generation"}, "llm"),
        ({"traceloop.span.kind": "workflow"}, "agent"),
        ({"traceloop.span.kind": "task"}, None),
        ({"langsmith.span.kind": "tool"}, "tool"),
        ({"mlflow.spanType": '"TOOL"'}, "tool"),
        ({"ai.operationId": "ai.generateText"}, "agent"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "llm"),
        ({"ai.operationId": "ai.toolCall"}, "tool"),
        ({"graphql.operation.type": "query", "graphql.operation.name": "Customers"}, "graphql"),
        ({"gen_ai.tool.name": "find", "gen_ai.agent.name": "billing"}, "tool"),
        ({"gen_ai.request.model": "small-1"}, "llm"),
        ({"gen_ai.agent.name": "billing"}, "agent"),
        ({"http.request.method": "GET"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_each_convention_s_kinds_of_spans_are_told_apart(attributes: dict[str, Any], kind: str | None) -> None:
    assert semconv.kind_of(attributes) == kind


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find"}, "find"),
        ({"openinference.span.kind": "TOOL", "tool.name": "find"}, "find"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "find"}, "find"),
        ({"ai.operationId": "ai.toolCall", "ai.toolCall.name": "find"}, "find"),
        ({"gen_ai.operation.name": "execute_tool"}, "the span"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "billing"}, "billing"),
        ({"graphql.operation.type": "query", "graphql.operation.name": "Customers"}, "query Customers"),
        ({"graphql.document": "{ customers }"}, "the span"),
        ({"gen_ai.operation.name": "chat", "gen_ai.request.model": "a", "gen_ai.response.model": "a-2026"}, "a-2026"),
        ({"http.route": "/chat"}, "the span"),
    ],
    ids=str,
)
def test_a_span_is_named_by_what_it_stands_for(attributes: dict[str, Any], name: str) -> None:
    assert semconv.name_of(attributes, "the span") == name


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        ({"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3}, Tokens(12, 3)),
        ({"gen_ai.usage.prompt_tokens": "12", "gen_ai.usage.completion_tokens": 3.0}, Tokens(12, 3)),
        ({"llm.token_count.prompt": 12, "llm.token_count.completion": 3}, Tokens(12, 3)),
        ({"ai.usage.promptTokens": 12, "ai.usage.completionTokens": 3}, Tokens(12, 3)),
        ({"gen_ai.usage.input_tokens": 0}, Tokens(0, None)),
        ({"gen_ai.usage.input_tokens": "many", "llm.token_count.prompt": 12}, Tokens(12, None)),
        ({"gen_ai.usage.input_tokens": float("nan")}, None),
        ({"gen_ai.usage.input_tokens": -1}, None),
        ({"gen_ai.usage.input_tokens": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_tokens_are_counted_where_they_are_numbers(attributes: dict[str, Any], tokens: Tokens | None) -> None:
    assert semconv.tokens_of(attributes) == tokens


def test_costs_sessions_and_users_are_found_under_each_one_s_name() -> None:
    assert semconv.cost_of({"operation.cost": 0.25}) == semconv.cost_of({"llm.cost.total": "0.25"}) == 0.25
    assert semconv.cost_of({"operation.cost": None}) is None
    assert semconv.session_of({"gen_ai.conversation.id": "c"}) == semconv.session_of({"session.id": "c"}) == "c"
    assert semconv.user_of({"enduser.id": 7}) == "7"


def test_an_error_takes_its_type_from_the_last_exception_and_its_message_too() -> None:
    events = [
        ("exception", {"exception.type": "builtins.KeyError", "exception.message": "first"}),
        ("note", {"exception.type": "Other"}),
        ("exception", {"exception.type": "shop.errors.NoSuchPlan", "exception.message": "no such plan"}),
    ]
    found = semconv.error_of({}, failed=True, message="ERROR", events=events)
    assert found == Failure("NoSuchPlan", "no such plan")
    assert semconv.error_of({}, failed=True, message="gone wrong") == Failure("Error", "gone wrong")
    assert semconv.error_of({"error.type": "timeout"}) == Failure("timeout", None)
    assert semconv.error_of({"error.type": "_OTHER"}, failed=True) == Failure("Error", None)


def test_an_exception_that_was_caught_is_no_failure() -> None:
    assert semconv.error_of({}, events=[("exception", {"exception.type": "KeyError"})]) is None


def test_cancelling_and_closing_are_no_errors() -> None:
    assert semconv.status_of(None) == "ok"
    assert semconv.status_of(Failure("ValueError", None)) == "error"
    assert semconv.status_of(Failure("CancelledError", None)) == "cancelled"
    assert semconv.status_of(Failure("GeneratorExit", None)) == "closed"


_ASKED = "unpaid bills in India"


@pytest.mark.parametrize(
    "given",
    [
        _ASKED,
        f"  {_ASKED}\n",
        {"user_input": _ASKED},
        {"args": [_ASKED], "kwargs": {}},
        {"user_id": "u", "new_message": {"role": "user", "parts": [{"text": _ASKED}]}},
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": _ASKED}],
        [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": _ASKED},
        ],
        [{"role": "user", "parts": [{"type": "text", "content": _ASKED}]}],
        {"messages": [{"type": "human", "content": _ASKED}, {"type": "ai", "content": "let me see"}]},
        {"prompt": _ASKED, "system": "be brief"},
        (_ASKED,),
    ],
    ids=str,
)
@pytest.mark.parametrize("times_encoded", [0, 1, 2])
def test_the_user_s_words_are_found_in_what_frameworks_keep(given: Any, times_encoded: int) -> None:
    for _ in range(times_encoded):
        given = json.dumps(given)
    assert semconv.question_in(given) == _ASKED


def test_an_input_without_the_user_s_words_is_itself_unless_nothing_else_will_do() -> None:
    other = '{"state": {"step": 3}}'
    assert semconv.question_in(other) == other
    assert semconv.question_in(other, or_all=False) == ""
    assert semconv.question_in([{"role": "system", "content": "be brief"}], or_all=False) == ""
    assert semconv.question_in(None) == semconv.question_in("") == ""


@pytest.mark.parametrize("given", ["[" * 50_000, '{"a":' * 50_000, "[" * 900 + "]" * 900, '"' * 9, "{]"])
def test_what_only_looks_like_json_is_text(given: str) -> None:
    assert semconv.question_in(given) == given


def test_a_value_of_any_type_is_text_or_nothing() -> None:
    assert semconv.input_of({"input.value": {"a": [1, "ü"]}}) == '{"a": [1, "ü"]}'
    assert semconv.input_of({"input.value": None, "gen_ai.prompt": 5}) == "5"
    assert semconv.output_of({"gen_ai.tool.call.result": "Asha"}) == "Asha"
    assert semconv.model_of({"gen_ai.request.model": ("a", "b")}) == '["a", "b"]'


def test_a_chain_says_so_and_is_told_from_other_steps() -> None:
    assert semconv.is_chain({"openinference.span.kind": "CHAIN"})
    assert semconv.is_chain({"langfuse.observation.type": "chain"})
    assert not semconv.is_chain({"openinference.span.kind": "GUARDRAIL"})
    assert not semconv.is_chain({"http.method": "POST"})


def test_a_span_that_says_nothing_yet_is_known_by_its_name_where_that_is_unmistakable() -> None:
    assert semconv.kind_in("invoke_agent support") == "agent"
    assert semconv.kind_in("execute_tool look_up") == "tool"
    assert semconv.kind_in("chat message sent") is None
    assert semconv.kind_in("tool") is None
    assert semconv.kind_in("") is None
