"""Where records can be shipped to: a registry of targets, each one module with a function `ship_to(order)`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from msgspec import Struct, field

from instrument.errors import UsageError

TARGETS = {
    "clickhouse": "instrument.exporters.clickhouse.shipping",
    "otlp": "instrument.exporters.otlp.shipping",
    "s3": "instrument.exporters.lake",
    "gs": "instrument.exporters.lake",
    "az": "instrument.exporters.lake",
    "file": "instrument.exporters.lake",
}
"""The module that ships, by the name of a target or the scheme of its address."""

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
    if not order.address and name.lower() not in _KNOW_THEIRS:
        raise UsageError(f"--to {to} needs an address behind it; `metrics ship --help` has an example")
    done: str = import_module(module).ship_to(order)
    return done
