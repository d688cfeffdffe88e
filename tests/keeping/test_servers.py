"""Real servers with several processes: gunicorn and Celery, through every ordinary way in which their workers end.

The flush interval is a minute wherever the end of a worker is what must bring its records to the disk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeping_application import PATIENCE, Application

NEVER = "60000"

SERVED = """
import asyncio, os
from instrument import flush, query_span, track_query, track_tool

@track_tool
def look(text):
    return text

@track_query(agent="sync", input="text")
def answer(text):
    return look(text)

@track_query(agent="async", input="text")
async def reply(text):
    await asyncio.sleep(0)
    return look(text)

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{answer(environ['QUERY_STRING'])} {os.getpid()}".encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        flush()
        return await send({"type": "lifespan.shutdown.complete"})
    text = await reply(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": f"{text} {os.getpid()}".encode()})
"""


class Server:
    """gunicorn in a folder of its own, with two workers."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "served.py").write_text(SERVED)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = ["gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        self.process = started(
            folder, *command, "--log-level", "warning", *arguments, INSTRUMENT_FLUSH_INTERVAL_MS=NEVER
        )
        self.again: list[str] = []

    def ask(self, text: str) -> int:
        """Ask one query, again if a recycled worker closes the connection; returns the process that answered."""
        try:
            return self._ask(text)
        except ConnectionError:
            self.again.append(text)
            return self._ask(text)

    def kept(self, application: Application) -> list[str]:
        """What is in the store; of what had to be asked again, an answer that never arrived is not counted."""
        texts = application.texts()
        for text in self.again:
            if texts.count(text) == 2:
                texts.remove(text)
        return texts

    def _ask(self, text: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/?{text}", timeout=PATIENCE) as answer:
            said, process = answer.read().decode().split()
        assert said == text
        return int(process)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask_all(self, most: int, processes: int = 0) -> int:
        """Ask `web-0` … once the server is up, `most` of them or until so many processes have answered.

        Returns how many were asked.
        """
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.05)
        answered: set[int] = set()
        asked = 0
        while asked < most and (not processes or len(answered) < processes):
            answered.add(self.ask(f"web-{asked}"))
            asked += 1
        return asked


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    yield
    for process in _started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: each holds the pipe that is read here
        process.communicate()
    _started.clear()


def started(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """A program's module, run in a folder that its own modules are imported from."""
    path = os.pathsep.join([str(folder), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _started.append(process)
    return process


def ended(process: subprocess.Popen[str], number: int) -> str:
    """What a program said until it had ended, after a signal."""
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("more", [[], ["--preload"]])
def test_gunicorns_workers_keep_every_request_through_its_end(
    application: Application, numbered, more: list[str], number: int
) -> None:
    server = Server(application.folder, *more, "served:wsgi")
    asked = server.ask_all(60)
    said = ended(server.process, number)
    assert server.process.returncode == 0, said
    assert application.texts() == numbered(web=asked)
    assert "instrument" not in said  # gunicorn may tell of a worker that was just closing its last answer


def test_gunicorns_recycled_workers_keep_every_request(application: Application, numbered) -> None:
    server = Server(application.folder, "--max-requests=7", "served:wsgi")
    asked = server.ask_all(10_000, processes=6)
    said = ended(server.process, signal.SIGTERM)
    assert 14 < asked < 10_000, "no worker was recycled"
    assert server.kept(application) == numbered(web=asked), said


@pytest.mark.parametrize("more", [[], ["--max-requests=7"]])
def test_uvicorn_workers_under_gunicorn_keep_every_request_where_the_lifespans_end_flushes(
    application: Application, numbered, more: list[str]
) -> None:
    server = Server(application.folder, "--worker-class=uvicorn_worker.UvicornWorker", *more, "served:asgi")
    asked = server.ask_all(10_000, processes=5) if more else server.ask_all(40)
    said = ended(server.process, signal.SIGTERM)
    assert 14 < asked < 10_000, "no worker was recycled"
    assert server.kept(application) == numbered(web=asked), said


TASKS = """
import os, time
from celery import Celery
from instrument import query_span, track_query, track_tool

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "broker", "data_folder_out": "broker", "control_folder": "control",
                              "polling_interval": 0.02},
    task_ignore_result=True, broker_connection_retry_on_startup=False,
)

@track_tool
def look(text):
    return text

@app.task
@track_query(agent="celery")
def ask(text):
    with open("done", "a") as done:
        done.write(f"{text} {os.getpid()}\\n")
    return look(text)
"""


def done(folder: Path) -> list[str]:
    """The processes that have run a task, one for each task."""
    file = folder / "done"
    return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize(("more", "number"), [([], signal.SIGQUIT), (["--max-tasks-per-child=3"], signal.SIGTERM)])
def test_celerys_pool_keeps_every_task_through_its_end_and_the_recycling_of_its_processes(
    application: Application, numbered, more: list[str], number: int
) -> None:
    for name in ("broker", "control"):
        (application.folder / name).mkdir()
    (application.folder / "tasks.py").write_text(TASKS)
    send = "import tasks; [tasks.ask.delay(f'task-{n}') for n in range(20)]"
    path = os.pathsep.join([str(application.folder), *sys.path])
    subprocess.run(
        [sys.executable, "-c", send], cwd=application.folder, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    command = ["celery", "-A", "tasks", "worker", "--concurrency=2", "--loglevel=warning", "--without-gossip"]
    worker = started(application.folder, *command, "--without-mingle", *more, INSTRUMENT_FLUSH_INTERVAL_MS=NEVER)
    deadline = time.monotonic() + PATIENCE
    while len(done(application.folder)) < 20:
        assert time.monotonic() < deadline, worker.kill() or worker.communicate()[0]
        time.sleep(0.05)
    said = ended(worker, number)
    assert len(set(done(application.folder))) > 4 or not more, "no process was recycled"
    assert application.texts() == numbered(task=20), said
