"""Which version of a framework is there, and whether it was ever tried."""

from __future__ import annotations

import logging
import re
from importlib import metadata

from instrument.integrations._frameworks import Framework

_said: set[str] = set()


def version_of(framework: Framework) -> str:
    """The installed version, empty where none is known."""
    try:
        return metadata.version(framework.distribution) if framework.distribution else ""
    except metadata.PackageNotFoundError:
        return ""


def say_untried(name: str, framework: Framework) -> None:
    """Say, once, that a framework's version is outside those that were tried."""
    version = version_of(framework)
    if not framework.distribution or name in _said:
        return
    if version and _numbers(framework.since) <= _numbers(version) < _numbers(framework.before):
        return
    _said.add(name)
    logging.getLogger("instrument").warning(
        "%s %s was not tried, only %s up to %s: what it does may not be recorded in full",
        name,
        version or "of an unknown version",
        framework.since,
        framework.before,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])
