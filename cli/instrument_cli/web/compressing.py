"""Answers made smaller for browsers that can read that: pages and their files, never the live stream."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LEAST_BYTES = 1000
_LEVEL = 4
"""A page of 100 kB takes some 2 ms; a higher level saves little more."""


def compressed(request: Request, response: Response, small: bytes | None = None) -> Response:
    """The same answer, compressed where that is worth it and understood; `small` is its content compressed already."""
    response.headers.append("vary", "accept-encoding")
    body = bytes(response.body)
    if len(body) < LEAST_BYTES or "gzip" not in request.headers.get("accept-encoding", ""):
        return response
    response.body = smaller(body) if small is None else small
    response.headers["content-encoding"] = "gzip"
    response.headers["content-length"] = str(len(response.body))
    return response


def smaller(content: bytes) -> bytes:
    """Some content, compressed."""
    return gzip.compress(content, _LEVEL, mtime=0)
