"""What may stand behind the `?` of an address below /api/: each parameter's form, for its check and its description."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from instrument.analysis.search import SORTS
from instrument.analysis.series import figure_names
from instrument.errors import UsageError

LONGEST = 500
"""Characters of a value."""

MOST_QUERIES = 1000
MOST_HOURS = 1e9

_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST}


def _text(text: str) -> str:
    if not 0 < len(text) <= LONGEST:
        raise ValueError(f"give 1 to {LONGEST} characters")
    return text


def _hours(text: str) -> float:
    number = float(text)
    if not 0 < number <= MOST_HOURS:
        raise ValueError("give a number above 0, such as 24 or 0.5")
    return number


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_QUERIES:
        raise ValueError(f"give a whole number from 1 to {MOST_QUERIES}")
    return number


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("give true or false")
    return text == "true"


def _sort(text: str) -> str:
    if text not in SORTS:
        raise ValueError(f"give one of {', '.join(SORTS)}")
    return text


@dataclass(frozen=True)
class Parameter:
    """One parameter: its JSON schema, what it does, and what turns its text into a value, or raises ValueError."""

    name: str
    help: str
    read: Callable[[str], Any] = _text
    schema: dict[str, Any] = field(default_factory=lambda: _TEXT)
    is_list: bool = False


HOURS = Parameter(
    "hours", "Cover the last so many hours.", _hours, {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_HOURS}
)
SINCE = Parameter("since", "From this time on: 2026-11-20, 2026-11-20T14:30, yesterday, -7d, -90m.")
UNTIL = Parameter("until", "Up to this time, by default now; a date is its midnight.")
ZONE = Parameter("tz", "Read times and count days in this zone: local, UTC, Europe/Berlin.")
WHERE = Parameter(
    "where", "Only queries like this: agent=crewai, duration>5s, status!=ok; several are all true.", is_list=True
)
AGENT = Parameter("agent", "Only queries of this agent.")
BY = Parameter("by", "Break down by agent, model, host, process, session, entity or an attribute.")
FAILED = Parameter("failed", "Only queries that failed.", _truth, {"type": "boolean"})
SLOW = Parameter("slow", "Only queries above slow_query_threshold_ms.", _truth, {"type": "boolean"})
CONTAINS = Parameter("contains", "Only with this in the input, the error, the agent or the id.")
SORT = Parameter("sort", "What to list first; time: the newest.", _sort, {"enum": list(SORTS), "default": "time"})
LIMIT = Parameter(
    "limit",
    "List so many queries at the most.",
    _limit,
    {"type": "integer", "minimum": 1, "maximum": MOST_QUERIES, "default": 20},
)
FIGURE = Parameter(
    "figure",
    f"What to work out: {', '.join(figure_names())}, or metric:NAME.",
    schema=_TEXT | {"default": "queries"},
)
EVERY = Parameter("every", "How long a bucket is: 5m, 1h, 1d, or seconds.", schema=_TEXT | {"default": "1h"})

PERIOD = (HOURS, SINCE, UNTIL, ZONE)


def values(asked: Iterable[tuple[str, str]], known: Iterable[Parameter]) -> dict[str, Any]:
    """The values of the parameters that are given, by name; those of a list together.

    Raises UsageError for one that is unknown, given twice or wrong.
    """
    by_name = {parameter.name: parameter for parameter in known}
    found: dict[str, Any] = {}
    for name, text in asked:
        parameter = by_name.get(name)
        if parameter is None:
            raise UsageError(f"there is no parameter {name[:50]!r} here; there are {', '.join(by_name)}")
        try:
            value = parameter.read(text)
        except ValueError as error:
            form = str(error) if "give" in str(error) else "give a number"
            raise UsageError(f"{name}={text[:50]!r} is wrong; {form}") from None
        if parameter.is_list:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise UsageError(f"{name} is given twice; give it once")
        else:
            found[name] = value
    return found
