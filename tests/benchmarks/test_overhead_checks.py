"""A share is judged where the yardstick shows that the machine's caches are its own; the ratio always is."""

from __future__ import annotations

import pytest
from instrument_cli.overhead import Interval, Pace, Parts

from benchmarks.overhead import UNDISTURBED_US, checks
from benchmarks.overhead.cases import Case, Measured, Shares


def measured(milliseconds: float, share: float, ratio: float) -> Measured:
    """A synchronous, hot case in which recording costs that share of a query, and that ratio to the yardstick."""
    cost = share * milliseconds * 1e6
    found = Parts(Interval(cost, cost, cost), Interval(0, 0, 0), milliseconds * 1e6, 100)
    by_hand = Interval(cost / ratio, cost / ratio, cost / ratio)
    pace = Pace(Interval(0, 0, 0), None, 100)
    return Measured(Case(milliseconds, False, False), None, Shares(found, pace, 0.0, found, by_hand), 100, 100)


@pytest.mark.parametrize("milliseconds", [1, 10])
def test_a_share_over_its_budget_fails_on_a_quiet_machine_and_not_on_a_disturbed_one(milliseconds: int) -> None:
    yardstick = UNDISTURBED_US[milliseconds, "hot"] / 1000 / milliseconds  # as a share of the query
    share, ratio, _ = checks(measured(milliseconds, 0.05, 0.05 / (0.9 * yardstick)))
    assert (share.verdict, ratio.verdict) == ("broken", "broken")
    share, ratio, _ = checks(measured(milliseconds, 0.05, 0.1))
    assert (share.verdict, ratio.verdict) == ("disturbed", "held")


def test_a_ratio_over_its_budget_fails_on_a_disturbed_machine_too() -> None:
    share, ratio, _ = checks(measured(1, 0.05, 0.4))
    assert (share.held, ratio.held) == (True, False)
