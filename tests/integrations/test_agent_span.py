"""A framework's run of an agent: the open query where there is one, else one of its own."""

from __future__ import annotations

import asyncio

import pytest

from instrument import query_span, suppress, tool_span, track_query
from instrument.collecting.collector import collector
from instrument.integrations._spans import agent_span
from instrument.testing import capture


def test_outside_any_query_it_is_one_with_agent_name_input_and_attributes() -> None:
    with (
        capture() as captured,
        agent_span("crew", "what is unpaid?", name="Crew.kickoff", process="sequential") as span,
    ):
        span.record_tokens(10, 5, "small-1")
        span.set_result("two")
        with tool_span("look"):
            pass
    [query] = captured.queries
    assert (query.agent_type, query.name, query.user_input) == ("crew", "Crew.kickoff", "what is unpaid?")
    assert (query.attributes, query.input_tokens, query.result_size_bytes) == ({"process": "sequential"}, 10, 3)
    assert query.tool_calls == 1


def test_in_a_query_that_has_an_agent_it_is_that_query_and_says_what_it_has_to_say_of_it() -> None:
    with capture() as captured, query_span("outer", agent="mine"):
        with agent_span("crew", "inner", process="sequential") as span, tool_span("look"):
            span.record_tokens(10, 5)
        with agent_span("crew", "inner") as span:
            span.record_tokens(10, 5)
    [query] = captured.queries
    assert (query.agent_type, query.user_input, query.attributes) == ("mine", "outer", {"process": "sequential"})
    assert (query.input_tokens, query.tool_calls) == (20, 1)


def test_an_open_query_without_an_agent_takes_this_one_and_keeps_its_input_unless_it_is_empty() -> None:
    with capture() as captured:
        with query_span("outer"), agent_span("crew", "inner"):
            pass
        with query_span(), agent_span("crew", "inner"):
            pass
    assert [(query.agent_type, query.user_input) for query in captured.queries] == [
        ("crew", "outer"),
        ("crew", "inner"),
    ]


def test_a_run_that_fails_fails_its_own_query_and_one_it_joined_only_if_that_is_left() -> None:
    with capture() as captured:
        with pytest.raises(KeyError), agent_span("crew"):
            raise KeyError("a")
        with query_span("outer", agent="mine"), pytest.raises(KeyError), agent_span("crew"):
            raise KeyError("b")
    assert [query.error_type for query in captured.queries] == ["KeyError", None]


def test_a_query_decorated_inside_it_is_its_child_as_in_any_other() -> None:
    @track_query(agent="inner")
    def inner(text: str) -> str:
        return text

    with capture() as captured, agent_span("crew", "outer"):
        inner("a part of it")
    child, outer = captured.queries
    assert child.parent_id == outer.query_id


def test_runs_side_by_side_are_queries_of_their_own() -> None:
    async def run(number: int) -> None:
        async with agent_span("crew", f"q{number}"):
            await asyncio.sleep(0)
            with tool_span(f"t{number}"):
                await asyncio.sleep(0)

    async def all_at_once() -> None:
        await asyncio.gather(*map(run, range(8)))

    with capture() as captured:
        asyncio.run(all_at_once())
    assert sorted((query.user_input, query.calls[0].name) for query in captured.queries) == [
        (f"q{number}", f"t{number}") for number in range(8)
    ]


def test_it_joins_no_query_that_has_ended_and_records_nothing_where_that_is_suppressed() -> None:
    with capture() as captured:
        with query_span("ended", agent="mine") as query:
            row = query._row
            assert row is not None
            collector.opened.discard(row)
            row.scope = None
            with agent_span("crew", "after it"):
                pass
        with suppress(), agent_span("crew", "nothing") as span:
            span.record_tokens(1, 1)
    assert [query.user_input for query in captured.queries] == ["after it"]


def test_what_has_no_text_is_no_trouble_for_the_application() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    with capture() as captured, agent_span("crew", Odd(), odd=Odd()):
        pass
    assert captured.queries[0].user_input == "<Odd>"
