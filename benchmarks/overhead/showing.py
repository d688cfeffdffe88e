"""What was found, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from instrument_cli.overhead import Interval

from benchmarks.overhead.cases import Case, Measured, Shares
from benchmarks.results import Table, number


def overhead_table(measured: Sequence[Measured]) -> Table:
    rows = [_overhead_row(one.case, one.shares) for one in measured if one.shares is not None]
    return Table(
        "Overhead: CPU of a query with its record on disk, beyond the same functions undecorated",
        ("query", "CPU ms", "recorded", "95 % interval", "µs", "95 % interval", "control", "pairs"),
        rows,
        (
            "Outside the bodies, which read their thread's clock at both ends; the writer's thread and collections of"
            " garbage included. What recording does to the bodies is in the next table.",
            "20 % trimmed mean of pairs that take turns, interval after Tukey and McLaughlin. control: what the same"
            " finds for INSTRUMENT_ENABLED=0, where decorating returns the function itself.",
            "hot: one query after the other. cold: a walk over 4 MB and unrelated code before each, off the clock.",
        ),
    )


def _overhead_row(case: Case, found: Shares) -> tuple[str, ...]:
    percent, micro, control = found.percent, found.cost.scaled(1e-3), found.control.outside
    share = 100 / found.parts.plain_ns
    return (
        case.name,
        number(found.parts.plain_ns / 1e6),
        f"{percent.mean:.3f} %",
        f"{percent.low:.3f} … {percent.high:.3f} %",
        number(micro.mean),
        f"{number(micro.low)} … {number(micro.high)}",
        f"{share * control.mean:+.3f} ± {share * (control.high - control.mean):.3f} %",
        f"{found.parts.rounds:,}",
    )


def parts_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.shares is not None:
            found = one.shares
            woken = "–" if found.pace.woken is None else _plus_minus(found.pace.woken)
            cells = (_plus_minus(found.parts.outside), _plus_minus(found.pace.writer), number(found.collections / 1e3))
            rows.append((one.case.name, *cells, _plus_minus(found.parts.bodies), woken))
    return Table(
        "Where it goes, µs a query; and, apart, what recording does to the bodies",
        ("query", "outside", "writer", "collections", "bodies", "of the writer's work"),
        rows,
        (
            "writer: its thread's own clock while recorded queries run one after the other, half a second at a time.",
            "collections: containers left by a query over the collector's threshold, times a young collection's time.",
            "bodies: recorded minus undecorated, between the bodies' marks, in turns. of the writer's work: bodies it"
            " works beside minus their quiet neighbours.",
        ),
    )


def yardstick_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.shares is not None and one.shares.by_hand is not None and one.shares.to_by_hand is not None:
            ratio = one.shares.to_by_hand
            cells = (_plus_minus(one.shares.cost), _plus_minus(one.shares.by_hand), f"{ratio.mean:.3f}")
            rows.append((one.case.name, *cells, f"{ratio.low:.3f} … {ratio.high:.3f}"))
    return Table(
        "Beside a decorator written by hand, in turns with it, µs of CPU a query",
        ("query", "recorded", "by hand", "ratio", "95 % interval"),
        rows,
        ("by hand: each function timed, and one line logged by the standard library's FileHandler.",),
    )


def _plus_minus(found: Interval) -> str:
    return f"{number(found.mean / 1e3)} ± {number((found.high - found.mean) / 1e3, 2)}"


def break_even_table(measured: Sequence[Measured]) -> Table:
    rows = []
    for one in measured:
        if one.loop is not None:
            micro, even = one.loop.ns.scaled(1e-3), one.loop.ns.scaled(1e-4)
            rows.append(
                (
                    one.case.name,
                    f"{number(micro.mean)} µs",
                    f"{number(micro.low)} … {number(micro.high)} µs",
                    f"{number(one.loop.writer_ns / 1e3)} µs",
                    f"{number(even.mean)} ms",
                )
            )
    return Table(
        "Queries that do nothing; break-even: the shortest query whose overhead stays under 1 % at this cost",
        ("query", "cost a query", "95 % interval", "of it writer", "break-even"),
        rows,
        ("A query's own work cools the caches, so recording costs more there than in an empty loop.",),
    )
