"""Errors: the application's pass through as they are and count once; ours never become the application's."""

from __future__ import annotations

import asyncio
import contextlib
import decimal
import enum
import math
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from instrument import (
    configure,
    current_query,
    query_span,
    record_selection,
    tool_span,
    track_graphql,
    track_query,
    track_tool,
)
from instrument.collecting.collector import collector
from instrument.recording import calls, queries, slow_path
from instrument.recording.scope import NOBODY, current
from instrument.testing import Captured, capture

DECORATORS: dict[str, Callable[[Any], Any]] = {
    "track_query": track_query(agent="a"),
    "track_tool": track_tool,
    "track_graphql": track_graphql,
}
every_decorator = pytest.mark.parametrize("track", DECORATORS.values(), ids=DECORATORS)


class Detailed(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def placed(run: Callable[[], Any], within: bool) -> None:
    """Run it as it is, or under a tool inside a query."""
    if not within:
        run()
        return
    with query_span("q", agent="b"), tool_span("t"):
        run()


def counted(captured: Captured) -> int:
    """How many exceptions a report counts: those on records that did not merely pass them on."""
    rows = captured._prepared()
    calls = [call for row in rows for call in getattr(row, "calls", ())]
    return sum(row.status == "error" and not row.passed_on for row in [*rows, *calls])  # type: ignore[union-attr]


# -- the application's own --------------------------------------------------------------------------------------------


@every_decorator
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_the_application_sees_the_identical_exception(track: Any, within: bool, is_async: bool) -> None:
    cause, context = KeyError("cause"), OSError("context")
    error = Detailed("broken", 7)
    error.add_note("a note")

    def body() -> None:
        try:
            raise context
        except OSError:
            raise error from cause

    if is_async:

        async def failing() -> None:
            body()

        def run() -> None:
            asyncio.run(track(failing)())

    else:
        run = track(body)

    with capture(), pytest.raises(Detailed) as caught:
        placed(run, within)
    assert caught.value is error
    assert error.__cause__ is cause
    assert error.__context__ is context
    assert error.__notes__ == ["a note"]
    assert {key: value for key, value in vars(error).items() if key != "__notes__"} == {"code": 7}
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-1] == "body"


def test_the_message_stands_on_the_query_and_the_type_on_all_it_passes_through() -> None:
    @track_tool
    def tool() -> None:
        raise Detailed("broken", 7)

    @track_query(agent="inner")
    def inner() -> None:
        tool()

    @track_query(agent="outer")
    def outer() -> None:
        with tool_span("around"):
            inner()

    with capture() as captured:
        with pytest.raises(Detailed) as caught:
            outer()
        assert counted(captured) == 1
    below, above = captured.queries
    for query in (below, above):
        assert (query.status, query.success) == ("error", False)
        assert (query.error_type, query.error_message) == ("Detailed", "broken")
        assert [(call.status, call.error_type, call.error_message) for call in query.calls] == [
            ("error", "Detailed", None)
        ]
    assert vars(caught.value) == {"code": 7}


def test_one_exception_counts_once_through_every_kind_of_record() -> None:
    @track_tool
    def raising() -> None:
        raise ValueError("x")

    @track_tool
    def passing() -> None:
        raising()

    @track_query(agent="a")
    def query() -> None:
        passing()

    @track_query(agent="a")
    async def waiting() -> None:
        await asyncio.gather(asyncio.to_thread(passing))

    @track_query(agent="a")
    def streaming() -> Any:
        yield passing()

    @track_tool
    async def awaiting() -> None:
        await asyncio.sleep(0)
        passing()

    runs: list[Callable[[], Any]] = [
        raising,
        passing,
        query,
        lambda: asyncio.run(waiting()),
        lambda: list(streaming()),
        lambda: asyncio.run(awaiting()),
        lambda: track_tool(query)(),
        lambda: track_tool(track_tool(track_query(agent="b")(query)))(),
    ]
    for run in runs:
        with capture() as captured:
            with pytest.raises(ValueError, match="x") as caught:
                run()
            assert counted(captured) == 1, run
            assert vars(caught.value) == {}, run


def test_one_object_raised_twice_counts_twice() -> None:
    single = ValueError("single")

    @track_tool
    def raising() -> None:
        raise single

    @track_query(agent="a")
    def caught_inside() -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="single"):
                raising()

    for run, errors in ((caught_inside, 2), (caught_inside, 2), (track_query(agent="a")(raising), 1), (raising, 1)):
        with capture() as captured:
            with contextlib.suppress(ValueError):
                run()
            assert counted(captured) == errors
    assert vars(single) == {}


def test_a_query_is_failed_when_the_exception_leaves_it_not_when_it_was_caught_inside() -> None:
    @track_tool
    def tool() -> None:
        raise LookupError("nothing")

    @track_query(agent="a")
    def ask() -> str:
        try:
            tool()
        except LookupError:
            return "sorry"
        return "found"

    with capture() as captured:
        ask()
    (query,) = captured.queries
    assert (query.status, query.error_type, query.error_message) == ("ok", None, None)
    assert [(call.status, call.success, call.error_type) for call in query.calls] == [("error", False, "LookupError")]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@every_decorator
def test_interrupts_pass_through_and_still_finish_the_span(track: Any, kind: type[BaseException]) -> None:
    def interrupted() -> None:
        raise kind

    async def awaiting() -> None:
        await asyncio.sleep(0)
        raise kind

    for within in (False, True):
        with capture() as captured:
            with pytest.raises(kind):
                placed(track(interrupted), within)
            records: list[Any] = [*captured.queries, *captured.calls, *(c for q in captured.queries for c in q.calls)]
            status = {KeyboardInterrupt: "error", SystemExit: "ok", GeneratorExit: "closed"}[kind]
            assert {record.status for record in records} == {status}
            assert not collector.opened
        assert current.get() is NOBODY
    with capture() as captured:
        coroutine = track(awaiting)()
        coroutine.send(None)
        with pytest.raises(kind):
            coroutine.send(None)
    assert [record.status for record in (*captured.queries, *captured.calls)] == [status]


@every_decorator
def test_stop_iteration_in_a_plain_function_is_an_ordinary_error(track: Any) -> None:
    def stopping() -> None:
        raise StopIteration("done")

    with capture() as captured, pytest.raises(StopIteration, match="done"):
        track(stopping)()
    (record,) = (*captured.queries, *captured.calls)
    assert (record.status, record.error_type, record.error_message) == ("error", "StopIteration", "done")


def test_after_an_exception_the_span_before_is_current_again() -> None:
    async def awaiting() -> None:
        raise ValueError

    with capture() as captured:
        with query_span("q", agent="a") as query, tool_span("around"):
            for failing in (lambda: 1 / 0, lambda: asyncio.run(awaiting())):
                for track in DECORATORS.values():
                    with pytest.raises((ZeroDivisionError, ValueError)):
                        track(failing)()
                    assert current_query().query_id == query.query_id
            with tool_span("next"):
                pass
        assert current.get() is NOBODY
    record = captured.queries[-1]
    assert next(call for call in record.calls if call.name == "next").parent == 0


# -- ours -------------------------------------------------------------------------------------------------------------


class Hostile:
    """Raises whatever one asks of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("nothing here")


class Foreign:
    """Pretends to a class that cannot be had, as proxies without a target do."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("working outside of request context")


class LyingText(str):
    def __len__(self) -> int:
        return -1

    def encode(self, *args: Any, **kwargs: Any) -> bytes:
        raise RuntimeError("no")

    def isascii(self) -> bool:
        raise RuntimeError("no")


class LyingList(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 10**30


class LyingDict(dict):  # type: ignore[type-arg]
    def __contains__(self, key: object) -> bool:
        raise RuntimeError("no")

    def get(self, *args: Any) -> Any:
        raise RuntimeError("no")


class Colour(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: Any = 1


def circular() -> Any:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def deep() -> Any:
    nest: Any = []
    for _ in range(100_000):
        nest = [nest]
    return nest


ODD: dict[str, Callable[[], Any]] = {
    "hostile": Hostile,
    "foreign": Foreign,
    "lying text": lambda: LyingText("abc"),
    "lying list": lambda: LyingList([1]),
    "lying dict": lambda: LyingDict(a=1),
    "circular": circular,
    "circular object": lambda: Point(circular()),
    "deep": deep,
    "nan": lambda: math.nan,
    "infinite": lambda: [math.inf, -math.inf],
    "huge int": lambda: 10**400,
    "huge text": lambda: "é" * 5_000_000,
    "huge bytes": lambda: b"x" * 10_000_000,
    "surrogate": lambda: "a\ud800b",
    "nul": lambda: "a\0b",
    "bytes": lambda: b"\xff\x00",
    "enum": lambda: Colour.RED,
    "dataclass": Point,
    "dataclass of hostile": lambda: Point(Hostile()),
    "mock": Mock,
    "magic mock": MagicMock,
    "async mock": AsyncMock,
    "type": lambda: Hostile,
    "decimal": lambda: decimal.Decimal("NaN"),
    "hostile errors": lambda: {"errors": Hostile()},
    "memoryview": lambda: memoryview(b"abc"),
}
every_odd_value = pytest.mark.parametrize("make", ODD.values(), ids=ODD)


@every_odd_value
def test_odd_values_pass_through_and_are_recorded_and_written(make: Callable[[], Any]) -> None:
    from instrument import flush

    value = make()
    store = Path.cwd() / "odd"
    configure(directory=store)

    async def aback(value: Any) -> Any:
        return value

    def steps(value: Any) -> Any:
        yield value

    for track in DECORATORS.values():
        for within in (False, True):
            with query_span(value, agent="outer") if within else tool_span("outer"):
                assert track(lambda value: value)(value) is value
                assert asyncio.run(track(aback)(value)) is value
                assert next(track(steps)(value)) is value
                assert next(track(lambda value: steps(value))(value)) is value
    with query_span(value, agent=value, note=value) as query:  # type: ignore[arg-type]
        query.add_entities(value)
        query.set_attributes(other=value)
        query.record_metric("size", value)
        query.record_metric(value, 1)
        query.record_tokens(value, value, value)
        query.select(value, value, value)
        query.set_result(value)
        query.fail(value)
        with tool_span(value) as tool:
            tool.fail(value)
    record_selection(value, complexity_score=value, reason=value)
    with query_span("last"):
        pass
    assert flush()
    text = "".join(path.read_text() for path in store.rglob("*.jsonl"))
    assert '"q":"last"' in text
    assert text.count('"a":"a"') == 8


@every_odd_value
def test_exceptions_that_carry_odd_values_are_recorded(make: Callable[[], Any]) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            return make()  # type: ignore[no-any-return]

    with capture() as captured:
        for error in (Odd(), ValueError(make())):
            for track in DECORATORS.values():
                with pytest.raises(type(error)) as caught:
                    track(throwing)(error)
                assert caught.value is error
        assert [query.error_type for query in captured.queries] == ["Odd", "ValueError"]
        assert [call.status for call in captured.calls] == ["error"] * 4


def throwing(error: Exception) -> None:
    raise error


def test_an_error_that_forbids_attributes_passes_as_it_is() -> None:
    class Closed(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    error = Closed("x")
    with capture() as captured:
        for track in DECORATORS.values():
            with pytest.raises(Closed) as caught:
                track(throwing)(error)
            assert caught.value is error
    assert [record.error_type for record in (*captured.queries, *captured.calls)] == ["Closed"] * 3


@every_decorator
def test_a_bug_of_ours_never_reaches_the_application_and_is_said_once(
    track: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(collector.losses, "take", lambda: None)  # the writer takes no counts meanwhile
    broken_here = ((calls, "ident"), (queries, "described"), (calls, "clock"), (slow_path, "size_later"))
    for place, name in broken_here:
        monkeypatch.setattr(place, name, broken)
    for _ in range(3):
        with query_span("q", agent="a") as query, tool_span("t"):
            query.set_result(3)
            query.fail("no")
            assert track(lambda x: x)(5) == 5
            assert asyncio.run(track(asyncio.sleep)(0, "a")) == "a"
        with pytest.raises(ZeroDivisionError):
            track(lambda x: 1 / 0)(5)
    assert sum(collector.losses.problems.values()) > 0
    assert len(caplog.messages) == len(set(caplog.messages)) == len(collector.losses.problems)


def test_an_interrupted_program_still_writes_its_record() -> None:
    code = """
import sys, instrument
instrument.configure(directory=sys.argv[1])
@instrument.track_query(agent="a")
def ask(text):
    raise KeyboardInterrupt
ask("hi")
"""
    store = Path.cwd() / "kept"
    run = subprocess.run(
        [sys.executable, "-c", code, str(store)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in run.stderr
    (segment,) = store.rglob("*.jsonl")
    assert '"e":"KeyboardInterrupt"' in segment.read_text()
