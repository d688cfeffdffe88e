"""Texts that others wrote (names, inputs, error messages), made safe to show on a line."""

from __future__ import annotations

import re
import unicodedata

_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# C0 and C1 controls, DEL, surrogates, and whatever is invisible or turns the direction of what follows it. The two
# joiners stay: Persian words and composed emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_UNSAFE_IN_JSON = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b\x8e\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf"
)


def plain(text: str) -> str:
    """Neutralise what a terminal would obey rather than show; line breaks become a space."""
    return _UNSAFE.sub(_visible, _BREAKS.sub(" ", text))


def shortened(text: str, width: int) -> str:
    """Cut a text to `width` columns, with an ellipsis where something is missing."""
    from rich.cells import cell_len, set_cell_size  # here: what is for programs needs no width

    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def harmless_json(encoded: bytes) -> bytes:
    """Escape within JSON what JSON allows raw but a terminal may obey; it reads back as the same value."""
    return _UNSAFE_IN_JSON.sub(lambda match: b"\\u%04x" % ord(match.group().decode()), encoded)


def harmless_lines(encoded: bytes) -> bytes:
    """Neutralise lines of text as `plain` does, but keep their ends."""
    return "\n".join(plain(each) for each in encoded.decode(errors="replace").split("\n")).encode()


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the pictures of the control characters, "␛" for escape
    if unicodedata.category(character) == "Cs":
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
