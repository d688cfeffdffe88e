"""One query whole, over the list: its facts and its calls as a waterfall."""

from __future__ import annotations

from datetime import tzinfo
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from instrument.analysis.results import Limits
from instrument.records import QueryRecord
from instrument_cli.rendering.page import Page, coloured_text
from instrument_cli.rendering.query import draw_query
from instrument_cli.rendering.table import paragraph


class OneQuery(Screen[None]):
    """The query; the application goes on to the next or previous one of the list."""

    DEFAULT_CSS = """
    OneQuery VerticalScroll { padding: 1 0; }
    OneQuery #whole { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: clip; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,J", "app.step(1)", "Next", key_display="J"),
        Binding("k,K", "app.step(-1)", "Previous", key_display="K"),
        Binding("escape,q,enter", "dismiss", "Back", key_display="Esc"),
    ]

    def __init__(self, limits: Limits, zone: tzinfo) -> None:
        super().__init__()
        self.found: QueryRecord | str = "…"
        self._limits = limits
        self._zone = zone

    def compose(self) -> ComposeResult:
        """The text, which scrolls, and the keys."""
        with VerticalScroll():
            yield Static(id="whole")
        yield Footer()

    def show(self, found: QueryRecord | str) -> None:
        """Show a query, or why there is none."""
        self.found = found
        self._draw()

    def on_resize(self) -> None:
        """Draw it anew at the new width."""
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        width = self.size.width - 2
        if isinstance(self.found, str):
            page = Page(max(width, 20), True, True, self._zone)
            text = Text("\n").join(coloured_text(each) for each in paragraph(self.found, page, style="quiet"))
        else:
            lines = draw_query(self.found, self._limits, Page(max(width, 20), True, True, self._zone))
            text = Text("\n").join(coloured_text(each.cut(width)) for each in lines)
        self.query_one("#whole", Static).update(text)
