"""`metrics bench`."""

from __future__ import annotations

import functools
import math
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Annotated, Any

import msgspec
import typer

from instrument.errors import UsageError
from instrument_cli.commands.arguments import checked_format
from instrument_cli.function_cost import FunctionCost

FORMATS = ("text", "json", "markdown")

_ARG = typer.Option("--arg", metavar="VALUE", help="An argument for it: JSON, or else text. Repeatable.")
_FACTORY = typer.Option("--factory", help="FUNCTION returns what is to be measured, a function without arguments.")
_LIMIT = typer.Option("--max-overhead", metavar="PERCENT", help="Of CPU time; above it, end with 1.")


def bench(
    target: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="What is measured.")],
    arg: Annotated[list[str] | None, _ARG] = None,
    factory: Annotated[bool, _FACTORY] = False,
    seconds: Annotated[float, typer.Option("--seconds", metavar="N", help="How long to measure.")] = 10,
    max_overhead: Annotated[str, _LIMIT] = "1%",
    format: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="In which form.")] = "text",
) -> None:
    """Measure what recording costs a function of your own, in CPU time, and end with 1 above a limit.

    Calls with recording take turns with calls without it. Decorated functions read the clock at their ends, so that
    their own work is told from recording; the limit is held against the upper end of the 95 % confidence interval. The
    records go to a temporary store.

    \b
    Example: metrics bench shop.agents:answer --arg "unpaid bills in India"
             metrics bench shop.testing:make_agent --factory --max-overhead 2%
    """
    limit, chosen = _share(max_overhead), checked_format(format, FORMATS)
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"--seconds {seconds:g} is no time; give a number above 0")
    with (
        tempfile.TemporaryDirectory(prefix="metrics-bench-") as folder,
        open(os.devnull, "w") as silence,
        redirect_stdout(silence),
    ):
        found = _measured(target, arg or [], factory, seconds, folder)
    _tell(target, found, limit, chosen)
    raise typer.Exit(int(found.share.high > limit))


def _share(text: str) -> float:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not (math.isfinite(percent) and percent > 0):
        raise UsageError(f"--max-overhead {text!r} is no limit; give percent, such as 1% or 0.5%")
    return percent / 100


def _measured(target: str, arguments: list[str], factory: bool, seconds: float, folder: str) -> FunctionCost:
    import instrument
    from instrument_cli.function_cost import function_cost

    # Before anything of the target is decorated, and again after: it may have settings of its own.
    _into(folder)
    call = _callable(target, arguments, factory)
    _into(folder)
    try:
        found = function_cost(call, seconds)
    except Exception as error:  # noqa: BLE001 - the user's own function may raise anything
        raise UsageError(f"{target} cannot be measured: it raised {_told(error)}") from None
    finally:
        instrument.shutdown(timeout=5)
    if found is None:
        raise UsageError(
            f"{target} records nothing, so there is nothing to measure; decorate it, or what it calls, "
            "with @track_query, @track_tool or @track_graphql"
        )
    return found


def _into(folder: str) -> None:
    """Record into a store of our own, and the files of `formats` into it too."""
    from instrument import configure

    configure(enabled=True, directory=folder, metrics_file="", csv_file="")


def _callable(target: str, arguments: list[str], factory: bool) -> Callable[[], Any]:
    found = _found(target)
    call = functools.partial(found, *map(_value, arguments))
    if not factory:
        return call
    try:
        made = call()
    except Exception as error:  # noqa: BLE001 - the user's own function may raise anything
        raise UsageError(f"the factory {target} raised {_told(error)}") from None
    if not callable(made):
        raise UsageError(f"the factory {target} returned {type(made).__name__}, not a function without arguments")
    return made  # type: ignore[no-any-return]


def _found(target: str) -> Callable[..., Any]:
    module, colon, path = target.partition(":")
    if not (module and colon and path):
        raise UsageError(f"{target!r} names no function; write it as MODULE:FUNCTION, such as shop.agents:answer")
    sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        found = functools.reduce(getattr, path.split("."), import_module(module))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's own module may raise anything
        raise UsageError(f"{target} cannot be imported: {_told(error)}") from None
    if not callable(found):
        raise UsageError(f"{target} is no function but {type(found).__name__}")
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return text


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _tell(target: str, found: FunctionCost, limit: float, chosen: str) -> None:
    from instrument_cli.rendering import bench as rendering

    if chosen == "json":
        from instrument_cli.rendering.json_output import show_json

        show_json(rendering.figures(target, found, limit))
    elif chosen == "markdown":
        sys.stdout.write(rendering.markdown(target, found, limit))
    else:
        from instrument_cli.rendering.page import current_page, show

        show(rendering.draw_bench(target, found, limit), current_page())
