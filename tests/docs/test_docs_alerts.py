"""The page on alerts: its rules are read, its commands run, its tables name every kind and key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from instrument.alerting.rules import Rules, read_rules

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "store"))
import store_rows  # noqa: E402

PAGE = (ROOT / "docs" / "alerts.md").read_text("utf-8")
SHOWN = re.findall(r"^\$ (metrics .+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alerts")
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (folder / "instrument.toml").write_text(example, "utf-8")
    now = datetime.now(UTC)
    store_rows.write(
        folder / "monitoring",
        [
            store_rows.query(now - timedelta(minutes=place), serial=place + 1, attributes={"tenant": "north"})
            for place in range(60)
        ],
    )
    return folder


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_shown_does_what_it_says(line: str, folder: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INSTRUMENT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    command = line.replace("metrics ", f'"{sys.executable}" -m instrument_cli ', 1)
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    said = [one for one in done.stderr.splitlines() if "is left out" not in one]
    assert (done.returncode, said) == (0, [])


def test_the_example_has_a_rule_of_every_kind(folder: Path) -> None:
    rules: Rules = read_rules(folder)
    kinds = {rule.kind for rule in rules.rules}
    assert kinds == {"threshold", "change", "burn_rate", "silent", "anomaly", "dropped"}
    assert SHOWN
