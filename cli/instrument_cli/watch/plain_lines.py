"""A line for each query as it comes, where the output is no terminal that one can draw on."""

from __future__ import annotations

import select
import sys
from datetime import tzinfo

import msgspec

from instrument.analysis.matching import matches
from instrument.analysis.results import Limits, QueryLine
from instrument.records import QueryRecord
from instrument.store.tail import follow
from instrument_cli.rendering.page import Page, show
from instrument_cli.rendering.queries import draw_queries
from instrument_cli.watch.feed import Asked, View

_LOOK_SECONDS = 1.0


def print_lines(asked: Asked, view: View, zone: tzinfo) -> None:
    """Print every query that comes from now on, until nobody reads or the command is interrupted."""
    limits, page = Limits.of(asked.config), Page(zone=zone)
    with follow(asked.directory, wait=_LOOK_SECONDS) as follower:
        follower.skip()
        while not _nobody_reads():
            for batch in follower.batches():
                for record in batch:
                    if isinstance(record, QueryRecord) and _is_wanted(record, view):
                        line = msgspec.convert(record, QueryLine, from_attributes=True)
                        show(draw_queries([line], limits, page), page)
                sys.stdout.flush()


def _is_wanted(query: QueryRecord, view: View) -> bool:
    if view.failed_only and (query.success or query.status == "cancelled"):
        return False
    return matches(view.filters, query)


def _nobody_reads() -> bool:
    """Whether the reader of a pipe is gone; without a new query, nothing else would say so. Raises BrokenPipeError."""
    watched = select.poll()
    try:
        watched.register(sys.stdout.fileno(), 0)
        gone = any(event & select.POLLERR for _, event in watched.poll(0))
    except (OSError, ValueError):
        return False
    if gone:
        raise BrokenPipeError
    return False
