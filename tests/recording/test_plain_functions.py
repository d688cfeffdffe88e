"""Plain functions: a decorated function is the function, seen from outside."""

from __future__ import annotations

import abc
import copy
import functools
import inspect
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrument import configure, query_span, track_graphql, track_query, track_tool
from instrument.testing import capture

DECORATORS: dict[str, Callable[[Any], Any]] = {
    "track_query": track_query(agent="a"),
    "track_tool": track_tool,
    "track_graphql": track_graphql,
}
every_decorator = pytest.mark.parametrize("track", DECORATORS.values(), ids=DECORATORS)


# -- what pickles is found by its name, so it stands at module level --------------------------------------------------


@track_tool
def doubled(number: int, /, *, plus: int = 0) -> int:
    """Twice a number."""
    return 2 * number + plus


@track_query(agent="a")
async def awaited(user_input: str) -> str:
    return user_input


class Agent:
    @track_query(agent="a")
    def ask(self, user_input: str) -> str:
        return self.find(user_input)

    @track_tool
    def find(self, what: str) -> str:
        return what.upper()

    @track_tool
    @classmethod
    def made(cls, what: str) -> str:
        return f"{cls.__name__} {what}"

    @classmethod
    @track_tool
    def made_otherwise(cls, what: str) -> str:
        return f"{cls.__name__} {what}"

    @track_tool
    @staticmethod
    def free(what: str) -> str:
        return what

    @staticmethod
    @track_tool
    def free_otherwise(what: str) -> str:
        return what


class Special(Agent):
    def find(self, what: str) -> str:
        return super().find(what) + "!"


class Greeting:
    """A callable object."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, name: str) -> str:
        return f"{self.word} {name}"


def times(factor: int, number: int) -> int:
    return factor * number


greet = track_tool(Greeting("hello"))
tripled = track_tool(functools.partial(times, 3))


# -- nothing changes for the application ------------------------------------------------------------------------------


@every_decorator
def test_the_result_is_the_identical_object(track: Any) -> None:
    for value in (object(), [], {}, iter([]), (i for i in ()).__class__, open, 10**30, float("nan"), "é", None):
        assert track(lambda given=None, value=value: value)() is value


@every_decorator
def test_arguments_reach_the_function_untouched(track: Any) -> None:
    first, second, third = object(), object(), {"k": object()}
    seen = track(lambda *args, **kwargs: (args, kwargs))
    args, kwargs = seen(first, second, **third, name=1, agent=2, input=3, document=4, operation=5, args=6, kwargs=7)
    assert args[0] is first
    assert args[1] is second
    assert kwargs == {**third, "name": 1, "agent": 2, "input": 3, "document": 4, "operation": 5, "args": 6, "kwargs": 7}


def test_parameters_may_be_called_as_the_wrappers_own_variables_are() -> None:
    names = "fn site name agent row scope calls call outer token result text kind error problem began started frame"
    names += " thread p0 p1 k0 k1 pv pk buffer LIMIT get set document inner stream sent chunk resume"
    for name in names.split():
        for source in (
            f"def f({name}, other=2): return {name}, other",
            f"def f(other, *, {name}=1): return other, {name}",
            f"def f(*{name}, **rest): return {name}, rest",
            f"def f(first=0, *args, **{name}): return first, args, {name}",
        ):
            made: dict[str, Any] = {}
            exec(source, made)
            plain = made["f"]
            for track in DECORATORS.values():
                for args, kwargs in (((1,), {}), ((1,), {name: 3}), ((), {name: 3, "other": 4}), ((1, 2), {"z": 5})):
                    assert outcome_of(track(plain), args, kwargs) == outcome_of(plain, args, kwargs)
                    with query_span("q", agent="b"):
                        assert outcome_of(track(plain), args, kwargs) == outcome_of(plain, args, kwargs)


def outcome_of(function: Any, args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)


NAMES = ("self", "user_input", "query", "row", "p0", "k0", "name", "a", "b")


@st.composite
def signatures(draw: st.DrawFn) -> str:
    names = draw(st.permutations(NAMES))
    counts = [draw(st.integers(0, 2)) for _ in range(3)]
    only, both, keys = names[: counts[0]], names[2 : 2 + counts[1]], names[4 : 4 + counts[2]]
    defaults = draw(st.integers(0, counts[0] + counts[1]))
    positional = [*only, *both]
    parts = [f"{n}={i}" if i >= len(positional) - defaults else n for i, n in enumerate(positional)]
    if only:
        parts.insert(len(only), "/")
    parts += ["*rest"] if draw(st.booleans()) else ["*"] if keys else []
    parts += [f"{key}='d'" if draw(st.booleans()) else key for key in keys]
    parts += ["**more"] if draw(st.booleans()) else []
    return ", ".join(parts)


@settings(max_examples=120, deadline=None)
@given(
    signatures(),
    st.lists(st.one_of(st.integers(), st.text(max_size=3), st.none()), max_size=5),
    st.dictionaries(st.sampled_from((*NAMES, "z")), st.integers(), max_size=4),
    st.booleans(),
)
def test_any_signature_takes_any_call_as_without_the_decorator(
    signature: str, args: list[Any], kwargs: dict[str, Any], within: bool
) -> None:
    made: dict[str, Any] = {}
    exec(f"def f({signature}): return locals()", made)
    plain = made["f"]
    expected = outcome_of(plain, args, kwargs)
    for track in DECORATORS.values():
        tracked = track(plain)
        assert str(inspect.signature(tracked)) == str(inspect.signature(plain))
        if within:
            with query_span("q", agent="b"):
                assert outcome_of(tracked, args, kwargs) == expected
        else:
            assert outcome_of(tracked, args, kwargs) == expected


def test_a_mutable_default_is_one_object_for_all_calls() -> None:
    @track_tool
    def collect(item: int, into: list[int] = [], *, also: list[int] = []) -> tuple[list[int], list[int]]:
        into.append(item)
        also.append(item)
        return into, also

    collect(1)
    assert collect(2) == ([1, 2], [1, 2])


@every_decorator
def test_wrong_arguments_raise_the_same_error_under_the_functions_own_name(track: Any) -> None:
    class Shop:
        def sell(self, what: str, *, price: int) -> None: ...

    plain, tracked = Shop.sell, track(Shop.sell)
    for args, kwargs in (
        ((), {}),
        ((1,), {}),
        ((1, 2), {}),
        ((1, 2, 3), {}),
        ((1, 2), {"prize": 1}),
        ((1,), {"what": 1}),
    ):
        kind, text = outcome_of(plain, args, kwargs)
        assert kind is TypeError
        assert "Shop.sell()" in text
        assert outcome_of(tracked, args, kwargs) == (kind, text)


# -- the forms of a decorator -----------------------------------------------------------------------------------------


def test_bare_and_called_forms_do_the_same() -> None:
    def one(query: str = "query A { a }") -> str:
        return query

    made = [track_query, track_query(), track_query(None), track_tool, track_tool(), track_graphql, track_graphql()]
    with capture() as captured:
        for decorate in made:
            decorate(one)()
    assert [query.name for query in captured.queries] == ["one"] * 3
    assert [call.name for call in captured.calls] == ["one", "one", "query A", "query A"]


def test_a_name_given_at_decoration_is_recorded() -> None:
    with capture() as captured:
        track_tool("lookup")(lambda: 1)()
        track_graphql("Customers")(lambda query: 1)("query Other { a }")
        track_query("crew", name="chat")(lambda text: 1)("hi")
    assert [call.name for call in captured.calls] == ["lookup", "Customers"]
    assert (captured.queries[0].agent_type, captured.queries[0].name) == ("crew", "chat")


@pytest.mark.parametrize("options", [{"agnt": "a"}, {"inputs": "x"}, {"document": "x"}])
def test_an_unknown_option_is_a_type_error_at_decoration(options: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        track_query(**options)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="wrong"):
        track_tool(wrong=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="wrong"):
        track_graphql(wrong=1)  # type: ignore[call-overload]


def test_a_parameter_that_is_not_there_is_a_type_error_at_decoration() -> None:
    with pytest.raises(TypeError, match="question"):
        track_query(input="question")(lambda text: text)
    with pytest.raises(TypeError, match="body"):
        track_graphql(document="body")(lambda text: text)


@pytest.mark.parametrize("thing", [3, object(), Agent])
def test_what_cannot_be_called_or_is_a_class_is_refused_at_decoration(thing: Any) -> None:
    with pytest.raises(TypeError, match="decorates a function"):
        track_tool(thing)


# -- every kind of callable -------------------------------------------------------------------------------------------


def test_methods_of_every_kind_work_with_the_decorator_inside_or_outside() -> None:
    with capture() as captured:
        agent = Special()
        assert agent.ask("x") == "X!"
        assert [Special.made("a"), agent.made("b"), Agent.made_otherwise("c"), agent.free("d")] == [
            "Special a",
            "Special b",
            "Agent c",
            "d",
        ]
        assert Agent.free_otherwise("e") == "e"
    names = [call.name for call in captured.calls]
    assert names == ["Agent.made", "Agent.made", "Agent.made_otherwise", "Agent.free", "Agent.free_otherwise"]
    assert [call.name for call in captured.queries[0].calls] == ["Agent.find"]


def test_lambdas_partials_callable_objects_and_built_in_functions_are_recorded() -> None:
    with capture() as captured:
        assert track_tool(lambda x: x + 1)(1) == 2
        assert tripled(2) == 6
        assert greet("you") == "hello you"
        assert track_tool(max)(1, 5, key=lambda x: -x) == 1
        assert track_tool("bound")([3, 1].index)(1) == 1
        assert track_tool(Agent().find)("x") == "X"  # a bound method
    names = [call.name for call in captured.calls]
    assert names == ["<lambda>", "times", "Greeting", "max", "bound", "Agent.find", "Agent.find"]


def test_callables_of_every_kind_can_be_queries_and_their_input_is_found() -> None:
    def answer(style: str, user_input: str) -> str:
        return f"{style}{user_input}"

    class Bot:
        def __call__(self, mode: int, user_input: str) -> str:
            return user_input

        def ask(self, text: str) -> str:
            return text

    with capture() as captured:
        track_query(functools.partial(answer, "s"))("one")
        track_query(functools.partial(answer, "s", "two"))()
        track_query(functools.partial(answer, user_input="three"))("s")
        track_query(Bot())(1, "four")
        track_query(Bot())(1, user_input="five")
        track_query(Bot().ask)("six")
        track_query(len)("seven")
        track_query(functools.partial(len))("eight")
        track_query(functools.partial(len, "nine"))()
        track_query(functools.partial(Bot().ask, "ten"))()
        track_query(functools.partial(functools.partial(answer, "s"), 11))()
        track_query(functools.partial(lambda *, user_input: 0))(user_input="twelve")
        track_query(functools.partial(lambda *, user_input: 0, user_input="thirteen"))()
        track_query(functools.partial(lambda a, user_input="default": 0, 1))()
        track_query(functools.partial(answer, user_input="fixed"))("s", user_input="fifteen")
        track_query(input="mode")(Bot())(16, "text")
    inputs = [query.user_input for query in captured.queries]
    assert inputs[:7] == ["one", "two", "three", "four", "five", "six", "seven"]
    assert inputs[7:] == ["eight", "nine", "ten", "11", "twelve", "thirteen", "default", "fifteen", "16"]


def test_a_callable_object_keeps_its_attributes_and_its_type() -> None:
    assert greet.word == "hello"
    assert isinstance(greet, Greeting)
    assert greet.__doc__ == "A callable object."


def test_dataclasses_with_a_call_are_recorded_and_stay_dataclasses() -> None:
    @dataclass
    class Adder:
        by: int

        @track_tool
        def __call__(self, number: int) -> int:
            return number + self.by

    with capture() as captured:
        assert Adder(2)(3) == 5
        assert track_tool(Adder(1)) == Adder(1)
    assert [call.name for call in captured.calls] == ["Adder.__call__"]


def test_stacked_decorators_each_record() -> None:
    def shouting(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def shout(*args: Any) -> str:
            return function(*args).upper()

        return shout

    @track_query(agent="a")
    @shouting
    @track_tool("inner")
    @track_graphql("innermost")
    @functools.lru_cache
    def say(text: str) -> str:
        return text

    with capture() as captured:
        assert say("x") == "X"
    (query,) = captured.queries
    assert [(call.name, call.parent) for call in query.calls] == [("inner", None), ("innermost", 0)]
    assert query.user_input == "x"


def test_abstract_methods_stay_abstract_in_either_order() -> None:
    class Base(abc.ABC):
        @track_tool
        @abc.abstractmethod
        def one(self) -> int: ...

        @abc.abstractmethod
        @track_tool
        def two(self) -> int: ...

    assert Base.__abstractmethods__ == {"one", "two"}

    class Whole(Base):
        def one(self) -> int:
            return 1

        def two(self) -> int:
            return 2

    assert (Whole().one(), Whole().two()) == (1, 2)


# -- what asks about it -----------------------------------------------------------------------------------------------


def test_inspection_answers_as_before() -> None:
    def plain(x: int, /, y: Path, *rest: str, z: float = 1.5, **more: bool) -> list[int]:
        """What it does."""
        return []

    async def waits() -> None: ...

    def steps() -> Any:
        yield

    async def awaits() -> Any:
        yield

    plain.note = "kept"  # type: ignore[attr-defined]
    for function in (plain, waits, steps, awaits):
        for track in DECORATORS.values():
            tracked = track(function)
            for ask in (
                inspect.signature,
                inspect.getdoc,
                inspect.iscoroutinefunction,
                inspect.isgeneratorfunction,
                inspect.isasyncgenfunction,
                inspect.isfunction,
                inspect.getsource,
                inspect.getmodule,
                inspect.unwrap,
                get_type_hints,
            ):
                assert ask(tracked) == ask(function), ask
            for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"):
                assert getattr(tracked, attribute) == getattr(function, attribute)
    assert track_tool(plain).note == "kept"


# -- what is recorded -------------------------------------------------------------------------------------------------


def test_the_default_name_is_the_functions_and_a_methods_carries_its_class() -> None:
    class Outer:
        class Inner:
            @track_tool
            def find(self) -> None: ...

    with capture() as captured:
        Outer.Inner().find()
        doubled(1)
    assert [call.name for call in captured.calls] == ["Outer.Inner.find", "doubled"]


def test_self_and_cls_are_never_taken_for_the_input() -> None:
    class Bot:
        @track_query
        def ask(self, question: str) -> None: ...

        @track_query
        @classmethod
        def ask_class(cls, question: str) -> None: ...

        @track_query
        @staticmethod
        def ask_free(question: str) -> None: ...

        @track_query
        def alone(self) -> None: ...

    with capture() as captured:
        Bot().ask("one")
        Bot.ask_class("two")
        Bot.ask_free("three")
        Bot().alone()
    assert [query.user_input for query in captured.queries] == ["one", "two", "three", ""]


def test_the_input_is_the_parameter_named_else_user_input_else_the_first() -> None:
    with capture() as captured:
        track_query(input="b")(lambda a, user_input, b: 0)(1, 2, 3)
        track_query(lambda a, user_input: 0)(1, 2)
        track_query(lambda a, *, user_input="d": 0)(1)
        track_query(lambda a, b: 0)(1, 2)
        track_query(lambda *args: 0)("v", "w")
        track_query(lambda *args: 0)()
        track_query(input="who")(lambda **kw: 0)(who="me")
        track_query(lambda: 0)()
    inputs = [query.user_input for query in captured.queries]
    assert inputs == ["3", "2", "d", "1", "v", "", "me", ""]


def test_the_agent_is_empty_where_none_is_named() -> None:
    with capture() as captured:
        track_query(lambda: 0)()
    assert captured.queries[0].agent_type == ""


def test_recursion_gives_nested_calls() -> None:
    @track_tool
    def count(down: int) -> int:
        return 0 if down == 0 else 1 + count(down - 1)

    with capture() as captured:
        with query_span("q", agent="a"):
            assert count(3) == 3
            assert count(0) == 0
        assert count(2) == 2
    assert [call.parent for call in captured.queries[0].calls] == [None, 0, 1, 2, None]
    assert len(captured.calls) == 3


def test_recursive_queries_are_queries_inside_queries() -> None:
    @track_query(agent="a")
    def ask(depth: int) -> int:
        return depth and ask(depth - 1)

    with capture() as captured:
        ask(2)
    inner, middle, outer = captured.queries
    assert (outer.parent_id, middle.parent_id, inner.parent_id) == (None, outer.query_id, middle.query_id)


# -- pickling and copying ---------------------------------------------------------------------------------------------


def test_functions_and_methods_pickle_by_name_and_copy_to_themselves() -> None:
    for function in (doubled, awaited, Agent.ask, Agent.free):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.copy(function) is function
        assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(Agent().find))("x") == "X"


def test_partials_and_callable_objects_pickle_and_copy_and_are_still_recorded() -> None:
    for again in (lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy):
        with capture() as captured:
            assert again(greet)("you") == "hello you"
            assert again(tripled)(2) == 6
        assert [call.name for call in captured.calls] == ["Greeting", "times"], again


def test_a_deep_copy_of_a_callable_object_is_a_copy() -> None:
    twin = copy.deepcopy(greet)
    twin.word = "bye"
    assert (twin("you"), greet("you")) == ("bye you", "hello you")


def test_decorated_functions_travel_to_other_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(doubled, [1, 2]) == [2, 4]
        assert pool.map(Agent().find, ["a"]) == ["A"]
        assert pool.map(greet, ["a"]) == ["hello a"]
        assert pool.map(tripled, [2]) == [6]


# -- switching off ----------------------------------------------------------------------------------------------------


def test_switched_off_by_the_environment_a_decorator_gives_the_function_itself() -> None:
    code = """
import instrument, functools
def f(x): return x
part = functools.partial(f, 1)
for track in (instrument.track_query, instrument.track_tool, instrument.track_graphql, instrument.track_selection,
              instrument.track_entities, instrument.track_complexity, instrument.track_query(agent="a")):
    assert track(f) is f
assert instrument.track_tool(part) is part
with instrument.query_span("x") as query:
    query.add_entities("y")
assert instrument.flush()
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "INSTRUMENT_ENABLED": "0", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(Path.cwd().iterdir()) == []


def test_switched_off_by_configure_a_decorator_gives_the_function_itself() -> None:
    configure(enabled=False)
    for track in DECORATORS.values():
        assert track(times) is times
    assert track_tool("named")(times) is times
    configure(enabled=True)
    assert track_tool(times) is not times


def test_functions_decorated_before_switching_off_and_on_record_when_it_is_on() -> None:
    with capture() as captured:
        for enabled in (True, False, True):
            configure(enabled=enabled)
            assert doubled(4) == 8
            with query_span("q", agent="a"):
                doubled(4)
    assert (len(captured.calls), [len(query.calls) for query in captured.queries]) == (2, [1, 1])
