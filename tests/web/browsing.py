"""Chromium for the tests of pages: one for all of them, that notes what it said and whom it asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A running Chromium; `said` are the console's errors and `asked` the addresses of all requests."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self.said: list[str] = []
        self.asked: list[str] = []

    def page(self, *, expected: Sequence[str] = (), **context: Any) -> Any:
        """Open a page of its own; console errors that have one of the texts `expected` are not noted."""
        said, asked = self.said, self.asked = [], []  # an earlier page, still open, notes for itself
        page = self._chromium.new_context(**context).new_page()

        def note(text: str) -> None:
            if not any(each in text for each in expected):
                said.append(text)

        page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        return page
