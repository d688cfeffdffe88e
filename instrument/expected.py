"""What a setting may be, in words: for the messages about one that will not do."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def in_words(kind: Any) -> str:
    """Say what a type of `Config` takes, such as "a whole number from 1 to 60000" or "drop or wait"."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return in_words(arguments[0]) + _bounds(arguments[1])
    if get_origin(kind) is Literal:
        return _either([str(value) for value in arguments])
    if get_origin(kind) is tuple:
        inside = arguments[0]
        return f"a list of {_either([str(one) for one in get_args(inside)]) if get_args(inside) else 'texts'}"
    if arguments:  # a union, of which the first is what a file can hold
        return in_words(arguments[0])
    return _NAMES.get(kind, "something else")


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _bounds(meta: Meta) -> str:
    if meta.min_length:
        return " that is not empty"
    if meta.gt is not None:
        return f" above {meta.gt:g}"
    if meta.le is not None:
        return f" from {meta.ge:g} to {meta.le:g}"
    return f", {meta.ge:g} or more"
