"""The pages, a file each: a function `draw(site, view)` that gives what stands between the frame's edges."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from instrument.analysis.periods import Period
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.html import Element

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View

ROUTES: dict[str, str] = {
    "/": "overview",
    "/queries": "queries",
    "/agents": "groups",
    "/tools": "groups",
    "/graphql": "groups",
    "/models": "groups",
    "/trends": "trends",
    "/alerts": "alerts",
    "/sql": "sql",
    "/health": "health",
    "/compare": "differences",
}
"""The module of this package that draws each page."""


class Drawn(NamedTuple):
    """A page without its frame. `live` are the parts that are kept up to date, and `charts` those to save, by key."""

    title: str
    body: Element
    period: Period | None = None
    live: dict[str, Element] | None = None
    bar: bool = True
    charts: Mapping[str, Chart] = {}


def draw(site: Site, view: View) -> Drawn:
    """Draw the page of a view's path."""
    name = ROUTES.get(view.path, "query")
    drawn: Drawn = import_module(f"instrument_cli.web.pages.{name}").draw(site, view)
    return drawn
