"""What recording costs, measured so that a sceptic can accept it. Shared by `benchmarks/` and `metrics bench`.

CPU time, not wall time. The things compared take turns in one process, in slices as short as one query and in random
order, since the speed of a core on a shared machine drifts by a tenth within milliseconds.

What a query's own work takes varies by more than recording costs. So the bodies are marked: each reads the clock of its
thread when it begins and when it ends. `outside` is what a query takes between the bodies. Recorded minus undecorated,
that is the wrappers' cost, to a fraction of a microsecond whatever the bodies take. What recording does to the bodies
themselves, through the processor's caches, is compared apart, with an interval of its own.

The recorder's own thread works whenever it likes. Its part is read from its own clock over a run of recorded queries
alone, one every body's length. (The clock of the whole process would not do: what it says of a thread that is running
on another core can be milliseconds old.) Collections of garbage fall on whoever runs when they are due, so the clock
leaves them out (`cpu_ns`) and their part is computed: `collections_ns`.

An interval is that of the 20 % trimmed mean of the pairs, with the winsorised standard error and Student's t (Tukey
and McLaughlin, Sankhya A 25, 1963): a disturbance in some slices does not decide, and nothing is drawn at random.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import repeat
from statistics import NormalDist, fmean
from typing import Any, Generic, NamedTuple, TypeVar

TRIM = 0.2
"""Share of the pairs left out at each end."""

FEWEST_ROUNDS = 12
"""Rounds below which no interval is worth its name."""

CHECKED_SECONDS = 0.5
"""How often it is asked whether the intervals are narrow enough."""

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

    def plus(self, other: Interval) -> Interval:
        """The interval of the sum with an independent figure."""
        mean = self.mean + other.mean
        down, up = (math.hypot(self[end] - self.mean, other[end] - other.mean) for end in (0, 2))
        return Interval(mean - down, mean, mean + up)

    def over(self, other: Interval) -> Interval:
        """The interval of the ratio to an independent, positive figure, to first order."""
        mean = self.mean / other.mean
        down, up = (
            math.hypot((self[end] - self.mean) / other.mean, mean * (other[2 - end] - other.mean) / other.mean)
            for end in (0, 2)
        )
        return Interval(mean - down, mean, mean + up)


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


def interval(values: Sequence[float], confidence: float = 0.95, trim: float = TRIM) -> Interval:
    """The trimmed mean of `values` with its confidence interval; raises ValueError for fewer than 3."""
    if len(values) < 3:
        raise ValueError(f"{len(values)} values give no interval")
    ordered = sorted(values)
    cut = int(len(ordered) * trim)
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


T = TypeVar("T")

Enough = Callable[[dict[str, list[T]]], bool]
"""Whether the slices taken so far will do; it looks at the lengths of intervals, never at their middles."""


def never(taken: dict[str, list[Any]]) -> bool:
    """Go on until the time is up."""
    return False


class Turns(NamedTuple, Generic[T]):
    """What `take_turns` gives: what every slice gave by name, a round after the other, and the writer's CPU ns."""

    slices: dict[str, list[T]]
    writer_ns: int


def take_turns(
    slices: Mapping[str, Callable[[], T]], seconds: float, flush: Callable[[], Any], enough: Enough[T] = never
) -> Turns[T]:
    """Run the slices in rounds of random order, one round to warm up, for `seconds` of wall time or until `enough`.

    There are at least `FEWEST_ROUNDS`.
    """
    order, names = random.Random(1), list(slices)

    def one_round() -> dict[str, T]:
        order.shuffle(names)
        return {name: slices[name]() for name in names}

    taken: dict[str, list[T]] = {name: [] for name in one_round()}
    flush()
    gc.collect()
    began = checked = time.monotonic()
    writer, rounds = writer_ns(), 0
    while rounds < FEWEST_ROUNDS or time.monotonic() - began < seconds:
        for name, spent in one_round().items():
            taken[name].append(spent)
        rounds += 1
        if rounds >= 2 * FEWEST_ROUNDS and time.monotonic() - checked > CHECKED_SECONDS:
            checked = time.monotonic()
            if enough(taken):
                break
    return Turns(taken, _final_flush(flush) + writer_ns() - writer)


def _final_flush(flush: Callable[[], Any]) -> int:
    """CPU time that the flush takes on this thread, in ns."""
    begin = time.thread_time_ns()
    flush()
    return time.thread_time_ns() - begin


# -- queries whose bodies are marked -----------------------------------------------------------------------------------


class _Collections:
    """CPU ns that the main thread has spent collecting garbage."""

    def __init__(self) -> None:
        self.ns = 0
        self._begin = 0
        self._thread = threading.main_thread().ident

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._begin = time.thread_time_ns()
        else:
            self.ns += time.thread_time_ns() - self._begin


_collections = _Collections()


def cpu_ns() -> int:
    """CPU time of this thread, the main one, without its collections of garbage, in ns."""
    if _collections not in gc.callbacks:
        gc.callbacks.append(_collections)
    return time.thread_time_ns() - _collections.ns


class Spent(NamedTuple):
    """CPU ns of a call: `bodies` between the marks at their ends, `outside` the rest; collections in neither."""

    outside: int
    bodies: int


class Parts(NamedTuple):
    """What recording costs a call, in ns: `outside` the bodies, and apart from that what it does to the `bodies`.

    `plain_ns` is the median CPU time of a call without recording; `rounds` counts the pairs.
    """

    outside: Interval
    bodies: Interval
    plain_ns: float
    rounds: int


def parts(recorded: Sequence[Spent], plain: Sequence[Spent]) -> Parts:
    """Compare calls with marked bodies, pair by pair."""
    pairs = list(zip(recorded, plain, strict=True))
    return Parts(
        interval([r.outside - p.outside for r, p in pairs]),
        interval([r.bodies - p.bodies for r, p in pairs]),
        _median([p.outside + p.bodies for p in plain]),
        len(pairs),
    )


def collections_ns(call: Callable[[], Any], calls: int) -> float:
    """What a call adds to the collections of garbage, in ns: the containers it leaves, times what counting one costs.

    Every `gc.get_threshold()[0]` containers more, the young ones are collected. Older generations follow as the
    application's own objects decide. `calls` are made, so many that what is left does not fit into free lists.
    """
    threshold = gc.get_threshold()[0]
    if not (gc.isenabled() and threshold):
        return 0.0
    gc.collect(0)
    gc.disable()
    try:
        before = gc.get_count()[0]
        for _ in repeat(None, calls):
            call()
        left = gc.get_count()[0] - before
    finally:
        gc.enable()
    begin = time.thread_time_ns()
    gc.collect(0)
    one_container = (time.thread_time_ns() - begin) / max(left, threshold)
    return max(0.0, left / calls * one_container)


# -- the writer, at the real pace --------------------------------------------------------------------------------------

WINDOW_SECONDS, LONGEST_WINDOW = 0.5, 2.0
"""Windows in which the writer's CPU time is set against the calls. It works now and then, so none is trimmed.

A window ends when the writer has just worked, so that there are whole batches in each; 2 s at the latest. That makes
the interval 0.6 to 0.75 times as wide as windows of a fixed length.
"""


class Pace(NamedTuple):
    """What the writer takes a call, in ns, over a run of recorded calls alone; `calls` counts them.

    `woken` is what its work beside a call adds to that call's bodies, in ns a call; None where too few calls had a
    quiet neighbour to compare.
    """

    writer: Interval
    woken: Interval | None
    calls: int


def writer_at_pace(run: Callable[[], Any], calls: int, seconds: float, flush: Callable[[], Any]) -> Pace:
    """Run nothing but slices of `calls` recorded calls, for `seconds` of wall time, and see what the writer takes.

    A batch costs the writer much the same whatever is in it, so the pace decides. What happens once, when the writer
    starts and opens its file, comes before the clock starts: `once.py` of the benchmarks shows it.
    """
    run()
    flush()
    windows: list[float] = []
    beside: list[tuple[int, bool]] = []
    rounds = inside = 0
    began = window = time.monotonic()
    seen = before = writer_ns()
    while time.monotonic() - began < seconds or len(windows) < 4:
        spent = run()
        rounds += 1
        inside += 1
        now = writer_ns()
        worked = now > seen
        if isinstance(spent, Spent):
            beside.append((spent.bodies, worked))
        seen = now
        if time.monotonic() - window >= (WINDOW_SECONDS if worked else LONGEST_WINDOW):
            windows.append((now - before) / (inside * calls))
            window, before, inside = time.monotonic(), now, 0
    flush()
    return Pace(interval(windows, trim=0), _woken(beside), rounds * calls)


def _woken(beside: Sequence[tuple[int, bool]]) -> Interval | None:
    """What the writer's work adds to the bodies, ns a call: calls it worked beside against their quiet neighbours."""
    woken, differences = 0, []
    for place, (bodies, worked) in enumerate(beside):
        woken += worked
        around = [
            other for other, busy in (*beside[max(0, place - 1) : place], *beside[place + 1 : place + 2]) if not busy
        ]
        if worked and around:
            differences.append(bodies - fmean(around))
    return interval(differences).scaled(woken / len(beside)) if len(differences) >= FEWEST_ROUNDS else None
