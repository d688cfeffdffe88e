"""What an agent may ask through `metrics mcp`, asked with the SDK's own client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from cli_store import Answer, command, environment, query, write
from instrument_cli import mcp as tools
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from instrument.config import Config

ALL = {
    "report",
    "find_queries",
    "show_query",
    "failures",
    "slow",
    "compare",
    "trends",
    "forecast",
    "advice",
    "sql",
    "sql_tables",
}


@pytest.fixture
def ask(store: Path) -> Callable[..., Any]:
    """Call one tool of the server in this process."""

    def asked(name: str, **given: Any) -> Any:
        async def session() -> Any:
            async with Client(tools.server(Config(directory=str(store)))) as client:
                return await client.call_tool(name, given)

        return anyio.run(session)

    return asked


def test_every_tool_says_that_it_only_reads_and_what_it_answers(store: Path) -> None:
    async def session() -> Any:
        async with Client(tools.server(Config(directory=str(store)))) as client:
            return await client.list_tools()

    found = {tool.name: tool for tool in anyio.run(session).tools}
    assert found.keys() == ALL
    for tool in found.values():
        assert tool.description
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]
        assert tool.annotations is not None
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)


def test_the_report_has_the_figures_of_the_command(ask: Callable[..., Any]) -> None:
    found = ask("report", hours=1).structured_content
    assert (found["queries"]["total"], found["queries"]["failed"]) == (12, 1)
    assert set(found["agents"]) == {"simple", "crewai"}
    assert found["errors"] == {"TimeoutError": 1}
    assert ask("report", hours=1, where=["agent=crewai"]).structured_content["queries"]["total"] == 1


def test_queries_are_found_listed_and_shown_whole(ask: Callable[..., Any]) -> None:
    listed = ask("find_queries", hours=1, limit=5).structured_content
    assert (len(listed["queries"]), listed["more"]) == (5, True)
    (failed,) = ask("failures", hours=1).structured_content["queries"]
    assert failed["error_type"] == "TimeoutError"
    assert ask("slow", hours=1, limit=1).structured_content["queries"][0]["query_id"] == failed["query_id"]
    (found,) = ask("find_queries", hours=1, contains="payment history").structured_content["queries"]
    whole = ask("show_query", query_id=found["query_id"]).structured_content
    assert [call["name"] for call in whole["query"]["calls"]][:2] == ["find_customers", "query Customers"]
    assert whole["calls_left_out"] == 0


def test_periods_are_compared_and_trends_and_advice_say_what_they_lack(ask: Callable[..., Any], store: Path) -> None:
    write(store, [query(90 + number, 500 + number) for number in range(5)], name="000000-4712-aabbccdd.jsonl")
    found = ask("compare", hours=1).structured_content
    assert (found["before"]["queries"], found["after"]["queries"]) == (5, 12)
    for name in ("trends", "advice"):
        few = ask(name).structured_content
        assert few["findings"] == []
        assert few["note"]
    short = ask("forecast", figure="queries", days=7)
    assert short.is_error
    assert "needs 2 days of history" in short.content[0].text


def test_the_cost_of_next_week_is_forecast(ask: Callable[..., Any], store: Path) -> None:
    past = [query(60 * hour + 1, 1000 + hour, cost_usd=0.5) for hour in range(24 * 6)]
    write(store, past, name="000000-4712-aabbccdd.jsonl")
    found = ask("forecast").structured_content
    assert (found["figure"], len(found["days"])) == ("cost", 7)
    assert found["total"]["low"] <= found["total"]["mean"] <= found["total"]["high"]
    assert found["total"]["mean"] == pytest.approx(7 * 24 * 0.5, rel=0.2)


def test_sql_answers_a_table_and_changes_and_reaches_nothing(ask: Callable[..., Any], store: Path) -> None:
    found = ask("sql", statement="SELECT agent_type, count(*) AS n FROM queries GROUP BY ALL ORDER BY n DESC")
    assert found.structured_content == {
        "columns": ["agent_type", "n"],
        "rows": [["simple", 11], ["crewai", 1]],
        "more": False,
    }
    bounded = ask("sql", statement="SELECT unnest(range(1000)) AS n FROM queries", limit=3).structured_content
    assert (len(bounded["rows"]), bounded["more"]) == (3, True)
    tables = ask("sql_tables").structured_content["tables"]
    assert {"queries", "calls", "selections", "health"} <= set(tables)
    for statement in ("DROP TABLE queries", "SELECT * FROM '/etc/passwd'", f"COPY queries TO '{store}/out.csv'"):
        assert ask("sql", statement=statement).is_error


def test_a_wrong_question_is_an_answer_that_says_what_is_wrong(ask: Callable[..., Any]) -> None:
    for name, given, word in (
        ("show_query", {"query_id": "nothing"}, "nothing"),
        ("find_queries", {"where": ["=="]}, "filter"),
        ("find_queries", {"sort": "size"}, "sort"),
        ("find_queries", {"limit": 10_000}, "100"),
    ):
        answer = ask(name, **given)
        assert answer.is_error
        assert word in answer.content[0].text


def test_long_texts_are_cut_and_groups_bounded(store: Path, ask: Callable[..., Any]) -> None:
    many = [query(5, 900 + number, agent=f"agent-{number:03}", user_input="x" * 5000) for number in range(80)]
    write(store, many, name="000000-4713-aabbccdd.jsonl")
    assert len(ask("report", hours=1).structured_content["agents"]) == tools.MOST_GROUPS
    longest = ask("find_queries", hours=1, where=["agent=agent-001"]).structured_content["queries"][0]["user_input"]
    assert len(longest) == tools.LONGEST_TEXT + 1


def test_the_command_serves_over_standard_input_and_output(store: Path) -> None:
    async def session() -> Any:
        program = StdioServerParameters(
            command=sys.executable, args=[*command("mcp", "--from", str(store))[1:]], env=environment()
        )
        async with Client(stdio_client(program)) as client:
            return await client.call_tool("report", {"hours": 1})

    with anyio.from_thread.start_blocking_portal() as portal:
        found = portal.call(session)
    assert found.structured_content["queries"]["total"] == 12


def test_without_the_extra_one_line_says_what_to_install(store: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden" / "mcp"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('no mcp', name='mcp')")
    path = os.pathsep.join([str(hidden.parent), environment()["PYTHONPATH"]])
    done = subprocess.run(command("mcp"), env=environment(PYTHONPATH=path), capture_output=True, text=True, timeout=60)
    answer = Answer(done.returncode, done.stdout, done.stderr)
    assert answer == Answer(2, "", "metrics: metrics mcp needs mcp: pip install 'agent-instrument[mcp]'\n")
