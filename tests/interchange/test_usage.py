"""Tokens are counted under every name, reasoning is never input, and what a cache had is told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_inspect_ai import event, log, sample
from trace_files import AGENT, MODEL, batch, langfuse, observation, only, span, stamp

from instrument.interchange.semconv import Tokens, tokens_of
from instrument.interchange.usage import tokens_in


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input": 10, "output": 5, "total": 15}, Tokens(10, 5)),
        ({"inputUsage": 10, "outputUsage": 5, "totalUsage": 15}, Tokens(10, 5)),
        ({"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}, Tokens(10, 5)),
        ({"prompt_tokens": "10", "completion_tokens": 5}, Tokens(10, 5)),
        ({"input": 5, "output": 845, "total": 2023}, Tokens(5, 2018, None, 1173)),
        ({"input_tokens": 9, "output_tokens": 5, "reasoning_tokens": 7, "total_tokens": 21}, Tokens(9, 12, None, 7)),
        ({"input": 6, "output": 55, "completion_details.reasoning": 50, "total": 61}, Tokens(6, 55, None, 50)),
        ({"input": 10, "output": 5, "output_reasoning": 20, "total": 35}, Tokens(10, 25, None, 20)),
        ({"input": 10, "output": 5, "output_reasoning": 20}, Tokens(10, 25, None, 20)),
        ({"input": 10, "input_cache_read": 90, "output": 5, "total": 105}, Tokens(100, 5, 90)),
        ({"input": 100, "input_cached_tokens": 90, "output": 5, "total": 105}, Tokens(100, 5, 90)),
        ({"input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7}, Tokens(100, 0, 90)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 30,
                "total_tokens": 40,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Tokens(10, 30, 4, 20),
        ),
        (
            {
                "promptTokenCount": 5,
                "candidatesTokenCount": 845,
                "thoughtsTokenCount": 1173,
                "totalTokenCount": 2023,
                "cachedContentTokenCount": 2,
            },
            Tokens(5, 2018, 2, 1173),
        ),
        ({"total": 15}, Tokens(15, 0)),
        ({"output": 5, "total": 15}, Tokens(10, 5)),
        ({"input": 10, "total": 15}, Tokens(10, 5)),
        ({"input": 10, "output": 5, "unit": "TOKENS", "inputCost": 0.5, "totalCost": 1, "total": None}, Tokens(10, 5)),
        ({"unit": "TOKENS", "inputCost": 0.5, "input": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_tokens_are_counted_whatever_they_are_called(usage: dict[str, Any], tokens: Tokens | None) -> None:
    assert tokens_in(usage) == tokens


USAGE = {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15}
OTHER_NAMES = {
    "details": {"usageDetails": {"input": 10, "output": 5, "total": 15}},
    "snake case": {"usage_details": {"input": 10, "output": 5, "total": 15}},
    "usage": {"usage": USAGE},
    "older": USAGE,
    "interface": {"usage": None, "usageDetails": {}, "inputUsage": 10, "outputUsage": 5, "totalUsage": 15},
}


@pytest.mark.parametrize("names", OTHER_NAMES)
def test_langfuse_s_counts_are_read_wherever_a_version_has_them(tmp_path: Path, names: str) -> None:
    record = only(tmp_path, langfuse(observation("m", None, "GENERATION", model="small-1", **OTHER_NAMES[names])))
    assert (record.input_tokens, record.output_tokens) == (10, 5)


def test_what_was_cached_and_thought_is_of_the_query_and_of_the_call(tmp_path: Path) -> None:
    usage = {"input": 10, "input_cached_tokens": 90, "output": 5, "output_reasoning": 20, "total": 125}
    attributes = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 25,
        "gen_ai.usage.cache_read.input_tokens": 90,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "gen_ai.provider.name": "somebody",
    }
    asked = event(
        "model",
        1,
        completed=stamp(2),
        model="m",
        output={
            "usage": {
                "total_tokens": 125,
                "input_tokens": 10,
                "input_tokens_cache_read": 90,
                "output_tokens": 25,
                "reasoning_tokens": 20,
            }
        },
    )
    documents = (
        langfuse(observation("m", None, "GENERATION", usageDetails=usage)),
        batch(span(1, 0, AGENT), span(2, 1, MODEL | attributes)),
        log(sample(asked)),
    )
    for place, document in enumerate(documents):
        (tmp_path / str(place)).mkdir()
        record = only(tmp_path / str(place), document)
        for each in (record, record.calls[0]):
            counted = (each.input_tokens, each.output_tokens, each.cached_tokens, each.reasoning_tokens)
            assert counted == (100, 25, 90, 20), place


def test_conventions_have_names_of_their_own_for_what_was_cached_and_thought() -> None:
    counted = {"llm.token_count.prompt": 10, "llm.token_count.completion": 5}
    assert tokens_of(
        counted | {"llm.token_count.prompt_details.cache_read": 4, "llm.token_count.completion_details.reasoning": 3}
    ) == Tokens(10, 5, 4, 3)
