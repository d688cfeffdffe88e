"""What recording costs, measured so that a sceptic can accept it. Shared by `benchmarks/` and `metrics bench`.

CPU time, not wall time. The things compared take turns in one process, in slices as short as one query and in random
order, since on a shared machine the speed of a core drifts by a tenth within milliseconds, and only neighbours in time
can be compared. The CPU time of the thread that calls is compared slice by slice; the recorder's own threads work
whenever they like, so their CPU time is read from their own clocks, over a run of recorded calls alone (they write in
batches, which what is not recorded must not thin out), and added, the final flush with it: nothing that recording
costs is left out. (The clock of the whole process would not do: what it says of a thread
that is running on another core can be milliseconds old.)

An interval is that of the 20 % trimmed mean of the pairs, with the winsorised standard error and Student's t (Tukey
and McLaughlin, Sankhya A 25, 1963): a disturbance in some slices does not decide, and nothing is drawn at random.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import repeat
from statistics import NormalDist, fmean
from typing import Any, NamedTuple

import instrument
from instrument.spans import suppress
from instrument.testing import capture
from instrument.tracking import track_tool

TRIM = 0.2
"""Share of the pairs left out at each end."""

FEWEST_ROUNDS = 12
"""Rounds below which no interval is worth its name."""

SLICE_NS = 1_000_000
"""CPU time that a slice takes at least: the clocks cost less than a thousandth of it."""

Slice = Callable[[], int]
"""Runs some calls and gives the CPU time that they took, in ns."""


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    low: float
    mean: float
    high: float

    def shifted(self, by: float) -> Interval:
        """The interval moved up by a fixed amount."""
        return Interval(self.low + by, self.mean + by, self.high + by)

    def scaled(self, by: float) -> Interval:
        """The interval times a positive factor."""
        return Interval(self.low * by, self.mean * by, self.high * by)


class Cost(NamedTuple):
    """What recording costs: `share` of the CPU time without it (0.01 is 1 %), and `ns` a call.

    `plain_ns` is the median CPU time of a call without recording, `writer_ns` the part of the cost that the recorder's
    own thread and the flush have, `noise` the median deviation of a pair from the mean, as a share; `rounds` counts the
    pairs. `all_share` is the share with nothing trimmed: every disturbance counts.
    """

    share: Interval
    ns: Interval
    all_share: float
    plain_ns: float
    writer_ns: float
    noise: float
    rounds: int


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The trimmed mean of `values` with its confidence interval; raises ValueError for fewer than 3."""
    if len(values) < 3:
        raise ValueError(f"{len(values)} values give no interval")
    ordered = sorted(values)
    cut = int(len(ordered) * TRIM)
    kept = ordered[cut : len(ordered) - cut]
    winsorised = [kept[0]] * cut + kept + [kept[-1]] * cut
    centre = fmean(winsorised)
    deviation = math.sqrt(sum((value - centre) ** 2 for value in winsorised) / (len(values) - 1))
    error = deviation / ((1 - 2 * cut / len(values)) * math.sqrt(len(values)))
    half = student(confidence, len(kept) - 1) * error
    mean = fmean(kept)
    return Interval(mean - half, mean, mean + half)


def student(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's t (Abramowitz and Stegun 26.7.5; within 1 % from 4 degrees of freedom)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def cost(recorded: Sequence[int], plain: Sequence[int], writer: float, calls: int) -> Cost:
    """Compare slices of `calls` calls each, pair by pair; `writer` is the CPU ns that the writer takes a call."""
    logs = [math.log(max(r, 1) / max(p, 1)) for r, p in zip(recorded, plain, strict=True)]
    ratio = interval(logs)
    plain_ns = _median(plain) / calls
    share = Interval(*(math.expm1(end) for end in ratio)).shifted(writer / plain_ns)
    differences = interval([(r - p) / calls for r, p in zip(recorded, plain, strict=True)])
    return Cost(
        share=share,
        ns=differences.shifted(writer),
        all_share=(sum(recorded) + writer * calls * len(recorded)) / sum(plain) - 1,
        plain_ns=plain_ns,
        writer_ns=writer,
        noise=_median([abs(log - ratio.mean) for log in logs]),
        rounds=len(recorded),
    )


def _median(values: Sequence[float]) -> float:
    return float(sorted(values)[len(values) // 2])


# -- clocks ----------------------------------------------------------------------------------------------------------


def writer_ns() -> int:
    """CPU time of the recorder's own threads so far, in ns; 0 where the system does not tell threads apart."""
    read = getattr(time, "pthread_getcpuclockid", None)
    if read is None:
        return 0
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("instrument-")]
    return sum(time.clock_gettime_ns(read(thread.ident)) for thread in threads if thread.ident is not None)


# -- slices ----------------------------------------------------------------------------------------------------------


def nothing() -> None:
    """Do nothing between two calls."""


def sync_slice(call: Callable[[], Any], calls: int, before: Callable[[], None] = nothing) -> Slice:
    """A slice of `calls` calls; what `before` does comes first, off the clock."""
    clock = time.thread_time_ns

    def run() -> int:
        before()
        begin = clock()
        for _ in repeat(None, calls):
            call()
        return clock() - begin

    return run


def async_slice(
    call: Callable[[], Awaitable[Any]], calls: int, runner: asyncio.Runner, before: Callable[[], None] = nothing
) -> Slice:
    """The same for a coroutine function, on the runner's loop."""
    clock = time.thread_time_ns

    async def run() -> int:
        before()
        begin = clock()
        for _ in repeat(None, calls):
            await call()
        return clock() - begin

    return lambda: runner.run(run())


def calls_a_slice(run_once: Slice) -> int:
    """How many calls make a slice long enough for the clocks, from the quickest of some slices of one call."""
    return max(1, math.ceil(SLICE_NS / max(min(run_once() for _ in range(5)), 1)))


Enough = Callable[[dict[str, list[int]]], bool]
"""Whether the slices taken so far will do; it looks at the lengths of intervals, never at their middles."""


def never(taken: dict[str, list[int]]) -> bool:
    """Go on until the time is up."""
    return False


class Turns(NamedTuple):
    """What `take_turns` gives: CPU ns of every slice by name, a round after the other, and of the writer over all."""

    slices: dict[str, list[int]]
    writer_ns: int


Round = Callable[[random.Random], dict[str, int]]
"""Runs every slice once, in the order that it draws, and gives the CPU ns of each by name."""


def take_turns(slices: Mapping[str, Slice], seconds: float, flush: Callable[[], Any], enough: Enough = never) -> Turns:
    """Run the slices in rounds, each round in random order; see `take_rounds`."""
    names = list(slices)

    def one_round(order: random.Random) -> dict[str, int]:
        order.shuffle(names)
        return {name: slices[name]() for name in names}

    return take_rounds(one_round, seconds, flush, enough)


def take_rounds(one_round: Round, seconds: float, flush: Callable[[], Any], enough: Enough = never) -> Turns:
    """Run rounds, after one to warm up, for `seconds` of wall time or until `enough`; at least `FEWEST_ROUNDS`."""
    order = random.Random(1)
    taken: dict[str, list[int]] = {name: [] for name in one_round(order)}
    flush()
    gc.collect()
    began = checked = time.monotonic()
    writer, rounds = writer_ns(), 0
    while rounds < FEWEST_ROUNDS or time.monotonic() - began < seconds:
        for name, spent in one_round(order).items():
            taken[name].append(spent)
        rounds += 1
        if rounds >= 2 * FEWEST_ROUNDS and time.monotonic() - checked > 1:
            checked = time.monotonic()
            if enough(taken):
                break
    return Turns(taken, _final_flush(flush) + writer_ns() - writer)


class Pace(NamedTuple):
    """What the writer takes a call, in ns, and how many calls were run to see it."""

    writer_ns: float
    calls: int


def writer_at_pace(run: Slice, calls: int, seconds: float, flush: Callable[[], Any]) -> Pace:
    """Run nothing but slices of `calls` recorded calls, for `seconds` of wall time, and see what the writer takes.

    A batch costs the writer much the same whatever is in it. While others take turns with the recorded calls, fewer of
    them share a batch than when an application records every one.
    """
    flush()
    began, before, rounds = time.monotonic(), writer_ns(), 0
    while time.monotonic() - began < seconds or rounds < 2:
        run()
        rounds += 1
    return Pace((_final_flush(flush) + writer_ns() - before) / (rounds * calls), rounds * calls)


def _final_flush(flush: Callable[[], Any]) -> int:
    """CPU time that the flush takes on this thread, in ns."""
    begin = time.thread_time_ns()
    flush()
    return time.thread_time_ns() - begin


# -- a user's own function ---------------------------------------------------------------------------------------------


class FunctionCost(NamedTuple):
    """What recording costs a function that is decorated, or calls what is.

    `cost` holds what its decorators cost under `suppress()` too (`suppressed_ns` a call of the function, measured
    apart). A call makes `queries` and `calls` records. `elsewhere` is the share of the CPU time that was spent in other
    threads of the application, where it cannot be compared.
    """

    cost: Cost
    suppressed_ns: float
    queries: int
    calls: int
    calls_a_slice: int
    elsewhere: float
    seconds: float

    @property
    def break_even_ms(self) -> Interval:
        """The shortest CPU time of a call for which this cost stays under 1 %."""
        return self.cost.ns.scaled(1e-4)


def function_cost(call: Callable[[], Any], seconds: float) -> FunctionCost | None:
    """Measure a function without arguments, sync or async, recorded and suppressed in turns; None if nothing records.

    Records go to the store that is configured. A stream is read to its end at every call.
    """
    began = time.monotonic()
    with asyncio.Runner() as runner:
        asynchronous, queries, calls = _looked_at(call, runner)
        if not queries + calls:
            return None
        on, off = (_function_slice(_whole(call), asynchronous, runner, recorded=recorded) for recorded in (True, False))
        on(1)
        instrument.flush()  # the writer lives now, and with it its clock
        several = calls_a_slice(lambda: off(1))
        everything, main, writer = time.process_time_ns(), time.thread_time_ns(), writer_ns()
        turns = take_turns({"on": lambda: on(several), "off": lambda: off(several)}, seconds, instrument.flush)
        spent = time.process_time_ns() - everything
        elsewhere = 1 - (time.thread_time_ns() - main + writer_ns() - writer) / max(spent, 1)
        pace = writer_at_pace(lambda: on(several), several, min(seconds / 4, 3), instrument.flush)
        suppressed = (queries + calls) * _suppressed_ns(asynchronous, runner)
    found = cost(turns.slices["on"], turns.slices["off"], pace.writer_ns, several)
    found = found._replace(ns=found.ns.shifted(suppressed), share=found.share.shifted(suppressed / found.plain_ns))
    return FunctionCost(found, suppressed, queries, calls, several, max(elsewhere, 0.0), time.monotonic() - began)


def _looked_at(call: Callable[[], Any], runner: asyncio.Runner) -> tuple[bool, int, int]:
    """Call it once, writing nothing: whether it is asynchronous, and how many queries and calls it records."""
    with capture() as captured:
        result = call()
        asynchronous = inspect.isawaitable(result) or inspect.isasyncgen(result)
        if asynchronous:
            runner.run(_finished(result))
        elif inspect.isgenerator(result):
            deque(result, maxlen=0)
        instrument.flush()
        queries = captured.queries
        calls = len(captured.calls) + sum(len(query.calls) for query in queries)
    return asynchronous, len(queries), calls


async def _finished(result: Any) -> Any:
    if inspect.isasyncgen(result):
        async for _ in result:
            pass
        return None
    return await result


def _whole(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call, with what it returns read to its end where that is a stream."""
    if inspect.isasyncgenfunction(getattr(call, "func", call)):
        return lambda: _finished(call())
    if inspect.isgeneratorfunction(getattr(call, "func", call)):
        return lambda: deque(call(), maxlen=0)
    return call


def _function_slice(
    call: Callable[[], Any], asynchronous: bool, runner: asyncio.Runner, *, recorded: bool
) -> Callable[[int], int]:
    around = nullcontext if recorded else suppress
    clock = time.thread_time_ns

    async def run_async(calls: int) -> int:
        with around():
            begin = clock()
            for _ in repeat(None, calls):
                await call()
            return clock() - begin

    def run(calls: int) -> int:
        with around():
            begin = clock()
            for _ in repeat(None, calls):
                call()
            return clock() - begin

    return (lambda calls: runner.run(run_async(calls))) if asynchronous else run


def _suppressed_ns(asynchronous: bool, runner: asyncio.Runner) -> float:
    """What one decorator costs where recording is suppressed, in ns a call."""

    def plain() -> None: ...

    def decorated() -> None: ...

    async def plain_async() -> None: ...

    async def decorated_async() -> None: ...

    pair: tuple[Any, Any] = (plain, track_tool(decorated))
    if asynchronous:
        pair = (plain_async, track_tool(decorated_async))
    bare, wrapped = (_function_slice(call, asynchronous, runner, recorded=False) for call in pair)
    turns = take_turns({"bare": lambda: bare(1000), "wrapped": lambda: wrapped(1000)}, 0.3, nothing)
    return max(0.0, _median([w - b for w, b in zip(turns.slices["wrapped"], turns.slices["bare"], strict=True)]) / 1000)
