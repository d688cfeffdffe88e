"""Events in the words of one message: a title, and a line or two for each event."""

from __future__ import annotations

from collections.abc import Sequence

from instrument.alerting.states import Event
from instrument.analysis.wording import duration

MOST_LINES = 20
"""Events that one message lists; it counts the others."""

_ORDER = {"critical": 0, "warning": 1, "info": 2}
_VERBS = {"firing": "FIRING", "reminder": "STILL FIRING", "resolved": "RESOLVED"}
_TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


def title(events: Sequence[Event]) -> str:
    """The subject of a message."""
    if len(events) == 1:
        return f"{_VERBS[events[0].kind]}: {name(events[0])} ({events[0].severity})"
    counts = {kind: sum(event.kind == kind for event in events) for kind in ("firing", "reminder", "resolved")}
    words = {"firing": "firing", "reminder": "still firing", "resolved": "resolved"}
    return "Alerts: " + ", ".join(f"{number} {words[kind]}" for kind, number in counts.items() if number)


def body(events: Sequence[Event]) -> str:
    """The text of a message: the worst first, what has resolved last."""
    ordered = sorted(events, key=lambda event: (event.kind == "resolved", _ORDER[event.severity], event.at))
    lines = [_line(event) for event in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        lines.append(f"and {len(ordered) - MOST_LINES} more; metrics alerts lists them all")
    return "\n".join(lines)


def kind(events: Sequence[Event]) -> str:
    """What apprise calls a message: `failure`, `warning`, `info`, or `success` when all have resolved."""
    bad = [event.severity for event in events if event.kind != "resolved"]
    return _TYPES[min(bad, key=_ORDER.__getitem__)] if bad else "success"


def name(event: Event) -> str:
    """The rule, with the group that it is about."""
    return event.rule if event.group is None else f"{event.rule} [{event.group}]"


def _line(event: Event) -> str:
    text = f"{_VERBS[event.kind]} {name(event)} ({event.severity}): {event.detail}"
    if event.kind == "resolved":
        text += f"; it fired for {duration((event.at - event.since).total_seconds() * 1000)}"
    text += f" [{event.at:%Y-%m-%d %H:%M:%S} UTC]"
    to_do = event.description if event.kind != "resolved" else ""
    return f"{text}\n    {to_do}" if to_do else text
