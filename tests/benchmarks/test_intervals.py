from __future__ import annotations

import gc
import random
import time
from functools import partial
from statistics import fmean

import pytest
from instrument_cli.overhead import (
    Interval,
    Spent,
    collections_ns,
    cost,
    cpu_ns,
    interval,
    parts,
    student,
    take_turns,
    writer_at_pace,
)


@pytest.mark.parametrize(("freedom", "tabled"), [(4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, tabled: float) -> None:
    assert student(0.95, freedom) == pytest.approx(tabled, rel=0.01)


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    made = random.Random(3)
    held = 0
    for _ in range(400):
        found = interval([made.gauss(5, 2) for _ in range(40)])
        held += found.low <= 5 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_few_wild_values_do_not_move_an_interval() -> None:
    values = [1 + number / 1000 for number in range(100)]
    calm, disturbed = interval(values), interval([*values[:95], 50, 60, 70, 80, 90])
    assert disturbed.mean == pytest.approx(calm.mean, abs=0.01)
    assert disturbed.high < 1.1


def test_equal_values_give_a_point_and_two_values_nothing() -> None:
    assert interval([3.0] * 20) == Interval(3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="2 values"):
        interval([1.0, 2.0])


def test_a_cost_is_the_difference_of_the_pairs_and_what_the_writer_took() -> None:
    made = random.Random(5)
    plain = [int(1_000_000 * (1 + made.uniform(0, 0.3))) for _ in range(200)]
    recorded = [round(one * 1.02) for one in plain]
    found = cost(recorded, plain, writer=10_000, calls=1)
    middle = sorted(plain)[100]
    assert found.share.mean == pytest.approx(0.02 + 10_000 / middle, abs=1e-4)
    assert found.share.low <= found.share.mean <= found.share.high
    assert found.ns.mean == pytest.approx(0.02 * fmean(plain) + 10_000, rel=0.05)
    assert found.all_share == pytest.approx(0.02 + 2_000_000 / sum(plain), abs=1e-4)
    assert found.rounds == 200


def test_slices_of_many_calls_cost_the_same_a_call() -> None:
    one = cost([1100] * 20, [1000] * 20, writer=50, calls=1)
    ten = cost([11_000] * 20, [10_000] * 20, writer=50, calls=10)
    assert ten.share == pytest.approx(one.share)
    assert ten.ns == pytest.approx(one.ns)


def test_every_round_runs_every_slice_once_and_the_end_is_flushed() -> None:
    runs: list[str] = []

    def slice_of(name: str) -> int:
        runs.append(name)
        return 1

    turns = take_turns({name: partial(slice_of, name) for name in "abc"}, 0, lambda: runs.append("flush"))
    assert sorted(runs[:3]) == ["a", "b", "c"]
    assert runs[3] == "flush"
    assert runs[-1] == "flush"
    rounds = [runs[place : place + 3] for place in range(4, len(runs) - 1, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert {len(taken) for taken in turns.slices.values()} == {len(rounds)}


def test_the_interval_of_a_sum_is_as_wide_as_independence_makes_it() -> None:
    assert Interval(7, 10, 13).plus(Interval(1, 5, 9)) == Interval(10, 15, 20)


def test_the_interval_of_a_ratio_is_as_wide_as_independence_makes_it() -> None:
    found = Interval(9, 10, 11).over(Interval(48, 50, 52))
    assert found.mean == pytest.approx(0.2)
    assert found.high - found.mean == pytest.approx(0.2 * (0.1**2 + 0.04**2) ** 0.5)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_the_interval_of_a_ratio_holds_the_true_ratio_as_often_as_it_says() -> None:
    made, held = random.Random(11), 0
    for _ in range(400):
        over, under = (interval([made.gauss(mean, 2) for _ in range(40)]) for mean in (5, 20))
        held += (found := over.over(under)).low <= 0.25 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_what_bodies_take_is_no_part_of_what_is_found_outside_them() -> None:
    made = random.Random(7)
    plain = [Spent(2000 + made.randrange(100), made.randrange(10**8)) for _ in range(100)]
    recorded = [Spent(12_000 + made.randrange(100), made.randrange(10**8)) for _ in range(100)]
    found = parts(recorded, plain)
    assert found.outside.mean == pytest.approx(10_000, abs=30)
    assert found.outside.high - found.outside.low < 100
    assert found.bodies.high - found.bodies.low > 10**6
    assert found.rounds == 100


def test_collecting_garbage_is_not_on_the_clock() -> None:
    heap = [[number] for number in range(200_000)]
    cpu_ns()
    begin, whole = cpu_ns(), time.thread_time_ns()
    gc.collect()
    spent, whole = cpu_ns() - begin, time.thread_time_ns() - whole
    assert len(heap) == 200_000
    assert spent < whole / 5


def test_a_call_that_leaves_more_containers_costs_more_collecting() -> None:
    kept: list[list[int]] = []
    few, many = (collections_ns(lambda count=count: kept.extend([0] for _ in range(count)), 100) for count in (20, 400))
    assert 0 < few < many
    assert collections_ns(lambda: None, 100) < few


def test_the_writers_part_is_that_of_its_own_thread() -> None:
    pace = writer_at_pace(lambda: Spent(1000, 1_000_000), 1, 1.1, lambda: None)
    assert pace.writer == (0, 0, 0)  # there is no writer here, so none works
    assert pace.calls > 4
