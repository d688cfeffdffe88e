from __future__ import annotations

from pathlib import Path
from typing import Any

from trace_files import only, stamp, taken


def event(kind: str, at: float, inside: str | None = None, **more: Any) -> dict[str, Any]:
    return {"event": kind, "timestamp": stamp(at), "span_id": inside, "uuid": f"{kind} {at}", **more}


def begin(key: str, at: float, kind: str, inside: str | None = None, name: str = "") -> dict[str, Any]:
    return event("span_begin", at, key, id=key, parent_id=inside, type=kind, name=name or key)


def end(key: str, at: float) -> dict[str, Any]:
    return event("span_end", at, key, id=key)


def model(at: float, inside: str, given: int, gave: int) -> dict[str, Any]:
    usage = {
        "input_tokens": given - 1,
        "input_tokens_cache_read": 1,
        "output_tokens": gave,
        "total_tokens": given + gave,
    }
    done = stamp(at + 0.5)
    return event(
        "model", at, inside, model="mock/small", completed=done, output={"model": "mock/small", "usage": usage}
    )


def sample(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {
        "id": 7,
        "epoch": 1,
        "uuid": "u7",
        "input": "what is 1+1?",
        "started_at": stamp(0),
        "completed_at": stamp(9),
    }
    scores = {"match": {"value": "C"}, "judge": {"value": 0.25}, "words": {"value": "long"}}
    output = {"choices": [{"message": {"role": "assistant", "content": "2"}}]}
    return {**known, "scores": scores, "output": output, "events": list(events), **more}


def log(*samples: dict[str, Any], status: str = "success") -> dict[str, Any]:
    return {
        "version": 2,
        "status": status,
        "eval": {"task": "sums", "eval_id": "e1", "model": "mock/small"},
        "samples": samples,
    }


def test_a_sample_becomes_a_query_with_its_tools_tokens_and_scores(tmp_path: Path) -> None:
    record = only(
        tmp_path,
        log(
            sample(
                begin("solvers", 0, "solvers"),
                begin("generate", 1, "solver", "solvers"),
                model(1.5, "generate", 10, 5),
                event("tool", 3, "generate", function="add", completed=stamp(5), result="2"),
                begin("inner", 3.5, "tool", "generate", name="add"),
                model(4, "inner", 20, 2),
                event("tool", 4.25, "inner", function="look_up", completed=stamp(4.5), result=""),
                end("inner", 4.75),
                end("generate", 6),
                end("solvers", 7),
            )
        ),
    )
    assert (record.agent_type, record.user_input, record.duration_ms) == ("sums", "what is 1+1?", 9000)
    assert (record.input_tokens, record.output_tokens, record.model) == (30, 7, "mock/small")
    assert [(call.name, call.start_ms, call.duration_ms, call.parent) for call in record.calls] == [
        ("mock/small", 1500, 500, None),
        ("add", 3000, 2000, None),
        ("mock/small", 4000, 500, 1),
        ("look_up", 4250, 250, 1),
    ]
    assert [(call.input_tokens, call.cached_tokens) for call in record.calls if call.provider == "mock"] == [
        (10, 1),
        (20, 1),
    ]
    assert (record.model_calls, record.cached_tokens) == (2, 2)
    assert record.metrics == {"depth": 4, "score.match": 1, "score.judge": 0.25}
    assert (record.attributes["source"], record.attributes["sample"], record.attributes["evaluation"]) == (
        "inspect",
        7,
        "e1",
    )
    assert record.result_size_bytes == 1


def test_errors_of_tools_and_samples_are_kept(tmp_path: Path) -> None:
    error = {"type": "timeout", "message": "too slow"}
    failed = event("tool", 1, function="add", completed=stamp(2), error=error)
    record = only(tmp_path, log(sample(failed, error={"message": "ConnectionError('no way through')"}), status="error"))
    assert (record.status, record.error_type) == ("error", "ConnectionError")
    assert (record.calls[0].status, record.calls[0].error_type, record.calls[0].error_message) == (
        "error",
        "timeout",
        "too slow",
    )


def test_a_tool_that_was_still_at_work_is_abandoned(tmp_path: Path) -> None:
    done, found = taken(tmp_path, log(sample(event("tool", 1, function="add", pending=True))))
    assert [(call.status, call.duration_ms) for record in found.values() for call in record.calls] == [
        ("abandoned", None)
    ]
    assert done.notes == ["in traces.json, 1 span without an end: abandoned, given no duration"]


def test_a_log_imported_twice_adds_nothing(tmp_path: Path) -> None:
    first, found = taken(tmp_path, log(sample(), sample(uuid=None), sample(uuid=None, epoch=2)))
    again, same = taken(tmp_path, log(sample(), sample(uuid=None), sample(uuid=None, epoch=2)))
    assert (first.queries, again.queries, again.duplicates, same) == (3, 0, 3, found)


def test_a_log_without_samples_is_said_to_have_none(tmp_path: Path) -> None:
    done, found = taken(tmp_path, log(status="cancelled"))
    assert not found
    assert [one.reason for one in done.skipped] == ["the log has no samples (its status is cancelled)"]


USED = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def timeless(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A sample as older versions wrote it."""
    known = {"id": 1, "epoch": 1, "input": "hi", "output": {"model": "mock/small", "usage": USED}}
    return {**known, "events": [{k: v for k, v in each.items() if k != "timestamp"} for each in events], **more}


def evaluated(*samples: dict[str, Any]) -> dict[str, Any]:
    made = log(*samples)
    return made | {"eval": made["eval"] | {"created": stamp(3)}, "stats": {"started_at": stamp(4), "model_usage": {}}}


def test_a_sample_without_any_time_is_at_its_evaluation_s_start_and_has_succeeded(tmp_path: Path) -> None:
    done, found = taken(tmp_path, evaluated(timeless(), timeless(id=2)))
    record = next(iter(found.values()))
    assert (record.start_time, record.duration_ms, record.status) == ("2025-01-01T00:00:04.000000Z", 0, "ok")
    assert (record.user_input, record.input_tokens, record.output_tokens) == ("hi", 10, 5)
    assert (record.model, len(found)) == ("mock/small", 2)
    assert done.notes == [
        "in traces.json, 2 samples without times of its events: put at the evaluation's start, given a duration of 0"
    ]


def test_events_without_times_are_calls_without_a_duration_and_none_is_abandoned(tmp_path: Path) -> None:
    asked = event("model", 0, model="mock/small", output={"usage": USED})
    done, found = taken(tmp_path, evaluated(timeless(asked, event("tool", 0, function="add", result="2"))))
    record = next(iter(found.values()))
    assert [(call.kind, call.status, call.duration_ms) for call in record.calls] == [
        ("model", "ok", 0),
        ("tool", "ok", 0),
    ]
    assert (record.input_tokens, record.output_tokens, done.skipped) == (10, 5, [])


def test_the_seconds_of_a_sample_and_of_a_model_count_where_no_end_was_noted(tmp_path: Path) -> None:
    asked = event("model", 1, model="mock/small", output={"usage": USED, "time": 1.5})
    record = only(tmp_path, evaluated(sample(asked, started_at=None, completed_at=None)))
    assert [(call.start_ms, call.duration_ms) for call in record.calls] == [(0, 1500)]
    (tmp_path / "whole").mkdir()
    assert only(tmp_path / "whole", evaluated(timeless(total_time=2.5))).duration_ms == 2500


def test_the_oldest_logs_transcripts_and_nested_events_are_read(tmp_path: Path) -> None:
    inner = event("model", 2, data={"model": "mock/small", "output": {"usage": USED}})
    tool = event("tool", 1, function="ask", completed=stamp(3), result="2", events=[inner])
    old = {key: value for key, value in sample().items() if key != "events"}
    record = only(tmp_path, evaluated(old | {"transcript": {"name": "sample", "events": [tool]}}))
    assert [(call.name, call.parent) for call in record.calls] == [("ask", None), ("mock/small", 0)]
    assert record.input_tokens == 10
