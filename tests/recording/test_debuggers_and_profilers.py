"""Debuggers, tracers, profilers and coverage work on decorated code as on plain code: each is run, on one program."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """\
import asyncio, sys, warnings
from instrument import track_graphql, track_query, track_tool

@track_tool
def tool(number):
    doubled = number * 2
    return doubled

@track_graphql
def graphql(query):
    return {"data": query}

@track_tool
async def waits(number):
    await asyncio.sleep(0)
    return number

@track_tool
def steps(number):
    yield number
    yield number + 1

@track_query(agent="a")
def ask(user_input):
    first = tool(1)
    graphql("query Q { a }")
    return f"{user_input} {first} {list(steps(3))}"

@track_query(agent="a")
async def async_ask(user_input):
    return await waits(4)

def main():
    print("loose", tool(5))
    print("asked", ask("hello"))
    print("awaited", asyncio.run(async_ask("hello")))

if __name__ == "__main__":
    main()
"""
SAID = ["loose 10", "asked hello 2 [3, 4]", "awaited 4"]
ENDS_ITS_THREAD = PROGRAM.replace("import asyncio,", "import instrument, asyncio,") + "    instrument.shutdown()\n"
"""The same without a thread at its end: `trace` goes through its counts while every thread still adds to them."""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1", **more}


def run(program: Path, *command: str, given: str = "", **more: str) -> str:
    """Run python on it, in its folder; gives all that it printed. It must answer as it does by itself."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=program.parent,
        env=environment(**more),
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "unhashable type" not in told
    return told


def answered(told: str) -> bool:
    return all(line in told for line in SAID)


# -- tracers and profilers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--trace",),
        ("--count", "--coverdir", "counts"),
        ("--listfuncs",),
        ("--trackcalls",),
        ("--count", "--trackcalls", "-C", "c"),
    ],
    ids=" ".join,
)
def test_trace(program: Path, options: tuple[str, ...]) -> None:
    program.write_text(ENDS_ITS_THREAD)
    told = run(program, "-m", "trace", *options, str(program))
    assert answered(told) or "--trace" in options  # the writer's lines may come between the words of one
    if "--trace" in options:
        assert "program.py(6)" in told  # Python 3.13 prints the place and the line one after the other
        assert "    doubled = number * 2\n" in told
    if "--listfuncs" in options:
        assert "funcname: tool" in told


@pytest.mark.parametrize("profiler", ["cProfile", "profile"])
def test_the_standard_profilers_show_a_wrapper_under_its_functions_name(program: Path, profiler: str) -> None:
    told = run(program, "-m", profiler, "-s", "filename", str(program))
    assert answered(told)
    if profiler == "profile" and "Bad call" in told:
        return  # it loses its way in any program that has a function in `gc.callbacks`
    assert "<instrument>:1(tool)" in told
    assert "program.py:4(tool)" in told or "program.py:5(tool)" in told


@pytest.mark.parametrize("core", ["ctrace", "pytrace", "sysmon"])
def test_coverage_counts_every_line_and_knows_no_file_of_ours(program: Path, core: str) -> None:
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with Python 3.12")
    (program.parent / ".coveragerc").write_text("[run]\nsource = .\n")
    told = run(program, "-m", "coverage", "run", str(program), COVERAGE_CORE=core)
    assert answered(told)
    report = run(program, "-m", "coverage", "report", "--show-missing", COVERAGE_CORE=core)
    assert "100%" in report.split("program.py")[1].splitlines()[0]
    assert "<instrument>" not in report


def test_viztracer(program: Path) -> None:
    told = run(program, "-m", "viztracer", "-o", "trace.json", "--quiet", str(program))
    assert answered(told)
    names = {event.get("name") for event in json.loads((program.parent / "trace.json").read_text())["traceEvents"]}
    assert any(str(name).startswith("tool (<instrument>") for name in names)
    assert any(str(name).startswith("ask (") and "program.py" in str(name) for name in names)


def test_pyinstrument(program: Path) -> None:
    told = run(program, "-m", "pyinstrument", "--interval", "0.0001", "--show-all", str(program))
    assert answered(told)


def test_line_profiler_times_the_lines_of_a_decorated_function(program: Path) -> None:
    program.write_text(PROGRAM.replace("@track_tool\ndef tool", "@profile\n@track_tool\ndef tool"))
    told = run(program, "-m", "kernprof", "-l", "-v", str(program))
    assert answered(told)
    program.write_text(PROGRAM.replace("@track_tool\ndef tool", "@track_tool\n@profile\ndef tool"))
    told = run(program, "-m", "kernprof", "-l", "-v", str(program))
    assert answered(told)
    assert "doubled = number * 2" in told


@pytest.mark.parametrize("order", ["@snoop()\n@track_tool\n", "@track_tool\n@snoop()\n"])
def test_pysnooper(program: Path, order: str) -> None:
    text = PROGRAM.replace("@track_tool\ndef tool", f"{order}def tool").replace(
        "import asyncio", "from pysnooper import snoop; import asyncio"
    )
    program.write_text(text)
    told = run(program, str(program))
    assert answered(told)
    assert "number = 5" in told


# -- debuggers -----------------------------------------------------------------------------------------------------


def test_pdb_steps_through_a_wrapper_in_one_line_and_shows_it(program: Path) -> None:
    commands = ["b program.py:6", "c", "up", "p number", "up", "down", "down", "n", "p doubled", "c", "c", "q"]
    told = run(program, "-m", "pdb", str(program), given="\n".join([*commands, ""]))
    assert "<instrument>(1)tool()" in told
    assert "-> return decorated_function(...)  # recorded by instrument" in told
    assert "(Pdb) 5" in told  # the argument, in the wrapper's own frame
    assert "(Pdb) 10" in told


def test_pdb_steps_into_a_decorated_function_with_two_stops_in_the_wrapper_and_out_with_one(program: Path) -> None:
    # Since 3.14 the debugger does not stop at a line right after the call that it is in: one stop less.
    own_line = [] if sys.version_info >= (3, 14) else ["<instrument>(1)tool()"]
    line = PROGRAM.splitlines().index("    first = tool(1)") + 1
    commands = [f"b program.py:{line}", "c", *["s"] * 7, "c", "q"]
    told = run(program, "-m", "pdb", str(program), given="\n".join([*commands, ""]))
    stops = [line.removeprefix("(Pdb) ") for line in told.splitlines()]
    places = [line.removeprefix("> ").rpartition("/")[2] for line in stops if line.startswith("> ")]
    start = places.index(f"program.py({line})ask()")
    assert places[start + 1 : start + 7 + len(own_line)] == [
        "<instrument>(1)tool()",  # its call
        *own_line,
        "program.py(5)tool()" if "program.py(5)tool()" in places else "program.py(4)tool()",
        "program.py(6)tool()",
        "program.py(7)tool()",
        "program.py(7)tool()->2",
        "<instrument>(1)tool()->2",
    ]


class Client:
    """As much of the debug adapter protocol as an editor speaks to stop at breakpoints and look around."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.sent = 0
        self.unread: list[dict[str, Any]] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        self.sent += 1
        body = json.dumps({"seq": self.sent, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self.sent

    def receive(self) -> dict[str, Any]:
        length = 0
        while (line := self.file.readline().strip()) or not length:
            assert line, "the debugger has gone"
            length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self.file.read(length))
        return message

    def until(self, wanted: Any) -> dict[str, Any]:
        """The first message that is wanted; those before it stay: the next stop may be sent before an answer."""
        for place, message in enumerate(self.unread):
            if wanted(message):
                return self.unread.pop(place)
        while not wanted(message := self.receive()):
            self.unread.append(message)
        return message

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        number = self.send(command, **arguments)
        answer = self.until(lambda message: message.get("request_seq") == number)
        assert answer["success"], answer
        return answer.get("body") or {}

    def event(self, *names: str) -> dict[str, Any]:
        return self.until(lambda message: message.get("event") in names)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("just_my_code", [True, False])
def test_debugpy_stops_in_a_decorated_function_and_its_caller_and_goes_on(program: Path, just_my_code: bool) -> None:
    port = free_port()
    debugged = subprocess.Popen(
        [
            sys.executable,
            "-Xfrozen_modules=off",
            "-m",
            "debugpy",
            "--listen",
            f"127.0.0.1:{port}",
            "--wait-for-client",
            str(program),
        ],
        cwd=program.parent,
        env=environment(PYDEVD_DISABLE_FILE_VALIDATION="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with connected(port, debugged) as client:
            stops = debug(client, program, just_my_code)
        told, _ = debugged.communicate(timeout=60)
    finally:
        debugged.kill()
    assert debugged.returncode == 0, told
    assert answered(told)
    lines = PROGRAM.splitlines()
    assert [lines[line - 1].strip() for _, line in stops] == [
        "doubled = number * 2",
        "first = tool(1)",
        "doubled = number * 2",
        "return doubled",
        "await asyncio.sleep(0)",
    ]
    assert {name for name, _ in stops} == {"tool", "ask", "waits"}


def connected(port: int, debugged: subprocess.Popen[str]) -> Client:
    while True:
        try:
            return Client(port)
        except ConnectionRefusedError:
            assert debugged.poll() is None, debugged.communicate()[0]


def debug(client: Client, program: Path, just_my_code: bool) -> list[tuple[str, int]]:
    """Go from stop to stop, with one step in the second call of the tool; gives the function and line of each."""
    wanted = ("doubled = number * 2", "first = tool(1)", "await asyncio.sleep(0)")
    lines = [number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.strip() in wanted]
    client.ask("initialize", adapterID="test", linesStartAt1=True, columnsStartAt1=True, pathFormat="path")
    client.send("attach", justMyCode=just_my_code, connect={})
    client.event("initialized")
    client.ask("setBreakpoints", source={"path": str(program)}, breakpoints=[{"line": line} for line in lines])
    client.ask("configurationDone")
    stops: list[tuple[str, int]] = []
    while (event := client.event("stopped", "terminated"))["event"] == "stopped":
        thread = event["body"]["threadId"]
        frame = client.ask("stackTrace", threadId=thread)["stackFrames"][0]
        stops.append((frame["name"], frame["line"]))
        client.ask("evaluate", expression="number if 'number' in dir() else user_input", frameId=frame["id"])
        client.ask("next" if len(stops) == 3 else "continue", threadId=thread)
    return stops
