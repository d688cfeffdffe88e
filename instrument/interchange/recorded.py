"""What a query's span says of its record beyond what conventions have a name for: attributes that begin with ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from instrument.interchange import span_names as names
from instrument.interchange.json_values import number, text
from instrument.rows.live import ChoiceRow


class Recorded(Struct, eq=False):
    """A record's own fields. `status` is empty where the span's own outcome says it."""

    status: str = ""
    weight: float = 1
    entities: list[str] = field(default_factory=list[str])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    selection: ChoiceRow | None = None


def recorded_in(attributes: Mapping[str, Any], started_us: int) -> Recorded | None:
    """The fields that the attributes of a query's span hold; None where none of them is ours."""
    if not any(name.startswith(names.OURS) for name in attributes):
        return None
    found = Recorded(text(attributes.get(names.STATUS)))
    weight = number(attributes.get(names.WEIGHT))
    if weight is not None and math.isfinite(weight) and weight > 0:
        found.weight = weight
    entities = attributes.get(names.ENTITIES)
    found.entities = [each for each in entities if isinstance(each, str)] if isinstance(entities, list) else []
    for name, value in attributes.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if name.startswith(names.METRIC) and is_number:
            found.metrics[name.removeprefix(names.METRIC)] = float(value)
    if agent := text(attributes.get(names.SELECTED_AGENT)):
        reason = text(attributes.get(names.SELECTION_REASON)) or None
        found.selection = ChoiceRow(started_us, agent, number(attributes.get(names.COMPLEXITY)), reason)
    return found
