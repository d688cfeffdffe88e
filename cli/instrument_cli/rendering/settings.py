"""Draw the settings: each value, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import Column, table
from instrument_cli.rendering.text import plain


def draw_settings(values: Mapping[str, object], sources: Mapping[str, str], page: Page) -> list[Line]:
    """A line a setting; what differs from the default stands out."""
    shown = {name: "–" if value in ("", (), []) else plain(_text(value)) for name, value in values.items()}
    longest = max(map(len, shown.values()))
    width = min(longest, page.width - 48) if page.bounded else longest
    rows = [
        [
            line(name),
            line(shown[name], "strong" if sources[name] != "default" else "").cut(width),
            line(plain(sources[name]), "quiet" if sources[name] == "default" else "strong"),
        ]
        for name in values
    ]
    return table("Setting", [Column("value", width, right=False), Column("from", 9, right=False)], rows, page)


def _text(value: object) -> str:
    return (
        value
        if isinstance(value, str)
        else ", ".join(value)
        if isinstance(value, tuple)
        else msgspec.json.encode(value).decode()
    )
