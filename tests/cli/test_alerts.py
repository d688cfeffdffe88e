"""`metrics alerts` lists, checks, tests, silences and writes rules; each mistake is one line with an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_store import Answer, query, write

RULES = """
[[alerts]]
name = "failures"
figure = "failure_rate"
above = 0.05
window = "1h"
least_queries = 1
severity = "critical"

[[alerts]]
name = "slow"
figure = "p95"
above = 60000
window = "1h"
by = "agent"
"""


@pytest.fixture
def ruled(store: Path) -> Path:
    Path("instrument.toml").write_text(RULES)
    return store


def test_check_ends_with_3_when_an_alert_fires_and_the_list_shows_it(
    ruled: Path, metrics: Callable[..., Answer]
) -> None:
    assert "not evaluated yet" in metrics("alerts").out
    checked = metrics("alerts", "check")
    assert (checked.code, checked.err) == (3, "")
    assert " failures  firing just now  critical\n   failure_rate above 5.0 % over 1h\n" in checked.out
    listed = metrics("alerts")
    assert listed.code == 0
    assert "failures  firing just now" in listed.out


def test_check_ends_with_0_when_none_fires(tmp_path: Path, metrics: Callable[..., Answer]) -> None:
    write(tmp_path / "monitoring", [query(10 + number, 100 + number) for number in range(11)])
    Path("instrument.toml").write_text(RULES)
    assert metrics("alerts", "check").code == 0


def test_check_without_a_store_ends_with_1_and_a_wrong_rule_with_2(metrics: Callable[..., Answer]) -> None:
    Path("instrument.toml").write_text(RULES)
    missing = metrics("alerts", "check")
    assert (missing.code, missing.err.count("\n")) == (1, 1)
    Path("instrument.toml").write_text(RULES.replace("p95", "p59"))
    wrong = metrics("alerts", "check")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "alert 'slow': there is no figure 'p59'" in wrong.err


@pytest.mark.parametrize("command", [(), ("check",), ("test", "slow"), ("silence", "slow", "--for", "1h")])
@pytest.mark.parametrize("address", ["clickhouse://me:secret@127.0.0.1:9/agents", "s3://bucket/agents"])
def test_an_address_is_refused_before_another_store_is_looked_at(
    ruled: Path, metrics: Callable[..., Answer], command: tuple[str, ...], address: str
) -> None:
    answer = metrics("alerts", *command, "--from", address)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "alerts are evaluated over one alone" in answer.err
    assert "secret" not in answer.err
    assert not (ruled / ".state" / "alerts.json").exists()


def test_json_has_every_group_with_its_state(ruled: Path, metrics: Callable[..., Answer]) -> None:
    checked = metrics("alerts", "check", "--format", "json")
    found = {(one["name"], one["group"]): one["state"] for one in json.loads(checked.out)["alerts"]}
    assert found == {("failures", None): "firing", ("slow", "crewai"): "inactive", ("slow", "simple"): "inactive"}


def test_a_filter_that_matches_nothing_is_said(ruled: Path, metrics: Callable[..., Answer]) -> None:
    Path("instrument.toml").write_text(RULES + 'where = ["agent=smiple"]\n')
    answer = metrics("alerts")
    assert answer.err == (
        "metrics: alert 'slow': no query of the last 7 days matches agent=smiple; correct the filter if one should\n"
    )


def test_the_past_of_an_alert(ruled: Path, metrics: Callable[..., Answer]) -> None:
    answer = metrics("alerts", "test", "failures", "--since", "-3h")
    assert answer.code == 0
    assert "It would have fired 1 time" in answer.out
    never = metrics("alerts", "test", "slow", "--since", "-3h")
    assert "It would never have fired" in never.out
    unknown = metrics("alerts", "test", "failure")
    assert (unknown.code, unknown.err) == (2, "metrics: there is no alert 'failure'; did you mean 'failures'?\n")


def test_a_silence_is_listed_and_lifted(ruled: Path, metrics: Callable[..., Answer]) -> None:
    assert metrics("alerts", "silence", "failures", "--for", "2h", "--comment", "known").code == 0
    assert "(known)" in metrics("alerts").out
    assert metrics("alerts", "silence", "failures", "--for", "0").out == "failures is heard again\n"
    assert "(known)" not in metrics("alerts").out
    wrong = metrics("alerts", "silence", "failures", "--for", "soon")
    assert (wrong.code, wrong.err) == (
        2,
        "metrics: --for 'soon' is no length of time; write one such as 30m, 2h or 3d\n",
    )


def test_rules_for_prometheus_are_printed_or_written(ruled: Path, metrics: Callable[..., Answer]) -> None:
    assert metrics("alerts", "rules").out.startswith("groups:\n  - name: agent-instrument\n")
    written = metrics("alerts", "rules", "--output", "prometheus")
    assert written.out == "prometheus/rules.yml\nprometheus/rules_test.yml\n"


def test_without_rules_an_example_is_shown(store: Path, metrics: Callable[..., Answer]) -> None:
    answer = metrics("alerts")
    assert (answer.code, answer.err) == (0, "")
    assert "[[alerts]]" in answer.out


def test_no_command_prints_a_secret(
    ruled: Path, metrics: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    targets = 'x = "json://me:hunter2@127.0.0.1:9/p?token=${HOOK_TOKEN}"\ny = "slack://hunter2/b/c"\n'
    Path("instrument.toml").write_text(f"[alert_targets]\n{targets}{RULES}")
    answers = [metrics("alerts", *more) for more in ((), ("check",), ("check", "--format", "json"), ("rules",))]
    kept = (ruled / ".state" / "alerts.json").read_text() if (ruled / ".state" / "alerts.json").exists() else ""
    for text in (*(answer.out + answer.err for answer in answers), kept):
        assert "hunter2" not in text
        assert "s3cret" not in text


def test_a_narrow_terminal_cuts_nothing_that_matters(ruled: Path, metrics: Callable[..., Answer]) -> None:
    from instrument_cli.rendering.alerts import draw_alerts
    from instrument_cli.rendering.page import Page

    from instrument.alerting import listing, state_file
    from instrument.alerting.rules import read_rules

    metrics("alerts", "check")
    state = state_file.read(ruled)
    listed = listing.listed(read_rules(Path.cwd()), state, state.instances[0].seen or state.instances[1].seen)  # type: ignore[arg-type]
    drawn = [line.plain for line in draw_alerts(listed, Page(40, bounded=True))]
    assert max(map(len, drawn)) <= 40
    assert "over 1h" in " ".join(" ".join(drawn).split())


def test_the_detail_says_what_the_rule_counted(ruled: Path, metrics: Callable[..., Answer]) -> None:
    detail = json.loads(metrics("alerts", "check", "--format", "json").out)["alerts"][0]["detail"]
    assert detail == "failure_rate 8.3 % over 1h, limit above 5.0 %"


def test_a_rule_with_groups_of_which_there_is_none_was_evaluated_all_the_same(
    ruled: Path, metrics: Callable[..., Answer]
) -> None:
    Path("instrument.toml").write_text(RULES.replace('above = 60000\nwindow = "1h"', 'above = 60000\nwindow = "1m"'))
    metrics("alerts", "check")
    out = metrics("alerts").out
    assert "not evaluated yet" not in out
    assert " slow  inactive  warning\n   p95 above 1 m 00 s over 1m by agent\n   no data\n" in out
