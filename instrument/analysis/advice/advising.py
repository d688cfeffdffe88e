"""All kinds of advice over a period, put into words and ranked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from instrument.analysis.advice import failing, matched, peaks, repeated, slow
from instrument.analysis.advice.evidence import EXAMPLES, LEAST_DAYS, LEAST_QUERIES, Draft, Unit
from instrument.analysis.advice.records import Records
from instrument.analysis.filters import Filter
from instrument.analysis.periods import Period
from instrument.analysis.results import Period as Covered
from instrument.analysis.wording import count, several
from instrument.store.tables import Tables


class Advice(Struct, frozen=True):
    """One thing to do: what it saves a week with the interval of 90 %, and why.

    `saving`, `low` and `high` are seconds or US dollars a week, as `unit` says; `share` (0 to 1) is the part of all
    time or cost of the period. Savings of different advice overlap and must not be added. `queries` is how many queries
    it was seen in, over `days` days; `examples` are ids of those with the greatest saving. `where` are the filters and
    `command` the command that show the queries.
    """

    kind: str
    title: str
    unit: Unit
    saving: float
    low: float
    high: float
    share: float
    queries: int
    days: int
    evidence: str
    misleads: str
    todo: str
    examples: list[str]
    where: list[str]
    command: str


class Advised(Struct, frozen=True):
    """The advice for a period, the largest share first; `note` says what can be said where there is none."""

    period: Covered
    queries: int
    days: int
    advice: list[Advice]
    note: str


class Kind(NamedTuple):
    """A kind of advice: what finds it, what to do about it, and how it may mislead."""

    find: Callable[[Records], Iterator[Draft]]
    todo: str
    misleads: str


KINDS: dict[str, Kind] = {
    "parallel_calls": Kind(
        repeated.parallel_calls,
        "Run the calls of one model answer at the same time, in threads or with asyncio.gather.",
        "A call may need what another one did: this is the most that can be saved.",
    ),
    "repeated_operation": Kind(
        repeated.repeated_operations,
        "Keep the answer for as long as the query runs, or ask once and hand the answer on.",
        "Asking again is right where the answer may have changed meanwhile, as when polling.",
    ),
    "one_by_one": Kind(
        repeated.requests_one_by_one,
        "Ask for all of them in one request: a list as variable, a filter, or a data loader.",
        "One request for many takes longer than one for a single thing; the saving counts it as one.",
    ),
    "cache": Kind(
        repeated.cache,
        "Cache the answers for that long, by operation and variables.",
        "A cache gives old answers, and must not give one user what only another may see.",
    ),
    "simple_queries": Kind(
        matched.simple_queries,
        "Let the selector send simple queries to the other agent.",
        "Nothing here measures the quality of answers, and complexity may not say all that differs.",
    ),
    "threshold": Kind(
        matched.threshold,
        "Raise the threshold in small steps, and compare with metrics compare.",
        "The other agent has no queries there yet: the saving continues a straight line.",
    ),
    "retries": Kind(
        failing.retries,
        "Find out what fails first (metrics show), wait less before the next try, or do not try what cannot succeed.",
        "A retry may be what saves the query.",
    ),
    "failing_tool": Kind(
        failing.failing_tools,
        "Repair it, check its arguments before the call, or take it from the agent.",
        "Some errors are expected, and a query may fail for another reason than the call in it.",
    ),
    "timeout": Kind(
        failing.timeouts,
        "Set a timeout, and tell the user or try elsewhere.",
        "Calls that were ended would perhaps have succeeded still later.",
    ),
    "slow_operation": Kind(
        slow.slow_operations,
        "Look at the examples: what do the slow calls have in common?",
        "The cause may lie upstream, or in arguments that ask for more.",
    ),
    "long_input": Kind(
        slow.long_inputs,
        "Shorten the history and the results of tools in the prompt, or summarise them.",
        "Long inputs may be the harder tasks, which take longer anyway.",
    ),
    "cheaper_model": Kind(
        matched.cheaper_model,
        "Try the cheaper model on a part of the queries, and compare with metrics compare.",
        "Nothing here measures the quality of answers.",
    ),
    "peaks": Kind(
        peaks.peaks,
        "Queue this work, and run it at a steady rate or at night.",
        "The replay knows one pool of workers, first come, first served.",
    ),
    "loop": Kind(
        failing.loops,
        "Limit the number of steps, and end a query that repeats itself.",
        "Hard queries may need more calls.",
    ),
    "slower_since": Kind(
        slow.slower_since,
        "Compare before and after: metrics compare, metrics trends.",
        "The queries may have changed and not the agent.",
    ),
}
"""Every kind of advice, by name."""


def advise(tables: Tables, period: Period, filters: Sequence[Filter], covered: Covered) -> Advised:
    """Work out what to do about the queries of a period: the advice that has the evidence, by its share."""
    import numpy as np

    records = Records(tables)
    with np.errstate(all="ignore"):
        drafts = [draft for kind in KINDS.values() for draft in kind.find(records)] if records.queries.ids else []
    drafts.sort(key=lambda one: (-one.share, one.kind, one.title))
    found = [_advice(records, draft, period, filters) for draft in drafts]
    number, days = len(records.queries.ids), records.days
    return Advised(covered, number, days, found, _note(number, records.total, days, bool(found)))


def _advice(records: Records, of: Draft, period: Period, filters: Sequence[Filter]) -> Advice:
    kind = KINDS[of.kind]
    ids = records.queries.ids
    where = [*map(str, filters), *of.where]
    since = period.since if of.since is None else datetime.fromtimestamp(of.since, UTC)
    words = ["metrics", "queries"]
    if since is not None:
        words += ["--since", f"{since.astimezone(UTC):%Y-%m-%dT%H:%M}Z"]
    if period.until != period.now:
        words += ["--until", f"{period.until.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"]
    for each in where:
        words += ["--where", each]
    words += ["--sort", "duration" if of.unit == "seconds" else "cost"]
    return Advice(
        of.kind, of.title, of.unit, of.saving, of.low, of.high, of.share, len(of.queries), of.days, of.evidence,
        kind.misleads, kind.todo, [ids[place] for place in of.queries[:EXAMPLES]], where, shlex.join(words),
    )  # fmt: skip


def _note(queries: int, total: int, days: int, found: bool) -> str:
    if not queries:
        return "No queries in this period: nothing can be advised."
    basis = f"{several(queries, 'query', 'queries')} over {several(days, 'day')}"
    if queries < LEAST_QUERIES or days < LEAST_DAYS:
        return f"Advice needs at least {LEAST_QUERIES} queries over {LEAST_DAYS} days. This period has {basis}."
    part = f"Worked out from a part of the period: {count(queries)} of {several(total, 'query', 'queries')}."
    if found:
        return part if queries < total else ""
    return f"Nothing to advise, from {basis}." + (f" {part}" if queries < total else "")
