"""The calls of a query that are not to models, which stand between them."""

from __future__ import annotations

import msgspec

from instrument.records import CallRecord, QueryRecord


def calls_of(query: QueryRecord) -> list[CallRecord]:
    """The calls that are not to models, each with the place of its parent among them."""
    kept = [place for place, call in enumerate(query.calls) if call.kind != "model"]
    places = {place: among for among, place in enumerate(kept)}
    return [
        msgspec.structs.replace(query.calls[place], parent=places.get(above) if above is not None else None)
        for place in kept
        for above in (_above(query, query.calls[place].parent),)
    ]


def models(query: QueryRecord) -> list[CallRecord]:
    """The calls to models."""
    return [call for call in query.calls if call.kind == "model"]


def _above(query: QueryRecord, place: int | None) -> int | None:
    while place is not None and query.calls[place].kind == "model":
        place = query.calls[place].parent
    return place
