"""Where the public series lie that the insight is scored on; tests that need one skip where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "../shared/data"


def needs(name: str) -> pytest.MarkDecorator:
    """Skip where the folder of a data set is not beside the repository."""
    return pytest.mark.skipif(not (FOLDER / name).is_dir(), reason=f"the public data set {name!r} is not here")
