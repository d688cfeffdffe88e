"""Say in a few lines what a command did to the store or a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from instrument.analysis.periods import BEGINNING, Period
from instrument.analysis.wording import hours, percent, several, size, span
from instrument_cli.rendering.text import plain

if TYPE_CHECKING:
    from instrument.store.importing import Imported
    from instrument.store.upkeep.compaction import Compaction
    from instrument.store.upkeep.forgetting import Forgotten
    from instrument.store.upkeep.repairing import Repair


def show_compaction(done: Compaction, retention_days: int) -> None:
    """Say what was compacted, what expired and what was left, with the reason."""
    lines = [f"{plain(path)} was left as it is: {plain(reason)}" for path, reason in done.left.items()]
    if done.expired:
        lines.insert(0, f"Dropped {several(len(done.expired), 'day')} older than {several(retention_days, 'day')}.")
    if done.set_aside:
        lines.append(f"Set {several(done.set_aside, 'unreadable line')} aside; metrics doctor names the files.")
    if done.days:
        sizes = f"{size(done.bytes_before)} → {size(done.bytes_after)}"
        share = f" ({percent(done.bytes_after / done.bytes_before)})" if done.bytes_before else ""
        days, queries = several(len(done.days), "day"), several(done.queries, "query", "queries")
        lines.insert(0, f"Compacted {days}: {queries}, {sizes}{share}.")
    show_lines(*lines or ["Nothing to compact: no day that is over has open segments."])


def show_export(output: str, queries: int, period: Period) -> None:
    """Say what was written where."""
    of = (
        f"of the last {hours(period.hours)}"
        if period.ends_now
        else f"from {span(period.since or BEGINNING, period.until)}"
    )
    show_lines(f"Wrote {several(queries, 'query', 'queries')} {of} to {plain(output)}.")


def show_import(done: Imported, directory: str) -> None:
    """Say how many records came in, how many were there already, and which could not be taken and why."""
    parts = [(done.queries, "query", "queries"), (done.selections, "selection", None), (done.calls, "call", None)]
    counted = [several(number, one, many) for number, one, many in parts if number or one == "query"]
    known = f"; {several(done.duplicates, 'record')} known already" if done.duplicates else ""
    lines = [f"Imported {', '.join(counted)} into {plain(directory)}{known}."]
    lines += [f"Assumed: {plain(note)}." for note in done.notes]
    if done.skipped:
        lines.append(f"Skipped {several(len(done.skipped), 'entry', 'entries')}:")
        lines += [f"  {plain(each.file)}, {plain(each.position)}: {plain(each.reason)}" for each in done.skipped]
    show_lines(*lines)


def show_repair(done: Repair) -> None:
    """Say what was set aside, what was finished or removed, and what could not be mended."""
    lines = ["Finished what was left half forgotten."] if done.finished else []
    lines += [
        f"Set {several(number, 'unreadable line')} of {plain(path)} aside." for path, number in done.lines.items()
    ]
    for path in done.files:
        saved = f", {several(done.saved[path], 'record')} of it saved" if path in done.saved else ""
        lines.append(f"Set {plain(path)} aside{saved}.")
    if done.leftovers:
        lines.append(f"Removed {several(done.leftovers, 'file')} that a killed process left half-written.")
    lines += [f"{plain(path)} was left as it is: {plain(reason)}." for path, reason in done.left.items()]
    show_lines(*lines or ["Nothing to fix: everything can be read."])


def show_forgotten(done: Forgotten, verb: str) -> None:
    """Say how many records went or would go, by kind and file, and what could not be looked into."""
    kinds = [
        (done.queries, "query", "queries"),
        (done.calls, "call on a line of its own", "calls on lines of their own"),
        (done.selections, "selection", None),
        (done.lines, "unreadable line", None),
    ]
    counted = [several(number, one, many) for number, one, many in kinds if number]
    counted += [f"{several(number, 'entry', 'entries')} of {plain(path)}" for path, number in done.entries.items()]
    lines = [f"{verb} {', '.join(counted)}." if counted else "Nothing to forget: no record matches."]
    lines += [f"Not looked into: {plain(path)}, {plain(reason)}." for path, reason in done.left.items()]
    show_lines(*lines)


def show_lines(*lines: str) -> None:
    """Print lines for people to standard output."""
    sys.stdout.writelines(f"{each}\n" for each in lines)


def warn(message: str) -> None:
    """Print a line for people to standard error, beginning with the product's name as errors do."""
    sys.stderr.write(f"metrics: {plain(message)}\n")
