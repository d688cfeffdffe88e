"""The `metrics` command, put together; and the one place where errors become a line and an exit code.

Exit codes: 0 done, 1 the store or data cannot be used, 2 wrong usage or settings. A command's module is imported
when that command is asked for, so that none pays for the others.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from instrument.errors import ConfigError, InstrumentError, UsageError

COMMANDS = (
    "run",
    "report",
    "stats",
    "compare",
    "trends",
    "anomalies",
    "forecast",
    "capacity",
    "predict",
    "advise",
    "queries",
    "show",
    "sql",
    "serve",
    "ship",
    "mcp",
    "watch",
    "grafana",
    "export",
    "import",
    "alerts",
    "config",
    "doctor",
    "compact",
    "forget",
    "bench",
    "demo",
)

_MODULES = {"import": "import_"}

_HELP = {"help_option_names": ["-h", "--help"]}

UNUSABLE = 1
WRONG_USAGE = 2
INTERRUPTED = 130
NOBODY_READS = 141
"""What a shell reports for a command whose output was closed early, as by `| head`."""


class _Commands(TyperGroup):
    """The commands, each built from its module when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            self.commands.update({name: _built(name) for name in COMMANDS})  # to say which may be meant
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _built(cmd_name)
        return self.commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # typer would end with 1, which means something else here
            raise typer.Exit(_nobody_reads()) from None


def _built(name: str) -> Any:
    module = import_module(f"instrument_cli.commands.{_MODULES.get(name, name)}")
    if group := getattr(module, "GROUP", None):  # a command with commands of its own
        return typer.main.get_command(group)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, context_settings=_HELP | getattr(module, "CONTEXT", {}))(
        getattr(module, _MODULES.get(name, name))
    )
    return typer.main.get_command(alone)


def _application() -> Any:
    application = typer.Typer(cls=_Commands, rich_markup_mode=None, invoke_without_command=True, context_settings=_HELP)
    application.callback()(metrics)
    return typer.main.get_command(application)


def _show_version(wanted: bool) -> None:
    if wanted:
        from instrument._version import __version__

        typer.echo(f"agent-instrument {__version__}")
        raise typer.Exit


def metrics(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Look at what your agents did: reports, single queries, exports, from the records on your own disk.

    \b
    Example: metrics demo
             metrics report --hours 24
             metrics queries --failed
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and exit."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Give a cron job or daemon that has no standard streams some that lead nowhere.

    They take the lowest file numbers, so no file of the store can become what is written to by mistake.
    """
    for name, mode, flag in (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_WRONLY), ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, flag), mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def run(arguments: Sequence[str]) -> int:
    """Run `metrics` with these arguments; returns the exit code."""
    try:
        code = _application().main(args=list(arguments), prog_name="metrics", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _refused(f"{error.format_message().rstrip('.')}; {_where_help_is(error)}", WRONG_USAGE)
    except (UsageError, ConfigError) as error:
        return _refused(str(error), WRONG_USAGE)
    except InstrumentError as error:
        return _refused(str(error), UNUSABLE)
    except BrokenPipeError:
        return _nobody_reads()
    except OSError as error:
        return _refused(f"{error.filename or 'output'}: {error.strerror or error}", UNUSABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else 0
    except Exception as error:
        if "Query interrupted" in str(error):  # so says DuckDB when Ctrl-C reaches it
            return INTERRUPTED
        if os.environ.get("METRICS_TRACEBACK"):
            raise
        message = f"{type(error).__name__}: {error}"
        return _refused(
            f"a fault of this program, please report it: {message} (METRICS_TRACEBACK=1 shows where)", UNUSABLE
        )
    return code if isinstance(code, int) else 0


def _refused(message: str, code: int) -> int:
    from instrument_cli.rendering.text import plain

    print(f"metrics: {plain(message)}", file=sys.stderr)
    return code


def _where_help_is(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"try: {context.command_path if context else 'metrics'} --help"


def _nobody_reads() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS
