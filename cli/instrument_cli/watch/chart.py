"""The widgets above the list: the six figures, and the chart of volume, failures and durations."""

from __future__ import annotations

from datetime import UTC, tzinfo

from rich.text import Text
from textual.widget import Widget

from instrument.analysis.overview import Overview
from instrument.analysis.results import Limits
from instrument_cli.watch.drawing import DARK, LABELS, LIGHT, chart, headline

ONE_ROW = 96
"""From so many columns on, the six figures stand beside each other; below, in two rows."""

_GAP = 2


class Figures(Widget):
    """Six figures with their change and how they went."""

    DEFAULT_CSS = "Figures { height: auto; padding: 0 1; }"

    def __init__(self, limits: Limits) -> None:
        super().__init__(id="figures")
        self.overview: Overview | None = None
        self._limits = limits

    def show(self, overview: Overview | None) -> None:
        """Show these figures."""
        self.overview = overview
        self.refresh()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """Three rows of text, or twice three with a blank between."""
        return 3 if width >= ONE_ROW else 7

    def render(self) -> Text:
        """The figures at this width."""
        if self.overview is None:
            return Text("", style="dim")
        figures, width = self.overview.figures, self.size.width
        beside = len(figures) if width >= ONE_ROW else len(figures) // 2
        each = (width - _GAP * (beside - 1)) // beside
        drawn = [headline(figure, each, self._limits).split("\n", allow_blank=True) for figure in figures]
        groups = [drawn[place : place + beside] for place in range(0, len(drawn), beside)]
        rows = [[Text(" " * _GAP).join(parts) for parts in zip(*group, strict=True)] for group in groups]
        return Text("\n\n").join(Text("\n").join(row) for row in rows)


class Chart(Widget):
    """Queries and failures over time, and the heat map of durations with median and p95."""

    DEFAULT_CSS = "Chart { margin: 1 0 0 0; text-wrap: nowrap; text-overflow: clip; }"

    def __init__(self, zone: tzinfo = UTC) -> None:
        super().__init__(id="chart")
        self.overview: Overview | None = None
        self._zone = zone

    @property
    def columns(self) -> int:
        """How many columns there is room for."""
        return max(self.size.width - LABELS - 1, 10)

    @property
    def cells(self) -> int:
        """How many rows of the heat map there is room for, two to a character."""
        return max(self.size.height - 4, 2) * 2

    def show(self, overview: Overview | None) -> None:
        """Show this chart."""
        self.overview = overview
        self.refresh()

    def render(self) -> Text:
        """The chart; one that was worked out for another size is cut until it is worked out anew."""
        if self.overview is None or self.size.height < 5:
            return Text()
        height = max(self.size.height, 4 + (len(self.overview.heat_map.queries) + 1) // 2)
        palette = DARK if self.app.current_theme.dark else LIGHT
        return chart(self.overview, height, palette, self._zone, shades=self.app.no_color)
