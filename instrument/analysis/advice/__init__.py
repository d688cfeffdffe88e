"""What to do about what was recorded: advice with a saving a week, its interval, its evidence and its pitfalls.

    records    queries and calls as arrays, and which calls of a query come one after the other
    evidence   the rule that every piece of advice must pass, and the bootstrap by day behind its interval
    repeated   1 parallel calls, 2 repeated operations, 3 N+1, 4 a cache
    failing    7 retries, 8 failing tools, 9 timeouts, 14 loops
    slow       10 slow operations, 11 long inputs, 15 slower since a change
    matched    5 simple queries on a costly agent, 6 the selector's threshold, 12 a cheaper model
    peaks      13 peaks

A new kind is a function from `Records` to drafts, and a line in `KINDS`.
"""

from __future__ import annotations

from instrument.analysis.advice.advising import KINDS, Advice, Advised, advise

__all__ = ["KINDS", "Advice", "Advised", "advise"]
