"""`instrument.testing.capture`: what was recorded, as it would have been stored, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from instrument import configure, flush, query_span, record_selection, tool_span, track_query
from instrument.testing import capture

ask = track_query(agent="a", name="ask")(lambda text: "answer")


def test_captured_records_are_lists_in_the_order_in_which_they_ended() -> None:
    with capture() as captured:
        with query_span("outer", agent="b"):
            ask("inner")
        assert [query.user_input for query in captured.queries] == ["inner", "outer"]
        ask("next")
    assert [query.user_input for query in captured.queries] == ["inner", "outer", "next"]
    assert isinstance(captured.calls, list)
    assert isinstance(captured.selections, list)
    assert captured.queries == captured.queries


def test_nothing_of_a_capture_is_written_and_all_before_and_after_is() -> None:
    store = Path.cwd() / "store"
    configure(directory=store)
    ask("before")
    with capture():
        ask("captured")
        with tool_span("captured"):
            pass
        record_selection("captured")
        assert flush()
    ask("after")
    assert flush()
    text = "".join(path.read_text() for path in store.rglob("*.jsonl"))
    assert ("before" in text, "captured" in text, "after" in text) == (True, False, True)


def test_what_was_recorded_before_stays_out_of_a_capture() -> None:
    ask("before")
    with capture() as captured:
        pass
    assert captured.queries == []


def test_a_capture_inside_a_capture_has_its_own_records_and_the_outer_goes_on_after_it() -> None:
    with capture() as outer:
        with capture() as inner:
            ask("inner")
        ask("outer")
    assert [query.user_input for query in inner.queries] == ["inner"]
    assert [query.user_input for query in outer.queries] == ["outer"]


def test_an_empty_capture_inside_a_capture_ends_itself_and_not_the_outer() -> None:
    with capture() as outer:
        with capture() as inner:
            pass
        ask("outer")
    assert [len(captured.queries) for captured in (inner, outer)] == [0, 1]


def test_a_capture_ends_when_its_block_fails() -> None:
    def failing(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError), capture() as captured:
        track_query(failing)("inside")
    ask("outside")
    assert len(captured.queries) == 1


def test_captured_records_are_redacted_as_stored_ones_are() -> None:
    configure(redact=("email",), max_input_chars=20)
    with capture() as captured:
        record_selection("a", reason="from me@example.org")
        with (
            pytest.raises(ValueError, match="example"),
            query_span("to me@example.org", agent="a", cc="you@example.org"),
        ):
            raise ValueError("of me@example.org")
        ask("x" * 100)
    first, second = captured.queries
    assert (first.user_input, first.error_message) == ("to [redacted]", "of [redacted]")
    assert first.attributes == {"cc": "[redacted]"}
    assert first.selection is not None
    assert first.selection.selection_reason == "from [redacted]"
    assert second.user_input == "x" * 19 + "…"  # a text that was cut says so


def test_switched_off_nothing_is_captured() -> None:
    configure(enabled=False)
    with capture() as captured:
        ask("unseen")
        with query_span("unseen", agent="a"), tool_span("unseen"):
            record_selection("unseen")
    assert (captured.queries, captured.calls, captured.selections) == ([], [], [])


def test_a_record_carries_times_ids_and_process_as_users_expect_them() -> None:
    with capture() as captured:
        with query_span("q", agent="a") as query:
            query_id = query.query_id
            with tool_span("t"):
                pass
        ask("x")
    first, second = captured.queries
    assert first.query_id == query_id < second.query_id
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", query_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.start_time)
    assert first.start_time <= first.end_time
    assert (first.weight, second.name, second.result_size_bytes) == (1, "ask", 6)
    assert isinstance(first.process, int)
    (call,) = first.calls
    assert call.duration_ms is not None
    assert 0 <= call.start_ms <= call.start_ms + call.duration_ms <= first.duration_ms


@pytest.mark.parametrize(
    ("result", "size"),
    [("é", 2), ("a\ud800", 4), (b"abc", 3), (bytearray(b"ab"), 2), (None, 0), ({"a": [1, 2]}, 11), (12, 2), (1.5, 3)],
)
def test_a_result_is_measured_by_its_kind(result: object, size: int) -> None:
    with capture() as captured:
        track_query(lambda: result)()
        with query_span("q") as query:
            query.set_result(result)
    assert [query.result_size_bytes for query in captured.queries] == [size, size]


def test_a_result_that_cannot_be_measured_has_no_size() -> None:
    with capture() as captured:
        for result in (object(), [object()], list(range(100_000)), open):
            track_query(lambda result=result: result)()
    assert [query.result_size_bytes for query in captured.queries] == [None] * 4
