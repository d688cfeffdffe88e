"""Results for other programs: JSON in UTF-8, streamed where there may be much of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import msgspec

from instrument_cli.rendering.text import harmless_json


def show_json(value: object) -> None:
    """Print a result as indented JSON."""
    _write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def show_members(members: Iterable[tuple[str, object]]) -> None:
    """Print one JSON object; a member that is an iterator becomes an array, an element a line, as they come."""
    before = b"{"
    for name, value in members:
        _write(before + msgspec.json.encode(name) + b": ")
        if isinstance(value, Iterable) and not isinstance(value, (str, list, dict, tuple)):
            _write_array(value)
        else:
            _write(msgspec.json.encode(value))
        before = b",\n"
    _write(b"}\n")


def _write_array(elements: Iterable[object]) -> None:
    before = b"[\n"
    for element in elements:
        _write(before + msgspec.json.encode(element))
        before = b",\n"
    _write(b"[]" if before == b"[\n" else b"\n]")


def _write(encoded: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(harmless_json(encoded))
