"""Records out of the lines of a segment that may still grow, a block at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Generic

import msgspec
from msgspec import Struct, field

from instrument.rows import columns
from instrument.rows.decoding import UnreadableError, decoded, is_too_deep
from instrument.rows.stored import LONGEST_LINE, CallRow, QueryRow
from instrument.store import stored_records
from instrument.store.stored_records import OtherRow, Shape, T
from instrument.store.tables import connect

_BLOCK = 1 << 20
_MOST = 1e15
"""What a record weighs less than, in every reader."""


class _Line(QueryRow, gc=False):
    """A line of any kind: all have a start, and what a query has beside it is looked at in a query alone."""

    serial: int = 0
    agent: str | None = None
    user_input: Any = None
    name: str = ""
    calls: list[CallRow] = field(default_factory=list[CallRow])
    type: str | None = None


_lines = msgspec.json.Decoder(_Line)
_others: msgspec.json.Decoder[OtherRow] = msgspec.json.Decoder(OtherRow)


class Block(Struct, Generic[T]):
    """Records of one stretch of a segment, and behind which byte each one ends.

    `end` is where the stretch ends, `skipped` how many of its lines were no records.
    """

    records: list[T] = field(default_factory=list)
    ends: list[int] = field(default_factory=list[int])
    end: int = 0
    skipped: int = 0


def blocks(segment: Path, start: int, shape: Shape[T]) -> Iterator[Block[T]]:
    """What a segment holds from a byte on in that shape, until its end as it is when that is reached.

    A last line without its end is left for later, unless it is whole. Raises OSError when the file cannot be read.
    """
    descriptor = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = _BLOCK
        while content := os.pread(descriptor, size, start):
            length = content.rfind(b"\n") + 1
            if not length and len(content) == size and size <= LONGEST_LINE:
                size *= 2  # a line longer than the block
                continue
            if not length and not _is_whole(content):
                return
            block = _block(content[:length] if length else content, start, shape)
            start, size = block.end, _BLOCK
            yield block
    finally:
        os.close(descriptor)


def end_of_lines(segment: Path) -> int:
    """Behind which byte of a segment its last whole line ends. Raises OSError when the file cannot be read."""
    with open(segment, "rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            start = max(end - _BLOCK, 0)
            stream.seek(start)
            if place := stream.read(end - start).rfind(b"\n") + 1:
                return start + place
            end = start
    return 0


def _is_whole(line: bytes) -> bool:
    """Whether a line without its end is a record all the same; or too long to be one ever, and so to be passed over."""
    try:
        return len(line) > LONGEST_LINE or decoded(line, _lines).started >= 0
    except UnreadableError:
        return False


_TEXT, _WHOLE = (str, type(None)), (int, type(None))
"""Made once: `str | None` makes a new type for each row, and half of what `_is_usable` costs."""


def _block(content: bytes, start: int, shape: Shape[T]) -> Block[T]:
    block: Block[T] = Block(end=start + len(content))
    odd: dict[int, bytes] = {}
    records, ends, decode, of_query, end = block.records, block.ends, _lines.decode, shape.query, start
    for line in content.removesuffix(b"\n").split(b"\n"):
        end += len(line) + 1
        try:
            row = decode(line)
            if row.type is None and _is_usable(row):
                if row.attributes is not None and is_too_deep(line):
                    row.attributes = None
                record = of_query(row)
            elif row.type is not None and 0 <= row.started <= columns.LAST_T:
                record = shape.other(_others.decode(line))
            else:
                odd[end] = line
                continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if line and not line.isspace():
                odd[end] = line
            continue
        records.append(record)
        ends.append(end)
    if odd:
        _add_odd(block, odd, shape)
    if ends and ends[-1] > block.end:
        ends[-1] = block.end  # the last line lacks its end
    return block


def _is_usable(row: QueryRow) -> bool:
    """Whether a query can be shown as it stands; readers of tables say what becomes of any other."""
    return (
        0 <= row.started <= columns.LAST_T
        and 0 <= row.duration <= columns.LONGEST_D
        and 0 < row.weight < _MOST
        and isinstance(row.user_input, _TEXT)
        and isinstance(row.result_size, _WHOLE)
        and (row.selection is None or 0 <= row.selection.time <= columns.LAST_T)
    )


def _add_odd(block: Block[T], odd: dict[int, bytes], shape: Shape[T]) -> None:
    """Add what reports make of lines that another program wrote; count those that are no records."""
    found = _read_as_reports_do(odd, shape)
    block.skipped += sum(end not in found for end in odd)
    together = dict(zip(block.ends, block.records, strict=True))
    together |= {end: record for end, record in found.items() if record is not None}
    block.ends = sorted(together)
    block.records = [together[end] for end in block.ends]


def _read_as_reports_do(odd: dict[int, bytes], shape: Shape[T]) -> dict[int, T | None]:
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for end, line in odd.items():
            if len(line) < LONGEST_LINE:
                file.write(columns.placed(line, end) + b"\n")
        file.flush()
        with closing(connect()) as connection:
            lines = columns.read_segments([file.name], {columns.PLACE: "BIGINT"}, columns.LONGEST_PLACED)
            source = f"(SELECT *, '' AS {columns.SEGMENT} FROM {lines} WHERE {columns.USABLE})"
            return {end: record for _, end, record in stored_records.placed_records(connection, source, shape)}
