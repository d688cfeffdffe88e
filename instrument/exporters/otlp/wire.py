"""Protobuf as OTLP uses it, written by hand.

A span made of these parts costs some 3 µs; one made of `opentelemetry-proto` messages 10, one by the SDK's exporter 24
to 31 (six spans a query, Python 3.11). So the messages are put together from bytes, and what many spans have in common
is made once. The tests hold every message against the official classes.

    message     a field number and its content, with the content's length before it
    fixed64     a field number and eight bytes
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SMALL = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(2048))
"""The lengths that nearly all messages have, made once: a fifth of what a span costs."""

_double = struct.Struct("<d").pack
_unsigned = struct.Struct("<Q").pack
_json = msgspec.json.Encoder().encode
_INT64 = 1 << 63


def varint(number: int) -> bytes:
    """An integer, seven bits a byte; a negative one as its 64-bit complement."""
    if 0 <= number < 2048:
        return _SMALL[number]
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


@lru_cache(maxsize=128)
def _tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def message(number: int, content: bytes) -> bytes:
    """A field that holds a message, or bytes."""
    return _tag(number, _LENGTH) + varint(len(content)) + content


def messages(number: int, contents: Iterable[bytes]) -> bytes:
    """A field that holds several messages."""
    tag = _tag(number, _LENGTH)
    parts: list[bytes] = []
    for content in contents:
        size = len(content)
        parts += (tag, _SMALL[size] if size < 2048 else varint(size), content)
    return b"".join(parts)


def text(number: int, content: str) -> bytes:
    """A field that holds text; what has no UTF-8 is replaced."""
    return message(number, content.encode("utf-8", "replace"))


def whole(number: int, content: int) -> bytes:
    """A field that holds an integer."""
    return _tag(number, _VARINT) + varint(content)


def fixed64(number: int, content: int) -> bytes:
    """A field that holds an unsigned integer of eight bytes, such as a time."""
    return _tag(number, _FIXED64) + _unsigned(content & (1 << 64) - 1)


def double(number: int, content: float) -> bytes:
    """A field that holds a float."""
    return _tag(number, _FIXED64) + _double(content)


def packed(number: int, values: Iterable[float], *, integers: bool) -> bytes:
    """A field that holds eight bytes for each of several numbers."""
    pack = _unsigned if integers else _double
    return message(number, b"".join([pack(value) for value in values]))


# -- what spans, points and logs have --------------------------------------------------------------------------------


def any_value(value: Any) -> bytes:
    """The message AnyValue: text, boolean, number, or a list of such; anything else as JSON text."""
    if isinstance(value, str):
        return text(1, value)
    if isinstance(value, bool):
        return whole(2, value)
    if isinstance(value, int):
        return whole(3, value) if -_INT64 <= value < _INT64 else text(1, str(value))
    if isinstance(value, float):
        return double(4, value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, bool, int, float)) for item in value):
        return message(5, b"".join([message(1, any_value(item)) for item in value]))
    return message(1, _json(value))


def attribute(number: int, name: str, value: Any) -> bytes:
    """One attribute; `number` is that of the field `attributes`, which each message has in another place.

    Bytes are text that is UTF-8 already.
    """
    if type(value) is float:
        return _before_float(number, name) + _double(value)
    tag, key = _named(number, name)
    if isinstance(value, (str, bytes)):
        encoded = value.encode("utf-8", "replace") if isinstance(value, str) else value
        size = len(encoded)
        length = _SMALL[size] if size < 2048 else varint(size)
        content = size + 1 + len(length)
        around = _SMALL[content] if content < 2048 else varint(content)
        return b"".join((tag, varint(len(key) + len(around) + content), key, around, b"\x0a", length, encoded))
    if type(value) is int and 0 <= value < _INT64:
        digits = varint(value)
        size = len(digits) + 1
        return b"".join((tag, varint(len(key) + 1 + size), key, _SMALL[size], b"\x18", digits))
    item = any_value(value)
    pair = key + varint(len(item)) + item
    return tag + varint(len(pair)) + pair


@lru_cache(maxsize=1024)
def _named(number: int, name: str) -> tuple[bytes, bytes]:
    """What stands before an attribute's length, and before its value's length."""
    return _tag(number, _LENGTH), text(1, name) + b"\x12"


@lru_cache(maxsize=1024)
def _before_float(number: int, name: str) -> bytes:
    """What stands before the eight bytes of an attribute that is a float."""
    tag, key = _named(number, name)
    return tag + varint(len(key) + 10) + key + b"\x09\x21"


def attributes(number: int, values: Iterable[tuple[str, Any]]) -> bytes:
    """Several attributes, those that are None left out."""
    return b"".join([attribute(number, name, value) for name, value in values if value is not None])


# -- what receivers answer -------------------------------------------------------------------------------------------


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number and integer or bytes. Raises ValueError for what is no message."""
    place = 0
    while place < len(content):
        key, place = _read_varint(content, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _read_varint(content, place)
            yield key >> 3, value
            continue
        if kind == _LENGTH:
            length, place = _read_varint(content, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("no protobuf")
        if place + length > len(content):
            raise ValueError("protobuf that was cut off")
        yield key >> 3, content[place : place + length]
        place += length


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(content) and shift < 70:
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
    raise ValueError("protobuf that was cut off")
