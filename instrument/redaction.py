"""What may be kept of a text: captured whole, hashed or not at all; shortened; blacked out by patterns or a function.

It is applied before anything is stored, to inputs, error messages and attributes alike. A rule that fails keeps
nothing of the text.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

MASK = "[redacted]"

# Every pattern is linear in the text: what may repeat is bounded, or cannot begin in the middle of itself.
PATTERNS = {
    "email": r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
    "phone": r"(?<![\w.:/-])(?:\+|00)[1-9]\d{0,2}(?:[ ./-]?\(?\d{1,5}\)?){2,5}(?![\w-])"
    r"|(?<![\w.:/-])\(\d{2,5}\)(?:[ ./-]?\d{2,5}){2,4}(?![\w-])"
    r"|(?<![\w.:/-])0\d{1,4}(?:[ ./-]?\d{2,8}){1,4}(?![\w-])"
    r"|(?<![\w.:/-])\d{3}[ .-]\d{3}[ .-]\d{4}(?![\w-])"
    r"|(?<![\w.:/-])\d{5}[ -]\d{5}(?![\w-])"
    r"|(?<![\w.:/-])[6-9]\d{9}(?![\w-])",
    "card": r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])",
    "token": r"(?<![\w-])(?:(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}|AIza[\w-]{30,}|hf_\w{20,}|npm_\w{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{10,}(?:\.[\w-]*){0,4})"
    r"|(?i:\bbearer|\bbasic) +[\w.~+/=-]{12,}"
    r"|(?i:(?<![a-z])(?:api[_-]?key|access[_-]?token|auth[_-]?token|secret(?:[_-]?key)?|passw(?:or)?d|pwd)"
    r"[\"']? ?[:=] ?[\"']?)[^\s\"',;&]{4,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]{0,8000}?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
}
"""Patterns that `redact` knows by name; `card` also asks for a right check digit."""

LONGEST_SECRET = 1000
"""Characters looked at beyond those that are kept, so that a secret across the cut is still seen as one."""


Redactor = Callable[[str, int], str]
"""Takes a text and how many characters of it are wanted, and gives those without their secrets."""


def compiled(rules: tuple[str, ...]) -> Redactor:
    """The function that blacks out what `rules` (names of patterns, or regular expressions) find.

    Raises ValueError that names a rule which is not one.
    """
    import re

    patterns = []
    for rule in rules:
        try:
            patterns.append((re.compile(PATTERNS.get(rule, rule)), passes_luhn if rule == "card" else bool))
        except re.error as error:
            raise ValueError(f"{rule!r} is neither a known pattern nor a regular expression: {error}") from None

    def redact(text: str, most: int) -> str:
        seen = text[: most + LONGEST_SECRET]
        found = [one for pattern, counts in patterns for one in pattern.finditer(seen) if counts(one[0])]
        return _masked(text[:most], sorted(one.span() for one in found))

    return redact


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


def passes_luhn(number: str) -> bool:
    """Whether the digits in a text end in the right check digit (ISO/IEC 7812-1, annex B)."""
    digits = [int(sign) for sign in reversed(number) if sign.isdecimal()]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


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

    A value that cannot be described gives its type's name in angle brackets.
    """
    try:
        if isinstance(value, str):
            return str.__str__(value)
        if value is None:
            return ""
        if isinstance(value, (dict, list, tuple)):
            import msgspec

            return msgspec.json.encode(value, enc_hook=str).decode()
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - the application's own __str__ may raise anything
        return f"<{type(value).__name__}>"
