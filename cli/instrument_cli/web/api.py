"""`/api/`: report, stats, queries and series as the command's JSON, and the document that describes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from instrument.analysis import results
from instrument.analysis.filters import Filter, parsed
from instrument.analysis.periods import period as worked_out
from instrument.analysis.report import check_agent
from instrument.analysis.search import find
from instrument.analysis.series import Series
from instrument.errors import InstrumentError, NotFoundError, UsageError
from instrument.records import QueryRecord
from instrument_cli.rendering.json_output import json_document
from instrument_cli.web import parameters
from instrument_cli.web.parameters import Parameter
from instrument_cli.web.reading import BusyError, at_query, opened, readers

if TYPE_CHECKING:
    from starlette.requests import Request

    from instrument.analysis.periods import Period
    from instrument.reading import Store
    from instrument_cli.web.site import Site

Asked = dict[str, Any]


class ReportAnswer(Struct, frozen=True):
    """What `metrics report --format json --no-records` prints."""

    report: results.Report


class Endpoint(Struct, frozen=True):
    """One address: its parameters, what it answers with, and how that is worked out."""

    path: str
    summary: str
    answer: Any
    work: Callable[[Site, Asked], Any]
    parameters: tuple[Parameter, ...] = ()


def _report(site: Site, asked: Asked) -> ReportAnswer:
    with opened(site, _capped(site, asked, site.config.default_report_hours)) as store:
        return ReportAnswer(store.report(_filters(store, asked), asked.get("by")))


def _stats(site: Site, asked: Asked) -> results.Stats:
    with opened(site, _capped(site, asked, 24)) as store:
        return store.stats(_filters(store, asked))


def _queries(site: Site, asked: Asked) -> list[results.QueryLine]:
    with opened(site, _period(site, asked)) as store:
        return find(
            store.picked(asked.get("where", ())),
            failed=asked.get("failed", False),
            slow_ms=site.config.slow_query_threshold_ms if asked.get("slow") else None,
            agent=asked.get("agent"),
            contains=asked.get("contains"),
            sort=asked.get("sort", "time"),
            limit=asked.get("limit", 20),
        )


def _query(site: Site, asked: Asked) -> QueryRecord:
    return at_query(site, asked["id"], lambda store: store.query(asked["id"]))


def _series(site: Site, asked: Asked) -> list[Series]:
    with opened(site, _period(site, asked, default_hours=24)) as store:
        where, by = _filters(store, asked), asked.get("by")
        return store.series(asked.get("figure", "queries"), asked.get("every", "1h"), by, where)


_SHARED = (*parameters.PERIOD, parameters.WHERE, parameters.AGENT)

ENDPOINTS = (
    Endpoint("/api/report", "The figures of `metrics report`.", ReportAnswer, _report, (*_SHARED, parameters.BY)),
    Endpoint("/api/stats", "The figures of `metrics stats`.", results.Stats, _stats, _SHARED),
    Endpoint(
        "/api/queries",
        "Single queries, as `metrics queries` lists them.",
        list[results.QueryLine],
        _queries,
        (
            *_SHARED,
            parameters.FAILED,
            parameters.SLOW,
            parameters.CONTAINS,
            parameters.SORT,
            parameters.LIMIT,
        ),
    ),
    Endpoint(
        "/api/queries/{id}",
        "One query whole, by its id or the beginning of it, as `metrics show` has it.",
        QueryRecord,
        _query,
    ),
    Endpoint(
        "/api/series",
        "A figure over time: one series, or with `by` one for each of the largest groups.",
        list[Series],
        _series,
        (*_SHARED, parameters.BY, parameters.FIGURE, parameters.EVERY),
    ),
)


def routes(site: Site) -> list[BaseRoute]:
    """The routes of the API and of its description."""
    described: list[bytes] = []

    async def description(request: Request) -> Response:
        if not described:
            from instrument_cli.web.openapi import document

            described.append(json_document(document(ENDPOINTS)))
        return Response(described[0], media_type="application/json")

    return [
        Route("/api/openapi.json", description),
        *(Route(endpoint.path, _answering(site, endpoint)) for endpoint in ENDPOINTS),
    ]


def _answering(site: Site, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            asked = parameters.values(request.query_params.multi_items(), endpoint.parameters)
            asked |= request.path_params
            content = await readers.run(lambda: json_document(endpoint.work(site, asked)))
        except InstrumentError as error:
            return _said(error)
        return Response(content, media_type="application/json")

    return answer


def _said(error: InstrumentError) -> Response:
    """What is wrong in one sentence, with the names that parameters have here."""
    message = re.sub(r"--(?=[a-z])", "", str(error))
    if isinstance(error, BusyError):
        return JSONResponse({"error": message}, 503, {"retry-after": "1"})
    status = 404 if isinstance(error, NotFoundError) else 400 if isinstance(error, UsageError) else 503
    return JSONResponse({"error": message}, status)


def _period(site: Site, asked: Asked, **bounds: Any) -> Period:
    return worked_out(
        hours=asked.get("hours"),
        since=asked.get("since"),
        until=asked.get("until"),
        time_zone=asked.get("tz") or site.config.time_zone or None,
        **bounds,
    )


def _capped(site: Site, asked: Asked, hours: float) -> Period:
    return _period(site, asked, default_hours=hours, most_hours=site.config.longest_report_hours)


def _filters(store: Store, asked: Asked) -> list[Filter]:
    agent = asked.get("agent")
    if agent is not None:
        check_agent(store.tables, agent)
    return [*parsed(asked.get("where", ())), *([Filter("agent", "=", agent)] if agent is not None else [])]
