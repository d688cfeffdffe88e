"""`metrics run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import instrument_cli
from instrument.errors import UsageError
from instrument.integrations import known
from instrument_cli.commands.completion import integrations

_STARTUP = Path(instrument_cli.__file__).parent / "startup"


CONTEXT = {"allow_interspersed_args": False, "allow_extra_args": True}
"""What follows the application's name is the application's, options above all."""


def run(
    context: typer.Context,
    app: Annotated[str, typer.Argument(metavar="APP", help="A script, or a module's name; its own arguments follow.")],
    module: Annotated[bool, typer.Option("-m", help="APP is a module, as for python -m.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="NAMES",
            autocompletion=integrations,
            help="Only these integrations, such as crewai,gql.",
        ),
    ] = None,
) -> None:
    """Run an application and record what its agents do, with no line of code.

    It is python that runs it: arguments, input, signals and exit codes are between the application and its caller.
    Pythons that it starts are recorded, too.

    \b
    Example: metrics run app.py --verbose
             metrics run --only crewai,threads -m shop.agents
    """
    if app.startswith("-") and app != "-":
        raise UsageError(f"{app!r} names no application; write metrics run [-m] APP, and its options after it")
    names = () if only is None else known(tuple(name.strip() for name in only.split(",")))
    command = [sys.executable, *(["-m"] if module else []), app, *context.args]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_STARTUP), os.environ.get("PYTHONPATH")))),
        "INSTRUMENT_RUN": ",".join(names),
    }
    if os.name == "nt":  # a process that is replaced is gone there for whoever waits for it
        raise typer.Exit(subprocess.call(command, env=environment))
    os.execve(sys.executable, command, environment)
