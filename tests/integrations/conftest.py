"""Tests against the real frameworks: each is skipped where its framework is missing, except in CI, where it fails.

A test file of a framework begins with `pytest.importorskip("crewai")`. With INSTRUMENT_TESTS_NEED_ALL=1, which the step
of `.ci/run` that installs them all sets, a skip in this folder is a failure.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import instrument
from instrument.integrations import _versions

NEED_ALL = os.environ.get("INSTRUMENT_TESTS_NEED_ALL") == "1"
PATIENCE = 120
"""Seconds after which a process that should have ended counts as hanging."""

# Before any of them is imported: no network is asked for, and an exit does not wait for one.
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_DISABLE_TRACKING="true",
    CREWAI_TRACING_ENABLED="false",
    CREWAI_DISABLE_VERSION_CHECK="true",
    CREWAI_TESTING="true",
    LANGSMITH_TRACING="false",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
)


@pytest.fixture(autouse=True)
def taken_out() -> Iterator[None]:
    """Take every integration out after a test, whatever it installed."""
    yield
    instrument.uninstall()
    _versions._said.clear()


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the event loops that frameworks make for a synchronous run and leave open."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new_event_loop)
    asyncio.set_event_loop(asyncio.new_event_loop())
    yield
    asyncio.set_event_loop(None)
    for loop in made:
        if not loop.is_running():  # CrewAI has one for good, in a thread of its own
            loop.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., str]:
    """Run a program in a process of its own, in an empty folder, and give what it printed; it must end with 0."""

    def ran(program: str, *options: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *options, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return ran


@pytest.fixture(scope="session")
def graphql_url() -> Iterator[str]:
    """The address of a real GraphQL server on loopback, in a process that ends with the tests."""
    server = Path(__file__).with_name("graphql_server.py")
    process = subprocess.Popen([sys.executable, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


def pytest_configure(config: pytest.Config) -> None:
    """Let the frameworks' own deprecations be: they are not ours to mend."""
    for module in ("crewai", "langchain", "langgraph", "litellm", "chromadb", "opentelemetry", "openinference"):
        config.addinivalue_line("filterwarnings", rf"ignore::DeprecationWarning:{module}")
    config.addinivalue_line("filterwarnings", "ignore:Cannot set an attribute on 'crewai:ImportWarning")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """Count a skipped file as a failure where all frameworks are needed."""
    report = yield
    return _needed(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Count a skipped test as a failure where all frameworks are needed."""
    report = yield
    return _needed(report)


def _needed(report: Any) -> Any:
    if NEED_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"INSTRUMENT_TESTS_NEED_ALL=1 allows no skip: {reason}"
    return report
