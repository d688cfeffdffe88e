"""`metrics demo` where CrewAI is installed: its multi-step agent is a crew, recorded without a decorator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai", reason="CrewAI is not installed")

from instrument_cli.demo.questions import questions

LIMIT_S = 240


def metrics(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instrument_cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_the_multi_step_agent_is_a_crew_and_the_report_is_complete(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = metrics("demo", cwd=tmp_path, HOME=str(home), XDG_DATA_HOME=str(home), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    importing, asked, told, _ = done.stderr.splitlines()
    assert importing.startswith("Importing CrewAI")
    assert told.startswith("The multi-step agent was a crew of CrewAI")
    expected = questions(7, 60, 4000)
    troubled = sum(question.trouble is not None for question in expected)
    assert f"{60 - troubled} answered, {troubled} failed" in asked
    answer: dict[str, Any] = json.loads(metrics("report", "--format", "json", cwd=tmp_path).stdout)
    report, queries = answer["report"], answer["queries"]
    assert Counter(query["user_input"] for query in queries) == Counter(question.text for question in expected)
    crews = [query for query in queries if query["agent_type"] == "multi_step"]
    assert len(crews) == report["agents"]["multi_step"]["queries"] > 20
    assert all(query["attributes"]["tasks"] == "answer" and query["model"] == "rules" for query in crews)
    assert all(query["input_tokens"] and query["tool_calls"] and query["graphql_queries"] for query in crews)
    assert [query["error_type"] for query in crews if not query["success"]] == ["ToolExecutionFailedError"]
    assert {choice["query_id"]: choice["selected_agent"] for choice in answer["agent_selections"]} == {
        query["query_id"]: query["agent_type"] for query in queries
    }
    assert report["errors"]["ToolExecutionFailedError"] == 1
    assert sum(report["errors"].values()) == report["queries"]["failed"]
    assert report["data"] == {"dropped": 0, "skipped": 0, "reasons": {}, "percentiles": "exact"}
    assert "╭" not in done.stdout  # what CrewAI prints of itself
    assert list(tmp_path.rglob("*.db")) == []  # what it stores is gone, and was never at home
