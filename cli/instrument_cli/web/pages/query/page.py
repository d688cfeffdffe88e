"""The page of a query: its heading, its calls over time, its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instrument.analysis.periods import Period, zone_of
from instrument.analysis.wording import moment as moment_of
from instrument_cli.web import rows
from instrument_cli.web.charts.file import Chart
from instrument_cli.web.charts.rows_file import waterfall_picture
from instrument_cli.web.html import tag
from instrument_cli.web.pages import Drawn
from instrument_cli.web.pages.query.facts import facts
from instrument_cli.web.pages.query.found import Found, found
from instrument_cli.web.pages.query.heading import durations, heading
from instrument_cli.web.pages.query.spent import keys, own_time, sub_queries, where_it_went

if TYPE_CHECKING:
    from instrument_cli.web.site import Site
    from instrument_cli.web.view import View


def draw(site: Site, view: View) -> Drawn:
    """Draw a query by the id in the path."""
    zone, name = zone_of(view.zone_name(site))
    one = found(site, view, view.path.rpartition("/")[2])
    main = tag("div", where_it_went(view, one), sub_queries(view, one), class_="column")
    side = tag("div", facts(view, one.query, zone), own_time(one), class_="column")
    body = tag(
        "article",
        heading(view, one),
        tag("div", main, side, class_="grid two wide-left"),
        class_="one",
        data_id=one.query.query_id,
    )
    moment = moment_of(one.query.start_time)
    covered = Period(moment, moment, moment, zone, name)
    return Drawn("Query", body, covered, None, bar=False, charts=_charts(one))


def _charts(one: Found) -> dict[str, Chart]:
    query = one.query
    title = f"{query.agent_type}: {rows.cut(query.user_input, 80)}"
    charts = {"calls": Chart(title, waterfall_picture(query, one.spent), keys(one))} if query.calls else {}
    if one.has_standing:
        charts["standing"] = Chart(f"Durations of {query.agent_type}", durations(one), (("p95", "this query"),))
    return charts
