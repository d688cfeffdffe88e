"""The one door for whoever reads what was recorded.

with open_store(hours=24) as store:
    print(store.report(where="agent=crewai").response_times.p95_ms)
    frame = store.sql("SELECT start_time, duration_ms FROM queries").df()

Commands, pages, exporters and notebooks all read through it. A store in a directory is read by DuckDB; another kind of
store is one module with a function `open_tables`, named in `SOURCES` by the scheme of its address.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from instrument.analysis import results
from instrument.analysis.filters import Where, parsed, picked
from instrument.analysis.periods import BEGINNING, Period
from instrument.analysis.periods import period as period_of
from instrument.config import Config, resolve
from instrument.errors import UsageError
from instrument.store import tables as store_tables
from instrument.store.tables import Tables

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

    from instrument.analysis.advice import Advised
    from instrument.analysis.compare import Comparison
    from instrument.analysis.front_page import FrontPage
    from instrument.analysis.outliers import Outlier
    from instrument.analysis.outlook import Outlook
    from instrument.analysis.overview import Overview
    from instrument.analysis.results import QueryLine, Report, Stats
    from instrument.analysis.series import Series
    from instrument.analysis.side_by_side import Kind, Row, SideBySide
    from instrument.analysis.trends import Asked, Trends
    from instrument.analysis.unusual import Anomalies
    from instrument.analysis.workers import Capacity
    from instrument.records import QueryRecord
    from instrument.store.cursors import Cursor
    from instrument.store.own_sql import OwnSql, Parameters
    from instrument.store.tail import Follower

Opening = Callable[[datetime | None, datetime | None], Tables]
"""Opens the tables from a time to a time, both included."""

SOURCES: dict[str, str] = {
    **dict.fromkeys(("s3", "gs", "az", "file"), "instrument.store.lake"),
    **dict.fromkeys(("clickhouse", "clickhouses"), "instrument.store.clickhouse.tables"),
}
"""The module that opens a source by its address's scheme; its `open_tables(address, since, until)` gives tables."""


def open_store(
    source: str | Path | None = None,
    *,
    hours: float | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    time_zone: str | None = None,
) -> Store:
    """Open a store for reading: all of it, or a period.

    `source` is a directory, by default that of the settings in force here. A period is given by any two of its
    beginning, its end (exclusive; by default now) and its length in hours; times are datetimes or texts such as
    `2026-11-20`, `yesterday` or `-7d`, read in `time_zone` (`local`, `UTC`, `Europe/Berlin`; by default the setting).
    Raises UsageError for what makes no period, StoreError when there is no store or it cannot be read.
    """
    config = resolve({}, os.environ, Path.cwd()).config
    period = period_of(hours=hours, since=since, until=until, time_zone=time_zone)
    return open_period(config.directory if source is None else source, period, config)


def open_period(source: str | Path, period: Period, config: Config) -> Store:
    """Open a store for a period that is worked out already, with the settings that its figures go by."""
    return Store(source, period, config)


def open_tables(source: str | Path, since: datetime | None = None, until: datetime | None = None) -> Tables:
    """Open the tables of a directory, or of another kind of source by the scheme of its address.

    `since` and `until` are both included; without them everything is opened, records from the future among it.
    """
    scheme, separator, _ = os.fspath(source).partition("://")
    if not separator:
        return store_tables.open_store(source, since=since, until=until)
    module = SOURCES.get(scheme.lower())
    if module is None:
        known = ", ".join(f"{each}://…" for each in SOURCES)
        raise UsageError(f"{scheme}://… is no source that can be read; name the directory of a store, or {known}")
    tables: Tables = import_module(module).open_tables(os.fspath(source), since=since, until=until)
    return tables


def named(source: str | Path) -> str:
    """A source as people are shown it: an address without the user and the password in it."""
    return re.sub(r"//[^@/]*@", "//", os.fspath(source))


class Store:
    """A store, opened for a period; a context manager.

    `source` is its directory, or the address of another kind of store; `directory` is where this machine keeps what
    belongs to it, such as a model: the store's own, or for an address the one in the settings.
    What its segments held when it was opened is what it shows: later records need a store opened later, or `follow`.
    """

    def __init__(self, source: str | Path, period: Period, config: Config, opening: Opening | None = None) -> None:
        """Open it; `opening` opens the tables of a period in place of `open_tables`."""
        self.source = source
        self._is_kept = opening is not None
        self._opening = opening or partial(open_tables, source)
        self.directory = Path(config.directory if "://" in os.fspath(source) else source)
        self.config = config
        self.tables = self._opening(period.since, period.last)
        self._own_sql: OwnSql | None = None
        self._before: Store | None = None
        self._is_whole = period.since is None
        self.period = period if period.since is not None else self._since_the_first_record(period)

    def report(self, where: Where = (), by: str | None = None, *, exact: bool | None = None) -> Report:
        """Work out what `metrics report` shows, over the queries that the filters pick.

        `by` breaks the queries down by agent, model, host, process, entity or an attribute. `exact` True works
        percentiles out of every record; False takes them from roll-ups, within 1 %, where the source has some; None
        takes roll-ups for very many records only. `data.percentiles` says which it was. Raises UsageError for a filter
        that is none, or on a name that nothing has.
        """
        from instrument.analysis.notices import notices
        from instrument.analysis.report import report

        period = self._covered()
        found = report(self.picked(where), period, results.Limits.of(self.config), by=by, exact=exact)
        is_other = bool(where) or "://" in os.fspath(self.source)  # they are of all queries of a directory
        said = [] if is_other else notices(self.directory, period.start, period.end)
        return msgspec.structs.replace(found, notices=said) if said else found

    def stats(self, where: Where = (), *, exact: bool | None = None) -> Stats:
        """Work out what `metrics stats` shows, over the queries that the filters pick; `exact` is as in `report`."""
        from instrument.analysis.stats import stats

        return stats(self.picked(where), self._covered(), results.Limits.of(self.config), exact=exact)

    def compare(
        self,
        against: str | None = None,
        *,
        by: str | None = None,
        between: tuple[str, str] | None = None,
        where: Where = (),
    ) -> Comparison:
        """Compare the period with an earlier one, or the queries with two values of an attribute with each other.

        `against` is `previous` (the default: as long, directly before), a distance such as `-7d`, or `SINCE..UNTIL`.
        `by` names an attribute or another field of a filter, `between` its two values. Raises UsageError when there is
        nothing on one side.
        """
        from instrument.analysis import compared

        if (by is None) != (between is None) or (by is not None and against is not None):
            raise UsageError("compare two periods (--against), or two values (--by NAME --between A B)")
        limits, filters = results.Limits.of(self.config), list(parsed(where))
        if by is not None and between is not None:
            return compared.values(self.tables, self._covered(), limits, by, between, filters)
        earlier = compared.earlier(self.period, against or "previous")
        with self._beside(earlier) as before:
            return compared.periods(before.tables, self.tables, before._covered(), self._covered(), limits, filters)

    def overview(self, where: Where = (), *, columns: int = 60, rows: int = 16, worse: Sequence[Kind] = ()) -> Overview:
        """Work out six figures beside those of the period before, over time, and the heat map of durations.

        `columns` and `rows` are how finely the period and the durations are cut at the most. `worse` names the kinds
        of which to say what got worse since the period before: `agent`, `tool`, `operation` or `model`.
        """
        from instrument.analysis import compared, overview

        with self._previous() as before:
            earlier_tables = compared.picked_if_any(before.tables, where)
            return overview.overview(self.picked(where), earlier_tables, self.period, columns, rows, worse)

    def front_page(
        self, where: Where = (), *, columns: int = 60, rows: int = 16, worse: Sequence[Kind] = ()
    ) -> FrontPage:
        """Work out at once what a first page shows: `overview`, `report`, and what more `FrontPage` names.

        Each part is what its own method gives, in half the time of all of them one by one, without the report's
        notices.
        """
        from instrument.analysis import compared
        from instrument.analysis.front_page import Cut, front_page

        with self._previous() as before:
            earlier, limits = compared.picked_if_any(before.tables, where), results.Limits.of(self.config)
            cut = Cut(columns, rows, worse)
            return front_page(self.picked(where), earlier, self.period, self._covered(), limits, cut)

    def side_by_side(self, kind: Kind, where: Where = ()) -> tuple[SideBySide, dict[str, Row]]:
        """Hold agents, tools, operations or models (`kind`) against each other, and each against the period before.

        Returns the rows with their distributions, and those of the period before by name, without.
        """
        from instrument.analysis import compared
        from instrument.analysis.side_by_side import side_by_side

        with self._previous() as before:
            rows = side_by_side(compared.picked_if_any(before.tables, where), kind, spread=False).rows
        return side_by_side(self.picked(where), kind), {row.name: row for row in rows}

    def queries(self, where: Where = (), sort: str = "time", limit: int | None = None) -> list[QueryLine]:
        """List the queries that the filters pick; by time the newest first, by any other measure the greatest first.

        `sort` is `time`, `duration`, `tokens`, `cost` or `calls`; `limit` None lists them all.
        """
        from instrument.analysis.search import find

        return find(self.picked(where), sort=sort, limit=limit)

    def query(self, query_id: str) -> QueryRecord:
        """Return one query whole, by its id or the beginning of it. Raises UsageError for none, or several."""
        from instrument.analysis.search import one

        return one(self.tables, query_id)

    def series(self, figure: str, every: str | float = "1h", by: str | None = None, where: Where = ()) -> list[Series]:
        """Work a figure out over time: one series, or with `by` one for each of the largest groups.

        `figure` is a name such as `queries`, `failure_rate`, `p95` or `metric:NAME`; `every` the length of a bucket
        (`5m`, `1h`, `1d`, or seconds). Raises UsageError for what is not known, or too many buckets.
        """
        from instrument.analysis import series

        return series.series(self.picked(where), figure, self.period, series.every(every), by=by)

    def trends(
        self,
        figures: Iterable[str] | None = None,
        every: str | float = "1h",
        by: str | None = None,
        where: Where = (),
    ) -> Trends:
        """Work out how figures went, and find what changed, grows or was unusual, the most important first.

        `figures` are names as in `series`, by default `trends.FIGURES`; `by` looks at each of the largest groups.
        """
        from instrument.analysis import trends
        from instrument.analysis.series import every as seconds

        with self._asked(where, by) as asked:
            return trends.trends(asked, figures, seconds(every), self._covered())

    def anomalies(
        self, *, by: str | None = None, budget: float = 1.0, where: Where = (), limit: int | None = 20
    ) -> Anomalies:
        """Find unusual stretches (of all queries, or of each of the largest groups) and the most unusual queries.

        `budget` is how many of each a week chance alone may raise; `limit` is for single queries. Raises UsageError for
        a budget that cannot be kept, or an unknown group.
        """
        from instrument.analysis import unusual

        with self._asked(where, by) as asked:
            return unusual.anomalies(asked, self._covered(), budget, limit)

    def outliers(self, where: Where = (), limit: int | None = 20, *, budget: float = 1.0) -> list[Outlier]:
        """Find the queries that are unusual for their agent and size, the least likely first, each with its reasons.

        `budget` is how many a week chance alone may show. An agent needs 30 queries.
        """
        from instrument.analysis import outliers

        return outliers.outliers(self.picked(where), budget=budget, limit=limit)

    def unusual(self, query_id: str) -> Outlier | None:
        """Say how one query is unusual beside its agent's queries of the four weeks before it; None where it is not."""
        from instrument.analysis import outliers

        return outliers.of_query(self.tables, query_id)

    def forecast(
        self, figure: str = "queries", *, days: int = 7, by: str | None = None, where: Where = ()
    ) -> list[Outlook]:
        """Forecast a figure's next whole days from the end of the period on: one outlook, or with `by` one a group.

        Raises NotEnoughDataError, which says what is needed, where less than two days are known.
        """
        from instrument.analysis import outlook

        return outlook.outlooks(self.picked(where), self.period, figure, days, by)

    def capacity(self, workers: int, *, target_p95: float = 5.0, where: Where = ()) -> Capacity:
        """Say how many workers the queries need for a p95 of so many seconds, and when growth will miss it.

        Raises NotEnoughDataError without a query in the last week of the period.
        """
        from instrument.analysis import workers as of_workers

        return of_workers.capacity_of(self.picked(where), self.period, workers, target_p95)

    def advice(self, where: Where = ()) -> Advised:
        """Say what to do about the queries that the filters pick: each piece of advice with its saving a week.

        Advice needs at least 30 queries over 3 days; where there is none, `note` says why.
        """
        from instrument.analysis.advice import advise

        return advise(self.picked(where), self.period, parsed(where), self._covered())

    def records(self, where: Where = ()) -> Iterator[QueryRecord]:
        """Yield the queries that the filters pick, whole, by start."""
        return self.picked(where).records()

    def picked(self, where: Where) -> Tables:
        """The tables with only what the filters pick, for any function of the analysis."""
        return picked(self.tables, where)

    def sql(self, statement: str, parameters: Parameters = None) -> DuckDBPyRelation:
        """Run one SELECT over `queries`, `calls`, `selections` and `health`; returns a DuckDB relation.

        `.df()`, `.pl()`, `.arrow()` and `.fetchall()` fetch it, while the store is open. `parameters` are a list for
        `?`, a dict for `$name`. Raises UsageError for what is no single SELECT, names what there is not, or would read
        or write a file; docs/reading.md lists the columns.
        """
        relation: DuckDBPyRelation = self.own_sql().relation(statement, parameters)
        return relation

    def own_sql(self, writable: Path | None = None) -> OwnSql:
        """The tables that `sql` asks; the first time locks the store's connection, and names the file it may write."""
        made = self._own_sql or self.tables.own_sql(writable)
        self._own_sql = made
        return made

    def follow(
        self, cursor: Cursor | str | None = None, *, name: str | None = None, wait: float | None = None
    ) -> Follower:
        """Give every record once, those there are and those to come, whatever the period: see `tail.follow`."""
        from instrument.store.tail import follow

        if "://" in os.fspath(self.source):
            raise UsageError(f"{named(self.source)} cannot be followed; follow the stores on the machines that record")
        return follow(self.source, cursor, name=name, wait=wait)

    def close(self) -> None:
        """Let go of the store; harmless when repeated."""
        self.tables.close()
        if self._before is not None:
            self._before.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _asked(self, where: Where, by: str | None) -> Iterator[Asked]:
        """What trends and anomalies are asked of: the period, and the weeks before it that show what is usual."""
        from instrument.analysis import stretches, trends

        asked = trends.Asked(self.picked(where), self.period, parsed(where), by)
        begin = self.period.since
        if self._is_whole or begin is None:  # nothing is before it
            yield asked
            return
        longer = self.period.beginning(begin - timedelta(days=stretches.BEFORE_DAYS))
        with self._beside(longer) as before:
            yield asked._replace(longer=trends.Known(picked(before.tables, where), longer))

    @contextmanager
    def _previous(self) -> Iterator[Store]:
        """The period before, as long; over a store that is kept open anyway it stays open beside this one."""
        from instrument.analysis import compared

        earlier = compared.earlier(self.period, "previous")
        if self._is_kept:
            self._before = self._before or self._beside(earlier)
            yield self._before
        else:
            with self._beside(earlier) as before:
                yield before

    def _beside(self, period: Period) -> Store:
        """The same store, opened for another period."""
        return Store(self.source, period, self.config, self._opening if self._is_kept else None)

    def _covered(self) -> results.Period:
        period = self.period
        return results.Period(period.hours, period.since or BEGINNING, period.until, period.now)

    def _since_the_first_record(self, period: Period) -> Period:
        first = self.tables.rows("SELECT min(started_us) FROM queries")[0][0]
        since = period.until if first is None else datetime.fromtimestamp(first / 1e6, UTC)
        return period.beginning(min(since, period.until))
