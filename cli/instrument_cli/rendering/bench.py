"""Draw what recording costs a function."""

from __future__ import annotations

from typing import Any

from instrument_cli.function_cost import FunctionCost
from instrument_cli.overhead import Interval
from instrument_cli.rendering.line import Line, Style, line
from instrument_cli.rendering.text import plain

_LABEL = 14


def draw_bench(target: str, found: FunctionCost, limit: float) -> list[Line]:
    """The verdict first, then what it is made of."""
    verdict, style = _verdict(found, limit)
    share = found.share.scaled(100)
    head = line(f" {plain(target)}", "title") + line(f"  {_figure(share.mean)} % overhead", "strong")
    head += line(f"  {verdict}", style)
    return [head, line(), *(_labelled(label, text) for label, text in _facts(found, limit)), *map(_note, _notes(found))]


def _labelled(label: str, text: str) -> Line:
    return line(f" {label}", "quiet").padded(_LABEL) + line(text)


def _note(text: str) -> Line:
    return line(f" {text}", "quiet")


def markdown(target: str, found: FunctionCost, limit: float) -> str:
    """The same as Markdown, for a CI job's summary."""
    verdict, _ = _verdict(found, limit)
    name = plain(target).replace("|", "\\|").replace("`", "")
    rows = [f"| {label} | {text} |" for label, text in _facts(found, limit)]
    notes = [f"\n{note}" for note in _notes(found)]
    return "\n".join(
        [f"### Recording overhead of `{name}`: {verdict}", "", "| | |", "| --- | --- |", *rows, *notes, ""]
    )


def figures(target: str, found: FunctionCost, limit: float) -> dict[str, Any]:
    """The same for programs; shares are 0 to 1."""
    return {
        "target": target,
        "held": found.share.high <= limit,
        "max_overhead": limit,
        "overhead": found.share._asdict(),
        "cost_us": found.ns.scaled(1e-3)._asdict(),
        "outside_us": found.parts.outside.scaled(1e-3)._asdict(),
        "writer_us": found.pace.writer.mean / 1e3,
        "collections_us": found.collections / 1e3,
        "bodies_us": found.parts.bodies.scaled(1e-3)._asdict(),
        "marked": found.is_marked,
        "call_ms": found.parts.plain_ns / 1e6,
        "break_even_ms": found.break_even_ms._asdict(),
        "queries": found.queries,
        "calls": found.calls,
        "pairs": found.parts.rounds,
        "calls_a_slice": found.calls_a_slice,
        "elsewhere": found.elsewhere,
        "seconds": found.seconds,
    }


def _verdict(found: FunctionCost, limit: float) -> tuple[str, Style]:
    share = found.share
    if share.high <= limit:
        return f"within {_figure(100 * limit)} %", "good"
    if share.low > limit:
        return f"over {_figure(100 * limit)} %", "bad"
    return (
        f"not shown to be within {_figure(100 * limit)} %: measure longer (--seconds), or on a quieter machine",
        "bad",
    )


def _facts(found: FunctionCost, limit: float) -> list[tuple[str, str]]:
    compared, micro = found.parts, found.ns.scaled(1e-3)
    records = f"{_counted(found.queries, 'query', 'queries')} and {_counted(found.calls, 'call', 'calls')}"
    of_it = f"{_figure(found.pace.writer.mean / 1e3)} µs of it the writer"
    return [
        ("overhead", f"{_between(found.share.scaled(100), '%')} of CPU time; the limit is {_figure(100 * limit)} %"),
        ("cost", f"{_between(micro, 'µs')} a call, {of_it}"),
        ("your code", f"{_between(compared.bodies.scaled(1e-3), 'µs')} more in the functions themselves, beside it"),
        ("a call", f"{_figure(compared.plain_ns / 1e6)} ms of CPU time without recording; it records {records}"),
        ("break-even", f"{_between(found.break_even_ms, 'ms')}: from there on, such a call's overhead is under 1 %"),
        ("measured", f"{compared.rounds:,} pairs of {found.calls_a_slice:,} in {found.seconds:.0f} s, in random order"),
    ]


def _notes(found: FunctionCost) -> list[str]:
    notes = [
        "Recording against none, outside the decorated functions' bodies, and the recorder's thread; interval 95 %."
    ]
    if not found.is_marked:
        notes.append("Some records come from spans or streams, so your code's own difference is in the cost, too.")
    if found.elsewhere > 0.05:
        notes.append(f"{100 * found.elsewhere:.0f} % of the CPU time was spent in other threads: it is not compared.")
    return notes


def _between(interval: Interval, unit: str) -> str:
    return f"{_figure(interval.mean)} {unit} ({_figure(interval.low)} … {_figure(interval.high)})"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
