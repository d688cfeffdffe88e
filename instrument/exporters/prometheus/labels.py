"""Label values out of names that anybody made up: whole, short, and only so many of each kind.

A model can invent a new tool name for every call. Each would make a dozen new series, and a page that exceeds
Prometheus's `sample_limit` takes the whole target down.
"""

from __future__ import annotations

from instrument.exporters.names import OTHER, UNKNOWN

LONGEST = 120
"""Characters of a label value; a longer name is cut."""


def cleaned(name: object) -> str:
    """A name as a label value: a text that has UTF-8, not empty, not too long."""
    if name is None or name == "":
        return UNKNOWN
    text = str(name).encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


class LabelValues(dict[str | None, str]):
    """The label values of one kind of name, by the name: the first `most` of them as they are, then `OTHER`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: set[str] = set()

    def __missing__(self, name: str | None) -> str:
        text = cleaned(name)
        if text not in self._used and len(self._used) >= self._most:
            return OTHER
        self._used.add(text)
        if len(self) < 2 * self._most:
            self[name] = text
        return text

    def use(self, text: str) -> None:
        """Take a value that was in use before, whatever the limit says now."""
        if text and text != OTHER:
            self._used.add(text)
