"""Queries and calls that are told of by callbacks: begun in a scope that is not the one at hand, and afterwards."""

from __future__ import annotations

from instrument import query_span, record_selection, tool_span, track_tool
from instrument.recording.calls import close_call, is_inside, open_call
from instrument.recording.queries import close_query, open_query
from instrument.recording.scope import DetachedScope, begin_elsewhere, clock, current, enter
from instrument.testing import capture


def test_a_call_begun_in_another_scope_belongs_to_that_scopes_query_and_call() -> None:
    with capture() as captured, query_span("first", agent="a"), tool_span("outer"):
        there = begin_elsewhere()
        with query_span("second", agent="b"):
            before = current.get()
            opened = open_call("tool", "told", entered=False, at=there)
            assert current.get() is before
            close_call(opened)
    second, first = captured.queries
    assert second.tool_calls == 0
    assert [(call.name, call.parent) for call in first.calls] == [("outer", None), ("told", 0)]


def test_what_an_application_does_in_a_told_call_is_inside_it() -> None:
    with capture() as captured:
        query = open_query("told", "", "", entered=False)
        within = begin_elsewhere(query.row.scope)
        opened = open_call("tool", "told", entered=False, at=within)
        inside = begin_elsewhere(opened.frame)
        token = enter(inside)
        track_tool("own")(lambda: None)()
        current.reset(token)
        close_call(opened)
        close_query(query)
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [("told", None), ("own", 0)]


def test_a_query_told_of_elsewhere_takes_the_selection_that_waits_there() -> None:
    with capture() as captured:
        record_selection("told", complexity_score=0.5)
        there = current.get()
        with query_span("other", agent="b"):
            pass
        record_selection("late", complexity_score=0.1)
        close_query(open_query("told", "", "", entered=False, at=there))
        close_query(open_query("late", "", "", entered=False))
    scores = {query.agent_type: query.selection and query.selection.complexity_score for query in captured.queries}
    assert scores == {"b": 0.5, "told": None, "late": 0.1}  # each selection once, to the first query that follows


def test_a_call_told_of_afterwards_has_the_time_it_began() -> None:
    with capture() as captured, query_span("first", agent="a"):
        began = clock()
        with tool_span("later"):
            pass
        close_call(open_call("tool", "told", entered=False, began=began))
    by_name = {call.name: call for call in captured.queries[0].calls}
    assert by_name["told"].start_ms <= by_name["later"].start_ms
    assert by_name["told"].duration_ms >= by_name["later"].duration_ms


def test_it_can_be_asked_whether_a_call_is_recorded_already() -> None:
    with capture():
        assert not is_inside(current.get(), "tool", "look up")
        with query_span("first", agent="a"):
            assert not is_inside(current.get(), "tool", "look up")
            with tool_span("look up"):
                assert is_inside(current.get(), "tool", "look up")
                assert is_inside(begin_elsewhere(), "tool", "look up")
                assert not is_inside(current.get(), "graphql", "look up")
                assert not is_inside(current.get(), "tool", "other")


def test_a_scope_that_stayed_behind_keeps_no_call_open() -> None:
    with capture() as captured, query_span("first", agent="a"):
        with tool_span("outer"):
            behind = DetachedScope(begin_elsewhere())
            behind.around, behind.left = current.get(), True
            enter(behind)
        with tool_span("next"):
            pass
    assert [(call.name, call.parent) for call in captured.queries[0].calls] == [("outer", None), ("next", None)]
