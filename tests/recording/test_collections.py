"""Garbage collected in the middle of anything: what our finalisers do then must harm nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import contextvars, gc
from instrument import current_query, query_span, tool_span, track_query, track_tool
from instrument.testing import capture

foreign = contextvars.ContextVar("foreign")

@track_tool
def tidy(x):
    return x

@track_query(agent="a")
def stream(x):
    try:
        yield 1
        yield 2
    finally:
        tidy(1)

@track_tool
def held(x):
    with tool_span("held"):
        yield 1

def lose(generator):
    next(generator)
    circle = [generator]
    circle.append(circle)

gc.set_threshold(5)
with capture() as captured:
    for turn in range(3000):
        lose(stream(1))
        lose(held(1))
        with query_span("q", agent="b"):
            several = [[] for _ in range(3)]
            token = foreign.set(turn)
            foreign.reset(token)
        assert not current_query()
    gc.collect()
asked = sum(query.agent_type == "b" for query in captured.queries)
streams = [query.status for query in captured.queries if query.agent_type == "a"]
print(asked, len(streams), set(streams))
"""


def test_streams_collected_in_the_middle_of_a_context_variables_change_crash_nothing_and_end_as_closed() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "3000 3000 {'closed'}\n"), done.stderr[-2000:]
