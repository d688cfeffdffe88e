"""What a query will take before it runs, from similar queries of the recent past.

from instrument.prediction import predict

expected = predict("compare all unpaid bills", agent="crewai")
if expected.p90_ms is not None and expected.p90_ms > 30_000:
    ...

The figures come from a small model file beside the store's records, which `metrics compact`, `metrics serve` or
`metrics predict --renew` writes; nothing here reads records. A prediction takes some microseconds.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

VERSION = 1

FILE = Path(".state") / "prediction.msgpack"
"""Where a store keeps the model, below its directory."""

LEAST_SIMILAR = 10
"""Queries of the agent (of all, where none is named) below which nothing is predicted."""

RENEWED_SECONDS = 5.0
"""How long a model is used before it is looked whether there is a newer one."""

P50, P90, TOKENS, COST = "p50", "p90", "tokens", "cost"

SHARES = {P50: 0.5, P90: 0.9, TOKENS: 0.5, COST: 0.5}
"""The quantile that each figure is."""


class Prediction(Struct, frozen=True):
    """What a query is expected to take, "from n similar queries".

    `p50_ms` and `p90_ms` are the durations that half and nine tenths of such queries stay below, `failure` the
    probability that it fails (0 to 1), `tokens` and `cost_usd` medians. Each is None where too few are known.
    `similar` is the number of recent queries in the narrowest group used.
    """

    p50_ms: float | None = None
    p90_ms: float | None = None
    failure: float | None = None
    tokens: float | None = None
    cost_usd: float | None = None
    similar: int = 0


class Group(Struct, omit_defaults=True):
    """Recent queries that are alike: how many, and the logarithm of the quantile of each figure among them."""

    count: int = 0
    quantiles: dict[str, float] = {}
    counts: dict[str, int] = {}


class Model(Struct):
    """What was learned from a store: groups by key, from all queries down to those alike in everything.

    `attribute` is the attribute that says most about durations, "" for none; `offsets` corrects the quantiles by
    agent and model, `failures` is the recent share of failures by agent and model.
    """

    version: int
    trained_us: int
    attribute: str
    groups: dict[str, Group]
    offsets: dict[str, dict[str, float]]
    failures: dict[str, float]

    def predict(self, user_input: str, agent: str | None, model: str | None, attribute: Any) -> Prediction:
        """Predict from the groups that a query belongs to."""
        path = keys(user_input, agent, model, attribute)
        groups = [group for key in path if (group := self.groups.get(key)) is not None]
        if not groups or self._similar_to_agent(path, agent) < LEAST_SIMILAR:
            return Prediction(similar=groups[-1].count if groups and agent is None else 0)
        found = self._figures(path, groups)
        return Prediction(
            p50_ms=found.get(P50),
            p90_ms=None if P90 not in found else max(found[P90], found.get(P50, 0.0)),
            failure=next((self.failures[key] for key in reversed(path[:3]) if key in self.failures), None),
            tokens=_less_one(found.get(TOKENS)),
            cost_usd=None if COST not in found else found[COST] / 1e6,
            similar=groups[-1].count,
        )

    def _figures(self, path: list[str], groups: list[Group]) -> dict[str, float]:
        corrected = self.offsets.get(path[2], {})
        found = {}
        for figure, share in SHARES.items():
            known = [(group.quantiles.get(figure), group.counts.get(figure, 0)) for group in groups]
            value = nested(known, share)
            if value is not None:
                found[figure] = math.exp(value + corrected.get(figure, 0.0))
        return found

    def _similar_to_agent(self, path: list[str], agent: str | None) -> int:
        group = self.groups.get(path[0 if agent is None else 1])
        return 0 if group is None else group.count


def _less_one(value: float | None) -> float | None:
    return None if value is None else max(0.0, value - 1)


def keys(user_input: str, agent: str | None, model: str | None, attribute: Any) -> list[str]:
    """The keys of the groups that a query belongs to, from all queries to the narrowest.

    They narrow by agent, model, the attribute that says most, and the input's length (twice as long is one step).
    """
    parts = [agent or "", model or "", "" if attribute is None else str(attribute)[:200]]
    path = ["*"]
    path += ["\x1f".join(parts[: number + 1]) for number in range(3)]
    path.append(f"{path[-1]}\x1f{int(math.log2(len(user_input) + 1))}")
    return path


def nested(quantiles: list[tuple[float | None, int]], share: float) -> float | None:
    """The quantile of the narrowest group, drawn towards the wider ones as far as few queries are in it.

    Each group weighs n / (n + 4 / min(share, 1 - share)) against those above it; None without any.
    """
    value: float | None = None
    for quantile, count in quantiles:
        if quantile is None:
            continue
        weight = count / (count + 4 / min(share, 1 - share))
        value = quantile if value is None else weight * quantile + (1 - weight) * value
    return value


def predict(
    user_input: str,
    *,
    agent: str | None = None,
    model: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    directory: str | Path | None = None,
) -> Prediction:
    """Predict what a query will take, from the model beside the store; empty where too little is known.

    `directory` is the store's, by default that of the settings in force. It never raises because of the file.
    """
    learned = _model(str(directory) if directory is not None else _directory())
    if learned is None:
        return Prediction()
    return learned.predict(user_input, agent, model, (attributes or {}).get(learned.attribute))


class _Loaded(Struct):
    """A model with when it was looked for and which file it came from."""

    model: Model | None
    looked: float
    stamp: tuple[int, int] | None


_loaded: dict[str, _Loaded] = {}


def _model(directory: str) -> Model | None:
    now = time.monotonic()
    directory = os.path.abspath(directory)  # a relative one is another after a change of the working directory
    known = _loaded.get(directory)
    if known is not None and now - known.looked < RENEWED_SECONDS:
        return known.model
    file = os.path.join(directory, FILE)
    try:
        found = os.stat(file)
        stamp = (found.st_mtime_ns, found.st_ino)
        if known is None or known.stamp != stamp:
            known = _Loaded(read(file), now, stamp)
    except OSError:
        known = _Loaded(None, now, None)
    known.looked = now
    _loaded[directory] = known
    return known.model


def drop_loaded(directory: str | Path) -> None:
    """Look for a store's model anew at the next prediction, because it has just been written."""
    _loaded.pop(os.path.abspath(directory), None)


def read(file: str | Path) -> Model | None:
    """Read a model file; None for one that is damaged or of another version. Raises OSError where it cannot be read."""
    with open(file, "rb") as stream:
        content = stream.read()
    try:
        model = msgspec.msgpack.decode(content, type=Model)
    except msgspec.MsgspecError:
        return None
    return model if model.version == VERSION else None


def _directory() -> str:
    from instrument.collecting.collector import collector

    return str(collector.config.directory)
