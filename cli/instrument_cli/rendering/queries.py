"""Draw a list of queries, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from instrument.analysis.results import Limits, QueryLine
from instrument.analysis.wording import clock, duration, moment, several
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import speed
from instrument_cli.rendering.text import plain, shortened

STATUS_STYLES: dict[str, Style] = {
    "ok": "good",
    "closed": "good",
    "cancelled": "slow",
    "abandoned": "slow",
    "error": "bad",
}

SHORTEST_ID = 13
"""The part of an id that is its millisecond: what two queries hardly ever share."""


def draw_queries(queries: Sequence[QueryLine], limits: Limits, page: Page, others: Iterable[str] = ()) -> list[Line]:
    """One line a query, with what went wrong beneath it; into a pipe, all of it on the one line.

    `others` are ids that begin like one of these, and from which they have to be told.
    """
    if not queries:
        return [line("No such query; leave out a filter, or widen --hours.")]
    ids = short_ids([query.query_id for query in queries], others)
    agents = max(cell_len(plain(query.agent_type)) for query in queries)
    rows = zip(queries, ids, strict=True)
    if not page.bounded:
        return [_whole(query, short, agents) for query, short in rows]
    hint = f" {several(len(queries), 'query', 'queries')}, the newest first; one of them whole: metrics show {ids[0]}"
    drawn = [each for query, short in rows for each in _fitting(query, short, min(agents, 12), limits, page)]
    return [*drawn, line(), line(hint, "quiet")]


def _whole(query: QueryLine, short: str, agents: int) -> Line:
    facts = (
        line(short),
        line(f"{moment(query.start_time):%Y-%m-%dT%H:%M:%SZ}"),
        line(plain(query.agent_type)).padded(agents),
        line(duration(query.duration_ms).rjust(8)),
        line(query.status.ljust(9)),
        line(plain(query.user_input)),
        line(_error(query)),
    )
    return joined(facts, "  ")


def _fitting(query: QueryLine, short: str, agents: int, limits: Limits, page: Page) -> list[Line]:
    style = STATUS_STYLES.get(query.status, "")
    facts = joined(
        [
            line(f" {'✓' if query.success else '✗'} ", style) + line(short, "strong"),
            line(clock(moment(query.start_time)).rjust(12), "quiet"),
            line(shortened(plain(query.agent_type), agents)).padded(agents),
            line(duration(query.duration_ms).rjust(8), speed(query.duration_ms, limits)),
            line(plain(query.user_input)),
        ],
        "  ",
    )
    wrong = ": ".join(part for part in (query.status if query.status != "ok" else "", _error(query)) if part)
    return [facts.cut(page.width - 1), *([line("   ") + line(wrong, style)] if wrong else [])]


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
