from __future__ import annotations

import sys
from pathlib import Path

import pytest

from instrument.exporters import delivery

sys.path.append(str(Path(__file__).parents[1] / "store"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shippers of this process try again soon."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
