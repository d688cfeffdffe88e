"""`metrics demo`."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from instrument.config import Config
from instrument.errors import StoreError, UsageError
from instrument_cli.commands import options
from instrument_cli.commands.arguments import settings

if TYPE_CHECKING:
    from instrument_cli.demo.shift import Outcome

_INTERRUPTED = 130
_DISK_LIMIT_S = 5.0
_EXTRA_MODULES = ("strawberry", "gql", "uvicorn", "starlette")
_HTTP_MODULES = ("httpx", "httpx2")  # gql takes either


def demo(
    questions: Annotated[int, typer.Option("--questions", metavar="N", min=1, help="How many questions to ask.")] = 60,
    customers: Annotated[
        int, typer.Option("--customers", metavar="N", min=10, max=50_000, help="How many customers the company has.")
    ] = 4000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Another number gives other questions and customers.")
    ] = 7,
    days: Annotated[
        int,
        typer.Option(
            "--days", metavar="N", min=0, max=60, help="Invent so many days before, so that trends have a past."
        ),
    ] = 0,
    directory: options.Directory = None,
) -> None:
    """Put a small telecom company's agents to work, then report on them; the records stay in the store.

    \b
    Example: metrics demo
             metrics demo --questions 200 --directory /tmp/tried
             metrics demo --days 14
    """
    if not (all(map(find_spec, _EXTRA_MODULES)) and any(map(find_spec, _HTTP_MODULES))):
        raise UsageError('the demo needs a few more packages: pip install "agent-instrument[demo]"')
    config = settings(directory)
    _check_records_are_kept(config)
    outcomes: list[Outcome] = []
    begun = time()
    try:
        try:
            analyst_told = _run(seed, questions, customers, directory, outcomes)
        finally:
            _bring_to_disk(config)
    except KeyboardInterrupt:
        _say(
            f"Stopped after {len(outcomes)} of {questions} questions; what was recorded is kept in {config.directory}."
        )
        raise typer.Exit(_INTERRUPTED) from None
    took = time() - begun
    failed = sum(outcome.error is not None for outcome in outcomes)
    _say(
        f"Asked {len(outcomes)} questions in {took:.1f} s: {len(outcomes) - failed} answered, "
        f"{failed} failed. Their records are in {config.directory}."
    )
    _say(analyst_told)
    if days:
        from instrument_cli.demo import history

        written = history.write(Path(config.directory), days, begun, seed=seed)
        _say(f"Invented {written:,} more for the {days} days before, with a bad night and a tool that became slower.")
    from instrument_cli.commands.report import report

    report(since=f"{datetime.fromtimestamp(begun, UTC):%Y-%m-%dT%H:%M:%SZ}", source=directory)
    place = "" if directory is None else f" --directory {shlex.quote(directory)}"
    _say(f"Go on with: metrics queries --failed{place} · metrics stats{place} · metrics export{place}")


def _run(seed: int, count: int, customers: int, directory: str | None, outcomes: list[Outcome]) -> str:
    """Ask the questions; says who answered those of several parts."""
    from instrument_cli.demo.server import serving

    with serving(seed, customers) as server:  # It starts while the rest is imported.
        import instrument
        from instrument_cli.demo.analyst import analyst
        from instrument_cli.demo.questions import questions
        from instrument_cli.demo.shift import work
        from instrument_cli.rendering.answers import bar

        if directory is not None:
            instrument.configure(directory=directory)
        with analyst(_say) as (multi_step, told), bar(count) as answered:

            def keep(outcome: Outcome) -> None:
                outcomes.append(outcome)
                answered(outcome.error is not None)

            work(server.url(), questions(seed, count, customers), keep, multi_step)
        return told


def _check_records_are_kept(config: Config) -> None:
    if not config.enabled:
        raise UsageError("recording is switched off by the setting 'enabled'; the demo needs it: INSTRUMENT_ENABLED=1")
    place = Path(config.directory)
    if place.exists() and not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise StoreError(place, "records cannot be kept here; name another directory: metrics demo --directory DIR")


def _bring_to_disk(config: Config) -> None:
    import instrument

    if not instrument.flush(_DISK_LIMIT_S):
        raise StoreError(config.directory, "not all records could be written; name another with --directory DIR")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
