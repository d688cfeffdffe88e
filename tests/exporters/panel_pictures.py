"""What the panels show, drawn from their data: one picture for each dashboard, to look at by hand.

python tests/exporters/panel_pictures.py FOLDER
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.parent), str(here.parent / "store")]

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from day_of_metrics import Prometheus, prometheus
from programs import needs
from test_grafana import BOARDS, filled

from instrument.exporters.grafana.building import drawn, uid_of
from instrument.exporters.grafana.panels import Dashboard, Panel

_ROW_INCHES, _COLUMN_INCHES = 0.34, 0.75


def picture(board: Dashboard, day: Prometheus, file: Path) -> None:
    """Draw a dashboard with its panels where Grafana puts them."""
    places = [each for each in json.loads(drawn(board, "x"))["panels"] if each["type"] != "row"]
    height = max(place["gridPos"]["y"] + place["gridPos"]["h"] for place in places)
    figure = plt.figure(figsize=(24 * _COLUMN_INCHES, height * _ROW_INCHES))
    grid = figure.add_gridspec(height, 24, hspace=1.6, wspace=1.8)
    for place, panel in zip(places, board.panels, strict=True):
        at = place["gridPos"]
        axes = figure.add_subplot(grid[at["y"] : at["y"] + at["h"], at["x"] : at["x"] + at["w"]])
        axes.set_title(f"{panel.title} ({panel.unit})", fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        _draw(panel, axes, day, {"agent": "billing"} if board.one else {})
    figure.suptitle(board.title)
    figure.savefig(file, dpi=70, bbox_inches="tight")
    plt.close(figure)


def _draw(panel: Panel, axes: Any, day: Prometheus, values: dict[str, str]) -> None:
    found = [
        (target, day.at_once(expr) if panel.at_once else day.over_time(expr))
        for target in panel.targets
        for expr in [filled(target.expr, **values)]
    ]
    if panel.kind == "stat":
        axes.text(0.5, 0.5, f"{float(found[0][1][0]['value'][1]):.4g}", ha="center", va="center", fontsize=18)
        axes.set_axis_off()
    elif panel.kind == "ranking":
        bars = sorted((float(each["value"][1]), _named(found[0][0].legend, each)) for each in found[0][1])
        axes.barh([name for _, name in bars], [value for value, _ in bars])
    elif panel.kind == "heat map":
        series = sorted(found[0][1], key=lambda each: float(each["metric"]["le"]))
        cells = np.diff(np.array([_aligned(each, series) for each in series]), axis=0, prepend=0)
        axes.imshow(cells, origin="lower", aspect="auto", cmap="Blues")
        axes.set_yticks(range(len(series)), [each["metric"]["le"] for each in series])
    else:
        lines = [(_named(target.legend, each), each["values"]) for target, of in found for each in of]
        _lines(panel, axes, lines)


def _lines(panel: Panel, axes: Any, lines: list[tuple[str, list[list[Any]]]]) -> None:
    times = sorted({time for _, values in lines for time, _ in values})
    moments = [datetime.fromtimestamp(time, UTC) for time in times]
    heights = [[float(dict(values).get(time, "nan")) for time in times] for _, values in lines]
    if panel.kind == "stacked":
        axes.stackplot(moments, np.nan_to_num(np.array(heights)), labels=[name for name, _ in lines])
    else:
        for (name, _), height in zip(lines, heights, strict=True):
            axes.plot(moments, height, linewidth=0.9, label=name)
    axes.legend(fontsize=6, loc="upper left")


def _aligned(series: Any, every: list[Any]) -> list[float]:
    times = sorted({time for each in every for time, _ in each["values"]})
    known = dict(series["values"])
    return [float(known.get(time, 0)) for time in times]


def _named(legend: str, series: Any) -> str:
    for label, value in series["metric"].items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with prometheus(needs("prometheus", "promtool"), folder) as running:
        for board in BOARDS.values():
            picture(board, running, folder / f"{uid_of(board)}.png")
