"""Where records can be shipped to: a registry of targets, each one module with a function `ship_to(order)`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path

from msgspec import Struct, field

from instrument.errors import UsageError
from instrument.store.layout import days_before

TARGETS = {
    "clickhouse": "instrument.exporters.clickhouse.shipping",
    "otlp": "instrument.exporters.otlp.shipping",
    "s3": "instrument.exporters.lake",
    "gs": "instrument.exporters.lake",
    "az": "instrument.exporters.lake",
    "file": "instrument.exporters.lake",
}
"""The module that ships, by the name of a target or the scheme of its address."""

_OPTIONS = {
    "clickhouse": ("cluster", "keep_days"),
    "otlp": ("signals", "since"),
    **dict.fromkeys(("s3", "gs", "az", "file"), ("delta", "keep_days")),
}
"""The options that each target takes."""

_KNOW_THEIRS = ("otlp",)
"""Targets whose address may also stand in the environment."""


def _quiet(line: str) -> None:
    """Say nothing."""


class Order(Struct):
    """What is to be shipped: from which store, where to, once or as it comes until `stop` is set.

    `say` is given what a person should know while it goes on, a line each; `options` are those of one target alone.
    """

    directory: Path
    address: str
    follow: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = _quiet
    options: dict[str, str] = field(default_factory=dict[str, str])

    def keep_days(self) -> int | None:
        """How many days the target is to keep, by the option of that name; None keeps all. Raises UsageError."""
        given = self.options.get("keep_days")
        if given is not None and not (given.isdecimal() and int(given)):
            raise UsageError(f"keep_days {given!r} is no number of days; give 1 or more")
        return None if given is None else int(given)


def oldest_day(keep_days: int | None) -> date | None:
    """The oldest day (UTC) to keep of so many before today; None keeps all."""
    return None if keep_days is None else days_before(datetime.now(UTC), keep_days).date()


def ship(to: str, order: Order) -> str:
    """Ship to a target by its name, or by an address such as `s3://bucket/agents`; returns a sentence of what was done.

    Raises UsageError for a target or an address that is none, StoreError when the store or the target cannot be used.
    """
    name, separator, _ = to.partition("://")
    if separator and not order.address:
        order.address = to
    module = TARGETS.get(name.lower())
    if module is None:
        raise UsageError(
            f"--to {to!r} is no target; choose {', '.join(TARGETS)}, or an address such as s3://bucket/agents"
        )
    if foreign := sorted(order.options.keys() - set(_OPTIONS[name.lower()])):
        known = ", ".join(_OPTIONS[name.lower()])
        raise UsageError(f"--to {name} takes no {', '.join(foreign)}; its options are {known}")
    if not order.address and name.lower() not in _KNOW_THEIRS:
        raise UsageError(f"--to {to} needs an address behind it; `metrics ship --help` has an example")
    done: str = import_module(module).ship_to(order)
    return done
