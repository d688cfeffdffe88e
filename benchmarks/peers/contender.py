"""What the comparison asks of a recorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.subject import Kit

Start = Callable[[str], "Contender"]


class Contender(NamedTuple):
    """A recorder, started.

    `kit` are its decorators as its documentation shows them; `flush` brings what it has to where it goes; `kept` counts
    what arrived there, of which a query should make `a_query`. `keeps` says what it records and leaves out.
    """

    kit: Kit
    flush: Callable[[], object]
    kept: Callable[[], int]
    a_query: int
    keeps: str
    distribution: str
