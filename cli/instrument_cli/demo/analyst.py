"""Who answers questions of several parts: a crew of CrewAI where that is installed, else an agent of our own."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import NamedTuple

import instrument
from instrument_cli.demo.multi_step_agent import MultiStepAgent
from instrument_cli.demo.shift import MakeAnalyst


class Analyst(NamedTuple):
    """How to make the agent, and a sentence that says what it is."""

    make: MakeAnalyst
    told: str


@contextlib.contextmanager
def analyst(say: Callable[[str], None]) -> Iterator[Analyst]:
    """Find out who answers; what takes long is said before it is done.

    While the crew is at work, what CrewAI prints and logs is kept away, and what it stores goes with the folder.
    """
    version = _installed()
    if not version:
        yield Analyst(MultiStepAgent, "The multi-step agent was one of our own; with CrewAI installed it is a crew.")
        return
    say(f"Importing CrewAI {version} for the multi-step agent, which takes some seconds.")
    with tempfile.TemporaryDirectory(prefix="agent-instrument-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["CREWAI_STORAGE_DIR"] = folder
        logging.getLogger("crewai").setLevel(logging.CRITICAL)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield _crew(version)


def _crew(version: str) -> Analyst:
    try:
        instrument.install("crewai")
        from instrument_cli.demo.crew_agent import CrewAgent
    except Exception as problem:  # noqa: BLE001 - a broken installation of another package may raise anything
        why = f"{type(problem).__name__}: {problem}".splitlines()[0]
        return Analyst(
            MultiStepAgent, f"The multi-step agent was one of our own: CrewAI {version} is no use here ({why})."
        )
    return Analyst(CrewAgent, f"The multi-step agent was a crew of CrewAI {version}.")


def _installed() -> str:
    try:
        return metadata.version("crewai")
    except metadata.PackageNotFoundError:
        return ""
