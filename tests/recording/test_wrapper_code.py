"""The wrappers as debuggers, profilers and picklers see them: plain code, without anything of the application's."""

from __future__ import annotations

import functools
import gc
import inspect
import linecache
import marshal
import sys
import traceback
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from types import CodeType
from typing import Any

import pytest

from instrument import (
    query_span,
    track_complexity,
    track_entities,
    track_graphql,
    track_query,
    track_selection,
    track_tool,
)
from instrument.recording import fast_path
from instrument.recording.scope import NOBODY, current
from instrument.testing import capture

DECORATORS: dict[str, Any] = {
    "query": track_query(agent="a"),
    "tool": track_tool,
    "named tool": track_tool("t"),
    "graphql": track_graphql,
    "named graphql": track_graphql("Q"),
    "selection": track_selection,
    "entities": track_entities,
    "complexity": track_complexity,
}


def plain(x: Any, /, y: Any = 2, *rest: Any, k0: Any = 1, other: Any = 3, **more: Any) -> Any:
    return x


async def waits(x: Any = "", *, k1: Any = 1) -> Any:
    return x


def steps(x: Any = "") -> Any:
    yield x


async def async_steps(x: Any = "") -> Any:
    yield x


def wrappers() -> dict[str, Any]:
    made = {
        f"{name} of {function.__name__}": track(function)
        for name, track in DECORATORS.items()
        for function in (plain, waits, steps, async_steps)
        if function in (plain, waits) or track not in (track_selection, track_entities, track_complexity)
    }
    made["cached"] = track_tool(functools.cache(plain))._self_wrapper.__closure__[0].cell_contents
    return made


@pytest.mark.parametrize("name", wrappers())
def test_a_wrappers_code_hashes_compares_and_marshals_as_plain_code_does(name: str) -> None:
    code = wrappers()[name].__code__
    assert isinstance(hash(code), int)
    assert code == wrappers()[name].__code__
    assert {code: 1}[code] == 1
    assert marshal.loads(marshal.dumps(code)) == code
    assert code.replace(co_name="another") != code
    for constant in code.co_consts:
        assert constant is None or isinstance(constant, (int, str, bool, tuple))


@pytest.mark.parametrize("name", wrappers())
def test_a_wrapper_is_one_line_named_as_its_function(name: str) -> None:
    wrapper = wrappers()[name]
    code: CodeType = wrapper.__code__
    assert {line for _, _, line in code.co_lines() if line is not None} == {1}
    assert (code.co_firstlineno, code.co_name) == (1, wrapper.__name__ if name != "cached" else "plain")
    linecache.clearcache()
    track_tool(plain)
    assert "decorated_function(...)" in linecache.getline(code.co_filename, 1)


def raising() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("name", [name for name in DECORATORS if name not in ("selection", "entities", "complexity")])
@pytest.mark.parametrize("within", [False, True])
def test_a_traceback_has_one_frame_a_wrapper_and_shows_a_line_of_it(name: str, within: bool) -> None:
    track = DECORATORS[name]
    with query_span("q", agent="b") if within else nullcontext(), pytest.raises(ValueError, match="no") as caught:
        track(raising)()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["raising", "raising"]
    assert (frames[1].filename, frames[1].line) == (
        "<instrument>",
        "return decorated_function(...)  # recorded by instrument",
    )
    assert frames[2].filename == __file__


def test_the_parameters_of_the_caller_show_under_their_own_names() -> None:
    @track_tool
    def tool(customer: str, *, country: str = "India") -> Any:
        return inspect.currentframe()

    frame = tool("C-1", country="Japan").f_back
    assert (frame.f_locals["customer"], frame.f_locals["country"]) == ("C-1", "Japan")


# -- nothing of a user's in them ---------------------------------------------------------------------------------------

ODD = ["tickets [OPEN] since May", "write {CALL} and {ARGS}", "\0get", "k0", "{INPUT}", "'", '"', "\\", "\n", "é\ud800"]


@pytest.mark.parametrize("text", ODD)
def test_a_text_that_a_partial_or_default_holds_is_recorded_as_it_is(text: str) -> None:
    def answer(user_input: str = text) -> str:
        return "x"

    class Bot:
        def __call__(self, user_input: str = text) -> str:
            return "x"

    ways = [
        lambda: track_query(agent="a")(functools.partial(answer, text))(),
        lambda: track_query(agent="a")(functools.partial(answer, user_input=text))(),
        lambda: track_query(agent="a")(functools.partial(answer))(),
        lambda: track_query(agent="a")(Bot())(),
        lambda: track_query(agent="a")(Bot().__call__)(),
        lambda: track_query(agent="a")(answer)(),
    ]
    with capture() as captured:
        for way in ways:
            way()
    expected = text.encode(errors="surrogatepass").decode(errors="replace") if "\ud800" in text else text
    assert [query.user_input for query in captured.queries] in ([text] * 6, [expected] * 6, ["é?"] * 6)


@pytest.mark.parametrize("text", ODD)
def test_odd_names_of_agents_tools_and_keywords_change_nothing(text: str) -> None:
    def answer(**more: Any) -> Any:
        return more

    with capture() as captured:
        assert track_query(agent=text, input=text, name=text)(answer)(**{text: 1}) == {text: 1}
        assert track_tool(text)(lambda: 1)() == 1
        assert track_graphql(text)(lambda: 1)() == 1
        assert track_graphql(document=text)(answer)(**{text: "query A { a }"}) == {text: "query A { a }"}
    assert captured.queries[0].user_input == "1"
    assert captured.calls[-1].name == "query A"


def test_functions_partials_and_their_values_are_freed_with_their_wrapper() -> None:
    class Value(str): ...

    def freed(make: Callable[[Any], Any]) -> bool:
        value = Value("x" * 1000)
        made, seen = make(value), weakref.ref(value)
        made()
        del made, value
        gc.collect()
        return seen() is None

    def answer(user_input: str) -> str:
        return "x"

    assert freed(lambda value: track_query(agent="a")(functools.partial(answer, value)))
    assert freed(lambda value: track_tool(lambda given=value: None))
    assert freed(lambda value: track_graphql("Q")(functools.partial(answer, user_input=value)))


def test_what_is_kept_for_ever_is_bounded_however_many_signatures_come() -> None:
    for number in range(700):
        made: dict[str, Any] = {}
        only = "".join(f"a{place}, " for place in range(number % 40))
        exec(f"def f(name_{number}, *, {only}z): return 1", made)
        track_tool(made["f"])
    assert fast_path._factory.cache_info().currsize <= 512
    assert len([name for name in linecache.cache if "<instrument" in name]) == 1


# -- wrong options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: track_query(agent=5), r"track_query decorates a function, or takes agent=… as a str, not int: 5"),
        (lambda: track_query(input=5), r"track_query\(input=…\) must be a str, not int: 5"),
        (lambda: track_query("a", name=b"n"), r"track_query\(name=…\) must be a str, not bytes: b'n'"),
        (lambda: track_tool(["a\nb"]), r"track_tool decorates a function, or takes name=… as a str, not list"),
        (lambda: track_graphql(operation={}), r"track_graphql decorates a function, or takes operation=… as a str"),
        (lambda: track_graphql(document=True), r"track_graphql\(document=…\) must be a str, not bool: True"),
    ],
)
def test_an_option_of_the_wrong_type_is_said_in_one_line_at_decoration(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)


# -- recursion ---------------------------------------------------------------------------------------------------------


def depth(function: Callable[[int], Any]) -> int:
    """How many levels a function can go down."""
    low, high = 1, 2 * sys.getrecursionlimit()
    while low < high:
        middle = (low + high + 1) // 2
        try:
            function(middle)
            low = middle
        except RecursionError:
            high = middle - 1
    return low + 1


def down(n: int) -> int:
    return n and down(n - 1)


async def adown(n: int) -> int:
    return n and await adown(n - 1)


def driven(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def tracked_down(track: Any) -> Callable[[int], Any]:
    @track
    def downwards(n: int) -> int:
        return n and downwards(n - 1)

    return downwards


def tracked_adown(track: Any) -> Callable[[int], Any]:
    @track
    async def downwards(n: int) -> int:
        return n and await downwards(n - 1)

    return lambda n: driven(downwards(n))


@pytest.mark.parametrize("name", ["query", "tool", "graphql", "named graphql"])
@pytest.mark.parametrize("within", [False, True])
def test_recursion_reaches_half_of_the_depth_that_it_has_undecorated(name: str, within: bool) -> None:
    whole, awaited = depth(down), depth(lambda n: driven(adown(n)))
    with capture():
        if within:
            with query_span("q", agent="b"):
                reached = depth(tracked_down(DECORATORS[name])), depth(tracked_adown(DECORATORS[name]))
        else:
            reached = depth(tracked_down(DECORATORS[name])), depth(tracked_adown(DECORATORS[name]))
    assert reached[0] >= whole // 2
    assert reached[1] >= awaited // 2
    assert current.get() is NOBODY


@pytest.mark.parametrize("name", ["query", "tool", "graphql"])
@pytest.mark.parametrize("within", [False, True])
def test_an_error_at_the_recursion_limit_is_the_applications_own_and_leaves_nothing_current(
    name: str, within: bool
) -> None:
    raised: list[BaseException] = []

    @DECORATORS[name]
    def endless(n: int) -> int:
        try:
            return endless(n + 1)
        except RecursionError as error:
            raised.append(error)
            raise

    @DECORATORS[name]
    def fine(n: int) -> int:
        return n

    with capture() as captured:
        with query_span("q", agent="b") if within else nullcontext(), pytest.raises(RecursionError) as caught:
            endless(1)
        assert caught.value is raised[-1]
        fine(1)
        assert current.get() is NOBODY
        with query_span("q", agent="b"):
            fine(2)
    assert (captured.calls or captured.queries)[-1].success
    assert captured.queries[-1].success
