from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from keeping_application import Application


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application(tmp_path)


@pytest.fixture
def numbered() -> Callable[..., list[str]]:
    """The texts `name-0` … for the names given, each with its count, sorted as a store's are."""

    def texts(**counts: int) -> list[str]:
        return sorted(f"{name}-{number}" for name, count in counts.items() for number in range(count))

    return texts
