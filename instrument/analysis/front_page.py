"""Everything that the first page of the dashboard shows, out of few readings of the records.

Each part is what its own function gives: `report`, `overview`, `series` and `listing` say what the figures mean. Here
stands only what is read for several of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from instrument.analysis import listing, overview, series, side_by_side
from instrument.analysis import report as reports
from instrument.analysis.groups import costs
from instrument.analysis.measures import measure_together
from instrument.analysis.overview import Overview
from instrument.analysis.periods import Period
from instrument.analysis.results import Limits, Report
from instrument.analysis.results import Period as Covered
from instrument.analysis.series import Series
from instrument.analysis.side_by_side import Kind
from instrument.analysis.timeline import CALLS, ROOTS
from instrument.store.tables import Tables

LATEST = 12
"""The newest queries that are listed."""

MOST_PARTS = 30
"""Parts of the period in which the agents' durations are shown."""


class FrontPage(Struct, frozen=True):
    """The parts of the first page. `agents` has the p95 of each agent over time; the rest is as `listing` gives it."""

    period: Period
    overview: Overview
    report: Report
    agents: dict[str | None, Series]
    latest: listing.Page
    failures: list[tuple[str, float, str, datetime]]
    complexities: list[float]


class Cut(Struct, frozen=True):
    """How finely the first page is cut: columns of time and rows of durations at the most, and what may be worse."""

    columns: int
    rows: int
    worse: Sequence[Kind] = ()


def front_page(tables: Tables, before: Tables, period: Period, covered: Covered, limits: Limits, cut: Cut) -> FrontPage:
    """Work out the first page over the tables of a period that has a beginning, and of the one before it."""
    every = max(60.0, period.hours * 3600 / MOST_PARTS)
    _read_at_once(tables, before, period, limits, cut, every)
    report = reports.report(tables, covered, limits)
    agents = series.series(tables, "p95", period, every, by="agent") if report.agents else []
    return FrontPage(
        period,
        overview.overview(tables, before, period, cut.columns, cut.rows, cut.worse),
        report,
        {one.group: one for one in agents},
        listing.page(tables, "time", LATEST),
        listing.failures_by_agent(tables),
        listing.complexities(tables),
    )


def _read_at_once(tables: Tables, before: Tables, period: Period, limits: Limits, cut: Cut, every: float) -> None:
    """Measure what several parts ask for: the queries of both periods in a reading each, and the calls in one."""
    place = overview.grid_over(period, cut.columns).place()
    groupings = [series.grouping_of(tables, period, every, "agent"), (), ("agent_type",), (place,)]
    figures = (*reports.figures_of_queries(tables, limits), *overview.figures_of_queries(tables))
    measure_together(tables, ROOTS, groupings, reports.SHARES, figures)
    measure_together(tables, CALLS, [("kind", "name")], side_by_side.SHARES, reports.figures_of_calls(tables))
    figures = (*costs(before), *overview.figures_of_queries(before))
    measure_together(before, ROOTS, [(), ("agent_type",)], side_by_side.SHARES, figures)
    if cut.worse:
        measure_together(before, CALLS, [("kind", "name")], side_by_side.SHARES)
