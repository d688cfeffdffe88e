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
from typing import Any

import click

from instrument.errors import ConfigError, InstrumentError, UsageError

COMMANDS = (
    "run",
    "report",
    "stats",
    "queries",
    "show",
    "export",
    "import",
    "config",
    "doctor",
    "compact",
    "forget",
    "bench",
    "demo",
)

_MODULES = {"import": "import_"}

UNUSABLE = 1
WRONG_USAGE = 2
INTERRUPTED = 130
NOBODY_READS = 141
"""What a shell reports for a command whose output was closed early, as by `| head`."""


class _Commands(click.Group):
    """The commands, each imported from its module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            self.commands.update({name: _command(name) for name in COMMANDS})  # to say which may be meant
            return None
        return _command(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would end with 1, which means something else here
            raise click.exceptions.Exit(_nobody_reads()) from None
        except KeyboardInterrupt:  # and would write an empty line
            raise click.exceptions.Exit(INTERRUPTED) from None


def _command(name: str) -> click.Command:
    function = _MODULES.get(name, name)
    command: click.Command = getattr(import_module(f"instrument_cli.commands.{function}"), function)
    return command


def _show_version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from instrument._version import __version__

        click.echo(f"agent-instrument {__version__}")
        context.exit()


@click.group(cls=_Commands, invoke_without_command=True, context_settings={"show_default": True})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def metrics(context: click.Context) -> None:
    """Look at what your agents did: reports, single queries, exports, from the records on your own disk.

    \b
    Example: metrics demo
             metrics report --hours 24
             metrics queries --failed
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run `metrics` with these arguments; returns the exit code."""
    try:
        code = metrics.main(args=list(arguments), prog_name="metrics", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
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
        if os.environ.get("METRICS_TRACEBACK"):
            raise
        told = f"{type(error).__name__}: {error}"
        return _refused(
            f"a fault of this program, please report it: {told} (METRICS_TRACEBACK=1 shows where)", UNUSABLE
        )
    return code if isinstance(code, int) else 0


def _refused(message: str, code: int) -> int:
    from instrument_cli.rendering.text import plain

    print(f"metrics: {plain(message)}", file=sys.stderr)
    return code


def _where_help_is(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"try: {context.command_path if context else 'metrics'} --help"


def _nobody_reads() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS
