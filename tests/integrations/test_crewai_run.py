"""A crew of one's own under `metrics run`: no line of it knows of recording, and the report is complete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai", reason="CrewAI is not installed")
pytest.importorskip("gql", reason="gql is not installed")

from instrument_cli.demo.server import serving

PATIENCE = 180

APPLICATION = """
import os
import sys

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", CREWAI_DISABLE_VERSION_CHECK="true")

from crewai import Agent, Crew, Task
from crewai.tools import tool
from crewai_crews import MODEL, ScriptedLLM, steps
from gql import Client, gql
from gql.transport.httpx import HTTPXTransport

client = Client(transport=HTTPXTransport(sys.argv[1], verify=False, trust_env=False))

@tool("count_customers")
def count_customers(country: str) -> str:
    '''Count the customers of a country.'''
    query = gql("query CountCustomers($country: String!) { customers(country: $country, first: 1) { total } }")
    query.variable_values = {"country": country}
    return str(client.execute(query)["customers"]["total"])

@tool("ask_oracle")
def ask_oracle(question: str) -> str:
    '''Ask what nobody knows.'''
    raise LookupError("nobody knows")

def agent(role, calls, tool, native):
    model = ScriptedLLM(model=MODEL, script=steps(calls, f"{role} is done"), native=native)
    return Agent(role=role, goal="Find it", backstory="Years at the desk", tools=[tool], llm=model)

counter = agent("Counter", [("count_customers", {"country": "India"})], count_customers, native=True)
asker = agent("Asker", [("ask_oracle", {"question": "why"})], ask_oracle, native=False)
tasks = [
    Task(name=name, description=f"{name} {{what}}", expected_output="It", agent=agent)
    for name, agent in (("count", counter), ("ask", asker))
]
crew = Crew(name="Survey", agents=[counter, asker], tasks=tasks)
for output in crew.kickoff_for_each([{"what": "customers"}, {"what": "bills"}]):
    print(output.raw)
raise SystemExit(3)
"""


def metrics(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instrument_cli", *arguments],
        cwd=cwd,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "CREWAI_STORAGE_DIR": str(cwd / "own")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_crew_under_metrics_run_has_a_complete_report(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION, "utf-8")
    with serving(3, 50) as server:
        done = metrics("run", "app.py", server.url(), cwd=tmp_path)
    assert done.returncode == 3, done.stderr  # its own
    assert done.stdout.count("Asker is done") == 2
    answer: dict[str, Any] = json.loads(metrics("report", "--format", "json", cwd=tmp_path).stdout)
    report, queries = answer["report"], answer["queries"]
    assert sorted(query["user_input"] for query in queries) == ["bills", "customers"]
    for query in queries:
        assert (query["agent_type"], query["success"], query["tool_calls"], query["graphql_queries"]) == (
            "Survey",
            True,
            2,
            1,
        )
        assert query["attributes"] == {"crews": "Survey", "tasks": "count; ask", "agents": "Counter; Asker"}
        assert query["model"] == "scripted-1"
        assert query["input_tokens"] == 4 * 10
        assert query["model_calls"] == 4
        assert [(call["name"], call["success"]) for call in query["calls"] if call["kind"] != "model"] == [
            ("count_customers", True),
            ("query CountCustomers", True),
            ("ask_oracle", False),
        ]
    assert report["tools"]["ask_oracle"]["failed"] == report["tools"]["ask_oracle"]["calls"] == 2
    assert report["graphql"]["query CountCustomers"]["calls"] == 2
    assert (report["errors"], report["call_errors"]) == ({}, {"LookupError": 2})
    shown = metrics("report", cwd=tmp_path).stdout
    for figure in ("Survey", "count_customers", "ask_oracle", "query CountCustomers", "LookupError 2", "complete"):
        assert figure in shown
