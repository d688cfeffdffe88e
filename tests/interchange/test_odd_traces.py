"""What is wrong with a trace is said in one line, and what is right with it comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_inspect_ai import event, log, model, sample
from trace_files import AGENT, MODEL, TOOL, batch, langfuse, lines, observation, only, span, taken

from instrument.config import DEFAULTS, Config
from instrument.errors import StoreError
from instrument.interchange import inspect_ai, otlp
from instrument.interchange import langfuse as langfuse_format
from instrument.interchange.assembling import Assembling
from instrument.interchange.incoming import Reader

AGENT_AND_TOOL = (observation("root"), observation("tool", "root", "TOOL"))


def test_an_orphan_is_put_directly_under_its_trace(tmp_path: Path) -> None:
    done, found = taken(tmp_path, langfuse(*AGENT_AND_TOOL, observation("lost", "gone", "TOOL", 0.5, 0.75)))
    record = next(iter(found.values()))
    assert done.notes == ["in traces.json, 1 span without a parent that is there: put directly under the trace"]
    assert [(call.name, call.parent) for call in record.calls] == [("tool", None), ("lost", None)]
    assert (record.name, record.metrics["orphans"], record.duration_ms) == ("root", 1, 1000)


def test_a_trace_of_orphans_alone_comes_in(tmp_path: Path) -> None:
    _, found = taken(tmp_path, batch(span(2, 9, AGENT), span(3, 2, TOOL)))
    record = next(iter(found.values()))
    assert (record.agent_type, record.tool_calls, record.metrics["orphans"]) == ("billing", 1, 1)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_spans_that_are_their_own_ancestors_come_in_each_once(tmp_path: Path, length: int) -> None:
    ring = [observation(f"{place}", f"{(place + 1) % length}", "TOOL", place / 8, 1) for place in range(length)]
    _, found = taken(tmp_path, langfuse(observation("root"), *ring))
    record = next(iter(found.values()))
    assert (record.tool_calls, record.metrics["orphans"]) == (length, 1)
    assert all(call.parent is None or call.parent < place for place, call in enumerate(record.calls))


def test_a_trace_without_an_end_is_abandoned_and_has_no_duration(tmp_path: Path) -> None:
    done, found = taken(tmp_path, langfuse(observation("root", end=None), observation("tool", "root", "TOOL", 1, 2)))
    record = next(iter(found.values()))
    assert (record.status, record.success, record.duration_ms, record.metrics["unfinished"]) == (
        "abandoned",
        False,
        0,
        1,
    )
    assert (record.calls[0].duration_ms, record.calls[0].success) == (1000, True)
    assert done.notes == ["in traces.json, 1 span without an end: abandoned, given no duration"]


def test_a_call_without_an_end_is_abandoned_in_a_trace_that_ended(tmp_path: Path) -> None:
    record = only(tmp_path, batch(span(1, 0, AGENT, end=2), span(2, 1, TOOL, 1, None)))
    assert (record.status, record.duration_ms) == ("ok", 2000)
    assert (record.calls[0].status, record.calls[0].duration_ms, record.calls[0].success) == ("abandoned", None, False)


def test_a_clock_that_went_backwards_gives_a_duration_of_nothing(tmp_path: Path) -> None:
    done, found = taken(tmp_path, langfuse(observation("root"), observation("tool", "root", "TOOL", 0.75, 0.25)))
    record = next(iter(found.values()))
    assert (record.duration_ms, record.calls[0].start_ms, record.calls[0].duration_ms) == (1000, 750, 0)
    assert done.notes == ["in traces.json, 1 span with an end before the start: given a duration of 0"]


def test_a_call_that_begins_before_the_one_around_it_still_stands_after_it(tmp_path: Path) -> None:
    around = observation("outer", "root", "TOOL", 2, 4)
    early = observation("early", "outer", "TOOL", 1, 3)
    record = only(
        tmp_path, langfuse(observation("root", end=5), early, around, observation("later", "root", "TOOL", 3, 4))
    )
    assert [(call.name, call.start_ms, call.parent) for call in record.calls] == [
        ("outer", 2000, None),
        ("early", 1000, 0),
        ("later", 3000, None),
    ]


@pytest.mark.parametrize("start", [None, "", "yesterday", "1066-10-14T09:00:00Z", "9999-01-01T00:00:00Z", 5])
def test_a_span_without_a_time_that_can_be_is_kept(tmp_path: Path, start: Any) -> None:
    done, found = taken(
        tmp_path, langfuse(observation("root"), observation("tool", "root", "TOOL") | {"startTime": start})
    )
    record = next(iter(found.values()))
    assert (record.duration_ms, record.calls[0].start_ms, record.calls[0].duration_ms) == (1000, 0, None)
    assert done.notes == ["in traces.json, 1 span without a start that can be: put where what is around begins"]


def test_a_trace_that_has_no_time_at_all_is_skipped_and_named(tmp_path: Path) -> None:
    nowhen = {"startTimeUnixNano": "0", "endTimeUnixNano": "0"}
    done, found = taken(tmp_path, batch(span(1, 0, AGENT) | nowhen, span(1, 0, AGENT, trace="b" * 32)))
    assert len(found) == 1
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("trace " + "a" * 32, "nothing in it says when it was")
    ]


def test_a_span_that_lasts_for_centuries_is_skipped_and_named(tmp_path: Path) -> None:
    long = observation("root") | {"startTime": "1971-01-01T00:00:00Z", "endTime": "2171-01-01T00:00:00Z"}
    done, found = taken(tmp_path, [langfuse(long), langfuse(*AGENT_AND_TOOL, id="t2")])
    assert len(found) == 1
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("[0]", "a duration of 6311433600000.0 ms cannot be")
    ]


def test_spans_without_ids_are_said_or_given_one(tmp_path: Path) -> None:
    nameless = [{key: value for key, value in span(1, 0, TOOL).items() if key != "spanId"} for _ in range(3)]
    done, found = taken(tmp_path, batch(span(1, 0, AGENT), *nameless, span(1, 0, AGENT, trace="0" * 32)))
    assert [record.tool_calls for record in found.values()] == [3]
    assert [(one.position, one.reason) for one in done.skipped] == [("line 1, span 4", "the span has no trace id")]


@pytest.mark.parametrize("where", ["trace", "observation", "message"])
def test_ten_megabytes_of_input_are_cut_to_the_limit_and_that_is_said(tmp_path: Path, where: str) -> None:
    huge = "unpaid " * 1_500_000
    asked = json.dumps([{"role": "user", "content": huge}]) if where == "message" else huge
    document = (
        langfuse(observation("root", input=asked)) if where != "trace" else langfuse(observation("root"), input=asked)
    )
    done, found = taken(tmp_path, document)
    assert [record.user_input for record in found.values()] == [huge[:1999] + "…"]
    assert done.notes == ["in traces.json, 1 input cut to max_input_chars (2,000)"]


def test_megabytes_elsewhere_do_not_reach_the_store(tmp_path: Path) -> None:
    huge = "x" * 2_000_000
    record = only(
        tmp_path,
        langfuse(
            observation("root", output=huge, level="ERROR", statusMessage="ValueError: " + huge),
            observation(huge, "root", "TOOL"),
            metadata={"huge": huge, huge: 1, "deep": {"huge": [huge]}},
            tags=[huge[:10_000]] * 100,
            output=huge,
            name=huge,
        ),
    )
    assert record.result_size_bytes == len(huge)
    assert len(str(record)) < 100_000


def test_thousands_of_calls_in_one_trace_come_in(tmp_path: Path) -> None:
    deep = [observation(f"{place}", f"{place - 1}" if place else "root", "TOOL") for place in range(5_000)]
    wide = [observation(f"w{place}", "root", "TOOL") for place in range(5_000)]
    record = only(tmp_path, langfuse(observation("root"), *deep, *wide))
    assert (record.tool_calls, record.metrics["depth"]) == (10_000, 5_000)


def test_a_trace_too_large_for_a_record_is_said_to_be(tmp_path: Path) -> None:
    failed = {"level": "ERROR", "statusMessage": "boom " * 400}
    done, found = taken(
        tmp_path, langfuse(*(observation(f"{place}", None, "TOOL", **failed) for place in range(9_000)))
    )
    assert not found
    assert [one.reason for one in done.skipped] == ["with 17 MB it is larger than a record may be (16 MB)"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (json.dumps(langfuse(*AGENT_AND_TOOL))[:-9], "cut off or damaged"),
        (json.dumps(batch(span(1, 0, AGENT)))[:-9], "cut off or damaged"),
        (json.dumps(log(sample()), indent=1)[:-9], "cut off or damaged"),
        ('{"trace": {"metadata": ' + "[" * 100_000, "cut off or damaged"),
        ('{"spans": []}', "nor a trace we know"),
    ],
    ids=["langfuse", "otlp", "inspect", "deep", "unknown"],
)
def test_a_broken_file_is_refused_in_one_line_and_nothing_comes_in(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(StoreError, match=told) as raised:
        taken(tmp_path, langfuse(*AGENT_AND_TOOL), content)
    assert "\n" not in str(raised.value)
    assert "1-traces.json" in str(raised.value)
    assert taken(tmp_path, "[]")[1] == {}


def test_a_torn_line_is_skipped_and_the_others_come_in(tmp_path: Path) -> None:
    whole = [batch(span(1, 0, AGENT, trace=sign * 32)) for sign in "abc"]
    text = lines(*whole)
    done, found = taken(tmp_path, text[:40] + "\n" + text[: -len(text) // 6])
    assert len(found) == 2
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("line 1", "it is no JSON, or was cut off"),
        ("line 4", "it is no JSON, or was cut off"),
    ]


def test_a_file_of_metrics_and_logs_alone_is_said_to_hold_no_spans(tmp_path: Path) -> None:
    done, found = taken(tmp_path, lines({"resourceMetrics": []}, {"resourceLogs": []}))
    assert not found
    assert [(one.position, one.reason) for one in done.skipped] == [("the whole file", "there are no spans in it")]


def test_what_stands_among_traces_and_is_none_is_named_with_its_place(tmp_path: Path) -> None:
    done, found = taken(tmp_path, [langfuse(*AGENT_AND_TOOL), {"hello": 1}, 5, langfuse(id="")])
    assert len(found) == 1
    assert [(one.position, one.reason) for one in done.skipped] == [
        ("[1]", "it is neither a trace of Langfuse nor an observation"),
        ("[2]", "it is neither a trace of Langfuse nor an observation"),
        ("[3]", "it has no id"),
    ]


def test_traces_of_every_kind_come_in_beside_each_other(tmp_path: Path) -> None:
    done, found = taken(tmp_path, langfuse(*AGENT_AND_TOOL), batch(span(1, 0, AGENT)), log(sample(model(1, "", 3, 4))))
    assert (done.queries, done.skipped) == (3, [])
    assert {record.attributes["source"] for record in found.values()} == {"langfuse", "otlp", "inspect"}


_JUNK = st.sampled_from(
    (
        None,
        True,
        -1,
        0,
        1e308,
        10**30,
        10**400,
        "",
        "x",
        "0",
        "\0",
        "=1+1",
        "{",
        '{"a": [',
        [],
        {},
        [None],
        [[1]],
        {"": None},
        "9" * 500,
    )
)
_ABOUT = {
    "sessionId": "s",
    "tags": ["a"],
    "latency": 1,
    "scores": [{"name": "good", "value": 0.5}],
    "input": [{"role": "user"}],
}
_METADATA = {"tenant": 1, "resourceAttributes": {"host.name": "h", "process.pid": 5}}
_WHOLE = (
    [
        langfuse(
            *AGENT_AND_TOOL,
            observation("model", "root", "GENERATION", usageDetails={"input": 1, "total": 2}, model="m", totalCost=1),
            metadata=_METADATA,
            output={"answer": [1]},
            **_ABOUT,
        )
    ],
    [
        batch(
            span(1, 0, AGENT | {"tenant": 1}),
            span(2, 1, TOOL),
            span(3, 1, MODEL | {"list": ["a"]}),
            **{"host.name": "h"},
        )
    ],
    [log(sample(model(1, "", 3, 4), event("tool", 2, function="add", result=[1]), metadata=_METADATA))],
)


def _spoilt(value: Any, data: st.DataObject) -> Any:
    """The value with some of what is in it replaced by junk, or missing."""
    if data.draw(st.integers(0, 15)) == 0:
        return data.draw(_JUNK)
    if isinstance(value, dict):
        return {key: _spoilt(item, data) for key, item in value.items() if data.draw(st.integers(0, 19))}
    return [_spoilt(item, data) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["langfuse", "otlp", "inspect"])
@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    config=st.sampled_from((DEFAULTS, Config(redact=("email", "phone"), capture_input="hash", hash_key="k"))),
)
def test_no_junk_in_a_trace_stops_an_import(kind: int, data: st.DataObject, config: Config) -> None:
    documents = [(f"[{place}]", _spoilt(document, data)) for place, document in enumerate(_WHOLE[kind])]
    reader = Reader(Path("spoilt.json"))
    if kind == 1:
        collected = otlp.Collected()
        collected.take(documents, reader.skip)
        traces = collected.traces()
    else:
        traces = (inspect_ai if kind else langfuse_format).traces(documents, reader.skip)
    lines = list(Assembling(config).lines(traces, reader))
    assert all(skipped.reason for skipped in reader.skipped)
    for line in lines:
        assert msgspec.json.encode(line)
        assert all("p" not in call or 0 <= call["p"] < place for place, call in enumerate(line["c"]))
