"""How sure a rate, a mean or a percentile is: draws of the bootstrap, weights respected.

The Bayesian bootstrap (Rubin, The Bayesian Bootstrap, 1981) gives each record a random share of the whole. What then
lies at or below a value has a Beta distribution, so that rates and percentiles need no record to be drawn: a rate's
draws are Betas, and a percentile's are the values that stand at ranks drawn from a Beta (as Woodruff inverts the
interval of a share, Confidence Intervals for Medians and Other Position Measures, 1952). A mean's draws are normal,
with the variance that the bootstrap has. Weights count by their effective number of records, (Σw)² / Σw² (Kish, Survey
Sampling, 1965), for a percentile that of the records' share in its variance. Draws come from a fixed seed: the same
records give the same interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 20_000
_SEED = 20_261_125


class Sample(Struct, frozen=True):
    """Values with the weight of each, in ascending order of value."""

    values: Floats
    weights: Floats

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.values)


def sample(values: Any, weights: Any) -> Sample:
    """Order values and their weights, arrays of one length; NaN values are left out."""
    import numpy as np

    values, weights = np.asarray(values, float), np.asarray(weights, float)
    known = ~np.isnan(values)
    values, weights = values[known], weights[known]
    order = np.lexsort((weights, values))
    return Sample(values[order], weights[order])


def mean(of: Sample) -> float | None:
    """The weighted mean; None over nothing."""
    total = float(of.weights.sum())
    return float((of.values * of.weights).sum()) / total if total else None


def percentile(of: Sample, share: float) -> float | None:
    """The percentile as reports have it: each value stands `weight` times in a list, linear between ranks."""
    import numpy as np

    return float(_at(of, np.array([share]))[0]) if of.records else None


def rate_draws(of: Sample, seed: int) -> Floats:
    """Draws of the mean of zeros and ones; one of each is added, so that a rate of 0 or 1 varies, too."""
    total, squared = float(of.weights.sum()), float((of.weights**2).sum())
    records, rate = total**2 / squared, mean(of) or 0.0
    return _generator(seed).beta(rate * records + 1, (1 - rate) * records + 1, DRAWS)


def mean_draws(of: Sample, seed: int) -> Floats:
    """Draws of the weighted mean of at least a few records."""
    total, centre = float(of.weights.sum()), mean(of) or 0.0
    deviation = float((of.weights**2 * (of.values - centre) ** 2).sum()) ** 0.5 / total
    return _generator(seed).normal(centre, deviation, DRAWS)


def percentile_draws(of: Sample, share: float, seed: int) -> Floats:
    """Draws of a percentile, `share` above 0 and below 1."""
    total, value = float(of.weights.sum()), percentile(of, share) or 0.0
    variance = float((of.weights**2 * ((of.values <= value) - share) ** 2).sum()) / total**2
    records = share * (1 - share) / variance
    return _at(of, _generator(seed).beta(share * records, (1 - share) * records, DRAWS))


def _at(of: Sample, shares: Floats) -> Floats:
    """The values at ranks `share · (total weight - 1)`."""
    import numpy as np

    through = np.cumsum(of.weights)
    ranks = shares * max(float(through[-1]) - 1, 0.0)
    places = np.maximum(np.searchsorted(through - of.weights, ranks, side="right") - 1, 0)
    beyond = np.clip(ranks - (through[places] - 1), 0.0, 1.0)
    following = of.values[np.minimum(places + 1, of.records - 1)]
    found: Floats = of.values[places] + beyond * (following - of.values[places])
    return found


def _generator(seed: int) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.PCG64([_SEED, seed]))
