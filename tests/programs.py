"""System programs that some tests need: found, or the test is skipped; in CI a missing one is a failure."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = bool(os.environ.get("INSTRUMENT_TESTS_NEED_PROGRAMS"))
"""Read when the tests start: each test begins without the settings of the environment."""


def needs(*names: str) -> list[str]:
    """The paths of these programs. Skips the test without them, or fails it where `.ci/run` promised them."""
    paths = [shutil.which(name) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing and REQUIRED:
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian packages of these names)")
    return [path for path in paths if path is not None]
