"""Draw a list of queries, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo

from rich.cells import cell_len

from instrument.analysis.results import Limits, QueryLine
from instrument.analysis.search import SHORTEST_ID
from instrument.analysis.wording import clock, duration, moment, several
from instrument_cli.rendering.follow_up import of_store
from instrument_cli.rendering.judging import speed
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.table import paragraph
from instrument_cli.rendering.text import plain, shortened

STATUS_STYLES: dict[str, Style] = {
    "ok": "good",
    "closed": "good",
    "cancelled": "slow",
    "abandoned": "slow",
    "error": "bad",
}

_NARROW = 64
"""On a page of fewer columns a query takes several lines."""

ORDERS = {
    "time": "the newest first",
    "duration": "the longest first",
    "tokens": "most tokens first",
    "cost": "the dearest first",
    "calls": "most calls first",
}


def draw_queries(
    queries: Sequence[QueryLine], limits: Limits, page: Page, others: Iterable[str] = (), sort: str = "time"
) -> list[Line]:
    """One line a query, with what went wrong beneath it; into a pipe, all of it on the one line.

    `others` are ids that begin like one of these, and from which they must differ.
    """
    if not queries:
        return paragraph("No such query; leave out a filter, or widen the period.", page, 0)
    ids = short_ids([query.query_id for query in queries], others)
    agents = max(cell_len(plain(query.agent_type)) for query in queries)
    rows = zip(queries, ids, strict=True)
    if not page.bounded:
        return [_whole(query, short, agents, page.zone) for query, short in rows]
    zone = moment(queries[0].start_time).astimezone(page.zone).tzname()
    listed = f"{several(len(queries), 'query', 'queries')}, {ORDERS[sort]}, times in {zone}"
    hint = f"{listed}; one of them whole: {of_store(f'metrics show {ids[0]}', page)}"
    drawn = [each for query, short in rows for each in _fitting(query, short, min(agents, 12), limits, page)]
    return [*drawn, line(), *paragraph(hint, page, style="quiet")]


def _whole(query: QueryLine, short: str, agents: int, zone: tzinfo) -> Line:
    start = moment(query.start_time).astimezone(zone)
    facts = (
        line(short),
        line(f"{start:%Y-%m-%dT%H:%M:%S}{'Z' if zone is UTC else f'{start:%z}'}"),
        line(plain(query.agent_type)).padded(agents),
        line(duration(query.duration_ms).rjust(8)),
        line(query.status.ljust(9)),
        line(plain(query.user_input)),
        line(_error(query)),
    )
    return joined(facts, "  ")


def _fitting(query: QueryLine, short: str, agents: int, limits: Limits, page: Page) -> list[Line]:
    style = STATUS_STYLES.get(query.status, "")
    sign = "✓" if query.success else "·" if query.status == "cancelled" else "✗"
    mark = line(f" {sign} ", style) + line(short, "strong")
    began = line(clock(moment(query.start_time).astimezone(page.zone)).rjust(12), "quiet")
    agent = line(shortened(plain(query.agent_type), agents)).padded(agents)
    took = line(duration(query.duration_ms).rjust(8), speed(query.duration_ms, limits))
    user_input = line(plain(query.user_input))
    lines = [[mark, began, agent, took, user_input]]
    if page.width < _NARROW:
        lines = [
            [mark, took],
            [line("   ") + agent, began],
            *([[line("   ") + user_input]] if user_input.width > 0 else []),
        ]
    facts = [joined(each, "  ").cut(page.width - 1) for each in lines]
    wrong = ": ".join(part for part in (query.status if query.status != "ok" else "", _error(query)) if part)
    return [*facts, *(paragraph(wrong, page, 3, style) if wrong else [])]


def _error(query: QueryLine) -> str:
    return ": ".join(plain(text) for text in (query.error_type, query.error_message) if text)


def short_ids(ids: Sequence[str], others: Iterable[str] = ()) -> list[str]:
    """The ids, as short as still tells each from the rest of them and from `others`."""
    every = {*ids, *others}
    length = SHORTEST_ID
    longest = max(map(len, every), default=0)
    while length < longest and len({each[:length] for each in every}) < len(every):
        length += 1
    return [plain(each[:length].rstrip("-")) for each in ids]
