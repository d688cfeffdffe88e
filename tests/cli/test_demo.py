"""`metrics demo`, run as users run it, and the system behind it."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport
from instrument_cli.demo import data
from instrument_cli.demo.questions import Question, questions
from instrument_cli.demo.server import DEFAULT_PORT, serving
from instrument_cli.demo.shift import Outcome, work

from instrument.reading import open_store
from instrument.testing import capture

LIMIT_S = 60
CUSTOMERS = 300


def environment() -> dict[str, str]:
    """The environment of a shell in which the package is installed and nothing is configured."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("INSTRUMENT_")}
    return {**plain, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def metrics(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instrument_cli", *arguments],
        cwd=cwd,
        env={**environment(), **environ},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def stored(store: Path) -> dict[str, Any]:
    """What `metrics report` says of a store, as data."""
    done = metrics("report", "--format", "json", "--directory", str(store), cwd=store.parent)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def said(stderr: str) -> tuple[int, int, int]:
    """How many questions the demo says it asked, how many were answered, how many failed."""
    found = re.search(r"Asked (\d+) questions in [\d.]+ s: (\d+) answered, (\d+) failed", stderr)
    assert found, stderr
    asked, answered, failed = map(int, found.groups())
    return asked, answered, failed


def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def servers(seed: int) -> list[str]:
    """The command lines of the API processes of this seed that are alive."""
    lines = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(place.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended
    return [line for line in lines if f"instrument_cli.demo.server {seed} " in line]


@contextmanager
def running_demo(store: Path, seed: int) -> Iterator[subprocess.Popen[str]]:
    """A demo at work, in a process group of its own as a terminal would put it."""
    command = [sys.executable, "-m", "instrument_cli", "demo", "--directory", str(store), "--seed", str(seed)]
    with subprocess.Popen(
        [*command, "--questions", "400"],
        cwd=store.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_in(store: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in store.rglob("*.jsonl"))


def test_every_question_is_recorded_once_with_what_became_of_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = metrics("demo", "--directory", str(store), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    asked, answered, failed = said(done.stderr)
    expected = questions(7, 60, 4000)
    answer = stored(store)
    report, queries, selections = answer["report"], answer["queries"], answer["agent_selections"]
    assert asked == 60 == report["queries"]["total"]
    assert answered == report["queries"]["successful"]
    assert failed == report["queries"]["failed"]
    assert Counter(query["user_input"] for query in queries) == Counter(question.text for question in expected)
    errors = Counter(query["error_type"] for query in queries if not query["success"])
    assert Counter(question.trouble for question in expected if question.trouble) <= errors
    assert errors == Counter(report["errors"])
    assert sum(report["errors"].values()) == failed
    agents = {query["query_id"]: query["agent_type"] for query in queries}
    assert {choice["query_id"]: choice["selected_agent"] for choice in selections} == agents
    assert len(selections) == 60
    assert set(report["agents"]) == {"simple", "listing", "multi_step"}
    assert "\x1b" not in done.stdout + done.stderr
    assert "multi_step" in done.stdout


def test_a_command_that_the_demo_shows_still_finds_its_queries_a_while_later(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = metrics("demo", "--directory", str(store), cwd=tmp_path)
    (first, *_) = [line for line in done.stdout.splitlines() if line.startswith(" metrics queries --failed")]
    command = shlex.split(first)[1:]
    report = stored(store)["report"]
    agent = command[command.index("--where") + 1].removeprefix("agent=")
    time.sleep(6)  # longer than the demo took
    found = metrics(*command, "--format", "json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    failed = [query for query in json.loads(found.stdout) if query["agent_type"] == agent]
    assert len(failed) == report["agents"][agent]["failed"] > 0


@pytest.fixture(scope="module")
def with_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which somebody else's query lies, and then the demo with fifteen days before it."""
    folder = tmp_path_factory.mktemp("with_days")
    store = folder / "store"
    other = "import instrument\nwith instrument.query_span('mine', agent='own'): pass"
    own = {**environment(), "INSTRUMENT_DIRECTORY": str(store)}
    subprocess.run([sys.executable, "-c", other], env=own, check=True, timeout=LIMIT_S)
    done = metrics("demo", "--days", "15", "--directory", str(store), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Invented [\d,]+ more for the 15 days before", done.stderr)
    return store


def test_invented_days_have_each_query_once_and_none_of_anybody_else(with_days: Path) -> None:
    with open_store(with_days, hours=16 * 24) as found:
        counted = "SELECT count(DISTINCT query_id), count(*) FILTER (agent_type = 'own') FROM queries"
        ids, own = found.sql(counted).fetchall()[0]
        agents = set(found.report().agents)
        total = found.report().queries.total
    assert ids == total > 15_000
    assert own == 1
    assert agents == {"own", "simple", "listing", "multi_step"}


def test_invented_days_answer_what_failed_last_night_and_which_tool_got_worse(with_days: Path) -> None:
    done = metrics("trends", "--since", "-15d", "--from", str(with_days), cwd=with_days.parent, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "failed with TransportConnectionFailed" in done.stdout
    with open_store(with_days, hours=24) as day:
        worse = day.front_page(worse=("tool",)).overview.worse
    assert worse


def test_the_questions_run_into_trouble_about_as_often_as_real_ones() -> None:
    troubled = [question.trouble for question in questions(7, 60, 4000) if question.trouble]
    assert 0.08 <= len(troubled) / 60 <= 0.12
    assert len(set(troubled)) >= 4


def _counting(transport: type, counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    execute = transport.execute  # type: ignore[attr-defined]

    def counted(self: object, request: Any, **options: Any) -> object:
        operation = request.document.definitions[0]
        counts[f"{operation.operation.value} {operation.name.value}"] += 1
        return execute(self, request, **options)

    monkeypatch.setattr(transport, "execute", counted)


def test_recorded_calls_are_the_requests_that_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Counter[str] = Counter()
    _counting(HTTPXTransport, sent, monkeypatch)
    _counting(HTTPXAsyncTransport, sent, monkeypatch)
    asked = questions(3, 60, CUSTOMERS)
    outcomes: list[Outcome] = []
    with serving(3, CUSTOMERS) as server:
        url = server.url()
        with capture() as captured:
            work(url, asked, outcomes.append)
    calls = [call for query in captured.queries for call in query.calls]
    assert captured.calls == []
    assert Counter(call.name for call in calls if call.kind == "graphql") == sent
    assert Counter((query.user_input, query.error_type) for query in captured.queries) == Counter(
        (outcome.question.text, outcome.error) for outcome in outcomes
    )
    assert all(query.selection and query.selection.selected_agent == query.agent_type for query in captured.queries)
    assert all(query.selection and query.selection.complexity_score is not None for query in captured.queries)
    assert len(captured.selections) == len(asked)
    assert {query.agent_type for query in captured.queries} == {"simple", "listing", "multi_step"}


def test_a_partial_answer_fails_the_call_and_not_the_query() -> None:
    asked = [Question("What are the credit scores of customers in India?")]
    with serving(3, CUSTOMERS) as server:
        url = server.url()
        with capture() as captured:
            work(url, asked, lambda outcome: None)
    (query,) = captured.queries
    assert query.success
    assert [call.error_type for call in query.calls if call.kind == "graphql"] == ["TransportQueryError"]


def test_a_reader_who_has_seen_enough_closes_the_list() -> None:
    with serving(3, 4000) as server:
        url = server.url()
        with capture() as captured:
            work(url, [Question("List the customers in India")], lambda outcome: None)
    (query,) = captured.queries
    assert (query.status, query.success, query.agent_type) == ("closed", True, "listing")
    assert query.first_chunk_ms is not None
    assert query.tool_calls == query.graphql_queries == 5


def test_the_same_seed_gives_the_same_books_and_questions() -> None:
    assert data.generate(5, CUSTOMERS).customers == data.generate(5, CUSTOMERS).customers
    assert data.generate(5, CUSTOMERS).customers != data.generate(6, CUSTOMERS).customers
    assert questions(5, 130, CUSTOMERS) == questions(5, 130, CUSTOMERS) != questions(6, 130, CUSTOMERS)


def test_a_taken_port_is_no_problem(tmp_path: Path) -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", DEFAULT_PORT))
            taken.listen()
        except OSError:
            pass  # another demo has it: taken all the same
        done = metrics("demo", "--questions", "3", "--customers", "50", "--directory", "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said(done.stderr)[0] == 3 == stored(tmp_path / "store")["report"]["queries"]["total"]


def test_killed_at_work_leaves_a_store_that_reports_and_no_process(tmp_path: Path) -> None:
    store, seed = tmp_path / "store", 700_000 + os.getpid()
    with running_demo(store, seed) as demo:
        eventually(lambda: lines_in(store) > 10)
        assert len(servers(seed)) == 1
        demo.kill()
        demo.wait()
        eventually(lambda: not servers(seed))
    report = stored(store)["report"]
    assert 10 < report["queries"]["total"] < 400


def test_killed_at_its_start_leaves_no_process(tmp_path: Path) -> None:
    store, seed = tmp_path / "store", 800_000 + os.getpid()
    with running_demo(store, seed) as demo:
        eventually(lambda: bool(servers(seed)))
        demo.kill()
        demo.wait()
        eventually(lambda: not servers(seed))
    done = metrics("report", "--directory", str(store), cwd=tmp_path)
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_cleanly_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    store, seed = tmp_path / "store", 900_000 + os.getpid()
    with running_demo(store, seed) as demo:
        eventually(lambda: lines_in(store) > 10)
        os.killpg(demo.pid, signal.SIGINT)
        _, stderr = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 130
    assert servers(seed) == []
    found = re.fullmatch(r"Stopped after (\d+) of 400 questions; what was recorded is kept in \S+\n", stderr)
    assert found, stderr
    answer = stored(store)
    assert int(found[1]) <= answer["report"]["queries"]["total"] < 400
    assert all(choice["query_id"] for choice in answer["agent_selections"])


def test_missing_packages_are_named_in_one_line(tmp_path: Path) -> None:
    script = "import sys; sys.modules['strawberry'] = None; from instrument_cli.app import run; sys.exit(run(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        'metrics: the demo needs a few more packages: pip install "agent-instrument[demo]"'
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    done = metrics("demo", "--directory", "store", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "--directory" in done.stderr


def test_records_that_the_disk_refuses_are_not_said_to_be_kept(tmp_path: Path) -> None:
    done = metrics("demo", "--questions", "2", "--directory", "/proc/nowhere", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Their records are in" not in done.stderr
    *_, advice, lost = done.stderr.splitlines()
    assert advice.startswith("metrics: /proc/nowhere: ")
    assert lost.startswith(f"2 records could not be written (failing disk: 2); counted in {tmp_path}")


def test_recording_switched_off_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    done = metrics("demo", cwd=tmp_path, INSTRUMENT_ENABLED="0")
    assert done.returncode == 2
    assert "INSTRUMENT_ENABLED" in done.stderr


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-m", "instrument_cli", "demo", "--questions", "4", "--directory", "store"],
        cwd=tmp_path,
        env={**environment(), "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=its,
    )
    os.close(its)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert demo.wait(LIMIT_S) == 0
    assert b"Asking the agents" in shown
    assert b"4/4" in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody has the other end any more
        return b""
