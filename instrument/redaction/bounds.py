"""A value as text, with a bound on what is looked at: nobody's thread waits while a picture is encoded.

Of a text some thousand characters are kept. What is given may hold megabytes, though, in any depth; so its size is
estimated first, and of what is too large a copy is described in which long parts are cut, and say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from types import WrapperDescriptorType
from typing import Any

MOST = 65_536
"""Characters up to which a value is described whole."""

CUT = "…"
"""Stands at the end of whatever was cut."""

_LONGEST_PART = 4_096
"""Characters that are kept of one text inside a value that is too large."""

_DEEPEST = 20
_PER_ITEM = 8
_SMALL = (int, float, bool, type(None))


def weight(value: Any, most: int = MOST) -> int:
    """Estimate how many characters describe a value; not exact, and no further than a little beyond `most`."""
    found = 0
    left: list[Any] = [value]
    while left and found <= most:
        one = left.pop()
        kind = type(one)
        if kind is str:
            found += len(one)
        elif kind in _SMALL:
            found += one.bit_length() // 3 if kind is int else _PER_ITEM
        elif isinstance(one, (str, bytes, bytearray)):
            found += len(one) * 2
        elif isinstance(one, (dict, list, tuple, set, frozenset)):
            found += _PER_ITEM * len(one)
            if found <= most:
                left.extend(one)
                if isinstance(one, dict):
                    left.extend(one.values())
        else:
            found += _PER_ITEM + _bytes_in(one)
            if found <= most:
                left.extend(value for _, value in _parts(one))
    return found


def as_text(value: Any) -> str:
    """Describe plain data as JSON and anything else as `str` has it, or a shortened copy of what is too large.

    Raises whatever the application's own code does.
    """
    is_plain = isinstance(value, (dict, list, tuple))
    if weight(value) > MOST:
        text = _json(_Shortener().copy(value))
        return text if is_plain else f"{type(value).__name__} {text}"
    if not is_plain:
        return str.__str__(str(value))
    try:
        return _json(value)
    except _TooMuchError:
        return _json(_Shortener().copy(value))


def error_text(error: BaseException) -> str:
    """Describe an exception as `str` does, or with shortened arguments where `str` would describe large ones.

    Raises whatever the application's own code does.
    """
    spelled = type(error).__str__
    says_its_text = spelled is BaseException.__str__ and len(error.args) == 1 and isinstance(error.args[0], str)
    if says_its_text or not isinstance(spelled, WrapperDescriptorType) or weight(error.args) <= MOST:
        return str.__str__(str(error))
    given = error.args[0] if len(error.args) == 1 else error.args
    return _json(_Shortener().copy(given))


class _TooMuchError(Exception):
    """What the application's objects say of themselves is more than is described whole."""


def _json(value: Any) -> str:
    import msgspec

    left = MOST

    def spelled(foreign: Any) -> str:
        nonlocal left
        text = str.__str__(str(foreign))
        left -= len(text)
        if left < 0:
            raise _TooMuchError
        return text

    return msgspec.json.encode(value, enc_hook=spelled).decode()


class _Shortener:
    """Copies a value in plain data, of no more than `MOST` characters all in all.

    Its functions call each other; as methods they do so out of sight of dill, which follows a function's globals.
    """

    def __init__(self) -> None:
        self._left = MOST

    def copy(self, value: Any, depth: int = 0) -> Any:
        self._left -= _PER_ITEM
        if isinstance(value, str):
            return self._cut(str.__str__(value))
        if isinstance(value, _SMALL):
            return value if not isinstance(value, int) or value.bit_length() < 64 else f"<{type(value).__name__}>"
        if held := _bytes_in(value):
            return f"<{type(value).__name__}, {held} bytes>"
        if depth > _DEEPEST or self._left <= 0:
            return CUT
        if isinstance(value, dict):
            return self._items(value.items(), len(value), depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._sequence(value, len(value), depth)
        parts = list(islice(_parts(value), 1_000))
        return self._items(parts, len(parts), depth) if parts else self._cut(str.__str__(str(value)))

    def _sequence(self, values: Iterable[Any], count: int, depth: int) -> list[Any]:
        kept: list[Any] = []
        for value in values:
            if self._left <= 0:
                return [*kept, f"{CUT} {count - len(kept)} more"]
            kept.append(self.copy(value, depth + 1))
        return kept

    def _items(self, items: Iterable[tuple[Any, Any]], count: int, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in items:
            if self._left <= 0:
                return {**kept, CUT: f"{count - len(kept)} more"}
            name = str.__str__(str(key)) if isinstance(key, (str, *_SMALL)) else f"<{type(key).__name__}>"
            kept[self._cut(name)] = self.copy(value, depth + 1)
        return kept

    def _cut(self, text: str) -> str:
        kept = min(_LONGEST_PART, max(self._left, 0))
        self._left -= min(len(text), kept)
        return text if len(text) <= kept else f"{text[:kept]}{CUT} ({len(text)} characters)"


def _bytes_in(value: Any) -> int:
    """How many bytes a buffer holds (an array, a tensor, a picture), 0 for what is none."""
    try:
        return memoryview(value).nbytes
    except (TypeError, BufferError, ValueError):
        held = getattr(value, "nbytes", 0)
        return held if type(held) is int else 0


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an object that describes itself by them, and large texts that another one holds."""
    kind: Any = type(value)
    for listing in ("__struct_fields__", "__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__"):
        names = getattr(kind, listing, None)
        if isinstance(names, (tuple, dict)):
            for name in names:
                name = name if isinstance(name, str) else name.name
                yield name, getattr(value, name, None)
            return
    describes_itself = (kind.__str__, kind.__repr__) != (object.__str__, object.__repr__)
    held = getattr(value, "__dict__", None)
    if describes_itself and type(held) is dict and not isinstance(value, BaseException):
        for name, part in held.items():
            if isinstance(part, (str, bytes, bytearray)) and len(part) > MOST:
                yield name, part
