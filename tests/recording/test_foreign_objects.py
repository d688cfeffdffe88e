"""Objects of the application's that do odd things when they are looked at: recording leaves them alone.

What they are asked is asked by the thread that runs the application, never by the writer's: a field that a database
mapper loads when it is read would else be loaded beside the application, over its own connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from instrument import flush, query_span, track_graphql, track_model, track_query, track_tool
from instrument.collecting.collector import collector
from instrument.redaction.rules import described
from instrument.testing import capture


class NoHash(type):
    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment]


class BrokenHash(type):
    def __hash__(cls) -> int:
        raise ValueError("no hash")


class Unhashable(metaclass=NoHash):
    pass


class Broken(metaclass=BrokenHash):
    pass


class Hostile:
    """Raises whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __hash__ = None  # type: ignore[assignment]


DECORATORS: list[Callable[..., Any]] = [track_query(agent="a"), track_query, track_tool, track_graphql, track_model]


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("track", DECORATORS)
@pytest.mark.parametrize("make", [Unhashable, Broken, Hostile, lambda: [Hostile()], lambda: {"a": Unhashable()}])
def test_an_object_that_raises_whatever_it_is_asked_passes_through(make: Any, track: Any, within: bool) -> None:
    @track
    def same(value: Any) -> Any:
        return value

    @track
    async def later(value: Any) -> Any:
        return value

    value = make()
    with capture() as captured, query_span("around", agent="b" if within else None):
        assert same(value) is value
        with pytest.raises(StopIteration) as done:  # stepped by hand, as asyncio would describe the result
            later(value).send(None)
        assert done.value.value is value
    assert captured.queries
    assert not {"query", "tool", "call"} & set(collector.losses.problems)


# -- lazy objects ------------------------------------------------------------------------------------------------------


asked: list[tuple[str, str]] = []
"""What lazy objects were asked, and by which thread."""


def note(what: str) -> None:
    asked.append((what, threading.current_thread().name))


class Column:
    """As a database mapper's: reading it may load it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, row: Any, owner: Any = None) -> Any:
        if row is None:
            return self
        note(self.name)
        return 1

    def __set__(self, row: Any, value: Any) -> None: ...


class Model:
    __pydantic_fields__ = {"id": 0}  # noqa: RUF012 - as pydantic has it
    id = Column("id")


class Mapped:
    __dataclass_fields__ = {"id": 0}  # noqa: RUF012 - as dataclasses have it
    id = Column("id")


class Lazy:
    """As Django's SimpleLazyObject: it loads what it stands for to say what it is."""

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        note("__class__")
        return str

    def __getattr__(self, name: str) -> Any:
        note(name)
        raise AttributeError(name)


class LazyList(list[int]):
    def __iter__(self) -> Iterator[int]:
        note("iter")
        return super().__iter__()

    def __len__(self) -> int:
        note("len")
        return super().__len__()


class LazyDict(dict[str, int]):
    def values(self) -> Any:
        note("values")
        return super().values()


LAZY: list[Callable[[], Any]] = [
    Mapped,
    Lazy,
    lambda: [Model()],
    lambda: [Mapped()],
    lambda: {"a": Lazy()},
    lambda: LazyList([1]),
    lambda: LazyDict(a=1),
]


@pytest.mark.parametrize("make", LAZY)
def test_a_result_that_would_load_something_is_not_asked_for_it(make: Callable[[], Any]) -> None:
    @track_query(agent="a")
    def answer(text: str) -> Any:
        return make()

    asked.clear()
    answer("q")
    assert flush()
    assert asked == []


def test_data_in_objects_is_measured_all_the_same() -> None:
    @dataclass
    class Plain:
        id: int
        name: str = "n"

    @dataclass(slots=True)
    class Slotted:
        id: int

    class Part(msgspec.Struct):
        id: int

    results = [Plain(1), [Plain(1), Slotted(2)], Part(3), LazyList([1, 2]), LazyDict(a=1), (1, None, True, b"x")]

    @track_query(agent="a")
    def answer(result: Any) -> Any:
        return result

    with capture() as captured:
        for result in results:
            answer(result)
    assert [query.result_size_bytes for query in captured.queries] == [
        len(msgspec.json.encode(result)) for result in results
    ]


def test_an_object_that_passes_itself_off_as_a_text_is_described_as_it_describes_itself() -> None:
    class Proxy(Lazy):
        def __str__(self) -> str:
            return "the text behind"

    assert described(Proxy()) == "the text behind"
