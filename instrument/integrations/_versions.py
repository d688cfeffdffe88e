"""Which version of a framework is there, and whether it was ever tried."""

from __future__ import annotations

from instrument.integrations._frameworks import Framework

_said: set[str] = set()


def version_of(framework: Framework) -> str:
    """The installed version, empty where none is known."""
    if not framework.distribution:
        return ""
    from importlib import metadata

    try:
        return metadata.version(framework.distribution) or ""
    except Exception:  # noqa: BLE001 - not installed as a distribution, or its metadata are broken
        return ""


def say_untried(name: str, framework: Framework) -> None:
    """Say, once, that a framework's version is outside those that were tried."""
    version = version_of(framework)
    if not framework.distribution or name in _said:
        return
    if version and _numbers(framework.since) <= _numbers(version) < _numbers(framework.before):
        return
    _said.add(name)
    import logging

    logging.getLogger("instrument").warning(
        "%s %s was not tried, only %s up to %s: what it does may not be recorded in full",
        name,
        version or "of an unknown version",
        framework.since,
        framework.before,
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The first three numbers of a version: 2.0 and 2.0.0 are the same."""
    import re

    found = [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
    return tuple([*found, 0, 0, 0][:3])
