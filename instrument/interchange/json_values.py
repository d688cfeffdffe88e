"""The JSON values in a file: one, a list of them, or one a line; and careful ways to take a value out of one.

Two things that are no JSON are read all the same, since Python's own `json` writes them: NaN and the infinities, which
become null, and lone surrogates, which become U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import msgspec

from instrument.errors import StoreError
from instrument.rows import columns, stored

T = TypeVar("T")
Skip = Callable[[str, object], None]

DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON that is cut off, damaged or made to harm may raise."""

MARK = b"\xef\xbb\xbf"
"""What some editors put in front of UTF-8."""

_LINES_TRIED = 3
_LATEST = columns.LAST_T * 1000
_LARGEST_NUMBER = 1e15

# A text, to its end even where the file is cut off in it, or what may be wrong outside of one.
_TEXT_OR_NUMBER = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?|-?\b(?:NaN|Infinity)\b|-?\b\d++(?:\.\d++)?[eE]\+?\d{3,}+', re.DOTALL
)
# An escaped backslash, a pair of surrogates, and a lone one.
_SURROGATES = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


@overload
def decode(content: bytes | str | msgspec.Raw) -> Any: ...
@overload
def decode(content: bytes | str | msgspec.Raw, kind: type[T], *, strict: bool = True) -> T: ...
def decode(content: bytes | str | msgspec.Raw, kind: Any = Any, *, strict: bool = True) -> Any:
    """Decode JSON, as a value of a type; raises one of `DAMAGED` when it cannot be.

    A number that is none, or beyond all use, becomes null.
    """
    try:
        return msgspec.json.decode(content, type=kind, strict=strict)
    except msgspec.DecodeError:
        given = content.encode("utf-8", "replace") if isinstance(content, str) else bytes(content)
        mended = _mended(given)
        if mended == given:
            raise
    return msgspec.json.decode(mended, type=kind, strict=strict)


def _mended(content: bytes) -> bytes:
    if b"\\ud" in content or b"\\uD" in content:
        content = _SURROGATES.sub(lambda match: match[1] or b"\\ufffd", content)
    return _TEXT_OR_NUMBER.sub(_mended_number, content)


def _mended_number(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if found[:1] == b'"':
        return found
    return b"null" if found[-1:] in b"Ny" or abs(float(found)) == float("inf") else found


def documents(file: Path, skip: Skip) -> Iterator[tuple[str, Any]]:
    """Every value with its place in the file; a line that is no JSON is skipped.

    Raises StoreError when the file as a whole is none.
    """
    with open(file, "rb") as stream:
        if _by_lines(stream):
            yield from _lines(stream, skip)
            return
        stream.seek(0)
        content = _decoded(file, stream.read())
    if not isinstance(content, list):
        yield "the document", content
        return
    for place, item in enumerate(content):
        yield f"[{place}]", item


def _by_lines(stream: BinaryIO) -> bool:
    """Whether one of the first lines is an object by itself; the very first may be torn."""
    lines = [stream.readline().removeprefix(MARK).strip() for _ in range(_LINES_TRIED)]
    return lines[0][:1] != b"[" and any(_is_object(line) for line in lines if line)


def _is_object(line: bytes) -> bool:
    try:
        return line[:1] == b"{" and bool(decode(line, msgspec.Raw))
    except DAMAGED:
        return False


def _lines(stream: BinaryIO, skip: Skip) -> Iterator[tuple[str, Any]]:
    stream.seek(0)
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(MARK).strip()
        if not text:
            continue
        try:
            value = decode(text)
        except DAMAGED:
            skip(f"line {number}", "it is no JSON, or was cut off")
            continue
        yield f"line {number}", value


def _decoded(file: Path, content: bytes) -> Any:
    try:
        return decode(content.removeprefix(MARK))
    except DAMAGED as error:
        raise StoreError(file, f"the JSON is cut off or damaged ({error}); import an undamaged copy") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, also one kept as JSON text; empty for anything else."""
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = decode(value)
        except DAMAGED:
            return {}
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A text, or a number as one; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A number that is not negative nor beyond all use, also one kept as text."""
    found = signed(value)
    return found if found is not None and found >= 0 else None


def signed(value: Any) -> float | None:
    """A number that is not beyond all use, also one kept as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= _LARGEST_NUMBER else None


def moment(value: Any) -> int | None:
    """A time given as RFC 3339 text, in ns since 1970; None for one that cannot be."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return usable(stored.utc_microseconds(value) * 1000)
    except (ValueError, OverflowError):
        return None


def usable(nanoseconds: int) -> int | None:
    """A time in ns since 1970, unless it stands for none or is beyond all use."""
    return nanoseconds if 0 < nanoseconds <= _LATEST else None


def size_of(value: Any) -> int | None:
    """The size of a result in bytes: of text as UTF-8, of other data as JSON; None where there is none."""
    if value is None:
        return None
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(msgspec.json.encode(value))
