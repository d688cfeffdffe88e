"""The tools of `metrics mcp`: what an agent may ask about queries that were recorded, its own among them.

Every tool only reads. Answers are bounded: lists and tables have a limit, long texts are cut, a statement has seconds
to run in. Texts are as they were recorded, so what was redacted stays so. Each call opens the store anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, cast

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field
from typing_extensions import TypedDict

from instrument._version import __version__
from instrument.analysis.periods import period as worked_out
from instrument.analysis.search import find
from instrument.config import Config
from instrument.errors import InstrumentError
from instrument.reading import Store, open_period
from instrument.store.public_tables import TABLES

MOST_LISTED = 100
MOST_ROWS = 200
MOST_GROUPS = 50
LONGEST_TEXT = 2000
SQL_SECONDS = 20.0

_INSTRUCTIONS = (
    "Figures and records of agents that agent-instrument recorded: queries with their tool, GraphQL and model calls. "
    "Begin with report; then failures, slow or find_queries; show_query has one query whole. Times are UTC, durations "
    "milliseconds, costs US dollars. Filters look like agent=crewai, duration>5s, status!=ok, tenant=north."
)
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Hours = Annotated[float, Field(gt=0, description="The last so many hours.")]
Where = Annotated[list[str] | None, Field(description="Filters that are all to be true, such as agent=crewai.")]
Limit = Annotated[int, Field(ge=1, le=MOST_LISTED, description="How many at most.")]
Figures = dict[str, Any]


class Report(TypedDict):
    """The figures of a period, as `metrics report --format json` has them; at most 50 names in each group."""

    period: Figures
    queries: Figures
    agents: Figures
    response_times: Figures
    tools: Figures
    graphql: Figures
    models: Figures
    errors: Figures
    call_errors: Figures
    entities: Figures
    complexity: Figures
    metrics: Figures
    data: Figures
    notices: list[str]


class Queries(TypedDict):
    """Queries, and whether there were more than the limit."""

    queries: list[Figures]
    more: bool


class Query(TypedDict):
    """One query with its calls, and how many calls were left out."""

    query: Figures
    calls_left_out: int


class Comparison(TypedDict):
    """A period beside the one before it: each figure before and after, and in sentences what changed."""

    before: Figures
    after: Figures
    figures: list[Figures]
    summary: list[str]


class Findings(TypedDict):
    """Findings or advice, the most important first; `note` says why there may be none."""

    findings: list[Figures]
    note: str


class Forecast(TypedDict):
    """The next days of a figure, each with `low` and `high`, between which 95 of 100 days come to lie.

    `total` is of all these days, where the figure adds up; `note` says why there may be no days.
    """

    figure: str
    unit: str
    days: list[Figures]
    total: Figures | None
    basis: str
    note: str


class Table(TypedDict):
    """The answer to a statement, and whether it had more rows."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


class Columns(TypedDict):
    """The columns of each table: name, type, meaning."""

    tables: dict[str, list[dict[str, str]]]


def server(config: Config, source: str | None = None) -> MCPServer[Any]:
    """The server with its tools, over the store in the settings or at an address."""
    made: MCPServer[Any] = MCPServer(
        "agent-instrument", instructions=_INSTRUCTIONS, version=__version__, log_level="ERROR"
    )
    tools = _Tools(config, source or config.directory)
    for title, tool in (
        ("Figures of a period", tools.report),
        ("Find queries", tools.find_queries),
        ("Show one query", tools.show_query),
        ("Failed queries", tools.failures),
        ("Slowest queries", tools.slow),
        ("Compare with the period before", tools.compare),
        ("What changed, grows or was unusual", tools.trends),
        ("What the next days will bring", tools.forecast),
        ("What to do", tools.advice),
        ("Ask in SQL", tools.sql),
        ("Tables for SQL", tools.sql_tables),
    ):
        made.tool(title=title, annotations=_READS, structured_output=True)(tool)
    return made


class _Tools:
    """Each method is a tool; its docstring is what a model reads of it."""

    def __init__(self, config: Config, source: str) -> None:
        self._config = config
        self._source = source

    @contextmanager
    def _opened(self, hours: float | None) -> Iterator[Store]:
        """The store for the last hours; what cannot be answered becomes an answer that says why."""
        zone = self._config.time_zone or None
        try:
            with open_period(self._source, worked_out(hours=hours, time_zone=zone), self._config) as store:
                yield store
        except InstrumentError as error:
            raise ToolError(str(error)) from None

    def report(self, hours: Hours = 24, where: Where = None) -> Report:
        """Count queries, failures, response times, tokens and cost of the last hours, by agent, tool, model, error."""
        with self._opened(hours) as store:
            found = _plain(store.report(where or ()))
        return cast(Report, {name: _fewer(found[name]) for name in Report.__annotations__})

    def find_queries(
        self,
        hours: Hours = 24,
        where: Where = None,
        contains: Annotated[str, Field(description="Text in the input, error, agent or id.")] = "",
        sort: Annotated[str, Field(description="time, duration, tokens, cost or calls.")] = "time",
        limit: Limit = 20,
    ) -> Queries:
        """List queries that filters pick, the newest or the greatest first."""
        return self._listed(hours, where or [], sort, limit, contains)

    def show_query(self, query_id: Annotated[str, Field(description="The id, or its beginning.")]) -> Query:
        """Show one query whole: input, outcome, selection, attributes, and each call with its start and duration."""
        with self._opened(None) as store:
            found = _plain(store.query(query_id))
        calls = found.get("calls", [])
        found["calls"] = calls[:MOST_ROWS]
        return Query(query=found, calls_left_out=len(calls) - len(found["calls"]))

    def failures(self, hours: Hours = 24, where: Where = None, limit: Limit = 20) -> Queries:
        """List the queries that failed, the newest first, with their errors."""
        return self._listed(hours, [*(where or ()), "outcome=failed"], "time", limit)

    def slow(self, hours: Hours = 24, where: Where = None, limit: Limit = 20) -> Queries:
        """List the queries that took longest."""
        return self._listed(hours, where or [], "duration", limit)

    def compare(self, hours: Hours = 24, where: Where = None) -> Comparison:
        """Compare the last hours with as many before them, each figure with an interval and a verdict."""
        with self._opened(hours) as store:
            found = _plain(store.compare(where=where or ()))
        return cast(Comparison, {name: found[name] for name in Comparison.__annotations__})

    def trends(self, hours: Hours = 672, where: Where = None, limit: Limit = 10) -> Findings:
        """Find what changed, grows or was unusual over weeks."""
        with self._opened(hours) as store:
            found = _plain(store.trends(where=where or ()))
        return Findings(findings=found["findings"][:limit], note=found["note"])

    def advice(self, hours: Hours = 672, where: Where = None, limit: Limit = 10) -> Findings:
        """Say what to do to make queries faster, cheaper or safer, with what it would save."""
        with self._opened(hours) as store:
            found = _plain(store.advice(where=where or ()))
        return Findings(findings=found["advice"][:limit], note=found.get("note") or "")

    def forecast(
        self,
        figure: Annotated[str, Field(description="queries, cost, tokens, p95, failure_rate, metric:NAME …")] = "cost",
        days: Annotated[int, Field(ge=1, le=60, description="How many days ahead.")] = 7,
        where: Where = None,
    ) -> Forecast:
        """Say what to expect of a figure on the next days, and of all of them together, from the last eight weeks."""
        with self._opened(1344) as store:
            found = _plain(store.forecast(figure, days=days, where=where or ())[0])
        return cast(Forecast, {name: found[name] for name in Forecast.__annotations__})

    def sql(
        self,
        statement: Annotated[str, Field(description="One SELECT over queries, calls, selections and health.")],
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 50,
    ) -> Table:
        """Run one SELECT (DuckDB's SQL); sql_tables lists the columns. It reaches no file and changes nothing."""
        with self._opened(None) as store:
            answer = store.own_sql().answer(statement, SQL_SECONDS)
            rows = list(itertools.islice(answer.rows(), limit + 1))
        return Table(columns=answer.names, rows=[_plain(list(row)) for row in rows[:limit]], more=len(rows) > limit)

    def sql_tables(self) -> Columns:
        """List the tables that sql may ask, with each column's type and meaning."""
        return Columns(tables={name: [_plain(each._asdict()) for each in columns] for name, columns in TABLES.items()})

    def _listed(self, hours: float, filters: list[str], sort: str, limit: int, contains: str = "") -> Queries:
        with self._opened(hours) as store:
            found = find(store.picked(filters), contains=contains or None, sort=sort, limit=limit + 1)
        return Queries(queries=[_plain(each) for each in found[:limit]], more=len(found) > limit)


def _plain(value: Any) -> Any:
    """A result as JSON has it, long texts cut."""
    return _cut(msgspec.to_builtins(value, enc_hook=str))


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
    if isinstance(value, dict):
        return {str(name): _cut(each) for name, each in value.items()}
    return [_cut(each) for each in value] if isinstance(value, (list, tuple)) else value


def _fewer(value: Any) -> Any:
    """The first groups of many: the analysis has the largest first."""
    return dict(itertools.islice(value.items(), MOST_GROUPS)) if isinstance(value, dict) else value
