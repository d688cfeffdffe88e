"""What is decorated binds as it did, whatever it is; what cannot be decorated says where to put the decorator."""

from __future__ import annotations

import abc
import asyncio
import functools
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest
from async_lru import alru_cache

from instrument import track_graphql, track_query, track_tool
from instrument.testing import capture


class Compiled:
    """Binds like a method and is no function, as what Cython compiles does."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)


class Adding:
    """Does not bind."""

    def __call__(self, number: int) -> int:
        return number + 1


class Shop:
    prefix = "Shop"

    @track_tool
    @functools.cache
    def look_up(self, name: str) -> str:
        return self.prefix + name.upper()

    @track_query(agent="a")
    @functools.lru_cache(maxsize=2)
    def ask(self, mode: int, user_input: str = "default") -> str:
        return self.prefix + user_input

    @track_tool
    @alru_cache
    async def fetch(self, name: str) -> str:
        await asyncio.sleep(0)
        return self.prefix + name

    @track_tool
    @Compiled
    def compiled(self, name: str) -> str:
        return self.prefix + name

    @classmethod
    @track_tool
    @functools.cache
    def of_class(cls, name: str) -> str:
        return cls.prefix + name

    @staticmethod
    @track_tool
    @functools.cache
    def of_none(name: str) -> str:
        return name

    plus = track_tool(Adding())


class Text(str):
    up = track_tool(str.upper)
    join_them = track_tool("joined")(str.join)


def test_what_binds_like_a_method_binds_as_it_did() -> None:
    shop = Shop()
    with capture() as captured:
        assert shop.look_up("asha") == Shop.look_up(shop, "asha") == "ShopASHA"
        assert asyncio.run(shop.fetch("x")) == "Shopx"
        assert shop.compiled("y") == Shop.compiled(shop, "y") == "Shopy"
        assert (Shop.of_class("z"), shop.of_class("z"), shop.of_none("n"), Shop.of_none("n")) == (
            "Shopz",
            "Shopz",
            "n",
            "n",
        )
        assert (Text("a").up(), Text.up("b"), Text(",").join_them(["a", "b"])) == ("A", "B", "a,b")
        assert (shop.plus(1), Shop.plus(2)) == (2, 3)
    names = [call.name for call in captured.calls]
    assert names[:2] == ["Shop.look_up"] * 2
    assert len(names) == 14
    assert all(call.success for call in captured.calls)


def test_a_method_that_binds_by_itself_has_its_input_found() -> None:
    shop = Shop()
    with capture() as captured:
        shop.ask(1, "bound")
        Shop.ask(shop, 1, "unbound")
        shop.ask(1, user_input="keyword")
        shop.ask(1)
    assert [query.user_input for query in captured.queries] == ["bound", "unbound", "keyword", "default"]


def test_caches_keep_what_they_offer() -> None:
    cached = track_tool(functools.lru_cache(lambda x: x))
    assert [cached(1), cached(1)] == [1, 1]
    assert cached.cache_info().hits == 1
    cached.cache_clear()
    assert cached.cache_info().currsize == 0
    assert Shop.look_up.__wrapped__.__name__ == "look_up"


@track_tool
@functools.cache
def remembered(x: int) -> int:
    return x + 1


def test_a_cached_function_pickles_by_its_name_as_without_the_decorator() -> None:
    assert pickle.loads(pickle.dumps(remembered)) is remembered


def test_an_awaited_cache_is_timed_to_its_end() -> None:
    @track_tool
    @alru_cache
    async def slow(x: int) -> int:
        await asyncio.sleep(0.02)
        return x

    with capture() as captured:
        assert asyncio.run(slow(1)) == 1
    assert captured.calls[0].duration_ms is not None
    assert captured.calls[0].duration_ms > 15


@pytest.mark.parametrize("track", [track_tool, track_query(agent="a"), track_graphql("Q")])
def test_above_descriptors_that_hold_one_function_a_decorator_works(track: Any) -> None:
    class Thing:
        """Its own."""

        def __init__(self) -> None:
            self.value = 1

        @track
        @property
        def plain(self) -> int:
            """What it is."""
            return self.value

        @plain.setter
        def plain(self, value: int) -> None:
            self.value = value

        @track
        @functools.cached_property
        def once(self) -> int:
            """Once."""
            return self.value

        def _add(self, first: int, second: int) -> int:
            return self.value + first + second

        add_two = track(functools.partialmethod(_add, 2))

    thing = Thing()
    with capture() as captured:
        assert thing.plain == 1
        thing.plain = 5
        assert (thing.once, thing.once, thing.add_two(3)) == (5, 5, 10)
    assert len(captured.calls) + len(captured.queries) == 3
    assert Thing.plain.__doc__ == "What it is."
    assert Thing.once.__doc__ == "Once."


def test_an_abstract_property_stays_abstract() -> None:
    class Base(abc.ABC):
        @track_tool
        @property
        @abc.abstractmethod
        def value(self) -> int: ...

        @property
        @abc.abstractmethod
        @track_tool
        def other(self) -> int: ...

    assert Base.__abstractmethods__ == {"value", "other"}


def test_single_dispatch_is_tracked_below_and_says_so_above() -> None:
    with pytest.raises(TypeError, match="put @track_tool below @singledispatchmethod"):

        class Wrong:
            @track_tool
            @functools.singledispatchmethod
            def show(self, value: Any) -> str: ...

    class Right:
        @functools.singledispatchmethod
        @track_tool
        def show(self, value: Any) -> str:
            return "any"

        @show.register
        @track_tool
        def _number(self, value: int) -> str:
            return "int"

    @track_tool
    @functools.singledispatch
    def free(value: Any) -> str:
        return "any"

    @free.register
    def _(value: int) -> str:
        return "int"

    with capture() as captured:
        assert (Right().show("x"), Right().show(1), free("x"), free(1)) == ("any", "int", "any", "int")
    assert len(captured.calls) == 4


def test_a_descriptor_without_a_function_says_where_to_decorate() -> None:
    with pytest.raises(TypeError, match="put @track_query below @property"):
        track_query(agent="a")(property())
