"""Large inputs, results, attributes and messages are looked at within a bound, and what was cut says so.

How much is looked at is counted, in allocated memory and in what the application's own objects are asked.
"""

from __future__ import annotations

import array
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from instrument import current_query, query_span, track_query, track_tool
from instrument.redaction.bounds import MOST, as_text, weight
from instrument.redaction.rules import described
from instrument.testing import capture

HUGE = "x" * 5_000_000
WIDE = "é" * 2_000_000


@dataclass
class Message:
    role: str
    content: Any
    parts: list[Any] = field(default_factory=list)


class Part(msgspec.Struct):
    data: bytes


class Picture:
    """As an imaging library's: cheap to hold, dear to print."""

    def __init__(self) -> None:
        self.asked = 0
        self.data = b"x" * 5_000_000

    def __repr__(self) -> str:
        self.asked += 1
        return f"Picture({self.data!r})"


class Tensor:
    nbytes = 5_000_000
    asked = 0

    def __str__(self) -> str:
        type(self).asked += 1
        return HUGE


LARGE: dict[str, Callable[[], Any]] = {
    "text in messages": lambda: [{"role": "user", "content": [{"type": "image", "data": HUGE}]}],
    "bytes": lambda: b"x" * 5_000_000,
    "bytearray": lambda: bytearray(5_000_000),
    "memoryview": lambda: memoryview(bytes(5_000_000)),
    "bytes in a list": lambda: [b"x" * 5_000_000],
    "long list": lambda: [1] * 1_000_000,
    "many texts": lambda: [HUGE[:1_000]] * 5_000,
    "huge key": lambda: {HUGE: 1},
    "set": lambda: [set(range(500_000))],
    "dataclass": lambda: Message("user", HUGE),
    "dataclass in a list": lambda: [Message("user", [{"data": HUGE}])],
    "struct": lambda: Part(b"x" * 5_000_000),
    "array": lambda: array.array("d", [1.0]) * 600_000,
    "picture": Picture,
    "picture in a dict": lambda: {"image": Picture()},
    "tensor": Tensor,
    "huge number in a list": lambda: [1 << 5_000_000],
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_a_large_value_is_described_within_a_bound_and_says_what_was_cut(make: Callable[[], Any]) -> None:
    value = make()
    described(value)
    tracemalloc.start()
    try:
        text = described(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(text) <= 2 * MOST
    assert peak < 20 * MOST, "more of it was copied than is kept"
    assert "…" in text or " bytes>" in text or "<int>" in text
    assert getattr(value, "asked", 0) == 0


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é"]}, [], ["x" * 60_000], (1, (2,)), {"b": b"abc"}])
def test_a_value_within_the_bound_is_described_whole(value: Any) -> None:
    assert as_text(value) == msgspec.json.encode(value).decode()


def test_circular_and_deep_values_end() -> None:
    circular: list[Any] = []
    circular.append(circular)
    assert weight(circular) > MOST
    assert described(circular)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "…" in described(deep)


def test_a_shortened_input_is_still_json_that_shows_how_it_was_built() -> None:
    text = described({"messages": [{"role": "user", "content": HUGE}, {"role": "system", "content": "short"}]})
    first, second = json.loads(text)["messages"]
    assert first["content"].endswith("… (5000000 characters)")
    assert second == {"role": "system", "content": "short"}


def test_what_is_stored_of_inputs_attributes_and_messages_is_short_and_says_that_it_was_cut() -> None:
    @track_query(agent="a")
    def answer(messages: Any) -> None:
        current_query().set_attributes(picture={"data": HUGE}, text=HUGE)
        raise ValueError({"data": HUGE})

    with capture() as captured, pytest.raises(ValueError, match="data"):
        answer([{"content": HUGE}])
    query = captured.queries[0]
    for text in (query.user_input, query.error_message, *query.attributes.values()):
        assert isinstance(text, str)
        assert len(text) == 2_000
        assert text.endswith("…")


def test_a_message_of_one_text_is_not_touched() -> None:
    assert described(ValueError("plain")) == "plain"
    assert described(KeyError("key")) == "'key'"
    assert described(ValueError({"a": 1})) == "{'a': 1}"
    assert len(described(KeyError(HUGE))) < 2 * MOST


@pytest.mark.parametrize(
    ("result", "size"),
    [
        (HUGE, 5_000_000),
        (WIDE, 4_000_000),
        (b"x" * 5_000_000, 5_000_000),
        ([HUGE], None),
        ({"a": {"b": HUGE}}, None),
        (Message("user", HUGE), None),
        (Part(b"x" * 5_000_000), None),
        (["x" * 1_000], 1_004),
    ],
    ids=["text", "wide text", "bytes", "list", "dict", "dataclass", "struct", "small"],
)
def test_a_result_is_measured_within_a_bound(result: Any, size: int | None) -> None:
    @track_query(agent="a")
    def answer() -> Any:
        return result

    @track_query(agent="a")
    def stream() -> Any:
        yield result

    with capture() as captured:
        assert answer() is result
        list(stream())
    assert [query.result_size_bytes for query in captured.queries] == [size, size]


def test_an_object_of_the_application_is_described_as_it_describes_itself() -> None:
    class Client:
        def __init__(self) -> None:
            self.pool = [object()] * 100_000

        def __repr__(self) -> str:
            return "<Client of shop>"

    @track_tool
    def tool() -> None:
        pass

    assert described(Client()) == "<Client of shop>"
    with capture() as captured, query_span(Client(), agent="a"):
        tool()
    assert captured.queries[0].user_input == "<Client of shop>"
