"""What the list of queries shows, as the analysis gives it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis import listing
from instrument.analysis.facets import Facet, facets
from instrument.analysis.filters import Filter, parsed
from instrument.analysis.listing import Key, Page
from instrument.analysis.periods import Period
from instrument.analysis.time_spent import NameSpent, spent_together
from instrument.analysis.timeline import Ended, ended
from instrument.reading import Store
from instrument_cli.web.figures import figures_of

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

LIMIT = 50
"""Queries on a page."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]*", re.IGNORECASE)
_COLUMNS = 96
"""Of the chart of when they were."""


class Found(NamedTuple):
    """Everything on the page; `spent` is where the time of the queries on it went, for the slowest ones alone."""

    period: Period
    page: Page
    ended: Ended
    facets: list[Facet]
    spent: list[NameSpent]


def found(site: Site, view: View) -> Found:
    """Work it out: each part is kept for itself, as they cost differently."""
    figures, sort = figures_of(site), view.get("sort", "time")
    where = tuple(where_of(view))
    asked = view.moved(where=where)
    keys, opened = (view.get("after"), view.get("before")), tuple(view.all("facet"))
    page: tuple[Period, Page, list[NameSpent]] = figures.of(
        asked, "queries", lambda store: _page(store, where, sort, keys), sort, keys
    )
    shape: Ended = figures.of(asked, "queries over time", lambda store: _ended(store, where))
    counted: list[Facet] = figures.of(
        asked, "facets", lambda store: facets(store.tables, parsed(where), opened), opened
    )
    return Found(page[0], page[1], shape, counted, page[2])


def where_of(view: View) -> list[str]:
    """The filters of a view, and its search as one: a text that the input has, or the beginning of an id."""
    words = view.get("q").strip()
    name = "id" if _ID.fullmatch(words) else "input"
    return [*view.where, *([str(Filter(name, "~", words))] if words else [])]


def _page(
    store: Store, where: tuple[str, ...], sort: str, keys: tuple[str, str]
) -> tuple[Period, Page, list[NameSpent]]:
    after, before = (Key.parsed(each) if each else None for each in keys)
    listed = listing.page(store.picked(where), sort, LIMIT, after=after, before=before)
    return store.period, listed, _spent(store, listed) if sort == "duration" else []


def _spent(store: Store, listed: Page) -> list[NameSpent]:
    """Where the time of these queries went, out of their records."""
    if not listed.first or not listed.last:
        return []
    least, most = sorted((listed.first.value, listed.last.value))
    condition = "duration_ns BETWEEN $least AND $most AND list_contains($ids, query_id)"
    ids = [each.query_id for each in listed.lines]
    return spent_together(store.tables.records(condition, {"least": least, "most": most, "ids": ids}))


def _ended(store: Store, where: tuple[str, ...]) -> Ended:
    period = store.period
    return ended(store.picked(where), period.since or period.until, period.until, _COLUMNS)
