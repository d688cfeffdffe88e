"""Panels and dashboards as Grafana's own JSON, by its builders."""

from __future__ import annotations

import json
import warnings
from typing import Any, Protocol

from instrument.exporters import names
from instrument.exporters.grafana.panels import PREFIX, Dashboard, Panel, Row

with warnings.catch_warnings():
    # It recommends the second version of dashboards, which Grafana does not provision from files by default.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_models
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models import heatmap as heatmap_models
    from grafana_foundation_sdk.models import prometheus as prometheus_models

SOURCE = common_models.DataSourceRef("prometheus", "${datasource}")

_WIDTH = 24
_LABELS = {
    "agent": ("Agent", names.QUERIES.prometheus, "agent"),
    "tool": ("Tool", f"{names.TOOL_DURATION.prometheus}_count", "gen_ai_tool_name"),
    "operation": ("GraphQL operation", f"{names.GRAPHQL_DURATION.prometheus}_count", "operation"),
    "model": ("Model", f"{names.MODEL_DURATION.prometheus}_count", "gen_ai_request_model"),
    "instance": ("Server", names.BUILD.prometheus, "instance"),
}
"""The variables: how each is called, and the label of which metric has its values."""


class _Built(Protocol):
    def build(self) -> Any: ...


def drawn(board: Dashboard, data_source: str) -> str:
    """A dashboard as JSON; `data_source` is the id of the data source that it begins with."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(uid_of(board))
        .description(board.description)
        .tags([PREFIX])
        .readonly()
        .time("now-24h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_links())
    )
    for variable in _variables(board, data_source):
        built = built.with_variable(variable)
    x = y = height = 0
    for number, part in enumerate(board.parts, start=1):
        width = _WIDTH if isinstance(part, Row) else part.width
        if x + width > _WIDTH:
            x, y, height = 0, y + height, 0
        if isinstance(part, Row):
            built = built.with_row(dashboard.Row(part.title).id(number).grid_pos(models.GridPos(1, _WIDTH, 0, y)))
        else:
            built = built.with_panel(_panel(part).id(number).grid_pos(models.GridPos(part.height, width, x, y)))
        x, height = x + width, max(height, 1 if isinstance(part, Row) else part.height)
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def uid_of(board: Dashboard) -> str:
    """The id of a dashboard, which links name."""
    return f"{PREFIX}-{board.name}"


def _links() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Agents")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([PREFIX])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _variables(board: Dashboard, data_source: str) -> list[Any]:
    source = models.VariableOption(text=data_source, value=data_source)
    found: list[Any] = [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus").current(source)
    ]
    for name in ("instance", *board.variables):
        label, metric, of = _LABELS[name]
        query = f"label_values({metric}, {of})"
        variable = (
            dashboard.QueryVariable(name)
            .label(label)
            .datasource(SOURCE)
            .query({"query": query, "refId": "StandardVariableQuery"})
            .definition(query)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
        if name != board.one:
            everything = models.VariableOption(text="All", value="$__all")
            variable = variable.multi(True).include_all(True).all_value(".*").current(everything)
        found.append(variable)
    steps = ("1m", "5m", "15m", "1h")
    options = [models.VariableOption(text=step, value=step, selected=step == steps[0]) for step in steps]
    found.append(
        dashboard.IntervalVariable("interval")
        .label("Least step")
        .values(",".join(steps))
        .options(options)
        .current(options[0])
    )
    return found


def _panel(panel: Panel) -> Any:
    built: Any = _KINDS[panel.kind](panel)
    built = (
        built.title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .interval("$interval")
        .no_value("–")
    )
    for number, target in enumerate(panel.targets):
        query = prometheus.Dataquery().expr(target.expr).legend_format(target.legend or "__auto").datasource(SOURCE)
        query = query.ref_id(chr(ord("A") + number))
        query = query.instant() if panel.at_once else query.range()
        if panel.kind == "heat map":
            query = query.format(prometheus_models.PromQueryFormat.HEATMAP)
        built = built.with_target(query)
    return built.thresholds(_limits(panel)) if panel.limits else built


def _limits(panel: Panel) -> dashboard.ThresholdsConfig:
    colours = ("green", "orange", "red")
    if panel.less_is_worse:  # steps go upwards
        steps = [models.Threshold(color="red", value=None)]
        steps += [
            models.Threshold(color=colour, value=limit)
            for colour, limit in zip(("orange", "green"), reversed(panel.limits), strict=True)
        ]
    else:
        steps = [
            models.Threshold(color=colour, value=limit)
            for colour, limit in zip(colours, (None, *panel.limits), strict=False)
        ]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _stat(panel: Panel) -> _Built:
    mode = common_models.BigValueColorMode.VALUE if panel.limits else common_models.BigValueColorMode.NONE
    return stat.Panel().reduce_options(_last()).color_mode(mode).graph_mode(common_models.BigValueGraphMode.NONE)


def _lines(panel: Panel) -> _Built:
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    legend = legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True)
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    built = timeseries.Panel().legend(legend).tooltip(tooltip).line_width(1).fill_opacity(0).min(0)
    if panel.kind == "stacked":
        stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        return built.stacking(stacking).fill_opacity(60)
    return built


def _heat_map(panel: Panel) -> _Built:
    colours = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues").exponent(0.5)
    return (
        heatmap.Panel()
        .calculate(False)
        .color(colours.steps(64))
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .cell_gap(1)
        .show_legend()
    )


def _ranking(panel: Panel) -> _Built:
    return (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .min(0)
    )


_KINDS = {"stat": _stat, "lines": _lines, "stacked": _lines, "heat map": _heat_map, "ranking": _ranking}
