"""Ids of traces and spans, derived from the records' own, so that what is sent again is known.

A query's trace has the query's id; the trace of a query inside another has the id of that one, so that both are one
tree. (Of a query inside that again only the nearest one around it is known: it begins a trace of its own.) A query's
span has the lower half of its id; the span of the call in its n-th place adds n times a constant to that.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b

from instrument.rows.stored import QueryRow, derived_number

_STEP = 0x9E37_79B9_7F4A_7C15
"""Odd, and far from any small multiple of itself: the serials of a process's queries count up by one."""

_LOW = (1 << 64) - 1
_eight_bytes = struct.Struct(">Q").pack


@lru_cache(maxsize=64)
def trace_of(query_id: str) -> bytes:
    """The 16 bytes of a query's id; a digest where it is no UUID."""
    digits = query_id.replace("-", "")
    if len(digits) == 32:
        try:
            found = bytes.fromhex(digits)
        except ValueError:
            found = b""
        if any(found[:8]) and any(found[8:]):
            return found
    return blake2b(query_id.encode("utf-8", "replace"), digest_size=16).digest()


def trace_of_query(row: QueryRow) -> bytes:
    """The same of a row; one that keeps no id has one that is a UUID."""
    return trace_of(row.query_id) if row.query_id else derived_number(row.started, row.serial).to_bytes(16, "big")


def query_span(trace: bytes) -> bytes:
    """The id of the span of the query whose own id a trace has."""
    return trace[8:]


def call_span(span: bytes, place: int) -> bytes:
    """The id of the call in that place of the query with this span."""
    number = int.from_bytes(span, "big") + (place + 1) * _STEP & _LOW
    return _eight_bytes(number or 1)


def call_spans(span: bytes, calls: int) -> list[bytes]:
    """The same for the first so many places."""
    number, found = int.from_bytes(span, "big"), []
    for _ in range(calls):
        number = number + _STEP & _LOW
        found.append(_eight_bytes(number or 1))
    return found


def standalone(*parts: object) -> bytes:
    """The 16 bytes of a trace for a record that has no id, from what it says."""
    return blake2b("\0".join(map(str, parts)).encode("utf-8", "replace"), digest_size=16).digest()
