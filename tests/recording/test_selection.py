"""Selections, entities and complexity scores: whose they become, and when they are written alone."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from instrument import (
    configure,
    current_query,
    flush,
    query_span,
    record_selection,
    track_complexity,
    track_entities,
    track_query,
    track_selection,
    track_tool,
)
from instrument.records import SelectionRecord
from instrument.testing import capture


class Selector:
    @track_selection
    def choose(self, user_input: str) -> str:
        self.found(user_input)
        self.score(user_input)
        return "crew"

    @track_entities
    def found(self, text: str) -> list[str]:
        return [word for word in ("bill", "customer") if word in text]

    @track_complexity
    def score(self, text: str) -> float:
        return len(text) / 100


def brief(selection: SelectionRecord) -> tuple[Any, ...]:
    return (selection.selected_agent, selection.complexity_score, selection.selection_reason, selection.user_input)


def test_a_selection_made_before_its_query_is_attached_to_it_once() -> None:
    with capture() as captured:
        assert Selector().choose("a bill of a customer") == "crew"
        for text in ("a bill of a customer", "next"):
            with query_span(text, agent="crew"):
                pass
    first, second = captured.queries
    assert first.selection is not None
    assert brief(first.selection) == ("crew", 0.2, None, "a bill of a customer")
    assert first.selection.query_id == first.query_id
    assert first.entities_detected == ["bill", "customer"]
    assert (second.selection, second.entities_detected) == (None, [])
    assert len(captured.selections) == 1


def test_a_selection_is_attached_to_a_decorated_a_streaming_and_an_async_query_alike() -> None:
    def steps(text: str) -> Any:
        yield 1

    async def waits(text: str) -> None: ...

    runs = [
        lambda: track_query(agent="crew")(lambda text: 1)("x"),
        lambda: list(track_query(agent="crew")(steps)("x")),
        lambda: list(track_query(agent="crew")(lambda text: steps(text))("x")),
        lambda: asyncio.run(track_query(agent="crew")(waits)("x")),
    ]
    for run in runs:
        with capture() as captured:
            record_selection("crew", complexity_score=0.5, reason="why")
            run()
            run()
        assert [query.selection is not None for query in captured.queries] == [True, False] or run is runs[3]
        assert [brief(one) for one in captured.selections][:1] == [("crew", 0.5, "why", "x")]


def test_a_selection_inside_an_open_query_is_the_querys_and_a_later_one_takes_its_place() -> None:
    with capture() as captured, query_span("a bill", agent="router") as query:
        Selector().choose("a bill")
        assert query.query_id
        query.select("simple", 0.1, "cheaper")
        record_selection("final", reason="sure")
    (record,) = captured.queries
    assert [brief(one) for one in captured.selections] == [("final", None, "sure", "a bill")]
    assert record.entities_detected == ["bill"]


def test_a_selection_replaced_by_another_is_written_with_no_query() -> None:
    with capture() as captured:
        record_selection("first")
        record_selection("second")
        with query_span("q", agent="second"):
            pass
    (record,) = captured.queries
    assert record.selection is not None
    assert record.selection.selected_agent == "second"
    assert [(one.selected_agent, one.query_id) for one in captured.selections] == [
        ("second", record.query_id),
        ("first", ""),
    ]


def test_a_selection_that_meets_no_query_is_written_at_the_end_of_a_capture() -> None:
    with capture() as captured:
        Selector().choose("hi")
        assert captured.selections == []
    assert [(one.query_id, *brief(one)) for one in captured.selections] == [("", "crew", 0.02, None, "hi")]
    with capture() as captured, query_span("q", agent="crew"):
        pass
    assert captured.queries[0].selection is None


def test_a_selection_that_meets_no_query_is_written_at_flush() -> None:
    store = Path.cwd() / "store"
    configure(directory=store)
    record_selection("alone")
    assert flush()
    (segment,) = store.rglob("*.jsonl")
    assert '"type":"selection"' in segment.read_text()
    with query_span("q"):
        pass
    assert flush()
    assert segment.read_text().count("alone") == 1


def test_a_selection_that_meets_no_query_is_written_at_exit() -> None:
    store = Path.cwd() / "store"
    code = "import sys, instrument as i; i.configure(directory=sys.argv[1]); i.record_selection('alone')"
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, str(store)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    (segment,) = store.rglob("*.jsonl")
    assert '"a":"alone"' in segment.read_text()


def test_a_selection_stays_in_its_context_and_only_one_query_takes_it() -> None:
    ask = track_query(agent="crew")(lambda number: None)
    with capture() as captured:
        record_selection("crew")
        copies = [contextvars.copy_context() for _ in range(3)]
        contextvars.Context().run(ask, 0)
        for number, context in enumerate(copies, 1):
            context.run(ask, number)
        ask(4)
    assert [query.user_input for query in captured.queries if query.selection] == ["1"]
    assert len(captured.selections) == 1


def test_a_selection_and_its_query_may_have_a_tool_around_either() -> None:
    async def selects() -> None:
        record_selection("async")

    @track_tool
    def asks() -> None:
        with query_span("q", agent="a"):
            pass

    async def main() -> None:
        await track_tool(selects)()
        asks()

    with capture() as captured:
        record_selection("before")
        asks()
        asks()
        track_tool(lambda: record_selection("within"))()
        asks()
        asyncio.run(main())
    assert [query.selection and query.selection.selected_agent for query in captured.queries] == [
        "before",
        None,
        "within",
        "async",
    ]


def test_separate_tasks_keep_their_selections_apart() -> None:
    async def one(number: int) -> None:
        record_selection(f"agent {number}")
        await asyncio.sleep(0)
        with query_span(str(number), agent=f"agent {number}"):
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(50)))

    with capture() as captured:
        asyncio.run(main())
    for query in captured.queries:
        assert query.selection is not None
        assert query.selection.selected_agent == query.agent_type == f"agent {query.user_input}"


def test_a_selection_made_in_a_query_for_the_agent_of_a_query_inside_is_that_ones() -> None:
    with capture() as captured, query_span("q", agent="router"):
        record_selection("crew", complexity_score=0.9)
        track_query(agent="crew")(lambda text: 1)("q")
    inner, outer = captured.queries
    assert inner.selection is not None
    assert (inner.selection.query_id, outer.selection) == (inner.query_id, None)


def test_a_selection_belongs_to_the_query_that_its_agent_joins() -> None:
    with capture() as captured, query_span("q"):
        record_selection("crew")
        track_query(agent="crew")(lambda text: 1)("q")
    (record,) = captured.queries
    assert record.selection is not None
    assert record.agent_type == record.selection.selected_agent == "crew"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("crew", ("crew", None, None)),
        (("crew",), ("crew", None, None)),
        (("crew", 0.5), ("crew", 0.5, None)),
        (("crew", 1, "why"), ("crew", 1.0, "why")),
        ({"agent": "crew", "score": 0.5, "reason": "why"}, ("crew", 0.5, "why")),
        ({"selected_agent": "crew", "complexity_score": 0.5, "selection_reason": "why"}, ("crew", 0.5, "why")),
        (SimpleNamespace(selected_agent="crew", complexity_score=True), ("crew", None, None)),
        (SimpleNamespace(agent=SimpleNamespace(a=1)), ("namespace(a=1)", None, None)),
    ],
)
def test_what_a_selector_returns_is_read_in_every_shape(result: Any, expected: Any) -> None:
    choose = track_selection(lambda text: result)

    async def waits(text: str) -> Any:
        return result

    with capture() as captured:
        assert choose("hi") is result
        assert asyncio.run(track_selection(waits)("hi")) is result
    assert [brief(one) for one in captured.selections] == [(*expected, "hi")] * 2


@pytest.mark.parametrize("result", [None, 3, object(), (), {}])
def test_a_selector_that_chooses_nothing_records_nothing(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    with capture() as captured:
        assert track_selection(lambda text: result)("hi") is result
    assert captured.selections == []
    assert caplog.text == ""


def test_a_selector_that_fails_records_no_selection_and_raises() -> None:
    @track_selection
    def choose(text: str) -> str:
        raise LookupError(text)

    with capture() as captured, pytest.raises(LookupError, match="hi"):
        choose("hi")
    assert captured.selections == []


def test_a_score_counts_inside_a_running_selection_or_an_open_query_and_nowhere_else() -> None:
    score = track_complexity(lambda text: 0.7)
    with capture() as captured:
        score("x")
        with query_span("q", agent="a"):
            score("x")
        with query_span("p", agent="a"):
            record_selection("a", complexity_score=0.1)
            score("x")
    assert [(one.selected_agent, one.complexity_score) for one in captured.selections] == [("", 0.7), ("a", 0.7)]


def test_a_score_of_its_own_wins_over_that_of_a_part() -> None:
    @track_selection
    def choose(text: str) -> Any:
        track_complexity(lambda: 0.2)()
        return "crew", 0.9

    with capture() as captured:
        choose("x")
    assert captured.selections[0].complexity_score == 0.9


@pytest.mark.parametrize("result", [None, True, "high", [0.5]])
def test_what_is_no_number_is_no_score(result: Any) -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert track_complexity(lambda: result)() is result
    assert captured.selections == []


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (["a", "b", "a"], ["a", "b"]),
        (("a",), ["a"]),
        ("abc", ["abc"]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        ([1, None], ["1", ""]),
        (None, []),
        (3, []),
    ],
)
def test_entities_are_the_names_that_a_method_returns_each_once(result: Any, names: list[str]) -> None:
    with capture() as captured, query_span("q", agent="a"):
        assert track_entities(lambda: result)() is result
        assert track_entities(lambda: result)() is result
    assert captured.queries[0].entities_detected == names


def test_an_iterator_of_entities_is_not_used_up() -> None:
    names = iter(["a"])
    with capture(), query_span("q", agent="a"):
        assert list(track_entities(lambda: names)()) == ["a"]


def test_entities_found_inside_a_call_are_the_querys() -> None:
    with capture() as captured, query_span("q", agent="a"):
        track_tool(Selector().found)("a customer")
        current_query().add_entities("bill")
    assert captured.queries[0].entities_detected == ["customer", "bill"]


def test_only_functions_and_methods_can_be_tracked_as_selectors() -> None:
    def steps() -> Any:
        yield 1

    for track in (track_selection, track_entities, track_complexity):
        for wrong in (steps, 3, len, Selector):
            with pytest.raises(TypeError, match="can be tracked"):
                track(wrong)  # type: ignore[type-var]
