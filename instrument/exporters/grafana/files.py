"""All files by their paths under one folder, which Grafana reads as its `/etc/grafana/provisioning`."""

from __future__ import annotations

import json
from typing import Any

from instrument.exporters.grafana import alerts as grafana_alerts
from instrument.exporters.grafana.agent_boards import one_agent, overview
from instrument.exporters.grafana.alerts import FOLDER, Alert
from instrument.exporters.grafana.building import drawn, uid_of
from instrument.exporters.grafana.call_boards import models, tools
from instrument.exporters.grafana.health_board import health
from instrument.exporters.grafana.panels import PREFIX, Dashboard

DATA_SOURCE = f"{PREFIX}-prometheus"
"""The id of the data source."""

MOUNTED = "/etc/grafana/provisioning"
"""Where Grafana looks for the folder, unless its settings say otherwise."""


def dashboards() -> tuple[Dashboard, ...]:
    """All dashboards."""
    return (overview(), one_agent(), tools(), models(), health())


def files(prometheus_url: str, rules: tuple[Alert, ...], mounted: str = MOUNTED) -> dict[str, str]:
    """The text of each file by its path. `mounted` is where Grafana will find the folder."""
    found = {f"dashboards/{PREFIX}/{uid_of(board)}.json": drawn(board, DATA_SOURCE) for board in dashboards()}
    found[f"datasources/{PREFIX}.yaml"] = _yaml(_data_source(prometheus_url))
    found[f"dashboards/{PREFIX}.yaml"] = _yaml(_provider(f"{mounted.rstrip('/')}/dashboards/{PREFIX}"))
    found[f"alerting/{PREFIX}.yaml"] = _yaml(grafana_alerts.provisioned(rules, DATA_SOURCE))
    return found


def _data_source(url: str) -> dict[str, Any]:
    source = {
        "name": "Prometheus (agents)",
        "uid": DATA_SOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": url.replace("$", "$$"),
        "editable": False,
        "jsonData": {"httpMethod": "POST"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _provider(path: str) -> dict[str, Any]:
    provider = {
        "name": PREFIX,
        "folder": FOLDER,
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": path.replace("$", "$$")},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _yaml(value: dict[str, Any]) -> str:
    """Plain data as YAML: blocks, with JSON for what stands on one line."""
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: Any, depth: int) -> list[str]:
    indent, lines = "  " * depth, []
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, (dict, list)) and each:
                lines += [f"{indent}{key}:", *_block(each, depth + 1)]
            else:
                lines.append(f"{indent}{key}: {json.dumps(each, ensure_ascii=False)}")
        return lines
    for each in value:
        if isinstance(each, dict):
            first, *rest = _block(each, depth + 1)
            lines += [f"{indent}- {first.lstrip()}", *rest]
        else:
            lines.append(f"{indent}- {json.dumps(each, ensure_ascii=False)}")
    return lines
