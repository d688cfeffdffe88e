"""What else is known of a query: when, by what, with which model, its attributes and metrics."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING

import msgspec

from instrument.analysis.wording import count, dollars, duration, size, zone_name
from instrument.analysis.wording import moment as moment_of
from instrument.records import QueryRecord
from instrument_cli.web import rows
from instrument_cli.web.html import Child, Element, joined, tag, text
from instrument_cli.web.layout import filter_link, panel

if TYPE_CHECKING:
    from instrument_cli.web.view import View

Fact = tuple[str, Child]

_MOST_VALUE = 300


def facts(view: View, query: QueryRecord, zone: tzinfo) -> Element:
    """List what is known; a value that lists can be narrowed by leads to that list."""
    known = [
        ("Started", _started(query, zone)),
        *_of_recording(view, query),
        *_of_meaning(view, query),
        *_of_usage(query),
        *_of_own(view, query),
    ]
    pairs = (tag("div", tag("dt", text(name)), tag("dd", value)) for name, value in known)
    return panel("Facts", tag("dl", *pairs, class_="facts"))


def _started(query: QueryRecord, zone: tzinfo) -> Element:
    moment = moment_of(query.start_time).astimezone(zone)
    said = f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M:%S} {zone_name(moment)}"
    return tag("time", said, datetime=query.start_time)


def _of_recording(view: View, query: QueryRecord) -> list[Fact]:
    place = [str(part) for part in (query.host, query.process) if part]
    around = tag("a", "another query", href=view.href(f"/queries/{query.parent_id}"))
    return _given(
        ("Recorded by", text(query.name) if query.name else None),
        ("Process", text(" · ".join(place)) if place else None),
        ("Inside", around if query.parent_id else None),
        ("Stands for", f"{query.weight:g} queries" if query.weight != 1 else None),
    )


def _of_usage(query: QueryRecord) -> list[Fact]:
    tokens = f"{count(query.input_tokens or 0)} in · {count(query.output_tokens or 0)} out"
    is_counted = query.input_tokens is not None or query.output_tokens is not None
    return _given(
        ("Tokens", tokens if is_counted else None),
        ("Cost", None if query.cost_usd is None else dollars(query.cost_usd)),
        ("First chunk", None if query.first_chunk_ms is None else duration(query.first_chunk_ms)),
        ("Answer", None if query.result_size_bytes is None else size(query.result_size_bytes)),
    )


def _of_meaning(view: View, query: QueryRecord) -> list[Fact]:
    model = filter_link(view, "model", query.model, path="/queries") if query.model else None
    entities = [joined([filter_link(view, "entity", each, path="/queries"), " "]) for each in query.entities_detected]
    chosen = None
    if query.selection is not None:
        score = query.selection.complexity_score
        said = "" if score is None else f" (score {score:.3f})"
        chosen = joined([text(query.selection.selection_reason or "no reason was given"), said])
    return _given(("Model", model), ("Entities", entities or None), ("Chosen because", chosen))


def _of_own(view: View, query: QueryRecord) -> list[Fact]:
    """Attributes and metrics, under their own names."""
    listed: list[Fact] = []
    for name, value in query.attributes.items():
        written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        shown = text(rows.cut(written, _MOST_VALUE))
        listed.append((name, filter_link(view, f"attribute:{name}", written, path="/queries", shown=shown)))
    return listed + [(name, f"{number:,.6g}") for name, number in query.metrics.items()]


def _given(*facts_: tuple[str, Child]) -> list[Fact]:
    """Those that are known."""
    return [(name, value) for name, value in facts_ if value is not None]
