"""What is defined in `__main__` goes by value to other processes, and records there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

APPLICATION = """
import asyncio, functools, sys
from instrument import *

@track_tool
def tool(x): return x * 3

@track_tool("named")
async def async_tool(x, *, plus=1): return x + plus

@track_query(agent="a")
def query(user_input, call=tool): return f"{call(1)} {user_input}"

@track_query(agent="a", input="who")
async def async_query(call=async_tool, **more): return await call(2)

@track_graphql
def graphql(query, variables=None): return {"data": variables}

@track_tool
def steps(n):
    yield from range(n)

@track_query(agent="g")
async def async_steps(n):
    for i in range(n): yield str(i)

class Agent:
    def __init__(self, base): self.base = base

    @track_query(agent="m")
    def ask(self, user_input): return self.find(user_input)

    @track_tool
    def find(self, x): return f"{self.base}{x}"

    @classmethod
    @track_tool
    def made(cls): return cls("made")

    @track_tool
    @staticmethod
    def free(x): return x

    @track_selection
    def choose(self, user_input): self.score(); return "agent"

    @track_complexity
    def score(self): return 0.5

    @track_entities
    async def entities(self): return ["x"]

class Greeting:
    def __init__(self, word): self.word = word
    def __call__(self, name): return f"{self.word} {name}"

def times(a, b): return a * b

def made(by):
    @track_tool
    def inner(k): return k * by
    return inner

greet, tripled = track_tool(Greeting("hi")), track_query(agent="p")(functools.partial(times, 3))
bound, closure = track_tool(Agent("z").find), made(7)
tool(1), query("before"), graphql("query Before { a }")  # they have run here already

THINGS = [tool, async_tool, query, async_query, graphql, steps, async_steps, Agent, greet, tripled, bound, closure]
"""

ELSEWHERE = """
import asyncio, sys
import cloudpickle, dill, pickle
THINGS = {"cloudpickle": pickle, "dill": dill, "dill, recursing": dill}[sys.argv[1]].loads(sys.stdin.buffer.read())
tool, async_tool, query, async_query, graphql, steps, async_steps, Agent, greet, tripled, bound, closure = THINGS
from instrument.testing import capture

async def collected(stream): return [chunk async for chunk in stream]

with capture() as captured:
    agent = Agent("b")
    results = [
        tool(2), asyncio.run(async_tool(1, plus=5)), query("hey"), asyncio.run(async_query(who="me")),
        graphql("query Q { a }", variables=1), list(steps(2)), asyncio.run(collected(async_steps(2))),
        agent.ask("q"), Agent.made().base, Agent.free(4), agent.choose("pick"), asyncio.run(agent.entities()),
        greet("you"), tripled(4), bound(1), closure(6),
    ]
print(results)
print([(query.agent_type, query.name, query.user_input, [call.name for call in query.calls])
       for query in captured.queries])
print([call.name for call in captured.calls])
print([(selection.selected_agent, selection.complexity_score) for selection in captured.selections])
"""

EXPECTED = """
[6, 6, '3 hey', 3, {'data': 1}, [0, 1], ['0', '1'], 'bq', 'made', 4, 'agent', ['x'], 'hi you', 12, 'z1', 42]
[('a', 'query', 'hey', ['tool']), ('a', 'async_query', 'me', ['named']), ('g', 'async_steps', '2', []), \
('m', 'Agent.ask', 'q', ['Agent.find']), ('p', 'times', '3', [])]
['tool', 'named', 'query Q', 'steps', 'Agent.made', 'Agent.free', 'Greeting', 'Agent.find', 'Agent.find', 'inner']
[('agent', 0.5)]
"""

DUMPS = {
    "cloudpickle": "import cloudpickle; data = cloudpickle.dumps(THINGS)",
    "dill": "import dill; data = dill.dumps(THINGS)",
    "dill, recursing": "import dill; dill.settings['recurse'] = True; data = dill.dumps(THINGS)",
}


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **options.pop("env", {})}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, timeout=120, check=False, env=environment, **options
    )
    assert done.returncode == 0, done.stderr.decode()
    return done


@pytest.mark.parametrize("how", DUMPS)
def test_whatever_is_decorated_in_main_goes_by_value_and_records_on_the_other_side(how: str, tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(f"{APPLICATION}\n{DUMPS[how]}\nsys.stdout.buffer.write(data)\n")
    data = run(str(script)).stdout
    told = run("-c", ELSEWHERE, how, input=data, cwd=tmp_path).stdout.decode()
    assert told.strip() == EXPECTED.strip()


def test_what_goes_by_value_takes_no_records_along(tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(
        f"{APPLICATION}\n"
        "import cloudpickle\n"
        "before = len(cloudpickle.dumps(query))\n"
        "for number in range(1000): query(f'a question {number}'); graphql('query Q%d { a }' % number)\n"
        "print(before, len(cloudpickle.dumps(query)))\n"
    )
    before, after = map(int, run(str(script)).stdout.split())
    assert before == after
    assert before < 8000


def test_joblib_runs_decorated_functions_of_main_in_processes_that_record(tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from joblib import Parallel, delayed
        from instrument import track_query, track_tool

        @track_tool
        def square(x): return x * x

        @track_query(agent="worker")
        def ask(user_input): return square(user_input)

        def last(x):
            import instrument
            return instrument.flush(10)

        with Parallel(n_jobs=2, backend="loky", batch_size=1) as parallel:
            assert parallel(delayed(ask)(x) for x in range(20)) == [x * x for x in range(20)]
            time.sleep(0.5)
            assert all(parallel(delayed(last)(x) for x in range(8)))
        """)
    )
    store = tmp_path / "store"
    run(str(script), cwd=tmp_path, env={"INSTRUMENT_DIRECTORY": str(store), "JOBLIB_MULTIPROCESSING": "1"})
    lines = [json.loads(line) for file in store.rglob("*.jsonl") for line in file.read_text().splitlines()]
    queries = [line for line in lines if line.get("a") == "worker"]
    assert sorted(int(line["q"]) for line in queries) == list(range(20))
    assert all(len(line["c"]) == 1 for line in queries)
