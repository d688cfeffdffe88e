"""Dashboards, provisioning and alerts for Grafana: their rules, and every query against a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from day_of_metrics import INSTANCE, Prometheus, prometheus
from instrument_cli.app import run
from programs import needs

from instrument.config import Config
from instrument.exporters import names
from instrument.exporters.grafana.alerts import Alert, firing, usual
from instrument.exporters.grafana.building import uid_of
from instrument.exporters.grafana.files import DATA_SOURCE, dashboards, files
from instrument.exporters.grafana.panels import Dashboard, Panel
from instrument.exporters.grafana.promql import Asking
from instrument.reading import open_store

URL = "http://prometheus:9090"
BOARDS = {board.name: board for board in dashboards()}
PANELS = [(board, panel) for board in BOARDS.values() for panel in board.panels]
ALERTS = usual(Config())

one_prometheus = pytest.mark.xdist_group("prometheus of a day")


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return files(URL, ALERTS)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(needs("prometheus", "promtool"), tmp_path_factory.mktemp("day")) as running:
        yield running


def filled(expr: str, **values: str) -> str:
    """A query as Grafana sends it, every variable with all of its values unless told otherwise."""
    known = {
        "$__rate_interval": "20m",
        "$__range": "86400s",
        **{f"${name}": values.get(name, ".*") for name in ("instance", "agent", "tool", "operation", "model")},
    }
    text = re.sub(r"\$\w+", lambda match: known[match[0]], expr)
    assert "$" not in text
    return text


def numbers(series: list[Any]) -> list[float]:
    values = [value for each in series for _, value in each.get("values", [each.get("value")])]
    return [number for number in map(float, values) if math.isfinite(number)]


def built(written: dict[str, str], board: Dashboard) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written[f"dashboards/agent-instrument/{uid_of(board)}.json"])
    return found


# -- against a real Prometheus ---------------------------------------------------------------------------------------


@one_prometheus
def test_every_panel_of_every_dashboard_returns_data(day: Prometheus) -> None:
    empty = []
    for board, panel in PANELS:
        for target in panel.targets:
            expr = filled(target.expr, **({"agent": "billing"} if board.one else {}))
            found = numbers(day.at_once(expr) if panel.at_once else day.over_time(expr))
            if not found or max(map(abs, found)) == 0:
                empty.append((board.name, panel.title, target.expr))
    assert empty == []


@one_prometheus
def test_every_variable_lists_values_that_the_panels_know(day: Prometheus, written: dict[str, str]) -> None:
    for board in BOARDS.values():
        listed = built(written, board)["templating"]["list"]
        for variable in listed:
            if variable["type"] != "query":
                continue
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert found is not None
            values = day.get(f"label/{found[2]}/values", **{"match[]": found[1], "start": day.end - 86400})
            assert values, variable["name"]
            if variable["name"] == "agent":
                assert values == ["billing", "night-shift", "research", "roaming", "triage"]
            if variable["name"] == "instance":
                assert values == [INSTANCE]


@one_prometheus
def test_a_picked_agent_tool_and_model_leave_the_others_out(day: Prometheus) -> None:
    overview, tools, models = (
        {panel.title: panel for panel in BOARDS[name].panels} for name in ("overview", "tools", "models")
    )
    cases = [
        (overview["Queries by agent"], {"agent": "billing|roaming"}, "agent", {"billing", "roaming"}),
        (overview["p95 by agent"], {"agent": "triage"}, "gen_ai_agent_name", {"triage"}),
        (tools["Time by tool"], {"tool": "search"}, "gen_ai_tool_name", {"search"}),
        (tools["p95 of operations"], {"operation": "query Billing"}, "operation", {"query Billing"}),
        (models["Model calls"], {"model": "small-1"}, "gen_ai_request_model", {"small-1"}),
        (overview["Queries by agent"], {"instance": "elsewhere"}, "agent", set()),
    ]
    for panel, values, label, expected in cases:
        found = day.at_once(filled(panel.targets[0].expr, **values))
        assert {each["metric"][label] for each in found} == expected, panel.title


@one_prometheus
def test_the_figures_agree_with_the_report_of_the_store(day: Prometheus) -> None:
    """Prometheus extrapolates to the ends of a window: within 2 % over a day."""
    with open_store(day.store) as opened:
        report = opened.report()
    figures = {panel.title: numbers(day.at_once(filled(panel.targets[0].expr)))[0] for panel in _figures("overview")}
    assert figures["Queries"] == pytest.approx(report.queries.total, rel=0.02)
    assert figures["Succeeded"] == pytest.approx(report.queries.success_rate, abs=0.005)
    assert figures["Cost"] == pytest.approx(sum(agent.cost_usd or 0 for agent in report.agents.values()), rel=0.02)
    assert figures["Tokens"] == pytest.approx(sum(agent.tokens for agent in report.agents.values()), rel=0.02)
    p95 = report.response_times.p95_ms or 0
    assert p95 / 2000 < figures["p95"] < p95 / 500  # buckets double
    dropped = {panel.title: numbers(day.at_once(filled(panel.targets[0].expr)))[0] for panel in _figures("health")}
    assert dropped["Records dropped"] == pytest.approx(report.data.dropped, rel=0.05) == pytest.approx(7, rel=0.05)


def _figures(board: str) -> list[Panel]:
    return [panel for panel in BOARDS[board].panels if panel.kind == "stat"]


@one_prometheus
def test_the_alerts_fire_for_what_went_wrong_and_were_quiet_before(day: Prometheus) -> None:
    expected = {
        "agent-failures-burn": {"billing"},
        "agent-slow": {"billing"},  # research is slow, too, but has too few queries to judge
        "tool-failing": {"find_bills"},
        "agent-silent": {"night-shift"},
        "records-dropped": {""},
        "no-server": set(),
    }
    assert {alert.name for alert in ALERTS} == set(expected)
    for alert in ALERTS:
        now = day.at_once(firing(alert))
        assert {each["metric"].get(alert.label, "") for each in now} == expected[alert.name], alert.name
        assert set(numbers(now)) <= {1.0}
        if alert.name != "agent-slow":
            assert day.at_once(firing(alert), day.end - 7200) == [], alert.name


@one_prometheus
def test_a_value_of_zero_fires_too(day: Prometheus) -> None:
    assert numbers(day.at_once(firing(Alert("zero", "", "vector(0) == 0")))) == [1.0]


# -- the rules that dashboards keep ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_read_only_linked_and_whole(name: str, written: dict[str, str]) -> None:
    board = BOARDS[name]
    found = built(written, board)
    assert (found["editable"], found["schemaVersion"], found["uid"]) == (False, 42, f"agent-instrument-{name}")
    assert found["title"]
    assert found["description"].endswith(".")
    assert found["tags"] == ["agent-instrument"]
    [link] = found["links"]
    assert (link["type"], link["tags"], link["keepTime"], link["includeVars"]) == (
        "dashboards",
        ["agent-instrument"],
        True,
        True,
    )
    variables = {variable["name"]: variable for variable in found["templating"]["list"]}
    assert list(variables) == ["datasource", "instance", *board.variables, "interval"]
    assert variables["datasource"]["current"]["value"] == DATA_SOURCE
    assert variables["interval"]["query"] == "1m,5m,15m,1h"
    for variable in ("instance", *board.variables):
        assert bool(variables[variable].get("multi")) == (variable != board.one)
        assert variables[variable]["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_has_a_title_description_unit_and_the_data_source_variable(
    name: str, written: dict[str, str]
) -> None:
    panels = [panel for panel in built(written, BOARDS[name])["panels"] if panel["type"] != "row"]
    assert len(panels) == len(BOARDS[name].panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["interval"] == "$interval"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert bool(target.get("instant")) != bool(target.get("range"))
            windows = set(re.findall(r"\[(.*?)\]", target["expr"]))
            assert windows <= ({"$__range"} if target.get("instant") else {"$__rate_interval"}), panel["title"]
            assert 'instance=~"$instance"' in target["expr"]
            if panel["type"] == "heatmap":
                assert (target["format"], "_bucket" in target["expr"]) == ("heatmap", True)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_beside_each_other_and_on_no_other(name: str, written: dict[str, str]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in built(written, BOARDS[name])["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) >= 0.9 * 24 * height  # hardly a hole


def test_every_metric_for_people_is_on_a_dashboard() -> None:
    asked = " ".join(target.expr for _, panel in PANELS for target in panel.targets)
    left_out = {metric.prometheus for metric in names.METRICS if metric.prometheus not in asked}
    # Reasoning tokens are among the output tokens; a sum over values of any unit has none of its own.
    assert left_out == {
        names.REASONING_TOKENS.prometheus,
        names.METRIC_SUM.prometheus,
        names.METRIC_NEGATIVE_SUM.prometheus,
    }


def test_a_label_that_a_metric_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no label tenant"):
        Asking().series(names.QUERIES, tenant="north")


# -- provisioning ----------------------------------------------------------------------------------------------------


def test_the_files_are_what_grafana_reads(written: dict[str, str]) -> None:
    read = {path: yaml.safe_load(text) for path, text in written.items() if path.endswith(".yaml")}
    assert set(read) == {
        "datasources/agent-instrument.yaml",
        "dashboards/agent-instrument.yaml",
        "alerting/agent-instrument.yaml",
    }
    assert all(found["apiVersion"] == 1 for found in read.values())
    [source] = read["datasources/agent-instrument.yaml"]["datasources"]
    assert (source["uid"], source["type"], source["url"], source["editable"]) == (DATA_SOURCE, "prometheus", URL, False)
    [provider] = read["dashboards/agent-instrument.yaml"]["providers"]
    assert provider["options"] == {"path": "/etc/grafana/provisioning/dashboards/agent-instrument"}
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    [group] = read["alerting/agent-instrument.yaml"]["groups"]
    assert [rule["title"] for rule in group["rules"]] == [alert.name for alert in ALERTS]
    assert len({rule["uid"] for rule in group["rules"]}) == len(ALERTS)
    for rule, alert in zip(group["rules"], ALERTS, strict=True):
        asked, judged = rule["data"]
        assert (asked["datasourceUid"], asked["model"]["expr"]) == (DATA_SOURCE, firing(alert))
        assert (judged["datasourceUid"], rule["condition"]) == ("__expr__", judged["refId"])
        assert rule["noDataState"] == "OK"
        assert len(rule["uid"]) <= 40
        # Grafana replaces $NAME in these files by a variable of the environment, and $$ by a dollar sign.
        assert re.sub(r"\$\$", "", rule["annotations"]["summary"]).count("$") == 0
        assert rule["annotations"]["summary"].replace("$$", "$") == alert.summary
        assert "$" not in asked["model"]["expr"]


def test_the_alerts_are_rules_that_promtool_accepts(tmp_path: Path) -> None:
    [_, promtool] = needs("prometheus", "promtool")
    rules = [{"alert": alert.name, "expr": firing(alert)} for alert in ALERTS]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, f"SUCCESS: {len(ALERTS)} rules found" in done.stdout) == (0, True), done.stderr


def test_the_limit_of_the_settings_is_that_of_the_alert() -> None:
    [slow] = [alert for alert in usual(Config(slow_query_threshold_ms=2500)) if alert.name == "agent-slow"]
    assert "> 2.5 and" in slow.condition
    assert "2.5 s" in slow.summary


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_writes_the_folder_and_again_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "provisioning"
    assert run(["grafana", str(folder), "--prometheus", URL]) == 0
    listed = capsys.readouterr().out.splitlines()
    there = {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}
    assert there == files(URL, ALERTS)
    assert sorted(listed) == sorted(str(folder / path) for path in there)
    assert run(["grafana", str(folder), "--prometheus", URL, "--mounted", "/mnt/x/"]) == 0
    provider = yaml.safe_load((folder / "dashboards" / "agent-instrument.yaml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/mnt/x/dashboards/agent-instrument"


OWN_RULES = """
[[alerts]]
name = "failures.of:paying-customers-in-the-north-of-the-country"
figure = "failure_rate"
above = 0.2
window = "15m"
by = "agent"
severity = "critical"
description = "ask {{ who }} for $HOME"

[[alerts]]
name = "dear"
figure = "cost"
above = 0.5
where = ['agent!=a$b"c']

[[alerts]]
name = "odd"
kind = "anomaly"
figure = "failure_rate"
"""


@one_prometheus
def test_the_rules_of_the_settings_are_written_and_fire(
    day: Prometheus, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("instrument.toml").write_text(OWN_RULES)
    assert run(["grafana", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    assert "alert 'odd' is left out" in told
    assert told.count("\n") == 1
    read = yaml.safe_load((tmp_path / "out" / "alerting" / "agent-instrument.yaml").read_text("utf-8"))
    failures, dear, served = read["groups"][0]["rules"]
    assert served["title"] == "no-server"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", failures["uid"])
    assert failures["labels"]["severity"] == "critical"
    assert failures["annotations"]["summary"].startswith("{{ $$labels.agent }}: failure_rate above")
    assert failures["annotations"]["description"] == "ask { { who }} for $$HOME"
    exprs = [rule["data"][0]["model"]["expr"] for rule in (failures, dear)]
    assert all("$" not in expr for expr in exprs)
    firing_now, costing = (day.at_once(expr) for expr in exprs)
    assert [each["metric"]["agent"] for each in firing_now] == ["billing"]
    assert numbers(costing) == numbers(day.at_once("vector(1)"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["grafana"], 2, "Missing argument"),
        (["grafana", "out", "--prometheus", "localhost"], 2, "is no URL"),
        (["grafana", "taken"], 1, "taken"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    Path("taken").write_text("a file")
    assert run(arguments) == code
    answer = capsys.readouterr()
    assert answer.out == ""
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_a_missing_extra_is_one_clear_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("instrument.exporters.grafana")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)
    for name in [name for name in sys.modules if name.startswith("grafana_foundation_sdk.")]:
        monkeypatch.delitem(sys.modules, name)
    assert run(["grafana", "out"]) == 2
    answer = capsys.readouterr()
    assert (
        answer.err == "metrics: metrics grafana needs grafana_foundation_sdk: pip install 'agent-instrument[grafana]'\n"
    )
    assert not Path("out").exists()
