"""The application in the terminal: what stands where, and what the keys do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import tzinfo
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from instrument.analysis.filters import Filter, parsed
from instrument.analysis.matching import check
from instrument.analysis.periods import Period
from instrument.analysis.results import Limits
from instrument.analysis.wording import hours, several, zone_name
from instrument.errors import InstrumentError, UsageError
from instrument.records import QueryRecord
from instrument_cli.rendering.text import plain
from instrument_cli.watch import feed as feeds
from instrument_cli.watch.chart import Chart, Figures
from instrument_cli.watch.feed import Asked, Feed, View
from instrument_cli.watch.one_query import OneQuery
from instrument_cli.watch.query_list import Heads, QueryList
from instrument_cli.watch.rows import Row, newest

_HINT = "agent=crewai   duration>5s   tenant=north   or words of the input"


_OF_THE_LIST = ("ask", "failed_only", "pause")


class Came(Message):
    """Something came from the feed."""

    def __init__(self, event: feeds.Event) -> None:
        super().__init__()
        self.event = event


class Loaded(Message):
    """A query was read, or why it could not be."""

    def __init__(self, row: Row, found: QueryRecord | str) -> None:
        super().__init__()
        self.row = row
        self.found = found


class Watch(App[None]):
    """The live view of one store."""

    TITLE = "metrics watch"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #status { height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis; }
    #figures { margin: 1 0 0 0; }
    #chart { height: 14; }
    Heads { margin: 1 0 0 0; }
    #ask { display: none; height: 1; border: none; padding: 0 1; background: $surface; }
    #ask.asked { display: block; }
    .low #chart { height: 9; }
    .lower #chart { display: none; }
    .lower Heads { margin: 0; }
    .lowest #figures { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "Filter", key_display="/"),
        Binding("f,F", "failed_only", "Failed only", key_display="F"),
        Binding("p,P,space", "pause", "Pause", key_display="P"),
        Binding("t,T", "other_theme", "Light or dark", key_display="T"),
        Binding("q,Q,ctrl+c", "quit", "Quit", key_display="Q"),
    ]

    def __init__(self, asked: Asked, view: View, limits: Limits, zone: tzinfo) -> None:
        super().__init__()
        self.asked = asked
        self.given = view.filters
        self.view = view
        self.limits = limits
        self.zone = zone
        self.paused = False
        self.trouble = ""
        self.waiting: list[Row] = []
        self.held: feeds.Figures | None = None
        self.listed: list[Row] = []
        self.figures: feeds.Figures | None = None
        self._feed = Feed(asked, view, self._deliver)

    def compose(self) -> ComposeResult:
        """The status, six figures, the chart, the list, the line to type a filter into, the keys."""
        yield Static(id="status")
        yield Figures(self.limits)
        yield Chart(self.zone)
        yield Heads()
        yield QueryList(self.limits, self.zone)
        yield Input(id="ask", placeholder=_HINT, compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to follow the store."""
        self.base.query_one(QueryList).focus()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.view = self._cut(self.view)
        self._feed.look(self.view)
        self._show_status()
        self._feed.start()

    def on_unmount(self) -> None:
        """Let go of the store."""
        self._feed.stop()

    @property
    def base(self) -> Screen[object]:
        """The screen with the list, whatever lies over it."""
        return self.screen_stack[0]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys of the list out while one query is shown."""
        return action not in _OF_THE_LIST or not isinstance(self.screen, OneQuery)

    def _deliver(self, event: feeds.Event) -> None:
        self.post_message(Came(event))  # safe from the feed's threads

    # -- what comes --------------------------------------------------------------------------------------------------

    def on_came(self, message: Came) -> None:
        """Show what came; new queries wait while the view is paused."""
        event = message.event
        if isinstance(event, feeds.Trouble):
            self.trouble = event.message
        elif not _same_queries(event.view, self.view):
            return  # of a view that is no longer looked at
        elif isinstance(event, feeds.Fresh):
            if self.paused:
                self.waiting = newest(event.rows, self.waiting)
            else:
                self._list(newest(event.rows, self.listed))
        else:
            self._take(event)
        self._show_status()

    def _take(self, event: feeds.Figures) -> None:
        self.trouble = ""
        if self.paused and self.figures is not None and _same_queries(self.figures.view, self.view):
            self.held = event
            return
        self.figures = event
        self._list(event.rows)
        self.base.query_one(Figures).show(event.overview)
        self.base.query_one(Chart).show(event.overview)

    def _list(self, rows: list[Row]) -> None:
        self.listed = rows
        self.base.query_one(QueryList).show(rows)

    def _show_status(self) -> None:
        words = Text()
        words.append("metrics watch", "bold")
        words.append(f"  {_covered(self.asked.period(), self.zone)}")
        for each in self.view.filters:
            words.append(f"  {plain(str(each))}", "cyan")
        if self.view.failed_only:
            words.append("  failed only", "red")
        words.append("  ")
        words.append(*self._state())
        words.append(f"  {plain(str(self.asked.directory))}", "dim")
        self.base.query_one("#status", Static).update(words)

    def _state(self) -> tuple[str, str]:
        if self.trouble:
            return plain(self.trouble), "red"
        if self.paused:
            return f"❚❚ paused, {several(len(self.waiting), 'new query', 'new queries')}", "yellow"
        if self.figures is None:
            return "reading …", "dim"
        return ("● live", "green") if self.figures.overview else ("waiting for the first record", "yellow")

    # -- another view ------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Leave out what there is no room for, and cut the chart as there is room."""
        heights = (("low", 34), ("lower", 24), ("lowest", 14))
        for name, rows in heights:
            self.base.set_class(self.size.height < rows, name)
        self.call_after_refresh(self._cut_anew)

    def _cut_anew(self) -> None:
        view = self._cut(self.view)
        if view != self.view:
            self.view = view
            self._feed.look(view)

    def _cut(self, view: View) -> View:
        chart = self.base.query_one(Chart)
        return view._replace(columns=chart.columns, rows=chart.cells)

    def _look(self, view: View) -> None:
        """Show other queries: their figures and their list."""
        self.view = view
        self.waiting, self.held = [], None
        self._list([row for row in self.listed if row.failed] if view.failed_only else [])
        self._show_status()
        self._feed.look(view)

    def action_failed_only(self) -> None:
        """List failed queries only, or all again."""
        self._look(self.view._replace(failed_only=not self.view.failed_only))

    def action_pause(self) -> None:
        """Hold everything still, or go on with what came meanwhile."""
        self.paused = not self.paused
        if not self.paused:
            waiting, held, self.waiting, self.held = self.waiting, self.held, [], None
            if held is not None:
                self._take(held)
            self._list(newest(waiting, self.listed))
        self._show_status()

    def action_other_theme(self) -> None:
        """Change between a dark and a light ground."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"
        self.base.query_one(Chart).refresh()

    def action_ask(self) -> None:
        """Type a filter."""
        ask = self.base.query_one("#ask", Input)
        ask.value = _written(self.view.filters[len(self.given) :])
        ask.add_class("asked")
        ask.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Filter by what was typed; an empty line shows all again."""
        try:
            filters = (*self.given, *understood(message.value))
            check(filters)
        except UsageError as error:
            self.trouble = str(error).removeprefix("--where ")
            self._show_status()
            return
        self.trouble = ""
        self._leave_input()
        self._look(self.view._replace(filters=filters))

    def on_key(self, event: object) -> None:
        """Leave the line for filters as it was at Escape."""
        if getattr(event, "key", "") == "escape" and self.base.query_one("#ask", Input).has_class("asked"):
            self.trouble = ""
            self._leave_input()
            self._show_status()

    def _leave_input(self) -> None:
        self.base.query_one("#ask", Input).remove_class("asked")
        self.base.query_one(QueryList).focus()

    # -- one query ---------------------------------------------------------------------------------------------------

    def on_query_list_opened(self, message: QueryList.Opened) -> None:
        """Show a query whole."""
        self.push_screen(OneQuery(self.limits, self.zone))
        self._load(message.row)

    def action_step(self, by: int) -> None:
        """Go on to the next or previous query of the list."""
        queries = self.base.query_one(QueryList)
        row = queries.choose(queries.cursor + by)
        if row is not None:
            self._load(row)

    def _load(self, row: Row) -> None:
        self.base.query_one(QueryList).chosen = row.query_id
        self.run_worker(lambda: self._read(row), thread=True, exclusive=True, exit_on_error=False)

    def _read(self, row: Row) -> None:
        try:
            found: QueryRecord | str = self._feed.query(row)
        except InstrumentError as error:
            found = str(error)
        self.post_message(Loaded(row, found))

    def on_loaded(self, message: Loaded) -> None:
        """Show the query that was read, if it still is the one that is looked at."""
        chosen = self.base.query_one(QueryList).chosen
        if isinstance(self.screen, OneQuery) and chosen == message.row.query_id:
            self.screen.show(message.found)


def understood(text: str) -> tuple[Filter, ...]:
    """What was typed as filters: one, several with blanks between, or words that the input must contain."""
    if not text.strip():
        return ()
    try:
        return tuple(filter for word in shlex.split(text) for filter in parsed(word))
    except (UsageError, ValueError):
        pass
    try:
        return parsed(text)
    except UsageError:
        return (Filter("input", "~", text.strip()),)


def _written(filters: Iterable[Filter]) -> str:
    """Filters as they can be typed again."""
    texts = [str(each) for each in filters]
    return texts[0] if len(texts) == 1 else " ".join(shlex.quote(text) for text in texts)


def _same_queries(one: View, other: View) -> bool:
    return (one.filters, one.failed_only) == (other.filters, other.failed_only)


def _covered(period: Period, zone: tzinfo) -> str:
    """The period in words, with the zone that times are shown in."""
    return f"last {hours(period.hours)}, times in {zone_name(period.until.astimezone(zone))}"
