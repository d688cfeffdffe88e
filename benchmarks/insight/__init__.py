"""How good the insight is: public benchmarks, scored by their own rules, and a simulator of agents' traffic.

The rules are implemented here and checked against rows that the benchmarks' authors published. The data lie in
`../shared/data` beside the repository, or where `--data` says; what is not there is left out.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.results import Section

DATA = Path(__file__).parents[2] / "../shared/data"


def run(*, short: bool = False, data: Path | None = None) -> Section:
    """Score everything whose data are there; `short` takes fewer series and simulations."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # on such small matrices more threads only wait for each other
    from benchmarks.insight import scoring

    return scoring.section((data or DATA).resolve(), short=short)
