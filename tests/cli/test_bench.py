"""`metrics bench` as a user runs it in a CI job: in a process of its own, on a module of his own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AGENTS = """
import asyncio, json
from instrument import track_query, track_tool

@track_tool
def look_up(number):
    return [json.dumps({"number": each}) for each in range(number)]

@track_query(agent="shop")
def answer(text, number=300):
    print("the function's own output")
    return text + str(len(look_up(number)))

@track_query(agent="shop")
async def answer_async(text):
    await asyncio.sleep(0)
    return text + str(len(look_up(300)))

@track_query(agent="shop")
def stream(text):
    for _ in range(3):
        look_up(100)
        yield text

@track_query(agent="shop")
def expensive(text):
    return text

class Agent:
    @track_query(agent="shop")
    def ask(self, text):
        return text

def make_agent(text="unpaid bills"):
    agent = Agent()
    return lambda: agent.ask(text)

def plain(text="x"):
    return text

@track_query
def broken(text="x"):
    raise ValueError("not\\ntoday")

number = 3
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop_agents.py").write_text(AGENTS, "utf-8")
    return tmp_path


def bench(place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli")])
    return subprocess.run(
        [sys.executable, "-m", "instrument_cli", "bench", "--seconds", "0.2", *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("function", "queries", "calls"), [("answer", 1, 1), ("answer_async", 1, 1), ("stream", 1, 3), ("Agent.ask", 1, 0)]
)
def test_it_says_what_a_call_records(place: Path, function: str, queries: int, calls: int) -> None:
    arguments = ["--arg", "{}", "--arg", "unpaid"] if function == "Agent.ask" else ["--arg", "unpaid"]
    done = bench(place, f"shop_agents:{function}", *arguments, "--format", "json", "--max-overhead", "100000%")
    assert done.returncode == 0, done.stderr
    told = figures(done)
    assert (told["queries"], told["calls"]) == (queries, calls)
    assert told["held"] is True
    assert isinstance(told["pairs"], int)
    assert told["pairs"] >= 12


def test_a_function_that_does_nothing_but_record_is_over_the_budget(place: Path) -> None:
    done = bench(place, "shop_agents:expensive", "--arg", "x", "--format", "json")
    assert done.returncode == 1
    told = figures(done)
    assert told["held"] is False
    assert told["overhead"]["low"] > told["max_overhead"] == 0.01  # type: ignore[index]


def test_a_factory_makes_what_is_measured(place: Path) -> None:
    done = bench(place, "--factory", "shop_agents:make_agent", "--arg", "late bills", "--max-overhead", "100000")
    assert done.returncode == 0, done.stderr
    assert "1 query and 0 calls" in done.stdout
    assert "the function's own output" not in done.stdout


def test_numbers_are_passed_as_numbers_and_the_functions_output_is_not_shown(place: Path) -> None:
    done = bench(place, "shop_agents:answer", "--arg", "x", "--arg", "10", "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    assert figures(done)["calls"] == 1


def test_the_users_store_is_left_alone(place: Path) -> None:
    (place / "instrument.toml").write_text('directory = "mine"\nformats = ["json"]\nmetrics_file = "mine.json"\n')
    done = bench(place, "shop_agents:answer", "--arg", "x", "--max-overhead", "100000", INSTRUMENT_ENABLED="0")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in place.iterdir()) == ["instrument.toml", "shop_agents.py"]


def test_markdown_is_a_table_with_the_verdict_above_it(place: Path) -> None:
    done = bench(place, "shop_agents:expensive", "--arg", "x", "--format", "markdown")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "### Recording overhead of `shop_agents:expensive`: over 1 %"
    assert {line.count("|") for line in lines if line.startswith("|")} == {3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_such_module:answer"], "cannot be imported: ModuleNotFoundError"),
        (["shop_agents:no_such_function"], "cannot be imported: AttributeError"),
        (["shop_agents"], "MODULE:FUNCTION"),
        (["shop_agents:number"], "is no function but int"),
        (["shop_agents:answer"], "cannot be measured: it raised TypeError"),
        (["shop_agents:broken"], "it raised ValueError: not today"),
        (["shop_agents:plain"], "records nothing"),
        (["shop_agents:plain", "--factory"], "returned str, not a function"),
        (["shop_agents:broken", "--factory"], "the factory shop_agents:broken raised ValueError"),
        (["shop_agents:answer", "--max-overhead", "little"], "is no limit"),
        (["shop_agents:answer", "--seconds", "0"], "is no time"),
        (["shop_agents:answer", "--format", "xml"], "unknown"),
    ],
)
def test_what_cannot_be_measured_ends_with_2_and_one_line(place: Path, arguments: list[str], said: str) -> None:
    done = bench(place, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
