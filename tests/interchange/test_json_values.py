"""What Python's own json writes and JSON does not know costs its own value, and nothing else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_files import AGENT, batch, langfuse, observation, only, span, taken

from instrument.interchange.json_values import decode

NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-2.5E+400"]


def _without_no_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_no_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_no_numbers(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**62), 2**62)
        | st.floats()
        | st.text(st.sampled_from('aN\\"{[,:"\u00e4')),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_python_s_json_writes_is_read_with_null_for_what_is_no_number(value: Any) -> None:
    assert decode(json.dumps(value)) == _without_no_numbers(value)


def test_no_text_is_touched() -> None:
    text = 'NaN, "Infinity" and \\ 1e999'
    assert decode(json.dumps({"a": text, "b": math.nan, text: math.inf})) == {"a": text, "b": None, text: None}


def test_a_lone_surrogate_is_replaced_and_a_pair_is_not() -> None:
    assert decode(r'["\ud83d\ude00", "x\ud800y", "\\ud800", NaN]') == ["\U0001f600", "x\ufffdy", "\\ud800", None]


@pytest.mark.parametrize("content", ["[NaN", '{"a": NaN, "b": "', "[Nan]", "[NaN]]", '["\\' + '\\"' * 100_000])
def test_what_is_damaged_stays_damaged(content: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|truncated|trailing|invalid"):
        decode(content)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_number_that_is_none_costs_a_trace_nothing_but_itself(tmp_path: Path, value: str) -> None:
    for place, document in enumerate(
        (
            langfuse(observation("root"), input="hi", metadata={"score": "@", "tenant": "north"}),
            batch(span(1, 0, AGENT | {"tenant": "north"}) | {"flags": "@"}),
        )
    ):
        (tmp_path / str(place)).mkdir()
        record = only(tmp_path / str(place), json.dumps(document).replace('"@"', value))
        assert (record.duration_ms, record.attributes["tenant"]) == (1000, "north")
        lines = json.dumps(document).replace('"@"', value) + "\n" + json.dumps(document)
        assert taken(tmp_path / str(place), lines)[0].skipped == []


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_number_that_is_none_costs_an_entry_of_metrics_json_nothing_but_itself(tmp_path: Path, value: str) -> None:
    call = {"kind": "tool", "name": "find", "start_ms": "@", "duration_ms": "@", "success": True}
    entry = {
        "query_id": "q1",
        "user_input": "hi",
        "start_time": "2025-01-01T00:00:00Z",
        "duration_ms": 5,
        "success": True,
        "first_chunk_ms": "@",
        "weight": "@",
        "metrics": {"bad": "@", "good": 1.5},
        "attributes": {"bad": "@", "good": "x"},
        "entities_detected": ["a"],
        "calls": [call],
    }
    for name, document in (("ours", {"queries": [entry]}), ("others", {"made": "elsewhere", "queries": [entry]})):
        (tmp_path / name).mkdir()
        record = only(tmp_path / name, json.dumps(document).replace('"@"', value))
        assert (record.user_input, record.duration_ms, record.weight, record.first_chunk_ms) == ("hi", 5, 1, None)
        assert (record.metrics, record.attributes) == ({"good": 1.5}, {"bad": None, "good": "x"})
        assert [(call.name, call.start_ms, call.status) for call in record.calls] == [("find", 0, "abandoned")]


def test_a_cell_of_metrics_csv_that_says_it_is_no_number_is_an_empty_one(tmp_path: Path) -> None:
    header = "timestamp,query_id,agent_type,duration_ms,success,entities_detected,tool_calls,graphql_queries\n"
    record = only(tmp_path, header + "2025-01-01T00:00:00Z,q1,simple,nan,true,,inf,2\n")
    assert (record.agent_type, record.tool_calls, record.graphql_queries) == ("simple", 0, 2)
