"""JSON that somebody else may have written: decoded with care, in one place.

A line of the store, an entry of metrics.json or a user's attributes may be cut off, damaged, no UTF-8, or nested so
deep that decoding it ends in a RecursionError. How deep that is depends on the version of Python, and code that walks
what was decoded gives up earlier. So free-form data has one limit of depth here, whatever the version.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

DEEPEST = 200
"""How many lists and objects may stand inside each other in free-form data."""

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_OPENING = frozenset((b"[", b"{"))
_CLOSING = frozenset((b"]", b"}"))

_anything = msgspec.json.Decoder()
_objects = msgspec.json.Decoder(dict[str, Any])
_numbers = msgspec.json.Decoder(dict[str, float])


class UnreadableError(ValueError):
    """This is no JSON, or not of the shape that was asked for; the message says what is wrong with it."""


def decoded(content: bytes | str, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON with a decoder of known shape; raises UnreadableError, whatever is wrong with it."""
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from None


def decoded_freely(content: bytes | str) -> Any:
    """Decode JSON of any shape; raises UnreadableError, also where it is nested deeper than `DEEPEST`."""
    _check_depth(content)
    return decoded(content, _anything)


def free_object(content: bytes | str | None) -> dict[str, Any] | None:
    """A user's attributes, None where there is no such object or where it is nested too deep."""
    try:
        if content is None:
            return None
        _check_depth(content)
        return decoded(content, _objects)
    except UnreadableError:
        return None


def free_numbers(content: bytes | str | None) -> dict[str, float] | None:
    """A user's metrics by name, None where there is no such object or where one of them is no number."""
    try:
        return None if content is None else decoded(content, _numbers)
    except UnreadableError:
        return None


def is_too_deep(content: bytes | str) -> bool:
    """Whether lists and objects stand in each other deeper than `DEEPEST`."""
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False  # nearly always: it cannot be that deep
    depth = 0
    for token in _TOKENS.findall(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth > DEEPEST:
            return True
    return False


def _check_depth(content: bytes | str) -> None:
    if is_too_deep(content):
        raise UnreadableError(f"it is nested more than {DEEPEST} levels deep")
