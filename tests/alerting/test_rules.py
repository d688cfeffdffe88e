"""A rule that is wrong is one line that names the rule and says what to write; no line shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from instrument.alerting.rules import Rules, read_rules
from instrument.alerting.targets import all_targets, check_targets, expanded, shown
from instrument.config import resolve
from instrument.errors import ConfigError, UsageError

RULE = 'name = "slow"\nfigure = "p95"\nabove = 5000\n'


def read(folder: Path, text: str) -> Rules:
    (folder / "instrument.toml").write_text(text, "utf-8")
    return read_rules(folder)


def refused(folder: Path, rule: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_targets(read(folder, f"[[alerts]]\n{rule}"))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('name = "slow"\nfigure = "p59"\nabove = 1', "alert 'slow': there is no figure 'p59'; did you mean p"),
        ('name = "slow"\nabove = 1', "it needs a figure"),
        ('name = "slow"\nfigure = "p95"', "either above = NUMBER or below = NUMBER"),
        (RULE + "below = 1", "either above = NUMBER or below = NUMBER"),
        (RULE + 'for = "1h"\nwindow = "15m"', "for (1h) is longer than its window (15m)"),
        (RULE + 'windwo = "15m"', "no key 'windwo'; did you mean 'window'?"),
        (RULE + 'window = "soon"', "window = 'soon' is no length of time"),
        (RULE + 'where = ["tenant"]', "where 'tenant' is no filter"),
        (RULE + 'severity = "page"', "choose info, warning or critical"),
        (RULE + 'no_data = "fire"', "choose ok, alert or keep"),
        (RULE + 'recovery = "yes"', "neither true nor false"),
        (RULE + 'notify = ["team"]', "there is no target 'team'"),
        ("figure = 'p95'\nabove = 1", "alert 1: it needs a name"),
        (RULE + "\n[[alerts]]\n" + RULE, "two rules have this name"),
        ('name = "f"\nfigure = "failure_rate"\nabove = 10', "a share of 0 to 1, and never above 10; write 0.1"),
        ('name = "f"\nfigure = "failure_rate"\nabove = 1', "never fires"),
        ('name = "c"\nkind = "change"\nfigure = "queries"\nabove = 0.5', "write above = 1.5, or below = 0.5"),
        ('name = "b"\nkind = "burn_rate"\nwindows = ["5m", "1h"]', "the long one first"),
        ('name = "b"\nkind = "burn_rate"\nobjective = 0.9', "never fires"),
        ('name = "a"\nkind = "anomaly"\nfigure = "cost"', "not in 'cost'"),
        ('name = "d"\nkind = "dropped"\nwhere = ["agent=a"]', "no key 'where'"),
        ('name = "k"\nkind = "treshold"\nfigure = "p95"', "choose threshold, change"),
    ],
)
def test_a_wrong_rule_is_one_line_that_names_it_and_says_what_to_write(tmp_path: Path, rule: str, said: str) -> None:
    message = refused(tmp_path, rule)
    assert said in message
    assert "alert" in message


@pytest.mark.parametrize(
    "target", ["nosuch://secret-token/x", "jsons://", "slack://secret-token", "mailto://user:secret-token@"]
)
def test_a_wrong_target_is_one_line_without_its_secret(tmp_path: Path, target: str) -> None:
    message = refused(tmp_path, RULE + f'notify = ["{target}"]')
    assert "alert 'slow': target" in message
    assert "secret-token" not in message


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    assert "environment variable ALERT_HOOK is not set" in refused(tmp_path, RULE + 'notify = ["${ALERT_HOOK}"]')


def test_a_variable_is_filled_in_and_never_shown(tmp_path: Path) -> None:
    text = f'[alert_targets]\nteam = "json://me:${{HOOK_SECRET}}@example.org/x"\n[[alerts]]\n{RULE}'
    [target] = all_targets(read(tmp_path, text)).values()
    assert expanded(target, {"HOOK_SECRET": "s3cret"}) == "json://me:s3cret@example.org/x"
    assert target.label == "team (json://example.org)"
    with pytest.raises(UsageError):
        expanded(target, {})


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("json://u:p@example.org:8080/path?token=x", "json://example.org"),
        ("slack://TokenA/TokenB/TokenC", "slack://…"),
        ("tgram://123456:secret/42", "tgram://…"),
        ("jsons://${HOST}/x", "jsons://…"),
        ("${URL}", "${URL}"),
        ("json://[broken", "json://…"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_secret(url: str, safe: str) -> None:
    assert shown(url) == safe


def test_rules_do_not_disturb_the_settings_beside_them(tmp_path: Path) -> None:
    read(tmp_path, f'sample_rate = 0.5\n[alert_targets]\nx = "json://localhost"\n[[alerts]]\n{RULE}')
    assert resolve({}, {}, tmp_path).config.sample_rate == 0.5


def test_rules_stand_in_pyproject_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[[tool.agent-instrument.alerts]]\n{RULE}", "utf-8")
    assert [rule.name for rule in read_rules(tmp_path).rules] == ["slow"]
