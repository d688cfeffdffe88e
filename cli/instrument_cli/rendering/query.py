"""Draw one query, whole."""

from __future__ import annotations

from datetime import tzinfo

import msgspec

from instrument.analysis.outliers import Outlier
from instrument.analysis.results import Limits
from instrument.analysis.wording import count, day, dollars, duration, moment, size
from instrument.records import QueryRecord, SelectionRecord
from instrument_cli.rendering.judging import speed
from instrument_cli.rendering.line import Line, line
from instrument_cli.rendering.page import Page
from instrument_cli.rendering.queries import STATUS_STYLES
from instrument_cli.rendering.table import beside, fact, flowing
from instrument_cli.rendering.text import plain
from instrument_cli.rendering.waterfall import draw_waterfall


def draw_query(query: QueryRecord, limits: Limits, page: Page, unusual: Outlier | None = None) -> list[Line]:
    """One query: what was asked, how it went, what makes it unusual, what it called."""
    status = line(f"{query.status}", STATUS_STYLES.get(query.status, ""))
    drawn = [
        *(line(" ") + each for each in beside([line(plain(query.query_id), "title"), status], page, 1, "  ")),
        line(),
        *fact("Input", query.user_input, page),
        *fact("Agent", " · ".join(part for part in (query.agent_type, query.name) if part), page),
        *_choice(query.selection, page),
        *flowing("Time", [*_took(query, limits), line(_time(query, page.zone))], page),
        *_error(query, page),
        *fact("Unusual", "" if unusual is None else unusual.sentence, page, "slow"),
        *fact("Result", _result(query), page),
        *fact("Entities", "   ".join(query.entities_detected), page),
        *fact("Tokens", _tokens(query), page),
        *_pairs("Attributes", query.attributes, page),
        *_pairs("Metrics", query.metrics, page),
        *fact("Inside", query.parent_id or "", page),
        *fact("Weight", f"stands for {query.weight:g} queries" if query.weight != 1 else "", page),
        *fact("Process", " on ".join(str(part) for part in (query.process, query.host) if part), page),
    ]
    if query.calls:
        return [*drawn, line(), *draw_waterfall(query, page)]
    counted = f"{count(query.tool_calls)} tool, {count(query.graphql_queries)} GraphQL"
    counted += f", {count(query.model_calls)} model" if query.model_calls else ""
    return [*drawn, *fact("Calls", f"{counted}, known by their number only" if _any_calls(query) else "none", page)]


def _any_calls(query: QueryRecord) -> bool:
    return bool(query.tool_calls or query.graphql_queries or query.model_calls)


def _choice(choice: SelectionRecord | None, page: Page) -> list[Line]:
    if choice is None:
        return []
    score = "" if choice.complexity_score is None else f"complexity {choice.complexity_score:.3f}"
    return fact(
        "Selection", " · ".join(part for part in (choice.selected_agent, score, choice.selection_reason) if part), page
    )


def _time(query: QueryRecord, zone: tzinfo) -> str:
    start, end = (moment(text).astimezone(zone) for text in (query.start_time, query.end_time))
    last = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{day(end)} {end:%H:%M:%S}"
    return f"{day(start)} {start:%Y %H:%M:%S} – {last} {end.tzname()}"


def _took(query: QueryRecord, limits: Limits) -> list[Line]:
    took = line(duration(query.duration_ms), speed(query.duration_ms, limits) or "strong")
    return [took] if query.first_chunk_ms is None else [took, line(f"first chunk {duration(query.first_chunk_ms)}")]


def _error(query: QueryRecord, page: Page) -> list[Line]:
    return fact("Error", ": ".join(text for text in (query.error_type, query.error_message) if text), page, "bad")


def _result(query: QueryRecord) -> str:
    return "" if query.result_size_bytes is None else size(query.result_size_bytes)


def _tokens(query: QueryRecord) -> str:
    if query.input_tokens is None and query.output_tokens is None:
        return query.model or ""
    facts = (
        f"{count(query.input_tokens or 0)} in",
        "" if query.cached_tokens is None else f"({count(query.cached_tokens)} from a cache)",
        f"  {count(query.output_tokens or 0)} out",
        "" if query.reasoning_tokens is None else f"({count(query.reasoning_tokens)} for reasoning)",
        f"  {query.model}" if query.model else "",
        "" if query.cost_usd is None else f"  {dollars(query.cost_usd)}",
    )
    return " ".join(fact for fact in facts if fact)


def _pairs(label: str, pairs: dict[str, object] | dict[str, float], page: Page) -> list[Line]:
    lines: list[Line] = []
    for key, value in pairs.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        lines += fact("" if lines else label, f"{key} = {text}", page)
    return lines
