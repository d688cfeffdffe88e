"""Generators and async generators: recorded from the first step to the last, and otherwise as they were."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import io
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument import current_query, query_span, suppress, tool_span, track_query, track_tool
from instrument.recording.scope import NOBODY, current
from instrument.testing import capture


def numbers(count: int = 3) -> Iterator[str]:
    for number in range(count):
        with tool_span(f"t{number}"):
            pass
        yield "x" * (number + 1)


async def anumbers(count: int = 3) -> AsyncIterator[str]:
    for number in range(count):
        with tool_span(f"t{number}"):
            await asyncio.sleep(0)
        yield "x" * (number + 1)


def given_back(count: int = 3) -> Iterator[str]:
    return numbers(count)


def agiven_back(count: int = 3) -> AsyncIterator[str]:
    return anumbers(count)


async def awaited_back(count: int = 3) -> AsyncIterator[str]:
    return anumbers(count)


def partial_of(function: Any) -> Any:
    return functools.partial(function)


STREAMS = {"declared": numbers, "undeclared": given_back, "partial": partial_of(numbers)}
ASYNC_STREAMS = {"declared": anumbers, "undeclared": agiven_back, "partial": partial_of(anumbers)}
every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
every_async_stream = pytest.mark.parametrize("stream", ASYNC_STREAMS.values(), ids=ASYNC_STREAMS)
track = track_query(agent="a")


async def collected(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


# -- the span is the stream's -----------------------------------------------------------------------------------------


@every_stream
def test_the_span_ends_with_the_stream_and_its_size_is_the_sum_of_the_chunks(stream: Any) -> None:
    with capture() as captured:
        steps = track(stream)(3)
        first = next(steps)
        assert captured.queries == []
        assert [first, *steps] == ["x", "xx", "xxx"]
    (query,) = captured.queries
    assert (query.status, query.result_size_bytes) == ("ok", 6)
    assert [call.name for call in query.calls] == ["t0", "t1", "t2"]


@every_async_stream
def test_the_span_ends_with_the_async_stream_and_its_size_is_the_sum_of_the_chunks(stream: Any) -> None:
    with capture() as captured:
        assert asyncio.run(collected(track(stream)(3))) == ["x", "xx", "xxx"]
    (query,) = captured.queries
    assert (query.status, query.result_size_bytes) == ("ok", 6)
    assert [call.name for call in query.calls] == ["t0", "t1", "t2"]


def test_a_stream_that_an_async_function_gives_back_is_followed() -> None:
    async def main() -> list[Any]:
        return await collected(await track(awaited_back)(2))

    with capture() as captured:
        assert asyncio.run(main()) == ["x", "xx"]
    assert (captured.queries[0].result_size_bytes, len(captured.queries[0].calls)) == (3, 2)


@pytest.mark.parametrize(
    ("chunks", "size"),
    [
        (["é", "ab"], 4),
        ([b"abc", None], 3),
        ([{"a": 1}], 7),
        ([object()], None),
        ([1, "a", object(), "b"], None),
        ([], 0),
    ],
)
def test_chunks_of_every_kind_are_measured_and_one_that_cannot_be_leaves_no_size(chunks: Any, size: int | None) -> None:
    with capture() as captured:
        list(track(lambda: (chunk for chunk in chunks))())
    assert captured.queries[0].result_size_bytes == size


def test_the_time_to_the_first_chunk_is_recorded_once() -> None:
    with capture() as captured:
        stream = track(numbers)()
        next(stream)
        threading.Event().wait(0.002)
        list(stream)
        list(track(numbers)(0))
    told, empty = captured.queries
    assert told.first_chunk_ms is not None
    assert told.first_chunk_ms < told.duration_ms - 1.5
    assert empty.first_chunk_ms is None


def test_a_declared_stream_begins_at_its_first_step_and_one_never_started_leaves_no_record() -> None:
    with capture() as captured:
        never, closed, later = track(numbers)(), track(numbers)(), track_tool(numbers)()
        anever = track(anumbers)()
        closed.close()
        with query_span("q", agent="b"):
            next(later)
        del never, later, anever
        gc.collect()
    (query,) = captured.queries
    assert [call.name for call in query.calls] == ["numbers", "t0"]
    assert captured.calls == []


def test_an_undeclared_stream_begins_at_the_call() -> None:
    with capture() as captured:
        with query_span("q", agent="b"):
            stream = track_tool(given_back)()
        assert len(list(stream)) == 3
        begun = track(given_back)()
        del begun
    assert [(call.name, call.late) for call in captured.queries[0].calls] == [
        ("given_back", True),
        *((f"t{n}", True) for n in range(3)),
    ]
    assert captured.queries[1].status == "closed"


@pytest.mark.parametrize(
    "make", [lambda: iter([1]), lambda: io.StringIO("a\nb"), lambda: map(str, [1]), lambda: range(3)]
)
def test_files_cursors_and_other_iterators_are_handed_through_untouched(make: Callable[[], Any]) -> None:
    thing = make()
    for tracked in (track(lambda: thing), track_tool(lambda: thing)):
        assert tracked() is thing
        with query_span("q", agent="b"):
            assert tracked() is thing


# -- whose the calls are ----------------------------------------------------------------------------------------------


def test_what_the_consumer_does_between_two_chunks_is_not_the_streams() -> None:
    @track_tool("mine")
    def mine() -> str:
        return current_query().query_id

    with capture() as captured:
        for _ in track(numbers)(2):
            assert mine() == ""
        with query_span("outer", agent="b") as outer:
            for _ in track_tool("tool")(numbers)(2):
                assert mine() == outer.query_id
    stream, outer_record = captured.queries
    assert [call.name for call in stream.calls] == ["t0", "t1"]
    assert [call.name for call in captured.calls] == ["mine", "mine"]
    pairs = [(call.name, call.parent) for call in outer_record.calls]
    assert pairs == [("tool", None), ("t0", 0), ("mine", None), ("t1", 0), ("mine", None)]


def test_what_the_consumer_of_an_async_stream_does_between_two_chunks_is_not_the_streams() -> None:
    @track_tool("mine")
    async def mine() -> str:
        await asyncio.sleep(0)
        return current_query().query_id

    async def main() -> None:
        async for _ in track(anumbers)(2):
            assert await mine() == ""

    with capture() as captured:
        asyncio.run(main())
    assert [call.name for call in captured.queries[0].calls] == ["t0", "t1"]
    assert len(captured.calls) == 2


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_span_held_open_across_a_yield_stays_inside_the_stream(steps: int) -> None:
    def holding() -> Iterator[int]:
        with tool_span("held"):
            yield 1
            with tool_span("inner"):
                yield 2
        with tool_span("after"):
            yield 3

    with capture() as captured:
        stream = track(holding)()
        for _ in zip(range(steps), stream, strict=False):
            assert current.get() is NOBODY
        del stream
        gc.collect()
        assert current.get() is NOBODY
    (query,) = captured.queries
    expected = [("held", None), ("inner", 0), ("after", None)][: min(steps, 3)]
    assert [(call.name, call.parent) for call in query.calls] == expected


def test_two_streams_in_turns_do_not_cross() -> None:
    def talking(name: str) -> Iterator[str]:
        for number in range(3):
            with tool_span(f"{name}{number}"):
                yield name
            current_query().add_entities(name)

    with capture() as captured:
        for _ in zip(track(talking)("a"), track(talking)("b"), track(talking)("c"), strict=True):
            assert current.get() is NOBODY
    found = {query.user_input: query for query in captured.queries}
    for name in "abc":
        assert [call.name for call in found[name].calls] == [f"{name}{n}" for n in range(3)]
        assert found[name].entities_detected == [name]
        assert found[name].parent_id is None


def test_a_stream_inside_a_stream_is_its_child() -> None:
    def outer() -> Iterator[str]:
        with tool_span("before"):
            yield from track(numbers)(2)

    with capture() as captured:
        list(track(outer)())
    inner_record, outer_record = captured.queries
    assert inner_record.parent_id == outer_record.query_id
    assert [call.name for call in inner_record.calls] == ["t0", "t1"]


@every_stream
def test_a_stream_may_take_each_step_on_another_thread(stream: Any) -> None:
    with capture() as captured:
        steps = track(stream)(6)
        chunks = []
        pools = [ThreadPoolExecutor(1) for _ in range(3)]
        for number in range(7):
            chunks.append(pools[number % 3].submit(next, steps, None).result())
        assert [pool.submit(lambda: current.get() is NOBODY).result() for pool in pools] == [True] * 3
        for pool in pools:
            pool.shutdown()
    (query,) = captured.queries
    assert (query.status, query.result_size_bytes) == ("ok", 21)
    assert [(call.name, call.parent) for call in query.calls] == [(f"t{n}", None) for n in range(6)]


def test_a_tools_stream_stepped_on_other_threads_keeps_its_calls_below_it() -> None:
    with capture() as captured, query_span("q", agent="a"):
        steps = track_tool("tool")(numbers)(4)
        for _ in range(5):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(contextvars.copy_context().run, next, steps, None).result()
    pairs = [(call.name, call.parent) for call in captured.queries[0].calls]
    assert pairs == [("tool", None), *((f"t{n}", 0) for n in range(4))]


def test_a_stream_joins_a_query_that_waits_for_an_agent_and_gives_it_size_and_first_chunk() -> None:
    with capture() as captured, query_span("q") as query:
        assert len(list(track(numbers)(3))) == 3
        assert current_query().query_id == query.query_id
    (record,) = captured.queries
    assert (record.agent_type, record.result_size_bytes, record.status) == ("a", 6, "ok")
    assert record.first_chunk_ms is not None
    assert [call.name for call in record.calls] == ["t0", "t1", "t2"]


def test_a_stream_that_joins_inside_a_tool_is_under_that_tool() -> None:
    def inside() -> None:
        list(track(numbers)(1))

    with capture() as captured:
        with query_span("decorated"):
            track_tool("tool")(inside)()
        with query_span("span"), tool_span("tool"):
            inside()
    for query in captured.queries:
        assert [(call.name, call.parent) for call in query.calls] == [("tool", None), ("t0", 0)]


# -- send, throw, close and return ------------------------------------------------------------------------------------


def conversation(log: list[Any]) -> Any:
    """Answers whatever is sent or thrown, and says how it ended."""
    sent: Any = "begin"
    try:
        while sent != "end":
            try:
                sent = yield ("got", sent)
            except KeyError as error:
                log.append(("caught", error.args, repr(error.__context__)))
                sent = "thrown"
            if sent == "fail":
                raise ValueError("failed")
    except GeneratorExit:
        log.append("closed")
        raise
    finally:
        log.append("finally")
    return "result"


async def aconversation(log: list[Any]) -> Any:
    sent: Any = "begin"
    try:
        while sent != "end":
            try:
                sent = yield ("got", sent)
            except KeyError as error:
                log.append(("caught", error.args, repr(error.__context__)))
                sent = "thrown"
            await asyncio.sleep(0)
            if sent == "fail":
                raise ValueError("failed")
    except GeneratorExit:
        log.append("closed")
        raise
    finally:
        log.append("finally")


STEPS = ["next", "send a", "send end", "send fail", "throw key", "throw type", "throw stop", "throw base", "close"]


def taken(stream: Any, step: str) -> Any:
    """One step of a generator and what came of it."""
    throws = {"key": KeyError("k"), "type": KeyError, "stop": StopIteration(1), "base": KeyboardInterrupt()}
    word, _, value = step.partition(" ")
    try:
        if word == "next":
            return next(stream)
        if word == "send":
            return stream.send(value)
        return stream.close() if word == "close" else stream.throw(throws[value])
    except BaseException as error:
        return type(error), error.args, repr(error.__cause__), repr(error.__context__)


async def ataken(stream: Any, step: str) -> Any:
    throws = {"key": KeyError("k"), "type": KeyError, "stop": StopAsyncIteration(1), "base": KeyboardInterrupt()}
    word, _, value = step.partition(" ")
    try:
        if word == "next":
            return await anext(stream)
        if word == "send":
            return await stream.asend(value)
        return await (stream.aclose() if word == "close" else stream.athrow(throws[value]))
    except BaseException as error:
        return type(error), error.args, repr(error.__cause__), repr(error.__context__)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=7), st.booleans())
def test_any_steps_do_what_they_do_without_the_decorator(steps: list[str], within: bool) -> None:
    expected_log: list[Any] = []
    plain = conversation(expected_log)
    expected = [taken(plain, step) for step in steps]
    plain.close()
    for tracked in (track(conversation), track_tool(conversation), track(lambda log: conversation(log))):
        log: list[Any] = []
        with query_span("q", agent="b") if within else suppress_nothing():
            stream = tracked(log)
            assert [taken(stream, step) for step in steps] == expected
            stream.close()
        assert log == expected_log
        assert current.get() is NOBODY


class suppress_nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=7), st.booleans())
def test_any_steps_of_an_async_stream_do_what_they_do_without_the_decorator(steps: list[str], off: bool) -> None:
    async def through(function: Any) -> tuple[list[Any], list[Any]]:
        log: list[Any] = []
        stream = function(log)
        seen = [await ataken(stream, step) for step in steps]
        await stream.aclose()
        return seen, log

    async def main() -> None:
        expected = await through(aconversation)
        for tracked in (track(aconversation), track_tool(aconversation), track(lambda log: aconversation(log))):
            with suppress() if off else suppress_nothing():
                assert await through(tracked) == expected

    asyncio.run(main())


@every_stream
def test_the_return_value_arrives(stream: Any) -> None:
    def returning() -> Iterator[int]:
        yield 1
        return "result"

    def outer(inner: Any) -> Any:
        return (yield from inner)

    for make in (returning, lambda: returning()):
        stream = outer(track(make)())
        assert next(stream) == 1
        with pytest.raises(StopIteration) as stop:
            next(stream)
        assert stop.value.value == "result"


def test_throw_takes_its_older_arguments_too() -> None:
    log: list[Any] = []
    stream = track(lambda: conversation(log))()
    next(stream)
    if sys.version_info < (3, 12):  # later versions warn about them
        stream.throw(KeyError, "older")
        stream.throw(KeyError, KeyError("value"), None)
        assert [entry[1] for entry in log] == [("older",), ("value",)]
    stream.close()


def test_a_stream_answers_what_its_generator_would() -> None:
    stream, astream = track(given_back)(), track(agiven_back)()
    assert inspect.isawaitable(stream) is False
    assert stream.gi_frame is not None
    assert astream.ag_running is False
    assert isinstance(stream, Iterator)
    assert isinstance(astream, AsyncIterator)
    with pytest.raises(AttributeError, match="nothing"):
        _ = stream.nothing
    assert list(stream) == ["x", "xx", "xxx"]
    assert stream.gi_frame is None


# -- ways to end ------------------------------------------------------------------------------------------------------


def broken_off(stream: Any) -> None:
    for _ in stream:
        break


def closed_twice(stream: Any) -> None:
    next(stream)
    stream.close()
    stream.close()


def collected_in_a_cycle(stream: Any) -> None:
    next(stream)
    cycle: list[Any] = [stream]
    cycle.append(cycle)


@every_stream
@pytest.mark.parametrize("end", [broken_off, closed_twice, collected_in_a_cycle])
def test_break_close_and_collection_end_the_span_once_with_what_was_seen(stream: Any, end: Any) -> None:
    gc.collect()  # streams that earlier tests left in cycles end here, not among what is captured below
    for decorate in (track, track_tool("tool")):
        with capture() as captured:
            end(decorate(stream)(3))
            gc.collect()
            records: list[Any] = [*captured.queries, *[call for call in captured.calls if call.name == "tool"]]
        assert [record.status for record in records] == ["closed"]
        assert records[0].success
    assert current.get() is NOBODY


@every_stream
def test_what_was_seen_before_the_end_counts(stream: Any) -> None:
    with capture() as captured:
        steps = track(stream)(5)
        next(steps)
        next(steps)
        steps.close()
    assert captured.queries[0].result_size_bytes == 3
    assert [call.name for call in captured.queries[0].calls] == ["t0", "t1"]


def test_calls_made_while_a_stream_is_closed_are_the_streams() -> None:
    def careful() -> Iterator[int]:
        try:
            yield 1
        finally:
            with tool_span("clean up"):
                pass

    for make in (careful, lambda: careful()):
        for end in (broken_off, closed_twice):
            with capture() as captured:
                end(track(make)())
            assert [call.name for call in captured.queries[0].calls] == ["clean up"]
            assert captured.calls == []


@every_async_stream
def test_break_and_aclose_end_an_async_span_once_even_from_another_task(stream: Any) -> None:
    async def main() -> None:
        first, second = track(stream)(3), track(stream)(3)
        async for _ in first:
            break
        await first.aclose()
        await anext(second)
        await asyncio.create_task(second.aclose())
        await second.aclose()
        third = track(stream)(3)
        await asyncio.create_task(anext_of(third))
        async for _ in third:
            break
        del third
        for _ in range(3):
            gc.collect()
            await asyncio.sleep(0)
        assert current.get() is NOBODY

    async def anext_of(one: Any) -> Any:
        return await anext(one)

    with capture() as captured:
        asyncio.run(main())
    assert [(query.status, query.result_size_bytes) for query in captured.queries] == [
        ("closed", 1),
        ("closed", 1),
        ("closed", 3),
    ]


@every_stream
def test_an_exception_that_leaves_a_stream_fails_it(stream: Any) -> None:
    def failing() -> Iterator[str]:
        yield from stream(1)
        raise LookupError("gone")

    for make in (failing, lambda: failing()):
        with capture() as captured:
            steps = track(make)()
            next(steps)
            with pytest.raises(LookupError, match="gone") as caught:
                next(steps)
            assert list(steps) == []
        (query,) = captured.queries
        assert (query.status, query.error_type, query.error_message) == ("error", "LookupError", "gone")
        assert query.result_size_bytes == 1
        assert vars(caught.value) == {}


def test_a_cancelled_async_stream_is_cancelled() -> None:
    async def slow() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(collected(track(slow)()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture() as captured:
        asyncio.run(main())
    assert [query.status for query in captured.queries] == ["cancelled"]


def test_a_stream_closed_in_another_context_ends_without_noise(caplog: pytest.LogCaptureFixture) -> None:
    with capture() as captured:
        for make in (numbers, given_back):
            steps = contextvars.copy_context().run(lambda make=make: started(track(make)()))
            contextvars.copy_context().run(steps.close)
            lost = contextvars.copy_context().run(lambda make=make: started(track(make)()))
            thread = threading.Thread(target=lambda lost=lost: list(lost))
            del lost
            thread.start()
            thread.join()
    assert [query.status for query in captured.queries] == ["closed", "ok", "closed", "ok"]
    assert caplog.text == ""
    assert current.get() is NOBODY


def started(stream: Any) -> Any:
    next(stream)
    return stream


def test_streams_leave_nothing_open_behind() -> None:
    from instrument.collecting.collector import collector

    with capture():
        for make in (numbers, given_back):
            for end in (list, broken_off, closed_twice):
                end(track(make)())
                end(track_tool(make)())
        gc.collect()
        assert not collector.opened


LEFT_OVER = """
import asyncio, gc, sys
from instrument import track_query, track_tool, configure
configure(directory=sys.argv[2])
keep = []

async def careful(number):
    try:
        yield number
        await asyncio.sleep(0)
        yield number
    finally:
        if number % 3 == 1:
            await asyncio.sleep(0.001)
        elif number % 3 == 2:
            sys.stdout.write("closed\\n")

def given_back(number):
    return careful(number)

decorate = {"plain": lambda f: f, "query": track_query(agent="a"), "tool": track_tool}[sys.argv[1]]

async def first(stream):
    asyncio.get_running_loop().slow_callback_duration = 60
    await stream.__anext__()

async def main():
    for make in (careful, given_back):
        for number in range(6):
            stream = decorate(make)(number)
            await first(stream)
            if number < 3:
                keep.append(stream)  # the loop closes it at its end
            del stream
            gc.collect()  # the loop is asked to close it

asyncio.run(main())
keep.clear()
gc.collect()
loop = asyncio.new_event_loop()
for make in (careful, given_back):
    for number in range(3):
        stream = decorate(make)(number)
        loop.run_until_complete(first(stream))
        keep.append(stream)
loop.close()
keep.clear()  # collected when its loop is gone
gc.collect()
stream = decorate(careful)(0)
try:
    stream.__anext__().send(None)        # driven without any loop
except StopIteration:
    pass
del stream
gc.collect()
print("end")
"""


@pytest.mark.parametrize("how", ["query", "tool"])
def test_an_async_stream_collected_outside_its_loop_makes_no_more_noise_than_undecorated(how: str) -> None:
    def heard(decorated: str) -> tuple[int, str, str]:
        run = subprocess.run(
            [sys.executable, "-X", "dev", "-c", LEFT_OVER, decorated, str(Path.cwd() / decorated)],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, run.stdout, run.stderr

    code, out, noise = heard(how)
    plain_code, plain_out, plain_noise = heard("plain")
    assert (code, sorted(out.split()), noise) == (plain_code, sorted(plain_out.split()), plain_noise)


def test_a_stream_still_open_when_the_process_ends_is_abandoned() -> None:
    code = """
import sys, instrument
instrument.configure(directory=sys.argv[1])
@instrument.track_query(agent="a")
def steps():
    yield 1
    yield 2
stream = steps()
next(stream)
sys.modules["kept"] = stream
"""
    store = Path.cwd() / "kept"
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, str(store)],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    (segment,) = store.rglob("*.jsonl")
    assert '"s":"abandoned"' in segment.read_text()
