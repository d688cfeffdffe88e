"""Draw a list of queries, the newest first."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.analysis.results import QueryLine
from instrument_cli.rendering.figures import clock, duration, moment, several
from instrument_cli.rendering.line import Line, Style, joined, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.report import Limits, speed
from instrument_cli.rendering.text import plain, shortened

STATUS_STYLES: dict[str, Style] = {"ok": "good", "closed": "good", "cancelled": "slow", "abandoned": "slow", "error": "bad"}

_SHORTEST_ID = 13
"""The part of an id that is its millisecond: what two queries hardly ever share."""


def draw_queries(queries: Sequence[QueryLine], limits: Limits, page: Page) -> list[Line]:
    """One line a query, its error beneath it; into a pipe, all of it on the one line."""
    if not queries:
        return [line("No such queries; widen --hours, or leave out a filter.")]
    ids = short_ids([query.query_id for query in queries])
    agents = max(len(plain(query.agent_type)) for query in queries)
    agents = min(agents, 14) if page.bounded else agents
    drawn = []
    for query, short in zip(queries, ids, strict=True):
        facts = _facts(query, short, agents, max(map(len, ids)), limits, page)
        error = _error(query)
        if page.bounded and error:
            drawn += [facts, line(" " * (max(map(len, ids)) + 3)) + error]
        else:
            drawn.append(joined([facts, error], "  ") if error else facts)
    hint = f" {several(len(queries), 'query', 'queries')}; metrics show ID for one of them, whole"
    return [*drawn, line(), line(hint, "quiet")] if page.bounded else drawn


def _facts(query: QueryLine, short: str, agents: int, ids: int, limits: Limits, page: Page) -> Line:
    time = moment(query.start_time)
    facts = joined(
        [
            line(f" {short}".ljust(ids + 1), "strong"),
            line(clock(time) + f":{time:%S}" if page.bounded else f"{time:%Y-%m-%dT%H:%M:%SZ}", "quiet"),
            line(shortened(plain(query.agent_type), agents)).padded(agents),
            line(duration(query.duration_ms).rjust(8), speed(query.duration_ms, limits)),
            line(query.status.ljust(9), STATUS_STYLES.get(query.status, "")),
        ],
        "  ",
    )
    text = plain(query.user_input)
    return joined([facts, line(shortened(text, page.width - 3 - facts.width) if page.bounded else text)], "  ")


def _error(query: QueryLine) -> Line | None:
    told = ": ".join(plain(text) for text in (query.error_type, query.error_message) if text)
    return line(told, "bad") if told else None


def short_ids(ids: Sequence[str]) -> list[str]:
    """The ids, as short as still tells each from the others."""
    length = _SHORTEST_ID
    longest = max(map(len, ids), default=0)
    while length < longest and len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return [plain(each[:length].rstrip("-")) for each in ids]
