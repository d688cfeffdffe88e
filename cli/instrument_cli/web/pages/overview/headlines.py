"""The six figures at the top of the overview, each with its change and a line over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from instrument.analysis.front_page import FrontPage
from instrument.analysis.overview import Headline
from instrument.analysis.wording import NOTHING, dollars, duration, percent, short
from instrument_cli.web import words
from instrument_cli.web.charts import small
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.line_over_time import line_over_time
from instrument_cli.web.html import Element, tag
from instrument_cli.web.layout import chart_link

if TYPE_CHECKING:
    from instrument_cli.web.view import View

_NAMES = {
    "queries": "Queries",
    "succeeded": "Succeeded",
    "median": "Median",
    "p95": "95th percentile",
    "tokens": "Tokens",
    "cost": "Cost",
}


def headlines(view: View, known: FrontPage) -> Element:
    """Draw them."""
    cells = [_figure(view, known, figure) for figure in known.overview.figures]
    return tag("dl", *cells, id="f-figures", data_key="figures", class_="figures")


def _figure(view: View, known: FrontPage, figure: Headline) -> Element:
    trace = small.spark(_over_time(figure), bad=figure.unit == "share")
    link = chart_link(view, f"figure-{figure.name}", what=f"{_NAMES[figure.name]} over time")
    return tag(
        "div",
        tag("dt", tag("span", _NAMES[figure.name]), _linked(view, known, figure.name)),
        tag("dd", _shown(figure), class_="value"),
        tag("dd", words.delta(figure.change, figure.better, is_share=figure.unit == "share"), class_="change"),
        tag("dd", trace, link, class_="trace"),
        class_="figure",
    )


def _shown(figure: Headline) -> str:
    if figure.value is None or (figure.value == 0 and figure.unit in ("tokens", "usd")):
        return NOTHING
    return _written(figure, figure.value)


def _written(figure: Headline, value: float) -> str:
    if figure.unit == "share":
        return percent(value)
    if figure.unit == "ms":
        return duration(value)
    return dollars(value) if figure.unit == "usd" else short(value)


def _linked(view: View, known: FrontPage, name: str) -> Element | None:
    """Where a figure leads to: the queries that failed, the slowest ones."""
    failed = known.report.queries.failed
    if name == "succeeded" and failed:
        return tag("a", f"{short(failed)} failed", href=view.narrowed("outcome", "failed", "/queries"))
    if name == "p95":
        return tag("a", "slowest", href=view.moved(path="/queries").href(sort="duration"))
    return None


def _over_time(figure: Headline) -> Sequence[float | None]:
    """Its values without the two columns at the ends, which the period cuts; of shares, those of failures."""
    values = figure.values[1:-1] if len(figure.values) > 4 else figure.values
    return [None if value is None else 1 - value for value in values] if figure.unit == "share" else values


def charts(known: FrontPage) -> dict[str, Chart]:
    """The lines over time, each as a picture of its own."""
    return {f"figure-{figure.name}": _chart(known, figure) for figure in known.overview.figures}


def _chart(known: FrontPage, figure: Headline) -> Chart:
    grid, values = known.overview.grid, _over_time(figure)
    start = grid.start + timedelta(seconds=grid.seconds if len(figure.values) > 4 else 0)
    highest = max((value for value in values if value is not None), default=None)
    is_share = figure.unit == "share"
    name = "Failed" if is_share else _NAMES[figure.name]
    picture = line_over_time(
        values,
        start,
        start + timedelta(seconds=grid.seconds * len(values)),
        known.period.zone,
        most="" if highest is None else _written(figure, highest),
        title=f"{name} over time",
        bad=is_share,
    )
    return Chart(f"{name} over time", picture)
