"""What may be kept of a text: captured whole, hashed or not at all; shortened; blacked out by patterns or a function.

It is applied before anything is stored, to inputs, error messages and attributes alike. A rule that fails keeps
nothing of the text.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

from instrument.redaction.bounds import as_text, error_text

MASK = "[redacted]"

LONGEST_SECRET = 1000
"""Characters looked at beyond those that are kept, so that a secret across the cut is still seen as one."""


Redactor = Callable[[str, int], str]
"""Takes a text and how many characters of it are wanted, and gives those without their secrets."""


def compiled(rules: tuple[str, ...]) -> Redactor:
    """The function that blacks out what `rules` (names of known ones, or regular expressions) find.

    Of a regular expression with a group named `secret` that group alone. Raises ValueError that names a rule which is
    none.
    """
    from instrument.redaction.patterns import KNOWN

    finders = [KNOWN.get(rule) or _finder(rule) for rule in rules]

    def redact(text: str, most: int) -> str:
        seen = text[: most + LONGEST_SECRET]
        return _masked(text[:most], sorted(span for find in finders for span in find(seen)))

    return redact


def _finder(rule: str) -> Callable[[str], Iterator[tuple[int, int]]]:
    """What finds the matches of a regular expression."""
    import re

    try:
        pattern = re.compile(rule)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{rule!r} is neither a known pattern nor a regular expression: {error}") from None
    group = "secret" if "secret" in pattern.groupindex else 0
    return lambda text: (found.span(group) for found in pattern.finditer(text) if found[group])


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with a mask for each span that begins in it; spans that overlap are one."""
    pieces = []
    end = 0
    for start, stop in spans:
        if start >= len(text):
            break
        if start >= end:
            pieces += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])


def hashed(text: str, key: str) -> str:
    """A keyed hash of a text (BLAKE2b, 128 bits): equal inputs stay recognisable, nothing else does.

    Without a key it is one of this process and its forks, so that nobody can try likely inputs against a store.
    """
    import hashlib

    secret = hashlib.blake2b((key or _process_key()).encode("utf-8", "surrogatepass")).digest()
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=secret)
    return f"hash:{digest.hexdigest()}"


@functools.cache
def _process_key() -> str:
    return os.urandom(32).hex()


def described(value: Any) -> str:
    """A value as text: text as it is, None as nothing, plain data as JSON, anything else as `str` has it.

    No more than a bounded part of it is looked at, however large it is (`bounds.py`); a text is not copied. A value
    that cannot be described gives its type's name in angle brackets.
    """
    kind = type(value)
    try:
        if issubclass(kind, str):
            return str.__str__(value)
        if value is None:
            return ""
        return error_text(value) if issubclass(kind, BaseException) else as_text(value)
    except Exception:  # noqa: BLE001 - the application's own __str__ may raise anything
        return f"<{kind.__name__}>"
