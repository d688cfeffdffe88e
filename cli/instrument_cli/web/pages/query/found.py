"""What the page of a query knows: the query, where its time went, those it is held against, and its neighbours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis import listing
from instrument.analysis.filters import picked
from instrument.analysis.listing import Key, Standing
from instrument.analysis.results import QueryLine
from instrument.analysis.search import SORTS
from instrument.analysis.time_spent import TimeSpent, time_spent
from instrument.analysis.wording import moment as moment_of
from instrument.errors import UsageError
from instrument.records import QueryRecord
from instrument.store.tables import microseconds
from instrument_cli.web.figures import figures_of
from instrument_cli.web.pages.queries import where_of
from instrument_cli.web.reading import at_query

if TYPE_CHECKING:
    from instrument.reading import Store
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

AMONG = timedelta(days=7)
"""How far back the queries lie that one is held against."""

_INSIDE = timedelta(days=1)
"""How long after its start the calls and queries inside one are looked for."""


class Found(NamedTuple):
    """A query and what stands around it; `above` and `below` are the ids of its neighbours in the list."""

    query: QueryRecord
    spent: TimeSpent
    standing: Standing
    inside: list[QueryLine]
    above: str | None
    below: str | None

    @property
    def has_standing(self) -> bool:
        """Whether there are enough queries of its agent to hold it against."""
        return self.standing.queries >= 2 and len(self.standing.histogram.bounds_ms) >= 2


def found(site: Site, view: View, query_id: str) -> Found:
    """Look a query up by its id, or the beginning of it. Raises NotFoundError when there is none."""
    query, inside = at_query(site, query_id, lambda store: _looked_up(store, query_id), _INSIDE)
    start = moment_of(query.start_time)
    view_of_agent = view.moved(
        period="", since=_day(start - AMONG), until=_day(start + timedelta(days=1)), tz="UTC", where=()
    )
    standing: Standing = figures_of(site).of(
        view_of_agent,
        "standing",
        lambda of: listing.standing(of.tables, query.agent_type, query.duration_ms),
        query.agent_type,
        query.duration_ms,
    )
    above, below = _neighbours(site, view, query)
    return Found(query, time_spent(query), standing, inside, above, below)


def _looked_up(store: Store, query_id: str) -> tuple[QueryRecord, list[QueryLine]]:
    query = store.query(query_id)
    return query, listing.inside(store.tables, query.query_id)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _neighbours(site: Site, view: View, query: QueryRecord) -> tuple[str | None, str | None]:
    """Previous and next within the filter and the order of the list that one came from."""
    sort = view.get("sort", "time")
    if sort not in SORTS:
        return None, None
    where = tuple(where_of(view))
    values = {
        "time": microseconds(moment_of(query.start_time)),
        "duration": round(query.duration_ms * 1e6),
        "cost": query.cost_usd or 0,
        "tokens": (query.input_tokens or 0) + (query.output_tokens or 0),
        "calls": query.tool_calls + query.graphql_queries + query.model_calls,
    }
    key = Key(float(values[sort]), microseconds(moment_of(query.start_time)), query.query_id)

    def looked_up(store: Store) -> tuple[str | None, str | None]:
        return listing.neighbours(picked(store.tables, where), sort, key)

    try:
        beside: tuple[str | None, str | None] = figures_of(site).of(
            view.moved(where=where), "neighbours", looked_up, sort, query.query_id
        )
    except UsageError:  # a filter on a name that nothing of the period has
        return None, None
    return beside
