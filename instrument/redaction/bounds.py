"""A value as text, with a bound on what is looked at: nobody's thread waits while a picture is encoded.

Of a text some thousand characters are kept. What is given may hold megabytes, though, in any depth; so its size is
estimated first, and of what is too large a copy is described in which long parts are cut, and say so.

What a value is, its own type says, not its `__class__`: a lazy object answers that by loading what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from types import MemberDescriptorType, WrapperDescriptorType
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
_BYTES = (bytes, bytearray)
_CONTAINERS = (dict, list, tuple, set, frozenset)
_TEXT_OR_SMALL = (str, *_SMALL)
_PLAIN = (*_CONTAINERS, *_BYTES, *_TEXT_OR_SMALL)
_ABSENT = object()


def weight(value: Any, most: int = MOST) -> int:
    """Estimate how many characters describe a value; not exact, and no further than a little beyond `most`."""
    found = 0
    left: list[Any] = [value]
    while left and found <= most:
        one = left.pop()
        kind = type(one)
        if kind is str:
            found += len(one)
        elif issubclass(kind, _TEXT_OR_SMALL):
            found += _length(one, kind)
        elif issubclass(kind, _BYTES):
            found += len(one) * 2
        elif issubclass(kind, _CONTAINERS):
            found += _PER_ITEM * len(one)
            if found <= most:
                left.extend(one)
                if issubclass(kind, dict):
                    left.extend(one.values())
        else:
            found += _PER_ITEM + _bytes_in(one)
            if found <= most:
                left.extend(value for _, value in _parts(one))
    return found


def is_small_data(value: Any, most_items: int, most_characters: int) -> bool:
    """Whether a value is data whose JSON is bounded, and can be made without running code of the application's.

    `most_items` are those of all levels together. A field that a database mapper loads when it is read is no data: it
    would be loaded by the thread that asks.
    """
    items = characters = 0
    left: list[Any] = [value]
    while left:
        one = left.pop()
        kind: Any = type(one)
        if kind is str:
            characters += len(one)
        elif kind is int:
            characters += one.bit_length() // 3
        elif kind is float or kind is bool or one is None:
            characters += _PER_ITEM
        elif kind is dict or kind is list or (kind := _base(kind)) in _CONTAINERS:
            items += kind.__len__(one)
            if items > most_items:
                return False
            left += kind.__iter__(one)
            if kind is dict:
                left += dict.values(one)
        elif kind is not None:
            characters += kind.__len__(one) * 2 if kind in _BYTES else _length(one, kind)
        else:
            characters += _PER_ITEM + (one.nbytes if type(one) is memoryview else 0)
            parts = [_plainly_held(one, name) for name in _field_names(type(one), _ENCODED)]
            if any(part is _ABSENT for part in parts):
                return False
            left += parts
        if characters > most_characters:
            return False
    return True


def _base(kind: type) -> type | None:
    """Which of the plain types one is or derives from; None for an object's."""
    return next(base for base in _PLAIN if issubclass(kind, base)) if issubclass(kind, _PLAIN) else None


def _length(one: Any, kind: type) -> int:
    """About how many characters a text, number, boolean or None has."""
    if issubclass(kind, str):
        return str.__len__(one)
    return int.bit_length(one) // 3 if kind is int else _PER_ITEM


def as_text(value: Any) -> str:
    """Describe plain data as JSON and anything else as `str` has it, or a shortened copy of what is too large.

    Raises whatever the application's own code does.
    """
    is_plain = issubclass(type(value), (dict, list, tuple))
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
        kind = type(value)
        if issubclass(kind, str):
            return self._cut(str.__str__(value))
        if issubclass(kind, _SMALL):
            return value if not issubclass(kind, int) or value.bit_length() < 64 else f"<{kind.__name__}>"
        if held := _bytes_in(value):
            return f"<{kind.__name__}, {held} bytes>"
        if depth > _DEEPEST or self._left <= 0:
            return CUT
        if issubclass(kind, dict):
            return self._items(value.items(), len(value), depth)
        if issubclass(kind, _CONTAINERS):
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
            name = str.__str__(str(key)) if issubclass(type(key), _TEXT_OR_SMALL) else f"<{type(key).__name__}>"
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
        held = getattr(value, "nbytes", 0) if hasattr(type(value), "nbytes") else 0
        return held if type(held) is int else 0


_ENCODED = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__")
"""What lists the fields of the objects that msgspec encodes."""

_DESCRIBED = (*_ENCODED[:2], "__pydantic_fields__", _ENCODED[2])


def _field_names(kind: Any, listings: tuple[str, ...]) -> list[str]:
    for listing in listings:
        names = getattr(kind, listing, None)
        if isinstance(names, (tuple, dict)):
            return [name if isinstance(name, str) else name.name for name in names]
    return []


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an object that describes itself by them, and large texts that another one holds.

    Those alone that it holds already: to read one that it would have to load is left to whoever wants its text.
    """
    kind: Any = type(value)
    if names := _field_names(kind, _DESCRIBED):
        held = _held_by(value)
        for name in names:
            part = held[name] if name in held else _plainly_held(value, name)
            if part is not _ABSENT:
                yield name, part
        return
    describes_itself = (kind.__str__, kind.__repr__) != (object.__str__, object.__repr__)
    if describes_itself and not issubclass(kind, BaseException):
        for name, part in _held_by(value).items():
            if issubclass(type(part), (str, *_BYTES)) and len(part) > MOST:
                yield name, part


def _held_by(value: Any) -> dict[str, Any]:
    """The `__dict__` of an object, past whatever its class makes of that."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def _plainly_held(value: Any, name: str) -> Any:
    """A field that can be read without running code of its class's; `_ABSENT` where it cannot, or has no value."""
    for base in type(value).__mro__:
        if name in base.__dict__:
            found = base.__dict__[name]
            if type(found) is MemberDescriptorType:
                try:
                    return found.__get__(value)
                except AttributeError:
                    return _ABSENT
            if hasattr(type(found), "__get__"):
                return _ABSENT
            return _held_by(value).get(name, found)
    return _held_by(value).get(name, _ABSENT)
