from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_files import records

from instrument.records import QueryRecord
from instrument.store.importing import import_files

FOLDER = Path(__file__).parents[2] / "../shared/data/traces"
GOLDEN = FOLDER / "golden_trace_summary.json"

pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="the published traces are not here")


def summaries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else []
    return found


def files() -> list[Path]:
    return [FOLDER / summary["file"] for summary in summaries()]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, QueryRecord]:
    store = tmp_path_factory.mktemp("golden")
    done = import_files(files(), store)
    assert (done.queries, done.skipped, done.notes) == (len(summaries()), [], [])
    return {record.attributes["trace_id"]: record for record in records(store).values()}


@pytest.mark.parametrize("summary", summaries(), ids=lambda summary: summary["file"])
def test_a_published_trace_has_every_figure_that_its_summary_has(
    imported: dict[str, QueryRecord], summary: dict[str, Any]
) -> None:
    record = imported[summary["trace_id"]]
    assert record.query_id.replace("-", "") == summary["trace_id"]
    assert record.agent_type == summary["trace_name"]
    assert _short(record.attributes.get("timestamp", record.start_time)) == summary["trace_timestamp"]
    assert (_short(record.start_time), _short(record.end_time)) == (summary["first_start"], summary["last_end"])
    assert record.duration_ms == pytest.approx(summary["latency_s"] * 1000, abs=1e-6)
    assert record.attributes["spans"] == summary["types"]
    assert sum(record.attributes["spans"].values()) == summary["n_observations"]
    assert sorted(call.name for call in record.calls if call.kind == "tool") == sorted(summary["tool_names"])
    assert record.tool_calls == len(summary["tool_names"])
    assert (record.input_tokens or 0) + (record.output_tokens or 0) == summary["tokens_total"]
    assert record.cost_usd == pytest.approx(summary["cost"], rel=1e-12)
    assert record.model_calls == sum(summary["types"].get(kind, 0) for kind in ("GENERATION", "EMBEDDING"))
    assert record.metrics.get("depth", 0) == summary["max_depth"]
    assert record.metrics.get("orphans", 0) == summary["orphans"]
    assert record.metrics.get("unfinished", 0) == summary["missing_end"]
    assert record.attributes.get("levels", ["DEFAULT"]) == summary["levels"]
    assert (record.status, record.success) == ("ok", True)


def test_the_model_calls_of_a_published_trace_add_up_to_its_tokens_and_cost(imported: dict[str, QueryRecord]) -> None:
    for record in imported.values():
        models = [call for call in record.calls if call.kind == "model"]
        assert sum(call.input_tokens or 0 for call in models) == (record.input_tokens or 0)
        assert sum(call.output_tokens or 0 for call in models) == (record.output_tokens or 0)
        assert sum(call.cost_usd or 0 for call in models) == pytest.approx(record.cost_usd)
    thought = next(record for record in imported.values() if record.reasoning_tokens)
    assert (thought.input_tokens, thought.output_tokens, thought.reasoning_tokens) == (6, 2055, 1104)


def test_the_published_traces_imported_again_are_known(tmp_path: Path) -> None:
    import_files(files(), tmp_path)
    before = records(tmp_path)
    again = import_files([*files(), *files()], tmp_path)
    assert (again.queries, again.duplicates) == (0, 2 * len(before))
    assert records(tmp_path) == before


def test_the_user_s_words_are_found_in_what_each_framework_kept(imported: dict[str, QueryRecord]) -> None:
    asked = {summary["file"].partition(".")[0]: imported[summary["trace_id"]].user_input for summary in summaries()}
    assert asked["agno-2025-06-11"] == "What is currently trending on Twitter?"
    assert asked["claude-agent-2025-12-22"] == "What's the weather like in Berlin and New York?"
    assert asked["google-adk-2025-08-28"] == "hi"
    assert asked["langgraph-python-2025-08-22"] == "Search the web for 'example' and summarize."
    assert asked["openai-agents-2025-09-30"] == "What's the weather in Tokyo?"
    assert asked["crewai-2025-07-11"].startswith("Current Task: Define the HTML")


def test_steps_agents_and_scores_of_published_traces_are_kept(imported: dict[str, QueryRecord]) -> None:
    by_name = {record.agent_type: record for record in imported.values()}
    assert by_name["Agent.run"].attributes["steps"]["duckduckgo_search"] == 1
    assert by_name["joke-generator"].attributes["agents"] == ["joke_agent", "evaluator_agent"]
    assert by_name["claude.conversation"].metrics["score.hallucination"] == 1
    assert by_name["joke-generator"].model == "gpt-4o-mini-2024-07-18"


def _short(time: str) -> str:
    """A time in milliseconds, as Langfuse writes it."""
    assert time.endswith("000Z")
    return time[:-4] + "Z"
