"""The newest queries, a line each, with a cursor that stays on its query while others come."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from instrument.analysis.results import Limits
from instrument.analysis.wording import count, duration
from instrument_cli.rendering.judging import speed
from instrument_cli.rendering.line import Line, joined, line
from instrument_cli.rendering.page import coloured_text
from instrument_cli.rendering.queries import STATUS_STYLES
from instrument_cli.rendering.text import plain, shortened
from instrument_cli.watch.rows import Row

NARROW = 64
"""Below so many columns, agents and numbers of calls are left out."""


class QueryList(ScrollView, can_focus=True):
    """The list; it posts `Opened` when a query is to be shown whole."""

    DEFAULT_CSS = """
    QueryList { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    QueryList > .query-list--cursor { background: $primary 40%; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"query-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,J,down", "move(1)", "Next", key_display="J"),
        Binding("k,K,up", "move(-1)", "Previous", key_display="K"),
        Binding("enter", "open", "Open"),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home,g", "first", show=False),
        Binding("end,G", "last", show=False),
    ]

    class Opened(Message):
        """A query is to be shown whole."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    def __init__(self, limits: Limits, zone: tzinfo = UTC) -> None:
        super().__init__(id="queries")
        self.rows: list[Row] = []
        self.chosen: str | None = None
        self._limits = limits
        self._zone = zone

    @property
    def cursor(self) -> int:
        """The place of the query that the cursor is on; the newest until it was moved."""
        return next((place for place, row in enumerate(self.rows) if row.query_id == self.chosen), 0)

    def show(self, rows: list[Row]) -> None:
        """Show these queries; what was in sight, and the query under the cursor, stay where they are."""
        top = round(self.scroll_y)
        seen = self.rows[top].query_id if 0 < top < len(self.rows) else None
        self.rows = rows
        if self.chosen is not None and all(row.query_id != self.chosen for row in rows):
            self.chosen = None
        self.virtual_size = Size(self.size.width, len(rows))
        place = next((place for place, row in enumerate(rows) if row.query_id == seen), None)
        if place is not None and place != top:
            self.scroll_to(y=place, animate=False, force=True)
        self.refresh()

    def choose(self, place: int) -> Row | None:
        """Put the cursor on a place, in sight; returns the query there. At the top it stays with the newest."""
        if not self.rows:
            return None
        place = min(max(place, 0), len(self.rows) - 1)
        self.chosen = self.rows[place].query_id if place else None
        height = max(self.scrollable_content_region.height, 1)
        top = round(self.scroll_target_y)
        if not top <= place < top + height:
            self.scroll_to(y=place if place < top else place - height + 1, animate=False, force=True)
        self.refresh()
        return self.rows[place]

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.choose(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self.choose(self.cursor + by * max(self.scrollable_content_region.height - 1, 1))

    def action_first(self) -> None:
        """Go to the newest query, and stay with the newest."""
        self.choose(0)

    def action_last(self) -> None:
        """Go to the oldest query of the list."""
        self.choose(len(self.rows) - 1)

    def action_open(self) -> None:
        """Show the query under the cursor whole."""
        if self.rows:
            self.post_message(self.Opened(self.rows[self.cursor]))

    def on_click(self, event: object) -> None:
        """Choose the query that was clicked; a second click opens it."""
        place = round(self.scroll_y) + int(getattr(event, "y", 0))
        if place < len(self.rows):
            again = place == self.cursor
            self.choose(place)
            if again:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """One line of what is in sight."""
        width, place = self.scrollable_content_region.width, round(self.scroll_y) + y
        base = self.rich_style
        if not self.rows:
            drawn = line("  No query yet; they appear here as they end." if y == 1 else "", "quiet")
        elif place < len(self.rows):
            drawn = drawn_row(self.rows[place], width, self._limits, self._zone)
            if place == self.cursor and self.has_focus:
                base += self.get_component_rich_style("query-list--cursor")
        else:
            drawn = line()
        segments = list(coloured_text(drawn.cut(width)).render(self.app.console))
        strip = Strip(Segment(text, style) for text, style, control in segments if text and not control)
        return strip.adjust_cell_length(width).apply_style(base)


def drawn_row(row: Row, width: int, limits: Limits, zone: tzinfo) -> Line:
    """A query on one line: how it ended, when, who, how long, how many calls, what was asked, what went wrong."""
    style = STATUS_STYLES.get(row.status, "")
    sign = "✗" if row.failed else "·" if row.status == "cancelled" else "✓"
    wide = width >= NARROW
    facts = [
        line(f" {sign}", style),
        line(f"{row.ended.astimezone(zone):%H:%M:%S}", "quiet"),
        *([line(shortened(plain(row.agent), 16)).padded(16)] if wide else []),
        line(duration(row.duration_ms).rjust(8), speed(row.duration_ms, limits)),
        *([line(count(row.calls).rjust(5), "quiet")] if wide else []),
    ]
    begun = joined(facts, "  ")
    room = max(width - begun.width - 3, 0)
    wrong = line(plain(row.error) if row.error else "" if row.status == "ok" else row.status, style)
    asked = line(plain(row.user_input))
    if wrong.width:
        kept = min(wrong.width, max(room // 2, room - asked.width - 2))
        asked = asked.cut(max(room - kept - 2, 0)) + line("  ") + wrong.cut(kept)
    return joined([begun, asked], "  ")


class Heads(Static):
    """The heads of the list's columns, over it."""

    DEFAULT_CSS = """
    Heads { height: 1; color: $text-muted; text-style: bold; background: $surface; }
    """

    def render(self) -> str:
        """The heads at this width."""
        if self.size.width >= NARROW:
            return "    Ended     Agent                 Took  Calls  Input"
        return "    Ended         Took  Input"
