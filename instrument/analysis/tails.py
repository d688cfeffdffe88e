"""How surprising a count is: -log10 of the chance of it or more, under a negative binomial or a binomial distribution.

numpy is imported when a function is called.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]


def two_sided(actual: Array, mean: Array, shape: Array) -> Array:
    """-log10 of the smaller tail of a negative binomial distribution, by the normal approximation of its root.

    Anscombe, The transformation of Poisson, binomial and negative-binomial data (1948).
    """
    import numpy as np

    known = mean > 0
    shape = np.maximum(shape, 1e-3)
    safe = np.maximum(mean, 1e-9)
    root = np.sqrt(shape) * np.arcsinh(np.sqrt((actual + 0.375) / np.maximum(shape - 0.75, 0.25)))
    middle = np.sqrt(shape) * np.arcsinh(np.sqrt((safe + 0.375) / np.maximum(shape - 0.75, 0.25)))
    z = 2 * np.abs(root - middle)
    return np.where(known, _minus_log_tail(z), 0.0)


def upper_tail(actual: Array, of: Array, share: Array) -> Array:
    """-log10 of the upper tail of a binomial distribution, by its deviance.

    The signed root of the deviance is nearly normal (McCullagh and Nelder, 1989, appendix C).
    """
    import numpy as np

    of = np.maximum(of, 1e-9)
    p = np.clip(share, 1e-6, 1 - 1e-6)
    said = np.clip((actual - 0.25) / of, 1e-9, 1 - 1e-9)
    deviance = 2 * of * (said * np.log(said / p) + (1 - said) * np.log((1 - said) / (1 - p)))
    z = np.sqrt(np.maximum(deviance, 0))
    return np.where(said > p, _minus_log_tail(z), 0.0)


def _minus_log_tail(z: Array) -> Array:
    """-log10 of the normal distribution's tail beyond z; by its asymptotic series where that is too small."""
    import numpy as np

    z = np.minimum(z, 200.0)
    near = np.array([0.5 * math.erfc(one / math.sqrt(2)) for one in np.minimum(z, 30.0).ravel()]).reshape(z.shape)
    with np.errstate(divide="ignore"):
        exact = -np.log10(np.maximum(near, 1e-190))
    far = (z**2 / 2 + np.log(np.maximum(z, 1.0)) + 0.5 * math.log(2 * math.pi)) / math.log(10)
    return np.where(z > 28, far, exact)
