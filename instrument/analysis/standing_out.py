"""Which failures deserve a colour: those that chance does not explain.

A share of failures stands out when it is higher than that of its peers (the other rows of its table, the other times
of its period) by more than chance gives: its lower Wilson bound at three standard deviations lies above the peers'
share, which is counted with one failure and one success more. Fewer than three failures never stand out; otherwise a
share of a half or more always does.
Source of the bound: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_FAILURES = 3
_DEVIATIONS = 3.0


def stands_out(failed: float, total: float, peers_failed: float, peers_total: float) -> bool:
    """Whether `failed` of `total` is more than the peers' share explains."""
    if failed < LEAST_FAILURES or total <= 0:
        return False
    if failed >= total / 2:
        return True
    return peers_total > 0 and lower_bound(failed, total) > (peers_failed + 1) / (peers_total + 2)


def lower_bound(failed: float, total: float, deviations: float = _DEVIATIONS) -> float:
    """The lower end of Wilson's interval for a share."""
    share, squared = failed / total, deviations**2 / total
    centre = share + squared / 2
    return (centre - deviations * math.sqrt(share * (1 - share) / total + squared / (4 * total))) / (1 + squared)


def standing_out(failed: Sequence[float], totals: Sequence[float]) -> list[bool]:
    """For each share, whether it stands out of all the others together."""
    all_failed, everything = sum(failed), sum(totals)
    return [
        stands_out(bad, total, all_failed - bad, everything - total) for bad, total in zip(failed, totals, strict=True)
    ]
