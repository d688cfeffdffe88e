"""Other work between two queries, as a server has it: what recording needs is no longer in the core's caches."""

from __future__ import annotations

import ast
import difflib
import json
import re

WALKED_BYTES = 4 << 20
"""Several times a core's second-level cache (0.5 to 2 MB)."""

_BUFFER = bytearray(WALKED_BYTES)
_SOURCE = "def f(a, *b, c=1, **d):\n    return [x ** 2 for x in b if x > a] + list(d) + [c]\n" * 2
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
_PATTERN = re.compile(r"(\w+)\s+(\w+)")


def other_work() -> None:
    """Walk a buffer larger than the cache, and run code that has nothing to do with queries (about 1 ms)."""
    for offset in range(0, WALKED_BYTES, 1 << 18):
        _BUFFER[offset : offset + (1 << 18) : 64] = bytes(1 << 12)
    ast.parse(_SOURCE)
    difflib.get_close_matches("quack", _WORDS)
    _PATTERN.sub(r"\2 \1", " ".join(_WORDS))
    sorted(json.loads(json.dumps({word: [len(word), word] for word in _WORDS})))
