"""What may be kept of a text: captured whole, hashed or not at all; shortened; blacked out by patterns or a function.

It is applied before anything is stored, to inputs, error messages and attributes alike. A rule that fails keeps
nothing of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from instrument.config import Config
from instrument.errors import ConfigError

MASK = "[redacted]"

PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "phone": r"(?<![\w.-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?\d{2,5}(?:[ .-]?\d{2,5}){2,4}(?![\w-])",
    "card": r"(?<![\w-])(?:\d[ -]?){12,18}\d(?![\w-])",
    "token": r"(?:(?:sk|pk|rk|ghp|gho|xox[abp]|glpat|AKIA)[-_]?[A-Za-z0-9_-]{12,}|eyJ[\w-]+\.[\w-]+\.[\w-]*|"
    r"(?i:bearer) +[A-Za-z0-9._~+/=-]{8,})",
}
"""Patterns that `redact` knows by name."""

Redactor = Callable[[str], str]


def redactor(config: Config) -> Redactor | None:
    """The function that `redact` asks for, or None when nothing is to be blacked out.

    Raises ConfigError for a pattern that is not one.
    """
    if callable(config.redact):
        return config.redact
    if not config.redact:
        return None
    for rule in config.redact:
        try:
            re.compile(PATTERNS.get(rule, rule))
        except re.error as error:
            raise ConfigError("redact", "the settings", f"{rule!r} is not a regular expression: {error}") from None
    pattern = re.compile("|".join(f"(?:{PATTERNS.get(rule, rule)})" for rule in config.redact))
    return lambda text: pattern.sub(MASK, text)


def hashed(text: str, key: str) -> str:
    """A keyed hash of a text (BLAKE2b, 128 bits): equal inputs stay recognisable, nothing else does."""
    import hashlib

    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=key.encode()[:64])
    return f"hash:{digest.hexdigest()}"


def described(value: Any) -> str:
    """A value as text: text as it is, None as nothing, plain data as JSON, anything else as `str` has it.

    A value that cannot be described gives its type's name in angle brackets.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return ""
    try:
        if isinstance(value, (dict, list, tuple)):
            import msgspec

            return msgspec.json.encode(value, enc_hook=str).decode()
        return str(value)
    except Exception:  # noqa: BLE001 - the application's own __str__ may raise anything
        return f"<{type(value).__name__}>"
